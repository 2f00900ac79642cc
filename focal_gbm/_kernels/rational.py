"""Forms and class weights for float32 kernels; the form of the posterior link has a
rational for its weight (1 + gamma) omega."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.chebyshev import cheb2poly, chebvander

from focal_gbm._kernels.cpu import fill_omega
from focal_gbm._kernels.formulas import Clipped, Exact, Expected, LogLoss, Posterior

_DEGREE = 8  # of numerator and denominator: horner8
_NODES = 400
LARGEST_GAMMA = 1000  # beyond, (1/2)^gamma leaves the normal numbers of float64
MAX_GAMMA = 30  # beyond, omega spans more than float32 and eight powers can follow
_ROUNDS = 40
# Below, (1 + gamma) omega is 1 to the accuracy of float32, and there is no single best
# fit to a constant.
_NEXT_TO_LOG_LOSS = 1e-6
# Within them float32 neither overflows nor loses a class.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 1e-20, 1e20
CLASSIC_FORMS: Any = {"expected": Expected, "exact": Exact, "clipped": Clipped}


def objective_form(link: str, hessian: str, gamma: float) -> Any:
    """Return the form of an objective, ready for float32 kernels."""
    if link == "posterior":
        return posterior_form(gamma)
    return CLASSIC_FORMS[hessian](np.float32(gamma))


def objective_weights(
    class_weights: tuple[float, float], alpha: float | None, scale: float
) -> tuple[np.float32, np.float32]:
    """Return ``scale`` times the weights of class 0 and 1, if float32 holds both."""
    weights = [scale * weight for weight in class_weights]
    for label, weight in enumerate(weights):
        if not SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT:
            msg = (
                f"scale={scale} and alpha={alpha} give class {label} the weight "
                f"{weight:.3g}, which derivatives in float32 cannot hold; choose scale "
                f"and alpha so that it lies in [{SMALLEST_WEIGHT}, {LARGEST_WEIGHT}]"
            )
            raise ValueError(msg)
    return np.float32(weights[0]), np.float32(weights[1])


@lru_cache(maxsize=64)
def posterior_form(gamma: float) -> LogLoss | Posterior:
    """Return the form of the posterior link at ``gamma``, ready for float32 kernels.

    A rational of |x| and not a polynomial: its division shares the one of the
    sigmoid, and in float32 it keeps 1e-5 up to gamma 5 and 5e-5 up to gamma 10.
    Whatever error is left cannot bias a probability: log-loss with any positive
    weight that depends on the log-odds alone has the same optimum.
    """
    if gamma > MAX_GAMMA:
        msg = (
            f"gamma must be at most {MAX_GAMMA} with link='posterior', got {gamma}: "
            "beyond, the weights of the rows span more than float32 can follow; lower "
            f"gamma, or use link='logit', which takes gamma up to {LARGEST_GAMMA}"
        )
        raise ValueError(msg)
    if gamma < _NEXT_TO_LOG_LOSS:
        return LogLoss(np.float32(1.0))
    centre = 4.0 * (1.0 + gamma)
    t = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    # nodes in z, for L^-1 is not in closed form; those in x are near the Chebyshev ones
    x, value = np.empty(_NODES), np.empty(_NODES)
    fill_omega(4.0 * (1 + t) / (1 - t), gamma, x, value)
    t = (x - centre) / (x + centre)
    numerator, denominator = _fit_rational(chebvander(t, _DEGREE), (1 + gamma) * value)
    scale = 1.0 / denominator[0]
    return _float32_form(numerator * scale, denominator * scale, 1.0 / centre)


def _float32_form(
    numerator: np.ndarray, denominator: np.ndarray, scale: float
) -> Posterior:
    return Posterior(
        tuple(np.float32(c) for c in numerator),
        tuple(np.float32(c) for c in denominator),
        np.float32(scale),
    )


def _fit_rational(
    basis: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit p/q to ``value`` with nearly equal relative error; powers of |x|/centre.

    Sanathanan and Koerner (1963): least squares of p - value q, divided by the
    q of the round before; each round also gives more weight to the nodes where
    the error was large (Lawson 1961).
    """
    n = basis.shape[1]
    q = np.ones(len(value))
    emphasis = np.ones(len(value))
    best, best_error = np.zeros(2 * n), np.inf
    for _ in range(_ROUNDS):
        rows = (np.sqrt(emphasis) / (value * q))[:, None]
        system = np.hstack([basis * rows, -basis * value[:, None] * rows])
        solution = np.linalg.svd(system, full_matrices=False)[2][-1]
        q = basis @ solution[n:]
        if q[0] < 0:
            solution, q = -solution, -q
        error = np.abs(basis @ solution[:n] / q / value - 1)
        if q.min() > 0 and error.max() < best_error:
            best, best_error = solution, error.max()
        emphasis = emphasis * (error / error.max() + 1e-3)
        emphasis /= emphasis.mean()
        q = np.abs(q)
    return _to_powers(best[:n]), _to_powers(best[n:])


def _to_powers(coefficients: np.ndarray) -> np.ndarray:
    """Turn Chebyshev coefficients in t = (s - 1)/(s + 1) into powers of s,
    the common factor (1 + s)^degree left out."""
    result = Polynomial([0.0])
    for k, c in enumerate(cheb2poly(coefficients)):
        result += c * Polynomial([-1, 1]) ** k * Polynomial([1, 1]) ** (_DEGREE - k)
    return np.pad(result.coef, (0, _DEGREE + 1 - len(result.coef)))

"""Forms and class weights for float32 kernels.

The form of the posterior link has a rational function in place of its weight
(1 + gamma) omega, whose exact value takes Newton steps in each row.
"""

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
# Below, (1 + gamma) omega is 1 to the accuracy of float32, and a rational fit to a
# constant is not unique.
_NEXT_TO_LOG_LOSS = 1e-6
# Between these class weights, derivatives in float32 neither overflow nor vanish.
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
    """Return ``scale`` times the weights of class 0 and class 1, in float32."""
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

    The weight is a rational function of |x|, not a polynomial: its division is also the
    division of the sigmoid, and in float32 its relative error stays below 1e-5 up to
    gamma 5 and below 5e-5 up to gamma 10. The error cannot bias a probability: log-loss
    with any positive weight that depends on the log-odds alone has the same optimum.
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
    # about L(4), the x of the middle node
    centre = 4.0 * (1.0 + gamma)
    t = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    # nodes in z, since L^-1 has no closed form; in x they are near Chebyshev nodes
    x, value = np.empty(_NODES), np.empty(_NODES)
    fill_omega(4.0 * (1 + t) / (1 - t), gamma, x, value)
    t = (x - centre) / (x + centre)
    numerator, denominator = _fit_rational(chebvander(t, _DEGREE), (1 + gamma) * value)
    # a ratio has a free factor: the denominator is to start with 1
    scale = 1.0 / denominator[0]
    return _float32_form(numerator * scale, denominator * scale, 1.0 / centre)


def _float32_form(
    numerator: np.ndarray, denominator: np.ndarray, scale: float
) -> Posterior:
    """Return the form with its numbers in float32."""
    return Posterior(
        tuple(np.float32(c) for c in numerator),
        tuple(np.float32(c) for c in denominator),
        np.float32(scale),
    )


def _fit_rational(
    basis: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit p/q to ``value`` and return powers of |x|/centre, lowest first.

    Each round is a least-squares fit of p - value q, divided by the q of the round
    before (Sanathanan and Koerner 1963, "Transfer function synthesis as a ratio of two
    complex polynomials"). Each round also gives more weight to the nodes at which the
    error was large (Lawson 1961), so that the relative error becomes nearly equal.
    """
    n = basis.shape[1]
    q = np.ones(len(value))
    emphasis = np.ones(len(value))
    best, best_error = np.zeros(2 * n), np.inf
    for _ in range(_ROUNDS):
        rows = (np.sqrt(emphasis) / (value * q))[:, None]
        system = np.hstack([basis * rows, -basis * value[:, None] * rows])
        # the right singular vector of the smallest value: least squares at norm 1
        solution = np.linalg.svd(system, full_matrices=False)[2][-1]
        q = basis @ solution[n:]
        if q[0] < 0:  # the sign of a singular vector is arbitrary
            solution, q = -solution, -q
        error = np.abs(basis @ solution[:n] / q / value - 1)
        # a denominator that changes sign has a zero, and the ratio a pole
        if q.min() > 0 and error.max() < best_error:
            best, best_error = solution, error.max()
        # 1e-3: a node of tiny error keeps some weight, or the next round ignores it
        emphasis = emphasis * (error / error.max() + 1e-3)
        emphasis /= emphasis.mean()
        q = np.abs(q)
    return _to_powers(best[:n]), _to_powers(best[n:])


def _to_powers(coefficients: np.ndarray) -> np.ndarray:
    """Convert Chebyshev coefficients in t = (s - 1)/(s + 1) to powers of s, without the
    common factor (1 + s)^degree."""
    result = Polynomial([0.0])
    for k, c in enumerate(cheb2poly(coefficients)):
        result += c * Polynomial([-1, 1]) ** k * Polynomial([1, 1]) ** (_DEGREE - k)
    return np.pad(result.coef, (0, _DEGREE + 1 - len(result.coef)))

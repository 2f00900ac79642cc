"""The formulas of focal loss, each written once and compiled for every target.

Letters, after Lin et al. (2017), "Focal loss for dense object detection":

    z         raw score, the logit of the focal score
    x         log-odds of the class posterior under equal class weights
    m         own-class margin: z for a positive row, -z for a negative one
    p, q, l   expit(m), 1 - p and -log p
    a, u, l0  |z|, exp(-a) and log1p(u): the parts from which all else follows

Everything is assembled from ``a``, ``u`` and ``l0``, so nothing overflows and
nothing cancels, whatever the size of the score.

A *form* names what is computed and carries its numbers; ``derivatives`` picks
the formula by the type of the form. The dtype of the score picks the
arithmetic: float64 calls the mathematical library, float32 uses polynomials,
because LLVM vectorises those and PyPI's llvmlite carries no vector library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.polynomial import Chebyshev, Polynomial

# Neither nnan nor ninf: scores may be infinite and NaN has to be seen. Not
# reassoc: it would undo the two-part reduction of the exponent.
ROW_OPTIONS: Any = {
    "fastmath": {"contract", "nsz", "arcp"},
    "error_model": "numpy",
}
_OPTIONS: Any = {**ROW_OPTIONS, "forceinline": True}
formula = njit(**_OPTIONS)


class LogLoss(NamedTuple):
    """Log-loss on the log-odds: either link at gamma = 0."""

    factor: Any


class Posterior(NamedTuple):
    """Log-loss on the log-odds times (1 + gamma) omega, omega being a rational."""

    numerator: tuple[Any, ...]
    denominator: tuple[Any, ...]
    scale: Any


class ExactPosterior(NamedTuple):
    """The same without the factor 1 + gamma and with the exact omega; float64."""

    gamma: Any


class Expected(NamedTuple):
    """Classic form; the Hessian is the expected one (Fisher scoring)."""

    gamma: Any


class Exact(NamedTuple):
    """Classic form; the Hessian is the second derivative, negative on far misses."""

    gamma: Any


class Clipped(NamedTuple):
    """Classic form; the second derivative, kept above the size of the gradient."""

    gamma: Any


def _powers(
    function: Callable[..., Any], low: float, high: float, degree: int
) -> tuple[np.float32, ...]:
    """Return float32 coefficients of the Chebyshev interpolant, constant first."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(np.float32(c) for c in series.convert(kind=Polynomial).coef)


_HALF_LN2 = math.log(2) / 2
_EXP = _powers(np.exp, -_HALF_LN2, _HALF_LN2, 5)
# log1p(u) / u on the Chebyshev points of [0, 1], none of which is 0.
_LOG1P = _powers(lambda u: np.log1p(u) / u, 0.0, 1.0, 8)
_LOG2_E = np.float32(1 / math.log(2))
_LN2_HIGH = np.float32(0.693359375)  # nine bits, so that a multiple of it is exact
_LN2_LOW = np.float32(math.log(2) - 0.693359375)
_ROUND = np.float32(1.5 * 2**23)  # adding it leaves the nearest integer in the low bits
_ROUND_BITS = np.int32(_ROUND.view(np.int32))
_BIAS = np.int32(127)
_KEPT_BITS, _HALF_STEP = np.int32(-16), np.int32(8)
_SHIFT = np.int32(23)
_MAX_EXPONENT = np.float32(87.0)  # exp(-87) is still a normal float32


def const(value: float, like: Any) -> Any:
    """Return ``value`` in the dtype of ``like``: a bare literal would be float64."""
    return value


@overload(const, jit_options=_OPTIONS)
def _const(value, like):
    if like == types.float32:
        return lambda value, like: np.float32(value)
    return lambda value, like: np.float64(value)


def limit(like: Any) -> Any:
    """Return the size beyond which a score changes nothing but underflows."""
    return 700.0


@overload(limit, jit_options=_OPTIONS)
def _limit(like):
    if like == types.float32:
        return lambda like: np.float32(80.0)
    return lambda like: 700.0


def exp_neg(a: Any) -> Any:
    """Return exp(-a) for a >= 0."""
    return math.exp(-a)


@overload(exp_neg, jit_options=_OPTIONS)
def _exp_neg(a):
    if a != types.float32:
        return lambda a: math.exp(-a)

    def exp_neg_float32(a):
        x = -a if a < _MAX_EXPONENT else -_MAX_EXPONENT
        shifted = np.float32(x * _LOG2_E + _ROUND)
        k = shifted - _ROUND
        r = (x - k * _LN2_HIGH) - k * _LN2_LOW
        c = _EXP
        r2 = r * r
        s = (c[0] + c[1] * r) + r2 * ((c[2] + c[3] * r) + r2 * (c[4] + c[5] * r))
        exponent = np.int32(shifted.view(np.int32) - _ROUND_BITS + _BIAS)
        return s * np.int32(exponent << _SHIFT).view(np.float32)

    return exp_neg_float32


def log1p_unit(u: Any) -> Any:
    """Return log(1 + u) for u in [0, 1]."""
    return math.log1p(u)


@overload(log1p_unit, jit_options=_OPTIONS)
def _log1p_unit(u):
    if u != types.float32:
        return lambda u: math.log1p(u)
    return lambda u: u * horner8(_LOG1P, u)


@formula
def horner8(c, t):
    """Return c[0] + c[1] t + ... + c[8] t^8, written out so that it vectorises and in
    pairs (Estrin), since the loop waits for chains of operations, not for their number.
    """
    t2 = t * t
    t4 = t2 * t2
    low = (c[0] + c[1] * t) + (c[2] + c[3] * t) * t2
    high = (c[4] + c[5] * t) + (c[6] + c[7] * t) * t2
    return low + t4 * (high + c[8] * t4)


def coarse(value: Any) -> Any:
    """Return ``value`` without the last four bits that float32 has for it, so that its
    product with a whole number up to 16 is exact."""
    return value


@overload(coarse, jit_options=_OPTIONS)
def _coarse(value):
    if value != types.float32:
        return lambda value: value

    def coarse_float32(value):
        single = np.float32(value)
        bits = np.int32(single.view(np.int32) + _HALF_STEP)
        return np.int32(bits & _KEPT_BITS).view(np.float32)

    return coarse_float32


@formula
def bounded_size(z):
    """Return |z|, bounded so that exp(-|z|) stays positive."""
    a = abs(z)
    return a if a < limit(z) else limit(z)


@formula
def parts(z):
    """Return a, u, l0 and 1 / (1 + u), with a bounded."""
    a = bounded_size(z)
    u = exp_neg(a)
    return a, u, log1p_unit(u), const(1.0, z) / (const(1.0, z) + u)


@formula
def own_class(m, a, u, l0, inverse, gamma):
    """Return p, q, l and q^gamma for the own-class margin m of size a."""
    one, zero = const(1.0, a), const(0.0, a)
    p = inverse * (u if m < 0 else one)
    q = inverse * (one if m < 0 else u)
    l = l0 + (a if m < 0 else zero)  # noqa: E741 - the letter of the papers' -log p
    return p, q, l, exp_neg(gamma * (l0 + (zero if m < 0 else a)))


@formula
def classic_loss(z, positive, gamma):
    """Return q^gamma l, the focal loss (Lin et al. 2017, eq. 4) at alpha_t = 1."""
    a = abs(z)
    u = exp_neg(a)
    l0 = log1p_unit(u)
    m = z if positive else -z
    if m >= 0:  # finite, or gamma = 0 would meet an infinite score
        return exp_neg(gamma * (l0 + min(a, 1e300))) * l0
    return exp_neg(gamma * l0) * (l0 + a)


@formula
def classic_gradient_hessian(z, positive, gamma):
    """Return the two derivatives of the classic form with respect to z."""
    a, u, l0, inverse = parts(z)
    m = z if positive else -z
    p, q, l, modulation = own_class(m, a, u, l0, inverse, gamma)  # noqa: E741
    slope = modulation * (gamma * p * l + q)
    odd = const(2.0, z) * gamma + const(1.0, z)
    hessian = modulation * p * (gamma * l * (gamma * p - q) + odd * q)
    return (-slope if positive else slope), hessian


@formula
def link_fraction(a, u, l0, inverse, gamma):
    """Return n, U and B with dx/dz = n / (U B) and exp(-|x|) = exp(-gamma a) U / B.

    U = u (1 + gamma rho(a)) and B = 1 + gamma rho(-a), rho(x) = exp(x) softplus(-x).
    """
    one = const(1.0, a)
    below = u * (a + l0)
    upper, lower = u + gamma * l0, one + gamma * below
    bend = (l0 - u * inverse) * lower + (below - u * inverse) * upper
    return (one + gamma) * upper * lower - gamma * bend, upper, lower


@formula
def link_slope(a, u, l0, inverse, gamma):
    """Return dx/dz, an even function of z."""
    n, upper, lower = link_fraction(a, u, l0, inverse, gamma)
    return n / (upper * lower)


@formula
def both_slopes(a, u, l0, inverse, gamma):
    """Return -d loss / d m at m = a and at m = -a, and exp(-gamma a)."""
    e = exp_neg(gamma * a)
    modulation = exp_neg(gamma * l0)
    hit = modulation * e * inverse * (gamma * l0 + u)
    return hit, modulation * inverse * (gamma * u * (a + l0) + const(1.0, a)), e


@formula
def expected_gradient_hessian(z, positive, gamma):
    """Return the classic gradient and the Hessian expected under the posterior."""
    a, u, l0, inverse = parts(z)
    hit, miss, e = both_slopes(a, u, l0, inverse, gamma)
    slope = miss if (z if positive else -z) < 0 else hit
    n, upper, lower = link_fraction(a, u, l0, inverse, gamma)
    both = lower + e * upper
    # G dx/dz expit(x) expit(-x)
    hessian = (hit + miss) * n * e / (both * both)
    return (-slope if positive else slope), hessian


@formula
def log_loss_gradient_hessian(x, positive, numerator, denominator):
    """Return the derivatives of log-loss at log-odds x times the given ratio."""
    one = const(1.0, x)
    u = exp_neg(bounded_size(x))
    v = one + u
    ratio = numerator / (denominator * v * v)
    m = x if positive else -x
    slope = v * ratio * (one if m < 0 else u)
    return (-slope if positive else slope), u * ratio


@formula
def probability(x):
    """Return p = expit(x) and p (1 - p), both without cancellation."""
    u = exp_neg(bounded_size(x))
    inverse = const(1.0, x) / (const(1.0, x) + u)
    return inverse * (u if x < 0 else const(1.0, x)), inverse * inverse * u


@formula
def log_odds(z, gamma):
    """Return x = L(z), the log-odds of the posterior (Charoenphakdee et al. 2021)."""
    a = abs(z)
    if a > 40.0:  # rho(a) is 1 and rho(-a) is 0 to the last bit
        x = (1.0 + gamma) * a - math.log1p(gamma)
    else:
        u = exp_neg(a)
        l0 = log1p_unit(u)
        below = u * (a + l0)
        # rho(a) - rho(-a) without cancellation where both tend to log 2
        gap = 2.0 * math.sinh(a) * l0 - a * u if a < 1.0 else l0 / u - below
        x = (1.0 + gamma) * a - math.log1p(gamma * gap / (1.0 + gamma * below))
    return x if z >= 0 else -x


@formula
def raw_score(x, gamma):
    """Return z with L(z) = x, by Newton from below, where L is steepest."""
    target = abs(x)
    z = target / (1.0 + gamma)
    if z > 40.0:
        z = (target + math.log1p(gamma)) / (1.0 + gamma)
    else:
        for _ in range(20):
            a, u, l0, inverse = parts(z)
            error = log_odds(z, gamma) - target
            step = error / link_slope(a, u, l0, inverse, gamma)
            z -= step
            if abs(step) <= 1e-16 * z:
                break
    return z if x >= 0 else -z


@formula
def omega(z, gamma):
    """Return omega(x) = G(z) / L'(z) at x = L(z): even, positive, 1/(1+gamma)
    in both tails; focal loss on the log-odds is log-loss with this weight."""
    a, u, l0, inverse = parts(z)
    hit, miss, _ = both_slopes(a, u, l0, inverse, gamma)
    return (hit + miss) / link_slope(a, u, l0, inverse, gamma)


@formula
def _log_loss(form, x, positive):
    return log_loss_gradient_hessian(x, positive, form.factor, form.factor)


@formula
def _posterior(form, x, positive):
    t = bounded_size(x) * form.scale
    numerator = horner8(form.numerator, t)
    return log_loss_gradient_hessian(
        x, positive, numerator, horner8(form.denominator, t)
    )


@formula
def _exact_posterior(form, x, positive):
    weight = omega(raw_score(x, form.gamma), form.gamma)
    return log_loss_gradient_hessian(x, positive, weight, 1.0)


@formula
def _expected(form, z, positive):
    return expected_gradient_hessian(z, positive, form.gamma)


@formula
def _exact(form, z, positive):
    return classic_gradient_hessian(z, positive, form.gamma)


@formula
def _clipped(form, z, positive):
    gradient, hessian = classic_gradient_hessian(z, positive, form.gamma)
    size = abs(gradient)
    return gradient, hessian if hessian > size else size


_DERIVATIVES: dict[type, Callable[..., Any]] = {
    LogLoss: _log_loss,
    Posterior: _posterior,
    ExactPosterior: _exact_posterior,
    Expected: _expected,
    Exact: _exact,
    Clipped: _clipped,
}


def derivatives(form: Any, score: Any, positive: Any) -> Any:
    """Return gradient and Hessian of one row under ``form``."""
    return _DERIVATIVES[type(form)](form, score, positive)


@overload(derivatives, jit_options=_OPTIONS)
def _derivatives(form, score, positive):
    function = _DERIVATIVES[form.instance_class]
    return lambda form, score, positive: function(form, score, positive)

"""Formulas of focal loss, each written once and compiled for CPU and GPU.

Letters, after Lin et al. (2017), "Focal loss for dense object detection":

    z         raw score, the logit of the focal score
    x         log-odds of the class posterior under equal class weights
    m         own-class margin: z for a positive row, -z for a negative one
    p, q, l   expit(m), 1 - p and -log p
    a, u, l0  |z|, exp(-a) and log1p(u)

All values are computed from ``a``, ``u`` and ``l0``, so that nothing overflows and
nothing cancels, whatever the size of the score.

A *form* names a loss with its Hessian and holds the numbers of its formula;
``derivatives`` chooses the formula by the type of the form. The dtype of the score
chooses the arithmetic: float64 calls the mathematical library. float32 uses
polynomials, because LLVM vectorises them and PyPI's llvmlite has no vector library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.polynomial import Chebyshev, Polynomial

# Neither nnan nor ninf: scores may be infinite, and NaN must be detected. Not reassoc:
# it would undo the reduction of the exponent in two parts.
ROW_OPTIONS: Any = {
    "fastmath": {"contract", "nsz", "arcp"},
    "error_model": "numpy",
}
_OPTIONS: Any = {**ROW_OPTIONS, "forceinline": True}
formula = njit(**_OPTIONS)


class LogLoss(NamedTuple):
    """Log-loss on the log-odds, times a factor: either link at gamma = 0."""

    factor: Any


class Posterior(NamedTuple):
    """Log-loss on the log-odds times (1 + gamma) omega, as a rational function."""

    numerator: tuple[Any, ...]
    denominator: tuple[Any, ...]
    scale: Any


class ExactPosterior(NamedTuple):
    """Log-loss on the log-odds times the exact omega, for float64."""

    gamma: Any


class Expected(NamedTuple):
    """Classic form with the expected Hessian (Fisher scoring), never negative."""

    gamma: Any


class Exact(NamedTuple):
    """Classic form with the second derivative, negative far on the wrong side."""

    gamma: Any


class Clipped(NamedTuple):
    """Classic form with the second derivative, or |gradient| if that is larger."""

    gamma: Any


def _powers(
    function: Callable[..., Any], low: float, high: float, degree: int
) -> tuple[np.float32, ...]:
    """Return float32 coefficients of the Chebyshev interpolant, constant first."""
    series = Chebyshev.interpolate(function, degree, domain=[low, high])
    return tuple(np.float32(c) for c in series.convert(kind=Polynomial).coef)


_HALF_LN2 = math.log(2) / 2
_EXP = _powers(np.exp, -_HALF_LN2, _HALF_LN2, 5)
# The Chebyshev points of [0, 1] do not contain 0, at which the quotient is undefined.
_LOG1P = _powers(lambda u: np.log1p(u) / u, 0.0, 1.0, 8)
_LOG2_E = np.float32(1 / math.log(2))
_LN2_HIGH = np.float32(0.693359375)  # nine bits, so that a multiple of it is exact
_LN2_LOW = np.float32(math.log(2) - 0.693359375)
_ROUND = np.float32(1.5 * 2**23)  # adding it leaves the nearest integer in the low bits
_ROUND_BITS = np.int32(_ROUND.view(np.int32))
_BIAS = np.int32(127)
# Of ``coarse``: a mask without the last four bits, and half of the smallest bit left.
_KEPT_BITS, _HALF_STEP = np.int32(-16), np.int32(8)
_SHIFT = np.int32(23)  # bits of the fraction, to the right of the exponent
_MAX_EXPONENT = np.float32(87.0)  # exp(-87) is still a normal float32
_LEAST_32, _LEAST_64 = np.finfo(np.float32).tiny, float(np.finfo(np.float64).tiny)


def const(value: float, like: Any) -> Any:
    """Return ``value`` in the dtype of ``like``; a bare literal would be float64."""
    return value


@overload(const, jit_options=_OPTIONS)
def _const(value, like):
    if like == types.float32:
        return lambda value, like: np.float32(value)
    return lambda value, like: np.float64(value)


def least(like: Any) -> Any:
    """Return the smallest positive normal number in the dtype of ``like``."""
    return _LEAST_64


@overload(least, jit_options=_OPTIONS)
def _least(like):
    if like == types.float32:
        return lambda like: _LEAST_32
    return lambda like: _LEAST_64


def limit(like: Any) -> Any:
    """Return the largest |z| to compute with; exp(-|z|) of more nearly underflows."""
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

    # exp(x) = 2^k exp(r) with |r| <= log(2) / 2 (Cody and Waite's reduction)
    def exp_neg_float32(a):
        x = -a if a < _MAX_EXPONENT else -_MAX_EXPONENT
        shifted = np.float32(x * _LOG2_E + _ROUND)
        k = shifted - _ROUND
        r = (x - k * _LN2_HIGH) - k * _LN2_LOW
        c = _EXP
        r2 = r * r
        s = (c[0] + c[1] * r) + r2 * ((c[2] + c[3] * r) + r2 * (c[4] + c[5] * r))
        # the low bits of ``shifted`` are k: shift them into the exponent, no conversion
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
    """Return c[0] + c[1] t + ... + c[8] t^8.

    Written out, so that the loop is vectorised, and in pairs (Estrin's scheme): the
    longest chain of operations limits the speed, not their number.
    """
    t2 = t * t
    t4 = t2 * t2
    low = (c[0] + c[1] * t) + (c[2] + c[3] * t) * t2
    high = (c[4] + c[5] * t) + (c[6] + c[7] * t) * t2
    return low + t4 * (high + c[8] * t4)


def coarse(value: Any) -> Any:
    """Return ``value`` rounded to four bits fewer than float32 has, so that its product
    with a whole number up to 16 is exact."""
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
    l = l0 + (a if m < 0 else zero)  # noqa: E741 - l is -log p in the papers
    return p, q, l, exp_neg(gamma * (l0 + (zero if m < 0 else a)))


@formula
def classic_loss(z, positive, gamma):
    """Return q^gamma l, the focal loss (Lin et al. 2017, eq. 4) at alpha_t = 1."""
    a = abs(z)
    u = exp_neg(a)
    l0 = log1p_unit(u)
    m = z if positive else -z
    # gamma times an infinite score is NaN at gamma = 0, hence the finite bound
    if m >= 0:
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
    # omega(x) expit(x) expit(-x) (dx/dz)^2, where omega dx/dz = hit + miss
    hessian = (hit + miss) * n * e / (both * both)
    return (-slope if positive else slope), hessian


@formula
def log_loss_gradient_hessian(x, positive, numerator, denominator):
    """Return derivatives of log-loss at log-odds x, times numerator / denominator."""
    one = const(1.0, x)
    u = exp_neg(bounded_size(x))
    v = one + u
    # one division for weight and sigmoid: divisions take most of the time
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
def matured(x, immaturity, ratio):
    """Return c (1 - p) / (1 - c p), the share of log-loss that late labels leave.

    A positive row would be known as one by now with probability c, and ``immaturity``
    is (1 - c) / c, which float32 can hold for c near 1 as for c near 0. p = expit(f) is
    the probability of the true class, and ``ratio`` is exp(f - x), the weight of class
    0 over that of class 1. The derivatives of -log(c p) and -log(1 - c p) are those of
    log-loss, but for this factor: in the gradient of rows seen as 0, and in the
    expected Hessian (Chapelle 2014, "Modeling delayed feedback in display advertising",
    with the distribution of the delay known).
    """
    u = exp_neg(bounded_size(x))
    one = const(1.0, x)
    top, bottom = (u, one) if x > 0 else (one, u)
    share = top / (top + immaturity * (top + ratio * bottom))
    # a ratio beyond float32 is infinite, and 0 times it is NaN
    return share if immaturity > 0 else one


@formula
def late_loss(x, immaturity, ratio):
    """Return the log-loss of a row seen as 0 that may be a positive not known yet.

    It is the integral of c expit(x) / (1 + (1 - c) ratio exp(x)) up to x, and for ratio
    1 -log(1 - c p). Letters as in ``matured``.
    """
    if immaturity == 0:
        return log1p_unit(exp_neg(abs(x))) + max(x, 0.0)
    known = 1.0 / (1.0 + immaturity)
    q = immaturity * known * ratio
    size = 1.0 / (math.exp(-x) + q)
    # the quotient's limit where q is 1
    return known * (size if q == 1.0 else math.log1p((1.0 - q) * size) / (1.0 - q))


@formula
def log_odds(z, gamma):
    """Return x = L(z), the log-odds of the posterior.

    Charoenphakdee et al. (2021), "On focal loss for class-posterior probability
    estimation", Theorem 11, on the log-odds scale.
    """
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
    """Return z with L(z) = x, by Newton's method from below, where L is steepest."""
    target = abs(x)
    z = target / (1.0 + gamma)
    if z > 40.0:  # L is a straight line there, to the last bit
        z = (target + math.log1p(gamma)) / (1.0 + gamma)
    else:
        # bounded: the last bit may alternate and never meet the tolerance
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
    """Return omega(x) at x = L(z), the weight that makes log-loss focal loss.

    omega(x) = (g_0 - g_1) / (dx/dz), where g_y is the gradient of a row of class y. It
    is even and positive, and 1 / (1 + gamma) in both tails.
    """
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


# A form's type is known to the compiler: the choice costs nothing in the loop.
def derivatives(form: Any, score: Any, positive: Any) -> Any:
    """Return gradient and Hessian of one row under ``form``."""
    return _DERIVATIVES[type(form)](form, score, positive)


@overload(derivatives, jit_options=_OPTIONS)
def _derivatives(form, score, positive):
    function = _DERIVATIVES[form.instance_class]
    return lambda form, score, positive: function(form, score, positive)

"""Focal loss in 60-digit arithmetic, from the definition alone.

The loss is written in probability space as in the papers. Its derivatives come
from numerical differentiation or from the chain rule through p, the posterior from
the slopes of the two classes: no formula here is the package's.
"""

from __future__ import annotations

from functools import cache

from mpmath import diff, exp, findroot, log, mp, mpf, workdps

mp.dps = 60

GAMMAS = (0.0, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0)
ALPHAS = (None, 0.25, 0.5, 0.9)
SCORES = (
    -40.0,
    -23.7,
    -11.3,
    -6.2,
    -2.9,
    -1.0,
    -0.013,
    0.0,
    0.4,
    2.75,
    7.5,
    18.1,
    40.0,
)


def weights(alpha):
    """Return the weights of class 0 and 1."""
    return (mpf(1), mpf(1)) if alpha is None else (1 - mpf(alpha), mpf(alpha))


def sigmoid(x):
    """Return 1 / (1 + exp(-x))."""
    return 1 / (1 + exp(-x))


def classic_loss(y, z, gamma, alpha):
    """Return -alpha_t (1 - p_t)^gamma log p_t."""
    p_t = sigmoid(z if y else -z)
    q_t = sigmoid(-z if y else z)
    return -weights(alpha)[y] * q_t ** mpf(gamma) * log(p_t)


@cache
def classic_derivatives(y, z, gamma, alpha):
    """Return the first and second derivative in z."""
    with workdps(100):  # differences of order two lose half the digits
        loss = lambda v: classic_loss(y, v, gamma, alpha)  # noqa: E731
        return diff(loss, mpf(z)), diff(loss, mpf(z), 2)


def log_odds(z, gamma, alpha):
    """Return the log-odds at which z minimises the expected loss."""
    return log(slope(0, z, gamma, alpha) / slope(1, z, gamma, alpha))


def slope(y, z, gamma, alpha):
    """Return |d loss / dz| through d loss / dp, at the working precision."""
    p, q = sigmoid(z if y else -z), sigmoid(-z if y else z)
    modulation = q ** mpf(gamma)
    return (
        weights(alpha)[y] * p * q * (modulation / p - gamma * modulation / q * log(p))
    )


@cache
def raw_score(f, gamma, alpha):
    """Return z with log_odds(z) = f."""
    guess = (mpf(f) + log(weights(alpha)[1] / weights(alpha)[0])) / (1 + mpf(gamma))
    return findroot(
        lambda z: log_odds(z, gamma, alpha) - f, (guess, guess * 1.01 + 0.01), tol=1e-40
    )


@cache
def posterior_derivatives(y, f, gamma, alpha):
    """Return the gradient in f, and the Hessian expected under equal class weights."""
    z = raw_score(f, gamma, alpha)
    stretch = diff(lambda v: log_odds(v, gamma, alpha), z)
    gradient = (1 - 2 * y) * slope(y, z, gamma, alpha) / stretch
    x = f + log(weights(alpha)[1] / weights(alpha)[0])
    miss = sigmoid(-x if y else x)
    return gradient, abs(gradient) / miss * sigmoid(x) * sigmoid(-x)

"""Data sets of card transactions: a simulator, and the public ULB credit-card data set.

:func:`make_transactions` needs no download; :func:`fetch_credit_card_fraud` downloads
once from OpenML.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from focal_gbm._validation import (
    check_count,
    check_finite_vector,
    check_generator,
    check_real,
)

Generator = np.random.Generator
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DelaySampler = Callable[[Generator, int], Any]

START = np.datetime64("2024-01-01", "s")
DAY = 86_400.0  # seconds
WINDOWS = (1, 7, 30)  # days
N_FAVOURITES = 12  # terminals near home at which a customer pays

TRANSACTION_FEATURES = (
    "amount",
    "hour",
    "is_weekend",
    "distance",
    "seconds_since_last",
    "amount_ratio",
    *(f"customer_{value}_{d}d" for d in WINDOWS for value in ("n", "mean_amount")),
    *(f"terminal_{value}_{d}d" for d in WINDOWS for value in ("n", "risk")),
)

SCENARIOS = ("genuine", "skimmed terminal", "stolen card", "leaked card data")
NEW_SCENARIO = "account takeover"

# Sizes of one event; the number of events follows from the requested fraud rate.
_SKIMMED_SHARE = 0.6  # of the payments at the terminal
_SKIMMED_DAYS = (14, 40)
_STOLEN_DAYS = 2.0
_STOLEN_PAYMENTS = 6.0  # mean number
_LEAKED_DAYS = 14.0
_LEAKED_PAYMENTS = 6.0  # mean number
_TAKEOVER_HOURS = (3.5, 6.0)  # of the first payment
_TAKEOVER_SECONDS = 900.0
_TAKEOVER_PAYMENTS = 6.0  # mean number

# A report within a century is before 2262, where datetime64[ns] ends. A delay of 36.5
# times the mean has a probability of 1e-30.
_LONGEST_DELAY = 36_500.0  # days
_LONGEST_MEAN_DELAY = 1000.0  # days


class _World(NamedTuple):
    """Customers and terminals, one row each, which do not change over time."""

    home: Floats  # of customers, on a square of side 100
    place: Floats  # of terminals, on the same square
    typical_amount: Floats
    spread: Floats  # standard deviation of the logarithm of an amount
    payments_a_day: Floats
    usual_hour: Floats
    favourites: Integers


class _Payments(NamedTuple):
    """Payments in any order; ``scenario`` is a position in SCENARIOS, or the next for
    NEW_SCENARIO."""

    seconds: Floats
    customer: Integers
    terminal: Integers
    amount: Floats
    scenario: Integers

    def taken(self, rows: NDArray[Any]) -> _Payments:
        """Return some of the payments, by position or mask."""
        return _Payments._make(values[rows] for values in self)


class _Takeovers(NamedTuple):
    """When account takeovers begin and how often they happen."""

    first_day: int
    rate: float  # share of all payments since then
    growth: float  # days until the rate is reached


def make_transactions(
    n_customers: int = 1000,
    n_terminals: int = 2000,
    n_days: int = 90,
    random_state: int | Generator | None = 0,
    *,
    fraud_rate: float = 0.005,
    label_delay: float = 7.0,
    reporting_delay: float | DelaySampler | None = None,
    never_reported: float = 0.0,
    new_fraud_day: int | None = None,
    new_fraud_rate: float | None = None,
    new_fraud_growth: float = 0.0,
) -> pd.DataFrame:
    """Simulate card transactions with fraud, in the order of time.

    Customers live on a square map. They pay near home at a rate, at hours and with
    amounts of their own, and they pay elsewhere now and then. Three kinds of fraud are
    mixed in, each a third of the frauds:

    - *skimmed terminals*: for days a share of the payments is made with cloned cards;
    - *stolen cards*: a burst of large payments anywhere within two days;
    - *leaked card data*: small tests and large payments at night, for two weeks, among
      the customer's own payments.

    Customers, terminals and scenarios are an idea of the Fraud Detection Handbook [1]_;
    the model is different.

    Features use the past alone. Aggregates of a customer are over the last 1, 7 and 30
    days up to and including the payment. The risk of a terminal is the share of fraud
    among its payments in a window of 1, 7 or 30 days. Labels arrive late, so that the
    window ended ``label_delay`` days ago, and always before the second of the payment.

    Two options make the data harder, as real data are. Neither changes the payments
    that the same seed gives without the option; account takeovers come in addition, and
    aggregates of later payments include them.

    - Late reports (``reporting_delay``): somebody reports a fraud days later, or never.
      The risk of a terminal counts only frauds reported before the second of the
      payment; all other payments count as genuine, and the windows are the same.
    - A new kind of fraud (``new_fraud_day``), *account takeover*: in the early morning
      someone makes about six payments within a quarter of an hour, with amounts and at
      terminals that are usual for the customer. No older kind is of this rhythm with
      such amounts and places, so that a model trained before that day does not find
      the new kind.

    Parameters
    ----------
    n_customers : int >= 1, default=1000
        Number of customers, one card each; a customer makes two payments a day on
        average.
    n_terminals : int >= 1, default=2000
        Number of terminals at which cards are used.
    n_days : int >= 1, default=90
        Number of days. Windows of the first 30 days are cut short at the start.
    random_state : int >= 0, numpy.random.Generator or None, default=0
        Seed or source of the random numbers. The same int gives the same frame; None
        gives a different frame in each call.
    fraud_rate : float in (0, 0.5), default=0.005
        Expected share of fraudulent payments.
    label_delay : float >= 0, default=7.0
        Days until the label of a payment is known; 0: from the next second on. With
        ``reporting_delay``, days between a payment and the end of its windows of
        terminals, in which reported frauds alone count; 0: every report counts from
        the next second on.
    reporting_delay : float in (0, 1000), callable or None, default=None
        Days from a fraud to its report. A number is the mean of a gamma distribution
        of shape 2: the most frequent delay is half the mean, and 9 % of the delays are
        longer than twice the mean. A callable receives a numpy Generator and the number
        of frauds, and returns one delay in days in [0, 36500] for each. None: the frame
        has no reports, and each label is known after ``label_delay``.
    never_reported : float in [0, 1), default=0.0
        Expected share of the frauds that nobody reports. Needs ``reporting_delay``.
    new_fraud_day : int in [0, n_days), or None, default=None
        Day on which account takeovers begin, where 0 is the first day; None: never.
    new_fraud_rate : float in (0, 0.5) or None, default=None
        Expected share of account takeovers among the payments since ``new_fraud_day``,
        in addition to ``fraud_rate``; None: ``fraud_rate / 3``, as much as each older
        kind. Needs ``new_fraud_day``.
    new_fraud_growth : float >= 0, default=0.0
        Days in which account takeovers grow linearly from none to ``new_fraud_rate``;
        0: the rate is constant from the first day on. Needs ``new_fraud_day``.

    Returns
    -------
    transactions : DataFrame
        One row a payment: ``time`` (datetime64[s]), ``customer_id``, ``terminal_id``,
        the features in ``TRANSACTION_FEATURES`` (float32; NaN where the past is
        empty), ``scenario`` (category) and the label ``is_fraud`` (int8, 1 for fraud,
        reported or not). With ``new_fraud_day``, ``scenario`` has the category "account
        takeover". With ``reporting_delay``, a last column ``reported`` (datetime64[s])
        has the time at which the fraud is reported, which may be after the last
        payment; NaT for genuine payments and for frauds that nobody reports.

    Raises
    ------
    TypeError
        If an argument is not a number.
    ValueError
        If a number is out of range, or if a parameter is passed without the parameter
        that it needs.

    See Also
    --------
    focal_gbm.datasets.fetch_credit_card_fraud : Real transactions of two days.
    focal_gbm.delays.ReportingDelay : Estimate of the delays of the reports.
    focal_gbm.model_selection.PrequentialSplit : Folds in the order of time.

    References
    ----------
    .. [1] Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi. Reproducible
       machine learning for credit card fraud detection: practical handbook. 2022,
       chapter 3.

    Examples
    --------
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> data = make_transactions(n_customers=100, n_terminals=200, n_days=40)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> X.shape[1], bool(data["time"].is_monotonic_increasing)
    (18, True)

    Labels as they are known on the morning of day 30, for training on that day:

    >>> import numpy as np
    >>> data = make_transactions(
    ...     100, 200, 40, reporting_delay=10.0, never_reported=0.2, new_fraud_day=25
    ... )
    >>> today = np.datetime64("2024-01-01") + np.timedelta64(30, "D")
    >>> past = data[data["time"] < today]
    >>> known = past["reported"] < today
    >>> bool(known.sum() < past["is_fraud"].sum())
    True
    """
    n_customers = check_count(n_customers, "n_customers")
    n_terminals = check_count(n_terminals, "n_terminals")
    n_days = check_count(n_days, "n_days")
    fraud_rate = check_real(fraud_rate, "fraud_rate", low=0.0, high=0.5, open_ends=True)
    label_delay = check_real(label_delay, "label_delay", low=0.0)
    draw_delays = _check_reports(reporting_delay, never_reported)
    takeovers = _check_takeovers(
        new_fraud_day, new_fraud_rate, new_fraud_growth, n_days, fraud_rate
    )
    rng = check_generator(random_state)
    world = _make_world(rng, n_customers, n_terminals)
    genuine = _pay(rng, world, n_days)
    n_fraud = len(genuine.seconds) * fraud_rate / (1 - fraud_rate)
    kinds = [
        _skim(rng, genuine, n_terminals, n_days, n_fraud / 3),
        _steal(rng, world, n_days, n_fraud / 3),
        _leak(rng, world, n_days, n_fraud / 3),
    ]
    scenarios: tuple[str, ...] = SCENARIOS
    if takeovers is not None:
        seconds = np.concatenate([kind.seconds for kind in kinds])
        n_since = int(np.count_nonzero(seconds >= takeovers.first_day * DAY))
        kinds.append(
            _take_over(_other_stream(rng, 0), world, n_days, takeovers, n_since)
        )
        scenarios = (*SCENARIOS, NEW_SCENARIO)
    joined = map(np.concatenate, zip(*kinds, strict=True))
    payments = _Payments._make(joined)
    order = np.argsort(payments.seconds, kind="stable")
    reported = None
    if draw_delays is not None:
        # before sorting: the older frauds come first, so that a number as
        # reporting_delay gives them the same reports with and without takeovers
        reported = _report(_other_stream(rng, 1), payments, draw_delays)
        is_silent = _other_stream(rng, 2).random(len(order)) < never_reported
        reported = np.where(is_silent, np.inf, reported)[order]
    return _frame(world, payments.taken(order), label_delay * DAY, scenarios, reported)


def fetch_credit_card_fraud(
    *,
    return_X_y: bool = False,
    as_frame: bool = True,
    data_home: str | PathLike[str] | None = None,
) -> Any:
    """Fetch the public ULB credit-card data set from OpenML (data set 1597).

    The data set holds 284,807 transactions of two days in September 2013, 492 of them
    fraud, published by the machine learning group of the Université libre de
    Bruxelles [1]_. It is downloaded once and kept in ``data_home``.

    Parameters
    ----------
    return_X_y : bool, default=False
        True: return features and labels alone. False: return a Bunch.
    as_frame : bool, default=True
        True: features and labels are pandas objects. False: NumPy arrays.
    data_home : path or None, default=None
        Folder of the downloads; None: the folder of scikit-learn.

    Returns
    -------
    data : Bunch, or (X, y)
        Bunch of ``data`` (float64 of shape (284807, n_features)), ``target`` (int8 of
        shape (284807,), 1 for fraud), ``feature_names`` and ``DESCR``; or the first
        two alone.

    Raises
    ------
    OSError
        If OpenML cannot be reached and the data are not in ``data_home``.

    See Also
    --------
    focal_gbm.datasets.make_transactions :
        Simulated transactions with cards, days and late labels.

    References
    ----------
    .. [1] A. Dal Pozzolo, O. Caelen, R. A. Johnson, G. Bontempi. Calibrating
       probability with undersampling for unbalanced classification. CIDM 2015.

    Examples
    --------
    >>> from focal_gbm.datasets import fetch_credit_card_fraud
    >>> X, y = fetch_credit_card_fraud(return_X_y=True)  # doctest: +SKIP
    >>> len(y), int(y.sum())  # doctest: +SKIP
    (284807, 492)
    """
    # imported here: they take half a second, which the simulator does not need
    from sklearn.datasets import fetch_openml
    from sklearn.utils import Bunch

    data = fetch_openml(data_id=1597, data_home=data_home, as_frame=True, parser="auto")
    X, y = data.data.astype(np.float64), data.target.astype(np.int8)
    if not as_frame:
        X, y = X.to_numpy(), y.to_numpy()
    if return_X_y:
        return X, y
    return Bunch(data=X, target=y, feature_names=data.feature_names, DESCR=data.DESCR)


def _other_stream(rng: Generator, nth: int) -> Generator:
    """Return a generator that depends on the state of ``rng`` and leaves it."""
    # Generator.spawn depends on the seed: it would overlook a state set or jumped to
    seed = copy.deepcopy(rng).integers(2**63, size=4)
    return np.random.default_rng([*seed, nth])


def _check_reports(reporting_delay: Any, never_reported: Any) -> DelaySampler | None:
    """Return the function that draws delays of reports, or None for no reports."""
    share = check_real(never_reported, "never_reported", low=0.0, high=1.0)
    if share == 1.0:
        msg = (
            f"never_reported must be below 1, got {never_reported!r}: without any "
            "report no label would be known"
        )
        raise ValueError(msg)
    if reporting_delay is None:
        if share > 0:
            msg = (
                f"never_reported={never_reported!r} was passed without "
                "reporting_delay, so that the frame has no reports; pass both, for "
                "example reporting_delay=7.0"
            )
            raise ValueError(msg)
        return None
    if callable(reporting_delay):
        sampler: DelaySampler = reporting_delay
        return sampler
    try:
        mean = check_real(
            reporting_delay,
            "reporting_delay",
            low=0.0,
            high=_LONGEST_MEAN_DELAY,
            open_ends=True,
        )
    except (TypeError, ValueError) as error:
        msg = f"{error}; for other delays pass a function of a Generator and a number"
        raise type(error)(msg) from None
    return lambda rng, n: rng.gamma(2.0, mean / 2, n)


def _check_takeovers(
    day: Any, rate: Any, growth: Any, n_days: int, fraud_rate: float
) -> _Takeovers | None:
    """Return when and how often accounts are taken over, or None for never."""
    growth = check_real(growth, "new_fraud_growth", low=0.0)
    if rate is not None:
        rate = check_real(rate, "new_fraud_rate", low=0.0, high=0.5, open_ends=True)
    if day is None:
        if rate is not None or growth > 0:
            name, value = (
                ("new_fraud_growth", growth)
                if rate is None
                else ("new_fraud_rate", rate)
            )
            msg = (
                f"{name}={value!r} was passed without new_fraud_day, so that no new "
                "kind of fraud begins; pass both"
            )
            raise ValueError(msg)
        return None
    day = check_count(day, "new_fraud_day", low=0)
    if day >= n_days:
        msg = (
            f"new_fraud_day must be below n_days={n_days}, got {day}: the frame would "
            "end before the new kind of fraud begins"
        )
        raise ValueError(msg)
    return _Takeovers(day, fraud_rate / 3 if rate is None else rate, growth)


def _make_world(rng: Generator, n_customers: int, n_terminals: int) -> _World:
    """Return random customers and terminals."""
    # here and below: another order of draws changes the frame of a seed
    home = rng.uniform(0, 100, (n_customers, 2))
    place = rng.uniform(0, 100, (n_terminals, 2))
    k = min(N_FAVOURITES, n_terminals)
    # with k=1 the query drops the second axis, hence the reshape
    favourites = cKDTree(place).query(home, k=k)[1].reshape(n_customers, k)
    return _World(
        home,
        place,
        np.exp(rng.normal(np.log(30), 0.6, n_customers)),
        rng.uniform(0.3, 0.8, n_customers),
        rng.gamma(2.0, 1.0, n_customers),
        rng.normal(14, 2.5, n_customers),
        favourites,
    )


def _pay(rng: Generator, world: _World, n_days: int) -> _Payments:
    """Return the genuine payments, made by the customers."""
    n_each = rng.poisson(world.payments_a_day * n_days)
    n_each[0] = max(n_each[0], 1)  # never an empty frame
    customer = np.repeat(np.arange(len(n_each)), n_each)
    n = len(customer)
    hour = rng.normal(world.usual_hour[customer], 3.5) % 24
    seconds = (rng.integers(0, n_days, n) + hour / 24) * DAY
    k = world.favourites.shape[1]
    # nearer terminals are used more often
    nth = np.minimum(rng.geometric(0.25, n) - 1, k - 1)
    terminal = world.favourites[customer, nth]
    is_away = rng.random(n) < 0.05
    terminal = np.where(is_away, rng.integers(0, len(world.place), n), terminal)
    amount = _amounts(rng, world, customer, np.ones(n))
    return _Payments(seconds, customer, terminal, amount, np.zeros(n, np.int64))


def _amounts(
    rng: Generator, world: _World, customer: Integers, factor: Floats
) -> Floats:
    """Return amounts >= 0.01, ``factor`` times those typical of each customer."""
    exponent = rng.normal(0.0, world.spread[customer])
    amount = world.typical_amount[customer] * factor * np.exp(exponent)
    return np.maximum(np.round(amount, 2), 0.01)


def _skim(
    rng: Generator,
    genuine: _Payments,
    n_terminals: int,
    n_days: int,
    n_fraud: float,
) -> _Payments:
    """Turn a share of the payments at skimmed terminals into fraud."""
    a_day = len(genuine.seconds) / (n_terminals * n_days)
    mean_days = min(sum(_SKIMMED_DAYS) / 2, n_days)
    n_events = rng.poisson(n_fraud / (_SKIMMED_SHARE * a_day * mean_days))
    terminals = rng.integers(0, n_terminals, n_events)
    starts = rng.uniform(0, n_days, n_events) * DAY
    ends = starts + rng.uniform(*_SKIMMED_DAYS, n_events) * DAY
    # sorted, so that the payments of a terminal are found by binary search
    order = np.argsort(genuine.terminal, kind="stable")
    sorted_terminals = genuine.terminal[order]
    scenario = genuine.scenario.copy()
    for terminal, start, end in zip(terminals, starts, ends, strict=True):
        first, last = np.searchsorted(sorted_terminals, [terminal, terminal + 1])
        rows = order[first:last]
        seconds = genuine.seconds[rows]
        rows = rows[(seconds >= start) & (seconds < end)]
        scenario[rows[rng.random(len(rows)) < _SKIMMED_SHARE]] = 1
    return genuine._replace(scenario=scenario)


def _steal(rng: Generator, world: _World, n_days: int, n_fraud: float) -> _Payments:
    """Return bursts of large payments with stolen cards, anywhere."""
    customer, start = _events(rng, world, n_days, n_fraud, _STOLEN_PAYMENTS)
    n = len(customer)
    seconds = start + rng.uniform(0, _STOLEN_DAYS * DAY, n)
    terminal = rng.integers(0, len(world.place), n)
    factor = np.exp(rng.normal(np.log(3), 0.6, n))
    amount = _amounts(rng, world, customer, factor)
    return _within(
        _Payments(seconds, customer, terminal, amount, np.full(n, 2)), n_days
    )


def _leak(rng: Generator, world: _World, n_days: int, n_fraud: float) -> _Payments:
    """Return tests and large payments at night with leaked card data."""
    customer, start = _events(rng, world, n_days, n_fraud, _LEAKED_PAYMENTS)
    n = len(customer)
    night = (rng.normal(2, 3, n) % 24) / 24
    day = np.floor((start / DAY) + rng.uniform(0, _LEAKED_DAYS, n))
    terminal = rng.integers(0, len(world.place), n)
    amount = _amounts(rng, world, customer, np.exp(rng.normal(np.log(4), 0.5, n)))
    is_test = rng.random(n) < 0.4
    amount = np.where(is_test, np.round(rng.uniform(0.5, 2.0, n), 2), amount)
    return _within(
        _Payments((day + night) * DAY, customer, terminal, amount, np.full(n, 3)),
        n_days,
    )


def _take_over(
    rng: Generator, world: _World, n_days: int, takeovers: _Takeovers, n_since: int
) -> _Payments:
    """Return quick series of usual payments in the early morning, near home."""
    first_day, rate, growth = takeovers
    days = n_days - first_day
    # days at the full rate with as many events: the integral of min(t / growth, 1)
    full = days - growth / 2 if growth <= days else days * (days / growth) / 2
    n_fraud = n_since * rate / (1 - rate) * (full / days)
    customer, start = _events(rng, world, full, n_fraud, _TAKEOVER_PAYMENTS)
    n = len(customer)
    start /= DAY
    # the inverse of that integral: a day for each event
    start = np.where(
        start < growth / 2, np.sqrt(2 * growth * start), start + growth / 2
    )
    day = np.minimum(np.floor(start), days - 1)
    # the time of the event, which its payments share, gives their hour
    earliest, latest = _TAKEOVER_HOURS
    hour = earliest + (latest - earliest) * (start - day)
    seconds = (first_day + day + hour / 24) * DAY
    seconds += rng.uniform(0, _TAKEOVER_SECONDS, n)
    nth = rng.integers(0, world.favourites.shape[1], n)
    terminal = world.favourites[customer, nth]
    amount = _amounts(rng, world, customer, np.exp(rng.normal(0.0, 0.3, n)))
    return _Payments(seconds, customer, terminal, amount, np.full(n, 4))


def _events(
    rng: Generator, world: _World, n_days: float, n_fraud: float, payments: float
) -> tuple[Integers, Floats]:
    """Return customer and start of the event of each fraudulent payment."""
    n_events = rng.poisson(n_fraud / payments)
    # an event has at least one payment, and ``payments`` on average
    n_each = 1 + rng.poisson(payments - 1, n_events)
    customer = rng.integers(0, len(world.home), n_events)
    start = rng.uniform(0, n_days, n_events) * DAY
    return np.repeat(customer, n_each), np.repeat(start, n_each)


def _within(payments: _Payments, n_days: int) -> _Payments:
    """Return the payments before the end of the last day."""
    return payments.taken(payments.seconds < n_days * DAY)


def _report(rng: Generator, payments: _Payments, draw_delays: DelaySampler) -> Floats:
    """Return the second in which each fraud is reported, infinite for genuine rows."""
    frauds = np.flatnonzero(payments.scenario)
    name = "the result of reporting_delay"
    delays = check_finite_vector(draw_delays(rng, len(frauds)), name)
    if len(delays) != len(frauds):
        msg = f"{name} must have {len(frauds)} delays, one a fraud, got {len(delays)}"
        raise ValueError(msg)
    outside = delays[(delays < 0) | (delays > _LONGEST_DELAY)]
    if len(outside):
        msg = f"{name} must be days in [0, {_LONGEST_DELAY}], got {outside[0]}"
        raise ValueError(msg)
    reported = np.full(len(payments.seconds), np.inf)
    reported[frauds] = np.floor(payments.seconds[frauds] + delays * DAY)
    return reported


def _time(seconds: Floats) -> NDArray[np.datetime64]:
    """Return time stamps, NaT for an infinite number of seconds."""
    time = np.full(len(seconds), np.datetime64("NaT", "s"))
    known = np.isfinite(seconds)
    time[known] = START + seconds[known].astype("timedelta64[s]")
    return time


def _frame(
    world: _World,
    payments: _Payments,
    label_delay: float,
    scenarios: tuple[str, ...],
    reported: Floats | None,
) -> pd.DataFrame:
    """Return the payments with their features; without reports, each label is known
    after the delay."""
    seconds, customer, terminal, amount, scenario = payments
    is_fraud = (scenario > 0).astype(np.float64)
    columns: dict[str, Floats] = {
        "amount": amount,
        "hour": seconds % DAY / 3600,
        "is_weekend": ((seconds // DAY) % 7 >= 5).astype(float),
        "distance": np.linalg.norm(
            world.home[customer] - world.place[terminal], axis=1
        ),
    }
    by_customer = _History(customer, seconds)
    columns["seconds_since_last"] = by_customer.since_last()
    by_terminal = _History(terminal, seconds)
    for days in WINDOWS:
        window = days * DAY
        n, total = by_customer.sums(amount, window)
        columns[f"customer_n_{days}d"] = n
        columns[f"customer_mean_amount_{days}d"] = total / n
        n, frauds = by_terminal.sums(is_fraud, window, label_delay)
        if reported is not None:
            frauds = by_terminal.n_reported(reported, window, label_delay)
        columns[f"terminal_n_{days}d"] = n
        with np.errstate(invalid="ignore"):  # 0 / 0: NaN for an empty window
            columns[f"terminal_risk_{days}d"] = frauds / n
    columns["amount_ratio"] = amount / columns["customer_mean_amount_30d"]
    frame = pd.DataFrame(
        {
            "time": _time(seconds),
            "customer_id": customer,
            "terminal_id": terminal,
            **{k: columns[k].astype(np.float32) for k in TRANSACTION_FEATURES},
            "scenario": pd.Categorical.from_codes(scenario, pd.Index(scenarios)),
            "is_fraud": is_fraud.astype(np.int8),
        }
    )
    if reported is not None:
        frame["reported"] = _time(reported)
    return frame


class _History:
    """Sums over the past of each customer or terminal, by binary search in one sorted
    key of entity and time."""

    def __init__(self, entity: Integers, seconds: Floats) -> None:
        # keys of two entities are further apart than any window reaches
        self._stride = stride = seconds.max() + 1000 * DAY
        self._order = np.lexsort((seconds, entity))
        self._entity, self._seconds = entity, seconds
        self._key = (entity * stride + seconds)[self._order]
        self._second = (entity * stride + np.floor(seconds))[self._order]

    def sums(
        self, values: Floats, window: float, delay: float | None = None
    ) -> tuple[Floats, Floats]:
        """Return count and sum of ``values`` in (t - delay - window, t - delay], but
        not in the second of t or later; with delay None in (t - window, t]."""
        total = np.concatenate(([0.0], np.cumsum(values[self._order])))
        first, end = self._bounds(window, delay)
        n = self._unsorted((end - first).astype(float))
        return n, self._unsorted(total[end] - total[first])

    def n_reported(self, reported: Floats, window: float, delay: float) -> Floats:
        """Return the number of rows in the same window that were reported before the
        second of t; ``reported`` is infinite for rows without a report."""
        first, end = self._bounds(window, delay)
        rows = np.flatnonzero(np.isfinite(reported[self._order]))
        positions = self._order[rows]
        # after the last payment every second is as good, and the key stays the entity's
        latest = np.minimum(reported[positions], self._seconds.max() + DAY)
        key = self._entity[positions] * self._stride + latest
        # From one row to the next, bounds of windows never fall. So the rows whose
        # window has a reported row are neighbours; the last of them know the report.
        known = np.searchsorted(self._second, key, side="right")
        begin = np.maximum(np.searchsorted(end, rows, side="right"), known)
        stop = np.maximum(np.searchsorted(first, rows, side="right"), begin)
        size = len(first) + 1
        change = np.bincount(begin, minlength=size) - np.bincount(stop, minlength=size)
        return self._unsorted(np.cumsum(change)[:-1].astype(float))

    def _bounds(self, window: float, delay: float | None) -> tuple[Integers, Integers]:
        """Return the first row of each window and the row after its last."""
        # all of the past is over by then; more would reach another entity's keys
        late = min(delay or 0.0, self._seconds.max() + DAY)
        first = np.searchsorted(self._key, self._key - late - window, side="right")
        end = np.searchsorted(self._key, self._key - late, side="right")
        if delay is not None:
            end = np.minimum(end, np.searchsorted(self._key, self._second))
        return first, end

    def since_last(self) -> Floats:
        """Return the seconds since the entity's previous payment, NaN for the first."""
        seconds, entity = self._seconds[self._order], self._entity[self._order]
        gap = np.diff(seconds, prepend=np.nan)
        gap[np.flatnonzero(np.diff(entity, prepend=-1))] = np.nan
        return self._unsorted(gap)

    def _unsorted(self, values: Floats) -> Floats:
        """Return values in the order of the rows."""
        out = np.empty_like(values)
        out[self._order] = values
        return out

"""ReportingDelay: the product-limit curve, its tail, its intervals and its checks."""

from __future__ import annotations

import datetime
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries import slow
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from focal_gbm.delays import ReportingDelay

AGES = np.linspace(0.0, 60.0, 121)


class Mixture:
    """Quick reports of an automatic check, and slow ones of customers."""

    quick, late = stats.expon(scale=2), stats.gamma(4, scale=8)

    def rvs(self, size, random_state):
        is_quick = random_state.random(size) < 0.7
        draws = (
            d.rvs(size, random_state=random_state) for d in (self.quick, self.late)
        )
        return np.where(is_quick, *draws)

    def cdf(self, t):
        return 0.7 * self.quick.cdf(t) + 0.3 * self.late.cdf(t)


TRUTHS = {
    "gamma": stats.gamma(2, scale=6),
    "exponential 3": stats.expon(scale=3),
    "exponential 10": stats.expon(scale=10),
    "exponential 30": stats.expon(scale=30),
    "slow gamma": stats.gamma(3, scale=12),
    "lognormal": stats.lognorm(1, scale=8),
    "Weibull": stats.weibull_min(0.6, scale=10),
    "mixture": Mixture(),
}


def reports(truth, n_reports, seed):
    """Return delays and times since the fraud, of frauds of up to 60 days ago whose
    report is known by today."""
    rng = np.random.default_rng(seed)
    span = rng.uniform(0, 60, 8 * n_reports)
    delay = truth.rvs(size=len(span), random_state=rng)
    known = np.flatnonzero(delay <= span)[:n_reports]
    assert len(known) == n_reports
    return delay[known], span[known]


def product_limit(delay, span, weight):
    """Return the distinct delays up to the longest and P(D <= delay | D <= longest),
    by the definition, in loops."""
    distinct = sorted(set(delay))
    rows = list(zip(delay, span, weight, strict=True))
    events = [sum(w for d, _, w in rows if d == u) for u in distinct]
    risk = [sum(w for d, t, w in rows if d <= u <= t) for u in distinct]
    least = 0.02 * sum(weight)
    end = max(i for i in range(len(distinct)) if risk[i] >= least)
    half = 0.5 * sum(weight) / len(weight)
    curve = [1.0]
    for i in range(end, 0, -1):
        left = risk[i] - events[i]
        share = left / risk[i] if left > 1e-9 else half / (events[i] + half)
        curve.append(curve[-1] * share)
    return distinct[: end + 1], curve[::-1]


@pytest.mark.parametrize("name", ["gamma", "exponential 30", *slow("mixture")])
@pytest.mark.parametrize("whole_days", [False, True])
def test_the_curve_is_the_product_limit(name, whole_days):
    delay, span = reports(TRUTHS[name], 400, seed=1)
    if whole_days:
        delay, span = np.floor(delay), np.floor(span)
    weight = np.random.default_rng(0).integers(0, 4, 400).astype(float)
    fitted = ReportingDelay(tail=None).fit(delay, span, weight)
    used = weight > 0
    at, expected = product_limit(delay[used], span[used], weight[used])
    assert fitted.longest_ == at[-1]
    np.testing.assert_allclose(fitted.maturity(at), expected, rtol=1e-9)
    assert fitted.n_reports_ == used.sum()
    np.testing.assert_array_equal(fitted.delays_, np.unique(delay[used]))
    sums = [weight[delay == u].sum() for u in fitted.delays_]
    np.testing.assert_allclose(fitted.weights_, sums)
    # between delays, straight lines
    middle = (np.array(at[1:]) + at[:-1]) / 2
    lines = (np.array(expected[1:]) + expected[:-1]) / 2
    np.testing.assert_allclose(fitted.maturity(middle), lines, rtol=1e-9)


@pytest.mark.parametrize("name", TRUTHS)
def test_recovers_the_truth(name):
    """Without the correction for truncation the curve rises too early."""
    truth = TRUTHS[name]
    worst, without_tail, plain = [], [], []
    for seed in range(4):
        delay, span = reports(truth, 2000, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = ReportingDelay().fit(delay, span).maturity(AGES)
        bare = ReportingDelay(tail=None).fit(delay, span).maturity(AGES)
        within = truth.cdf(AGES) / truth.cdf(60)
        worst.append(np.abs(found - truth.cdf(AGES)).max())
        without_tail.append(np.abs(bare - within).max())
        empirical = (delay[:, None] <= AGES).mean(axis=0)
        plain.append(np.abs(empirical - within).max())
    # the noise of 2,000 reports is 0.02 to 0.03
    assert np.mean(without_tail) < 0.035
    assert max(without_tail) < 0.06
    assert np.mean(without_tail) < 0.8 * np.mean(plain)
    assert np.mean(worst) < 0.06


def test_recovers_a_share_that_is_reported():
    """The acceptance of the estimate: 1,700 reports, each age within 0.05."""
    rng = np.random.default_rng(0)
    delay, age = rng.gamma(2, 6, 2100), rng.uniform(0, 60, 2100)
    known = delay <= age
    fitted = ReportingDelay().fit(delay[known], age[known])
    truth = TRUTHS["gamma"]
    gap = fitted.maturity(age) - truth.cdf(age) / truth.cdf(60)
    assert np.abs(gap).max() < 0.03
    assert fitted.tail_["reached"] > 0.995
    assert fitted.tail_["shape"] == pytest.approx(2, rel=0.15)
    assert fitted.tail_["scale"] == pytest.approx(6, rel=0.15)
    half = ReportingDelay(ever_reported=0.5).fit(delay[known], age[known])
    np.testing.assert_allclose(half.maturity(age), 0.5 * fitted.maturity(age))
    np.testing.assert_allclose(half.curve_, 0.5 * fitted.curve_)


def test_the_tail_goes_on_beyond_the_data():
    truth, far = TRUTHS["exponential 30"], np.array([60.0, 80.0, 120.0, 1e6])
    delay, span = reports(truth, 20_000, seed=0)
    fitted = ReportingDelay().fit(delay, span)
    assert np.abs(fitted.maturity(far) - truth.cdf(far)).max() < 0.03
    np.testing.assert_array_equal(
        ReportingDelay(tail=None).fit(delay, span).maturity(far), 1.0
    )
    # no jump where the tail begins
    ends = fitted.longest_ * np.array([1 - 1e-9, 1.0, 1 + 1e-9])
    assert np.ptp(fitted.maturity(ends)) < 1e-6


def test_a_tail_that_misfits_quick_reports_is_fitted_above_them():
    """One gamma distribution of both would place a sixth of the frauds after day 60."""
    rng = np.random.default_rng(0)
    span = rng.uniform(0, 60, 6000)
    late = 25 * np.exp(0.5 * rng.normal(size=6000))
    delay = np.where(rng.random(6000) < 0.5, rng.exponential(1, 6000), late)
    known = delay <= span
    fitted = ReportingDelay().fit(delay[known], span[known])
    truth = 0.5 + 0.5 * stats.lognorm(0.5, scale=25).cdf(60)
    assert fitted.maturity([60.0])[0] == pytest.approx(truth, abs=0.03)
    assert fitted.tail_["above"] > 0


def test_delays_of_zero_are_no_part_of_the_tail():
    """The density of a gamma distribution at 0 is 0 or infinite."""
    rng = np.random.default_rng(0)
    span = rng.uniform(0, 60, 4000)
    delay = np.where(rng.random(4000) < 0.3, 0.0, rng.gamma(2, 12, 4000))
    known = delay <= span
    fitted = ReportingDelay().fit(delay[known], span[known])
    truth = 0.3 + 0.7 * TRUTHS["gamma"].cdf(AGES / 2)
    assert np.abs(fitted.maturity(AGES) - truth).max() < 0.06
    assert fitted.tail_["shape"] == pytest.approx(2, rel=0.2)


def test_a_warning_if_most_reports_are_still_to_come():
    delay, span = reports(stats.expon(scale=60), 5000, seed=0)
    with pytest.warns(UserWarning, match="the tail places .* beyond") as caught:
        fitted = ReportingDelay().fit(delay, span, groups=["a"] * len(delay))
    assert len(caught) == 1
    text = str(caught[0].message)
    share = f"{1 - fitted.tail_['reached']:.0%}"
    assert f"places {share} of all rows, {share} of group 'a' beyond the" in text
    assert caught[0].filename == __file__


def test_no_tail_where_the_delays_do_not_determine_one():
    """Delays spread evenly over the time observed: any number may be still to come."""
    rng = np.random.default_rng(0)
    span = rng.uniform(0, 60, 200)
    delay = span * rng.random(200)
    match = "delays of all rows do not determine how"
    with pytest.warns(UserWarning, match=match) as caught:
        fitted = ReportingDelay().fit(delay, span)
    assert caught[0].filename == __file__
    assert fitted.tail_ is None
    bare = ReportingDelay(tail=None).fit(delay, span)
    np.testing.assert_array_equal(fitted.maturity(AGES), bare.maturity(AGES))


def test_a_small_risk_set_does_not_end_the_curve():
    """One old fraud with the largest delay is its own risk set: a factor of 0 would
    make every other probability 0."""
    delay, span = reports(TRUTHS["gamma"], 1500, seed=2)
    one = ReportingDelay(tail=None).fit(np.r_[delay, 90.0], np.r_[span, 91.0])
    two = ReportingDelay(tail=None).fit(delay, span)
    np.testing.assert_allclose(one.maturity(AGES), two.maturity(AGES), atol=1e-3)
    # none of the frauds that were observed for 10 days was reported earlier
    old = ReportingDelay(tail=None).fit(
        [10.0] * 50 + [1.0] * 50, [99.0] * 50 + [2.0] * 50
    )
    assert old.maturity([1.0])[0] == pytest.approx(0.5 / 50.5)


@given(
    n=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    whole=st.booleans(),
    zeros=st.booleans(),
    tail=st.sampled_from(["gamma", None]),
    unit=st.sampled_from([1 / 86400, 1.0, 24.0, 1e9]),
)
@pytest.mark.filterwarnings("ignore:the tail places", "ignore:the delays of all")
def test_increasing_and_between_0_and_1(n, seed, whole, zeros, tail, unit):
    rng = np.random.default_rng(seed)
    delay = rng.gamma(rng.uniform(0.2, 3), rng.uniform(1, 40), n)
    span = delay + rng.exponential(rng.choice([0.01, 30.0]), n)
    if whole:
        delay, span = np.floor(delay), np.ceil(span)
    if zeros:
        delay[rng.random(n) < 0.5] = 0
    weight = rng.choice([0.0, 1.0, 3.0], n)
    weight[0] = 2.0
    fitted = ReportingDelay(tail=tail, ever_reported=0.9).fit(delay, span, weight)
    at = np.sort(np.r_[0.0, 1e-12, delay, span, fitted.longest_, 1e4, 1e7])
    found = fitted.maturity(at)
    assert (found > 0).all()
    assert (found <= 0.9).all()
    assert (np.diff(found) >= -1e-12).all()
    low, high = fitted.interval(at)
    assert ((low >= 0) & (high <= 0.9)).all()
    assert (low <= found + 1e-9).all()
    assert (found <= high + 1e-6).all()
    # hours in place of days change nothing, nor do weights of another scale
    other = ReportingDelay(tail=tail, ever_reported=0.9)
    other.fit(unit * delay, unit * span, weight)
    np.testing.assert_allclose(other.maturity(unit * at), found, atol=2e-3)
    heavy = ReportingDelay(tail=None).fit(delay, span, 1e3 * weight)
    light = ReportingDelay(tail=None).fit(delay, span, weight)
    np.testing.assert_allclose(heavy.maturity(at), light.maturity(at), atol=1e-9)


@pytest.mark.parametrize("tail", ["gamma", None])
def test_a_weight_is_that_many_reports(tail):
    delay, span = reports(TRUTHS["exponential 10"], 1200, seed=3)
    weight = np.random.default_rng(0).integers(0, 4, 1200)
    one = ReportingDelay(tail=tail).fit(delay, span, weight)
    other = ReportingDelay(tail=tail).fit(
        np.repeat(delay, weight), np.repeat(span, weight)
    )
    at = np.r_[AGES, 200.0]
    np.testing.assert_allclose(one.maturity(at), other.maturity(at), rtol=1e-4)
    for mine, theirs in zip(one.interval(at), other.interval(at), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert one.n_reports_ == np.count_nonzero(weight)


def test_a_heavy_report_among_more_spans_than_cells():
    """One weight fills cells of spans that no other report is in."""
    delay, span = reports(TRUTHS["slow gamma"], 2500, seed=4)
    weight = np.ones(2500)
    weight[np.argsort(span)[1200]] = 40.0
    one = ReportingDelay().fit(delay, span, weight)
    rows = np.repeat(np.arange(2500), weight.astype(int))
    other = ReportingDelay().fit(delay[rows], span[rows])
    at = np.r_[AGES, 100.0]
    np.testing.assert_allclose(one.maturity(at), other.maturity(at), rtol=1e-3)


def test_an_interval_has_no_width_where_no_delay_is_longer():
    fitted = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
    for end in fitted.interval([2.0, 30.0]):
        np.testing.assert_array_equal(end, 1.0)


@pytest.mark.filterwarnings("ignore:the tail places", "ignore:the delays of all")
@pytest.mark.parametrize("tail", ["gamma", None])
def test_coverage_of_the_intervals(tail):
    truth = TRUTHS["exponential 10" if tail is None else "slow gamma"]
    at = np.array([3.0, 8.0, 15.0, 25.0, 40.0])
    at = at if tail is None else np.r_[at, 80.0]
    expected = truth.cdf(at) / (truth.cdf(60) if tail is None else 1.0)
    inside, wide, n = 0, 0, 60
    for seed in range(n):
        fitted = ReportingDelay(tail=tail).fit(*reports(truth, 600, seed))
        low, high = fitted.interval(at)
        inside += (low <= expected) & (expected <= high)
        narrow = fitted.interval(at, level=0.5)
        wide += (narrow[0] <= expected) & (expected <= narrow[1])
    assert (inside / n >= 0.85).all()
    assert (np.abs(wide / n - 0.5) < 0.22).all()


def test_groups_have_their_own_curves():
    parts = {
        "app": reports(TRUTHS["exponential 3"], 1000, 0),
        "post": reports(TRUTHS["slow gamma"], 1500, 1),
        "fax": reports(TRUTHS["gamma"], 10, 2),
    }
    delay = np.concatenate([d for d, _ in parts.values()])
    span = np.concatenate([s for _, s in parts.values()])
    groups = np.repeat(list(parts), [len(d) for d, _ in parts.values()])
    mixed = np.random.default_rng(0).permutation(len(delay))
    match = "fewer than min_reports=30 .* 'fax'"
    with pytest.warns(UserWarning, match=match) as caught:
        fitted = ReportingDelay().fit(delay[mixed], span[mixed], groups=groups[mixed])
    assert caught[0].filename == __file__
    assert list(fitted.groups_["app"].get_params().items()) == list(
        fitted.get_params().items()
    )
    at = np.tile([2.0, 10.0, 30.0], 3)
    names = np.repeat(["post", "fax", "app"], 3)
    found = fitted.maturity(at, pd.Series(names, dtype="category"))
    low, high = fitted.interval(at, list(names))
    pooled = ReportingDelay().fit(delay, span)
    for name in ("post", "fax", "app"):
        rows = names == name
        alone = pooled if name == "fax" else ReportingDelay().fit(*parts[name])
        np.testing.assert_allclose(found[rows], alone.maturity(at[rows]), rtol=1e-5)
        np.testing.assert_allclose(low[rows], alone.interval(at[rows])[0], rtol=1e-4)
        np.testing.assert_allclose(high[rows], alone.interval(at[rows])[1], rtol=1e-4)
    assert fitted.groups_["fax"] is None
    np.testing.assert_allclose(fitted.maturity(at), pooled.maturity(at), rtol=1e-6)
    with pytest.warns(UserWarning, match="that fit did not see .* 'web'"):
        new = fitted.maturity([5.0], ["web"])
    np.testing.assert_allclose(new, pooled.maturity([5.0]), rtol=1e-6)


@pytest.mark.parametrize("labels", [[("a", 1), ("b", 2)], [1, "x"], [True, False]])
def test_any_hashable_label(labels):
    delay, span = reports(TRUTHS["gamma"], 100, seed=0)
    groups = [labels[i % 2] for i in range(100)]
    fitted = ReportingDelay().fit(delay, span, groups=groups)
    alone = ReportingDelay().fit(delay[1::2], span[1::2])
    np.testing.assert_allclose(
        fitted.maturity([3.0], [labels[1]]), alone.maturity([3.0]), rtol=1e-6
    )


@pytest.mark.parametrize(
    "convert",
    [list, tuple, pd.Series, pl.Series, lambda a: pd.Series(a, dtype="Float64")],
)
def test_containers(convert):
    delay, span = reports(TRUTHS["gamma"], 200, seed=0)
    fitted = ReportingDelay().fit(convert(delay), convert(span), convert(np.ones(200)))
    plain = ReportingDelay().fit(delay, span)
    found = fitted.maturity(convert(AGES))
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain.maturity(AGES))
    assert fitted.maturity([]).shape == (0,)
    assert fitted.maturity(np.arange(3, dtype=np.int8)).shape == (3,)


def test_extremes():
    """One report, delays of 0 alone, and delays as long as observed."""
    one = ReportingDelay().fit([3.0], [5.0])
    assert one.tail_ is None
    np.testing.assert_allclose(one.maturity([0.0, 1.5, 3.0, 9.0]), [1e-6, 0.5, 1, 1])
    zero = ReportingDelay().fit([0, 0], [0, 5])
    np.testing.assert_array_equal(zero.maturity([0.0, 1.0]), 1.0)
    lone = ReportingDelay(tail=None).fit(np.arange(1.0, 101), np.arange(1.0, 101))
    assert (lone.maturity(np.arange(1.0, 101)) > 0).all()


def test_is_an_estimator():
    delay, span = reports(TRUTHS["gamma"], 300, seed=0)
    fitted = ReportingDelay(min_reports=5, ever_reported=0.8).fit(delay, span)
    assert repr(fitted) == "ReportingDelay(ever_reported=0.8, min_reports=5)"
    twin = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(twin.maturity(AGES), fitted.maturity(AGES))
    again = clone(fitted)
    assert not hasattr(again, "curve_")
    assert again.get_params() == {
        "tail": "gamma",
        "ever_reported": 0.8,
        "min_reports": 5,
    }
    # parameters are read by fit alone
    fitted.set_params(ever_reported=0.1, tail="nonsense")
    np.testing.assert_array_equal(twin.maturity(AGES), fitted.maturity(AGES))
    for call in (again.maturity, again.interval):
        with pytest.raises(NotFittedError):
            call([1.0])
    with pytest.raises(TypeError, match=r"no parameter 'tails'; did you mean tail\?"):
        ReportingDelay(tails=None)


DAYS = pd.Series(pd.to_timedelta([1, 2], unit="D"))


@pytest.mark.parametrize(
    ("parameters", "arguments", "error", "message"),
    [
        ({}, ([1, 2], [3]), ValueError, "observed_for must have 2 values, .* got 1"),
        ({}, ([], []), ValueError, "delay must hold at least one report, got none"),
        ({}, ([1, np.nan], [3, 3]), ValueError, "delay must be finite, .* in row 1"),
        ({}, ([1, 1], [3, np.inf]), ValueError, "observed_for must be finite, got inf"),
        ({}, ([1, None], [3, 3]), ValueError, "delay must hold numbers, got None in"),
        ({}, ([1, "2"], [3, 3]), ValueError, "delay must hold numbers, got '2' in"),
        ({}, ([[1]], [[2]]), ValueError, "delay must be one-dimensional"),
        ({}, ([1, -1], [3, 3]), ValueError, "delay must be >= 0, got -1.0 in row 1"),
        (
            {},
            ([1, 4], [3, 3]),
            ValueError,
            r"delay must be at most observed_for, got delay 4.0 and .* in row 1",
        ),
        ({}, ([1], [3], [0.0]), ValueError, "sample_weight must hold a positive"),
        ({}, ([1], [3], [-1]), ValueError, "sample_weight must be .* >= 0, got -1"),
        ({}, ([1], [3], [1, 1]), ValueError, "sample_weight must have 1 values"),
        (
            {},
            (DAYS, [3, 3]),
            TypeError,
            r"delay must .* \.dt\.total_seconds\(\) / 86400",
        ),
        ({}, ([1, 2], DAYS.to_numpy()), TypeError, "observed_for must .* differences"),
        ({}, ([datetime.timedelta(1)], [3]), TypeError, "got time differences"),
        ({}, ([1], [3], None, ["a", "b"]), ValueError, "groups must have 1 values"),
        ({}, ([1], [3], None, [None]), ValueError, "groups must not be missing"),
        ({}, ([1], [3], None, [["a"]]), TypeError, "groups must hold labels"),
        ({}, ([1], [3], None, np.ones((1, 1))), ValueError, "groups must be one-dim"),
        ({"tail": "weibull"}, ([1], [3]), ValueError, "tail must be one of 'gamma'"),
        ({"ever_reported": 0}, ([1], [3]), ValueError, "ever_reported must be > 0"),
        (
            {"ever_reported": 1.5},
            ([1], [3]),
            ValueError,
            "ever_reported must be .* 1.5",
        ),
        ({"ever_reported": "1"}, ([1], [3]), TypeError, "ever_reported must be .* '1'"),
        ({"min_reports": 0}, ([1], [3]), ValueError, "min_reports must be .* got 0"),
    ],
)
def test_bad_input(parameters, arguments, error, message):
    """A fit that fails leaves the estimator as it was."""
    fitted = ReportingDelay().fit([1, 2, 3], [4, 5, 6]).set_params(**parameters)
    before = dict(vars(fitted))
    with pytest.raises(error, match=message):
        fitted.fit(*arguments)
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())


@pytest.mark.parametrize(
    ("age", "error", "message"),
    [
        ([1, np.nan], ValueError, "age must be finite, got nan in row 1"),
        ([1, -2], ValueError, "age must be >= 0, got -2.0 in row 1"),
        ([[3.0]], ValueError, "age must be one-dimensional"),
        (DAYS, TypeError, "age must hold numbers in one unit"),
    ],
)
def test_bad_ages(age, error, message):
    fitted = ReportingDelay().fit([1, 2, 3], [4, 5, 6])
    for call in (fitted.maturity, fitted.interval):
        with pytest.raises(error, match=message):
            call(age)
    with pytest.raises(ValueError, match="groups were passed, but fit had none"):
        fitted.maturity([1.0], ["a"])
    with pytest.raises(ValueError, match=r"level must be .* got 95"):
        fitted.interval([1.0], level=95)


@pytest.mark.parametrize("scale", [1e-90, 1 / 300, 7.0, 1e90])
def test_only_ratios_of_weights_matter(scale):
    rng = np.random.default_rng(3)
    span = rng.uniform(0, 30, 3000)
    delay = rng.gamma(2, 5, 3000)
    known = delay <= span
    delay, span = delay[known], span[known]
    ages = [1.0, 5.0, 15.0, 30.0, 60.0]
    plain = ReportingDelay().fit(delay, span)
    scaled = ReportingDelay().fit(delay, span, np.full(len(delay), scale))
    np.testing.assert_allclose(scaled.maturity(ages), plain.maturity(ages), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e300])
def test_weights_whose_squares_are_no_numbers_are_refused(scale):
    with pytest.raises(ValueError, match="divide all weights by one number"):
        ReportingDelay().fit([1.0, 2.0], [3.0, 4.0], [scale, scale])


def test_spans_that_say_nothing_of_the_delays_warn():
    """The same column twice: no report could have been later than it was."""
    delay = np.random.default_rng(0).gamma(2, 5, 400)
    with pytest.warns(UserWarning, match="do not determine how many"):
        ReportingDelay().fit(delay, delay)

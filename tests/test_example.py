"""The main job on a file of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from libraries import slow
from scripts import EXAMPLES, load_example

from focal_gbm.datasets import make_transactions
from focal_gbm.metrics import recall_at_alert_rate, recall_at_fpr

EXAMPLE = EXAMPLES / "detect_fraud.py"
# these write all rows into a file
SLOW = partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def cards():
    data = make_transactions(n_customers=300, n_terminals=400, n_days=60)
    return data.drop(columns=["customer_id", "terminal_id", "scenario"])


@pytest.fixture(scope="module")
def example():
    """The example as a module."""
    return load_example("detect_fraud")


@pytest.fixture
def read(example, monkeypatch, tmp_path):
    """Read a frame, or a file, as the command line would."""

    def read(data, *options, kind="csv"):
        path = tmp_path / f"cards.{kind}"
        if isinstance(data, bytes):
            path.write_bytes(data)
        elif data is not None and kind == "csv":
            data.to_csv(path, index=False)
        elif data is not None:
            data.to_parquet(path)
        monkeypatch.setattr(sys, "argv", ["detect_fraud.py", str(path), *options])
        arguments = example.parse_arguments()
        X, y, times = example.read(arguments)
        days = arguments.label_delay, arguments.test_days
        return X, y, times, example.split(times, y, *days)

    return read


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.slow
def test_reads_a_file(kind, tmp_path):
    data = make_transactions(n_customers=300, n_terminals=400, n_days=60)
    data = data.rename(columns={"time": "when", "is_fraud": "label"})
    data["hour"] = data["hour"].where(data["hour"] > 3)  # missing values
    data["is_abroad"] = data["distance"].map(lambda d: None if d < 1 else d > 50)
    path, picture = tmp_path / f"cards.{kind}", tmp_path / "picture.png"
    data.to_csv(path, index=False) if kind == "csv" else data.to_parquet(path)
    command = [sys.executable, EXAMPLE, path, "--time", "when", "--label", "label"]
    command += ["--drop", "customer_id", "terminal_id", "scenario"]
    command += ["--picture", picture, "--budget", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ("FocalLGBMClassifier", "recall at 0.1 % FPR", "predicted / observed"):
        assert word in done.stdout
    assert picture.stat().st_size > 10_000
    assert "95 % interval" in done.stdout
    line = next(x for x in done.stdout.splitlines() if x.startswith("FocalLGBM"))
    recall, low, high = map(float, re.findall(r"0\.\d+", line)[:3])
    assert low <= recall <= high
    assert re.search(r"finds \d+ % \[\d+, \d+\] of the frauds in 5 alerts", done.stdout)
    assert "\nNext: " in done.stdout
    assert done.stderr == ""


def test_interval_of_the_rows_that_matter(example):
    """Negatives that no budget reaches are counted and not drawn one by one."""
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(10), 2000)
    y = (rng.random(20_000) < 0.01).astype(np.int8)
    p = rng.random(20_000) + y * rng.random(20_000)
    rows = example.without_low_negatives(y, p, day, 0.05)
    assert len(rows["y_true"]) < 1500
    assert rows["sample_weight"].sum() == len(y)
    for measure, kwargs in (
        (recall_at_fpr, {"fpr": 1e-3}),
        (recall_at_alert_rate, {"rate": 0.01}),
    ):
        few = {name: rows[name] for name in ("y_true", "y_score", "sample_weight")}
        assert measure(**few, **kwargs) == measure(y, p, **kwargs)
        low, high = example.interval(measure, rows, **kwargs)
        assert low < measure(y, p, **kwargs) < high
        rows_of_two_days = {name: values[day[:2] * 0] for name, values in rows.items()}
        assert example.interval(measure, rows_of_two_days, **kwargs) is None


@pytest.mark.slow
def test_columns_that_are_no_numbers(read, cards, capsys):
    n = len(cards)
    third = np.arange(n) % 3
    data = cards.assign(
        flag=np.array([True, False, None], object)[third],
        shop=np.array(["a", "b", None], object)[third],
        card=[f"card {i}" for i in range(n)],
        booked=cards["time"],
        empty=np.nan,
    ).rename(columns={"amount": "amount[EUR]", "hour": "{hour}"})
    data.loc[5, "distance"] = np.inf
    for kind in ("csv", "parquet"):
        X, _, _, _ = read(data, kind=kind)
        flag = X["flag"].to_numpy()
        np.testing.assert_array_equal(flag[:3], [1, 0, np.nan])
        assert X["shop"].cat.categories.tolist() == ["a", "b"]
        assert X["shop"].isna().tolist() == (third == 2).tolist()
        assert np.isnan(X["distance"].iloc[5])
        assert {"amount_EUR_", "_hour_"} <= set(X)
        assert not {"card", "booked", "empty", "time", "is_fraud"} & set(X)
        said = capsys.readouterr().out
        assert f"'card' (text of {n:,} different values" in said
        assert "'booked' (" in said
        assert "'empty' (blanks only)" in said


@pytest.mark.slow
def test_labels_in_words(read, cards, capsys):
    words = np.where(cards["is_fraud"] == 1, "fraud", "legit")
    data = cards.assign(is_fraud=words)
    with pytest.raises(SystemExit, match=r"'legit' .* 'fraud' .* --positive 'fraud'"):
        read(data)
    with pytest.raises(
        SystemExit, match=r"--positive Fraud: .* no such label.*'fraud'"
    ):
        read(data, "--positive", "Fraud")
    _, y, _, _ = read(data, "--positive", "fraud")
    np.testing.assert_array_equal(y, cards["is_fraud"])
    assert (
        "'fraud' is fraud; the other labels are not: legit" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "kind", [*slow("bool", "boolean", "float64", "Int64", "str"), "words"]
)
def test_labels_of_any_kind_with_blanks(kind, read, cards, capsys):
    truth = cards["is_fraud"]
    labels = truth.map({0: "no", 1: "yes"}) if kind == "words" else truth.astype(kind)
    labels = labels.astype(object)
    labels.iloc[-300:] = None
    labels.iloc[7] = "" if kind in ("str", "words") else None
    options = ["--positive", "yes"] if kind == "words" else []
    for suffix in ("csv", "parquet"):
        _, y, times, _ = read(cards.assign(is_fraud=labels), *options, kind=suffix)
        known = np.ones(len(cards), bool)
        known[-300:] = known[7] = False
        np.testing.assert_array_equal(y, truth[known])
        assert times.tolist() == cards["time"][known].tolist()
        said = capsys.readouterr().out
        assert "301 rows without a label are left out; 300 of them are newer" in said


@pytest.mark.parametrize(
    ("unit", "size"), [SLOW("s", 1), ("ms", 10**3), SLOW("ns", 10**9)]
)
def test_times_in_numbers(unit, size, read, cards, capsys):
    seconds = cards["time"].astype("datetime64[s]").astype("int64")
    _, _, times, _ = read(cards.assign(time=seconds * size))
    assert times.tolist() == cards["time"].tolist()
    assert f"Numbers in 'time' are read as {unit}." in capsys.readouterr().out


@pytest.mark.slow
def test_times_as_days_and_blanks(read, cards, capsys):
    days = cards["time"].dt.strftime("%Y%m%d").astype(float)
    days.iloc[::100] = np.nan
    X, _, times, _ = read(cards.assign(time=days))
    known = days.notna()
    assert len(X) == known.sum()
    assert times.tolist() == cards["time"][known].dt.normalize().tolist()
    said = capsys.readouterr().out
    assert f"{(~known).sum():,} rows without a time are left out" in said


def test_rows_in_any_order(read, cards):
    shuffled = cards.sample(frac=1, random_state=0)
    X, y, times, _ = read(shuffled)
    assert times.is_monotonic_increasing
    assert y.sum() == cards["is_fraud"].sum()
    np.testing.assert_allclose(X["amount"].sum(), cards["amount"].sum())


HEADER = b"time,is_fraud,amount\n"


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda data: data,
            ["--time", "tme"],
            "--time tme: .* no such .* is it 'time'",
        ),
        SLOW(
            lambda data: data,
            ["--label", "fraud"],
            "--label fraud: .* is it 'is_fraud'",
        ),
        SLOW(lambda data: data, ["--drop", "amout"], "--drop amout: .* is it 'amount'"),
        SLOW(
            lambda data: data,
            ["--label", "time"],
            "--time and --label both name 'time'",
        ),
        (lambda data: None, [], "cards.csv does not exist"),
        (lambda data: b"", [], "cannot be read as CSV: No columns"),
        (lambda data: HEADER, [], "holds no rows"),
        (lambda data: bytes(range(256)) * 9, [], "cannot be read as CSV"),
        (lambda data: b"time,amount,amount\n1,2,3\n", [], "more than one .* amount"),
        (lambda data: b"time;is_fraud\n1;0\n", [], "separated by commas"),
        SLOW(
            lambda data: data.assign(time="noon"),
            [],
            "cannot be read as times.* 'noon'",
        ),
        SLOW(lambda data: data.assign(time=None), [], "'time' is blank in every row"),
        SLOW(lambda data: data.assign(is_fraud=None), [], "'is_fraud' holds no label"),
        SLOW(
            lambda data: data.assign(is_fraud=0), [], "training rows are all labelled 0"
        ),
        SLOW(
            lambda data: data.assign(is_fraud=1), [], "training rows are all labelled 1"
        ),
        SLOW(
            lambda data: data.assign(
                is_fraud=data["is_fraud"].where(data.index < 9e3, 0)
            ),
            [],
            "test rows are all labelled 0",
        ),
        (lambda data: data[:200], [], "rows span .* days; 14 test days and 7 days"),
        (
            lambda data: data[["time", "is_fraud"]],
            [],
            "No column is left to learn from",
        ),
    ],
)
def test_errors_are_sentences(make, options, message, read, cards):
    with pytest.raises(SystemExit, match=message):
        read(make(cards), *options)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("xlsx", "ends in '.xlsx'; .* reads only .csv and .parquet"),
        ("parquet", "as parquet"),
    ],
)
def test_files_of_another_kind(kind, message, read):
    with pytest.raises(SystemExit, match=message):
        read(b"not what it says", kind=kind)


@pytest.mark.parametrize(
    "options",
    [
        ["--test-days", "0"],
        ["--label-delay", "-1"],
        ["--label-delay", "1e9"],
        ["--budget", "nan"],
        ["--picture", "picture.doc"],
        ["--picture", "no_such_folder/picture.png"],
    ],
)
def test_options_are_checked_first(options, read, capsys):
    with pytest.raises(SystemExit):
        read(None, *options)
    assert re.search(f"error: .*{options[0]}", capsys.readouterr().err)

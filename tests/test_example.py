"""The main job on a file of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
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
    assert re.search(
        r"finds \d+% of the frauds, with a 95 % interval over days of \[0.\d+, "
        r"[01].\d+\], in 5 alerts a day: those from a probability of 0\.\d+ on",
        done.stdout,
    )
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
        (lambda data: b"time is_fraud\n1 0\n", [], "separated by a comma, semicolon"),
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


def test_an_export_of_a_european_bank(read, cards, capsys):
    """Semicolons, decimal commas, another encoding, and dates that begin with a day."""
    data = cards.assign(
        time=cards["time"].dt.strftime("%d.%m.%Y %H:%M"),
        amount=cards["amount"].map(lambda x: f"{x:,.2f}".translate({44: 46, 46: 44})),
        label=cards["is_fraud"].map({0: "in Ordnung", 1: "gefälscht"}),
        closed=cards["time"].dt.strftime("%d.%m.%Y"),
    ).drop(columns="is_fraud")
    assert data["amount"].str.contains(r"\d\.\d{3},").any()
    text = data.to_csv(index=False, sep=";").encode("cp1252")
    X, y, times, _ = read(text, "--label", "label", "--positive", "gefälscht")
    np.testing.assert_allclose(X["amount"], cards["amount"].round(2))
    np.testing.assert_array_equal(y, cards["is_fraud"])
    assert (times.to_numpy() == cards["time"].dt.floor("min").to_numpy()).all()
    out = capsys.readouterr().out
    for message in (
        "read as Windows-1252",
        "separated by ';'",
        "decimal commas: amount",
        "Times from 01 January 2024 to 29 February 2024, 60 days",
        "'closed' (dates",
        "of 7 days before the test rows are left out",
    ):
        assert message in out


@pytest.mark.parametrize("day_first", [True, False])
def test_dates_that_show_neither_day_nor_month(day_first, read, cards):
    """In the first twelve days of a month both readings are dates."""
    some = cards[cards["time"].dt.day <= 12]
    written = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    data = some.assign(time=some["time"].dt.strftime(written))
    with pytest.raises(SystemExit, match=r"pass --dayfirst or --no-dayfirst"):
        read(data)
    _, _, times, _ = read(data, "--dayfirst" if day_first else "--no-dayfirst")
    assert (times.to_numpy() == some["time"].dt.floor("D").to_numpy()).all()
    # days after the twelfth show it, whatever the option
    whole = cards.assign(time=cards["time"].dt.strftime(written))
    _, _, times, _ = read(whole, "--no-dayfirst" if day_first else "--dayfirst")
    assert (times.to_numpy() == cards["time"].dt.floor("D").to_numpy()).all()


def test_columns_that_follow_a_fraud_are_suspects(example, read, cards):
    is_fraud = cards["is_fraud"] == 1
    X, y, _, (is_train, is_test) = read(
        cards.assign(
            loss=cards["amount"].where(is_fraud),
            stage=np.where(is_fraud, "closed", "new"),
            repaid=np.where(is_fraud, -1.0, 0.0),
            unreviewed=pd.Series(1.0, cards.index).mask(is_fraud),
        )
    )
    found = example.suspects(X[is_train], y[is_train], X[is_test], y[is_test])
    names = ("loss", "stage", "repaid", "unreviewed")
    assert found == [f"'{name}' (1.00)" for name in names]


def test_options_of_a_file_need_a_file(example, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["detect_fraud.py", "--drop", "card", "cards.csv"])
    with pytest.raises(SystemExit):
        example.parse_arguments()
    assert "--drop without a FILE; put FILE first" in capsys.readouterr().err

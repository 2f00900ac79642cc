"""The examples that train on a folder of files and score one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost as xgb
from libraries import LIGHTGBM, XGBOOST, XGBOOST_VERSION, slow
from scipy.special import expit
from scripts import EXAMPLES, load_example

BOTH = pytest.mark.parametrize(
    "library",
    [
        LIGHTGBM,
        pytest.param(
            XGBOOST,
            marks=pytest.mark.skipif(
                XGBOOST_VERSION < (3, 0), reason="no ExtMemQuantileDMatrix"
            ),
        ),
    ],
    ids=str,
)


@pytest.fixture(scope="module")
def train_on_folder():
    return load_example("train_on_folder")


@pytest.fixture(scope="module")
def score_folder():
    return load_example("score_folder")


@pytest.fixture
def run(monkeypatch):
    """Run an example as the command line would, in this process."""

    def run(module, *arguments):
        name = Path(module.__file__).name
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        module.main()

    return run


def make_frame(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 3)).astype(np.float32)
    y = rng.random(n_rows) < expit(2 * X[:, 0] - 3)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.loc[rng.random(n_rows) < 0.1, "b"] = np.nan
    late = rng.uniform(0.4, 1, n_rows).astype(np.float32)
    return frame.assign(
        whole=rng.integers(0, 9, n_rows),
        is_fraud=y.astype(np.int8),
        weight=rng.integers(1, 4, n_rows).astype(np.float32),
        maturity=late,
        id=[f"row {i}" for i in range(n_rows)],
    )


def write(frame, folder, ends=(0, 700, 701, 3000), group=190):
    """Write a frame as files of several sizes and small row groups."""
    folder.mkdir()
    for i, (begin, end) in enumerate(pairwise(ends)):
        table = pa.Table.from_pandas(frame[begin:end], preserve_index=False)
        pq.write_table(table, folder / f"part{i}.parquet", row_group_size=group)


@pytest.fixture
def rows(tmp_path):
    frame = make_frame(3000)
    write(frame, tmp_path / "rows")
    return frame


def suffix(library):
    return "txt" if library is LIGHTGBM else "ubj"


FEATURES = ["a", "b", "c", "whole"]


@BOTH
@pytest.mark.parametrize("is_late", [False, *slow(True)])
def test_the_same_model_as_in_memory(
    library, is_late, rows, tmp_path, train_on_folder, run
):
    """Rows in another order, twice or left out would change the trees."""
    model = tmp_path / f"model.{suffix(library)}"
    extra = ["--weight", "weight", "--maturity", "maturity"] if is_late else []
    left_out = ["id"] if is_late else ["id", "weight", "maturity"]
    run(
        train_on_folder,
        *(tmp_path / "rows", "--library", library.name, "--model", model),
        *("--trees", 15, "--threads", 1, "--batch", 300, "--drop", *left_out, *extra),
    )
    X = rows[FEATURES].to_numpy(np.float32)
    estimator = library.model(n_estimators=15, **{"max_bin": 255})
    columns = {"sample_weight": rows["weight"], "label_maturity": rows["maturity"]}
    estimator.fit(X, rows["is_fraud"], **(columns if is_late else {}))
    if library is LIGHTGBM:
        booster = lgb.Booster(model_file=model)
        raw, p = booster.predict(X, raw_score=True), booster.predict(X)
        names = booster.feature_name()
        expected = estimator.booster_.predict(X, raw_score=True)
        np.testing.assert_allclose(raw, expected, atol=1e-9)
    else:
        booster = xgb.Booster(model_file=model)
        matrix = xgb.DMatrix(X, feature_names=booster.feature_names)
        raw, p = booster.predict(matrix, output_margin=True), booster.predict(matrix)
        names = booster.feature_names
        # bins are those of pages, not of all rows at once
        expected = estimator.get_booster().predict(xgb.DMatrix(X), output_margin=True)
        assert np.corrcoef(raw, expected)[0, 1] > 0.99
    assert names == FEATURES
    np.testing.assert_allclose(p, expit(raw), atol=1e-6)
    known = p * rows["maturity"] if is_late else p
    weight = rows["weight"] if is_late else None
    assert np.average(known, weights=weight) == pytest.approx(
        np.average(rows["is_fraud"], weights=weight), rel=1e-6
    )


def on_rows(tmp_path, library, *options):
    """Return the command line of a training on the rows."""
    return [
        *(tmp_path / "rows", "--library", library.name, "--threads", "1"),
        *("--batch", "300", "--drop", "id", "--weight", "weight"),
        *("--maturity", "maturity", *map(str, options)),
    ]


def raw_scores(library, path, rows):
    X = rows[FEATURES].to_numpy(np.float32)
    if library is LIGHTGBM:
        return lgb.Booster(model_file=path).predict(X, raw_score=True)
    booster = xgb.Booster(model_file=path)
    matrix = xgb.DMatrix(X, feature_names=booster.feature_names)
    return booster.predict(matrix, output_margin=True)


# Runs the example, and kills it at its second checkpoint, between writing and naming.
KILLED_IN_WRITING = """
import os, runpy, signal, sys
replace, begun = os.replace, []
def replace_or_die(source, target):
    begun.append(target)
    if len(begun) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("is_writing", [False, True], ids=["training", "writing"])
def test_a_killed_training_goes_on(
    library, is_writing, rows, tmp_path, train_on_folder, run, capsys
):
    """The start counted twice, or boosting that begins anew, would change all trees."""
    folder, model = tmp_path / "unfinished", tmp_path / f"model.{suffix(library)}"
    begin = [sys.executable, *(("-c", KILLED_IN_WRITING) if is_writing else ())]
    command = on_rows(tmp_path, library, "--model", model, "--checkpoint", folder)
    every = ("--every", "7")
    process = subprocess.Popen(
        # more trees than it can train before it is killed
        [*begin, EXAMPLES / "train_on_folder.py", *command, *every, "--trees", "99999"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    path = folder / "train_on_folder.checkpoint"
    begun = time.monotonic()
    try:
        while process.poll() is None and (is_writing or not path.exists()):
            assert time.monotonic() < begun + 120
            time.sleep(0.002)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not model.exists()
    n_before = json.loads(path.read_bytes())["trees"]
    unfinished = folder / "train_on_folder.checkpoint.unfinished"
    if is_writing:
        assert n_before == 7
        assert json.loads(unfinished.read_bytes())["trees"] == 14
    n_trees = n_before + 10
    with pytest.raises(SystemExit, match=f"has {n_before} trees, more than --trees 3"):
        run(train_on_folder, *command, "--trees", 3)
    capsys.readouterr()
    run(train_on_folder, *command, "--trees", n_trees)
    printed = capsys.readouterr().out
    assert f"{n_before} of {n_trees} trees are there" in printed
    assert not list(folder.iterdir())
    whole = tmp_path / f"whole.{suffix(library)}"
    run(
        train_on_folder,
        *on_rows(tmp_path, library, "--model", whole, "--trees", n_trees),
    )
    np.testing.assert_allclose(
        raw_scores(library, model, rows),
        raw_scores(library, whole, rows),
        rtol=0,
        atol=1e-9 if library is LIGHTGBM else 1e-5,
    )


@pytest.fixture
def interrupted(rows, tmp_path, train_on_folder, run, monkeypatch):
    """A training of 12 trees that ended at the eighth, and its checkpoint of six."""

    class Bar:
        def __init__(self, paths=(), desc=None, **_):
            self.paths, self.n_left = paths, 8 if desc == "train" else np.inf

        def __iter__(self):
            return iter(self.paths)

        def update(self, step):
            self.n_left -= step
            if self.n_left <= 0:
                raise KeyboardInterrupt

    options = ("--checkpoint", tmp_path / "unfinished", "--trees", 12)
    command = on_rows(tmp_path, LIGHTGBM, "--model", tmp_path / "model.txt", *options)
    with monkeypatch.context() as patch:
        patch.setattr(train_on_folder, "tqdm", Bar)
        with pytest.raises(KeyboardInterrupt):
            run(train_on_folder, *command, "--every", 3)
    assert not (tmp_path / "model.txt").exists()
    return command, tmp_path / "unfinished" / "train_on_folder.checkpoint"


def test_an_interrupted_training_goes_on(
    interrupted, rows, tmp_path, train_on_folder, run, monkeypatch, capsys
):
    command, path = interrupted
    assert json.loads(path.read_bytes())["trees"] == 6
    # the last checkpoint has all trees, if the completion is what fails
    with monkeypatch.context() as patch:
        patch.setattr(lgb.Booster, "predict", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(train_on_folder, *command)
    assert "6 of 12 trees are there" in capsys.readouterr().out
    run(train_on_folder, *command)
    printed = capsys.readouterr().out
    assert "12 of 12 trees are there" in printed
    assert "Reading and binning" not in printed
    whole = tmp_path / "whole.txt"
    run(train_on_folder, *command[:-4], "--trees", 12, "--model", whole)
    np.testing.assert_allclose(
        raw_scores(LIGHTGBM, tmp_path / "model.txt", rows),
        raw_scores(LIGHTGBM, whole, rows),
        rtol=0,
        atol=1e-9,
    )


def test_checkpoints_of_another_training(
    interrupted, rows, tmp_path, train_on_folder, run
):
    command, path = interrupted
    before = path.read_bytes()
    for options, message in (
        (["--gamma", 1.5], r"What differs: gamma \(there 2.0, here 1.5\)\. Run"),
        (["--learning-rate", 0.2], r"learning_rate \(there 0.1, here 0.2\)"),
        (["--drop", "id", "c"], r"column c \(there 2, here None\), column whole"),
        (["--trees", 5], "has 6 trees, more than --trees 5"),
    ):
        with pytest.raises(SystemExit, match=message):
            run(train_on_folder, *command, *options)
    model = tmp_path / "model.ubj"
    xgboost = [*on_rows(tmp_path, XGBOOST, *command[-6:]), "--model", model]
    if XGBOOST_VERSION >= (3, 0):
        with pytest.raises(SystemExit, match=r"library .there 'lightgbm', here 'x"):
            run(train_on_folder, *xgboost)
    # a row's feature, which no label and no number of rows shows
    changed = rows[700:701].assign(a=9.0)
    write(changed, tmp_path / "changed", ends=(0, 1))
    (tmp_path / "changed/part0.parquet").replace(tmp_path / "rows/part1.parquet")
    with pytest.raises(SystemExit, match=r"What differs: SHA-256 of part1\.parquet"):
        run(train_on_folder, *command)
    assert path.read_bytes() == before
    for content in (b"half", b"[]", b"{}"):
        path.write_bytes(content)
        with pytest.raises(SystemExit, match="was not written by this command"):
            run(train_on_folder, *command)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--every", 5], "--every needs --checkpoint"),
        (["--every", 0, "--checkpoint", "."], "--every must be at least 1, got 0"),
        (["--checkpoint", __file__], "is a file, not a folder"),
    ],
)
def test_checkpoints_that_cannot_be_written(
    options, message, rows, tmp_path, train_on_folder, run, capsys
):
    with pytest.raises(SystemExit):
        run(train_on_folder, *on_rows(tmp_path, LIGHTGBM, *options))
    assert message in capsys.readouterr().err


@pytest.fixture
def model(rows, tmp_path):
    """A model of LightGBM that predicts probabilities."""
    data = lgb.Dataset(rows[FEATURES], rows["is_fraud"])
    booster = lgb.train({"objective": "binary", "verbosity": -1}, data, 10)
    booster.save_model(tmp_path / "model.txt")
    return booster


def scores_of(folder):
    return pd.concat([pd.read_parquet(p) for p in sorted(folder.glob("*.parquet"))])


def test_scores_are_those_of_the_rows(rows, model, tmp_path, score_folder, run, capsys):
    command = (tmp_path / "model.txt", tmp_path / "rows", tmp_path / "scores")
    run(score_folder, *command, "--keep", "id", "is_fraud", "--batch", 111)
    found = scores_of(tmp_path / "scores")
    assert found["id"].tolist() == rows["id"].tolist()
    expected = model.predict(rows[FEATURES].astype(np.float32))
    np.testing.assert_allclose(found["probability"], expected, atol=1e-12)
    # columns in another order are found by their names
    (tmp_path / "scores" / "part0.parquet").unlink()
    write(rows[rows.columns[::-1]], tmp_path / "turned", ends=(0, 700))
    (tmp_path / "turned/part0.parquet").replace(tmp_path / "rows/part0.parquet")
    capsys.readouterr()
    run(score_folder, *command, "--keep", "id", "is_fraud")
    assert "1 files of 700 rows to score; 2 were complete" in capsys.readouterr().out
    assert scores_of(tmp_path / "scores").equals(found)


def test_scores_of_xgboost(rows, tmp_path, score_folder, run):
    data = xgb.DMatrix(rows[FEATURES], rows["is_fraud"])
    booster = xgb.train({"objective": "binary:logistic"}, data, 10)
    booster.save_model(tmp_path / "model.ubj")
    run(score_folder, tmp_path / "model.ubj", tmp_path / "rows", tmp_path / "scores")
    found = scores_of(tmp_path / "scores")["probability"]
    np.testing.assert_allclose(found, booster.predict(data), atol=1e-7)


@pytest.mark.slow
def test_a_killed_run_goes_on(rows, model, tmp_path):
    """A file of half the scores under its name would be taken for complete."""
    many = pd.concat([rows] * 100, ignore_index=True)
    ends = range(0, len(many) + 1, 30_000)
    write(many, tmp_path / "many", ends=ends, group=10_000)
    scores = tmp_path / "scores"
    command = [sys.executable, EXAMPLES / "score_folder.py", tmp_path / "model.txt"]
    command += [tmp_path / "many", scores, "--batch", "1000", "--threads", "1"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    begun = time.monotonic()
    while not (any(scores.glob("*.parquet")) and any(scores.glob("*.unfinished"))):
        assert process.poll() is None
        assert time.monotonic() < begun + 120
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    complete = {path: path.stat() for path in scores.glob("*.parquet")}
    n_files = len(ends) - 1
    assert 0 < len(complete) < n_files
    for path in complete:
        assert len(pd.read_parquet(path)) == 30_000
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"; {len(complete)} were complete" in done.stdout
    assert len(list(scores.iterdir())) == n_files  # nothing unfinished is left
    for path, before in complete.items():
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    expected = model.predict(many[FEATURES].astype(np.float32))
    np.testing.assert_allclose(scores_of(scores)["probability"], expected, atol=1e-12)


def test_scores_of_another_model_or_of_other_rows(
    rows, model, tmp_path, score_folder, run, capsys
):
    command = (tmp_path / "model.txt", tmp_path / "rows", tmp_path / "scores")
    run(score_folder, *command)
    rows[:500].to_parquet(tmp_path / "rows/part0.parquet")
    run(score_folder, *command)
    assert "part0.parquet has changed since" in capsys.readouterr().out
    assert len(scores_of(tmp_path / "scores")) == 2800
    model.save_model(tmp_path / "model.txt", num_iteration=5)
    with pytest.raises(SystemExit, match="has scores of another model"):
        run(score_folder, *command)
    rows.to_parquet(tmp_path / "scores/part1.parquet")
    with pytest.raises(SystemExit, match=r"(another model|not written by this)"):
        run(score_folder, *command)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.rename(columns={"b": "B"}), r"lacks 1 columns, .*\['b'\]"),
        (lambda rows: rows.drop(columns="id"), r"lacks 1 columns, .*\['id'\]"),
        (lambda rows: rows.assign(c="text"), "'c' holds .*string.* needs numbers"),
    ],
)
def test_rows_without_the_columns_of_the_model(
    change, message, rows, model, tmp_path, score_folder, run
):
    """No file is scored if one of them has other columns."""
    change(rows).to_parquet(tmp_path / "rows/part9.parquet")
    command = (tmp_path / "model.txt", tmp_path / "rows", tmp_path / "scores")
    with pytest.raises(SystemExit, match=message):
        run(score_folder, *command, "--keep", "id")
    assert not (tmp_path / "scores").exists()


def test_models_that_cannot_be_used(rows, tmp_path, score_folder, run):
    data = lgb.Dataset(rows[FEATURES].to_numpy(), rows["is_fraud"])
    for objective, message in (
        ("regression", "does not predict probabilities"),
        ("binary", "has no names of columns"),
    ):
        booster = lgb.train({"objective": objective, "verbosity": -1}, data, 2)
        booster.save_model(tmp_path / "model.txt")
        with pytest.raises(SystemExit, match=message):
            run(score_folder, tmp_path / "model.txt", tmp_path / "rows", tmp_path / "s")
    (tmp_path / "model.bin").write_bytes(json.dumps({}).encode())
    with pytest.raises(SystemExit, match="a model ends in"):
        run(score_folder, tmp_path / "model.bin", tmp_path / "rows", tmp_path / "s")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], r"'id' holds .*string.*--drop id"),
        (["--label", "fraud"], "no column 'fraud'"),
        (["--drop", "x"], "no column 'x'"),
    ],
)
def test_folders_that_cannot_be_trained_on(
    options, message, rows, tmp_path, train_on_folder, run
):
    with pytest.raises(SystemExit, match=message):
        run(train_on_folder, tmp_path / "rows", *options)
    with pytest.raises(SystemExit, match="has no parquet files"):
        run(train_on_folder, tmp_path)


def test_simulated_folders(tmp_path, train_on_folder, run):
    folder = tmp_path / "made"
    run(train_on_folder, folder, "--make", 20_000, "--columns", 4)
    frame = pd.read_parquet(folder)
    assert frame.shape == (20_000, 5)
    assert 0.002 < frame["is_fraud"].mean() < 0.03
    with pytest.raises(SystemExit, match="has parquet files already"):
        run(train_on_folder, folder, "--make", 10)

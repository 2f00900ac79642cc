"""The example that trains on two workers of Ray, beside the estimators without it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from libraries import BOTH, LIGHTGBM
from scipy.special import expit, logit
from scripts import EXAMPLES, load_example
from sklearn.metrics import average_precision_score

ray = pytest.importorskip("ray", reason="needs the extra [ray]")
pytest.importorskip("ray.train", reason="needs the extra [ray]")

pytestmark = pytest.mark.slow
EXAMPLE = EXAMPLES / "train_with_ray.py"
N, TREES = 20_000, 30
FEATURES = ["a", "b", "c", "d"]


def make_frame(n_rows, seed):
    rng = np.random.default_rng(seed)
    # so few values that every share of the rows has the same bins
    X = rng.normal(size=(n_rows, 4)).round(1).astype(np.float32)
    y = rng.random(n_rows) < expit(1.5 * X[:, 0] + X[:, 1] * X[:, 2] - 4)
    frame = pd.DataFrame(X, columns=FEATURES)
    frame.loc[rng.random(n_rows) < 0.1, "d"] = np.nan
    return frame.assign(
        is_fraud=y.astype(np.int8),
        weight=rng.integers(1, 4, n_rows).astype(np.float32),
        maturity=rng.uniform(0.5, 1, n_rows).astype(np.float32),
    )


@pytest.fixture(scope="module")
def example():
    return load_example("train_with_ray")


@pytest.fixture(scope="module")
def rows():
    """Rows whose second half has no positive, with an index."""
    return make_frame(N, seed=0).sort_values("is_fraud", ascending=False)


@pytest.fixture(scope="module")
def folder(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    rows[: N // 2].to_parquet(folder / "part0.parquet")
    rows[N // 2 :].to_parquet(folder / "part1.parquet")
    return folder


@pytest.fixture
def parsed(example, monkeypatch):
    """Read a command line."""

    def parsed(*arguments):
        monkeypatch.setattr(sys, "argv", ["train_with_ray.py", *map(str, arguments)])
        return example.parse_arguments()

    return parsed


@pytest.fixture(scope="module")
def connected(example, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
        patch.setattr(sys, "argv", ["train_with_ray.py", str(folder)])
        arguments = example.parse_arguments()
        arguments.object_store = 0.1
        example.connect(arguments)
        yield
        ray.shutdown()


def watch(example, monkeypatch, folder, last):
    """Make workers write a line for each share and tree; the first to reach the last
    tree is lost there, once."""
    is_due, share_of_rows = example.is_due, example.share_of_rows

    def write(**line):
        rank = ray.train.get_context().get_world_rank()
        with (folder / f"worker{rank}").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def watched_share(config):
        rows = share_of_rows(config)
        write(positives=int(rows["y"].sum()), rows=len(rows["y"]))
        return rows

    def watched_is_due(n_trees, config):
        write(tree=n_trees, start=config["objective"].offset)
        if n_trees == last and ray.train.get_context().get_world_rank() == 1:
            try:
                (folder / "lost").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                time.sleep(2)  # until the checkpoint before is known to Ray
                os.kill(os.getpid(), signal.SIGKILL)
        return is_due(n_trees, config)

    monkeypatch.setattr(example, "share_of_rows", watched_share)
    monkeypatch.setattr(example, "is_due", watched_is_due)


def lines_of(folder):
    """Return what the workers wrote: their shares, and the trees of each."""
    texts = [(folder / f"worker{rank}").read_text() for rank in (0, 1)]
    lines = [[json.loads(line) for line in text.splitlines()] for text in texts]
    shares = [line for of_one in lines for line in of_one if "rows" in line]
    return shares, [[line for line in of_one if "tree" in line] for of_one in lines]


def read(library, path):
    """Return the prediction of the plain library from a saved model."""
    if library is LIGHTGBM:
        return lgb.Booster(model_file=path).predict
    booster = xgb.Booster(model_file=path)
    assert booster.feature_names == FEATURES
    return lambda X: booster.inplace_predict(X, validate_features=False)


@BOTH
@pytest.mark.usefixtures("connected")
def test_the_model_is_that_without_ray(
    library, example, parsed, rows, folder, tmp_path, monkeypatch
):
    """A worker has no positive, and another is lost after a checkpoint: start and
    constant by worker, or trees on scores other than those of the checkpoint, would
    show."""
    watch(example, monkeypatch, tmp_path, last=25)
    path = tmp_path / ("model.txt" if library is LIGHTGBM else "model.ubj")
    arguments = parsed(
        *(folder, "--library", library.name, "--model", path, "--trees", TREES),
        *("--weight", "weight", "--maturity", "maturity"),
        *("--checkpoint", 10, "--batch", 3000),
    )
    example.train(example.Rows(arguments), arguments).save_model(path)
    X, y = rows[FEATURES].to_numpy(), rows["is_fraud"].to_numpy()
    weight, maturity = rows["weight"], rows["maturity"]

    shares, trees = lines_of(tmp_path)
    found = sorted((share["positives"], share["rows"]) for share in shares)
    # once, and again after the loss
    assert found == [(0, N // 2)] * 2 + [(y.sum(), N // 2)] * 2
    assert [tree["tree"] for tree in trees[0]] == [*range(1, 26), *range(21, 31)]
    starts = {tree["start"] for tree in (*trees[0], *trees[1])}
    rate = np.average(y, weights=weight) / np.average(maturity, weights=weight)
    assert [*starts] == pytest.approx([logit(rate) / 2], rel=1e-6)

    plain = read(library, path)
    known = plain(X) * maturity
    assert np.average(known, weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-6
    )
    local = library.model(n_estimators=TREES, max_bin=255)
    local.fit(X, y, sample_weight=weight, label_maturity=maturity)
    new = make_frame(5 * N, seed=1)
    X_new, y_new = new[FEATURES].to_numpy(), new["is_fraud"]
    p, p_local = plain(X_new), local.predict_proba(X_new)[:, 1]
    assert p.mean() == pytest.approx(p_local.mean(), rel=0.01)
    score, expected = (average_precision_score(y_new, q) for q in (p, p_local))
    assert score == pytest.approx(expected, abs=0.01)
    # LightGBM chooses the bins of a column from the rows of one worker
    least = 0.95 if library is LIGHTGBM else 0.9999
    assert np.corrcoef(logit(p), logit(p_local))[0, 1] > least


@pytest.mark.usefixtures("connected")
def test_a_lost_worker_leaves_no_model(example, parsed, folder, tmp_path, monkeypatch):
    watch(example, monkeypatch, tmp_path, last=3)
    arguments = parsed(folder, "--checkpoint", 2, "--retries", 0)
    with pytest.raises(SystemExit, match="No model is saved"):
        example.train(example.Rows(arguments), arguments)
    _, trees = lines_of(tmp_path)
    assert [tree["tree"] for tree in trees[1]] == [1, 2, 3]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--label", "fraud"], "no column 'fraud'"),
        (["--drop", "x"], "no column 'x'"),
    ],
)
def test_rows_that_cannot_be_trained_on(options, message, example, parsed, folder):
    with pytest.raises(SystemExit, match=message):
        example.Rows(parsed(folder, *options))
    text = folder.parent / "text"
    text.mkdir(exist_ok=True)
    pd.DataFrame({"is_fraud": [0, 1], "id": ["x", "y"]}).to_parquet(text / "p.parquet")
    with pytest.raises(SystemExit, match=r"'id' holds .*string.*--drop id"):
        example.Rows(parsed(text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "model.bin"], "lightgbm writes .txt"),
        (["--workers", 0], "--workers must be at least 1"),
        (["--address", "auto"], "needs --storage"),
        (["--object-store", 0], "--object-store must be at least 0.1 GB"),
    ],
)
def test_commands_that_cannot_run(options, message, parsed, folder, capsys):
    with pytest.raises(SystemExit):
        parsed(folder, *options)
    assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parsed(folder.parent / "nowhere")
    assert "has no parquet files" in capsys.readouterr().err

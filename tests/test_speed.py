"""The helpers of the speed benchmarks; no measured time decides a test."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb

from benchmarks.common import timing
from benchmarks.parameters import sampling
from benchmarks.production import latency
from benchmarks.speed import report, training
from focal_gbm import FocalObjective


def test_methods_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "abc"}
    times = timing.in_turn(calls, 4)
    assert list(times) == ["a", "b", "c"]
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"


def test_ratios_are_those_of_the_rounds():
    times = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [2.0, 2.0, 2.0]})
    one, other = timing.compared(times, calls=2)
    assert one["ratio"] == 1
    assert one["seconds"] == 1
    assert (other["ratio"], other["low"], other["high"]) == (1, 0.5, 2)


def test_the_recipe_and_the_peers_are_focal_loss():
    """A peer of another gamma, or on another scale, would be timed in vain."""
    rng = np.random.default_rng(0)
    raw = rng.normal(-2, 2, 500)
    y = (rng.random(500) < 0.3).astype(float)
    data = SimpleNamespace(get_label=lambda: y)
    objective = FocalObjective(2.0, link="logit", hessian="exact")
    gradient, hessian = objective(y, raw)
    mine = training.numpy_recipe(raw, data)
    np.testing.assert_allclose(mine[0], gradient, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(mine[1], hessian, rtol=1e-4, atol=1e-7)
    for library in ("LightGBM", "XGBoost"):
        for peer in training.peers(library).values():
            np.testing.assert_allclose(peer(raw, data)[0], gradient, atol=1e-4)


def test_what_is_played_back_trains_the_same():
    X, y = timing.make_data(2000)
    library = training.lightgbm(X, y, 1, "cpu")
    objective = FocalObjective(gamma=0.0)
    tape = training.Playback(objective, 5)
    expected = library.raw_score(library.train(objective, 5))
    for _ in range(2):
        played = library.raw_score(library.train(tape, 5))
        np.testing.assert_array_equal(played, expected)


def test_the_last_record_of_a_key_counts(tmp_path):
    key = {"what": "memory", "method": "A", "weighted": False, "rows": 1}
    key |= {"device": "cpu", "allocator": ""}
    lines = [{"machine": "x"}, {**key, "value": 1.0}, {**key, "value": 2.0}]
    path = tmp_path / "speed.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    records = report.read(path)
    assert report.memory(records).to_numpy().tolist() == [[2.0]]


def test_a_page_without_a_part_names_the_command(tmp_path):
    path = tmp_path / "speed.jsonl"
    with pytest.raises(
        SystemExit, match=r"benchmarks\.speed lightgbm xgboost packages"
    ):
        report.check_complete(report.read(path), path)
    path.write_text(json.dumps({"what": "memory", "device": "cpu"}))
    with pytest.raises(SystemExit, match="start_up, predict, reach"):
        report.check_complete(report.read(path), path)


@pytest.fixture
def sampled(tmp_path, monkeypatch):
    """Records where a switch takes half the time and a tenth of the precision."""
    path = tmp_path / "sampling.jsonl"
    lines = []
    for name in (sampling.LARGE, sampling.WIDE, "one"):
        results = []
        for switch, factor in ((sampling.NONE, 1.0), ("goss 0.1 + 0.1", 0.5)):
            for loss in sampling.LOSSES["LightGBM"]:
                result = {"switch": switch, "loss": loss, "seconds": 4 * factor}
                result |= {"ap": 0.5 + 0.1 * factor, "recall_01": 0.5, "log_loss": 0.1}
                results.append(result)
        results.append({"switch": "x", "loss": "focal", "error": "no such switch"})
        key = {"set": name, "repeat": 0, "library": "LightGBM"}
        lines.append({"key": key, "results": results})
    path.write_text("\n".join(json.dumps(line) for line in lines))
    monkeypatch.setattr(sampling, "FILE", path)


def test_switches_are_compared_with_the_same_loss(sampled):
    table = sampling.table("LightGBM").set_index(["loss", "switch"])
    for loss in sampling.LOSSES["LightGBM"]:
        row = table.loc[(loss, "goss 0.1 + 0.1")]
        assert row["seconds, large"] == row["seconds, wide"] == 0.5
        assert row["difference"] == pytest.approx(-0.05)
        assert row["log-loss"] == pytest.approx(1.0)
    assert sampling.refused("LightGBM") == "- x, focal: no such switch"


# before XGBoost 3.2, on GPUs alone
HAS_GRADIENT_BASED = tuple(map(int, xgb.__version__.split(".")[:2])) >= (3, 2)


def test_the_switches_are_the_librarys():
    """A name that the library does not know would be dropped in silence."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    for library, losses in sampling.LOSSES.items():
        kind, parameters = losses["focal"]
        for switches in sampling.SWITCHES[library].values():
            if "sampling_method" in switches and not HAS_GRADIENT_BASED:
                continue
            kind(n_estimators=1, **parameters, **switches).fit(X, X[:, 0] > 1)


def test_page_of_latency():
    """Quantiles by number of rows, and ratios to the parent's median."""
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")
    names = (latency.PARENT, latency.OURS, latency.CALIBRATED, latency.HTTP)
    calls = pd.DataFrame(
        {name: (i + 1) * np.linspace(0, 2e-3, 101) for i, name in enumerate(names)}
    ).assign(**{latency.REASONS: 7e-3})
    found = latency.quantiles(calls)
    assert found[latency.OURS] == pytest.approx(
        {"p50, ms": 2.0, "p99, ms": 3.96, "ratio": 2.0}
    )
    rows = [
        {"library": library, "rows": n_rows, "method": name, **of_one}
        for library in latency.LIBRARIES
        for n_rows in latency.SIZES
        for name, of_one in found.items()
    ]
    text = latency.page(pd.DataFrame(rows), 101)
    for line in (
        "- One row: LightGBM 2.00 of the parent's",
        "- 100 rows: LightGBM 2.00",
    ):
        assert line in text
    assert "4.0 ms over HTTP (p99 7.9), 7.0 with reasons (p99 7.0)" in text

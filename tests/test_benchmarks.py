"""The helpers of the benchmarks: jobs that may fail, splits, intervals, models."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import sys
import time
from types import SimpleNamespace

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy import stats
from scipy.special import logit

from benchmarks.common import data, runner, tables
from benchmarks.common.intervals import over_sets
from benchmarks.detection import evaluation, models, report, study
from benchmarks.parameters import starting_point
from benchmarks.robustness import mutation
from benchmarks.scale import cluster, cluster_report, cost_model, out_of_core, spark
from focal_gbm.datasets import TRANSACTION_FEATURES


@pytest.mark.parametrize("name", ["data", "report", "runner"])
def test_no_benchmark_is_a_top_level_module(name):
    """Modules of such names would hide, or be hidden by, modules of the user."""
    assert importlib.util.find_spec(name) is None


def jobs_of(**works):
    return [runner.Job({"name": name}, lambda: 3, work) for name, work in works.items()]


def run(jobs, path, limit=60.0):
    runner.run(jobs, path, n_jobs=2, limit=limit, packages=["numpy"])
    return {record["key"]["name"]: record for record in runner.read(path)}


@pytest.mark.slow
def test_jobs_that_fail_are_results(tmp_path):
    def fails(_):
        msg = "no such thing"
        raise ValueError(msg)

    jobs = jobs_of(
        fine=lambda loaded: {"value": loaded + 1},
        fails=fails,
        dies=lambda _: os._exit(7),
        hangs=lambda _: time.sleep(600),
    )
    records = run(jobs, tmp_path / "results.jsonl", limit=2.0)
    assert records["fine"]["value"] == 4
    assert records["fails"]["error"] == "ValueError: no such thing"
    assert records["dies"]["error"] == "the process died: 7"
    assert records["hangs"]["error"] == "ended after 2 s"


def test_a_run_goes_on_where_it_was(tmp_path):
    path = tmp_path / "results.jsonl"
    run(jobs_of(first=lambda _: {"value": 1}), path)
    again = jobs_of(first=lambda _: {"value": 2}, second=lambda _: {"value": 2})
    records = run(again, path)
    assert records["first"]["value"] == 1
    assert records["second"]["value"] == 2
    (machine,) = runner.machines(path)
    assert machine["versions"] == {"numpy": np.__version__}


def test_a_run_without_a_new_job_leaves_the_file(tmp_path):
    """A machine that measured nothing would be named on the page."""
    path = tmp_path / "results.jsonl"
    run(jobs_of(first=lambda _: {"value": 1}), path)
    before = path.read_text()
    runner.run(
        jobs_of(first=lambda _: {}), path, n_jobs=1, limit=60.0, packages=["pandas"]
    )
    assert path.read_text() == before


def test_memory_of_a_job_is_its_own(tmp_path):
    def large(_):
        return {"sum": float(np.ones(20_000_000).sum())}

    records = run(jobs_of(large=large, small=lambda _: {}), tmp_path / "r.jsonl")
    assert 150 < records["large"]["peak_mb"] < 250
    assert records["small"]["peak_mb"] < 50


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="no limit of mapped memory")
def test_a_limit_of_memory_is_enforced():
    def fill(gigabytes):
        code = f"import numpy; print(numpy.ones(int({gigabytes} * 2**27)).sum())"
        return out_of_core.run([sys.executable, "-c", code], limit=2**30)

    over, below = fill(1.2), fill(0.25)
    assert over["result"] == "out of memory"
    assert over["peak memory, GiB"] < 1
    assert below["result"] == "done"
    assert below["peak memory, GiB"] > 0.25
    broken = out_of_core.run([sys.executable, "-c", "raise ValueError('no such row')"])
    assert broken["result"] == "failed (1): ValueError: no such row"


@pytest.mark.parametrize("result", ["done", "out of memory"])
def test_page_of_out_of_core(result):
    """A limit that a fit does not survive is an answer, and no error."""
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")
    runs, models = [], []
    for library in out_of_core.LIBRARIES:
        for rows, limit in (
            (out_of_core.FOLDER, "1 GiB"),
            (out_of_core.MEMORY, "1 GiB"),
            (out_of_core.MEMORY, "none"),
        ):
            ends = "done" if limit == "none" else result
            sizes = {"peak memory, GiB": 0.5, "pages on disk, GiB": 0.0}
            row = {"work": "train", "library": library, "rows": rows, "limit": limit}
            runs.append({**row, "seconds": 12.0, **sizes, "result": ends})
        models.append({"library": library, "average precision": 0.25})
    arguments = SimpleNamespace(rows=1000, columns=3, memory=1.0, trees=2, threads=1)
    page = out_of_core.page(arguments, pd.DataFrame(runs), pd.DataFrame(models))
    if result == "done":
        assert "- LightGBM trains from the folder in 12 s with at most 0.5 GiB" in page
        assert "takes 1 times as long. In memory under 1 GiB: done." in page
    else:
        assert "- XGBoost from the folder: out of memory." in page
    assert "0.2500" in page


def test_page_of_spark():
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")
    ways = [
        ("FocalXGBClassifier, gamma 2", "fit", 0.5, 1.0),
        ("FocalXGBClassifier, gamma 0", "fit", 0.4, 1.0),
        (spark.PLAIN, "", 0.3, 0.9),
        (spark.OURS, "", 0.45, 1.7),
        (spark.OURS, spark.FROM_ALL, 0.45, 1.0),
        (spark.OURS, spark.FROM_SAMPLE, 0.45, 1.02),
    ]
    rows = [
        {
            **{"settings": setting, "model": model, "closed by": way},
            spark.PRECISION: ap + (seed * 0.2 if model == spark.OURS else 0.0),
            **{spark.IN_TRAINING: ratio, spark.LATER: 0.8, "s": 2.0},
        }
        for seed in (0, 1)
        for setting in spark.SETTINGS
        for model, way, ap, ratio in ways
    ]
    arguments = SimpleNamespace(customers=9, repeats=2)
    page = spark.page(arguments, [(100, 3), (300, 5)], pd.DataFrame(rows))
    assert "means of 2 simulations" in page
    assert "200 training rows and 4 frauds" in page
    assert (
        "default settings: average precision is 0.300 in plain SparkXGBClassifier and "
        "0.550 with `spark_params`; FocalXGBClassifier has 0.500 at gamma 2 and 0.400 "
        "at gamma 0. No simulation differs by more than 0.150 "
    ) in page
    assert "1.700 before `complete`, 1.000 after, and 1.020 after `comp" in page


def test_a_sample_has_the_rate_of_all_rows():
    rows = pd.DataFrame(0.0, range(40_000), spark.FEATURES)
    rows[spark.LABEL] = (np.arange(len(rows)) % 100 == 0).astype(int)
    batch = spark.sampled(rows, 0)
    assert batch["y"].sum() == 400
    assert len(batch["y"]) < 3000
    weight = batch["sample_weight"]
    assert np.average(batch["y"], weights=weight) == pytest.approx(0.01, rel=0.1)
    assert weight.sum() == pytest.approx(len(rows), rel=0.1)


COSTS = {
    "bytes": [0.97, 1_500.0, 14_000.0],
    "seconds": [5e-9, 2e-8, 4e-7, 1e-3],
    "seconds before": [8e-8, 1e-7, 3e-8, 0.2],
    "memory": [13.0, 40.0, 6.0, 5e6],
}


def runs_of(library):
    """Return runs whose costs are exactly those of COSTS."""
    runs = pd.DataFrame(
        [
            (part, library, rows, columns, workers, workers < 4, histograms)
            for part, shapes in cluster.PARTS.items()
            for rows, columns in shapes
            for workers, histograms in ((1, 30.0), (2, 31.5), (4, 28.0))
        ],
        columns=[
            "part",
            "library",
            "rows",
            "columns",
            "workers",
            "is_timed",
            "histograms",
        ],
    )
    for quantity, coefficients in COSTS.items():
        runs[quantity] = cost_model.terms(quantity, runs).to_numpy() @ coefficients
    return runs


@pytest.mark.parametrize("quantity", COSTS)
@pytest.mark.parametrize("library", cluster.LIBRARIES)
def test_the_cost_model_finds_the_coefficients_again(library, quantity):
    runs = runs_of(library)
    fitted = cost_model.fit(quantity, runs[runs["part"] == "fit"])
    has_term = cost_model.terms(quantity, runs).any()  # XGBoost has no sample
    np.testing.assert_allclose(fitted, COSTS[quantity] * has_term, rtol=1e-6)
    np.testing.assert_allclose(cost_model.errors(quantity, fitted, runs), 0, atol=1e-9)


def halving(workers):
    """Return what all send and the busiest receives, in histograms, by following the
    blocks of LightGBM's recursive halving in groups of one or two workers."""
    power = 2 ** int(np.log2(workers))
    pairs = workers - power
    blocks = [2] * pairs + [1] * (power - pairs)  # of the group that leads
    got = [float(i < pairs) for i in range(power)]  # a neighbour's whole histogram
    sent = float(pairs)
    parts = [list(range(power)) for _ in range(power)]
    distance = power // 2
    while distance:
        halves = []
        for i in range(power):
            keep = [g for g in parts[i] if g & distance == i & distance]
            halves.append(keep)
            got[i] += sum(blocks[g] for g in keep) / workers
        sent += sum(
            (sum(blocks[g] for g in whole) - sum(blocks[g] for g in keep)) / workers
            for whole, keep in zip(parts, halves, strict=True)
        )
        parts, distance = halves, distance // 2
    return sent + pairs / workers, max(got)


@pytest.mark.parametrize("workers", [2, 3, 4, 10, 100])
def test_histograms_on_the_way(workers):
    sent, received = halving(workers)
    assert cost_model.copies_sent("LightGBM", workers) == pytest.approx(sent)
    on_a_link = cost_model.copies_on_a_link("LightGBM", workers)
    assert on_a_link == pytest.approx(received, rel=0.15)
    # every worker of a ring sends and receives as much
    on_a_link = cost_model.copies_on_a_link("XGBoost", workers)
    assert on_a_link * workers == cost_model.copies_sent("XGBoost", workers)


@pytest.mark.parametrize("library", cluster.LIBRARIES)
def test_one_worker_has_no_network(library):
    assert cost_model.copies_sent(library, 1) == 0
    assert cost_model.copies_on_a_link(library, 1) == 0
    assert cost_model.steps(library, 1) == 0


def test_histograms_of_trees():
    X, y = (np.asarray(a) for a in cluster.simulated(4000, 4, seed=0))
    dataset = lightgbm.Dataset(X, y)
    parameters = {"objective": "binary", "num_leaves": 7, "verbose": -1}
    booster = lightgbm.train(parameters, dataset, 3)
    assert cluster.histograms("LightGBM", booster, 1) == 6
    deep = {"objective": "binary:logistic", "max_depth": 2, "min_child_weight": 0}
    booster = xgboost.train(deep, xgboost.DMatrix(X, y), 3)
    assert cluster.histograms("XGBoost", booster, 1) == 4  # root and three splits
    deep["max_depth"] = cluster.LEVELS
    deep |= {"gamma": 0, "lambda": 0}
    booster = xgboost.train(deep, xgboost.DMatrix(X, y), 3)
    assert 16 < cluster.histograms("XGBoost", booster, 0) <= 32


def records_of(runs):
    """Return the records of fits that cost what ``runs`` do, in two rounds."""
    records = []
    for run in runs.to_dict("records"):
        trees = (5, 25)
        cost = run.pop("seconds"), run.pop("bytes")
        before, memory = run.pop("seconds before"), run.pop("memory")
        for way in cluster.WAYS if run["part"] == "objective" else cluster.WAYS[:1]:
            seconds = [[before + n * cost[0], before + n * cost[0] + 9] for n in trees]
            sent = [[7_000 + n * cost[1]] * 2 for n in trees]
            found = {"seconds": seconds, "bytes": sent, "memory": [[memory] * 2] * 2}
            records.append({**run, "way": way, "trees": trees, **found})
    return records


def page_of_cluster(path, **network):
    runs = cluster_report.read(path)
    return cluster_report.page(runs, "- A machine", **network)


def test_page_of_the_cluster(tmp_path):
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")
    path = tmp_path / "cluster.jsonl"
    runs = pd.concat([runs_of(library) for library in cluster.LIBRARIES])
    with path.open("w") as file:
        for (part, workers), group in runs.groupby(["part", "workers"]):
            key = {"part": part, "workers": workers}
            record = {"key": key, "idle": 8e3, "runs": records_of(group)}
            file.write(json.dumps(record) + "\n")
    page = page_of_cluster(path, bandwidth=10.0, latency=0.1)
    assert "takes 1.00 to 1.00 of the time with the log-loss" in page
    assert "On 1 and 2\n  workers alone, where" in page
    errors = [line for line in page.splitlines() if "| bytes an iteration " in line]
    assert len(errors) == 5  # three coefficients, and the errors of each library
    for line in errors[3:]:
        cells = [cell.strip() for cell in line.split("|")]
        assert cells[4] == cells[7] == "0%"
    table = cluster_report.extrapolated(
        cluster_report.modelled(cluster_report.read(path)), bandwidth=1.0, latency=1e-9
    )
    row = table[(table["library"] == "XGBoost") & (table["workers"] == 100)].iloc[0]
    one_histogram = row["columns"] * 256 * 16
    assert row["network, s"] == pytest.approx(32 * one_histogram * 1.99 * 8 / 1e9)


def test_a_cluster_that_failed_has_no_page(tmp_path):
    path = tmp_path / "cluster.jsonl"
    with pytest.raises(SystemExit, match="no measurements: run `python -m"):
        page_of_cluster(path, bandwidth=10.0, latency=0.1)
    path.write_text(json.dumps({"key": {"workers": 2}, "error": "ValueError: no"}))
    with pytest.raises(SystemExit, match=r"ValueError: no\. Delete the line"):
        page_of_cluster(path, bandwidth=10.0, latency=0.1)


def test_weeks_are_in_the_order_of_time_without_known_cards():
    split = data.transactions(0)
    assert split.ordered
    assert split.overlap == 0.0
    assert split.day.min() == 21
    assert split.day.max() == 34
    assert list(split.X_train) == list(TRANSACTION_FEATURES)
    for train, valid in evaluation.folds(split):
        assert train.max() < valid.min()


def test_few_positives_are_never_cut():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(4000, 2)))
    few, many = np.arange(4000) % 40 == 0, np.arange(4000) % 2 == 0
    for y, rows in ((few, 2000), (many, 300)):
        split = data.capped(lambda i, y=y: data.halves("any", X, y, i), 0, 300)
        assert len(split.X_train) == len(split.y_train) == rows
        assert len(split.X_test) == 2000


def is_installed(model):
    packages = {
        "CatBoost": "catboost",
        "YDF": "ydf",
        "FLAML zero-shot": "flaml",
        "PerpetualBooster": "perpetual",
    }
    package = packages.get(model.name.split(",")[0])
    if model.group == models.PEERS or model.as_long_as:
        return False
    return package is None or importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("name", [m.name for m in models.MODELS if is_installed(m)])
def test_models_train_on_categories(name):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=600), "b": rng.integers(0, 3, 600)})
    y = (X["a"] + (X["b"] == 1) + rng.normal(size=600) > 2).to_numpy(int)
    X["b"] = pd.Categorical.from_codes(X["b"], ["x", "y", "z"])
    split = data.halves(name, X, y, 0)
    record = evaluation.evaluate(models.BY_NAME[name], 0, {}, split)
    assert record["auc"] > 0.75
    assert 0.3 < record["in_the_large"] < 4


@pytest.mark.parametrize(
    "model", [m for m in models.MODELS if m.space], ids=lambda m: m.name
)
def test_first_trials_lie_in_the_space(model):
    fixed = {n: v[0] for n, v in model.space.items() if isinstance(v, list)}
    assert set(model.first) <= set(model.space)
    assert set(model.space) <= set(model.first | fixed)
    for name, value in model.first.items():
        values = model.space[name]
        if isinstance(values, list):
            assert value in values
        else:
            assert values[0] <= value <= values[1]


def results_of(tmp_path, sets, overlap, tuned=True):
    """Records of two models whose differences are ``sets``."""
    path = tmp_path / "results.jsonl"
    rows = []
    for name, differences in sets.items():
        for repeat, difference in enumerate(differences):
            for model, ap in (("FocalLGBM", 0.5 + difference), ("LightGBM", 0.5)):
                key = {"what": "evaluate", "set": name, "model": model}
                key |= {"tuned": tuned, "repeat": repeat}
                sizes = {"rate": 0.1, "n_train": 10, "n_positive": 1, "n_test": 10}
                record = {"key": key, "ap": ap, "cpu_s": 1.0, "fit_s": 0.5, **sizes}
                rows.append({**record, "overlap": overlap})
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return report.Results(path)


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_intervals_know_that_repeats_overlap(tmp_path, overlap):
    sets = {"one": [0.01, 0.02, 0.03, 0.02], "two": [-0.1, 0.1, 0.2, -0.3]}
    results = results_of(tmp_path, sets, overlap)
    table = results.differences("FocalLGBM", "LightGBM", tuned=True)
    for name, values in sets.items():
        t = stats.t.ppf(0.975, 3)
        half = t * np.std(values, ddof=1) * np.sqrt(1 / 4 + overlap)
        expected = [np.mean(values), np.mean(values) - half, np.mean(values) + half]
        np.testing.assert_allclose(table.loc[name], expected, atol=1e-12)
    mean, low, high = over_sets(table["difference"])
    interval = stats.ttest_1samp(table["difference"], 0).confidence_interval(0.95)
    np.testing.assert_allclose([low, high], interval)
    assert mean == pytest.approx(-0.0025)
    pairs = report.tuned_pairs(results)
    (row,) = report.compared(results, pairs, "ap", tuned=True).to_dict("records")
    assert (row["won"], row["tied"], row["lost"]) == ((1, 1, 0), (0, 2, 0))[
        int(overlap)
    ]
    assert row["lowest on"] == "two"


def test_a_fit_that_failed_counts_as_chance(tmp_path):
    results = results_of(tmp_path, {"one": [0.0]}, 0.0, tuned=False)
    frame = pd.read_json(results_path := tmp_path / "results.jsonl", lines=True)
    assert len(frame) == 2
    lines = results_path.read_text().splitlines()
    failed = json.loads(lines[0])
    for name in ("ap", "rate", "n_train", "n_positive", "n_test", "overlap"):
        del failed[name]
    failed["error"] = "ValueError: no"
    results_path.write_text("\n".join([json.dumps(failed), lines[1]]))
    results = report.Results(results_path)
    assert results.means("ap", tuned=False).loc["FocalLGBM", "one"] == 0.1
    assert results.means("auc", tuned=False).loc["FocalLGBM", "one"] == 0.5
    assert list(report.failures(results)["fits"]) == [1]


def test_a_fit_on_two_processors_counts_once_and_in_its_own_time(tmp_path):
    path = tmp_path / "results.jsonl"

    def fit(ap, seconds):
        key = {"what": "evaluate", "set": "one", "model": "LightGBM"}
        sizes = {"rate": 0.1, "n_train": 10, "n_positive": 1, "n_test": 10}
        record = {"ap": ap, "fit_s": seconds, "cpu_s": seconds, "overlap": 0.0}
        return {"key": {**key, "tuned": False, "repeat": 0}, **record, **sizes}

    search = {"what": "tune", "set": "one", "model": "LightGBM", "repeat": 0}
    lines = [
        {"machine": "old", "cores": 2, "system": "", "python": "", "versions": {}},
        fit(0.2, 10.0),
        {"key": search, "cpu_s": 500.0, "first": 0.1, "validation": 0.2},
        {"machine": "new", "cores": 2, "system": "", "python": "", "versions": {}},
        fit(0.3, 2.0),
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    results = report.Results(path)
    assert results.means("ap", tuned=False).loc["LightGBM", "one"] == 0.3
    cost = report.tuning_cost(results)
    assert cost.loc["LightGBM", "in default fits of LightGBM"] == 50.0
    name = "evaluate | one | LightGBM | False | 0"
    assert name in runner.done(path, "new")
    assert name not in runner.done(path, "other")
    assert {r["processor"] for r in runner.read(path)} == {"old", "new"}


def test_tables_are_blank_where_nothing_was_measured(tmp_path):
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")
    table = pd.DataFrame({"model": ["a", "b"], "AP": [0.12345678, np.nan]})
    assert "nan" not in tables.markdown(table, index=False)
    tables.write_csv(table, tmp_path / "results" / "by_set.csv")
    text = (tmp_path / "results" / "by_set.csv").read_text()
    assert text == "model,AP\na,0.123457\nb,\n"


def test_the_table_by_set_has_all_models_and_sets(tmp_path):
    sets = {"one": [0.1, 0.2], "two": [0.0, 0.1]}
    table = report.by_set(results_of(tmp_path, sets, 0.0))
    assert list(table["settings"]) == ["tuned"] * 4
    index = ["model", "data set"]
    means = table.set_index(index)["AP"].round(6).to_dict()
    assert means == {
        ("LightGBM", "one"): 0.5,
        ("LightGBM", "two"): 0.5,
        ("FocalLGBM", "one"): 0.65,
        ("FocalLGBM", "two"): 0.55,
    }


def test_a_report_without_results_names_the_command(tmp_path):
    with pytest.raises(SystemExit, match=r"python -m benchmarks\.detection"):
        report.Results(tmp_path / "none.jsonl")


def test_a_choice_is_evaluated_on_the_set_left_out():
    shares = pd.DataFrame(
        {"one": [1.0, 0.2, 0.9], "two": [0.1, 1.0, 0.8], "three": [0.4, 0.9, 1.0]}
    )
    left_out = starting_point.left_out(shares)
    assert left_out.to_dict() == {"one": 0.2, "two": 0.8, "three": 1.0}


def test_settings_of_both_libraries_are_the_same_but_for_size():
    for number in (0, starting_point.CHOSEN, 1008):
        lightgbm, xgboost = (
            starting_point.setting(library, number)[1]
            for library in ("lightgbm", "xgboost")
        )
        assert set(lightgbm) ^ set(xgboost) == {
            "num_leaves",
            "min_child_samples",
            "max_depth",
        }
        for name in set(lightgbm) & set(xgboost):
            assert lightgbm[name] == xgboost[name]


@pytest.mark.parametrize("library", study.ESTIMATORS)
def test_policies_agree_at_gamma_0_and_with_the_estimator(library):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 3))
    y = (X[:, 0] + rng.normal(size=3000) > 2).astype(int)

    def p_of(**setting):
        return study.model(library, setting).fit(X, y).predict_proba(X)[:, 1]

    log_loss = p_of(policy="posterior, expected", gamma=0.0)
    for hessian in ("expected", "exact"):
        p = p_of(policy=f"logit, {hessian}", gamma=0.0)
        np.testing.assert_allclose(p, log_loss, rtol=1e-3)
    bare, whole = p_of(policy="posterior, expected", gamma=2.0), p_of(gamma=2.0)
    shift = np.ptp(logit(bare) - logit(whole))  # but for the closing constant
    assert shift < 1e-3


def test_page_of_mutation():
    pytest.importorskip("tabulate", reason="tables need the extra [benchmark]")

    def key(line):
        return {"module": "loss", "file": "focal_gbm/loss.py", "function": "f"} | {
            "line": line
        }

    def of(line, **end):
        return {"key": key(line), "change": [line, f"{line} + 1"], **end}

    found = {"loss": ([mutation.Mutant(key(n), "", 0) for n in "abcde"], 7)}
    ends = {
        "a": {"result": "killed"},
        "b": {"error": "ended after 180 s"},
        "c": {"result": "survived"},
        "d": {"error": "the process died: -11"},
        "a line that has changed": {"result": "survived"},
    }
    records = [of(line, **end) for line, end in ends.items()]
    page = mutation.page(found, records, {})
    assert "Of 4 mutants, drawn from 5, the tests kill 3: 0.75" in page
    assert "1 survive, and 1 are not read yet" in page.replace("\n", " ")
    assert "[0.30, 0.95]" in page  # Wilson's interval of 3 in 4
    why = {mutation.name_of("focal_gbm/loss.py", "f", ["c", "c + 1"]): "no matter"}
    page = mutation.page(found, records, why)
    assert "all were read" in page
    assert "no matter" in page
    with pytest.raises(SystemExit, match="did not run: OSError"):
        mutation.page(found, [of("e", error="OSError: no disk")], {})


def test_each_mutant_that_survives_has_a_reason():
    why, n_survivors = mutation.reasons(), 0
    for record in runner.read(mutation.RESULTS):
        if mutation.result_of(record) == mutation.SURVIVED:
            key = record["key"]
            name = mutation.name_of(key["file"], key["function"], record["change"])
            assert len(why[name]) > 10
            n_survivors += 1
    assert n_survivors


def test_annotations_and_messages_are_no_mutants():
    text = """
def f(a: int | None = 1 + 2) -> float | None:
    b: int | str = a + 3
    msg = f"{a + 4} is odd"
    return b - 5
"""
    parts = mutation.without_effect(ast.parse(text))
    left_out = [
        any(first <= (row, column) < last for first, last in parts)
        for row, line in enumerate(text.splitlines(), 1)
        for column, letter in enumerate(line)
        if letter in "|+-" and line[column + 1] != ">"
    ]
    # int | None, 1 + 2, float | None; int | str, a + 3; a + 4; b - 5
    assert left_out == [True, False, True, True, False, True, False]

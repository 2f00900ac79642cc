"""Loops on the booster's own threads: the same bits, errors where they belong, and no
more threads than allowed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import xgboost as xgb
from libraries import slow

from focal_gbm import FocalObjective
from focal_gbm._kernels import cpu, openmp
from focal_gbm.objective._call import c_interface, read_call

N_ROWS = 3 * cpu.CHUNK + 2**16 + 5
FORMS = [("posterior", 0.0), ("posterior", 2.0), ("logit", 2.0)]
# By the dtype of the scores that each hands over.
LIBRARIES = {np.float64: "lightgbm.basic", np.float32: "xgboost.core"}
BOTH_DTYPES = pytest.mark.parametrize("dtype", LIBRARIES)


def rows(dtype):
    rng = np.random.default_rng(0)
    y = (rng.random(N_ROWS) < 0.1).astype(np.float32)
    return y, rng.normal(-3, 3, N_ROWS).astype(dtype), rng.random(N_ROWS)


def has_a_runtime(dtype):
    return openmp.team(c_interface(LIBRARIES[dtype]), 2) != openmp.ALONE


@BOTH_DTYPES
@pytest.mark.parametrize(("link", "gamma"), FORMS)
@pytest.mark.parametrize("n_jobs", [2, *slow(3, -1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_threads_change_no_bit(dtype, link, gamma, n_jobs, weighted):
    y, raw, weight = rows(dtype)
    weight = weight if weighted else None
    expected = FocalObjective(gamma, 0.3, link=link)(y, raw, weight)
    objective = FocalObjective(gamma, 0.3, link=link, n_jobs=n_jobs)
    for _ in range(3):
        for a, b in zip(objective(y, raw, weight), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@BOTH_DTYPES
def test_the_team_is_used(dtype, monkeypatch):
    if not has_a_runtime(dtype):
        pytest.skip("the booster brings no OpenMP runtime that we know")
    teams = []
    fill = cpu.fill_derivatives

    def watched(*arguments):
        teams.append(arguments[-1])
        return fill(*arguments)

    monkeypatch.setattr(cpu, "fill_derivatives", watched)
    y, raw, _ = rows(dtype)
    for n_jobs in (1, 2):
        FocalObjective(n_jobs=n_jobs)(y, raw)
        FocalObjective(n_jobs=n_jobs)(y[:1000], raw[:1000])
    (_, one), (_, few), (address, two), (_, few_again) = teams
    assert (one, few, two, few_again) == (1, 1, 2, 1)
    assert address != 0


@BOTH_DTYPES
@pytest.mark.parametrize("row", [0, N_ROWS // 2, N_ROWS - 1])
def test_what_one_thread_sees_is_said(dtype, row):
    objective = FocalObjective(n_jobs=2)
    y, raw, weight = rows(dtype)
    raw[row] = np.nan
    with pytest.raises(ValueError, match=f"raw_prediction must not be NaN.* row {row}"):
        objective(y, raw)
    y, raw, weight = rows(dtype)
    y[row] = 3
    with pytest.raises(ValueError, match=f"got 3.0 in row {row}"):
        objective(y, raw)
    y, raw, weight = rows(dtype)
    weight[row] = -1
    with pytest.raises(ValueError, match=r"sample_weight must be .* got -1.0"):
        objective(y, raw, weight)


def test_without_a_runtime_one_thread_does_it():
    """Other compilers' runtimes have no GOMP_parallel."""

    class Other:
        omp_get_max_threads = staticmethod(lambda: 8)

    assert openmp.team(None, 4) == openmp.ALONE
    assert openmp.team(Other(), -1) == openmp.ALONE


def test_plain_python_is_not_handed_to_threads(monkeypatch):
    monkeypatch.setattr(openmp.config, "DISABLE_JIT", True)
    library = c_interface("xgboost.core")
    assert openmp.team.__wrapped__(library, 2) == openmp.ALONE


def test_all_threads_are_no_more_than_the_runtime_has(monkeypatch):
    library = xgb.core._LIB
    if not has_a_runtime(np.float32):
        pytest.skip("the booster brings no OpenMP runtime that we know")
    _, most = openmp.team(library, -1)
    assert 1 <= most <= library.omp_get_max_threads()
    assert openmp.team(library, 5)[1] == 5


@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, np.nan, None, "all"])
def test_bad_number(n_jobs):
    with pytest.raises((ValueError, TypeError), match="n_jobs must be"):
        FocalObjective(n_jobs=n_jobs)


def test_is_kept_in_a_pickle():
    objective = pickle.loads(pickle.dumps(FocalObjective(n_jobs=2)))
    assert objective.n_jobs == 2
    y, raw, _ = rows(np.float32)
    np.testing.assert_array_equal(objective(y, raw)[0], FocalObjective()(y, raw)[0])


@BOTH_DTYPES
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scores_that_nobody_needs_make_room(dtype, n_jobs):
    y, raw, weight = rows(dtype)
    objective = FocalObjective(n_jobs=n_jobs)
    expected = [array.copy() for array in objective(y, raw, weight)]
    kept = raw.copy()
    gradient, hessian = objective.gradient_hessian(
        read_call(y, raw, weight), over_scores=True
    )
    np.testing.assert_array_equal(gradient, expected[0])
    np.testing.assert_array_equal(hessian, expected[1])
    assert np.shares_memory(gradient, raw) == (dtype is np.float32)
    kept[5] = np.nan
    kept.flags.writeable = False
    with pytest.raises(ValueError, match=r"raw_prediction must not be NaN.* row 5"):
        objective.gradient_hessian(read_call(y, kept), over_scores=True)
    kept.flags.writeable = True
    with pytest.raises(ValueError, match="raw_prediction must not be NaN, got NaN"):
        objective.gradient_hessian(read_call(y, kept), over_scores=True)


@pytest.mark.slow
def test_neither_library_is_loaded_for_it():
    code = (
        "import sys, numpy as np; from focal_gbm import FocalObjective; "
        "z = np.zeros(10**5); FocalObjective(n_jobs=2)(z, z); "
        "print(sorted({'lightgbm', 'xgboost'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def in_a_process(code, tmp_path):
    """Run code that compiles the loops anew."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_one_thread_does_not_need_the_shared_loop(tmp_path):
    """Instructions written by hand may break with a later Numba: they are compiled for
    the loop that threads share, and without them one thread does the work."""
    code = f"""
import numpy as np, xgboost
from focal_gbm import FocalObjective
from focal_gbm._kernels import openmp
openmp.ir = None  # of which the instructions are built
raw = np.linspace(-9, 9, {N_ROWS}, dtype=np.float32)
y = np.arange({N_ROWS}) % 2
expected = FocalObjective()(y, raw)
for _ in range(2):
    shared = FocalObjective(n_jobs=2)(y, raw)
np.testing.assert_array_equal(shared, expected)
print("ran")
"""
    run = in_a_process(code, tmp_path)
    assert run.stdout.strip() == "ran", run.stderr[-2000:]
    if has_a_runtime(np.float32):
        said = "this version of Numba cannot compile the loop that threads share"
        assert run.stderr.count(said) == 1

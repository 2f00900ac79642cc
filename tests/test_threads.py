"""Loops on the booster's own threads: the same bits, errors where they belong, and no
more threads than allowed."""

from __future__ import annotations

import os
import pickle
import platform
import re
import subprocess
import sys
from collections import Counter

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from libraries import BOTH
from numba import njit

from focal_gbm import FocalObjective, FocalXGBClassifier
from focal_gbm._kernels import cpu, openmp
from focal_gbm._kernels.formulas import ROW_OPTIONS, Clipped, Exact, Expected
from focal_gbm._kernels.rational import posterior_form
from focal_gbm.objective._call import c_interface, read_call

_SIZE = np.float32(2.0)
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
@pytest.mark.parametrize("n_jobs", [2, 3, -1])
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


@pytest.fixture
def called(monkeypatch):
    """The objectives that boosters call, one for a call."""
    objectives = []
    derivatives = FocalObjective.gradient_hessian

    def watched(self, *arguments, **options):
        objectives.append(self)
        return derivatives(self, *arguments, **options)

    monkeypatch.setattr(FocalObjective, "gradient_hessian", watched)
    return objectives


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_an_estimator_says_its_own_number(library, n_jobs, called):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 3))
    library.model(n_jobs=n_jobs, n_estimators=2).fit(X, X[:, 0] > 1)
    assert {objective.n_jobs for objective in called} == {n_jobs}


def test_log_loss_is_xgboosts_own(called):
    """It then costs neither a call nor a copy; class weights need ours."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 3))
    y = X[:, 0] > 1
    FocalXGBClassifier(focal_gamma=0.0, n_estimators=2).fit(X, y)
    assert called == []
    FocalXGBClassifier(focal_gamma=0.0, n_estimators=2, scale_pos_weight=5).fit(X, y)
    assert [objective.gamma for objective in called] == [0.0, 0.0]


@BOTH
def test_any_number_of_threads_gives_the_same_model(library):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(2**16 + 100, 3)).astype(np.float32)
    y = rng.random(len(X)) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))
    same = {"deterministic": True} if library.name == "lightgbm" else {}
    models = [
        library.model(n_jobs=n, n_estimators=5, **same).fit(X, y) for n in (1, 2, 4)
    ]
    first, *others = (model.predict_proba(X[:1000]) for model in models)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-6)


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


def test_native_training_with_threads():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2**16 + 100, 3)).astype(np.float32)
    y = (rng.random(len(X)) < 0.1).astype(np.float32)
    alone, shared = FocalObjective(), FocalObjective(n_jobs=2)
    params = {"verbosity": -1, "num_threads": 2, "deterministic": True}
    a, b = (
        lgb.train({**params, "objective": o}, lgb.Dataset(X, y), 5).predict(X)
        for o in (alone, shared)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    matrix = xgb.QuantileDMatrix(X, y)
    params = {"nthread": 2, "base_score": 0.5, "objective": "binary:logistic"}
    a, b = (
        xgb.train(params, matrix, 5, obj=o).predict(matrix) for o in (alone, shared)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)


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


# Multiplications in float32, fused or not, as assembly has them: x86 with SSE, AVX or
# AVX-512, ARM with NEON or SVE. The last letters say how wide the register is.
_MULTIPLICATION = re.compile(
    r"^\s+(?:v?mul|vfn?m(?:add|sub)\d{3})(?P<x86>[ps]s)\s.*%(?P<register>[xyz])mm"
    r"|^\s+f(?:mul|ml[as]|n?m(?:add|sub))(?:\.(?P<lanes>4s|2s)\s"
    r"|\s+(?P<arm>[svz])\d+(?:\.(?P<suffix>4s|2s|s)\b)?)",
    re.MULTILINE,
)


def multiplications(compiled):
    """Return how many there are, by the lanes of the register: 1 is a row alone."""
    lanes = {"x": 4, "y": 8, "z": 16, "4s": 4, "2s": 2}
    count = Counter()
    for assembly in compiled.inspect_asm().values():
        for found in _MULTIPLICATION.finditer(assembly):
            if found["x86"]:
                packed = found["x86"] == "ps"
                count[lanes[found["register"]] if packed else 1] += 1
            elif found["arm"] == "z":
                count[4] += 1  # or more, which the program does not know
            elif found["arm"] != "s" or found["lanes"]:
                count[lanes.get(found["lanes"] or found["suffix"], 0)] += 1
            else:
                count[1] += 1
    return count


@njit(**ROW_OPTIONS)
def squares(values, out):
    for i in range(out.shape[0]):
        out[i] = values[i] * values[i]


@njit(**ROW_OPTIONS)
def with_a_wide_flag(values, out):
    """Halve the number of rows in a vector."""
    bad = 0
    for i in range(out.shape[0]):
        out[i] = values[i] * values[i]
        bad |= np.int64(1 if values[i] > 3 else 0)
    return bad


@njit(**ROW_OPTIONS)
def one_after_another(values, out):
    """Use the row before, so that no two can be computed at once."""
    for i in range(1, out.shape[0]):
        out[i] = (out[i - 1] + values[i]) * values[i] * np.float32(0.5)


@pytest.fixture(scope="module")
def widest():
    """The lanes of the vectors that the compiler takes for this processor."""
    values = np.zeros(16, np.float32)
    squares(values, values.copy())
    count = multiplications(squares)
    if max(count, default=1) == 1:
        pytest.skip(f"no vector instructions known for {platform.machine()}")
    return max(count)


def assert_vectorised(compiled, widest):
    """Every operation of a row has a twin on whole vectors. The loop over the rows that
    are left at the end has the operations once more, some in another form."""
    count = multiplications(compiled)
    others = max((n for lanes, n in count.items() if lanes != widest), default=0)
    assert count[widest] > 0
    assert 1.25 * count[widest] >= others, dict(count)


@pytest.mark.parametrize("loop", [with_a_wide_flag, one_after_another])
def test_a_loop_that_is_not_vectorised_is_seen(loop, widest):
    if loop is with_a_wide_flag and widest == 4:
        pytest.skip("the shortest vectors can be filled with any flag")
    values = np.zeros(16, np.float32)
    loop(values, values.copy())
    with pytest.raises(AssertionError):
        assert_vectorised(loop, widest)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "form",
    [
        posterior_form(0.0),
        posterior_form(2.0),
        Expected(_SIZE),
        Exact(_SIZE),
        Clipped(_SIZE),
    ],
    ids=lambda form: type(form).__name__,
)
@pytest.mark.parametrize("dtype", LIBRARIES)
def test_the_loop_is_vectorised(form, weighted, dtype, widest):
    """One row at a time takes twenty times as long, and nothing else tells."""
    compiled = njit(**ROW_OPTIONS)(cpu._fill_chunks.py_func)
    raw, y = np.zeros(16, dtype), np.zeros(16, np.float32)
    weight, one = (y if weighted else None), np.float32(1.0)
    ledger = np.zeros(2, openmp.OWN)
    shift, limit = np.float32(0.0), one
    work = form, raw, y, weight, (one, one), limit, shift, y.copy(), y.copy(), ledger
    compiled(*work)
    assert_vectorised(compiled, widest)


def in_a_process(code, tmp_path):
    """Run code that compiles the loops anew."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


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

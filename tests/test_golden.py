"""Models saved by earlier versions load, and predict what they predicted."""

from __future__ import annotations

import pickle
import warnings

import lightgbm
import numpy as np
import pytest
import xgboost
from golden import write

from focal_gbm.export import ModelFileError, load

FILES = sorted(write.FOLDER.glob("*.pkl"))
SAVED = sorted(write.FOLDER.glob("*.model"))
INSTALLED = {"lightgbm": lightgbm.__version__, "xgboost": xgboost.__version__}


def numbers(version):
    return [int(part) for part in version.split(".")[:2]]


def is_later(path):
    library, _, version = path.stem.partition("-")
    return numbers(version) > numbers(INSTALLED[library])


@pytest.mark.parametrize("files", [FILES, SAVED], ids=["pickles", "saved"])
def test_golden_files_of_both_libraries_exist(files):
    names = {path.name.partition("-")[0] for path in files}
    assert names == {"lightgbm", "xgboost"}
    assert max(path.stat().st_size for path in files) < 50_000


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("way", write.WAYS)
def test_a_model_saved_earlier_predicts_the_same(path, way):
    if is_later(path):
        pytest.skip(f"{INSTALLED} cannot read pickles of {path.stem}")
    content = pickle.loads(path.read_bytes())
    X, _ = write.rows()
    with warnings.catch_warnings():
        # the libraries' word that the pickle is of another version
        warnings.simplefilter("ignore", UserWarning)
        model = pickle.loads(content["pickles"][way])
    np.testing.assert_allclose(
        model.decision_function(X), content["log-odds"][way], rtol=1e-6
    )
    np.testing.assert_array_equal(model.predict(X) == "stolen", content["alerts"][way])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_objective_saved_earlier_computes_the_same(path):
    content = pickle.loads(path.read_bytes())
    X, y = write.rows()
    objective = pickle.loads(content["objective"])
    np.testing.assert_array_equal(
        objective(y == "stolen", X[:, 0]), content["derivatives"]
    )


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
def test_a_saved_file_has_the_same_probabilities_or_is_refused(path):
    """Files of later versions included: what cannot be read must not be misread."""
    pytest.importorskip("skops", reason="needs the extra [export]")
    X, _ = write.rows()
    expected = np.load(path.with_suffix(".npy"))
    assert np.ptp(expected) > 0.1
    with warnings.catch_warnings():
        # the libraries' word that the model is of another version
        warnings.simplefilter("ignore", UserWarning)
        if is_later(path):
            try:
                model = load(path)
            except ModelFileError:
                return
        else:
            model = load(path)
    found = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)

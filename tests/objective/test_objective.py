"""FocalObjective: its parameters, and what it is as a value."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from scores import GRID, both_classes

from focal_gbm import FocalLoss, FocalMetric, FocalObjective


def test_scale_and_alpha_are_class_weights():
    y, z = both_classes(GRID)
    gradient, hessian = FocalObjective(0.0, 0.8, scale=5.0)(y, z - 0.0)
    plain = FocalObjective(0.0)(y, z + np.float32(np.log(4.0)))
    weight = np.where(y > 0, 4.0, 1.0)
    np.testing.assert_allclose(gradient, plain[0] * weight, rtol=1e-5)
    np.testing.assert_allclose(hessian, plain[1] * weight, rtol=1e-5)


@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_offset_is_added_to_the_scores(link):
    y, z = both_classes(GRID)
    shifted = FocalObjective(link=link, offset=-1.5)(y, z)
    for a, b in zip(shifted, FocalObjective(link=link)(y, z - 1.5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_is_a_value():
    """Lambdas and closures break pickle, joblib and Dask elsewhere."""
    objective = FocalObjective(1.0, 0.3, link="logit", hessian="exact")
    expected = objective([0, 1], [0.3, -2.0])
    for twin in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective)):
        assert twin == objective
        assert hash(twin) == hash(objective)
        for a, b in zip(twin([0, 1], [0.3, -2.0]), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert repr(objective) == (
        "FocalObjective(gamma=1.0, alpha=0.3, link='logit', hessian='exact', "
        "scale=1.0, offset=0.0, device='cpu', n_jobs=1)"
    )
    metric = FocalMetric(metric="recall_at_fpr")
    assert pickle.loads(pickle.dumps(metric)) == metric


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"gamma": -0.1}, ValueError, "gamma must be .* got -0.1"),
        ({"gamma": 31}, ValueError, "gamma must be at most 30 .* got 31"),
        ({"gamma": 31}, ValueError, "lower gamma, or use link='logit', .* up to 1000"),
        ({"gamma": 1e300, "link": "logit"}, ValueError, r"gamma must .*1000\], got 1e"),
        ({"offset": 1e300}, ValueError, r"offset must .* \[-1e\+30, 1e\+30\], got 1e"),
        ({"scale": 1e-300}, ValueError, "scale=1e-300 and alpha=None give class 0 the"),
        ({"scale": 1e300}, ValueError, r"weight 1e\+300, which .* float32 cannot hold"),
        (
            {"alpha": 5e-324},
            ValueError,
            "alpha=5e-324 give class 1 the weight 4.94e-32",
        ),
        ({"scale": 1e21, "alpha": 0.5}, ValueError, r"lies in \[1e-20, 1e\+20\]"),
        (
            {"focal_gamma": 2},
            TypeError,
            "FocalObjective has no parameter 'focal_gamma'",
        ),
        ({"focal_gamma": 2}, TypeError, r"did you mean gamma\?"),
        ({"focal_alpha": 0.5}, TypeError, r"did you mean alpha\?"),
        ({"njobs": 1}, TypeError, r"did you mean n_jobs\?"),
        ({"xyz": 1}, TypeError, "no parameter 'xyz'; it has gamma, alpha, link, hess"),
        ({"alpha": 1.5}, ValueError, "alpha must be .* got 1.5"),
        ({"link": "probit"}, ValueError, "link must be one of .* got 'probit'"),
        (
            {"link": "logit", "hessian": "none"},
            ValueError,
            "hessian must be one of .* got 'none'",
        ),
        ({"hessian": "exact"}, ValueError, "hessian='exact' needs link='logit'"),
        ({"scale": 0.0}, ValueError, "scale must be .* got 0.0"),
        ({"offset": np.nan}, ValueError, "offset must be .* got nan"),
    ],
)
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalObjective(**kwargs)([0.0], [0.0])


def test_a_row_of_a_small_weight_may_stand_first():
    plain = FocalObjective()([0, 1], [0.0, 0.0], [0.0, 1.0])
    np.testing.assert_array_equal(plain[0] != 0, [False, True])


@pytest.mark.parametrize("cls", [FocalLoss, FocalObjective, FocalMetric])
def test_signature_and_pickle_are_those_of_a_data_class(cls):
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    assert list(inspect.signature(cls).parameters) == names
    assert list(inspect.signature(cls.__init__).parameters) == ["self", *names]
    one = dataclasses.replace(cls(), gamma=1.5)
    assert one.gamma == 1.5
    assert pickle.loads(pickle.dumps(one)) == one == copy.copy(one)

    class Child(cls):
        pass

    assert Child(gamma=3).gamma == 3
    with pytest.raises(TypeError, match=r"did you mean gamma\?"):
        Child(focal_gamma=3)

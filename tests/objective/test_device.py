"""device= of an objective: names, and the CPU where there is no GPU."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from focal_gbm import FocalObjective


@pytest.mark.parametrize("missing", ["driver", "target"])
def test_the_cpu_helps_out_and_says_so(missing, monkeypatch):
    import focal_gbm._kernels.cuda

    if missing == "driver":
        monkeypatch.setattr(
            focal_gbm._kernels.cuda, "obstacle", lambda device: "no driver"
        )
    else:
        monkeypatch.setitem(sys.modules, "focal_gbm._kernels.cuda", None)
    reason = "no driver" if missing == "driver" else "import of focal_gbm._kernels.cuda"
    y, raw = np.array([0, 1, 1]), np.array([-3.0, -1.0, 2.0], np.float32)
    objective = FocalObjective(device="cuda:1")
    message = r"device='cuda:1' cannot compute the objective, .* CPU .*: " + reason
    with pytest.warns(UserWarning, match=message):
        first = [array.copy() for array in objective(y, raw)]
    with warnings.catch_warnings():  # once for an objective
        warnings.simplefilter("error")
        second = objective(y, raw)
    for given, again, expected in zip(
        first, second, FocalObjective()(y, raw), strict=True
    ):
        np.testing.assert_array_equal(given, expected)
        np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("device", ["", "cuda:", "cuda:x", "tpu", None, 0])
def test_bad_device(device):
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or"):
        FocalObjective(device=device)

"""Labels of any two kinds, by way of a measure: what pos_label cannot say."""

from __future__ import annotations

import numpy as np
import pytest

from focal_gbm.metrics import recall_at_fpr


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([["a", "b", "a"]], r"y_true must be one-dimensional, got shape \(1, 3\)"),
        (["a", "b"], "y_true must have 3 values, one a row, got 2"),
        (["a", None, "b"], "y_true must not be missing, as it is in row 1"),
        (["a", "b", np.nan], "y_true must not be missing, as it is in row 2"),
        (["a", "b", "c"], "pos_label='a' and one other label, got 2 others: 'b', 'c'"),
    ],
)
def test_labels_beside_pos_label(y, message):
    y = np.array(y, dtype=object)
    with pytest.raises(ValueError, match=message):
        recall_at_fpr(y, [0.1, 0.5, 0.3], pos_label="a")

"""What a picture looks like."""

from __future__ import annotations

import io
from itertools import pairwise

import matplotlib.pyplot as plt


def pixels(figure):
    """Return a picture of 600 pixels in width."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=600 / figure.get_figwidth())
    buffer.seek(0)
    return plt.imread(buffer)


def texts_are_apart(ax):
    """Whether no tick label touches the next one."""
    figure = ax.figure
    figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        shown = [label for label in axis.get_ticklabels() if label.get_text()]
        low, high = ax.get_xlim() if axis is ax.xaxis else ax.get_ylim()
        boxes = [
            label.get_window_extent()
            for label in shown
            if low <= label.get_position()[0 if axis is ax.xaxis else 1] <= high
        ]
        boxes.sort(key=lambda box: (box.x0, box.y0))
        if any(a.overlaps(b) for a, b in pairwise(boxes)):
            return False
    return True

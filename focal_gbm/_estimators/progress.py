"""Progress bar over the iterations of a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from focal_gbm._validation import (
    check_flag,
)


def tree_bar(title: str, total: int | None = None) -> Any:
    """Return a bar that counts trees."""
    try:  # an extra, and slow to import
        from tqdm.auto import tqdm
    except ImportError as error:
        msg = "progress=True needs tqdm: pip install tqdm"
        raise ImportError(msg) from error
    return tqdm(desc=title, unit="tree", total=total)


class ProgressBar:
    """Bar over the iterations, from the start of training to its end."""

    def __init__(self, title: str) -> None:
        self._bar = tree_bar(title)

    def show(self, total: int, metrics: Mapping[str, float]) -> None:
        """Count one more iteration."""
        self._bar.total = total  # known only when the training runs
        self._bar.set_postfix(
            {name: f"{value:.4g}" for name, value in metrics.items()}, refresh=False
        )
        self._bar.update()

    def close(self) -> None:
        """Leave the finished bar."""
        self._bar.close()


@contextmanager
def progress_bar(estimator: Any, make: Callable[..., Any]) -> Iterator[list[Any]]:
    """Give the progress bar of a fit as a list of callbacks, empty without
    ``progress``.

    The bar is closed when the fit ends or fails, so that the next line begins below it.
    """
    is_wanted = check_flag(estimator.progress, "progress")
    bars = [make(type(estimator).__name__)] if is_wanted else []
    try:
        yield bars
    finally:  # an open bar would swallow the lines of the error
        for bar in bars:
            bar.close()

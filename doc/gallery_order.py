"""The order of the stories in the gallery."""

from __future__ import annotations

STORIES = (
    "detect_fraud",
    "side_by_side",
    "categories_and_missing",
    "search_to_service",
    "thresholds",
    "calibration",
    "late_labels",
    "explain_alerts",
    "larger_than_memory",
)


def by_story(filename: str) -> int:
    """Return the place of a story's file; a file without a place is an error."""
    return STORIES.index(filename.removesuffix(".py"))

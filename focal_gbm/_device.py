"""Where objectives that version 0.1 pickled look for a part of theirs."""

from __future__ import annotations

from focal_gbm.objective._device import Kept

__all__ = ["Kept"]

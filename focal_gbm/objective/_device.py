"""The buffers of an objective, and its arrays on a device."""

from __future__ import annotations

import re
import threading
import warnings
from typing import Any
from weakref import WeakKeyDictionary

from focal_gbm._kernels.buffers import Pair
from focal_gbm.objective._call import Call

_DEVICES = r"cpu|(cuda|gpu)(:\d+)?"  # as XGBoost spells them


def check_device(device: Any) -> None:
    """Refuse names that are not those of a device."""
    if not re.fullmatch(_DEVICES, str(device)):
        msg = f"device must be 'cpu', 'cuda' or 'cuda:<n>', got {device!r}"
        raise ValueError(msg)


class Kept(threading.local):
    """Buffers that an objective keeps between calls, and its arrays on a device, by
    thread.

    Copies and pickles of an objective start without them.
    """

    def __init__(self) -> None:
        self.pair = Pair()
        self.loops: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        self._obstacle: str | None = None

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Kept, ()

    def loop(self, call: Call, device: str, limit: float, immaturity: Any) -> Any:
        """Return the loop on the device, which has the labels and weights of the
        call."""
        from focal_gbm._kernels.cuda import Loop

        raw, data = call.raw, call.data_set
        loop = None if data is None else self.loops.get(data)
        # equal scores: boosting begins, perhaps with other labels or weights
        if loop is None or raw[0] == raw[-1] == raw[len(raw) // 2]:
            rows = call.labels, call.weight, len(raw)
            loop = Loop(*rows, device, limit, immaturity)
            if data is not None:
                self.loops[data] = loop
        return loop

    def device_works(self, device: str) -> bool:
        """Whether the device can compute derivatives; warn once if it cannot."""
        if self._obstacle is None:
            try:
                from focal_gbm._kernels.cuda import obstacle

                self._obstacle = obstacle(device)
            except ImportError as error:  # a Numba without its CUDA target
                self._obstacle = str(error)
            if self._obstacle:
                msg = (
                    f"device={device!r} cannot compute the objective, which the "
                    f"CPU does instead, with the same result: {self._obstacle}. "
                    "It needs a CUDA device and numba-cuda: pip install focal_gbm[gpu]"
                )
                warnings.warn(msg, UserWarning, stacklevel=5)
        return not self._obstacle

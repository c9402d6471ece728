"""Host memory for batches, used again once nobody holds it."""

import math
import sys
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT = 16
_OURS = 3  # references to a buffer that nobody else holds: in the queue, the loop, the call


class Buffers:
    """Arrays over memory that comes back when the last array or tensor over it is gone.

    Fresh memory costs page faults, a fifth of the time of making a volume.
    """

    def __init__(self) -> None:
        self._kept: deque[npt.NDArray[np.uint8]] = deque(maxlen=KEPT)

    def empty(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An uninitialised array that shares no memory with one in use."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self._free(size).view(dtype).reshape(shape)

    def _free(self, size: int) -> npt.NDArray[np.uint8]:
        for buffer in self._kept:
            if buffer.size == size and sys.getrefcount(buffer) == _OURS:
                return buffer
        self._kept.append(np.empty(size, np.uint8))
        return self._kept[-1]

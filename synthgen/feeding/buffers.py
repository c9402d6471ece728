"""Host memory for batches, used again once nobody holds it."""

import math
import sys
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

KEPT = 16

Bytes = npt.NDArray[np.uint8]


class Buffers:
    """Arrays over memory that comes back when the last array or tensor over it is gone.

    Fresh memory costs page faults, a fifth of the time of making a volume.
    """

    def __init__(self) -> None:
        self._kept: deque[Bytes] = deque(maxlen=KEPT)

    def empty(self, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
        """An uninitialised array that shares no memory with one in use."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return self._free(size).view(dtype).reshape(shape)

    def _free(self, size: int) -> Bytes:
        for buffer, references in zip(self._kept, _references(self._kept), strict=True):
            if buffer.size == size and references == _OURS:
                return buffer
        self._kept.append(np.empty(size, np.uint8))
        return self._kept[-1]


def _references(kept: deque[Bytes]) -> list[int]:
    """How many hold each buffer, ``kept`` and this loop included."""
    return [sys.getrefcount(buffer) for buffer in kept]


# Of a buffer that nobody else holds: measured, as interpreters differ in what they count.
(_OURS,) = _references(deque([np.empty(1, np.uint8)]))

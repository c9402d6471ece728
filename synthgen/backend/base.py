"""What every backend offers, and the workspace that its kernels share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from synthgen.backend.plan import Plan
from synthgen.kernels.records import Box, Placed, Slice

Array = Any  # numpy.ndarray, or cupy.ndarray on CUDA
Made = TypeVar("Made")


class Stage(NamedTuple):
    """One kernel of a batch, ready to run."""

    name: str
    run: Callable[[], None]


class Backend(Protocol):
    """Runs the kernels of one plan on one device."""

    name: str
    plan: Plan

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        """Uninitialised memory on the device."""
        ...

    def view(self, memory: Any) -> Array:
        """The backend's own kind of array over memory on its device, without a copy.

        Raises:
            TypeError: it is elsewhere.
        """
        ...

    def queueing_on(self, stream: int | None) -> AbstractContextManager[Any]:
        """What is started within is queued on a ``cudaStream_t``; None, or a CPU: as ever."""
        ...

    def fill(
        self, seed: int, indices: npt.NDArray[np.uint64], image: Array, label: Array, placed: Array
    ) -> None:
        """Make the volumes ``indices`` in place.

        Args:
            seed: 0 .. 2^64 - 1.
            indices: (B,) on the host.
            image: (B, D, H, W) of the plan's image type, C-contiguous, on the device.
            label: (B, D, H, W) of the plan's label type, likewise.
            placed: (B, N, Placed.SIZE) int32, likewise.
        """
        ...

    def stages(
        self, seed: int, indices: npt.NDArray[np.uint64], image: Array, label: Array, placed: Array
    ) -> list[Stage]:
        """The kernels that ``fill`` runs for one batch, in order, for a benchmark to time."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was started is done."""
        ...

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        """The array in host memory."""
        ...


def workspace(plan: Plan, count: int, xp: Any) -> dict[str, Array]:
    """Tables and arena for ``count`` volumes, from ``numpy`` or ``cupy``."""
    depth, height, _ = plan.shape
    shapes, variants = plan.shapes, plan.variants
    return {
        "objects": xp.empty((count, shapes.objects, shapes.columns), np.int32),
        "boxes": xp.empty((count, variants, int(Box.SIZE)), np.int32),
        "slices": xp.empty((count, variants, shapes.slices, int(Slice.SIZE)), np.int32),
        "labels": xp.empty((count, variants, shapes.rows), np.uint64),
        "lines": xp.empty((count, variants, shapes.rows), np.uint64),
        "occupied": xp.empty((count, depth, plan.row_words, height), np.uint64),
    }


def placed_shape(plan: Plan, count: int) -> tuple[int, int, int]:
    return count, plan.shapes.objects, int(Placed.SIZE)


def in_parts(count: int, size: int, make: Callable[[slice], Made]) -> Iterator[Made]:
    """Yield ``make`` of consecutive parts of 0 .. count - 1, halved whenever memory runs out.

    Raises:
        MemoryError: it does not suffice for a part of one.
    """
    start = 0
    while start < count:
        part = slice(start, min(start + size, count))
        try:
            made = make(part)
        except MemoryError:
            if size == 1:
                raise
            size = (min(size, count - start) + 1) // 2
            continue
        yield made
        start = part.stop

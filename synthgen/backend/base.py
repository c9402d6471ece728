"""What every backend offers, and what a kernel's call is made of."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from synthgen.backend.plan import AnyPlan
from synthgen.kernels.records import Placed

Array = Any  # numpy.ndarray, or cupy.ndarray on CUDA
Made = TypeVar("Made")
Grid = tuple[int, int, int]
Outputs = Mapping[str, Array]  # by name, as of ``output_kinds``


class Stage(NamedTuple):
    """One kernel of a batch, ready to run."""

    name: str
    run: Callable[[], None]


@dataclass(frozen=True)
class Stages:
    """The kernels of a batch in order.

    Attributes:
        stages: ready to run.
        arrays: what they read and write, by name, outputs and scratch; on the CPU of one volume.
    """

    stages: list[Stage]
    arrays: Mapping[str, Array]

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)


class Scratch(NamedTuple):
    """An array that kernels pass on, of one volume."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Buffers:
    """What the kernels of a batch read and write.

    Attributes:
        seed: uint64.
        indices: (B,) uint64 volume indices, on the device.
        arrays: the outputs (the image as unsigned bit patterns), scratch and constants, by name. On
            the CPU of one volume, on CUDA of B: there outputs and scratch have a leading axis.
    """

    seed: np.uint64
    indices: Array
    arrays: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def __len__(self) -> int:
        return len(self.indices)


class Launcher(Protocol):
    """Starts CUDA kernels."""

    def launch(
        self,
        name: str,
        grid: Grid,
        threads: int,
        args: tuple[Any, ...],
        *,
        shared: int = 0,
        **defines: str,
    ) -> None:
        """Start ``name.cu``.

        Args:
            grid: blocks along x, y, z.
            threads: of a block.
            shared: dynamic shared memory, bytes.
            defines: preprocessor constants.
        """
        ...

    def numba(self, name: str, blocks: int, args: tuple[Any, ...]) -> None:
        """Start a kernel that Numba compiles, of one block a volume."""
        ...


class Call(ABC):
    """One kernel pair with its constant arguments: all that a backend needs to know of it.

    Attributes:
        name: of the stage, as benchmarks show it.
    """

    name: ClassVar[str]

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        """Tables that are the same for every volume."""
        return {}

    def scratch(self) -> Mapping[str, Scratch]:
        """Arrays that this call is the first to write."""
        return {}

    @abstractmethod
    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        """The twin, ready to run on one volume."""

    @abstractmethod
    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        """The launch, ready to be queued for a batch."""


class Backend(Protocol):
    """Runs the kernels of one plan on one device."""

    name: str

    @property
    def plan(self) -> AnyPlan:
        """What it makes."""
        ...

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

    def fill(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> None:
        """Make the volumes ``indices`` in place.

        Args:
            seed: 0 .. 2^64 - 1.
            indices: (B,) on the host.
            outputs: arrays of ``output_kinds``, C-contiguous, on the device.
        """
        ...

    def stages(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> Stages:
        """The kernels that ``fill`` runs for one batch, for a benchmark to time."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was started is done."""
        ...

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        """The array in host memory."""
        ...


def workspace(calls: Iterable[Call], count: int, xp: Any) -> dict[str, Array]:
    """Scratch arrays of all calls for ``count`` volumes, from ``numpy`` or ``cupy``."""
    arrays = scratch_of(calls)
    return {name: xp.empty((count, *shape), dtype) for name, (shape, dtype) in arrays.items()}


def scratch_of(calls: Iterable[Call]) -> dict[str, Scratch]:
    """Scratch arrays of all calls by name; calls share those of one name, the largest."""
    found: dict[str, Scratch] = {}
    for call in calls:
        for name, array in call.scratch().items():
            if name not in found or math.prod(found[name].shape) < math.prod(array.shape):
                found[name] = array
    return found


def workspace_bytes(calls: Iterable[Call]) -> int:
    """Scratch memory of one volume."""
    arrays = scratch_of(calls).values()
    return sum(math.prod(array.shape) * np.dtype(array.dtype).itemsize for array in arrays)


def constants(
    calls: Iterable[Call], upload: Callable[[npt.NDArray[Any]], Array]
) -> dict[str, Array]:
    """Constant tables of all calls on the device."""
    return {name: upload(table) for call in calls for name, table in call.constants().items()}


def patterns(outputs: Outputs) -> dict[str, Array]:
    """The outputs with the image as unsigned integers of the same size."""
    image = outputs["image"]
    return {**outputs, "image": image.view(f"uint{8 * image.dtype.itemsize}")}


def cuda_stages(
    calls: Iterable[Call],
    start: Launcher,
    seed: int,
    indices: Array,
    arrays: Mapping[str, Array],
) -> Stages:
    """The launches of a batch in order, as many whatever its length.

    Args:
        calls: of the plan.
        start: how kernels are started.
        seed: 0 .. 2^64 - 1.
        indices: (B,) uint64 on the device.
        arrays: outputs, scratch and constants, see ``Buffers``.
    """
    batch = Buffers(np.uint64(seed), indices, arrays)
    return Stages([Stage(call.name, call.on_cuda(batch, start)) for call in calls], arrays)


def output_kinds(plan: AnyPlan, count: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of what a backend writes for ``count`` volumes, by name."""
    kinds: dict[str, tuple[tuple[int, ...], str]] = {
        "image": ((count, plan.channels, *plan.shape), plan.image_dtype),
        "label": ((count, *plan.label_shape), plan.label_dtype),
        "placed": ((count, plan.objects, int(Placed.SIZE)), "int32"),
    }
    if plan.prompts is not None:
        kinds["prompts"] = ((count, *plan.prompts.shape), "int32")
    return kinds


def batch_high(free: int, calls: Iterable[Call], most: int) -> int:
    """Volumes whose workspace fits into ``free`` bytes, 1 .. ``most``."""
    return max(1, min(free // max(1, workspace_bytes(calls)), most))


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

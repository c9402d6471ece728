"""From a recipe to batches of volumes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthgen.recipe import Recipe

Array = Any  # numpy.ndarray, or cupy.ndarray on CUDA
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Batch:
    """Labelled volumes, z y x, on the device that made them.

    Attributes:
        image: (B, C, D, H, W), uint8, float16 or float32.
        label: (B, T, D, H, W), uint8 or uint16, 0 = background; T label maps, one a task.
        index: (B,) uint64 volume indices, on the host.
        placed: (B, N, Placed.SIZE) int32: where each object went, or that it was dropped.
    """

    image: Array
    label: Array
    index: npt.NDArray[np.uint64]
    placed: Array

    def numpy(self) -> "Batch":
        """The batch in host memory."""
        ...


class Generator:
    """Makes volumes of one recipe and seed on one device."""

    def __init__(self, recipe: Recipe | str, *, seed: int = 0, device: Device = "auto") -> None: ...

    def empty(self, count: int) -> Batch:
        """Buffers for ``count`` volumes, uninitialised."""
        ...

    def fill(self, batch: Batch) -> None:
        """Make the volumes ``batch.index`` in the batch's own buffers."""
        ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """Make the volumes ``indices``."""
        ...


def generate(
    recipe: Recipe | str, *, seed: int = 0, indices: Sequence[int], device: Device = "auto",
    batch_size: int | None = None,
) -> Iterator[Batch]: ...  # fmt: skip


def generate_one(recipe: Recipe | str, seed: int, index: int) -> Batch: ...

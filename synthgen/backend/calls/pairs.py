"""The call of the kernel that crops images with label maps."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import PairTables, Plan
from synthgen.kernels.crop_pair import crop_pair

_BLOCK = 4096  # voxels of a block of crop_pair.cu
_BYTE_HIGH = np.float32(255)


@dataclass(frozen=True)
class CropPair(Call):
    """``crop_pair``.

    Attributes:
        shape: (D, H, W) in voxels.
        image_dtype, label_dtype: NumPy names.
    """

    pairs: PairTables
    shape: tuple[int, int, int]
    image_dtype: str
    label_dtype: str
    name = "crop"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        images = levels_of(self.pairs.images, self.image_dtype)
        return {
            "case_sides": self.pairs.sides,
            "case_starts": self.pairs.starts,
            "case_images": images.view(f"uint{8 * images.itemsize}"),
            "case_labels": self.pairs.labels.astype(self.label_dtype, copy=False),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            crop_pair, *self._cases(volume), volume.seed, volume.indices[0], volume["image"],
            volume["label"], volume["placed"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        sizes = (len(self.pairs.starts), self.pairs.channels, *self.shape)
        image_type = f"uint{8 * np.dtype(self.image_dtype).itemsize}"
        return partial(
            start.launch, "crop_pair", (-(-math.prod(self.shape) // _BLOCK), len(batch), 1), 256,
            (
                *self._cases(batch), batch.seed, batch.indices, batch["image"], batch["label"],
                batch["placed"], *(np.int32(size) for size in sizes),
            ),
            IMAGE_TYPE=C_TYPES[image_type], LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip

    def _cases(self, buffers: Buffers) -> list[Any]:
        names = ("case_sides", "case_starts", "case_images", "case_labels")
        return [buffers[name] for name in names]


def levels_of(images: npt.NDArray[np.float16], dtype: str) -> npt.NDArray[Any]:
    """Intensities 0 .. 1 as images hold them: bytes hold 255 times as much, to the nearest."""
    if dtype != "uint8":
        return images.astype(dtype, copy=False)
    levels = np.empty(images.shape, np.uint8)
    step = 2**24  # values at a time
    for first in range(0, len(images), step):
        part = images[first : first + step].astype(np.float32)
        levels[first : first + step] = np.rint(part * _BYTE_HIGH)
    return levels


def pairs_calls(plan: Plan, pairs: PairTables) -> list[Call]:
    """The calls that make a volume, in order."""
    return [CropPair(pairs, plan.shape, plan.image_dtype, plan.label_dtype)]

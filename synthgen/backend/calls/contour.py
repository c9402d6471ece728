"""Calls of the kernels that paint polygon stacks as contours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import ContourTables, PolygonStackTables
from synthgen.kernels.paint_contour import paint_contour
from synthgen.kernels.uniform_noise import uniform_noise


@dataclass(frozen=True)
class PaintContour(Call):
    """``paint_contour``: image and label map.

    Attributes:
        lit: the image is drawn.
    """

    shapes: PolygonStackTables
    contour: ContourTables
    shape: tuple[int, int, int]
    label_dtype: str
    lit: bool = True
    name = "paint"

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        levels, value = self.contour.levels, self.contour.value
        return partial(
            paint_contour, volume["objects"], volume["placed"], volume["boxes"], volume["slices"],
            volume["labels"], volume["lines"], levels[0], levels[value],
            int(self.lit), volume["image"].reshape(-1), volume["label"].reshape(-1), self.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes, levels = self.shapes, self.contour.levels
        depth, height, width = self.shape
        return partial(
            start.launch, "paint_contour", (depth, len(batch), 1), 256,
            (
                batch["objects"], batch["placed"], batch["boxes"], batch["slices"],
                batch["labels"], batch["lines"], np.uint32(levels[0]),
                np.uint32(levels[self.contour.value]), np.int32(self.lit),
                batch["image"], batch["label"],
                np.int32(shapes.objects), np.int32(shapes.columns), np.int32(shapes.variants),
                np.int32(shapes.slices), np.int64(shapes.rows), np.int32(depth), np.int32(height),
                np.int32(width),
            ),
            IMAGE_TYPE=C_TYPES[levels.dtype.name],
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


@dataclass(frozen=True)
class UniformNoise(Call):
    """``uniform_noise`` over the whole image."""

    contour: ContourTables
    shape: tuple[int, int, int]
    name = "noise"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"levels": self.contour.levels}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            uniform_noise, *self.contour.noise, self.contour.value, volume["levels"], volume.seed,
            volume.indices[0], volume["image"].reshape(-1),
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        low, high = self.contour.noise
        depth, height, width = self.shape
        voxels = depth * height * width
        return partial(
            start.launch, "uniform_noise", (-(-voxels // 1024), len(batch), 1), 256,
            (
                np.int32(low), np.int32(high), np.int32(self.contour.value), batch["levels"],
                batch.seed, batch.indices, batch["image"], np.int64(voxels),
            ),
            IMAGE_TYPE=C_TYPES[self.contour.levels.dtype.name],
        )  # fmt: skip

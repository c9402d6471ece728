"""Calls of the kernels that draw star-shaped masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import MaskTables, NeighboursTables, Plan
from synthgen.kernels.draw_masks import draw_masks
from synthgen.kernels.mask_records import (
    WALK_CHANNELS,
    WALK_WINDOW,
    MaskForm,
    MaskSection,
    MaskSetting,
)
from synthgen.kernels.sample_masks import sample_masks

_SAMPLE_THREADS, _DRAW_THREADS = 64, 256


@dataclass(frozen=True)
class SampleMasks(Call):
    """``sample_masks``: structures, and what each slice shows of them."""

    shapes: MaskTables
    placement: NeighboursTables
    shape: tuple[int, int, int]
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        row = self.shapes.settings + self.placement.settings
        margin = self.placement.margin
        for first, side in ((MaskSetting.Y_LOW, self.shape[1]), (MaskSetting.X_LOW, self.shape[2])):
            # A side's voxels reach from -1/2 to the side less 1/2.
            row[first : first + 2] = margin * side - 0.5, (1 - margin) * side - 0.5
        return {"settings": row}

    def scratch(self) -> Mapping[str, Scratch]:
        objects, depth = self.shapes.objects, self.shape[0]
        return {
            "forms": Scratch((objects, int(MaskForm.SIZE)), "float32"),
            "sections": Scratch((objects, depth, int(MaskSection.SIZE)), "float32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_masks, volume["settings"], volume.seed, volume.indices[0], volume["forms"],
            volume["sections"], volume["placed"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        depth = self.shape[0]
        families = int(self.shapes.settings[MaskSetting.STRUCTURES_HIGH])
        return partial(
            start.launch, "sample_masks", (families, len(batch), 1), _SAMPLE_THREADS,
            (
                batch["settings"], batch.seed, batch.indices, batch["forms"], batch["sections"],
                batch["placed"], np.int32(self.shapes.objects), np.int32(depth),
            ),
            shared=4 * WALK_CHANNELS * (depth + WALK_WINDOW - 1),
        )  # fmt: skip


@dataclass(frozen=True)
class DrawMasks(Call):
    """``draw_masks``: the label map."""

    shapes: MaskTables
    shape: tuple[int, int, int]
    label_dtype: str
    name = "draw"

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            draw_masks, volume["sections"], self.shapes.least_voxels, volume["label"][0],
            volume["placed"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "draw_masks", (self.shape[0], len(batch), 1), _DRAW_THREADS,
            (
                batch["sections"], np.int64(self.shapes.least_voxels), batch["label"],
                batch["placed"], np.int32(self.shapes.objects), *map(np.int32, self.shape),
            ),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


def masks_calls(plan: Plan, shapes: MaskTables, placement: NeighboursTables) -> list[Call]:
    """The calls that make the label map of star-shaped masks."""
    return [
        SampleMasks(shapes, placement, plan.shape),
        DrawMasks(shapes, plan.shape, plan.label_dtype),
    ]

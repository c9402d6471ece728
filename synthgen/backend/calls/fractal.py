"""Calls of the kernels that make fractals: sampled, and drawn as masks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.sdf import LabelByVolume
from synthgen.backend.plan import FractalTables, FreeTables, Plan
from synthgen.kernels.draw_fractal import draw_fractal
from synthgen.kernels.fractal_records import FRACTAL_PARTS, FractalRow, FractalSampling
from synthgen.kernels.sample_fractal import sample_fractal
from synthgen.kernels.scene_records import SceneObject

Shape = tuple[int, int, int]
_MASK_BITS = 32
_THREADS = 128


def fractal_calls(plan: Plan, shapes: FractalTables, placement: FreeTables) -> list[Call]:
    """What makes the label map and ``placed``, as ``label_by_volume`` does."""
    return [
        SampleFractal(shapes, placement.spread),
        DrawFractal(shapes, plan.shape),
        LabelByVolume(shapes, plan.labels, plan.label_dtype, "placed", plan.shape),
    ]


@dataclass(frozen=True)
class SampleFractal(Call):
    """``sample_fractal``; centres are drawn up to ``spread`` parts of each side from the middle."""

    shapes: FractalTables
    spread: float
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        settings = self.shapes.settings.copy()
        settings[FractalSampling.SPREAD] = round(self.spread * 65536)
        return {
            "fractal_settings": settings,
            "fractal_systems": self.shapes.systems,
            "fractal_slots": self.shapes.slots,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.shapes.objects
        return {
            "scene": Scratch((objects, int(SceneObject.SIZE)), "float32"),
            "fractals": Scratch((objects, FRACTAL_PARTS, int(FractalRow.SIZE)), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_fractal, volume["fractal_settings"], volume["fractal_systems"],
            volume["fractal_slots"], volume.seed, volume.indices[0], volume["scene"],
            volume["fractals"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        count, objects = len(batch), self.shapes.objects
        return partial(
            start.launch, "sample_fractal", (-(-count * objects // 32), 1, 1), 32,
            (
                batch["fractal_settings"], batch["fractal_systems"], batch["fractal_slots"],
                np.int32(len(self.shapes.systems)), batch.seed, batch.indices, batch["scene"],
                batch["fractals"], np.int32(count), np.int32(objects),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class DrawFractal(Call):
    """``draw_fractal``: where each object is."""

    shapes: FractalTables
    shape: Shape
    name = "draw"

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.shapes.objects
        return {
            "masks": Scratch((-(-objects // _MASK_BITS), *self.shape), "uint32"),
            "counts": Scratch((objects,), "int64"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        shapes = self.shapes
        return partial(
            draw_fractal, volume["fractals"], volume["fractal_slots"], shapes.chains,
            shapes.mixed, volume.seed, volume.indices[0], volume["masks"], volume["counts"],
            self.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes = self.shapes
        blocks = -(-shapes.objects * shapes.chains // _THREADS)
        launch = partial(
            start.launch, "draw_fractal", (blocks, len(batch), 1), _THREADS,
            (
                batch["fractals"], batch["fractal_slots"], np.int32(shapes.chains),
                np.int32(shapes.mixed), batch.seed, batch.indices, batch["masks"],
                batch["counts"], np.int32(shapes.objects), *map(np.int32, self.shape),
            ),
        )  # fmt: skip
        return partial(_cleared, (batch["masks"], batch["counts"]), launch)


def _cleared(arrays: tuple[Any, ...], launch: Callable[[], None]) -> None:
    """Queue what sets arrays to 0, then what adds to them."""
    for array in arrays:
        array.fill(0)
    launch()

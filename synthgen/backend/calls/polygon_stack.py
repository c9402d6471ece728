"""Calls of the kernels that make polygon stacks: sampled, rasterized into bit rows, turned."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.plan import ContourTables, PolygonStackTables
from synthgen.kernels.rasterize_polygon_stack import rasterize_polygon_stack
from synthgen.kernels.records import Box, Slice
from synthgen.kernels.sample_polygon_stack import sample_polygon_stack
from synthgen.kernels.turn import turn


@dataclass(frozen=True)
class SamplePolygonStack(Call):
    """``sample_polygon_stack``."""

    shapes: PolygonStackTables
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        shapes = self.shapes
        return {
            "settings": shapes.settings,
            "xy_vertices": shapes.xy_vertices,
            "z_rules": shapes.z_rules,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        shapes = self.shapes
        return {
            "objects": Scratch((shapes.objects, shapes.columns), "int32"),
            "boxes": Scratch((shapes.variants, int(Box.SIZE)), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_polygon_stack, volume["settings"], volume["xy_vertices"], volume["z_rules"],
            volume.seed, volume.indices[0], len(self.shapes.orientations), volume["objects"],
            volume["boxes"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        count, objects = len(batch), self.shapes.objects
        return partial(
            start.launch, "sample_polygon_stack", (-(-count * objects // 64), 1, 1), 64,
            (
                batch["settings"], batch["xy_vertices"], batch["z_rules"], batch.seed,
                batch.indices, np.int32(len(self.shapes.orientations)), batch["objects"],
                batch["boxes"], np.int32(count), np.int32(objects), np.int32(self.shapes.columns),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class RasterizePolygonStack(Call):
    """``rasterize_polygon_stack``: label rows, and line rows for contours."""

    shapes: PolygonStackTables
    contour: ContourTables
    name = "rasterize"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"label_discs": self.contour.label_discs, "line_discs": self.contour.line_discs}

    def scratch(self) -> Mapping[str, Scratch]:
        shapes = self.shapes
        return {
            "slices": Scratch((shapes.variants, shapes.slices, int(Slice.SIZE)), "int32"),
            "labels": Scratch((shapes.variants, shapes.rows), "uint64"),
            "lines": Scratch((shapes.variants, shapes.rows), "uint64"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        shapes, contour = self.shapes, self.contour
        return partial(
            rasterize_polygon_stack, volume["objects"], len(shapes.orientations), shapes.side,
            contour.label_radius, contour.line_radius, volume["label_discs"],
            volume["line_discs"], volume["boxes"], volume["slices"], volume["labels"],
            volume["lines"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes, contour = self.shapes, self.contour
        return partial(
            start.launch, "rasterize_polygon_stack", (shapes.depth, shapes.objects, len(batch)),
            128,
            (
                batch["objects"], np.int32(len(shapes.orientations)),
                np.int32(contour.label_radius), np.int32(contour.line_radius),
                batch["label_discs"], batch["line_discs"], batch["boxes"], batch["slices"],
                batch["labels"], batch["lines"], np.int32(shapes.objects),
                np.int32(shapes.columns), np.int32(contour.label_discs.size // 64),
                np.int32(contour.line_discs.size // 64), np.int32(shapes.slices),
                np.int64(shapes.rows),
            ),
            shared=24 * shapes.side * ((shapes.side + 63) // 64),
        )  # fmt: skip


@dataclass(frozen=True)
class Turn(Call):
    """``turn``: the rows of every other orientation."""

    shapes: PolygonStackTables
    name = "turn"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"orientations": self.shapes.orientations}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            turn, volume["orientations"], volume["boxes"], volume["slices"], volume["labels"],
            volume["lines"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes = self.shapes
        return partial(
            start.launch, "turn", (shapes.slices, shapes.variants, len(batch)), 128,
            (
                batch["orientations"], batch["boxes"], batch["slices"], batch["labels"],
                batch["lines"], np.int32(len(shapes.orientations)), np.int32(shapes.variants),
                np.int32(shapes.slices), np.int64(shapes.rows),
            ),
        )  # fmt: skip

"""Calls of the kernels that draw scenes of signed distance functions, and label them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Grid, Launcher, Scratch
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import (
    LabelTables,
    MapperTables,
    ObjectTables,
    PolygonStackTables,
    SceneTables,
    SdfTables,
)
from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.draw_sdf import draw_sdf
from synthgen.kernels.frame_sdf import frame_sdf
from synthgen.kernels.hollow_sdf import hollow_sdf
from synthgen.kernels.label_by_volume import label_by_volume
from synthgen.kernels.label_volume import label_volume
from synthgen.kernels.mapper_records import MapperFamily, MapperRow, NoiseRow
from synthgen.kernels.move_sdf import move_sdf
from synthgen.kernels.polygon_stack_scene import polygon_stack_scene
from synthgen.kernels.rasterize_sdf import rasterize_sdf
from synthgen.kernels.records import Box, Placed, Slice
from synthgen.kernels.sample_sdf import sample_sdf
from synthgen.kernels.scene_records import SceneBound, SceneObject, SdfSampling
from synthgen.kernels.sdf_records import SdfRow

Shape = tuple[int, int, int]
_MASK_BITS = 32
_TILE = (4, 8, 8)  # of a block of draw_sdf.cu
_LABEL_BLOCK = 4096  # voxels of a block of label_by_volume.cu


# Draws nothing, where labels alone are asked for.
BLACK_MAPPERS = MapperTables(
    mappers=np.array([[MapperFamily.LINEAR, *[0.0] * (MapperRow.SIZE - 1)]], np.float32),
    texture=np.zeros(NoiseRow.SIZE, np.float32),
)


@dataclass(frozen=True)
class SampleSdf(Call):
    """``sample_sdf``; centres are drawn about the middle, ``spread`` parts of each side away."""

    shapes: SdfTables
    spread: float
    mappers: int
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        settings = self.shapes.settings.copy()
        settings[SdfSampling.SPREAD] = self.spread
        return {
            "settings": settings,
            "entries": self.shapes.entries,
            "classes": self.shapes.classes,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        return _scene_scratch(self.shapes)

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_sdf, volume["settings"], volume["entries"], volume["classes"],
            len(self.shapes.displacements), self.mappers, volume.seed, volume.indices[0],
            volume["scene"], volume["parts"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes, count = self.shapes, len(batch)
        return partial(
            start.launch, "sample_sdf", _of_objects(count, shapes), 64,
            (
                batch["settings"], batch["entries"], batch["classes"],
                np.int32(len(shapes.entries)), np.int32(len(shapes.displacements)),
                np.int32(self.mappers), batch.seed, batch.indices, batch["scene"], batch["parts"],
                np.int32(count), np.int32(shapes.objects), np.int32(shapes.parts),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class HollowSdf(Call):
    """``hollow_sdf``: the walls of onions."""

    shapes: SdfTables
    shape: Shape
    name = "hollow"

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            hollow_sdf, volume["scene"], volume["parts"], self.shape, int(self.shapes.slab)
        )

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes = self.shapes
        grid = (shapes.objects * shapes.parts, len(batch), 1)
        return partial(
            start.launch, "hollow_sdf", grid, 256,
            (
                batch["scene"], batch["parts"], np.int32(shapes.slab), np.int32(shapes.objects),
                np.int32(shapes.parts), *map(np.int32, self.shape),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class FrameSdf(Call):
    """``frame_sdf``: boxes, for placing."""

    scene: SceneTables
    shape: Shape
    name = "frame"

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.scene.objects
        return {
            "boxes": Scratch((objects, int(Box.SIZE)), "int32"),
            "origins": Scratch((objects, 3), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            frame_sdf, volume["scene"], volume["parts"], self.shape, volume["boxes"],
            volume["origins"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        scene, count = self.scene, len(batch)
        return partial(
            start.launch, "frame_sdf", _of_objects(count, scene), 64,
            (
                batch["scene"], batch["parts"], batch["boxes"], batch["origins"],
                np.int32(count), np.int32(scene.objects), np.int32(scene.parts),
                *map(np.int32, self.shape),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class RasterizeSdf(Call):
    """``rasterize_sdf``: rows of bits, for placing."""

    scene: SceneTables
    shape: Shape
    name = "rasterize"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"grids": self.scene.grids}

    @property
    def _row_words(self) -> int:
        """Of the largest object: it fills the volume."""
        depth, height, width = self.shape
        return depth * height * ((width + 63) // 64)

    def scratch(self) -> Mapping[str, Scratch]:
        objects, depth = self.scene.objects, self.shape[0]
        return {
            "slices": Scratch((objects, depth, int(Slice.SIZE)), "int32"),
            "labels": Scratch((objects, self._row_words), "uint64"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            rasterize_sdf, volume["scene"], volume["parts"], volume["grids"], volume["origins"],
            volume["boxes"], volume["slices"], volume["labels"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        scene, depth = self.scene, self.shape[0]
        return partial(
            start.launch, "rasterize_sdf", (depth, scene.objects, len(batch)), 128,
            (
                batch["scene"], batch["parts"], batch["grids"], batch["origins"], batch["boxes"],
                batch["slices"], batch["labels"], np.int32(scene.objects), np.int32(scene.parts),
                np.int32(scene.grids.shape[-1]), np.int32(depth), np.int64(self._row_words),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class MoveSdf(Call):
    """``move_sdf``: from the middle to where each object was placed."""

    scene: SceneTables
    name = "move"

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(move_sdf, volume["placed"], volume["origins"], volume["scene"])

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        count = len(batch)
        return partial(
            start.launch, "move_sdf", _of_objects(count, self.scene), 64,
            (
                batch["placed"], batch["origins"], batch["scene"], np.int32(count),
                np.int32(self.scene.objects),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class PolygonStackScene(Call):
    """``polygon_stack_scene``: placed polygon stacks as a scene."""

    shapes: PolygonStackTables
    mappers: int
    name = "scene"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"orientations": self.shapes.orientations}

    def scratch(self) -> Mapping[str, Scratch]:
        return _scene_scratch(self.shapes.scene)

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            polygon_stack_scene, volume["objects"], volume["placed"], volume["orientations"],
            self.mappers, volume.seed, volume.indices[0], volume["scene"], volume["parts"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        shapes, count = self.shapes, len(batch)
        return partial(
            start.launch, "polygon_stack_scene", _of_objects(count, shapes.scene), 64,
            (
                batch["objects"], batch["placed"], batch["orientations"],
                np.int32(len(shapes.orientations)), np.int32(self.mappers), batch.seed,
                batch.indices, batch["scene"], batch["parts"], np.int32(count),
                np.int32(shapes.objects), np.int32(shapes.columns),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class BoundSdf(Call):
    """``bound_sdf``: where each object's distance may be within its mapper's reach.

    On CUDA it also sets to 0 what ``draw_sdf`` counts.
    """

    scene: SceneTables
    appearance: MapperTables
    name = "bound"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"depths": self.scene.depths, "mappers": self.appearance.mappers}

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.scene.objects
        return {
            "bounds": Scratch((objects, int(SceneBound.SIZE)), "float32"),
            "counts": Scratch((objects,), "int64"),
            "evaluations": Scratch((1,), "int64"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            bound_sdf, volume["scene"], volume["parts"], volume["depths"], volume["mappers"],
            volume["bounds"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        scene, count = self.scene, len(batch)
        return partial(
            start.launch, "bound_sdf", _of_objects(count, scene), 64,
            (
                batch["scene"], batch["parts"], batch["depths"], batch["mappers"],
                batch["bounds"], batch["counts"], batch["evaluations"], np.int32(count),
                np.int32(scene.objects), np.int32(scene.parts),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class DrawSdf(Call):
    """``draw_sdf``: the image, and where each object is."""

    scene: SceneTables
    appearance: MapperTables
    shape: Shape
    name = "draw"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {
            "displacements": self.scene.displacements,
            "axis_tables": self.scene.axis_tables,
            "texture": self.appearance.texture,
            "grids": self.scene.grids,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        return {"masks": Scratch((-(-self.scene.objects // _MASK_BITS), *self.shape), "uint32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            draw_sdf, volume["scene"], volume["parts"], volume["bounds"], volume["displacements"],
            volume["axis_tables"], volume["mappers"], volume["texture"],
            int(self.scene.object_frame), volume["grids"], volume["image"].reshape(-1),
            volume["masks"], volume["counts"], volume["evaluations"], self.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        scene = self.scene
        tiles = [-(-side // tile) for side, tile in zip(self.shape, _TILE, strict=True)]
        return partial(
            start.launch, "draw_sdf", (math.prod(tiles), len(batch), 1), 256,
            (
                batch["scene"], batch["parts"], batch["bounds"], batch["displacements"],
                batch["axis_tables"], batch["mappers"], batch["texture"],
                np.int32(scene.object_frame), batch["grids"], batch["image"], batch["masks"],
                batch["counts"], batch["evaluations"], np.int32(scene.objects),
                np.int32(scene.parts), np.int32(scene.axis_tables.shape[-1]),
                np.int32(scene.grids.shape[-1]), *map(np.int32, self.shape),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class LabelByVolume(Call):
    """``label_by_volume``: label maps of all tasks; the painting order, into ``order``."""

    scene: ObjectTables
    labels: LabelTables
    label_dtype: str
    order: str
    shape: Shape
    name = "label"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"tasks": self.labels.tasks}

    def scratch(self) -> Mapping[str, Scratch]:
        return _order_scratch(self.scene, self.order)

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        label = volume["label"]
        return partial(
            label_by_volume, volume["scene"], volume["masks"], volume["counts"], volume["tasks"],
            label.reshape(len(label), -1), volume[self.order],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        voxels = int(np.prod(self.shape, dtype=np.int64))
        return partial(
            start.launch, "label_by_volume", (-(-voxels // _LABEL_BLOCK), len(batch), 1), 256,
            (
                batch["scene"], batch["masks"], batch["counts"], batch["tasks"], batch["label"],
                batch[self.order], np.int32(self.scene.objects),
                np.int32(len(self.labels.tasks)), np.int64(voxels),
            ),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


@dataclass(frozen=True)
class LabelVolume(Call):
    """``label_volume``: one value a task of the whole volume; the objects, into ``order``."""

    scene: SceneTables
    labels: LabelTables
    label_dtype: str
    order: str
    name = "label"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"tasks": self.labels.tasks}

    def scratch(self) -> Mapping[str, Scratch]:
        return _order_scratch(self.scene, self.order)

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            label_volume, volume["scene"], volume["tasks"], volume["label"], volume[self.order]
        )

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        count = len(batch)
        return partial(
            start.launch, "label_volume", _of_objects(count, self.scene), 64,
            (
                batch["scene"], batch["tasks"], batch["label"], batch[self.order], np.int32(count),
                np.int32(self.scene.objects), np.int32(len(self.labels.tasks)),
            ),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


def _scene_scratch(scene: SceneTables) -> Mapping[str, Scratch]:
    return {
        "scene": Scratch((scene.objects, int(SceneObject.SIZE)), "float32"),
        "parts": Scratch((scene.objects, scene.parts, int(SdfRow.SIZE)), "float32"),
    }


def _order_scratch(scene: ObjectTables, order: str) -> Mapping[str, Scratch]:
    """None for the output ``placed``."""
    table = Scratch((scene.objects, int(Placed.SIZE)), "int32")
    return {} if order == "placed" else {order: table}


def _of_objects(count: int, scene: SceneTables) -> Grid:
    """Blocks of 64 threads, one an object of ``count`` volumes."""
    return -(-count * scene.objects // 64), 1, 1

"""Kernels of scenes of signed distance functions: CUDA's source against its twins, bit for bit."""

from dataclasses import dataclass

import numpy as np
import pytest

from synthgen.backend.calls.types import C_TYPES
from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.draw_sdf import draw_sdf
from synthgen.kernels.hollow_sdf import hollow_sdf
from synthgen.kernels.label_by_volume import label_by_volume
from synthgen.kernels.mapper_records import NoiseRow
from synthgen.kernels.records import Placed
from synthgen.kernels.scene_records import SceneBound, SceneObject
from synthgen.kernels.sdf_records import GRID_EXTENT, SdfLift, SdfRow
from synthgen.shapes.displacements import DISPLACEMENTS, axis_tables, noise_row
from synthgen.shapes.sdf_classes import CLASSES
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.sdf_scenes import Scene, mapper_rows, scene_of

pytestmark = needs_compiler

Shape = tuple[int, int, int]
ONIONS = tuple(which for which in CLASSES if which.onion)
ORDERS = [0, 1, 2]
MAPPERS = mapper_rows()
COLUMNS = np.array([SceneObject.CLASS, SceneObject.DISPLACEMENT, SceneObject.MAPPER])
TILE = (4, 8, 8)


def ball_grids(side: int) -> np.ndarray:
    """(2, R, R, R): a ball and a hollow one, of the longest half extent of a grid."""
    places = np.linspace(-1, 1, side)
    radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(places, places, places)))
    balls = np.stack([radius - GRID_EXTENT, np.abs(radius - GRID_EXTENT / 2) - GRID_EXTENT / 2])
    return np.float32(np.round(balls * 2**24) / 2**24)


def grid_row(number: int, scale: float) -> np.ndarray:
    row = np.zeros(SdfRow.SIZE, np.float32)
    row[[SdfRow.LIFT, SdfRow.EDGES, SdfRow.RADIUS]] = SdfLift.GRID, number, scale
    row[SdfRow.SLOPE] = 1 / np.float32(scale)
    return row


def parts_of(scene: Scene) -> np.ndarray:
    """(N, SdfRow.SIZE), every fifth one a grid."""
    parts = scene.parts[:, 0].copy()
    parts[1::5] = [grid_row(i % 2, 5.5 + 0.1 * i) for i in range(len(parts[1::5]))]
    return parts


@dataclass
class Scenes:
    """A batch of volumes of N objects, every third of two parts."""

    shape: Shape
    objects: np.ndarray
    parts: np.ndarray
    grids: np.ndarray

    @classmethod
    def drawn(cls, shape: Shape, objects: int, volumes: int = 2, classes=CLASSES) -> "Scenes":
        scenes = [scene_of(seed, shape, 2 * objects, classes) for seed in range(volumes)]
        items = np.stack([scene.objects[:objects] for scene in scenes])
        parts = np.stack([parts_of(scene).reshape(objects, 2, -1) for scene in scenes])
        generator = np.random.default_rng(objects)
        items[:, ::3, SceneObject.PARTS] = 2
        blend, shift, field = SceneObject.BLEND, SceneObject.SHIFT, SceneObject.DISPLACEMENT
        items[..., blend] = generator.uniform(0.5, 4, (volumes, objects))
        items[..., shift + 1] = generator.uniform(-8, 8, (volumes, objects))
        items[..., field] = generator.integers(len(DISPLACEMENTS), size=(volumes, objects))
        return cls(shape, items, parts, ball_grids(8))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Volumes, objects and parts."""
        return self.parts.shape[:3]

    @property
    def bounds(self) -> np.ndarray:
        volumes, objects, _ = self.sizes
        depths = np.array([d.reach(self.shape) for d in DISPLACEMENTS], np.float32)
        bounds = np.zeros((volumes, objects, SceneBound.SIZE), np.float32)
        for b in range(volumes):
            bound_sdf(self.objects[b], self.parts[b], depths, MAPPERS, bounds[b])
        return bounds


# ----------------------------------------------------------------------------------------- drawing


@dataclass
class Drawn:
    """What a batch is drawn into."""

    image: np.ndarray
    masks: np.ndarray
    counts: np.ndarray
    evaluations: np.ndarray

    @classmethod
    def of(cls, scenes: Scenes) -> "Drawn":
        volumes, objects, _ = scenes.sizes
        return cls(
            np.full((volumes, *scenes.shape), 255, np.uint8),
            np.full((volumes, -(-objects // 32), *scenes.shape), 2**32 - 1, np.uint32),
            np.zeros((volumes, objects), np.int64),
            np.zeros((volumes, 1), np.int64),
        )


def drawing_tables(scenes: Scenes, textured: bool) -> tuple[np.ndarray, ...]:
    """Displacements, their tables, mappers and the texture."""
    rows = np.stack([which.row(scenes.shape) for which in DISPLACEMENTS])
    texture = noise_row(0.4, 5.0, 2) if textured else np.zeros(NoiseRow.SIZE, np.float32)
    return rows, axis_tables(DISPLACEMENTS, scenes.shape), MAPPERS, texture


def draw(scenes: Scenes, bounds: np.ndarray, own_frame: int, textured: bool) -> Drawn:
    out, tables = Drawn.of(scenes), drawing_tables(scenes, textured)
    for b in range(len(scenes.objects)):
        draw_sdf(
            scenes.objects[b], scenes.parts[b], bounds[b], *tables, own_frame, scenes.grids,
            out.image[b].reshape(-1), out.masks[b], out.counts[b], out.evaluations[b],
            scenes.shape,
        )  # fmt: skip
    return out


def draw_on_host(
    scenes: Scenes, bounds: np.ndarray, own_frame: int, textured: bool, order: int = 0,
    sanitize: bool = False,
) -> Drawn:  # fmt: skip
    out, tables = Drawn.of(scenes), drawing_tables(scenes, textured)
    volumes, objects, parts = scenes.sizes
    tiles = int(np.prod([-(-side // tile) for side, tile in zip(scenes.shape, TILE, strict=True)]))
    sizes = [objects, parts, tables[1].shape[-1], scenes.grids.shape[1], *scenes.shape]
    HostKernel("draw_sdf", sanitize=sanitize)(
        (tiles, volumes), 256,
        [
            scenes.objects, scenes.parts, bounds, *tables, np.int32(own_frame), scenes.grids,
            out.image, out.masks, out.counts, out.evaluations, *np.array(sizes, np.int32),
        ],
        order_seed=order,
    )  # fmt: skip
    return out


def check_drawing(scenes: Scenes, own_frame: int, textured: bool, **options) -> None:
    bounds = scenes.bounds
    twin = draw(scenes, bounds, own_frame, textured)
    found = draw_on_host(scenes, bounds, own_frame, textured, **options)
    np.testing.assert_array_equal(found.masks, twin.masks)
    np.testing.assert_array_equal(found.counts, twin.counts)
    np.testing.assert_array_equal(found.image, twin.image)
    assert (found.counts.sum(1) <= found.evaluations[:, 0]).all()
    assert (found.evaluations <= scenes.sizes[1] * np.prod(scenes.shape)).all()


@pytest.mark.parametrize("own_frame", [0, 1])
@pytest.mark.parametrize("textured", [False, True])
@pytest.mark.parametrize(("shape", "objects"), [((17, 33, 19), 20), ((9, 22, 37), 70)])
def test_drawing(shape, objects, own_frame, textured):
    check_drawing(Scenes.drawn(shape, objects), own_frame, textured)


@pytest.mark.parametrize("order", ORDERS[1:])
def test_drawing_in_any_order(order):
    check_drawing(Scenes.drawn((9, 14, 21), 35), 0, True, order=order)


def test_drawing_stays_within_its_arrays():
    check_drawing(Scenes.drawn((5, 9, 17), 40, 1), 0, True, sanitize=True)


def test_culling_changes_nothing():
    scenes = Scenes.drawn((17, 33, 19), 20)
    bounds = scenes.bounds
    everything = np.zeros_like(bounds)
    everything[..., SceneBound.RADIUS] = 1e6
    culled, whole = (draw_on_host(scenes, b, 0, False) for b in (bounds, everything))
    assert np.array_equal(culled.image, whole.image)
    assert np.array_equal(culled.masks, whole.masks)
    assert (whole.evaluations == 20 * np.prod(scenes.shape)).all()
    assert (culled.evaluations < 0.8 * whole.evaluations).all()


# ----------------------------------------------------------------------------------------- hollows


def hollow_on_host(
    scenes: Scenes, slab: int, threads: int = 256, sanitize: bool = False, **options
) -> np.ndarray:
    volumes, objects, parts = scenes.sizes
    rows = scenes.parts.copy()
    sizes = np.array([slab, objects, parts, *scenes.shape], np.int32)
    HostKernel("hollow_sdf", sanitize=sanitize)(
        (objects * parts, volumes), threads, [scenes.objects, rows, *sizes], **options
    )
    return rows


def check_walls(scenes: Scenes, slab: int, **options) -> None:
    scenes.parts[..., SdfRow.WALL] = 0.3
    twin = scenes.parts.copy()
    for b in range(len(twin)):
        hollow_sdf(scenes.objects[b], twin[b], scenes.shape, slab)
    found = hollow_on_host(scenes, slab, **options)
    assert np.array_equal(found, twin)
    assert (found[..., SdfRow.WALL] != np.float32(0.3)).any()


@pytest.mark.parametrize("slab", [0, 1])
@pytest.mark.parametrize("shape", [(17, 33, 19), (40, 30, 35)])
def test_walls(shape, slab):
    check_walls(Scenes.drawn(shape, 22, classes=ONIONS), slab)


@pytest.mark.parametrize(("order", "threads"), [(1, 512), (2, 96)])
def test_walls_in_any_order(order, threads):
    check_walls(Scenes.drawn((17, 18, 33), 9, 1), 0, threads=threads, order_seed=order)


def test_search_stays_within_its_arrays():
    check_walls(Scenes.drawn((9, 5, 17), 8, 1, ONIONS), 1, sanitize=True)


# ------------------------------------------------------------------------------------------ labels


def check_labels(shape: Shape, objects: int, dtype: str, **options) -> None:
    generator = np.random.default_rng(objects)
    volumes, voxels = 2, int(np.prod(shape))
    items = generator.uniform(-50, 50, (volumes, objects, SceneObject.SIZE)).astype(np.float32)
    items[..., COLUMNS] = generator.integers(0, 255, (volumes, objects, 3))
    bits = generator.random((volumes, objects, voxels)) < 2 / objects
    bits[:, objects // 2] = False
    padded = np.zeros((volumes, -(-objects // 32) * 32, voxels), np.uint8)
    padded[:, :objects] = bits
    packed = np.packbits(padded.reshape(volumes, -1, 32, voxels), axis=2, bitorder="little")
    masks = np.ascontiguousarray(packed.transpose(0, 1, 3, 2)).view(np.uint32)[..., 0]
    masks = np.ascontiguousarray(masks).reshape(volumes, -1, *shape)
    counts = bits.sum(2) // 8  # so that some are equal
    label = np.full((2, volumes, len(COLUMNS), voxels), 99, dtype)
    placed = np.full((2, volumes, objects, Placed.SIZE), 99, np.int32)
    for b in range(volumes):
        label_by_volume(items[b], masks[b], counts[b], COLUMNS, label[0, b], placed[0, b])
    sanitize = options.pop("sanitize", False)
    HostKernel("label_by_volume", sanitize=sanitize, LABEL_TYPE=C_TYPES[dtype])(
        (-(-voxels // 4096), volumes), 256,
        [
            items, masks, counts, COLUMNS, label[1], placed[1], np.int32(objects),
            np.int32(len(COLUMNS)), np.int64(voxels),
        ],
        **options,
    )  # fmt: skip
    np.testing.assert_array_equal(label[1], label[0])
    np.testing.assert_array_equal(placed[1], placed[0])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("objects", [1, 20, 255])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_labels(objects, dtype, order):
    check_labels((11, 23, 37), objects, dtype, order_seed=order)


def test_labels_stay_within_their_arrays():
    check_labels((5, 7, 17), 40, "uint8", sanitize=True)

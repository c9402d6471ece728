"""Kernels that place the objects of a scene: boxes, rows, moves, and polygon stacks as objects."""

import functools
from dataclasses import dataclass

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import scene, scene_field, sdf
from synthgen.kernels.frame_sdf import frame_sdf
from synthgen.kernels.move_sdf import move_sdf
from synthgen.kernels.polygon_stack_scene import polygon_stack_scene
from synthgen.kernels.rasterize_sdf import rasterize_sdf
from synthgen.kernels.records import Box, Object, Orientation, Placed, Slice, ZRule
from synthgen.kernels.scene_records import SDF_DRAWS, SceneObject
from synthgen.kernels.sdf_records import GRID_EXTENT, SdfLift, SdfProfile, SdfRow
from synthgen.kernels.streams import Stream
from synthgen.rng import random_words
from synthgen.shapes.sdf_classes import CLASSES, SdfClass
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.sdf_scenes import SURFACE, matrix_of, scene_of
from tests.kernels.test_sample_sdf import corners_of
from tests.kernels.test_sdf import Arguments, drawn
from tests.kernels.test_sdf_host_cuda import Scenes, grid_row
from tests.reference import turned

Array = np.ndarray
Shape = tuple[int, int, int]
TOLERANCE = 1e-3  # voxel
ORDERS = [0, 1, 2]
SHAPES = [(17, 33, 19), (11, 22, 131)]
_CENTRE = slice(SceneObject.CENTRE, SceneObject.CENTRE + 3)
_TURN = slice(SceneObject.TURN, SceneObject.TURN + 9)
_MATRIX = slice(SceneObject.MATRIX, SceneObject.MATRIX + 12)
_NO_GRIDS = np.zeros((1, 2, 2, 2), np.float32)


def same_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


@numba.njit(nogil=True, error_model="numpy")
def _field(item, parts, grids, side, x, y, z, out):
    for i in range(x.size):
        point = scene_field.row_point(item, x[i], scene_field.row_start(item, y[i], z[i]))
        out[i] = scene_field.object_distance(item, parts, grids, side, point)


def field(item: Array, parts: Array, voxels: Array, grids: Array = _NO_GRIDS) -> Array:
    """Distances to an object, as the twins evaluate them, at (3, ...) voxel indices z, y, x."""
    z, y, x = np.float32(voxels).reshape(3, -1)
    out = np.zeros(x.size, np.float32)
    _field(item, parts, grids.reshape(-1), grids.shape[1], x, y, z, out)
    return out.reshape(voxels.shape[1:])


def in_frame(item: Array, voxels: Array) -> Array:
    """(3, ...) float64 x, y, z in the object's frame, of voxel indices z, y, x."""
    matrix = item[_MATRIX].reshape(3, 4).astype(float)
    moved = np.tensordot(matrix[:, :3], voxels[::-1].astype(float), 1)
    return moved + matrix[:, 3].reshape(3, *[1] * (voxels.ndim - 1))


# ------------------------------------------------------------------------ polygon stacks as objects

TURNS = ["stay", "upside_down", "side_1", "side_2", "side_3", "side_4"]
SECTIONS = [0, 3, 4, 9]  # vertices; an ellipse has none
RULES = list(ZRule)
CODES = np.array([Orientation[name.upper()] for name in TURNS], np.int64)
MAPPERS, SEED = 10, 2**40 + 7
each_turn = pytest.mark.parametrize("turn", range(len(TURNS)), ids=TURNS)


@dataclass
class Stacks:
    """Every section with every rule in every orientation, placed, and as objects of a scene."""

    index: int
    stacks: Array
    placed: Array
    objects: Array
    parts: Array

    @classmethod
    @functools.cache
    def drawn(cls, index: int) -> "Stacks":
        generator = np.random.default_rng(index)
        kinds = [(s, rule) for s in SECTIONS for rule in RULES for _ in TURNS]
        stacks = np.array([_stack(*kind, generator) for kind in kinds], np.int32)
        placed = np.zeros((len(kinds), Placed.SIZE), np.int32)
        placed[:, Placed.OBJECT] = generator.permutation(len(kinds))
        n = placed[:, Placed.OBJECT]
        placed[:, Placed.VARIANT] = len(TURNS) * n + n % len(TURNS)
        placed[:, Placed.Z : Placed.X + 1] = generator.integers(0, 90, (len(kinds), 3))
        placed[:, Placed.ACCEPTED] = generator.random(len(kinds)) < 0.8
        objects, parts = cls.buffers(len(kinds))
        polygon_stack_scene(
            stacks, placed, CODES, MAPPERS, np.uint64(SEED), np.uint64(index), objects, parts
        )
        return cls(index, stacks, placed, objects, parts)

    @staticmethod
    def buffers(*count: int) -> tuple[Array, Array]:
        objects = np.full((*count, SceneObject.SIZE), np.nan, np.float32)
        return objects, np.full((*count, 1, SdfRow.SIZE), np.nan, np.float32)

    def place(self, n: int) -> Array:
        return self.placed[list(self.placed[:, Placed.OBJECT]).index(n)]

    def of_turn(self, turn: int) -> range:
        return range(turn, len(self.stacks), len(TURNS))


def _stack(vertices: int, rule: ZRule, generator: np.random.Generator) -> Array:
    """A sampled stack; a turn of the scale at an end now and then."""
    stack = np.zeros(Object.POLAR + 2 * max(SECTIONS), np.int64)
    depth, box = generator.integers(1, 13), generator.integers(10, 25)
    ends, middle = generator.integers(20_000, 65_537, 2), generator.integers(20_000, 65_537)
    stack[[Object.LABEL, Object.VERTICES, Object.RULE]] = generator.integers(1, 30), vertices, rule
    stack[[Object.DEPTH, Object.BOX, Object.ANGLE]] = depth, box, generator.integers(0, 181)
    stack[Object.TURN] = generator.choice([0, depth, generator.integers(0, depth + 1)])
    stack[[Object.SCALE_FIRST, Object.SCALE_TURN, Object.SCALE_LAST]] = ends[0], middle, ends[1]
    if vertices == 0:
        stack[[Object.AXIS_A, Object.AXIS_B]] = generator.integers(2, box // 2 + 1, 2)
    for i in range(vertices):
        low, high = 360 * i // vertices, 360 * (i + 1) // vertices
        stack[Object.POLAR + 2 * i] = generator.integers(low, high + 1)
        stack[Object.POLAR + 2 * i + 1] = generator.integers(3, box // 2 + 1)
    return stack


def scale_of(stack: Array, z: Array) -> Array:
    """The rule of a stack at slice ``z``, which need not be whole."""
    depth, turn = float(stack[Object.DEPTH]), float(stack[Object.TURN])
    first, middle, last = stack[Object.SCALE_FIRST : Object.SCALE_LAST + 1] / 2.0**16
    if stack[Object.RULE] == ZRule.PRISM:
        return np.ones(np.shape(z))
    if stack[Object.RULE] == ZRule.PYRAMID:
        return 1 - z / depth
    below = first + (middle - first) * z / turn if turn > 0 else middle
    above = middle + (last - middle) * (z - turn) / (depth - turn) if turn < depth else middle
    return np.where(z < turn, below, above)


def vertices_of(stack: Array) -> Array:
    """(count, 2) x, y about the stack's axis."""
    count = stack[Object.VERTICES]
    degrees, radius = stack[Object.POLAR : Object.POLAR + 2 * count].reshape(-1, 2).T
    return (radius * [np.cos(np.radians(degrees)), np.sin(np.radians(degrees))]).T


def ellipse_of(stack: Array, count: int = 3600) -> Array:
    """(2, count) x, y on the outline of an ellipse, about the stack's axis."""
    a, b = stack[[Object.AXIS_A, Object.AXIS_B]]
    t, angle = np.arange(count) * 2 * np.pi / count, np.radians(stack[Object.ANGLE])
    along, across = a * np.cos(t), b * np.sin(t)
    x = along * np.cos(angle) - across * np.sin(angle)
    return np.stack([x, along * np.sin(angle) + across * np.cos(angle)])


def box_of(stack: Array, place: Array, turn: int) -> tuple[Array, Array]:
    """Voxels z, y, x of a placed stack's box, and x, y, z of each about the stack's middle."""
    depth, side = int(stack[Object.DEPTH]), int(stack[Object.BOX])
    z, y, x = np.indices((depth, side, side)).astype(float)
    about = [x - side // 2, y - side // 2, z - (depth - 1) / 2]
    # Turns are told for arrays of (y, x, z).
    lying = [turned(axis.transpose(1, 2, 0), TURNS[turn]).transpose(2, 0, 1) for axis in about]
    corner = place[Placed.Z : Placed.X + 1].reshape(3, 1, 1, 1)
    return np.indices(lying[0].shape) + corner, np.stack(lying)


def squeezed(stack: Array, points: Array) -> Array:
    """Points about a stack's middle in the frame in which its ellipse is a circle."""
    a, b = stack[[Object.AXIS_A, Object.AXIS_B]].astype(float)
    angle = np.radians(stack[Object.ANGLE])
    along = np.cos(angle) * points[0] + np.sin(angle) * points[1]
    across = np.cos(angle) * points[1] - np.sin(angle) * points[0]
    return np.stack([along * min(a, b) / a, across * min(a, b) / b, points[2]])


@each_turn
def test_stacks_stand_as_they_were_turned(turn):
    found = Stacks.drawn(0)
    for n in found.of_turn(turn):
        stack, item, place = found.stacks[n], found.objects[n], found.place(n)
        voxels, points = box_of(stack, place, turn)
        if stack[Object.VERTICES] == 0:
            points = squeezed(stack, points)
        np.testing.assert_allclose(in_frame(item, voxels), points, atol=5e-5)
        np.testing.assert_array_equal(item[_TURN], item[_MATRIX].reshape(3, 4)[:, :3].ravel())
        np.testing.assert_allclose(in_frame(item, item[_CENTRE][::-1]), 0, atol=5e-5)
        assert item[SceneObject.PARTS] == place[Placed.ACCEPTED]


def test_numbers_of_stacks():
    found = Stacks.drawn(0)
    draws = SDF_DRAWS * np.arange(len(found.stacks))
    words = random_words(SEED, found.index, Stream.SDF, draws).astype(np.int64)
    objects = found.objects
    assert np.isfinite(objects).all()
    assert np.isfinite(found.parts).all()
    assert (objects[:, SceneObject.CLASS] == found.stacks[:, Object.LABEL] - 1).all()
    assert (objects[:, SceneObject.MAPPER] == words[:, 2] * MAPPERS >> 32).all()
    assert (objects[:, SceneObject.KEY] == words[:, 3] >> 8).all()
    assert not objects[:, [SceneObject.DISPLACEMENT, SceneObject.BLEND]].any()


@numba.njit(nogil=True, error_model="numpy")
def _scales(row, z, out):
    for i in range(z.size):
        out[i] = sdf.taper_scale(row, z[i])


def test_sections_and_rules_of_stacks():
    found = Stacks.drawn(0)
    for stack, row in zip(found.stacks, found.parts[:, 0], strict=True):
        depth = int(stack[Object.DEPTH])
        assert (row[SdfRow.LIFT], row[SdfRow.HALF]) == (SdfLift.PRISM, depth / 2)
        slices = np.arange(depth)
        scales = np.zeros(depth, np.float32)
        _scales(row, np.float32(slices - (depth - 1) / 2), scales)
        np.testing.assert_allclose(scales, scale_of(stack, slices), atol=2e-6)
        if stack[Object.VERTICES] == 0:
            assert row[SdfRow.PROFILE] == SdfProfile.CIRCLE
            assert row[SdfRow.RADIUS] == stack[[Object.AXIS_A, Object.AXIS_B]].min()
        else:
            assert row[SdfRow.PROFILE] == SdfProfile.POLYGON
            assert row[SdfRow.EDGES] == stack[Object.VERTICES]
            np.testing.assert_allclose(corners_of(row), vertices_of(stack), atol=1e-5)


def extruded(stack: Array, across: Array, z: Array) -> Array:
    """Distance to a stack from those to its section and, with ``z``, to its ends."""
    along = np.abs(z) - stack[Object.DEPTH] / 2
    outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    return outside + np.minimum(np.maximum(across, along), 0)


@each_turn
def test_distances_to_polygon_stacks(turn):
    found = Stacks.drawn(0)
    for n in found.of_turn(turn):
        stack, item = found.stacks[n], found.objects[n].copy()
        if stack[Object.VERTICES] == 0:
            continue
        item[SceneObject.PARTS] = 1
        voxels = np.indices((41, 41, 41))[:, ::2, ::2, ::2].reshape(3, -1) - 20
        voxels = voxels + np.round(item[_CENTRE][::-1]).astype(int)[:, None]
        x, y, z = in_frame(item, voxels)
        scale = np.maximum(scale_of(stack, z + (stack[Object.DEPTH] - 1) / 2), 1e-6)
        across = scale * reference.polygon(vertices_of(stack), x / scale, y / scale)
        right = extruded(stack, across, z)
        assert np.abs(field(item, found.parts[n], voxels) - right).max() < TOLERANCE, stack


def test_distances_to_ellipses():
    """0 on the outline, and nowhere outside more than the distance to it."""
    found = Stacks.drawn(0)
    for n in np.flatnonzero(found.stacks[:, Object.VERTICES] == 0):
        stack, item = found.stacks[n], found.objects[n].copy()
        item[SceneObject.PARTS] = 1
        matrix = item[_MATRIX].reshape(3, 4).astype(float)
        outline = ellipse_of(stack)
        for z in np.arange(stack[Object.DEPTH]) - (stack[Object.DEPTH] - 1) / 2:
            scale = scale_of(stack, z + (stack[Object.DEPTH] - 1) / 2)

            def at(points, z=z, matrix=matrix, item=item, stack=stack, n=n):
                place = squeezed(stack, np.vstack([points, np.full(points.shape[1], z)]))
                voxels = np.linalg.solve(matrix[:, :3], place - matrix[:, 3:])
                return field(item, found.parts[n], voxels[::-1])

            assert np.abs(at(scale * outline[:, ::10])).max() < TOLERANCE
            for stretch in (1.02, 1.3, 2.5):
                points = scale * stretch * outline[:, ::90]
                away = points[:, :, None] - scale * outline[:, None, :]
                nearest = np.sqrt((away**2).sum(axis=0)).min(axis=1)
                distances = at(points)
                assert (distances > 0).all()
                assert (distances <= nearest + TOLERANCE).all()
            assert (at(0.98 * scale * outline[:, ::90]) < 0).all()


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
def test_stacks_in_c_equal_the_twin(order):
    volumes = [Stacks.drawn(index) for index in (0, 3)]
    stacks, placed = (np.stack([getattr(v, a) for v in volumes]) for a in ("stacks", "placed"))
    batch = stacks.shape[:2]
    objects, parts = Stacks.buffers(*batch)
    HostKernel("polygon_stack_scene")(
        -(-batch[0] * batch[1] // 64), 64,
        [
            stacks, placed, CODES, np.int32(len(CODES)), np.int32(MAPPERS), np.uint64(SEED),
            np.array([v.index for v in volumes], np.uint64), objects, parts,
            *map(np.int32, batch), np.int32(stacks.shape[2]),
        ],
        order_seed=order,
    )  # fmt: skip
    for b, volume in enumerate(volumes):
        assert same_bits(objects[b], volume.objects)
        assert same_bits(parts[b], volume.parts)


# --------------------------------------------------------------------------------- boxes of objects


@functools.cache
def standing(shape: Shape) -> Scenes:
    """A batch of scenes in the middle of their volumes, some objects larger than these."""
    scenes = Scenes.drawn(shape, 24)
    centre = np.float32(np.array(shape[::-1]) / 2)
    for n, item in enumerate(scenes.objects.reshape(-1, SceneObject.SIZE)):
        item[_TURN] *= np.float32([1, 0.4, 2.5][n % 3])
        item[_CENTRE] = centre
        item[_MATRIX] = matrix_of(item[_TURN].reshape(3, 3), centre)
    return scenes


def framed(scenes: Scenes) -> tuple[Array, Array]:
    """Boxes and origins, by the twin."""
    volumes, objects, _ = scenes.sizes
    boxes = np.full((volumes, objects, Box.SIZE), -9, np.int32)
    origins = np.full((volumes, objects, 3), -9, np.int32)
    for b in range(volumes):
        frame_sdf(scenes.objects[b], scenes.parts[b], scenes.shape, boxes[b], origins[b])
    return boxes, origins


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boxes_hold_their_objects(shape):
    scenes = standing(shape)
    boxes, origins = framed(scenes)
    sides = boxes[..., Box.DEPTH : Box.WIDTH + 1]
    assert (origins >= 0).all()
    assert (sides >= 1).all()
    assert (origins + sides <= shape).all()
    assert (boxes[..., Box.STEP] == 1).all()
    assert (boxes[..., Box.VOXELS] == 0).all()
    assert (sides == shape).any()
    assert (sides < shape).all(axis=-1).any()
    voxels, found = np.indices(shape), 0
    for at in np.ndindex(origins.shape[:2]):
        s = field(scenes.objects[at], scenes.parts[at], voxels, scenes.grids)
        inside = np.argwhere(s <= SURFACE)
        assert (inside >= origins[at]).all()
        assert (inside < origins[at] + sides[at]).all()
        found += len(inside) > 0
    assert found > 0.8 * np.prod(origins.shape[:2])


@pytest.mark.parametrize("radius", [0.3, 2.0, 6.5, 30.0])
def test_a_box_about_a_sphere_is_tight(radius):
    shape = (17, 32, 45)
    item, row = np.zeros((1, SceneObject.SIZE), np.float32), np.zeros((1, 1, SdfRow.SIZE))
    centre = np.float32(np.array(shape[::-1]) / 2)
    item[0, _TURN], item[0, _CENTRE] = np.eye(3).ravel(), centre
    item[0, SceneObject.PARTS] = 1
    row[0, 0, [SdfRow.LIFT, SdfRow.RADIUS]] = SdfLift.SPHERE, radius
    boxes, origins = np.zeros((1, Box.SIZE), np.int32), np.zeros((1, 3), np.int32)
    frame_sdf(item, np.float32(row), shape, boxes, origins)
    low = np.maximum(centre[::-1] - radius, 0)
    high = np.minimum(centre[::-1] + radius, np.array(shape) - 1)
    last = origins[0] + boxes[0, Box.DEPTH : Box.WIDTH + 1] - 1
    assert (np.abs(origins[0] - low) <= 1.2).all()
    assert (np.abs(last - high) <= 1.2).all()


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_boxes_in_c_equal_the_twin(shape, order):
    scenes = standing(shape)
    boxes, origins = (np.full_like(array, -9) for array in framed(scenes))
    sizes = np.array([*scenes.sizes, *shape], np.int32)
    HostKernel("frame_sdf")(
        1, 64, [scenes.objects, scenes.parts, boxes, origins, *sizes], order_seed=order
    )
    assert same_bits(boxes, framed(scenes)[0])
    assert same_bits(origins, framed(scenes)[1])


# ---------------------------------------------------------------------------------- rows of objects


@dataclass
class Rows:
    """Objects of a batch as rows of bits, words without a use all set."""

    boxes: Array
    slices: Array
    rows: Array

    @classmethod
    def within(cls, boxes: Array, shape: Shape) -> "Rows":
        depth, height, width = shape
        words = depth * height * ((width + 63) // 64)
        return cls(
            boxes.copy(),
            np.full((*boxes.shape[:2], depth, Slice.SIZE), -9, np.int32),
            np.full((*boxes.shape[:2], words), 2**64 - 1, np.uint64),
        )

    def voxels(self, at: tuple[int, ...]) -> Array:
        """(D, H, W) of a box; what is beyond must be as it was, or 0."""
        depth, height, width = self.boxes[at][: Box.WIDTH + 1]
        words = (width + 63) // 64
        used = depth * height * words
        assert (self.rows[at][used:] == 2**64 - 1).all()
        rows = np.ascontiguousarray(self.rows[at][:used].reshape(depth, words, height, 1))
        bits = np.unpackbits(rows.view(np.uint8), axis=3, bitorder="little")
        bits = bits.transpose(0, 2, 1, 3).reshape(depth, height, 64 * words)
        assert not bits[..., width:].any()
        return bits[..., :width] != 0

    def check_counts(self, at: tuple[int, ...]) -> None:
        inside, (depth, height) = self.voxels(at), self.boxes[at][: Box.HEIGHT + 1]
        assert self.boxes[at][Box.VOXELS] == inside.sum()
        slices = self.slices[at]
        assert (slices[:depth, Slice.FIRST] == 0).all()
        assert (slices[:depth, Slice.STOP] == height).all()
        assert (slices[:depth, Slice.VOXELS] == inside.sum(axis=(1, 2))).all()
        assert (slices[depth:] == -9).all()


def rasterized(scenes: Scenes, boxes: Array, origins: Array) -> Rows:
    """By the twin."""
    found = Rows.within(boxes, scenes.shape)
    for b in range(len(boxes)):
        rasterize_sdf(
            scenes.objects[b], scenes.parts[b], scenes.grids, origins[b], found.boxes[b],
            found.slices[b], found.rows[b],
        )  # fmt: skip
    return found


def any_boxes(count: tuple[int, ...], shape: Shape) -> tuple[Array, Array]:
    """Boxes anywhere in the volume, every third one as large."""
    generator = np.random.default_rng(0)
    corners = np.sort(generator.integers(0, shape, (2, *count, 3)), axis=0)
    corners[:, :, ::3] = np.array([[0, 0, 0], np.array(shape) - 1]).reshape(2, 1, 1, 3)
    boxes = np.zeros((*count, Box.SIZE), np.int32)
    boxes[..., : Box.WIDTH + 1] = corners[1] - corners[0] + 1
    boxes[..., Box.STEP] = 1
    return boxes, np.int32(corners[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_are_the_voxels_inside(shape):
    scenes = standing(shape)
    for boxes, origins in (framed(scenes), any_boxes(scenes.sizes[:2], shape)):
        found = rasterized(scenes, boxes, origins)
        for at in np.ndindex(boxes.shape[:2]):
            voxels = np.indices(boxes[at][: Box.WIDTH + 1]) + origins[at].reshape(3, 1, 1, 1)
            s = field(scenes.objects[at], scenes.parts[at], voxels, scenes.grids)
            np.testing.assert_array_equal(found.voxels(at), s <= SURFACE)
            found.check_counts(at)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_are_right(shape):
    """Against float64."""
    count = 40
    scene = scene_of(5, shape, count)
    boxes, origins = np.zeros((1, count, Box.SIZE), np.int32), np.zeros((1, count, 3), np.int32)
    boxes[..., : Box.STEP + 1] = *shape, 1
    scenes = Scenes(shape, scene.objects[None], scene.parts[None], _NO_GRIDS)
    found = rasterized(scenes, boxes, origins)
    for n, solid in enumerate(scene.solids):
        s = reference.distance(solid, *scene.points(n))
        unequal = found.voxels((0, n)) != (s <= 0)
        assert (np.abs(s[unequal]) < TOLERANCE).all(), solid
    assert found.boxes[..., Box.VOXELS].sum() > 100


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", ORDERS)
def test_rows_in_c_equal_the_twin(shape, order):
    scenes = standing(shape)
    volumes, objects, parts = scenes.sizes
    for boxes, origins in (framed(scenes), any_boxes((volumes, objects), shape)):
        twin, found = rasterized(scenes, boxes, origins), Rows.within(boxes, shape)
        HostKernel("rasterize_sdf")(
            (shape[0], objects, volumes), 128,
            [
                scenes.objects, scenes.parts, scenes.grids, origins, found.boxes, found.slices,
                found.rows, np.int32(objects), np.int32(parts), np.int32(scenes.grids.shape[1]),
                np.int32(shape[0]), np.int64(found.rows.shape[-1]),
            ],
            order_seed=order,
        )  # fmt: skip
        assert same_bits(found.boxes, twin.boxes)
        assert same_bits(found.slices, twin.slices)
        assert same_bits(found.rows, twin.rows)


# -------------------------------------------------------------------------------- objects on a move


def places_of(scenes: Scenes) -> Array:
    generator = np.random.default_rng(1)
    volumes, objects, _ = scenes.sizes
    placed = generator.integers(0, 140, (volumes, objects, Placed.SIZE)).astype(np.int32)
    placed[..., Placed.OBJECT] = [generator.permutation(objects) for _ in range(volumes)]
    placed[..., Placed.ACCEPTED] = generator.random((volumes, objects)) < 0.7
    return placed


def moved(scenes: Scenes, placed: Array, origins: Array) -> Array:
    """By the twin."""
    objects = scenes.objects.copy()
    for b in range(len(objects)):
        move_sdf(placed[b], origins[b], objects[b])
    return objects


def test_objects_move_by_whole_voxels_and_lose_their_parts_if_dropped():
    scenes = standing(SHAPES[0])
    placed, (_, origins) = places_of(scenes), framed(scenes)
    found = moved(scenes, placed, origins)
    voxels = np.random.default_rng(0).uniform(-9, 40, (3, 50))
    for b, rank in np.ndindex(placed.shape[:2]):
        place, n = placed[b, rank], placed[b, rank, Placed.OBJECT]
        before, after = scenes.objects[b, n], found[b, n]
        step = place[Placed.Z : Placed.X + 1] - origins[b, n]
        assert (after[_CENTRE] == before[_CENTRE] + step[::-1]).all()
        ends = in_frame(after, voxels + step[:, None])
        np.testing.assert_allclose(ends, in_frame(before, voxels), atol=1e-4)
        parts = before[SceneObject.PARTS] if place[Placed.ACCEPTED] else 0
        assert after[SceneObject.PARTS] == parts
        for changed in (SceneObject.PARTS, _CENTRE, _MATRIX):
            after[changed] = before[changed]
        assert same_bits(after, before)


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
def test_moves_in_c_equal_the_twin(order):
    scenes = standing(SHAPES[0])
    placed, (_, origins) = places_of(scenes), framed(scenes)
    objects = scenes.objects.copy()
    sizes = np.array(placed.shape[:2], np.int32)
    HostKernel("move_sdf")(2, 32, [placed, origins, objects, *sizes], order_seed=order)
    assert same_bits(objects, moved(scenes, placed, origins))


# ---------------------------------------------------------------------------------- depths of parts

DEPTHS_TEXT = """#include "scene.cuh"
extern "C" __global__ void depths(const float* rows, int n, float* out)
{
    for (int i = 0; i < n; ++i) out[i] = part_depth(rows + i * SDF_ROW_SIZE);
}"""


@numba.njit(nogil=True, error_model="numpy")
def _depths(rows, out):
    for i in range(out.size):
        out[i] = scene.part_depth(rows[i])


def depths(rows: Array) -> Array:
    out = np.zeros(len(rows), np.float32)
    _depths(rows, out)
    return out


def line_distance(a: Array, b: Array) -> float:
    """Of the origin from the line through two points."""
    along = b - a
    return abs(along[0] * a[1] - along[1] * a[0]) / np.hypot(*along)


def depth_of(solid: reference.Solid) -> float:
    """The least distance of a part's middle to a line of its outline, halved for a cone."""
    values = solid.values
    if solid.lift == "sphere":
        return values["radius"]
    if solid.lift == "octahedron":
        return values["radius"] * reference.OCTAHEDRON_SLOPE
    if solid.lift == "cone":
        return min(values["radius"], values["height"] / 2) / 2
    if solid.profile == "circle":
        depth = values["radius"]
    elif solid.profile == "star":
        sector = np.pi / solid.count
        lean = np.pi / (solid.count + values["bluntness"] * (2 - solid.count))
        tip = values["radius"] * np.array([np.cos(sector), np.sin(sector)])
        depth = line_distance(tip, tip - [np.cos(lean), np.sin(lean)])
    else:
        ends = zip(solid.corners, np.roll(solid.corners, -1, axis=0), strict=True)
        depth = min(line_distance(a, b) for a, b in ends)
    return depth if solid.lift == "revolve" else min(depth, values["height"] / 2)


def rows_of(which: SdfClass, draws: int) -> tuple[list[reference.Solid], Array]:
    generator = np.random.default_rng(which.id)
    solids = [drawn(which, np.zeros((3, 1)), generator) for _ in range(draws)]
    return solids, np.stack([Arguments.of(solid).row() for solid in solids])


@needs_compiler
def test_depths_of_parts():
    found = [rows_of(which, 20) for which in CLASSES]
    solids, rows = [s for pair in found for s in pair[0]], np.vstack([pair[1] for pair in found])
    scales = np.random.default_rng(0).uniform(0.1, 60, 50)
    rows = np.vstack([rows, *(grid_row(i % 3, scale)[None] for i, scale in enumerate(scales))])
    expected = [*map(depth_of, solids), *(GRID_EXTENT / 2 * scales)]
    twin, in_c = depths(rows), np.zeros(len(rows), np.float32)
    np.testing.assert_allclose(twin, expected, atol=2e-5)
    kernel = HostKernel("depths", source=assemble(DEPTHS_TEXT, "depths.cu"))
    kernel(1, 1, [rows, np.int32(len(rows)), in_c])
    assert same_bits(twin, in_c)

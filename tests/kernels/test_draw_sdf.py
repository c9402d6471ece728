"""Scenes of signed distance functions on the CPU: drawing, labels and the walls of onions."""

import numba
import numpy as np
import pytest

from synthgen.appearance.mappers import MAPPERS
from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.draw_sdf import draw_sdf
from synthgen.kernels.float_lanes import (
    WIDTH,
    chosen,
    filled,
    least,
    least_of,
    magnitude,
    steps,
)
from synthgen.kernels.hollow_sdf import hollow_sdf
from synthgen.kernels.label_by_volume import label_by_volume
from synthgen.kernels.mapper_records import MapperRow
from synthgen.kernels.records import OBJECTS_MAX, Placed
from synthgen.kernels.scene_field import row_point, row_start
from synthgen.kernels.scene_records import SceneBound, SceneObject
from synthgen.kernels.sdf import profile, taper_scale
from synthgen.kernels.sdf_records import SdfRow
from synthgen.shapes.sdf import SdfShapes
from synthgen.shapes.sdf_classes import CLASSES, SdfClass
from tests import sdf_reference as reference
from tests.kernels.sampled_scenes import Sampled, sampled
from tests.kernels.sdf_scenes import (
    NO_GRIDS,
    NO_TEXTURE,
    Drawn,
    Scene,
    displacement_tables,
    distances,
    image_of,
    inside,
    mapper_rows,
    scene_of,
)

SHAPES = [(17, 33, 19), (40, 48, 56), (33, 16, 16)]
TOLERANCE = 1e-3  # voxel
ONIONS = [which for which in CLASSES if which.onion]
HALF = int(SdfRow.HALF)
NOWHERE = np.float32(1e30)
PUBLISHED_MAPPERS = [mapper for mapper in MAPPERS if mapper.published]


# --------------------------------------------------------------------------------------- drawing


def draw_arguments(scene: Scene, bounds: np.ndarray, out: Drawn) -> tuple[object, ...]:
    rows, tables = displacement_tables(scene.shape)
    return (
        scene.objects, scene.parts, bounds, rows, tables, mapper_rows(), NO_TEXTURE, 0, NO_GRIDS,
        out.image.reshape(-1), out.masks, out.counts, out.evaluations, scene.shape,
    )  # fmt: skip


def draw(scene: Scene, bounds: np.ndarray) -> Drawn:
    out = Drawn.for_scene(scene)
    draw_sdf(*draw_arguments(scene, bounds, out))
    return out


def check(scene: Scene, found: list[np.ndarray]) -> None:
    """Against float64 distances: masks equal but near a surface, images but where a level jumps."""
    out = draw(scene, scene.bounds)
    near = np.zeros(scene.shape, bool)
    for n, s in enumerate(found):
        unequal = inside(out.masks, n) != (s <= 0)
        assert (np.abs(s[unequal]) < TOLERANCE).all(), scene.solids[n]
        assert out.counts[n] == inside(out.masks, n).sum()
        near |= unequal
    right = image_of(scene, found).astype(np.uint8)
    off = np.abs(out.image.astype(int) - right)[~near]
    assert (off <= 1).mean() > 0.999
    assert (off == 0).mean() > 0.99


@pytest.mark.parametrize(
    ("shape", "objects", "seeds"), [(SHAPES[0], 40, 2), (SHAPES[1], 20, 1), (SHAPES[2], 20, 4)]
)
def test_scenes(shape, objects, seeds):
    for seed in range(seeds):
        scene = scene_of(seed, shape, objects)
        check(scene, [distances(scene, n) for n in range(objects)])


@pytest.mark.parametrize("seed", range(3))
def test_unions(seed):
    """Each object and a second part, that of the next scene, blended."""
    shape, count = SHAPES[0], 8
    scene, others = scene_of(seed, shape, count), scene_of(seed + 1, shape, count)
    generator = np.random.default_rng(seed)
    scene.parts = np.concatenate([scene.parts, others.parts], axis=1)
    scene.objects[:, SceneObject.PARTS] = 2
    scene.objects[:, SceneObject.BLEND] = generator.uniform(0.1, 3, count)
    shift = scene.objects[:, SceneObject.SHIFT : SceneObject.SHIFT + 3]
    shift[:] = generator.uniform(-5, 5, shift.shape)
    found = []
    for n in range(count):
        first, points = reference.distance(scene.solids[n], *scene.points(n)), scene.points(n)
        points = points - shift[n].astype(float)[:, None, None, None]
        second = reference.distance(others.solids[n], *points)
        width = float(scene.objects[n, SceneObject.BLEND])
        depth = np.maximum(width - np.abs(first - second), 0)
        blended = np.minimum(first, second) - depth**2 / (4 * width)
        found.append(blended + distances(scene, n) - first)
    check(scene, found)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bounds_change_no_voxel(shape):
    evaluated, seeds = 0.0, 20 if np.prod(shape) < 20_000 else 6
    for seed in range(seeds):
        scene = scene_of(seed, shape, 20 if seed else 70)
        culled, whole = draw(scene, scene.bounds), draw(scene, scene.everything)
        assert np.array_equal(culled.image, whole.image)
        assert np.array_equal(culled.masks, whole.masks)
        assert np.array_equal(culled.counts, whole.counts)
        evaluated += int(culled.evaluations[0]) / int(whole.evaluations[0])
    assert evaluated < 0.6 * seeds


def drawn_with(scene: Sampled, mappers: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Image of sampled objects."""
    tables, shape = scene.tables, scene.shape
    image, counts = np.zeros(np.prod(shape), np.uint8), np.zeros(len(scene.objects), np.int64)
    masks = np.zeros((-(-len(scene.objects) // 32), *shape), np.uint32)
    draw_sdf(
        scene.objects, scene.parts, bounds, tables.displacements, tables.axis_tables, mappers,
        NO_TEXTURE, 0, NO_GRIDS, image, masks, counts, np.zeros(1, np.int64), shape,
    )  # fmt: skip
    return image


def test_the_end_of_the_inverse_cube_is_hardly_seen():
    """It ends where the published one is 128 / 8001: one grey level at most, in few voxels.

    Of 40 volumes of 96^3, 0.20 % of voxels on average and 0.64 % at most.
    """
    rows = np.stack([mapper.row for mapper in PUBLISHED_MAPPERS])
    endless = rows.copy()
    endless[rows[:, MapperRow.REACH] > 0, MapperRow.REACH] = 1e6
    assert (rows != endless).sum() == 1
    shape, unequal = (64, 72, 80), []
    everything = np.zeros((20, SceneBound.SIZE), np.float32)
    everything[:, SceneBound.RADIUS] = 1e6
    for index in range(4):
        scene = sampled(SdfShapes(), shape, index=index)
        hollow_sdf(scene.objects, scene.parts, shape, 0)
        bounds = np.zeros_like(everything)
        bound_sdf(scene.objects, scene.parts, scene.tables.depths, rows, bounds)
        ended = drawn_with(scene, rows, bounds)
        off = drawn_with(scene, endless, everything).astype(int) - ended
        assert set(np.unique(off)) <= {0, 1}
        unequal.append((off != 0).mean())
    assert 0 < np.mean(unequal) < 0.003
    assert max(unequal) < 0.01


# ---------------------------------------------------------------------------------------- labels


def masks_of(count: int, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Boxes, some without a voxel, and dust."""
    masks = np.zeros((-(-count // 32), *shape), np.uint32)
    for n in range(count):
        low = generator.integers(0, shape)
        high = low + generator.integers(0, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        dust = generator.random(shape) < (0.001 if n % 7 == 0 else 0)
        dust[box] = n % 5 > 0
        masks[n // 32] |= dust.astype(np.uint32) << np.uint32(n % 32)
    return masks


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [1, 20, 32, 33, OBJECTS_MAX])
def test_the_smallest_is_on_top(count, dtype):
    generator = np.random.default_rng(count)
    shape = (17, 19, 23)
    masks = masks_of(count, shape, generator)
    counts = generator.integers(0, 20, count)  # not the masks', so that there are ties
    objects = np.zeros((count, SceneObject.SIZE), np.float32)
    objects[:, : SceneObject.MAPPER + 1] = generator.integers(0, 250, (count, 3))
    centres = objects[:, SceneObject.CENTRE : SceneObject.CENTRE + 3]
    centres[:] = generator.uniform(-9, 40, centres.shape)
    tasks = np.array([SceneObject.CLASS, SceneObject.MAPPER], np.int64)
    label = np.full((2, np.prod(shape)), 99, dtype)
    placed = np.full((count, Placed.SIZE), -1, np.int32)
    label_by_volume(objects, masks, counts, tasks, label, placed)

    order = sorted(range(count), key=lambda n: (-counts[n], -n))
    expected = np.zeros((2, *shape), int)
    for n in order:
        for task, column in enumerate(tasks):
            expected[task][inside(masks, n)] = int(objects[n, column]) + 1
    assert np.array_equal(label.reshape(expected.shape), expected)
    assert list(placed[:, Placed.OBJECT]) == list(placed[:, Placed.VARIANT]) == order
    assert list(placed[:, Placed.ACCEPTED]) == [int(counts[n] > 0) for n in order]
    assert np.array_equal(placed[:, Placed.Z : Placed.X + 1], np.floor(centres[order, ::-1]))
    assert (placed[:, Placed.PROPOSALS] == 1).all()


# ---------------------------------------------------------------------------------------- onions


@numba.njit(nogil=True, error_model="numpy")
def least_of_all(item, row, shape, slab):
    """Least distance of every voxel to the profile, NOWHERE if none counts."""
    depth, height, width = shape
    best = NOWHERE
    for z in range(depth):
        for y in range(height):
            start = row_start(item, np.float32(y), np.float32(z))
            for column in range(0, width, WIDTH):
                x = steps() + np.float32(min(column, width - WIDTH))
                px, py, pz = row_point(item, x, start)
                value = profile(row, px, py, taper_scale(row, pz))
                if slab != 0:
                    value = chosen(magnitude(pz) > row[HALF], filled(value, NOWHERE), value)
                best = least(least_of(value), best)
    return best


def check_walls(which: SdfClass, shape: tuple[int, int, int], draws: int) -> int:
    """Bits of every wall; how many knots lie outside their prism."""
    generator = np.random.default_rng(which.id)
    outside = 0
    scene = scene_of(which.id, shape, draws, (which,), hollow=False)
    shares = generator.uniform(0.2, 0.5, draws).astype(np.float32)
    for slab in (0, 1):
        parts = scene.parts.copy()
        parts[:, 0, SdfRow.WALL] = shares
        hollow_sdf(scene.objects, parts, shape, slab)
        for n, row in enumerate(scene.parts[:, 0]):
            found = np.float32(least_of_all(scene.objects[n], row, shape, slab))
            wall = shares[n] * np.float32(0 if found == NOWHERE else abs(found))
            assert parts[n, 0, SdfRow.WALL].tobytes() == wall.tobytes(), (which, n, slab)
            outside += abs(row[SdfRow.KNOT]) > row[SdfRow.HALF]
    return outside


@pytest.mark.parametrize("which", ONIONS, ids=lambda which: which.name)
def test_walls(which):
    outside = check_walls(which, (19, 22, 25), 12)
    assert outside > 0 or which.taper.name not in ("CONVEX", "CONCAVE")


@pytest.mark.slow
@pytest.mark.parametrize("which", ONIONS, ids=lambda which: which.name)
def test_many_walls(which):
    check_walls(which, (32, 32, 32), 500)


def test_second_parts_are_hollowed_where_they_are():
    shape = (19, 22, 25)
    scene, moved = scene_of(1, shape, 6, tuple(ONIONS)), scene_of(1, shape, 6, tuple(ONIONS))
    shift = np.float32([2.0, -1.5, 3.0])
    scene.parts = np.repeat(scene.parts, 2, axis=1)
    scene.parts[:, :, SdfRow.WALL] = 1
    scene.objects[:, SceneObject.PARTS] = 2
    scene.objects[:, SceneObject.SHIFT : SceneObject.SHIFT + 3] = shift
    hollow_sdf(scene.objects, scene.parts, shape, 0)
    moved.objects[:, SceneObject.MATRIX + 3 : SceneObject.MATRIX + 12 : 4] -= shift
    for n, row in enumerate(moved.parts[:, 0]):
        expected = abs(least_of_all(moved.objects[n], row, shape, 0))
        np.testing.assert_allclose(scene.parts[n, 1, SdfRow.WALL], expected, atol=1e-4)

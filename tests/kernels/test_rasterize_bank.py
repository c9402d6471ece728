"""Shapes into rows of bits: against SciPy, with and without culling, CUDA's source and its twin."""

from dataclasses import replace

import numba
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from synthgen.backend.source import assemble
from synthgen.kernels.anatomy_records import TILE, BankShape, Pose
from synthgen.kernels.float_lanes import load, pointer, store
from synthgen.kernels.rasterize_bank import turn_nibbles
from synthgen.kernels.source_distance import DISTANCE_ONE, last_position, source_distance
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.posed_banks import (
    GARBAGE,
    Posed,
    Rows,
    batch,
    laid,
    noise_grid,
    posed,
    rasterized,
)

ORDERS = [0, 1, 2, 3]
NESTED = ((512, 700), (300, 0), (0, 256))
NONE = ()
MOST = tuple((i * 40, 330 - i * 40) for i in range(8))


def positions(scene: Posed, n: int, lattice: np.ndarray) -> np.ndarray:
    """(3, D, H, W) source positions of voxels, trilinear between corners."""
    value = scene.corners(n, lattice) / 4096
    for axis, side in enumerate(scene.box(n), start=1):
        low = np.arange(side) // TILE
        share = (np.arange(side) % TILE / TILE).reshape([-1 if i == axis else 1 for i in range(4)])
        value = (1 - share) * value.take(low, axis) + share * value.take(low + 1, axis)
    return value


def distances(scene: Posed, n: int, lattice: np.ndarray) -> np.ndarray:
    """Float64 distances of an object's voxels, source voxels."""
    return map_coordinates(
        scene.grid(n) / 16.0, positions(scene, n, lattice), order=1, mode="nearest"
    )


def shown(scene: Posed, n: int, lattice: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Distances that shells are drawn by: far beyond the grid."""
    shares = np.floor(np.array(positions(scene, n, lattice)) * 256)
    last = np.array(scene.grid(n).shape).reshape(3, 1, 1, 1) * 256 - 257
    return np.where(((shares >= 0) & (shares <= last)).all(0), found, 1e9)


def check_bits(bits: np.ndarray, low: float, high: float, found: np.ndarray, slope: float) -> int:
    """Bits are set where low <= found <= high, but near these limits; how many are not."""
    unequal = bits != ((found >= low) & (found <= high))
    off = np.minimum(np.abs(found - low), np.abs(found - high))
    assert off[unequal].max(initial=0) < 0.01 * max(slope, 1)
    return int(unequal.sum())


@pytest.mark.parametrize("steps", [((256, 256),), NESTED, NONE], ids=["one", "nested", "none"])
@pytest.mark.parametrize("zoom", [0.5, 1.0, 2.3])
def test_bits_are_those_of_interpolated_distances(steps, zoom):
    wrong, voxels = 0, 0
    for seed in range(6):
        scene = posed(seed, steps=steps, zoom=zoom)
        lattice, out = laid(scene), rasterized(scene)
        for n in scene.placed():
            found = distances(scene, n, lattice)
            slope = scene.shapes[:, BankShape.SLOPE].max() / 256
            inside = scene.voxels(n, out.rows)
            wrong += check_bits(inside, -1e9, -1e-12, found, slope)
            assert out.counts[n] == inside.sum()
            widths = np.array(steps).reshape(-1, 2) * scene.poses[n, Pose.VOXEL] / 2**24
            near = shown(scene, n, lattice, found)
            for (outer, inner), plane in zip(widths, out.shells, strict=True):
                wrong += check_bits(scene.voxels(n, plane), -inner, outer, near, slope)
            voxels += inside.size * (1 + len(steps))
    assert wrong < 3e-4 * voxels


@pytest.mark.parametrize("steps", [((256, 256),), NESTED, NONE, MOST])
@pytest.mark.parametrize("zoom", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("smooth", [False, True])
def test_culling_changes_no_bit(smooth, zoom, steps):
    for seed in range(12):
        options = {} if smooth else {"grid": noise_grid}
        scene = posed(seed, steps=steps, zoom=zoom, **options)
        culled, whole = rasterized(scene), rasterized(scene.unculled())
        assert np.array_equal(culled.rows, whole.rows)
        assert np.array_equal(culled.shells, whole.shells)
        assert np.array_equal(culled.counts, whole.counts)


def test_slopes_matter():
    """Where the slope is said to be small, tiles are left out: the test above sees that."""
    scene = posed(3, grid=noise_grid)
    flat = replace(scene, shapes=scene.shapes.copy())
    flat.shapes[:, BankShape.SLOPE] = 8
    assert not np.array_equal(rasterized(flat).rows, rasterized(scene.unculled()).rows)


def test_only_boxes_are_written():
    scene = posed(4, steps=NESTED)
    out = rasterized(scene)
    free = np.ones(scene.row_size, bool)
    for n in scene.placed():
        depth, height, width = scene.box(n)
        start = scene.row_offsets[n]
        free[start : start + depth * height * -(-width // 64)] = False
    for words in (out.rows, *out.shells):
        assert (words[free] == GARBAGE).all()
        assert (words[~free] != GARBAGE).all()
    left_out = np.setdiff1d(np.arange(len(scene.poses)), scene.placed())
    assert (out.counts[left_out] == 0).all()


def test_far_voxels_have_the_distance_of_the_grids_border():
    scene = posed(8, objects=1)
    scene.poses[0, Pose.CENTRE : Pose.CENTRE + 3] = -1000 * 4096, 4096 * 700, 0
    out = rasterized(scene)
    assert not scene.voxels(0, out.rows).any()
    assert not scene.voxels(0, out.shells[0]).any()


def test_shells_end_where_samples_are_clipped():
    scene = posed(8, objects=2, steps=((2**20, 2**20),))
    wide = rasterized(scene)
    for n in scene.placed():
        lattice = laid(scene)
        found = shown(scene, n, lattice, distances(scene, n, lattice))
        unequal = scene.voxels(n, wide.shells[0]) != (np.abs(found) < 32)
        places = np.array(positions(scene, n, lattice))
        last = np.array(scene.grid(n).shape).reshape(3, 1, 1, 1) - 1
        border = np.minimum(np.abs(places), np.abs(places - last)).min(0)
        assert border[unequal].max(initial=0) < 0.002  # where rounding decides


def test_shells_end_with_the_grid():
    """However wide, none fills what is beyond the grid, where distances are its faces'."""
    scene = posed(8, objects=4, zoom=4.0, steps=((64 * 256, 256),))
    lattice, out, beyond = laid(scene), rasterized(scene), 0
    for n in scene.placed():
        found = distances(scene, n, lattice)
        off = shown(scene, n, lattice, found) > 1e8
        assert not scene.voxels(n, out.shells[0])[off].any()
        beyond += (off & (found < 32)).sum()
    assert beyond > 1000


@numba.njit
def distances_at(samples, start, height, width, sides, z, y, x, out):
    source = pointer(samples, 0)
    found = source_distance(
        source, start, height, width, last_position(sides[0]), last_position(sides[1]),
        last_position(sides[2]), load(z, 0), load(y, 0), load(x, 0),
    )  # fmt: skip
    store(out, 0, found)


PROBE = """
#include "source_distance.cuh"
extern "C" __global__ void probe(const Sample* samples, int start, const int* sides, const int* z,
                                 const int* y, const int* x, int* out)
{
    const int i = threadIdx.x;
    out[i] = source_distance(samples + start, sides[1], sides[2], last_position(sides[0]),
                             last_position(sides[1]), last_position(sides[2]), z[i], y[i], x[i]);
}
"""


def probes(count: int):
    """Samples, where a grid starts, its sides, and sixteen positions within and beyond it."""
    generator = np.random.default_rng(count)
    for _ in range(count):
        grid, start = noise_grid(generator), int(generator.integers(0, 50))
        samples = np.concatenate([np.full(start, 99, np.int16), grid.ravel(), np.zeros(64, "i2")])
        sides = np.array(grid.shape, np.int32)
        places = generator.integers(-600, 256 * sides.max() + 600, (3, 16)).astype(np.int32)
        out = np.zeros(16, np.int32)
        distances_at(samples, start, *grid.shape[1:], sides, *places, out)
        yield grid, samples, start, sides, places, out


def test_distances_between_samples():
    for grid, _, _, sides, places, found in probes(200):
        within = np.clip(places, 0, 256 * (sides[:, None] - 1) - 1) / 256
        expected = map_coordinates(grid / 16.0, within, order=1)
        np.testing.assert_allclose(found / DISTANCE_ONE, expected, atol=2 / 1024)


@needs_compiler
def test_distances_on_cuda():
    kernel = HostKernel("probe", source=assemble(PROBE, "probe.cu"))
    for _, samples, start, sides, places, expected in probes(2000):
        out = np.zeros(16, np.int32)
        kernel(1, 16, [samples, np.int32(start), sides, *places, out])
        assert np.array_equal(out, expected)


@numba.njit
def turned(words):
    turn_nibbles(pointer(words, 0))


def test_nibbles_are_turned():
    words = np.random.default_rng(0).integers(0, 2**64, 16, np.uint64)
    nibbles = (words[:, None] >> np.arange(0, 64, 4).astype(np.uint64)) & np.uint64(15)
    turned(words)
    shifts = np.arange(0, 64, 4).astype(np.uint64)
    assert np.array_equal(words, (nibbles.T << shifts).sum(axis=1, dtype=np.uint64))


# ---------------------------------------------------------------------------------------- CUDA


def two_volumes(seed: int, **options) -> list[Posed]:
    """The second with the shapes and boxes of the first, turned differently."""
    first, second = posed(seed, **options), posed(seed + 100, **options)
    box = slice(Pose.BOX, Pose.WIDTH + 1)
    second.poses[:, box] = first.poses[:, box]
    second = replace(
        second, shapes=first.shapes, distances=first.distances, row_size=first.row_size,
        row_offsets=first.row_offsets, lattice_offsets=first.lattice_offsets,
        lattice_size=first.lattice_size,
    )  # fmt: skip
    return [first, second]


def on_host(scenes: list[Posed], blocks: int, **options) -> list[Rows]:
    first, objects, volumes = scenes[0], len(scenes[0].poses), len(scenes)
    planes = len(first.steps)
    rows = np.full((volumes, first.row_size), GARBAGE, np.uint64)
    shells = np.full((volumes, planes, first.row_size), GARBAGE, np.uint64)
    counts = np.zeros((volumes, objects), np.int32)
    sanitize = options.pop("sanitize", False)
    HostKernel("rasterize_bank", sanitize=sanitize)(
        (blocks, objects, volumes), 128,
        [
            batch(scenes, "poses"), first.shapes, first.distances, first.steps,
            np.stack([laid(scene) for scene in scenes]), first.lattice_offsets, first.row_offsets,
            rows, shells, counts, np.int32(objects), np.int32(planes),
            np.int64(first.lattice_size), np.int64(first.row_size),
        ],
        **options,
    )  # fmt: skip
    return [Rows(*arrays) for arrays in zip(rows, shells, counts, strict=True)]


def check_on_host(scenes: list[Posed], blocks: int = 3, **options) -> None:
    for scene, found in zip(scenes, on_host(scenes, blocks, **options), strict=True):
        twin = rasterized(scene)
        np.testing.assert_array_equal(found.rows, twin.rows)
        np.testing.assert_array_equal(found.shells, twin.shells)
        np.testing.assert_array_equal(found.counts, twin.counts)


@needs_compiler
@pytest.mark.parametrize("steps", [((256, 256),), NESTED, NONE, MOST])
@pytest.mark.parametrize("order", ORDERS)
def test_twins(steps, order):
    check_on_host(two_volumes(order, steps=steps, tiles=6), order_seed=order)


@needs_compiler
@pytest.mark.parametrize("blocks", [1, 40])
def test_twins_on_noise(blocks):
    check_on_host(two_volumes(blocks, grid=noise_grid, tiles=5, zoom=2.0), blocks)


@needs_compiler
def test_culling_on_cuda_changes_no_bit():
    scenes = two_volumes(21, tiles=5)
    culled, whole = (
        on_host(which, 2) for which in (scenes, [scene.unculled() for scene in scenes])
    )
    for one, other in zip(culled, whole, strict=True):
        assert np.array_equal(one.rows, other.rows)
        assert np.array_equal(one.shells, other.shells)


@needs_compiler
def test_it_stays_within_its_arrays():
    scenes = two_volumes(11, tiles=3, steps=NESTED)
    check_on_host(scenes, sanitize=True)
    check_on_host(two_volumes(12, tiles=2, grid=noise_grid), sanitize=True)

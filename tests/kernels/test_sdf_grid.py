"""Distances on a lattice: one result for scalars, lanes and CUDA's source, and it is trilinear."""

import functools

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, sdf_grid
from synthgen.kernels.sdf_records import GRID_EXTENT, SdfLift, SdfRow
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import LANES, flushing, needs_x86, padded

TEXT = """#include "sdf_grid.cuh"
extern "C" __global__ void lattice(float* row, int number, float scale, const float* grids,
                                   int side, long long n, const float* x, const float* y,
                                   const float* z, float* out)
{
    lay_grid(row, number, scale);
    for (long long i = 0; i < n; ++i) out[i] = grid_distance(grids, side, row, x[i], y[i], z[i]);
}"""
SIDES = pytest.mark.parametrize("side", [2, 3, 8, 31, 64])
SCALE = np.float32(23.7)
GRIDS = 3


@numba.njit(nogil=True, error_model="numpy")
def lay(row, number, scale):
    sdf_grid.lay_grid(row, number, scale)


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(grids, side, row, x, y, z, out):
    for i in range(x.size):
        out[i] = sdf_grid.grid_distance(grids, side, row, x[i], y[i], z[i])


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(grids, side, row, x, y, z, out):
    for i in range(0, x.size, LANES):
        point = float_lanes.load(x, i), float_lanes.load(y, i), float_lanes.load(z, i)
        float_lanes.store(out, i, sdf_grid.grid_distance(grids, side, row, *point))


def random_grids(side: int) -> np.ndarray:
    """(G, R, R, R) multiples of 2^-24, zeros and neighbours of equal value among them."""
    generator = np.random.default_rng(side)
    values = generator.uniform(-1.0, 1.8, (GRIDS, side, side, side))
    values[generator.random(values.shape) < 0.1] = 0
    values[generator.random(values.shape) < 0.1] *= 2.0**-20
    return np.float32(np.round(values * 2**24) / 2**24)


def random_points(side: int, count: int = 60_000) -> np.ndarray:
    """(3, P) points in the cube, around it and far away; lattice points, borders and zeros."""
    generator = np.random.default_rng(side)
    reach = generator.choice([1.0, 1.2, 40.0], count)
    points = generator.uniform(-1, 1, (3, count)) * reach
    lattice = generator.integers(0, side, points.shape) * 2 / (side - 1) - 1
    points = np.where(generator.random(points.shape) < 0.15, lattice, points)
    special = [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e6, np.nextafter(np.float32(1), 2)]
    chosen = generator.random(points.shape) < 0.1
    points[chosen] = generator.choice(special, chosen.sum())
    return padded(np.float32(points * SCALE))


@functools.cache
def host(text: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel("lattice", source=assemble(text, "lattice.cu"), sanitize=sanitize)


def row_of(number: int) -> np.ndarray:
    row = np.zeros(SdfRow.SIZE, np.float32)
    lay(row, number, SCALE)
    return row


def run(function, grids: np.ndarray, number: int, points: np.ndarray) -> np.ndarray:
    out = np.zeros(points.shape[1], np.float32)
    function(grids.ravel(), grids.shape[-1], row_of(number), *points, out)
    return out


def run_c(grids, number, points, text: str = TEXT, *, sanitize: bool = False):
    row, out = np.zeros(SdfRow.SIZE, np.float32), np.zeros(points.shape[1], np.float32)
    point = (np.ascontiguousarray(axis) for axis in points)
    side, count = np.int32(grids.shape[-1]), np.int64(out.size)
    host(text, sanitize=sanitize)(
        1, 1, [row, np.int32(number), SCALE, grids.ravel(), side, count, *point, out]
    )
    return row, out


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int32), b.view(np.int32))


@needs_compiler
@SIDES
def test_scalars_equal_lanes_equal_c(side):
    grids, points = random_grids(side), random_points(side)
    for number in range(GRIDS):
        scalars = run(by_scalars, grids, number, points)
        row, values = run_c(grids, number, points)
        assert equal(row, row_of(number))
        assert equal(scalars, values)
        assert equal(scalars, run(by_lanes, grids, number, points))


@needs_compiler
@needs_x86
@SIDES
def test_flushing_subnormals_changes_nothing(side):
    grids, points = random_grids(side), random_points(side)
    flushed = run_c(grids, 1, points, flushing(TEXT))
    assert equal(run_c(grids, 1, points)[1], flushed[1])


@needs_compiler
def test_no_access_leaves_the_grids():
    grids, points = random_grids(8), random_points(8)
    for number in (0, GRIDS - 1):
        plain, watched = (run_c(grids, number, points, sanitize=s) for s in (False, True))
        assert equal(plain[1], watched[1])


def expected(grid: np.ndarray, points: np.ndarray) -> np.ndarray:
    """In float64, by SciPy."""
    ndimage = pytest.importorskip("scipy.ndimage")
    unit = points.astype(float) / float(SCALE)
    inside = unit.clip(-1, 1)
    places = (inside[::-1] + 1) * (grid.shape[0] - 1) / 2
    values = ndimage.map_coordinates(grid.astype(float), places, order=1, mode="nearest")
    return float(SCALE) * (values + np.linalg.norm(unit - inside, axis=0))


@SIDES
def test_values_are_trilinear(side):
    grids, points = random_grids(side), random_points(side)
    for number in range(GRIDS):
        right = expected(grids[number], points)
        error = np.abs(run(by_scalars, grids, number, points) - right)
        assert (error / (SCALE + np.abs(right))).max() < 3e-7 * side


@SIDES
def test_lattice_points_hold_their_values(side):
    grids = random_grids(side)
    axis = np.float32(np.arange(side) * 2 / (side - 1) - 1)
    z, y, x = (padded(part.reshape(1, -1)) for part in np.meshgrid(axis, axis, axis, indexing="ij"))
    values = run(by_scalars, grids, 2, SCALE * np.concatenate([x, y, z]))[: side**3]
    assert np.abs(values / SCALE - grids[2].ravel()).max() < 1e-6 * side


def test_distances_grow_outside():
    """Along a ray from the cube's face, by the length gone."""
    grids = random_grids(8)
    away = np.float32(np.arange(32)) * SCALE
    middle = np.zeros_like(away)
    values = run(by_scalars, grids, 0, np.stack([SCALE + away, middle, middle]))
    assert np.allclose(values - values[0], away, rtol=1e-6, atol=1e-4)


@SIDES
def test_distances_are_not_below_those_to_the_box(side):
    """Where the lattice's are not: bounds of objects rely on it."""

    def to_box(point):
        return np.linalg.norm((np.abs(point) - GRID_EXTENT).clip(0), axis=0)

    grid = np.float32(to_box(np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3))))
    points = random_points(side)
    values = run(by_scalars, grid[None], 0, points)
    right = SCALE * to_box(points.astype(float) / SCALE)
    assert (values >= right * (1 - 1e-6) - 2e-6 * SCALE).all()


def test_lift_and_number():
    row = row_of(2)
    assert row[SdfRow.LIFT] == SdfLift.GRID
    assert row[SdfRow.EDGES] == 2


@pytest.mark.parametrize("function", [by_scalars, by_lanes], ids=["scalars", "lanes"])
def test_cpu_code_has_no_double_and_no_libm(function):
    floats = numba.float32[::1]
    check_cpu(function, (floats, numba.int64, *[floats] * 5), less=("fdiv", "llvm.copysign"))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    check_cuda(assemble(TEXT, "lattice.cu"), "lattice", architecture)

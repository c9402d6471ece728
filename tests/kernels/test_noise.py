"""Gradient noise: one result for scalars, lanes and CUDA's source, and it is the right one."""

import functools
import re
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, noise
from synthgen.kernels.mapper_records import NoiseRow
from synthgen.shapes.displacements import noise_row
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import LANES, flushing, functions_of, needs_x86

COUNT = 48 * 1024  # of points, a whole number of lanes
PEAK = 1.0364  # of one octave
TOLERANCE = 3e-4  # of an octave's amplitude: within a cell it takes steps of 2^-14
OCTAVES = pytest.mark.parametrize("octaves", [1, 2, 5])

TEXT = """#include "noise.cuh"
extern "C" __global__ void octave(int n, const int* salt, const float* x, const float* y,
                                  const float* z, int* words, float* out)
{
    for (int i = 0; i < n; ++i) {
        words[i] = (int)mixed_bits((unsigned)salt[i]);
        out[i] = lattice_noise((unsigned)salt[i], x[i], y[i], z[i]);
    }
}"""

TEXT_SUM = """#include "noise.cuh"
extern "C" __global__ void octaves(const float* row, int key, int n, const float* x,
                                   const float* y, const float* z, float* out)
{
    for (int i = 0; i < n; ++i) out[i] = gradient_noise(row, key, x[i], y[i], z[i]);
}"""


@numba.njit(nogil=True, error_model="numpy")
def octave_scalars(salt, x, y, z, words, out):
    for i in range(x.size):
        words[i] = noise.mixed_bits(salt[i])
        out[i] = noise.lattice_noise(salt[i], x[i], y[i], z[i])


@numba.njit(nogil=True, error_model="numpy")
def octave_lanes(salt, x, y, z, words, out):
    for i in range(0, x.size, LANES):
        salts = float_lanes.load(salt, i)
        point = float_lanes.load(x, i), float_lanes.load(y, i), float_lanes.load(z, i)
        float_lanes.store(words, i, noise.mixed_bits(salts))
        float_lanes.store(out, i, noise.lattice_noise(salts, *point))


@numba.njit(nogil=True, error_model="numpy")
def sum_scalars(row, key, x, y, z, out):
    for i in range(x.size):
        out[i] = noise.gradient_noise(row, key, x[i], y[i], z[i])


@numba.njit(nogil=True, error_model="numpy")
def sum_lanes(row, key, x, y, z, out):
    for i in range(0, x.size, LANES):
        point = float_lanes.load(x, i), float_lanes.load(y, i), float_lanes.load(z, i)
        float_lanes.store(out, i, noise.gradient_noise(row, key, *point))


@functools.cache
def host(name: str, text: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel(name, source=assemble(text, f"{name}.cu"), sanitize=sanitize)


def octave(function, salt: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    words, out = np.zeros(salt.size, np.int32), np.full(salt.size, np.nan, np.float32)
    function(salt, *points, words, out)
    return words, out


def octave_c(salt, points, text: str = TEXT, *, sanitize: bool = False):
    words, out = np.zeros(salt.size, np.int32), np.full(salt.size, np.nan, np.float32)
    arguments = [np.int32(out.size), salt, *points, words, out]
    host("octave", text, sanitize=sanitize)(1, 1, arguments)
    return words, out


def row_of(octaves: int, cells: float = 1.0) -> np.ndarray:
    """With a first octave of amplitude 1."""
    row = np.zeros(NoiseRow.SIZE, np.float32)
    row[[NoiseRow.AMPLITUDE, NoiseRow.CELLS, NoiseRow.OCTAVES]] = 1, cells, octaves
    return row


def noises(row, key: int, points: np.ndarray, function=sum_lanes) -> np.ndarray:
    out = np.full(points.shape[1], np.nan, np.float32)
    function(row, key, *points, out)
    return out


def noises_c(row, key, points, text: str = TEXT_SUM, *, sanitize: bool = False) -> np.ndarray:
    out = np.full(points.shape[1], np.nan, np.float32)
    arguments = [row, np.int32(key), np.int32(out.size), *points, out]
    host("octaves", text, sanitize=sanitize)(1, 1, arguments)
    return out


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int32), b.view(np.int32))


def drawn_points(seed: int, reach: float = 100.0, count: int = COUNT) -> np.ndarray:
    points = np.random.default_rng(seed).uniform(-reach, reach, (3, count))
    return np.ascontiguousarray(points, np.float32)


def fuzz(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Salts of any bits; points on a lattice, next to it, anywhere and far from the origin."""
    generator = np.random.default_rng(seed)
    salts = generator.integers(-(2**31), 2**31, COUNT).astype(np.int32)
    salts[:32] = 2 ** np.arange(32) - 2**31
    shape = (3, COUNT)
    whole = generator.integers(-300, 301, shape)
    near = whole + generator.choice([-1, 1], shape) * 2.0 ** -generator.integers(1, 60, shape)
    far = generator.uniform(-(2.0**30), 2.0**30, shape)
    anywhere = generator.uniform(-100, 100, shape)
    kind = generator.integers(0, 8, shape)
    points = np.select([kind == 0, kind <= 2, kind == 3], [whole, near, far], anywhere)
    return salts, np.ascontiguousarray(points, np.float32)


# ------------------------------------------------------------------------------- one bit for all


@needs_compiler
@pytest.mark.parametrize("seed", range(4))
def test_scalars_equal_lanes_equal_c(seed):
    salts, points = fuzz(seed)
    scalars = octave(octave_scalars, salts, points)
    assert np.isfinite(scalars[1]).all()
    for words, out in (octave(octave_lanes, salts, points), octave_c(salts, points)):
        assert np.array_equal(words, scalars[0])
        assert equal(out, scalars[1])


@needs_compiler
@OCTAVES
def test_sums_of_scalars_equal_lanes_equal_c(octaves):
    for key in (0, 1, 2**24 - 1, 2**25 - 1):
        row, points = row_of(octaves, cells=0.37), drawn_points(key)
        scalars = noises(row, key, points, sum_scalars)
        assert equal(scalars, noises(row, key, points))
        assert equal(scalars, noises_c(row, key, points))


@needs_compiler
@needs_x86
def test_flushing_subnormals_changes_nothing():
    salts, points = fuzz(10)
    assert equal(octave_c(salts, points)[1], octave_c(salts, points, flushing(TEXT))[1])
    row = row_of(4, cells=0.21)
    flushed = noises_c(row, 7, points[:, : COUNT // 2], flushing(TEXT_SUM))
    assert equal(noises_c(row, 7, points[:, : COUNT // 2]), flushed)


@needs_compiler
def test_nothing_overflows():
    salts, points = fuzz(11)
    assert equal(octave_c(salts, points)[1], octave_c(salts, points, sanitize=True)[1])
    row, points = row_of(5), drawn_points(11)
    assert equal(noises_c(row, 7, points), noises_c(row, 7, points, sanitize=True))


# --------------------------------------------------------------------------------- what it computes


@OCTAVES
@pytest.mark.parametrize("key", [0, 77, 2**25 - 1])
def test_values(octaves, key):
    points = drawn_points(3, reach=30)
    right = reference.noise(key, octaves, *points.astype(np.float64))
    off = np.abs(noises(row_of(octaves), key, points) - right)
    assert off.max() < TOLERANCE * octaves
    assert off.mean() < TOLERANCE / 10 * octaves


def test_a_row_scales_it():
    points = drawn_points(4)
    row = np.float32([2.5, 0.5, 3])
    plain = noises(row_of(3), 5, np.float32(0.5) * points)
    assert equal(noises(row, 5, points), np.float32(2.5) * plain)


def test_one_octave_is_zero_on_its_lattice():
    points = np.float32(np.random.default_rng(0).integers(-500, 500, (3, COUNT)))
    assert not noises(row_of(1), 3, points).any()
    assert noises(row_of(2), 3, points).std() > 0.1


def test_octaves_add_up():
    points, key = drawn_points(5), 9
    whole, total = noises(row_of(4), key, points), np.zeros(COUNT, np.float32)
    for number in range(4):
        salt = np.full(COUNT, salt_of(key, number), np.int32)
        total = total + np.float32(0.5**number) * octave(octave_lanes, salt, points)[1]
        points = np.float32(2 * points.astype(np.float64) + 0.5)
    assert equal(whole, total)


@numba.njit(error_model="numpy")
def salt_of(key, number):
    return noise.salt_of(key, number)


@pytest.mark.parametrize("axis", range(3))
def test_it_is_continuous_across_cells_and_so_is_its_slope(axis):
    points = drawn_points(6, reach=20, count=4096)
    step = np.float32(2.0**-8)
    values = []
    for offset in (-2 * step, -step, 0, step, 2 * step):
        points[axis] = np.round(points[axis]) + offset
        values.append(noises(row_of(1), 4, points))
    slopes = np.diff(np.float64(values), axis=0) / step
    assert np.abs(np.diff(slopes, axis=0)).max() < 0.1
    assert np.abs(slopes).max() > 0.5


def highest(points: np.ndarray) -> np.ndarray:
    """At points of a cell, with the gradients at its corners that give most."""
    total = np.zeros(points.shape[1])
    for corner in np.ndindex(2, 2, 2):
        away = np.abs(points - np.array(corner)[:, None])
        weight = np.prod(1 - away**3 * (10 - 15 * away + 6 * away**2), axis=0)
        total += weight * (away.sum(axis=0) - away.min(axis=0))
    return total


def test_no_octave_passes_its_peak():
    half = np.linspace(0, 0.5, 61)
    cell = np.stack(np.meshgrid(half, half, half)).reshape(3, -1)
    best = cell[:, highest(cell).argmax()]
    about = np.random.default_rng(0).uniform(-0.01, 0.01, (3, 200_000)) + best[:, None]
    assert PEAK - 1e-4 < highest(about).max() < PEAK


@OCTAVES
@pytest.mark.parametrize("largest", [1.0, 7.5])
def test_a_row_bounds_its_noise(octaves, largest):
    row = noise_row(largest, 4.0, octaves)
    first = row[NoiseRow.AMPLITUDE]
    assert first * PEAK * sum(0.5**number for number in range(octaves)) == pytest.approx(largest)
    assert row[NoiseRow.CELLS] == np.float32(0.25)
    values = np.abs(noises(row, 1, drawn_points(8)))
    assert 0.5 * largest < values.max() <= largest


# --------------------------------------------------------------------------------------- statistics


@functools.cache
def words_of_lattice(salt: int = 99) -> np.ndarray:
    """The twelve gradients' numbers at 64 x 64 x 64 points of the lattice."""
    cell = np.stack(np.meshgrid(*3 * [np.arange(-32, 32)], indexing="ij"), axis=-1)
    gradients = reference.gradients(cell, salt)
    return (gradients + 1) @ [9, 3, 1]


def test_gradients_are_uniform():
    numbers, counts = np.unique(words_of_lattice(), return_counts=True)
    expected = 64**3 / 12
    assert len(numbers) == 12
    assert ((counts - expected) ** 2 / expected).sum() < 31  # 11 degrees of freedom: 0.1 %


@pytest.mark.parametrize(
    "step", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1), (1, -1, 0), (0, 2, 1)]
)
def test_neighbours_are_independent(step):
    numbers = np.unique(words_of_lattice(), return_inverse=True)[1].reshape(64, 64, 64)
    pairs = 12 * numbers + np.roll(numbers, step, axis=(0, 1, 2))
    counts = np.bincount(pairs.ravel(), minlength=144)
    expected = 64**3 / 144
    assert ((counts - expected) ** 2 / expected).sum() < 200  # 143 degrees of freedom: 0.1 %


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_moments_and_independence():
    points = drawn_points(9, reach=200)
    values = noises(row_of(1), 1, points)
    assert abs(values.mean()) < 0.01
    assert 0.2 < values.std() < 0.35
    assert abs(correlation(values, noises(row_of(1), 2, points))) < 0.02
    assert abs(correlation(values, noises(row_of(1), 1, -points))) < 0.02
    for axis in range(3):
        turned = np.ascontiguousarray(np.roll(points, axis + 1, axis=0))
        assert axis == 2 or abs(correlation(values, noises(row_of(1), 1, turned))) < 0.02
        for shift in (3, 256):
            moved = points.copy()
            moved[axis] += np.float32(shift)
            assert abs(correlation(values, noises(row_of(1), 1, moved))) < 0.02


# -------------------------------------------------------------------------------- what is compiled


def test_every_device_function_is_tested():
    text = (files("synthgen.kernels") / "noise.cuh").read_text() + TEXT + TEXT_SUM
    found = functions_of("noise.cuh")
    assert {"mixed_bits", "lattice_noise", "octave_sum", "gradient_noise"} <= found
    for name in found:
        assert hasattr(noise, name)
        assert len(re.findall(rf"\b{name}\(", text)) > 1, name


F32, I32 = numba.float32[::1], numba.int32[::1]
ARGUMENTS = {
    octave_scalars: (I32, F32, F32, F32, I32, F32),
    octave_lanes: (I32, F32, F32, F32, I32, F32),
    sum_scalars: (F32, numba.int64, F32, F32, F32, F32),
    sum_lanes: (F32, numba.int64, F32, F32, F32, F32),
}


@pytest.mark.parametrize("function", ARGUMENTS, ids=lambda function: function.__name__)
def test_cpu_code_has_no_double_and_no_libm(function):
    check_cpu(function, ARGUMENTS[function], less=("llvm.sqrt", "fdiv"))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "text"), [("octave", TEXT), ("octaves", TEXT_SUM)])
def test_cuda_code_is_exactly_rounded(name, text, architecture):
    check_cuda(assemble(text, f"{name}.cu"), name, architecture)

"""Displacements: one result for scalars, lanes and CUDA's source, and it is the right one."""

import functools
import re
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import displacement, displacement_tables, float_lanes
from synthgen.kernels.mapper_records import (
    DisplacementFamily,
    DisplacementRow,
    DisplacementTable,
    VolumeAxis,
)
from synthgen.shapes.displacements import (
    DISPLACEMENTS,
    Displacement,
    axis_tables,
    displacement_named,
)
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import LANES, flushing, functions_of, grid, needs_x86, padded

TOLERANCE = 5e-6  # voxel
TOLERANCE_IN_TURNS = 1e-4  # where float32 counts the turns of an object's coordinate
TOLERANCE_OF_NOISE = 5e-4  # of an amplitude: within a cell it takes steps of 2^-14
SHAPES = [(96, 96, 96), (40, 48, 56), (23, 19, 37), (160, 192, 128)]
TINY = [(1, 1, 1), (2, 2, 2), (3, 2, 1), (1, 3, 16), (5, 4, 17)]
KEY = 12_345_678
WAVES = tuple(which for which in DISPLACEMENTS if which.name not in reference.NOISES)
EVERY = pytest.mark.parametrize("which", DISPLACEMENTS, ids=lambda which: which.name)
EVERY_WAVE = pytest.mark.parametrize("which", WAVES, ids=lambda which: which.name)

TEXT = """#include "displacement.cuh"
extern "C" __global__ void field(const float* row, int depth, int height, int stride,
                                 const float* z, float* out)
{
    const float* y = z + 2 * stride; const float* x = y + 2 * stride;
    for (int i = 0; i < depth; ++i)
        for (int j = 0; j < height; ++j) {
            const RowTerms t = row_terms(row, y[j], y[stride + j], z[i], z[stride + i]);
            for (int k = 0; k < stride; ++k)
                *out++ = displaced(t, x[k], x[stride + k]);
        }
}"""

TEXT_AT = """#include "displacement.cuh"
extern "C" __global__ void points(const float* row, int key, int n, const float* x, const float* y,
                                  const float* z, float* out)
{
    for (int i = 0; i < n; ++i) out[i] = displacement_at(row, key, x[i], y[i], z[i]);
}"""


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(row, depth, height, tables, out):
    z, y, x = tables
    at = 0
    for i in range(depth):
        for j in range(height):
            t = displacement.row_terms(row, y[0, j], y[1, j], z[0, i], z[1, i])
            for k in range(x.shape[1]):
                out[at] = displacement.displaced(t, x[0, k], x[1, k])
                at += 1


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(row, depth, height, tables, out):
    z, y, x = tables
    at = 0
    for i in range(depth):
        for j in range(height):
            t = displacement.row_terms(row, y[0, j], y[1, j], z[0, i], z[1, i])
            for k in range(0, x.shape[1], LANES):
                first, second = float_lanes.load(x[0], k), float_lanes.load(x[1], k)
                float_lanes.store(out, at, displacement.displaced(t, first, second))
                at += LANES


@numba.njit(nogil=True, error_model="numpy")
def scalars_at(row, key, x, y, z, out):
    for i in range(x.size):
        out[i] = displacement.displacement_at(row, key, x[i], y[i], z[i])


@numba.njit(nogil=True, error_model="numpy")
def lanes_at(row, key, x, y, z, out):
    for i in range(0, x.size, LANES):
        point = float_lanes.load(x, i), float_lanes.load(y, i), float_lanes.load(z, i)
        float_lanes.store(out, i, displacement.displacement_at(row, key, *point))


@functools.cache
def host(name: str, text: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel(name, source=assemble(text, f"{name}.cu"), sanitize=sanitize)


def field(which: Displacement, shape: tuple[int, int, int], function=by_scalars) -> np.ndarray:
    """In the volume's frame, rows as long as their table."""
    (tables,) = axis_tables([which], shape)
    out = np.full((*shape[:2], tables.shape[-1]), np.nan, np.float32)
    function(which.row(shape), *shape[:2], tuple(tables), out.ravel())
    return out


def field_c(which: Displacement, shape, text: str = TEXT, *, sanitize: bool = False) -> np.ndarray:
    """By the CUDA source, compiled for the host."""
    (tables,) = axis_tables([which], shape)
    out = np.full((*shape[:2], tables.shape[-1]), np.nan, np.float32)
    numbers = [np.int32(value) for value in (*shape[:2], tables.shape[-1])]
    host("field", text, sanitize=sanitize)(1, 1, [which.row(shape), *numbers, tables, out])
    return out


def at(row: np.ndarray, points: np.ndarray, function=scalars_at) -> np.ndarray:
    out = np.full(points.shape[1], np.nan, np.float32)
    function(row, KEY, *points, out)
    return out


def at_c(row, points, text: str = TEXT_AT, *, sanitize: bool = False) -> np.ndarray:
    out = np.full(points.shape[1], np.nan, np.float32)
    arguments = [row, np.int32(KEY), np.int32(out.size), *points, out]
    host("points", text, sanitize=sanitize)(1, 1, arguments)
    return out


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int32), b.view(np.int32))


def check(which: Displacement, shape: tuple[int, int, int]) -> None:
    scalars = field(which, shape)
    assert np.isfinite(scalars).all()
    assert equal(scalars, field(which, shape, by_lanes))
    assert equal(scalars, field_c(which, shape))


def check_at(row: np.ndarray, points: np.ndarray) -> None:
    scalars = at(row, points)
    assert np.isfinite(scalars).all()
    assert equal(scalars, at(row, points, lanes_at))
    assert equal(scalars, at_c(row, points))


# ------------------------------------------------------------------------------- one bit for all


@functools.cache
def object_points() -> np.ndarray:
    """Of a turned grid, of the axes and of a lattice's corners."""
    axes = np.kron(np.eye(3), np.linspace(-60, 60, 481))
    corners = np.stack(np.meshgrid(*3 * [[-1e-6, 0.0, 1e-6, 4.7, 2**-12]]), 0).reshape(3, -1)
    return padded(np.concatenate([grid(np.random.default_rng(1)), axes, corners], axis=1))


@needs_compiler
@EVERY
def test_scalars_equal_lanes_equal_c(which):
    for shape in SHAPES[1:3] + TINY:
        check(which, shape)
        check_at(which.row(shape), object_points())


@needs_compiler
@pytest.mark.parametrize("family", DisplacementFamily, ids=lambda family: family.name)
def test_any_parameters_and_shape(family):
    generator = np.random.default_rng(int(family))
    for _ in range(20):
        numbers = generator.uniform(0, 0.1), generator.uniform(0, 100)
        cell, octaves = generator.uniform(0.02, 1), int(generator.integers(1, 7))
        which = Displacement("own", family, *numbers, cell=cell, octaves=octaves)
        shape = tuple(generator.integers(1, 50, 3).tolist())
        check(which, shape)
        check_at(which.row(shape, generator.uniform(0.1, 3)), object_points())
    check(Displacement("own", family, 0.0, 0.0, cell=1.0, octaves=1), (7, 8, 9))


@needs_compiler
@needs_x86
@EVERY
def test_flushing_subnormals_changes_nothing(which):
    for shape in SHAPES[2:3] + TINY:
        assert equal(field_c(which, shape), field_c(which, shape, flushing(TEXT)))
        row = which.row(shape)
        flushed = at_c(row, object_points(), flushing(TEXT_AT))
        assert equal(at_c(row, object_points()), flushed)


@needs_compiler
@EVERY
def test_nothing_overflows(which):
    """No access outside an array and no undefined operation, so defined values are compared."""
    for shape in (SHAPES[2], *TINY):
        assert equal(field_c(which, shape), field_c(which, shape, sanitize=True))
    row = which.row(SHAPES[2])
    assert equal(at_c(row, object_points()), at_c(row, object_points(), sanitize=True))


# ----------------------------------------------------------------------------- in a volume's frame


def coordinates(shape: tuple[int, ...]) -> tuple[list[np.ndarray], tuple[float, ...]]:
    """x, y and z of a volume's voxels, and the largest of each."""
    axes = [np.arange(length) - length / 2 for length in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return [x, y, z], tuple(axis.max() for axis in axes[::-1])


def at_a_jump(which: Displacement, position, largest, within: float) -> np.ndarray:
    """Where a sawtooth jumps: there rounding decides on a side."""
    found = np.zeros(np.shape(position[0]), bool)
    if which.family is DisplacementFamily.SAWTOOTH:
        for coordinate, last in zip(position, largest, strict=True):
            phase = which.frequency * coordinate / last
            found |= np.abs(np.abs(phase - np.round(phase)) - 0.5) < within
    return found


def right_values(which: Displacement, position, largest) -> np.ndarray:
    if which.name == "none":
        return np.zeros(np.shape(position[0]))
    return reference.displacement(which.name, *position, largest)


@EVERY_WAVE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(which, shape):
    position, largest = coordinates(shape)
    jumps = at_a_jump(which, position, largest, within=1e-9)
    off = field(which, shape)[:, :, : shape[2]] - right_values(which, position, largest)
    assert jumps.mean() < 0.25
    assert np.abs(off[~jumps]).max() < TOLERANCE


@EVERY_WAVE
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reach(which, shape):
    """It bounds the field from below, without waste but for a turbulence's rare peaks."""
    values = field(which, shape)[:, :, : shape[2]]
    deepest, reach = -min(0.0, float(values.min())), which.reach(shape)
    assert deepest <= reach
    assert deepest >= 0.8 * reach


# ---------------------------------------------------------------------------- in an object's frame


@EVERY_WAVE
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
@pytest.mark.parametrize("grid_scale", [1.0, 0.4])
def test_values_at_points(which, shape, grid_scale):
    points, largest = object_points(), coordinates(shape)[1]
    position = [grid_scale * axis.astype(np.float64) for axis in points]
    largest = tuple(grid_scale * last for last in largest)
    row = which.row(shape, grid_scale)
    jumps = at_a_jump(which, position, largest, within=1e-4)
    off = at(row, np.float32(position)) - right_values(which, position, largest)
    assert jumps.mean() < 0.25
    assert np.abs(off[~jumps]).max() < TOLERANCE_IN_TURNS


@pytest.mark.parametrize("name", reference.NOISES)
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_noises_at_points(name, shape):
    which, points, largest = displacement_named(name), object_points(), shape[2] / 2 - 1
    position = [axis.astype(np.float64) for axis in points]
    right = reference.noise_displacement(name, KEY, *position, largest)
    off = at(which.row(shape), points) - right
    assert np.abs(off).max() < TOLERANCE_OF_NOISE * which.amplitude * largest


@EVERY
def test_reach_at_points(which):
    points = padded(np.random.default_rng(0).uniform(-50, 50, (3, 200_000)))
    for shape, grid_scale in ((SHAPES[0], 1.0), (SHAPES[2], 0.4)):
        values = at(which.row(shape, grid_scale), points)
        deepest, reach = -min(0.0, float(values.min())), which.reach(shape, grid_scale)
        assert deepest <= reach
        assert deepest >= 0.5 * reach


def test_objects_have_noises_of_their_own():
    row = displacement_named("gradient_noise_coarse").row(SHAPES[0])
    points = object_points()
    first, second = (np.zeros(points.shape[1], np.float32) for _ in range(2))
    scalars_at(row, 1, *points, first)
    scalars_at(row, 2, *points, second)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1


# ------------------------------------------------------------------------------------------ tables


@numba.njit(error_model="numpy")
def in_turns(above, below, out):
    for i in range(above.size):
        out[i] = displacement_tables.turns_of(above[i], below[i])


def test_phases():
    """Any whole frequency up to 1,000 on axes of up to 4,096 voxels."""
    generator = np.random.default_rng(0)
    length = generator.integers(3, 4097, 1_000_000)
    place = generator.integers(0, length)
    above = generator.integers(-1000, 1001, length.size) * (2 * place - length)
    out = np.zeros(length.size, np.float32)
    in_turns(np.float32(above), np.float32(length - 2), out)
    exact = above / (length - 2) / (2 * np.pi)
    off = out - exact
    assert np.abs(off - np.round(off)).max() < 1e-7
    assert np.abs(out).max() < 0.501


def test_a_sawtooth_at_a_tie_is_at_its_least():
    """At 62 voxels and a frequency of 15 every fourth one is at a tie, exactly."""
    tables = axis_tables([displacement_named("sawtooth")], (62, 62, 62))
    whole = 2 * np.arange(62) - 62  # u = whole / 60, so 15 u = whole / 4
    ties = whole % 4 == 2
    assert ties.any()
    assert np.unique(tables[0, :, 0, :62][:, ties]).tolist() == [-np.float32(1 / np.pi)]


@pytest.mark.parametrize("shape", [*SHAPES, *TINY], ids=str)
def test_tables_have_room_for_lanes_beyond_a_row(shape):
    tables = axis_tables(DISPLACEMENTS, shape)
    assert tables.shape[:3] == (len(DISPLACEMENTS), len(VolumeAxis), DisplacementTable.SIZE)
    assert tables.shape[3] % LANES == 0
    assert max(shape) + LANES <= tables.shape[3] < max(shape) + 2 * LANES
    assert tables.dtype == np.float32
    assert tables.flags.c_contiguous


def test_tables_of_several_are_those_of_each():
    together = axis_tables(DISPLACEMENTS, SHAPES[2])
    for which, tables in zip(DISPLACEMENTS, together, strict=True):
        assert equal(tables, axis_tables([which], SHAPES[2])[0])


# -------------------------------------------------------------------------------- what is compiled


def test_every_device_function_is_tested():
    text = (files("synthgen.kernels") / "displacement.cuh").read_text() + TEXT + TEXT_AT
    found = functions_of("displacement.cuh")
    assert {"row_terms", "displaced", "displacement_at"} <= found
    for name in found:
        assert hasattr(displacement, name)
        assert len(re.findall(rf"\b{name}\(", text)) > 1, name


F32 = numba.float32[::1]
ARGUMENTS = {
    by_scalars: (F32, *2 * (numba.int64,), numba.types.UniTuple(numba.float32[:, ::1], 3), F32),
    scalars_at: (F32, numba.int64, F32, F32, F32, F32),
}
ARGUMENTS |= {by_lanes: ARGUMENTS[by_scalars], lanes_at: ARGUMENTS[scalars_at]}


@pytest.mark.parametrize("function", ARGUMENTS, ids=lambda function: function.__name__)
def test_cpu_code_has_no_double_and_no_libm(function):
    check_cpu(function, ARGUMENTS[function], less=("llvm.sqrt",))


def test_code_of_tables_has_no_double_and_no_libm():
    shape = numba.types.UniTuple(numba.int64, 3)
    arguments = (numba.float32[:, ::1], shape, numba.float32[:, :, :, ::1])
    check_cpu(displacement_tables.fill_tables, arguments, less=("llvm.sqrt",))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(("name", "text"), [("field", TEXT), ("points", TEXT_AT)])
def test_cuda_code_is_exactly_rounded(name, text, architecture):
    check_cuda(assemble(text, f"{name}.cu"), name, architecture)


# --------------------------------------------------------------------------------------------- rows


def test_displacements():
    numbers = {which.name: (which.amplitude, which.frequency) for which in WAVES}
    assert numbers.pop("none") == (0, 0)
    assert numbers == {name: row[1:] for name, row in reference.DISPLACEMENTS.items()}
    noises = {
        which.name: (which.amplitude, which.cell, which.octaves)
        for which in DISPLACEMENTS
        if which.family is DisplacementFamily.NOISE
    }
    assert noises == reference.NOISES
    unpublished = {which.name for which in DISPLACEMENTS if not which.published}
    assert unpublished == {"none", "sawtooth_fine", *noises}


def test_an_amplitude_is_a_length_of_the_width():
    row = displacement_named("ridge").row((40, 48, 96), 0.5)
    assert row[DisplacementRow.AMPLITUDE] == np.float32(0.03 * 47 * 0.5)
    turns = row[[DisplacementRow.TURNS_X, DisplacementRow.TURNS_Y, DisplacementRow.TURNS_Z]]
    right = [30 / (2 * np.pi * last * 0.5) for last in (47, 23, 19)]
    assert turns.tolist() == np.float32(right).tolist()


def test_axes_are_in_order():
    assert [VolumeAxis.Z, VolumeAxis.Y, VolumeAxis.X] == [0, 1, 2]


def test_an_unknown_displacement_is_refused_with_the_nearest_names():
    assert displacement_named("ridge_coarse").frequency == 10
    with pytest.raises(ValueError, match=r"got 'Turbulense'; nearest: turbulence"):
        displacement_named("Turbulense")
    with pytest.raises(ValueError, match=r"nearest: none is near"):
        displacement_named("qqq")

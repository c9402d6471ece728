"""Displacements: one result for scalars, lanes and CUDA's source, and it is the right one."""

import functools
import re
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.backend.source import _enum_defines, assemble
from synthgen.kernels import displacement, float_lanes, mapper_records
from synthgen.kernels.mapper_records import DisplacementFamily, DisplacementTable, VolumeAxis
from synthgen.shapes.displacements import DISPLACEMENTS, Displacement, displacement_named
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import LANES, flushing, functions_of, needs_x86

TOLERANCE = 5e-6  # voxel
SHAPES = [(96, 96, 96), (40, 48, 56), (23, 19, 37), (160, 192, 128)]
TINY = [(1, 1, 1), (2, 2, 2), (3, 2, 1), (1, 3, 16), (5, 4, 17)]
EVERY = pytest.mark.parametrize("which", DISPLACEMENTS, ids=lambda which: which.name)

TEXT = """#include "displacement.cuh"
extern "C" __global__ void field(const float* row, int depth, int height, int width, int stride,
                                 float* tables, float* out)
{
    // As two threads would share the work.
    float* z = tables; float* y = z + 2 * stride; float* x = y + 2 * stride;
    for (int thread = 0; thread < 2; ++thread) {
        fill_axis(row, VOLUME_AXIS_Z, depth, stride, thread, 2, z);
        fill_axis(row, VOLUME_AXIS_Y, height, stride, thread, 2, y);
        fill_axis(row, VOLUME_AXIS_X, width, stride, thread, 2, x);
    }
    const float size = amplitude(row, width);
    for (int i = 0; i < depth; ++i)
        for (int j = 0; j < height; ++j) {
            const RowTerms t = row_terms(row, size, y[j], y[stride + j], z[i], z[stride + i]);
            for (int k = 0; k < stride; ++k)
                *out++ = displaced(t, x[k], x[stride + k]);
        }
}"""


@numba.njit(nogil=True, error_model="numpy")
def fill(row, depth, height, width, stride, z, y, x):
    displacement.fill_axis(row, 0, depth, stride, 0, 1, z)
    displacement.fill_axis(row, 1, height, stride, 0, 1, y)
    displacement.fill_axis(row, 2, width, stride, 0, 1, x)


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(row, depth, height, width, stride, z, y, x, out):
    size = displacement.amplitude(row, width)
    at = 0
    for i in range(depth):
        for j in range(height):
            t = displacement.row_terms(row, size, y[j], y[stride + j], z[i], z[stride + i])
            for k in range(stride):
                out[at] = displacement.displaced(t, x[k], x[stride + k])
                at += 1


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(row, depth, height, width, stride, z, y, x, out):
    size = displacement.amplitude(row, width)
    at = 0
    for i in range(depth):
        for j in range(height):
            t = displacement.row_terms(row, size, y[j], y[stride + j], z[i], z[stride + i])
            for k in range(0, stride, LANES):
                first, second = float_lanes.load(x, k), float_lanes.load(x, stride + k)
                float_lanes.store(out, at, displacement.displaced(t, first, second))
                at += LANES


def source(text: str) -> str:
    return "\n".join([*_enum_defines(mapper_records), assemble(text, "field.cu")])


@functools.cache
def host(text: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel("field", source=source(text), sanitize=sanitize)


def stride_of(shape: tuple[int, ...]) -> int:
    """The longest axis, in whole lanes: tables of one size serve all three axes here."""
    return -(-max(shape) // LANES) * LANES


def tables_of(which: Displacement, shape: tuple[int, ...]) -> np.ndarray:
    """(3, columns x stride), z, y, x."""
    stride = stride_of(shape)
    tables = np.full((3, DisplacementTable.SIZE * stride), np.nan, np.float32)
    fill(which.row, *shape, stride, *tables)
    return tables


def run(function, which: Displacement, shape: tuple[int, ...], tables: np.ndarray) -> np.ndarray:
    stride = stride_of(shape)
    out = np.full(shape[0] * shape[1] * stride, np.nan, np.float32)
    function(which.row, *shape, stride, *tables, out)
    return out.reshape(shape[0], shape[1], stride)


def run_c(which: Displacement, shape: tuple[int, ...], text: str = TEXT, *, sanitize: bool = False):
    """Tables and field of the CUDA source, compiled for the host."""
    stride = stride_of(shape)
    tables = np.full((3, DisplacementTable.SIZE * stride), np.nan, np.float32)
    out = np.full(shape[0] * shape[1] * stride, np.nan, np.float32)
    numbers = [np.int32(value) for value in (*shape, stride)]
    host(text, sanitize=sanitize)(1, 1, [which.row, *numbers, tables, out])
    return tables, out.reshape(shape[0], shape[1], stride)


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int32), b.view(np.int32))


def check(which: Displacement, shape: tuple[int, ...]) -> None:
    tables = tables_of(which, shape)
    scalars = run(by_scalars, which, shape, tables)
    c_tables, c = run_c(which, shape)
    assert np.isfinite(scalars).all()
    assert equal(tables, c_tables)
    assert equal(scalars, c)
    assert equal(scalars, run(by_lanes, which, shape, tables))


@needs_compiler
@EVERY
def test_scalars_equal_lanes_equal_c(which):
    for shape in SHAPES[:3] + TINY:
        check(which, shape)


@needs_compiler
@pytest.mark.parametrize("family", DisplacementFamily, ids=lambda family: family.name)
def test_any_parameters_and_shape(family):
    generator = np.random.default_rng(int(family))
    for _ in range(30):
        numbers = generator.uniform(0, 0.1), generator.uniform(0, 100)
        which = Displacement("own", family, *numbers)
        check(which, tuple(generator.integers(1, 50, 3).tolist()))
    check(Displacement("own", family, 0.0, 0.0), (7, 8, 9))


@needs_compiler
@needs_x86
@EVERY
def test_flushing_subnormals_changes_nothing(which):
    for shape in SHAPES[1:3] + TINY:
        plain, flushed = run_c(which, shape), run_c(which, shape, flushing(TEXT))
        assert equal(plain[0], flushed[0])
        assert equal(plain[1], flushed[1])


@needs_compiler
@EVERY
def test_nothing_overflows(which):
    """No access outside an array and no undefined operation, so defined values are compared."""
    for shape in (SHAPES[2], *TINY):
        assert equal(run_c(which, shape)[1], run_c(which, shape, sanitize=True)[1])


def coordinates(shape: tuple[int, ...]) -> tuple[list[np.ndarray], tuple[float, ...]]:
    """x, y and z of a volume's voxels, and the largest of each."""
    axes = [np.arange(length) - length / 2 for length in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return [x, y, z], tuple(axis.max() for axis in axes[::-1])


def at_a_jump(which: Displacement, shape: tuple[int, ...]) -> np.ndarray:
    """Where a sawtooth jumps: there float64 rounds to either side by chance."""
    found = np.zeros(shape, bool)
    if which.family is DisplacementFamily.SAWTOOTH:
        for position, largest in zip(*coordinates(shape), strict=True):
            phase = which.frequency * position / largest
            found |= np.abs(np.abs(phase - np.round(phase)) - 0.5) < 1e-9
    return found


def errors(which: Displacement, shape: tuple[int, ...]) -> np.ndarray:
    """In voxels, where the field does not jump."""
    got = run(by_scalars, which, shape, tables_of(which, shape))[:, :, : shape[2]]
    right = np.zeros(shape)
    if which.name != "none":
        position, largest = coordinates(shape)
        right = reference.displacement(which.name, *position, largest)
    jumps = at_a_jump(which, shape)
    assert jumps.mean() < 0.25
    return np.abs(got - right)[~jumps]


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(which, shape):
    assert errors(which, shape).max() < TOLERANCE


@EVERY
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_reach(which, shape):
    """It bounds the field from below, without waste but for a turbulence's rare peaks."""
    field = run(by_scalars, which, shape, tables_of(which, shape))[:, :, : shape[2]]
    deepest, reach = -min(0.0, float(field.min())), which.reach(shape[2])
    assert deepest <= reach
    assert deepest >= 0.8 * reach


@numba.njit(error_model="numpy")
def in_turns(above, below, out):
    for i in range(above.size):
        out[i] = displacement.turns_of(above[i], below[i])


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
    tables = tables_of(displacement_named("sawtooth"), (62, 62, 62))
    stride = stride_of((62, 62, 62))
    whole = 2 * np.arange(62) - 62  # u = whole / 60, so 15 u = whole / 4
    ties = whole % 4 == 2
    assert ties.any()
    assert np.unique(tables[:, :stride][:, :62][:, ties]).tolist() == [-np.float32(1 / np.pi)]


# -------------------------------------------------------------------------------- what is compiled


def test_every_device_function_is_tested():
    text = (files("synthgen.kernels") / "displacement.cuh").read_text() + TEXT
    found = functions_of("displacement.cuh")
    assert {"fill_axis", "amplitude", "row_terms", "displaced"} <= found
    for name in found:
        assert hasattr(displacement, name)
        assert len(re.findall(rf"\b{name}\(", text)) > 1, name


@pytest.mark.parametrize("function", [fill, by_scalars, by_lanes],
                         ids=["tables", "scalars", "lanes"])  # fmt: skip
def test_cpu_code_has_no_double_and_no_libm(function):
    arrays = (numba.float32[::1],) * (3 if function is fill else 4)
    arguments = (numba.float32[::1], *(numba.int64,) * 4, *arrays)
    check_cpu(function, arguments, less=("llvm.sqrt",))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    check_cuda(source(TEXT), "field", architecture)


# ------------------------------------------------------------------------------------------- table


def test_displacements():
    numbers = {which.name: (which.amplitude, which.frequency) for which in DISPLACEMENTS}
    assert numbers.pop("none") == (0, 0)
    assert numbers == {name: row[1:] for name, row in reference.DISPLACEMENTS.items()}
    unpublished = {which.name for which in DISPLACEMENTS if not which.published}
    assert unpublished == {"none", "sawtooth_fine"}


def test_axes_are_in_order():
    assert [VolumeAxis.Z, VolumeAxis.Y, VolumeAxis.X] == [0, 1, 2]


def test_an_unknown_displacement_is_refused_with_the_nearest_names():
    assert displacement_named("ridge_coarse").frequency == 10
    with pytest.raises(ValueError, match=r"got 'Turbulense'; nearest: turbulence"):
        displacement_named("Turbulense")
    with pytest.raises(ValueError, match=r"nearest: none is near"):
        displacement_named("qqq")

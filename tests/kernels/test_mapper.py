"""Mappers: one result for scalars, lanes and CUDA's source, and it is the right one."""

import math
import re
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.appearance.mappers import INVERSE_CUBE_REACH, MAPPERS, Mapper, mapper_named
from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, mapper
from synthgen.kernels.mapper_records import MapperFamily, MapperRow
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import LANES, flushing, functions_of, needs_x86, padded

TOLERANCE = 2e-5  # grey levels
EVERY = pytest.mark.parametrize("which", MAPPERS, ids=lambda which: which.name)
OWN = (  # parameters that nobody published
    Mapper("exponential_base_1.1", MapperFamily.EXPONENTIAL, 1.1),
    Mapper("floor_width_0.25", MapperFamily.FLOOR, 0.25),
    Mapper("modular_7", MapperFamily.MODULAR, 2.0, 7),
    Mapper("modular_2", MapperFamily.MODULAR, 0.125, 2),
    Mapper("sinusoidal_wavelength_0.7", MapperFamily.SINUSOIDAL, 0.7),
)
ALL = pytest.mark.parametrize("which", MAPPERS + OWN, ids=lambda which: which.name)
STEPPED = (MapperFamily.FLOOR, MapperFamily.MODULAR)

TEXT = """#include "mapper.cuh"
extern "C" __global__ void mapping(const float* row, long long n, const float* s, float* out)
{
    for (long long i = 0; i < n; ++i) out[i] = mapped(row, s[i]);
}"""


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(row, s, out):
    for i in range(s.size):
        out[i] = mapper.mapped(row, s[i])


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(row, s, out):
    for i in range(0, s.size, LANES):
        float_lanes.store(out, i, mapper.mapped(row, float_lanes.load(s, i)))


def source(text: str) -> str:
    return assemble(text, "mapping.cu")


def run_c(row: np.ndarray, s: np.ndarray, text: str = TEXT, *, sanitize: bool = False):
    out = np.zeros(s.size, np.float32)
    kernel = HostKernel("mapping", source=source(text), sanitize=sanitize)
    kernel(1, 1, [row, np.int64(s.size), s, out])
    return out


def run(function, which: Mapper, s: np.ndarray) -> np.ndarray:
    out = np.zeros(s.size, np.float32)
    function(which.row, s, out)
    return out


def edges() -> np.ndarray:
    """Every multiple of 1/8 voxel of a deep solid and its neighbours, zeros, ends, far away."""
    ticks = np.arange(-1600, 240).astype(np.float32) / np.float32(8)
    reach = np.float32(INVERSE_CUBE_REACH)
    special = np.float32([0, -0.0, 2.0**-60, -(2.0**-60), 1e-30, -1e-30, reach, -reach, 1e30])
    values = [ticks, special, np.float32([-4000, -10000, 4000, -126.5, -(2.0**17), 3e38])]
    values += [np.nextafter(v, np.float32(side)) for v in (ticks[ticks != 0], reach[None])
               for side in (-np.inf, np.inf)]  # fmt: skip
    return padded(np.concatenate(values)[None])[0]


def random_inputs(count: int = 500_000) -> np.ndarray:
    generator = np.random.default_rng(0)
    near = generator.uniform(-30, 25, count)
    far = generator.choice([-1, 1], count) * np.exp2(generator.uniform(-60, 20, count))
    return padded(np.concatenate([near, far])[None])[0]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a.view(np.int32), b.view(np.int32))


@needs_compiler
@ALL
def test_scalars_equal_lanes_equal_c(which):
    for s in (edges(), random_inputs()):
        scalars = run(by_scalars, which, s)
        assert equal(scalars, run(by_lanes, which, s))
        assert equal(scalars, run_c(which.row, s))


@needs_compiler
@needs_x86
@ALL
def test_flushing_subnormals_changes_nothing(which):
    for s in (edges(), random_inputs()):
        assert equal(run_c(which.row, s), run_c(which.row, s, flushing(TEXT)))


@needs_compiler
@ALL
def test_nothing_overflows(which):
    """No undefined operation, so defined values are compared."""
    s = edges()
    assert equal(run_c(which.row, s), run_c(which.row, s, sanitize=True))


def in_use(s: np.ndarray) -> np.ndarray:
    """Distances that occur, and deeper ones: down to 4,000 voxels."""
    return s[np.abs(s) <= 4000]


def expected(which: Mapper, s: np.ndarray) -> np.ndarray:
    right = reference.mapped(which.name, s.astype(float))
    return np.where(s > INVERSE_CUBE_REACH, 0, right)


@EVERY
def test_values(which):
    s = in_use(padded(np.concatenate([edges(), random_inputs()])[None])[0])
    errors = np.abs(run(by_scalars, which, s) - expected(which, s))
    assert errors.max() < (1e-5 if which.family in STEPPED else TOLERANCE)


@EVERY
def test_steps_and_ends_are_exact(which):
    """On the surface 128, beyond the reach 0, and steps right at their ties and next to them."""
    end = np.float32(which.reach)
    beyond = np.nextafter(end, np.float32(np.inf))
    values = run(by_scalars, which, np.float32([0, -0.0, end, beyond, 1e30]))
    assert values[:2].tolist() == [128, 128]
    assert values[2] > 0
    assert values[3:].tolist() == [0, 0]
    if which.family in STEPPED:
        s = in_use(edges())
        assert equal(run(by_scalars, which, s), np.float32(expected(which, s)))


@ALL
def test_range(which):
    s = in_use(np.concatenate([edges(), random_inputs()]))
    values = run(by_scalars, which, s)
    assert values.min() >= 0
    assert values.max() <= 128


@pytest.mark.parametrize("which", [m for m in MAPPERS + OWN if m.family is MapperFamily.MODULAR],
                         ids=lambda which: which.name)  # fmt: skip
def test_a_modular_counts_every_step(which):
    """All steps down to 2^17 fall into the right period, though its reciprocal is rounded."""
    steps = -np.arange(2**17, dtype=np.int64)
    wanted = np.float32(which.row[MapperRow.STEP]) * np.float32((steps - 1) % which.steps)
    got = run(by_scalars, which, np.float32(steps * which.number))
    assert np.array_equal(got, wanted)


def test_the_cut_off_is_at_most_a_64th_of_a_level():
    assert 128 / (INVERSE_CUBE_REACH**3 + 1) < 1 / 62


def test_no_rate_is_near_a_rounding_tie():
    """So the table does not depend on the platform's logarithm."""
    for which in MAPPERS:
        if which.family is MapperFamily.EXPONENTIAL:
            exact = math.log2(which.number)
            rounded = np.float32(exact)
            gap = float(np.spacing(rounded))
            assert abs(abs(exact - float(rounded)) - gap / 2) > 1e-4 * gap


# -------------------------------------------------------------------------------- what is compiled


def test_every_device_function_is_tested():
    """Through ``mapped``, which calls them all."""
    text = (files("synthgen.kernels") / "mapper.cuh").read_text() + TEXT
    found = functions_of("mapper.cuh")
    assert "mapped" in found
    for name in found:
        assert hasattr(mapper, name)
        assert len(re.findall(rf"\b{name}\(", text)) > 1, name


@pytest.mark.parametrize("function", [by_scalars, by_lanes], ids=["scalars", "lanes"])
def test_cpu_code_has_no_double_and_no_libm(function):
    check_cpu(function, (numba.float32[::1],) * 3, less=("llvm.sqrt", "llvm.copysign"))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    check_cuda(source(TEXT), "mapping", architecture)


# ------------------------------------------------------------------------------------------- table


def test_mappers():
    published = {which.name for which in MAPPERS if which.published}
    assert len(published) == 10
    assert {which.name for which in MAPPERS} == {"inverse_cube", *reference.MAPPERS}
    assert {which.name for which in MAPPERS} - published == {"linear_slope_20.0"}


def test_an_unknown_mapper_is_refused_with_the_nearest_names():
    assert mapper_named("modular_10").steps == 10
    with pytest.raises(ValueError, match=r"got 'Modular5'; nearest: modular_5"):
        mapper_named("Modular5")
    with pytest.raises(ValueError, match=r"nearest: none is near"):
        mapper_named("qqq")

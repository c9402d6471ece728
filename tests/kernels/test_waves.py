"""Plane waves: the laws they are drawn from, sums of cosines, and CUDA's source equal in bits."""

import functools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthgen.appearance.spectra import ARCHETYPES, bands_of
from synthgen.backend.source import assemble
from synthgen.kernels import waves as kernels
from synthgen.kernels.appearance_records import Band
from synthgen.kernels.float_lanes import pointer
from synthgen.kernels.sample_waves import sample_waves
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.chain_scenes import INDEX, SEED, drawn_steps
from tests.kernels.real_code import check_cuda

SHAPES = [(5, 7, 33), (1, 40, 50), (20, 1, 18), (6, 30, 1), (3, 17, 96), (2, 3, 4)]
NAMES = tuple(ARCHETYPES)
SHAPE = (4, 5, 6)

TEXT = """#include "waves.cuh"
extern "C" __global__ void lay(const float* waves, int first, int count, int D, int H, int W,
                               float* out)
{
    for (int z = 0; z < D; ++z)
        for (int y = 0; y < H; ++y)
            for (int x = 0; x < W; ++x)
                *out++ = waves_at(waves, first, count, D, H, W, z, y, x);
}"""


@numba.njit(nogil=True, error_model="numpy")
def lay(waves, first, count, shape, rows, out):
    """Sums of waves, ``rows`` rows at a time."""
    depth, height, width = shape
    scratch = np.full(kernels.turning_size(count), np.float32(np.nan), np.float32)
    for z in range(depth):
        for y in range(0, height, rows):
            at = (z * height + y) * width
            kernels.lay_wave_rows(
                pointer(waves, 0), first, count, z, y, min(rows, height - y), depth, height,
                width, pointer(scratch, 0), pointer(out, 0), at,
            )  # fmt: skip


def stride(shape) -> int:
    return shape[0] + shape[1] + -(-shape[2] // 16) * 16


def laid(waves: np.ndarray, first: int, count: int, shape, rows: int = 5) -> np.ndarray:
    size = int(np.prod(shape))
    out = np.full(size + 16, np.nan, np.float32)
    lay(waves, first, count, shape, rows, out)
    return out[:size].reshape(shape)


def drawn_waves(bands, shape=SHAPE, index=INDEX, channel: int = 1, active=None) -> np.ndarray:
    count = int(bands[:, Band.COUNT].sum())
    waves = np.full((count, 2, stride(shape)), 9, np.float32)
    drawn = drawn_steps(int(bands[:, Band.STEP].max()) + 1, active)
    sample_waves(bands, drawn, SEED, np.uint64(index), channel, shape, waves)
    return waves


class Waves:
    """What tables tell of their waves: cycles a voxel, amplitudes, phases in turns."""

    def __init__(self, tables: np.ndarray, shape=SHAPE) -> None:
        numbers = tables[:, 0].astype(np.complex128) + 1j * tables[:, 1]
        starts = np.cumsum((0, *shape[:2]))
        self.amplitude = np.abs(numbers[:, 0])
        self.phase = np.angle(numbers[:, 0]) / (2 * np.pi) % 1
        turns = [np.angle(numbers[:, s + 1] / numbers[:, s]) / (2 * np.pi) for s in starts]
        self.cycles = np.stack(turns, 1)
        self.frequency = np.linalg.norm(self.cycles, axis=1)
        self.direction = self.cycles / self.frequency[:, None]
        self.variance = self.amplitude**2 / 2


def many(name: str, volumes: int = 60, waves: int = 16) -> list[Waves]:
    bands = bands_of([name], waves, 0)
    return [Waves(drawn_waves(bands, index=index)) for index in range(volumes)]


# ------------------------------------------------------------------------------------- sums


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_sum_is_one_of_cosines(shape):
    bands = bands_of(NAMES, 32, 0)
    tables = drawn_waves(bands, (max(2, shape[0]), max(2, shape[1]), max(2, shape[2])))
    waves = Waves(tables, [max(2, side) for side in shape])
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    turns = np.tensordot(waves.cycles, place, 1) + waves.phase[:, None, None, None]
    expected = np.tensordot(waves.amplitude, np.cos(2 * np.pi * turns), 1)
    found = laid(drawn_waves(bands, shape), 0, 32, shape)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 50)), st.integers(1, 45),
    st.integers(0, 3), st.integers(1, 6),
)  # fmt: skip
def test_any_rows_of_any_tables(shape, rows, first, count):
    generator = np.random.default_rng(1)
    tables = generator.standard_normal((first + count, 2, stride(shape))).astype(np.float32)
    numbers = tables[first:, 0].astype(np.complex128) + 1j * tables[first:, 1]
    z, y, x = np.split(numbers, np.cumsum(shape[:2]), axis=1)
    expected = np.einsum("wz,wy,wx->zyx", z, y, x[:, : shape[2]], optimize=True).real
    np.testing.assert_allclose(laid(tables, first, count, shape, rows), expected, atol=1e-4)


def test_power_lies_within_the_band():
    shape = (64, 64, 64)
    bands = bands_of(["fibrous"], 32, 0)
    tables = drawn_waves(bands, shape)
    waves = Waves(tables, shape)
    window = np.hanning(64)[:, None, None] * np.hanning(64)[:, None] * np.hanning(64)
    power = np.abs(np.fft.fftn(laid(tables, 0, 32, shape) * window)) ** 2
    axis = np.fft.fftfreq(64)
    frequency = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    slack = 2.5 / 64  # of the window
    inside = (frequency > waves.frequency.min() - slack) & (
        frequency < waves.frequency.max() + slack
    )
    assert power[inside].sum() > 0.999 * power.sum()


# ------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("names", [NAMES[:1], NAMES, NAMES[2:]])
def test_the_variance_of_all_waves_is_one(names):
    for index in range(5):
        waves = Waves(drawn_waves(bands_of(names, 33, 0), index=index))
        np.testing.assert_allclose(waves.variance.sum(), 1, rtol=2e-5)


def test_volumes_have_variance_one_on_average():
    shape = (24, 24, 24)
    bands = bands_of(["quantum"], 32, 0)
    found = [laid(drawn_waves(bands, shape, i), 0, 32, shape).var() for i in range(12)]
    np.testing.assert_allclose(np.mean(found), 1, atol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_frequencies_are_one_in_each_part_of_the_octaves(name):
    row = ARCHETYPES[name]
    octaves = row[Band.OCTAVES_HIGH] - row[Band.OCTAVES_LOW]
    places = []
    for waves in many(name):
        octave = np.log2(waves.frequency)
        low, high = octave.min(), octave.max()
        assert high <= np.log2(row[Band.CYCLES_HIGH]) + row[Band.OCTAVES_HIGH] + 1e-4
        assert low >= np.log2(row[Band.CYCLES_LOW]) + row[Band.OCTAVES_LOW] - 1e-3
        assert waves.frequency.max() < 0.5
        steps = np.diff(octave) / octaves * 16
        assert ((steps > -1e-2) & (steps < 2.01)).all()
        places += list(np.diff(octave)[::2] / octaves * 16 - 1)  # of two uniform numbers
    triangle = stats.triang(0.5, loc=-1, scale=2)
    assert stats.kstest(places, triangle.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", ["parenchyma", "quantum", "speckle"])
def test_directions_go_everywhere(name):
    directions = np.concatenate([waves.direction for waves in many(name)])
    for axis in range(3):
        assert stats.kstest(directions[:, axis], stats.uniform(-1, 2).cdf).pvalue > 1e-3
    azimuth = np.arctan2(directions[:, 1], directions[:, 2])
    assert stats.kstest(azimuth, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3


def test_fibres_share_an_axis():
    axes = []
    for waves in many("fibrous"):
        mean = waves.direction.mean(0)
        mean /= np.linalg.norm(mean)
        assert (waves.direction @ mean).min() > 1 - 4 * ARCHETYPES["fibrous"][Band.SPREAD]
        axes.append(mean)
    for axis in range(3):
        assert stats.kstest(np.array(axes)[:, axis], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_phases_are_uniform():
    phases = np.concatenate([waves.phase for waves in many("speckle")])
    assert stats.kstest(phases, "uniform").pvalue > 1e-3


def test_tissue_follows_a_power_law():
    slopes = []
    for waves in many("parenchyma"):
        fit = stats.linregress(np.log(waves.frequency), np.log(waves.variance))
        assert fit.rvalue**2 > 0.9999 or abs(fit.slope) < 0.05
        slopes.append(3 - fit.slope)
    assert stats.kstest(slopes, stats.uniform(2, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "slope", "centre", "sharpness"),
    [("quantum", 1, 0, 1), ("speckle", 0, 0, 1), ("fibrous", 0, 1, 1 / 0.3)],
)
def test_power_follows_the_spectrum(name, slope, centre, sharpness):
    """The root of what is left is straight in the frequency; its slope tells f0."""
    cycles = []
    row = ARCHETYPES[name]
    for waves in many(name):
        log_power = np.log(waves.variance) - (3 + slope) * np.log(waves.frequency)
        # A parabola in f: -(sharpness (f / f0 - centre))^2 and a constant.
        fit = np.polyfit(waves.frequency, log_power, 2)
        found = sharpness / np.sqrt(-fit[0])
        np.testing.assert_allclose(np.polyval(fit, waves.frequency), log_power, atol=5e-3)
        np.testing.assert_allclose(-fit[1] / (2 * fit[0]), centre * found, atol=3e-3)
        cycles.append(found)
    law = stats.uniform(row[Band.CYCLES_LOW], row[Band.CYCLES_HIGH] - row[Band.CYCLES_LOW])
    assert stats.kstest(cycles, law.cdf).pvalue > 1e-3


def test_shares_are_dirichlet():
    """The marginals of Dirichlet(1, 1, 1, 1) are Beta(1, 3)."""
    bands = bands_of(NAMES, 8, 0)
    shares = []
    for index in range(300):
        waves = Waves(drawn_waves(bands, index=index))
        shares.append(waves.variance.reshape(4, 2).sum(1))
    for share in np.array(shares).T:
        assert stats.kstest(share, stats.beta(1, 3).cdf).pvalue > 1e-3


def two_steps() -> np.ndarray:
    return np.concatenate([bands_of(NAMES[:3], 7, 0), bands_of(NAMES[1:3], 6, 2, first=7)])


def test_steps_have_draws_of_their_own():
    waves = drawn_waves(two_steps())
    assert (waves != 9).all()
    alone = drawn_waves(bands_of(NAMES[:3], 7, 0))
    np.testing.assert_array_equal(waves[:7], alone)
    later = two_steps()[3:].copy()
    later[:, Band.FIRST] -= 7
    np.testing.assert_array_equal(waves[7:], drawn_waves(later))


def test_only_steps_that_are_taken_get_waves():
    waves = drawn_waves(two_steps(), active=[2])
    assert (waves[:7] == 9).all()
    np.testing.assert_array_equal(waves[7:], drawn_waves(two_steps())[7:])


def test_waves_are_shared_among_archetypes():
    rows = bands_of(NAMES, 30, 5, first=10)
    assert rows[:, Band.COUNT].tolist() == [8, 8, 7, 7]
    assert rows[:, Band.FIRST].tolist() == [10, 18, 26, 33]
    assert set(rows[:, Band.STEP]) == {5}
    with pytest.raises(ValueError, match="waves: must be one for each archetype"):
        bands_of(NAMES, 3, 0)


# ---------------------------------------------------------------------------------------- CUDA


@functools.cache
def host(sanitize: bool = False) -> HostKernel:
    return HostKernel("lay", source=assemble(TEXT, "lay.cu"), sanitize=sanitize)


def check_sums_on_host(shape, **options) -> None:
    tables = drawn_waves(two_steps(), shape)
    for first, count in ((0, 7), (7, 6)):
        out = np.full(shape, np.nan, np.float32)
        sizes = [np.int32(n) for n in (first, count, *shape)]
        host(**options)(1, 1, [tables, *sizes, out])
        expected = laid(tables, first, count, shape)
        np.testing.assert_array_equal(out.view(np.int32), expected.view(np.int32))


def check_waves_on_host(shape, threads: int = 64, **options) -> None:
    bands = two_steps()
    drawn = np.stack([drawn_steps(3), drawn_steps(3, active=[2])])
    indices = np.array([INDEX, 3], np.uint64)
    waves = np.full((2, 13, 2, stride(shape)), 9, np.float32)
    sizes = [np.int32(n) for n in (len(bands), 3, 13, *shape)]
    HostKernel("sample_waves", sanitize=options.pop("sanitize", False))(
        (len(bands), 2), threads, [bands, drawn, SEED, indices, np.int32(1), waves, *sizes],
        **options,
    )  # fmt: skip
    for b, active in enumerate((None, [2])):
        expected = drawn_waves(bands, shape, indices[b], active=active)
        np.testing.assert_array_equal(waves[b].view(np.int32), expected.view(np.int32))


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cuda_equals_the_twin(shape):
    check_waves_on_host(shape)
    check_sums_on_host(shape)


@needs_compiler
@pytest.mark.parametrize(("threads", "order"), [(32, 1), (128, 2)])
def test_cuda_depends_on_no_order(threads, order):
    check_waves_on_host((5, 7, 33), threads, order_seed=order)


@needs_compiler
def test_sanitizers_find_nothing():
    check_waves_on_host((2, 5, 19), 32, sanitize=True)
    check_sums_on_host((2, 5, 19), sanitize=True)


def test_cuda_computes_exactly_rounded_floats_alone():
    check_cuda(assemble(TEXT, "lay.cu"), "lay", "sm_90")

"""Normal numbers: one result on every side, the law, and their numbering."""

import functools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, gaussian, random_lanes
from synthgen.kernels.appearance_records import CHANNELS_MAX, PART_BITS, STEPS_MAX, ChainPart
from synthgen.kernels.philox import random_words
from synthgen.kernels.streams import Stream
from synthgen.rng import DRAWS_MAX
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda

SEED, INDEX = np.uint64(0xFEDCBA9876543210), np.uint64(0xF123456789ABCDEF)
DRAW = int(ChainPart.SIZE) << PART_BITS
HALVES = np.arange(65536, dtype=np.uint32)

TEXT = """#include "gaussian.cuh"
extern "C" __global__ void normals(
    int n, const unsigned int* words, float* first, float* second)
{
    for (int i = 0; i < n; ++i) {
        const float2 pair = normal_pair(words[i]);
        first[i] = pair.x;
        second[i] = pair.y;
    }
}"""
TEXT_DRAWS = """#include "gaussian.cuh"
extern "C" __global__ void draws(int channel, int step, int part, long long* out)
{
    out[0] = first_draw(channel, step, part);
}"""


@functools.cache
def host(text: str, name: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel(name, source=assemble(text, f"{name}.cu"), sanitize=sanitize)


@numba.njit(error_model="numpy")
def pairs_of_scalars(words, first, second):
    for i in range(words.size):
        first[i], second[i] = gaussian.normal_pair(words[i])


@numba.njit(error_model="numpy")
def pairs_of_lanes(words, first, second):
    for i in range(0, words.size, float_lanes.WIDTH):
        one, two = gaussian.normal_pair(float_lanes.load(words, i))
        float_lanes.store(first, i, one)
        float_lanes.store(second, i, two)


@numba.njit(nogil=True, error_model="numpy")
def fill(seed, index, draw, first, count, out, at):
    gaussian.fill_groups(seed, index, draw, first, count, out, at)


@numba.njit(error_model="numpy")
def draw_of(channel, step, part):
    return gaussian.first_draw(channel, step, part)


@numba.njit(error_model="numpy")
def words_of_lanes(seed, index, stream, draw, out):
    words = random_lanes.random_lanes(seed, index, stream, draw)
    for i in range(4):
        float_lanes.store(out, 16 * i, words[i])


def words_of(radius, angle) -> np.ndarray:
    return (np.uint32(radius) << np.uint32(16) | np.uint32(angle)).view(np.int32)


def pairs(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.zeros((2, words.size), np.float32)
    pairs_of_lanes(words, first, second)
    return first, second


def filled(first: int, count: int) -> np.ndarray:
    """Groups of normal numbers."""
    out = np.zeros(128 * count, np.float32)
    fill(SEED, INDEX, DRAW, first, count, out, 0)
    return out


# ---------------------------------------------------------------------------------- random words


@settings(deadline=None)
@given(seed=st.integers(0, 2**64 - 1), index=st.integers(0, 2**64 - 1),
       stream=st.integers(0, 2**16 - 1), sixteenth=st.integers(0, 2**44 - 1))  # fmt: skip
def test_lanes_hold_the_words_of_their_draws(seed, index, stream, sixteenth):
    out = np.zeros(64, np.int32)
    seed, index = np.uint64(seed), np.uint64(index)
    words_of_lanes(seed, index, stream, 16 * sixteenth, out)
    wanted = [random_words(seed, index, stream, 16 * sixteenth + lane) for lane in range(16)]
    assert out.view(np.uint32).reshape(4, 16).T.tolist() == np.array(wanted).tolist()


def test_no_two_parts_share_a_draw():
    parts = [
        draw_of(channel, step, part)
        for channel in range(CHANNELS_MAX)
        for step in range(STEPS_MAX)
        for part in range(ChainPart.SIZE)
    ]
    assert np.diff(parts).tolist() == [2**PART_BITS] * (len(parts) - 1)
    assert parts[0] == 0
    assert parts[-1] + 2**PART_BITS <= DRAWS_MAX
    assert 2 * 512**3 <= 2**PART_BITS


# ----------------------------------------------------------------------------------------- twins


@needs_compiler
@pytest.mark.parametrize("sanitize", [False, True])
def test_c_equals_scalars_equals_lanes(sanitize):
    generator = np.random.default_rng(1)
    words = generator.integers(0, 2**32, 16 * 4000, np.uint32).view(np.int32)
    words[:64] = words_of(np.tile(HALVES[[0, 1, -2, -1]], 16), np.repeat(HALVES[::4096], 4))
    words[64:68] = words_of(HALVES[[0, 0, -1, -1]], HALVES[[0, -1, 0, -1]])
    c, scalars, lanes = np.zeros((3, 2, words.size), np.float32)
    host(TEXT, "normals", sanitize=sanitize)(
        1, 1, [np.int32(words.size), words.view(np.uint32), *c]
    )
    pairs_of_scalars(words, *scalars)
    pairs_of_lanes(words, *lanes)
    assert np.array_equal(c.view(np.int32), scalars.view(np.int32))
    assert np.array_equal(c.view(np.int32), lanes.view(np.int32))


@needs_compiler
def test_draws_are_counted_alike():
    for case in ((0, 0, 0), (7, 15, 7), (1, 2, int(ChainPart.NODES))):
        out = np.zeros(1, np.int64)
        host(TEXT_DRAWS, "draws")(1, 1, [*map(np.int32, case), out])
        assert out[0] == draw_of(*case)


# ------------------------------------------------------------------------------------------- law


def test_every_radius_and_every_angle():
    first, second = pairs(words_of(HALVES, np.full(65536, 0x4000, np.uint32)))
    radius = np.hypot(first.astype(float), second)
    exact = np.sqrt(-2 * np.log((HALVES + 0.5) / 65536))
    assert np.abs(radius / exact - 1).max() < 1.2e-5
    assert radius.max() < 4.86
    assert np.mean(radius**2) == pytest.approx(2, abs=5e-5)
    turn = ((HALVES & 0x7FFF) + 0.5) / 65536 - 0.25
    sign = np.where(HALVES & 0x8000, -1, 1)
    first, second = pairs(words_of(np.zeros(65536, np.uint32), HALVES)) / exact[0]
    assert np.abs(first - np.sin(2 * np.pi * turn)).max() < 1e-5
    assert np.abs(second - sign * np.cos(2 * np.pi * turn)).max() < 1e-5


@pytest.mark.parametrize(
    ("function", "low", "high", "degree", "names"),
    [
        (lambda f: -2 * np.log1p(f) / f, -1 / 3, 1 / 3, 5, "_R"),
        (lambda q: np.sin(2 * np.pi * np.sqrt(q)) / np.sqrt(q), 0, 1 / 16, 3, "_S"),
        (lambda q: np.cos(2 * np.pi * np.sqrt(q)), 0, 1 / 16, 3, "_C"),
    ],
    ids=["logarithm", "sine", "cosine"],
)
def test_coefficients_interpolate_at_chebyshev_nodes(function, low, high, degree, names):
    nodes = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    wanted = nodes.convert(kind=np.polynomial.Polynomial).coef
    got = [getattr(gaussian, f"{names}{i}") for i in range(degree + 1)]
    assert got == pytest.approx(wanted, rel=1e-6)
    assert gaussian._OCTAVE == np.float32(-2 * np.log(2) / 2**23)


def test_numbers_are_normal():
    normals = filled(0, 2**15)
    statistic = stats.kstest(normals, "norm")
    assert statistic.pvalue > 1e-3
    for size in (3.0, 4.0, 4.5):
        wanted = 2 * stats.norm.sf(size) * normals.size
        assert np.sum(np.abs(normals) > size) == pytest.approx(wanted, abs=4 * np.sqrt(wanted))
    for lag in (1, 16, 32, 128):
        assert abs(np.corrcoef(normals[lag:], normals[:-lag])[0, 1]) < 5 / np.sqrt(normals.size)


# -------------------------------------------------------------------------------------- numbering


def test_a_group_takes_its_words_in_order():
    expected = np.zeros((4, 2, 16), np.float32)
    for lane in range(16):
        words = random_words(SEED, INDEX, int(Stream.CHAIN), DRAW + 16 * 3 + lane)
        first, second = np.zeros((2, 4), np.float32)
        pairs_of_scalars(np.array(words, np.uint64).astype(np.uint32).view(np.int32), first, second)
        expected[:, 0, lane], expected[:, 1, lane] = first, second
    assert np.array_equal(filled(3, 1), expected.ravel())


@settings(deadline=None)
@given(first=st.integers(0, 5), count=st.integers(0, 5), at=st.integers(0, 9))
def test_any_groups_of_them(first, count, at):
    size = 128 * count
    out = np.full(size + 20, 7, np.float32)
    fill(SEED, INDEX, DRAW, first, count, out, at)
    assert np.array_equal(out[at : at + size], filled(0, 10)[128 * first :][:size])
    assert (out[:at] == 7).all()
    assert (out[at + size :] == 7).all()


# ------------------------------------------------------------------------------ what is compiled


def test_cpu_code_has_no_double_and_no_libm():
    kinds = (numba.uint64,) * 2 + (numba.int64,) * 3 + (numba.float32[::1], numba.int64)
    check_cpu(fill, kinds, less=("fdiv",))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    check_cuda(assemble(TEXT, "normals.cu"), "normals", architecture)

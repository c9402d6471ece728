"""Contours of masks: one result for scalars, lanes and CUDA's source, and it is the right one."""

import numba
import numpy as np
import pytest

from synthgen.kernels import float_lanes, masks
from synthgen.kernels.mask_records import MaskSection
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.test_sdf import cuda_source, flushing, functions_of, needs_x86

LANES = float_lanes.WIDTH
ROWS = 300
POINTS = 64

TEXT = """#include "masks.cuh"
extern "C" __global__ void contours(const float* sections, const float* a, const float* b, int rows,
                                    int n, float* out)
{
    for (int i = 0; i < rows; ++i) {
        const float* section = sections + i * MASK_SECTION_SIZE;
        const float reach = section[MASK_SECTION_REACH];
        for (int k = i * n; k < (i + 1) * n; ++k, out += 6) {
            out[0] = contour_factor(section, a[k], b[k]);
            out[1] = contour_at(section, a[k], b[k]);
            const Chord chord = half_chord(section, reach, 40.0f * a[k]);
            out[2] = chord.middle;
            out[3] = chord.half;
            out[4] = half_height(section, reach);
            out[5] = half_width(section, reach);
        }
    }
}"""


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(sections, a, b, out):
    for i in range(sections.shape[0]):
        section = sections[i]
        reach = section[0]
        for k in range(a.shape[1]):
            out[i, k, 0] = masks.contour_factor(section, a[i, k], b[i, k])
            out[i, k, 1] = masks.contour_at(section, a[i, k], b[i, k])
            out[i, k, 2], out[i, k, 3] = masks.half_chord(section, reach, np.float32(40) * a[i, k])
            out[i, k, 4] = masks.half_height(section, reach)
            out[i, k, 5] = masks.half_width(section, reach)


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(sections, a, b, out):
    for i in range(sections.shape[0]):
        for k in range(0, a.shape[1], LANES):
            c, s = float_lanes.load(a[i], k), float_lanes.load(b[i], k)
            float_lanes.store(out[i], k, masks.contour_factor(sections[i], c, s))


def sections_of(seed):
    """Random sections; some are circles."""
    random = np.random.default_rng(seed)
    sections = np.zeros((ROWS, MaskSection.SIZE), np.float32)
    sections[:, MaskSection.RADIUS] = random.uniform(0, 60, ROWS)
    sections[:, MaskSection.REACH] = 1.7 * sections[:, MaskSection.RADIUS]
    turn, side = random.uniform(0, 2 * np.pi, ROWS), np.sqrt(random.uniform(1, 16, ROWS))
    sections[:, MaskSection.U_X] = np.cos(turn) / side
    sections[:, MaskSection.U_Y] = np.sin(turn) / side
    sections[:, MaskSection.V_X] = -np.sin(turn) * side
    sections[:, MaskSection.V_Y] = np.cos(turn) * side
    waves = random.normal(0, 0.05, (ROWS, MaskSection.SIZE - MaskSection.WAVE))
    sections[:, MaskSection.WAVE :] = waves * (random.random((ROWS, 1)) < 0.9)
    angle = random.uniform(0, 2 * np.pi, (ROWS, POINTS))
    angle[:, :4] = np.pi / 2 * np.arange(4)
    return sections, np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)


def test_every_device_function_is_tested():
    for name in functions_of("masks.cuh"):
        assert f"{name}(" in TEXT


@needs_compiler
@pytest.mark.parametrize("flush", [False, pytest.param(True, marks=needs_x86)])
def test_cuda_and_lanes_give_the_bits_of_scalars(flush):
    sections, a, b = sections_of(0)
    expected, got = np.zeros((2, ROWS, POINTS, 6), np.float32)
    by_scalars(sections, a, b, expected)
    lanes = np.zeros((ROWS, POINTS), np.float32)
    by_lanes(sections, a, b, lanes)
    np.testing.assert_array_equal(lanes.view(np.int32), expected[..., 0].view(np.int32))
    source = cuda_source(flushing(TEXT) if flush else TEXT, "contours")
    HostKernel("contours", source=source)(
        1, 1, [sections, a, b, np.int32(ROWS), np.int32(POINTS), got]
    )
    np.testing.assert_array_equal(got.view(np.int32), expected.view(np.int32))


def test_contours_are_those_of_the_formula():
    sections, s, c = sections_of(1)
    found = np.zeros((ROWS, POINTS, 6), np.float32)
    by_scalars(sections, s, c, found)
    wide = sections.astype(np.float64)[:, :, None]
    re, im = (wide[:, MaskSection.WAVE + part :: 2] for part in (0, 1))
    k = np.arange(2, 8)[None, :, None]
    # contour_factor takes the cosine first; contour_at takes y first.
    angle = np.arctan2(c, s).astype(np.float64)[:, None]
    factor = 1 + (re * np.cos(k * angle) - im * np.sin(k * angle)).sum(1)
    np.testing.assert_allclose(found[..., 0], factor, atol=2e-6)
    u = wide[:, MaskSection.U_X] * c + wide[:, MaskSection.U_Y] * s
    v = wide[:, MaskSection.V_X] * c + wide[:, MaskSection.V_Y] * s
    angle = np.arctan2(v, u)[:, None]
    factor = 1 + (re * np.cos(k * angle) - im * np.sin(k * angle)).sum(1)
    reach = wide[:, MaskSection.RADIUS] * factor / np.hypot(u, v)
    np.testing.assert_allclose(found[..., 1], reach, rtol=2e-4, atol=1e-4)


def test_chords_and_boxes_hold_what_is_in_reach():
    """Of points all around the rim of what is in reach, and of rows that miss it."""
    sections, s, c = sections_of(2)
    found = np.zeros((ROWS, POINTS, 6), np.float32)
    by_scalars(sections, s, c, found)
    turns = np.linspace(0, 2 * np.pi, 721)
    for section, row, at in zip(sections.astype(np.float64), found, s, strict=True):
        matrix = section[MaskSection.U_X : MaskSection.V_Y + 1].reshape(2, 2)
        rim = np.linalg.inv(matrix) @ [np.cos(turns), np.sin(turns)]
        x, y = section[MaskSection.REACH] * rim
        assert row[0, 4] == pytest.approx(y.max(), rel=1e-3, abs=1e-2)
        assert row[0, 5] == pytest.approx(x.max(), rel=1e-3, abs=1e-2)
        for (middle, half), dy in zip(row[:, 2:4], 40 * at, strict=True):
            crossings = np.flatnonzero(np.diff(np.sign(y - dy)))
            if len(crossings) == 2 and abs(dy) < 0.99 * y.max():
                ends = [
                    np.interp(0, *sorted_pair(y[i : i + 2] - dy, x[i : i + 2])) for i in crossings
                ]
                assert middle - half == pytest.approx(min(ends), abs=0.05)
                assert middle + half == pytest.approx(max(ends), abs=0.05)
            elif not len(crossings):
                assert half < 1e-2


def sorted_pair(along, values):
    order = np.argsort(along)
    return along[order], values[order]

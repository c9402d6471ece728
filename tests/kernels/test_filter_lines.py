"""Filters along lines: SciPy's Gaussian, a resampling spelled out, and CUDA's source, all bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from synthgen.kernels.appearance_records import FilterLine
from tests.host_cuda import needs_compiler
from tests.kernels.filter_chains import bits, chain_of, filtering, in_c, on_cpu, sampling

SPARE = 64  # elements of a canvas behind the volume
SHAPES = [(17, 21, 35), (1, 40, 50), (5, 7, 9), (16, 97, 16), (1, 2, 33), (33, 16, 130)]
EVERYWHERE = {"kind": "resolution", "probability": 1.0, "isotropic": 1.0}
TABLES = ("filters", "filter_steps", "filter_weights")


def canvas_of(shape, seed=0):
    values = np.random.default_rng(seed).normal(0.5, 0.3, int(np.prod(shape)) + SPARE)
    return values.astype(np.float32)


def blur(*sds):
    """A step that blurs by given standard deviations along z, y and x, the last two alike."""
    return {"kind": "blur", "sd": (sds[1],) * 2, "across": (sds[0],) * 2}


def filtered(chain, canvas, index=0):
    """The volume after all filters of a chain, and what was drawn for them."""
    tables = on_cpu(sampling(chain), index=index)
    canvas = canvas.copy()
    behind = canvas[-SPARE:].copy()
    on_cpu(filtering(chain), canvas=canvas, **{name: tables[name] for name in TABLES})
    np.testing.assert_array_equal(canvas[-SPARE:], behind)
    return canvas[:-SPARE].reshape(chain.shape), tables


def gaussian(volume, sds):
    """Smoothed along x, then y, then z, out to three standard deviations."""
    result = volume.astype(np.float64)
    for axis in (2, 1, 0):
        if sds[axis] >= 0.2 and volume.shape[axis] > 1:
            radius = int(np.ceil(np.float32(3) * np.float32(sds[axis])))
            result = gaussian_filter1d(result, sds[axis], axis, mode="nearest", radius=radius)
    return result


def resampled(volume, lines, sds):
    """By samples along the axes that have them, else smoothed; float64."""
    result = volume.astype(np.float64)
    for axis in (2, 1, 0):
        line, side = lines[axis].astype(np.float64), volume.shape[axis]
        if line[FilterLine.SAMPLES] == 0:
            keep = [sd if i == axis else 0 for i, sd in enumerate(sds)]
            result = gaussian(result, keep)
            continue
        places = line[FilterLine.FIRST] + line[FilterLine.SPACING] * np.arange(
            int(line[FilterLine.SAMPLES])
        )
        radius = int(line[FilterLine.RADIUS])
        rows = np.moveaxis(result, axis, 0)
        samples = []
        for place in places:
            voxels = np.floor(place).astype(int) + np.arange(-radius, radius + 2)
            weights = np.exp(-0.5 * ((voxels - place) / sds[axis]) ** 2)
            inside = rows[np.clip(voxels, 0, side - 1)]
            samples.append(np.tensordot(weights / weights.sum(), inside, 1))
        flat = np.array(samples).reshape(len(places), -1)
        lines_up = [np.interp(np.arange(side), places, column) for column in flat.T]
        shape = (side, *rows.shape[1:])
        result = np.moveaxis(np.array(lines_up).T.reshape(shape), 0, axis)
    return result


def standard_deviations(chain, tables):
    """Of the only filter's weights along each axis, read off two of them."""
    found = []
    for axis in range(3):
        line = tables["filters"][0, axis].astype(np.float64)
        radius, samples = int(line[FilterLine.RADIUS]), int(line[FilterLine.SAMPLES])
        if radius == 0:
            found.append(0.0)
            continue
        weights = tables["filter_weights"][tables["filter_steps"][0, 1 + axis] :]
        first, second, stride = 0.0, 1.0, 1
        if samples:
            stride = -(-samples // 16) * 16
            place = np.float32(line[FilterLine.FIRST])
            first = float(np.floor(place) - place)
            second, weights, stride = first + 2, weights[radius * stride :], 2 * stride
        ratio = np.log(float(weights[0]) / float(weights[stride]))
        found.append(float(np.sqrt((second**2 - first**2) / (2 * ratio))))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sds", [(0.3, 0.5), (0.0, 1.0), (2.0, 0.19), (3.4, 5.0)])
def test_a_blur_is_scipys_gaussian(shape, sds):
    chain = chain_of(blur(*sds), shape=shape)
    canvas = canvas_of(shape)
    found, _ = filtered(chain, canvas)
    expected = gaussian(canvas[:-SPARE].reshape(shape), (sds[0], sds[1], sds[1]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("index", range(3))
def test_a_resolution_is_a_resampling(shape, index):
    spacing = (1.5, 0.8, 1.0)
    chain = chain_of(EVERYWHERE, shape=shape, spacing=spacing)
    canvas = canvas_of(shape, index)
    found, tables = filtered(chain, canvas, index)
    sds = standard_deviations(chain, tables)
    expected = resampled(canvas[:-SPARE].reshape(shape), tables["filters"][0], sds)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


CHAINS = {
    "blur, resolution": [blur(2.0, 0.7), {"kind": "resolution"}],
    "resolution, blur, native": [
        EVERYWHERE, blur(0.0, 0.4), {"kind": "resolution", "probability": 0.0},
    ],
    "wide": [{"kind": "blur", "sd": (0.0, 5.0), "probability": 0.5}, EVERYWHERE],
}  # fmt: skip


@needs_compiler
@pytest.mark.parametrize(
    ("shape", "name", "sanitize"),
    [
        *((shape, name, False) for shape in SHAPES for name in CHAINS),
        *((shape, "wide", True) for shape in SHAPES[1:3]),
    ],
)
def test_c_equals_the_twin(shape, name, sanitize):
    steps = CHAINS[name]
    chain = chain_of(*steps, shape=shape, spacing=(2.0, 1.0, 0.9))
    indices = [0, 2**63 + 1, 5]
    tables = in_c(sampling(chain), indices=indices, sanitize=sanitize)
    canvases = np.stack([canvas_of(shape, b) for b in range(len(indices))])
    before = canvases.copy()
    given_ = {name: tables[name] for name in TABLES}
    in_c(filtering(chain), indices=indices, canvas=canvases, sanitize=sanitize, order=1, **given_)
    for b, index in enumerate(indices):
        expected, own = filtered(chain, before[b], index)
        assert np.array_equal(bits(own["filters"]), bits(tables["filters"][b]))
        assert np.array_equal(bits(expected.ravel()), bits(canvases[b, :-SPARE]))
        assert np.array_equal(canvases[b, -SPARE:], before[b, -SPARE:])


SIDES = st.integers(1, 40)


@given(shape=st.tuples(SIDES, SIDES, SIDES), sd=st.floats(0.2, 3), axis=st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_a_mirrored_volume_is_blurred_alike(shape, sd, axis):
    chain = chain_of({"kind": "blur", "sd": (sd, sd)}, shape=shape)
    canvas = canvas_of(shape)
    mirrored = canvas.copy()
    mirrored[:-SPARE] = np.flip(canvas[:-SPARE].reshape(shape), axis).ravel()
    found, other = filtered(chain, canvas)[0], filtered(chain, mirrored)[0]
    assert np.array_equal(bits(np.flip(found, axis)), bits(other))


@pytest.mark.parametrize("step", [blur(1.0, 2.0), EVERYWHERE, {"kind": "resolution"}])
def test_a_constant_stays(step):
    chain = chain_of(step, shape=(20, 24, 37), spacing=(0.5, 0.7, 0.6))
    canvas = np.full(20 * 24 * 37 + SPARE, 0.7, np.float32)
    for index in range(6):
        found, _ = filtered(chain, canvas, index)
        np.testing.assert_allclose(found, 0.7, rtol=0, atol=1e-6)


def test_nothing_is_left_of_what_is_too_small():
    """CUDA flushes subnormal numbers to zero, the CPU does not."""
    shape = (17, 18, 33)
    chain = chain_of(blur(0.3, 0.3), blur(0.4, 0.4), EVERYWHERE, shape=shape)
    canvas = canvas_of(shape) * np.float32(2.0**-130)
    canvas[0] = np.float32(1)
    found = np.abs(filtered(chain, canvas)[0])
    assert found[0, 0, 0] > 0
    assert found[found > 0].min() > 2.0**-100


@pytest.mark.parametrize("step", [blur(0.1, 0.19), blur(1.0, 1.0) | {"probability": 0.0}])
def test_no_blur_changes_no_bit(step):
    chain = chain_of(step, shape=(16, 17, 18))
    canvas = canvas_of((16, 17, 18))
    assert np.array_equal(bits(filtered(chain, canvas)[0].ravel()), bits(canvas[:-SPARE]))

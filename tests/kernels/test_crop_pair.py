"""Crops of images with label maps: against NumPy, laws of their places, and CUDA's source."""

import numpy as np
import pytest
from scipy import stats

from synthgen.backend.calls.pairs import CropPair, levels_of
from synthgen.kernels.records import Placed
from synthgen.kernels.streams import Stream
from synthgen.rng import random_words
from tests.host_cuda import needs_compiler
from tests.kernels.called import SEED, by_cpu, by_cuda
from tests.pair_folders import SHAPES, tables

VOLUMES = [(16, 20, 24), (1, 33, 19), (40, 17, 16), (9, 9, 9), (36, 41, 43)]
TYPES = [("uint8", "uint8"), ("float16", "uint16"), ("float32", "uint8")]
INDICES = [0, 1, 2, 17, 2**40, 2**63 + 1]


def call_of(given, shape, image="float16", label="uint8"):
    """The call, and its outputs' kinds, images as bit patterns."""
    bits = f"uint{8 * np.dtype(image).itemsize}"
    kinds = {
        "image": ((given.channels, *shape), bits),
        "label": ((1, *shape), label),
        "placed": ((1, int(Placed.SIZE)), "int32"),
    }
    return [CropPair(given, shape, image, label)], kinds


def placed_by_numpy(index, sides, shape):
    """Case and first voxel, from the random words by their definition."""
    words = random_words(SEED, index, Stream.PAIRS, 0).astype(object)
    case = int(words[0] * len(sides) >> 32)
    return case, [
        int(word * (own - side + 1) >> 32) if own >= side else -((side - own) // 2)
        for word, own, side in zip(words[1:], sides[case].tolist(), shape, strict=True)
    ]


def cropped(values, first, shape):
    """A crop of (..., z, y, x) with zeros around it."""
    out = np.zeros((*values.shape[:-3], *shape), values.dtype)
    to, of = [...], [...]
    for start, side, own in zip(first, shape, values.shape[-3:], strict=True):
        low, high = max(start, 0), min(start + side, own)
        of.append(slice(low, high))
        to.append(slice(low - start, high - start))
    out[tuple(to)] = values[tuple(of)]
    return out


def levels(images, dtype):
    """Bit patterns of intensities, by NumPy."""
    exact = images.astype(np.float64)
    values = np.rint(exact * 255) if dtype == "uint8" else exact
    return values.astype(dtype).view(f"uint{8 * np.dtype(dtype).itemsize}")


@pytest.mark.parametrize("shape", VOLUMES, ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_are_numpys(shape, types, channels):
    given = tables(channels)
    found = by_cpu(*call_of(given, shape, *types), INDICES)
    for b, index in enumerate(INDICES):
        case, first = placed_by_numpy(index, given.sides, shape)
        row = found["placed"][b, 0]
        assert row.tolist() == [0, case, *first, 1, 1]
        voxels, start = int(np.prod(SHAPES[case])), int(given.starts[case])
        image = given.images[channels * start : channels * (start + voxels)]
        label = given.labels[start : start + voxels]
        np.testing.assert_array_equal(
            found["image"][b],
            cropped(levels(image, types[0]).reshape(channels, *SHAPES[case]), first, shape),
        )
        np.testing.assert_array_equal(
            found["label"][b, 0], cropped(label.reshape(SHAPES[case]), first, shape)
        )


def test_cases_and_places_are_uniform():
    shape, count = (5, 8, 12), 1500
    found = by_cpu(*call_of(tables(1), shape), range(count))["placed"][:, 0]
    cases = found[:, Placed.VARIANT]
    assert stats.chisquare(np.bincount(cases, minlength=len(SHAPES))).pvalue > 1e-3
    for case, sides in enumerate(SHAPES):
        own = found[cases == case, Placed.Z : Placed.X + 1]
        for axis in range(3):
            places = np.bincount(own[:, axis], minlength=sides[axis] - shape[axis] + 1)
            assert len(places) == sides[axis] - shape[axis] + 1
            if len(places) > 1:
                assert stats.chisquare(places).pvalue > 1e-3
        assert np.abs(np.corrcoef(own[:, 1:].T) - np.eye(2)).max() < 0.2


def test_smaller_cases_lie_in_the_middle():
    found = by_cpu(*call_of(tables(1), (64, 64, 65)), range(8))
    assert (found["placed"][:, 0, Placed.Z : Placed.X + 1] < 0).all()
    for b in range(8):
        case = found["placed"][b, 0, Placed.VARIANT]
        there = np.argwhere(found["label"][b, 0])
        before, after = there.min(0), np.array([64, 64, 65]) - 1 - there.max(0)
        assert np.isin(after - before, (0, 1)).all()
        np.testing.assert_array_equal(np.ptp(there, axis=0) + 1, SHAPES[case])


def test_bytes_are_the_nearest():
    values = np.array([0, 1, 0.5, 0.1, 1 / 510], np.float16)
    assert levels_of(values, "uint8").tolist() == [0, 255, 128, 25, 0]
    assert levels_of(values, "float16") is values


@needs_compiler
@pytest.mark.parametrize("shape", VOLUMES, ids=str)
@pytest.mark.parametrize("types", TYPES, ids=str)
def test_twins(shape, types):
    calls = call_of(tables(), shape, *types)
    expected = by_cpu(*calls, INDICES)
    for order in (0, 1):
        found = by_cuda(*calls, INDICES, order=order)
        for name in ("image", "label", "placed"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@needs_compiler
def test_it_stays_within_its_arrays():
    calls = call_of(tables(), (18, 21, 37))
    found, expected = by_cuda(*calls, [3, 4], sanitize=True), by_cpu(*calls, [3, 4])
    np.testing.assert_array_equal(found["image"], expected["image"])

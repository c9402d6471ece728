"""Distances to boundaries: against SciPy's, and CUDA's source against its twin, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from synthgen.kernels.appearance_records import DISTANCE_MAX
from synthgen.kernels.label_distance import label_distance
from tests.host_cuda import HostKernel, needs_compiler

SPARE = 64
FAR = DISTANCE_MAX**2
SHAPES = [
    (5, 7, 33), (1, 40, 50), (9, 1, 70), (12, 13, 1), (3, 20, 34), (17, 3, 129), (1, 1, 1),
    (2, 16, 16), (30, 18, 100),
]  # fmt: skip
TYPES = {np.uint8: "unsigned char", np.uint16: "unsigned short"}


def boundaries(label: np.ndarray) -> np.ndarray:
    """Voxels with another label next to them."""
    found = np.zeros(label.shape, bool)
    for axis in range(3):
        one, other = np.moveaxis(found, axis, 0), np.moveaxis(label, axis, 0)
        changes = other[1:] != other[:-1]
        one[1:] |= changes
        one[:-1] |= changes
    return found


def expected(label: np.ndarray) -> np.ndarray:
    """Exact squared distances, clipped."""
    found = boundaries(label)
    if not found.any():
        return np.full(label.shape, FAR)
    squares = np.rint(distance_transform_edt(~found) ** 2)
    return np.minimum(squares, FAR).astype(np.int64)


def distances(label: np.ndarray) -> np.ndarray:
    out = np.full(label.size + SPARE, 7, np.uint8)
    label_distance(label[None], out)
    return out[: label.size].reshape(label.shape)


def blobs(shape, seed: int, dtype=np.uint8, objects: int = 6) -> np.ndarray:
    """A label map of balls."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    label = np.zeros(shape, dtype)
    for value in range(1, objects + 1):
        centre, radius = generator.uniform(0, shape), generator.uniform(1, 9)
        inside = ((grid - centre) ** 2).sum(-1) < radius**2
        label[inside] = value if dtype == np.uint8 else value * 257
    return label


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_transform_of_scipy(shape, dtype):
    for seed in range(3):
        label = blobs(shape, seed, dtype)
        np.testing.assert_array_equal(distances(label), expected(label))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_equals_the_transform_on_any_labels(data):
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 70)))
    label = data.draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 0, 0, 0, 0, 1, 2])))
    np.testing.assert_array_equal(distances(label), expected(label))


def test_one_different_voxel():
    label = np.zeros((21, 22, 40), np.uint16)
    label[10, 11, 20] = 256  # the low bytes are the same
    assert np.array_equal(distances(label), expected(label))
    assert distances(label)[10, 11, [20, 19, 18, 14, 13]].tolist() == [0, 0, 1, 25, 36]


def test_a_volume_of_one_label_has_no_boundary():
    assert (distances(np.full((4, 5, 66), 3, np.uint8)) == FAR).all()


def test_only_the_first_map_counts():
    maps = np.stack([blobs((6, 20, 40), 0), blobs((6, 20, 40), 1)])
    out = np.zeros(maps[0].size + SPARE, np.uint8)
    label_distance(maps, out)
    np.testing.assert_array_equal(out[: maps[0].size].reshape(6, 20, 40), expected(maps[0]))


# ---------------------------------------------------------------------------------------- CUDA


def check_on_host(labels: np.ndarray, threads: int = 128, **options) -> None:
    """``labels``: (B, T, D, H, W)."""
    count, tasks, depth, height, width = labels.shape
    size = depth * height * width + SPARE
    out = np.full((count, size), 7, np.uint8)
    kernel = HostKernel(
        "label_distance",
        LABEL_TYPE=TYPES[labels.dtype.type],
        sanitize=options.pop("sanitize", False),
    )
    blocks = lambda items: -(-items // threads)  # noqa: E731
    grids = [
        (depth * height, blocks(width), count), (blocks(depth * width), 1, count),
        (blocks(height * width), 1, count),
    ]  # fmt: skip
    for axis, grid in enumerate(grids):
        numbers = [np.int32(n) for n in (axis, tasks, depth, height, width)]
        kernel(grid, threads, [labels, out, *numbers, np.int64(size)], **options)
    for b in range(count):
        found = out[b, : size - SPARE].reshape(labels.shape[2:])
        np.testing.assert_array_equal(found, distances(labels[b, 0]))
    assert (out[:, size - SPARE :] == 7).all()


@needs_compiler
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cuda_equals_the_twin(shape, dtype):
    labels = np.stack([[blobs(shape, seed, dtype)] for seed in range(2)])
    check_on_host(labels)


@needs_compiler
@pytest.mark.parametrize(("threads", "order"), [(32, 1), (64, 2), (128, 3)])
def test_cuda_depends_on_no_order(threads, order):
    labels = np.stack([[blobs((5, 9, 140), s), blobs((5, 9, 140), s + 9)] for s in range(2)])
    check_on_host(labels, threads, order_seed=order)


@needs_compiler
@pytest.mark.parametrize("shape", [(1, 3, 5), (3, 5, 70), (9, 8, 1)], ids=str)
def test_sanitizers_find_nothing(shape):
    check_on_host(blobs(shape, 1)[None, None], 32, sanitize=True)

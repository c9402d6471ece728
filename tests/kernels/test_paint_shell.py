"""Placed objects into label and image: against NumPy, and CUDA's source against its twin."""

from dataclasses import dataclass

import numpy as np
import pytest

from synthgen.backend.calls.types import C_TYPES
from synthgen.kernels.anatomy_records import Fate, Pose
from synthgen.kernels.paint_shell import paint_shell
from synthgen.kernels.records import Placed
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.posed_banks import Posed, Rows, posed, rasterized

ORDERS = [0, 1, 2, 3]
SHAPES = [(13, 22, 37), (9, 40, 130), (16, 16, 64), (5, 7, 11)]
NESTED = ((512, 512), (256, 256), (0, 128))
TYPES = [("uint8", "uint8"), ("uint16", "uint8"), ("uint32", "uint16"), ("uint8", "uint16")]


@dataclass(frozen=True)
class Painting:
    """What is painted in one volume."""

    scene: Posed
    rows: Rows
    placed: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def drawn(cls, seed: int, shape: tuple[int, int, int], steps=((256, 256),)) -> "Painting":
        """Centres within the volume or a little out of it, in any order; some are not placed."""
        scene = posed(seed, objects=9, steps=steps)
        generator = np.random.default_rng(seed)
        placed = np.full((9, Placed.SIZE), 99, np.int32)
        placed[:, Placed.OBJECT] = generator.permutation(9)
        centres = generator.integers(-6, np.array(shape) + 6, (9, 3))
        placed[:, Placed.Z : Placed.X + 1] = centres
        fates = scene.poses[placed[:, Placed.OBJECT], Pose.FATE].copy()
        fates[generator.random(9) < 0.2] = Fate.DROPPED
        fates[scene.poses[placed[:, Placed.OBJECT], Pose.DEPTH] == 0] = Fate.EMPTY
        placed[:, Placed.ACCEPTED] = fates
        return cls(scene, rasterized(scene), placed, shape)


def levels_of(dtype: str) -> np.ndarray:
    """Ascending, with nothing at 0."""
    step = np.iinfo(dtype).max // 255
    return (np.arange(256) * step).astype(dtype)


def weights_of(painting: Painting) -> np.ndarray:
    return np.linspace(256, 100, len(painting.scene.steps)).astype(np.int32)


def painted(
    painting: Painting, keep: int, dtypes: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    image, label = (np.full(np.prod(painting.shape), 77, dtype) for dtype in dtypes)
    paint_shell(
        painting.placed, painting.scene.poses, painting.scene.row_offsets, painting.rows.rows,
        painting.rows.shells, weights_of(painting), levels_of(dtypes[0]), keep, image, label,
        painting.shape,
    )  # fmt: skip
    return image.reshape(painting.shape), label.reshape(painting.shape)


def expected(
    painting: Painting, keep: int, dtypes: tuple[str, str]
) -> tuple[np.ndarray, np.ndarray]:
    """As ``painted``, by whole boxes."""
    levels, shape = levels_of(dtypes[0]), np.array(painting.shape)
    image, label = np.full(shape, levels[0]), np.zeros(shape, dtypes[1])
    for place in painting.placed:
        n = place[Placed.OBJECT]
        pose = painting.scene.poses[n]
        if place[Placed.ACCEPTED] != Fate.PLACED:
            continue
        first = place[Placed.Z : Placed.X + 1] + pose[Pose.BOX : Pose.BOX + 3]
        low = np.maximum(-first, 0)
        stop = np.minimum(painting.scene.box(n), shape - first)
        if (stop <= low).any():
            continue
        own = tuple(map(slice, low, stop))
        there = tuple(map(slice, low + first, stop + first))
        inside = painting.scene.voxels(n, painting.rows.rows)[own]
        label[there][inside] = n + 1
        if keep == 0:
            image[there][inside] = levels[0]
        for weight, plane in zip(weights_of(painting), painting.rows.shells, strict=True):
            shell = painting.scene.voxels(n, plane)[own]
            value = levels[(int(pose[Pose.VALUE]) * int(weight) + 128) >> 8]
            image[there][shell] = np.maximum(image[there][shell], value)
    return image, label


@pytest.mark.parametrize("dtypes", TYPES, ids=str)
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boxes_are_painted_in_order(shape, keep, dtypes):
    seen = set()
    for seed in range(8):
        painting = Painting.drawn(seed, shape, [(), ((256, 256),), NESTED][seed % 3])
        image, label = painted(painting, keep, dtypes)
        right = expected(painting, keep, dtypes)
        np.testing.assert_array_equal(image, right[0])
        np.testing.assert_array_equal(label, right[1])
        seen |= set(np.unique(label))
    assert len(seen) > 4


@pytest.mark.parametrize("keep", [0, 1])
def test_what_is_hidden_is_kept_or_not(keep):
    """Of two objects in the same place, the first's shell stays only where it is kept."""
    painting = Painting.drawn(1, (40, 40, 40))
    painting.placed[2:, Placed.ACCEPTED] = Fate.DROPPED
    painting.placed[:2, Placed.ACCEPTED] = Fate.PLACED
    painting.placed[:2, Placed.OBJECT] = 0, 1
    painting.placed[:2, Placed.Z : Placed.X + 1] = 20
    image, label = painted(painting, keep, ("uint8", "uint8"))
    inner = label == 2
    first = levels_of("uint8")[painting.scene.poses[0, Pose.VALUE]]
    second = levels_of("uint8")[painting.scene.poses[1, Pose.VALUE]]
    assert inner.any()
    if keep == 0:
        assert set(np.unique(image[inner])) <= {0, second}
    assert set(np.unique(image)) <= {0, first, second}


def test_nothing_placed():
    painting = Painting.drawn(2, (5, 6, 7))
    painting.placed[:, Placed.ACCEPTED] = Fate.ABSENT
    image, label = painted(painting, 1, ("uint16", "uint8"))
    assert (image == 0).all()
    assert (label == 0).all()


# ---------------------------------------------------------------------------------------- CUDA


def check_on_host(
    paintings: list[Painting], keep: int, dtypes: tuple[str, str], threads: int = 96, **options
) -> None:
    """The volumes have boxes of the same size, so that offsets agree."""
    first, volumes = paintings[0], len(paintings)
    depth = first.shape[0]
    image, label = (np.full((volumes, *first.shape), 55, dtype) for dtype in dtypes)
    names = dict(zip(("IMAGE_TYPE", "LABEL_TYPE"), map(C_TYPES.get, dtypes), strict=True))
    sanitize = options.pop("sanitize", False)
    objects, planes = len(first.placed), len(first.scene.steps)
    HostKernel("paint_shell", sanitize=sanitize, **names)(
        (depth, volumes), threads,
        [
            np.stack([p.placed for p in paintings]), np.stack([p.scene.poses for p in paintings]),
            first.scene.row_offsets, np.stack([p.rows.rows for p in paintings]),
            np.stack([p.rows.shells for p in paintings]), weights_of(first),
            levels_of(dtypes[0]), np.int32(keep), image, label, np.int32(objects),
            np.int32(planes), np.int64(first.scene.row_size),
            *np.array(first.shape, np.int32),
        ],
        **options,
    )  # fmt: skip
    for b, painting in enumerate(paintings):
        right = painted(painting, keep, dtypes)
        np.testing.assert_array_equal(image[b], right[0])
        np.testing.assert_array_equal(label[b], right[1])


def two_volumes(seed: int, shape: tuple[int, int, int], steps=((256, 256),)) -> list[Painting]:
    """The same shapes, in other places and order."""
    first = Painting.drawn(seed, shape, steps)
    placed = np.random.default_rng(seed).permuted(first.placed, axis=0)
    placed[:, [Placed.OBJECT, Placed.ACCEPTED]] = first.placed[::-1][
        :, [Placed.OBJECT, Placed.ACCEPTED]
    ]
    return [first, Painting(first.scene, first.rows, placed, shape)]


@needs_compiler
@pytest.mark.parametrize("dtypes", TYPES, ids=str)
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_twins(shape, keep, dtypes):
    for seed, steps in enumerate([(), ((256, 256),), NESTED]):
        check_on_host(two_volumes(seed, shape, steps), keep, dtypes)


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
def test_twins_in_any_order(order):
    check_on_host(two_volumes(7, SHAPES[0]), 0, TYPES[0], threads=5, order_seed=order)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES[1:3], ids=str)
def test_it_stays_within_its_arrays(shape):
    check_on_host(two_volumes(8, shape, NESTED), 0, TYPES[1], sanitize=True)

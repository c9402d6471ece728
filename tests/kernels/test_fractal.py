"""Fractals: known ones, a reference in Python's integers, and CUDA's source and its twin."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

from synthgen.backend.base import Buffers, constants, cuda_stages, workspace
from synthgen.backend.calls.fractal import SampleFractal, fractal_calls
from synthgen.backend.plan import FractalTables
from synthgen.engine import plan_of
from synthgen.kernels.draw_fractal import draw_fractal
from synthgen.kernels.fractal_records import (
    FRACTAL_BITS,
    FRACTAL_CHAIN_DRAW,
    FRACTAL_CHAIN_DRAWS,
    FRACTAL_DRAW_BITS,
    FRACTAL_POINTS,
    FRACTAL_SLOTS,
    FRACTAL_VOXEL_BITS,
    FRACTAL_WARM,
    FractalRow,
)
from synthgen.kernels.records import Placed
from synthgen.kernels.scene_records import SceneObject
from synthgen.kernels.streams import Stream
from synthgen.placement.free import Free
from synthgen.recipe import RecipeError, load_recipe
from synthgen.rng import random_words
from synthgen.shapes.fractal import Fractal
from synthgen.shapes.fractal_systems import systems
from tests.backends import HostLauncher, garbage
from tests.host_cuda import needs_compiler

SEED = 2**64 - 3
INDICES = np.array([0, 7, 2**63 + 5], np.uint64)
SHAPES = [(17, 33, 20), (40, 24, 31), (1, 50, 37)]


class Scene:
    """What the calls of a fractal's settings leave, by name, with an axis of volumes."""

    def __init__(self, shape: tuple[int, int, int], spread: float = 0.35, **settings: Any) -> None:
        self.settings = Fractal(**settings)
        self.tables: FractalTables = self.settings.tables(shape)
        plan = plan_of(load_recipe("avs-db"))
        labels = replace(plan.labels, values=1 + self.settings.classes)
        self.plan = replace(
            plan, shape=shape, label_dtype="uint16", label_shape=(1, *shape), labels=labels
        )
        self.calls = fractal_calls(
            self.plan, self.tables, Free(spread=spread).tables(self.settings)
        )
        self.constants = constants(self.calls, np.ascontiguousarray)

    def outputs(self, count: int) -> dict[str, np.ndarray]:
        return {
            "label": np.full((count, 1, *self.plan.shape), 999, np.uint16),
            "placed": np.full((count, self.tables.objects, Placed.SIZE), -1, np.int32),
        }

    def made(self, seed: int = SEED, indices: np.ndarray = INDICES) -> dict[str, np.ndarray]:
        work = garbage(self.calls, len(indices)) | self.outputs(len(indices))
        for b in range(len(indices)):
            volume = {name: array[b] for name, array in work.items()} | self.constants
            buffers = Buffers(np.uint64(seed), indices[b : b + 1], volume)
            for call in self.calls:
                call.on_cpu(buffers)()
        return work

    def made_by_cuda(self, indices: np.ndarray = INDICES, **options: Any) -> dict[str, np.ndarray]:
        work = garbage(self.calls, len(indices)) | self.outputs(len(indices))
        start = HostLauncher(**options)
        for stage in cuda_stages(self.calls, start, SEED, indices, work | self.constants):
            stage.run()
        return work


def rows_of(maps: list[tuple[np.ndarray, np.ndarray]], centre: np.ndarray) -> np.ndarray:
    """(1, 2, FractalRow.SIZE) of coefficients, and what is added in voxels."""
    rows = np.zeros((1, 2, FractalRow.SIZE), np.int32)
    for number, (matrix, added) in enumerate(maps):
        rows[:, :, 12 * number : 12 * number + 9] = np.ravel(matrix) * 2**FRACTAL_BITS
        rows[:, :, 12 * number + 9 : 12 * number + 12] = added * 2**FRACTAL_VOXEL_BITS
    rows[:, :, FractalRow.CENTRE : FractalRow.CENTRE + 3] = centre * 2**FRACTAL_VOXEL_BITS
    return rows


def drawn(rows: np.ndarray, slots: np.ndarray, shape: tuple[int, int, int], chains: int) -> Any:
    masks, counts = np.full((1, *shape), 0xA5A5A5A5, np.uint32), np.full(1, -1, np.int64)
    draw_fractal(rows, slots, chains, 0, np.uint64(SEED), np.uint64(5), masks, counts, shape)
    assert counts[0] == (masks[0] == 1).sum() == (masks[0] != 0).sum()
    return masks[0] == 1


def test_sierpinskis_tetrahedron():
    """Halves toward four corners: in whole voxels, no two coordinates share a bit."""
    corners = np.array([(0, 0, 0), (16, 0, 0), (0, 16, 0), (0, 0, 16)])
    rows = rows_of([(np.eye(3) / 2, corner) for corner in corners], np.array([3, 2, 1]))
    slots = np.repeat(np.arange(4, dtype=np.uint8), FRACTAL_SLOTS // 4)[None]
    found = drawn(rows, slots, (40, 40, 40), 2000)
    z, y, x = np.nonzero(found)
    x, y, z = x - 3, y - 2, z - 1
    assert ((x & y) | (y & z) | (x & z) == 0).all()
    assert len(x) == 4**5, "each of them is visited"


def test_what_hangs_out_is_left_out():
    corners = np.array([(0, 0, 0), (16, 0, 0), (0, 16, 0), (0, 0, 16)])
    slots = np.repeat(np.arange(4, dtype=np.uint8), FRACTAL_SLOTS // 4)[None]
    maps = [(np.eye(3) / 2, corner) for corner in corners]
    whole = drawn(rows_of(maps, np.array([0, 0, 0])), slots, (33, 34, 35), 300)
    part = drawn(rows_of(maps, np.array([-9, 3, -4])), slots, (11, 20, 14), 300)
    np.testing.assert_array_equal(part[:, 3:, :], whole[4:15, :17, 9:23])
    assert not part[:, :3].any()


def test_points_that_go_far_are_not_drawn():
    rows = rows_of([(np.eye(3) * 1.5, np.array([5, 5, 5]))], np.array([4, 4, 4]))
    assert not drawn(rows, np.zeros((1, FRACTAL_SLOTS), np.uint8), (16, 16, 16), 5).any()
    rows[..., FractalRow.CENTRE : FractalRow.CENTRE + 3] = -1016 * 2**FRACTAL_VOXEL_BITS
    assert not drawn(rows, np.zeros((1, FRACTAL_SLOTS), np.uint8), (16, 16, 16), 5).any()


def test_voxels_are_those_of_a_reference():
    """Every object of a volume, chain for chain, in Python's integers."""
    scene = Scene((20, 31, 40), objects=3, classes=4, points=500, size=(12, 25), mixed=0.4)
    made = scene.made()
    for b, n in np.ndindex(len(INDICES), 3):
        found = np.zeros(scene.plan.shape, bool)
        for chain in range(scene.tables.chains):
            row = made["fractals"][b, n, int(chain < scene.tables.mixed)].tolist()
            slots = scene.tables.slots[row[FractalRow.CLASS]]
            draws = (n << FRACTAL_DRAW_BITS) + FRACTAL_CHAIN_DRAW + chain * FRACTAL_CHAIN_DRAWS
            draws += np.arange(FRACTAL_CHAIN_DRAWS)
            words = random_words(SEED, int(INDICES[b]), Stream.FRACTAL, draws)
            at = [0, 0, 0]
            for step, byte in enumerate(words.astype("<u4").tobytes()):
                m = row[12 * int(slots[byte]) :]
                at = [
                    (sum(m[3 * i + k] * at[k] for k in range(3)) >> FRACTAL_BITS) + m[9 + i]
                    for i in range(3)
                ]
                voxel = tuple(
                    (row[FractalRow.CENTRE + axis] + at[axis]) >> FRACTAL_VOXEL_BITS
                    for axis in (2, 1, 0)
                )
                inside = all(0 <= v < s for v, s in zip(voxel, found.shape, strict=True))
                if step >= FRACTAL_WARM and inside:
                    found[voxel] = True
        np.testing.assert_array_equal((made["masks"][b, 0] >> n & 1).astype(bool), found)
        assert made["counts"][b, n] == found.sum()


@pytest.mark.parametrize("rotation", ["none", "uniform"])
def test_objects_are_as_large_as_they_should(rotation):
    """The box of an object: exact but for points that were not among those that measure it."""
    scene = Scene((128, 128, 128), 0.0, objects=8, size=(40, 60), mixed=0.0, rotation=rotation)
    low, high = 40 << FRACTAL_VOXEL_BITS, 60 << FRACTAL_VOXEL_BITS
    ratios, off = [], []
    for seed in range(4):
        made = scene.made(seed, INDICES[:1])
        head = random_words(seed, 0, Stream.FRACTAL, np.arange(8) << FRACTAL_DRAW_BITS)
        sides = (low + (head[:, 2].astype(np.int64) * (high - low + 1) >> 32)) / 65536
        for n in range(8):
            places = np.argwhere(made["masks"][0, 0] >> n & 1)
            ratios.append((np.ptp(places, axis=0) + 1).max() / sides[n])
            off.append(abs((places.min(0) + places.max(0) + 1) / 2 - 64).max() / sides[n])
    assert 0.95 < np.median(ratios) < 1.25
    assert min(ratios) > 0.8
    assert max(ratios) < 1.7
    assert max(off) < 0.3


def test_without_jitter_or_turns_instances_differ_by_size_alone():
    scene = Scene((64, 64, 64), 0.0, classes=1, objects=4, size=(40, 40), jitter=0.0,
                  mixed=0.0, rotation="none", points=3000)  # fmt: skip
    rows = scene.made()["fractals"][:, :, 0]
    spread = np.ptp(rows.astype(np.int64), axis=(0, 1))
    coefficients = np.arange(96) % 12 < 9
    assert (spread[:96][coefficients] == 0).all()
    assert (spread[:96][~coefficients] < 3 * 2**FRACTAL_VOXEL_BITS).all(), "boxes are measured"


def test_what_is_drawn_of_an_object():
    """Classes, centres and sizes are uniform."""
    scene = Scene((32, 48, 64), 0.35, classes=6, objects=100, points=96)
    sample = SampleFractal(scene.tables, 0.35)
    classes, centres = [], []
    for index in range(12):
        volume = {k: a[0] for k, a in workspace([sample], 1, np).items()} | scene.constants
        sample.on_cpu(Buffers(np.uint64(3), np.array([index], np.uint64), volume))()
        classes.append(volume["scene"][:, SceneObject.CLASS])
        centres.append(volume["scene"][:, SceneObject.CENTRE : SceneObject.CENTRE + 3])
        fixed = volume["fractals"][:, :, FractalRow.CENTRE : FractalRow.CENTRE + 3]
        np.testing.assert_array_equal(fixed, np.floor(centres[-1] * 65536)[:, None].repeat(2, 1))
        turned = volume["scene"][:, SceneObject.TURN : SceneObject.TURN + 9].reshape(-1, 3, 3)
        np.testing.assert_allclose(
            turned @ turned.transpose(0, 2, 1), np.eye(3)[None].repeat(100, 0), atol=1e-5
        )
    assert stats.chisquare(np.bincount(np.concatenate(classes).astype(int))).pvalue > 1e-3
    for axis, side in enumerate((64, 48, 32)):
        places = np.concatenate(centres)[:, axis] / side
        assert stats.kstest(places, "uniform", (0.15, 0.7)).pvalue > 1e-3


def test_labels_are_by_volume():
    scene = Scene((30, 31, 33), objects=40, classes=7, size=(20, 40), points=4000)
    made = scene.made()
    for b in range(len(INDICES)):
        counts, placed = made["counts"][b], made["placed"][b]
        expected = np.zeros(scene.plan.shape, np.uint16)
        for n in sorted(range(40), key=lambda n: (-counts[n], -n)):
            mask = made["masks"][b, n >> 5] >> (n & 31) & 1
            assert mask.sum() == counts[n]
            expected[mask == 1] = made["scene"][b, n, SceneObject.CLASS] + 1
        np.testing.assert_array_equal(made["label"][b, 0], expected)
        assert sorted(placed[:, Placed.OBJECT]) == list(range(40))
        np.testing.assert_array_equal(placed[:, Placed.ACCEPTED], counts[placed[:, 0]] > 0)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_twins(shape):
    for options in ({"objects": 5, "classes": 3}, {"objects": 33, "rotation": "none", "mixed": 0.0},
                    {"objects": 2, "jitter": 0.2, "maps": (3, 8)}):  # fmt: skip
        scene = Scene(shape, **{"points": 700, "classes": 5, "size": (8, 30)} | options)
        expected, found = scene.made(), scene.made_by_cuda(order=len(options))
        for name in ("scene", "fractals", "masks", "counts", "label", "placed"):
            np.testing.assert_array_equal(found[name], expected[name], name)


@needs_compiler
def test_sanitizers_find_nothing():
    scene = Scene((17, 18, 19), objects=3, classes=2, points=300, size=(8, 16))
    expected, found = scene.made(), scene.made_by_cuda(sanitize=True, order=3)
    for name in ("fractals", "masks", "counts", "label", "placed"):
        np.testing.assert_array_equal(found[name], expected[name], name)


def test_systems_vary_and_stay():
    """In double precision, with chains of another generator."""
    found = systems(0, 24, (2, 7), 0.05, 0.1)
    generator = np.random.default_rng(0)
    for maps, slots in zip(found.maps / 2**FRACTAL_BITS, found.slots, strict=True):
        at, points = np.zeros((200, 3)), []
        for step in range(FRACTAL_WARM + FRACTAL_POINTS):
            chosen = maps[slots[generator.integers(0, 256, 200)]]
            at = np.einsum("nij,nj->ni", chosen[:, :9].reshape(-1, 3, 3), at) + chosen[:, 9:]
            if step >= FRACTAL_WARM:
                points.append(at)
        cloud = np.concatenate(points)
        low, high = np.quantile(cloud, (0.001, 0.999), axis=0)
        assert 0.75 < (high - low).max() / 2 < 1.5
        assert abs(low + high).max() / 2 < 0.5
        scaled = 2 * (cloud - cloud.min()) / np.ptp(cloud) - 1
        assert (scaled.var(axis=0) > 0.02).all()
        used = np.flatnonzero(abs(maps).max(axis=1) > 0)
        assert 2 <= len(used) <= 7
        weights = abs(np.linalg.det(maps[used, :9].reshape(-1, 3, 3)))
        shares = np.bincount(slots, minlength=8)[used] / FRACTAL_SLOTS
        np.testing.assert_allclose(shares, weights / weights.sum(), atol=1.01 / FRACTAL_SLOTS)


def test_more_classes_begin_with_the_same():
    few, many = systems(3, 5, (2, 4), 0.03, 0.0), systems(3, 60, (2, 4), 0.03, 0.0)
    np.testing.assert_array_equal(many.maps[:5], few.maps)
    np.testing.assert_array_equal(many.slots[:5], few.slots)
    assert not np.array_equal(systems(4, 5, (2, 4), 0.03, 0.0).maps, few.maps)


def test_systems_stay_the_same():
    """Of the format: other ones would be other volumes."""
    found = systems(0, 8, (2, 7), 0.05, 0.1)
    assert found.maps.astype(np.int64).sum() == 7326505
    assert (found.slots.astype(np.int64) * np.arange(1, 257)).sum() == 250334


def test_too_much_is_asked(monkeypatch):
    monkeypatch.setattr("synthgen.shapes.fractal_systems._TRIED_MOST", 1024)
    with pytest.raises(RecipeError, match=r"^shapes.variance: no more than \d+ of 1024 fractals"):
        systems(1, 1000, (2, 7), 0.15, 0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": (1, 4)}, r"maps: must lie in 2\.\.8, got \[1, 4\]"),
        ({"maps": (2, 9)}, r"maps: must lie in 2\.\.8, got \[2, 9\]"),
        ({"size": (0, 9)}, r"size: must lie in 1\.\.512 voxels, got \[0, 9\]"),
        ({"size": (9, 8)}, "low <= high"),
        ({"objects": 0}, "greater than or equal to 1"),
        ({"variance": 0.2}, "less than or equal to 0.15"),
        ({"mixed": 0.6}, "less than or equal to 0.5"),
        ({"points": 0}, "greater than or equal to 1"),
        ({"colour": 1}, "colour"),
    ],
)
def test_bad_settings(change, message):
    with pytest.raises(ValueError, match=message):
        Fractal(**change)


def test_sizes_scale():
    assert Fractal(size=(30, 80)).scaled(Fraction(1, 2)).size == (15, 40)
    assert Fractal(size=(1, 300)).scaled(Fraction(1, 3)).size == (1, 100)
    assert Fractal(size=(30, 300)).scaled(Fraction(2)).size == (60, 512)

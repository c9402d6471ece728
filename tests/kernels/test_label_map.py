"""Whole subjects: laws of what is drawn, known answers, and CUDA's source against its twin."""

import numpy as np
import pytest
from scipy import stats

from synthgen.kernels.anatomy_records import CONTROLS, TILE, Fate, Pose, SubjectSampling
from synthgen.kernels.records import Placed
from synthgen.kernels.sample_subject import sample_subject
from tests.backends import HostLauncher
from tests.host_cuda import needs_compiler
from tests.kernels.label_maps import (
    BANK_SPACING,
    SOURCE,
    Drawn,
    FakePlan,
    on_cpu,
    on_cuda,
    tables,
)

SHAPES = [(17, 30, 41), (1, 33, 50), (20, 16, 64), (5, 70, 19)]
STILL = {"scale": (1, 1), "turn": (0, 0), "shear": (0, 0), "displacement": (0, 0)}
COUNT = 1500
ORDERS = [0, 1, 2]


def sampled(count=COUNT, shape=(480, 480, 480), **settings):
    """Poses (count, Pose.SIZE), controls, and ``placed``, of volumes 0, 1, ..."""
    given = tables(**settings)
    row = given.settings.copy()
    row[:3], row[3:6] = shape, BANK_SPACING
    poses = np.empty((count, 1, Pose.SIZE), np.int32)
    controls = np.empty((count, 1, 3, *3 * (CONTROLS,)), np.int32)
    placed = np.empty((count, 1, Placed.SIZE), np.int32)
    for i in range(count):
        sample_subject(
            row, given.bodies, np.uint64(3), np.uint64(i), poses[i], controls[i], placed[i]
        )
    return poses[:, 0], controls[:, 0], placed[:, 0]


def matrices(poses):
    """(count, 3, 3), source voxels a voxel."""
    return poses[:, Pose.MATRIX : Pose.MATRIX + 9].reshape(-1, 3, 3) / 65536


def is_uniform(values, low, high):
    return stats.kstest(np.ravel(values), stats.uniform(low, high - low).cdf).pvalue > 1e-3


# ------------------------------------------------------------------------------- what is drawn


def test_scales_are_uniform_and_independent():
    found = matrices(sampled(**(STILL | {"scale": (0.8, 1.2), "flip": 0}))[0])
    scales = found[:, range(3), range(3)]
    assert all(is_uniform(scales[:, axis], 0.8, 1.2) for axis in range(3))
    assert np.abs(np.corrcoef(scales.T) - np.eye(3)).max() < 0.1
    assert (found[:, ~np.eye(3, dtype=bool)] == 0).all()


def test_angles_are_uniform():
    high = 15 / 360
    found = matrices(sampled(**(STILL | {"turn": (-high, high), "flip": 0}))[0])
    np.testing.assert_allclose(
        found @ found.transpose(0, 2, 1), np.eye(3)[None] + 0 * found, atol=1e-4
    )
    # Of R = Rx Ry Rz in the order x, y, z, as by its definition.
    r = found[:, ::-1, ::-1]
    y = np.arcsin(r[:, 0, 2])
    z, x = np.arctan2(-r[:, 0, 1], r[:, 0, 0]), np.arctan2(-r[:, 1, 2], r[:, 2, 2])
    for angle in (z, y, x):
        assert is_uniform(angle / (2 * np.pi), -high, high)


def test_shears_are_uniform():
    found = matrices(sampled(**(STILL | {"shear": (-0.012, 0.012), "flip": 0}))[0])
    shears = found[:, ~np.eye(3, dtype=bool)]
    rounded = shears + np.random.default_rng(0).uniform(-0.5, 0.5, shears.shape) / 65536
    assert all(is_uniform(rounded[:, i], -0.012, 0.012) for i in range(6))
    assert np.abs(np.corrcoef(shears.T) - np.eye(6)).max() < 0.12


def test_zooms_are_uniform():
    found = matrices(sampled(**(STILL | {"zoom": (0.5, 2.0), "flip": 0}))[0])
    assert is_uniform(found[:, 0, 0], 0.5, 2.0)


def test_subjects_and_mirrors():
    poses, _, placed = sampled(subjects=5, flip=0.3)
    counts = np.bincount(poses[:, Pose.SHAPE], minlength=5)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.binomtest(int(poses[:, Pose.VALUE].sum()), COUNT, 0.3).pvalue > 1e-3
    assert (np.linalg.det(matrices(poses)) < 0).tolist() == (poses[:, Pose.VALUE] == 1).tolist()
    expected = 2 * poses[:, Pose.SHAPE] + poses[:, Pose.VALUE]
    np.testing.assert_array_equal(placed[:, Placed.VARIANT], expected)
    assert (placed[:, Placed.ACCEPTED] == 1).all()
    assert (poses[:, Pose.FATE] == Fate.PLACED).all()


def test_strengths_of_displacements_are_uniform():
    _, controls, _ = sampled(400, displacement=(0, 4))
    sds = controls.reshape(400, -1).std(1) / 4096 * BANK_SPACING
    assert is_uniform(sds / 0.99, 0, 4)  # cut at three standard deviations
    strong = controls[sds > 1].reshape(-1) / controls[sds > 1].std()
    assert abs(stats.kurtosis(strong)) < 1.5


def test_crops_are_uniform_where_there_is_room():
    shape, body = (20, 30, 16), np.array(SOURCE) - 6
    poses, _, placed = sampled(shape=shape, subjects=1, **STILL)
    half = np.array(shape) // 2
    middles = poses[:, Pose.CENTRE : Pose.CENTRE + 3] / 4096
    off = half - (np.array(shape) - 1) / 2
    flip = np.where(poses[:, Pose.VALUE, None] == 1, [1, 1, -1], 1)
    middles = middles - off * flip
    room = (body - shape) / 2
    for axis in range(3):
        middle = SOURCE[axis] / 2
        assert is_uniform(middles[:, axis], middle - room[axis], middle + room[axis])
    np.testing.assert_allclose(placed[:, Placed.Z : Placed.X + 1], middles, atol=0.51)


def test_a_volume_larger_than_the_person_is_about_the_middle():
    poses, _, _ = sampled(50, shape=(61, 61, 61), subjects=1, flip=0, **STILL)
    middles = poses[:, Pose.CENTRE : Pose.CENTRE + 3] / 4096
    np.testing.assert_allclose(middles, np.array(SOURCE)[None] / 2 + 0 * middles, atol=1e-3)


def test_shifts_are_uniform():
    poses, _, _ = sampled(shape=(61, 61, 61), subjects=1, flip=0, shift=6.0, **STILL)
    away = (poses[:, Pose.CENTRE : Pose.CENTRE + 3] / 4096 - np.array(SOURCE) / 2) * BANK_SPACING
    assert all(is_uniform(away[:, axis], -6, 6) for axis in range(3))


# ------------------------------------------------------------------------------- displacements


def corners(drawn: Drawn, b: int, shape) -> np.ndarray:
    """(3, corners) source positions of a volume."""
    sides = [-(-n // TILE) + 1 for n in shape]
    return drawn.lattice[b, : 3 * int(np.prod(sides))].reshape(3, *sides) / 4096


@pytest.mark.parametrize("shape", [(64, 64, 64), (16, 96, 40), (33, 20, 120)], ids=str)
def test_nothing_folds(shape):
    """The largest displacements that can be asked for, and the steepest of other maps."""
    given = tables(displacement=(60, 60), scale=(0.25, 4), turn=(-0.5, 0.5), shear=(-0.3, 0.3))
    indices = list(range(12))
    drawn = on_cpu(FakePlan(shape), given, indices)
    for b in indices:
        at = corners(drawn, b, shape)
        steps = [np.diff(at, axis=axis + 1) for axis in range(3)]
        sign = 1 - 2 * drawn.poses[b, 0, Pose.VALUE]
        for octant in np.ndindex(2, 2, 2):
            edges = []
            for axis in range(3):
                cut = [slice(None)] + [
                    slice(None) if other == axis else slice(o, at.shape[other + 1] - 1 + o)
                    for other, o in enumerate(octant)
                ]
                edges.append(steps[axis][tuple(cut)])
            determinant = np.linalg.det(np.moveaxis(np.stack(edges), (0, 1), (-1, -2)))
            assert (determinant * sign > 0).all()


def test_planes_are_displaced_and_do_not_fold():
    shape = (1, 96, 96)
    given = tables(displacement=(60, 60), **{k: v for k, v in STILL.items() if k != "displacement"})
    drawn = on_cpu(FakePlan(shape), given, list(range(20)))
    for b in range(20):
        at = corners(drawn, b, shape)[1:, 0]
        dy, dx = np.diff(at, axis=1)[:, :, :-1], np.diff(at, axis=2)[:, :-1]
        determinant = dy[0] * dx[1] - dy[1] * dx[0]
        assert (determinant * (1 - 2 * drawn.poses[b, 0, Pose.VALUE]) > 0).all()
    assert np.abs(drawn.controls / 4096).max() > 10


# ------------------------------------------------------------------------------- label maps


def test_nothing_moved_is_the_source():
    shape = (21, 30, 17)
    given = tables(flip=0, wander=0, **STILL)
    drawn = on_cpu(FakePlan(shape), given, range(6))
    for b in range(6):
        subject = drawn.poses[b, 0, Pose.SHAPE]
        body = given.bodies[subject, :3]
        first = np.floor(body - (np.array(shape) - 1) / 2 + 0.5).astype(int)
        part = tuple(slice(max(a, 0), a + n) for a, n in zip(first, shape, strict=True))
        expected = given.maps[subject][part]
        np.testing.assert_array_equal(drawn.label[b, 0], expected)


def test_a_mirror_turns_the_map_and_exchanges_sides():
    shape = (20, 31, 18)  # so that voxels fall on voxels of the source, in the mirror too
    plain, mirrored = (
        on_cpu(FakePlan(shape), tables(flip=flip, wander=0, subjects=1, **STILL), [0])
        for flip in (0, 1)
    )
    exchange = np.array([0, 2, 1, 3, 4, 5, 6], np.uint8)
    np.testing.assert_array_equal(mirrored.label, exchange[plain.label[..., ::-1]])
    assert set(np.unique(plain.label)) >= {0, 1, 2}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_voxels_are_the_nearest_of_the_source(shape):
    """By the corners' positions in NumPy, in whole numbers."""
    given = tables(zoom=(0.6, 1.7), shift=5.0)
    drawn = on_cpu(FakePlan(shape), given, range(4))
    for b in range(4):
        at = np.rint(corners(drawn, b, shape) * 4096).astype(np.int64)
        for axis, side in enumerate(shape):
            at = _between(at, axis + 1, side)
        voxel = np.clip((at + (1 << 17)) >> 18, 0, (np.array(SOURCE) - 1)[:, None, None, None])
        found = given.maps[drawn.poses[b, 0, Pose.SHAPE]][tuple(voxel)]
        if drawn.poses[b, 0, Pose.VALUE]:
            found = given.other_sides[found]
        np.testing.assert_array_equal(drawn.label[b, 0], found)


def _between(values, axis, side):
    """Values at voxels by those at corners, times TILE."""
    values = np.moveaxis(values, axis, 0)
    voxel = np.arange(side)
    part = (voxel % TILE)[:, None, None, None]
    found = values[voxel // TILE] * (TILE - part) + values[voxel // TILE + 1] * part
    return np.moveaxis(found, 0, axis)


def test_positions_follow_the_formula():
    """In float64, from the words' laws: the matrix of each pose about the volume's middle."""
    shape = (33, 40, 29)
    drawn = on_cpu(FakePlan(shape), tables(displacement=(0, 0), zoom=(0.6, 1.7)), range(5))
    for b in range(5):
        pose = drawn.poses[b, 0]
        matrix = matrices(pose[None])[0]
        centre, half = pose[Pose.CENTRE : Pose.CENTRE + 3] / 4096, np.array(shape) // 2
        at = np.stack(np.meshgrid(*[np.arange(0, n + TILE, TILE) for n in shape], indexing="ij"))
        at = at[
            :, : -(-shape[0] // TILE) + 1, : -(-shape[1] // TILE) + 1, : -(-shape[2] // TILE) + 1
        ]
        moved = np.einsum("ab,bzyx->azyx", matrix, at - half[:, None, None, None])
        expected = moved + centre[:, None, None, None]
        np.testing.assert_allclose(corners(drawn, b, shape), expected, atol=2e-3)


# ------------------------------------------------------------------------------- CUDA


def assert_equal(one: Drawn, other: Drawn) -> None:
    for name in ("poses", "controls", "placed", "label"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_twins(shape, dtype):
    plan, given = FakePlan(shape, label_dtype=dtype), tables(zoom=(0.6, 1.7), shift=5.0)
    indices = [0, 1, 2**40, 17, 2**63 + 1]
    for order in ORDERS:
        found = on_cuda(plan, given, indices, HostLauncher(order=order))
        assert_equal(found, on_cpu(plan, given, indices))


@needs_compiler
def test_it_stays_within_its_arrays():
    plan, given = FakePlan((18, 21, 37)), tables(zoom=(2.0, 3.0), shift=200.0)
    found = on_cuda(plan, given, [3, 4], HostLauncher(sanitize=True))
    assert_equal(found, on_cpu(plan, given, [3, 4]))


def test_settings_are_all_read():
    """Each column changes what is drawn."""
    base = {"zoom": (0.7, 1.4), "shift": 2.0, "wander": 0.5}
    before = on_cpu(FakePlan((20, 22, 24)), tables(**base), range(24))
    for column in SubjectSampling:
        if column.name in ("SHAPE", "SPACING", "SIZE"):
            continue
        given = tables(**base)
        given.settings[column] = given.settings[column] * 1.25 - 0.01
        after = on_cpu(FakePlan((20, 22, 24)), given, range(24))
        assert (after.label != before.label).any(), column.name

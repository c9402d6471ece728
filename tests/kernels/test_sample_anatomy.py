"""Sampled structures: CUDA's source gives the twin's bits, poses and places are what is asked for,
boxes hold all that may show."""

import itertools
from dataclasses import dataclass, replace

import numba
import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import BSpline

from synthgen.kernels.anatomy_records import (
    ANATOMY_DRAWS,
    BODY_UNIT,
    CONTROLS,
    PROPOSAL_REACH,
    STRUCTURES_MAX,
    TILE,
    AnatomySampling,
    BankShape,
    BankStructure,
    Fate,
    Pose,
    Proposal,
)
from synthgen.kernels.philox import random_words
from synthgen.kernels.quantiles import NORMAL_QUANTILE
from synthgen.kernels.sample_anatomy import sample_anatomy
from synthgen.kernels.streams import Stream
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels import anatomy_scenes
from tests.kernels.anatomy_scenes import (
    GUT,
    KIDNEY_LEFT,
    KIDNEY_RIGHT,
    LIVER,
    LUNG_LEFT,
    LUNG_RIGHT,
    NODULE,
    SUBJECTS,
    C,
    Scratch,
    Tables,
)

INDICES = [0, 5, 2**63 + 1]
SEED = 3
STREAM = int(Stream.ANATOMY)
OUTPUTS = ("poses", "controls", "points", "proposals")
CENTRE = slice(Pose.CENTRE, Pose.CENTRE + 3)
BOX = slice(Pose.BOX, Pose.BOX + 3)
SIDES = slice(Pose.DEPTH, Pose.DEPTH + 3)
PLACE = slice(Proposal.PLACE, Proposal.PLACE + 3)
BODY = slice(Proposal.BODY, Proposal.BODY + 3)


def tables_of(name: str) -> Tables:
    base = anatomy_scenes.tables()
    if name == "plain":
        return base
    if name == "still":
        return base.with_settings(
            displacement_high=0, turn_sd=0, axis_sd=0, scale_sd=0, mirror=0, keep=1, zoom_low=1,
            zoom_high=1,
        )  # fmt: skip
    if name == "uniform":
        return base.with_settings(uniform=1, keep=1, mirror=1)
    if name == "fine":  # boxes larger than caps and views
        return anatomy_scenes.tables((20, 31, 40), tries=4, sweeps=0).with_settings(
            spacing=(0.5, 0.7, 0.9), displacement_low=1000, displacement_high=1000
        )
    if name == "coarse":  # several levels
        return anatomy_scenes.tables((12, 13, 14), tries=20, sweeps=40).with_settings(
            zoom_low=1, zoom_high=8
        )
    assert name == "wild"
    return base.with_settings(
        turn_sd=0.4, axis_sd=0.3, scale_sd=0.5, displacement_high=40, wander=1, keep=1
    )


EVERY_SETTING = pytest.mark.parametrize(
    "name", ["plain", "still", "uniform", "fine", "coarse", "wild"]
)


def scratch(tables: Tables, batch: int | None = None, seed: int = 0) -> Scratch:
    """Garbage in what is sampled; the other arrays are left short."""
    return anatomy_scenes.scratch(replace(tables, row_words=0, lattice_points=0), batch, seed)


def sampled(tables: Tables, index: int = 0, seed: int = SEED, garbage: int = 0) -> Scratch:
    found = scratch(tables, seed=garbage)
    sample_anatomy(
        tables.settings, tables.structures, tables.choices, tables.boxes, tables.offsets,
        tables.surface, tables.shapes, tables.caps, tables.tries, tables.sweeps, np.uint64(seed),
        np.uint64(index), found.poses, found.controls, found.points, found.proposals,
    )  # fmt: skip
    return found


def several(tables: Tables, count: int) -> dict[str, np.ndarray]:
    """Poses and proposals of many volumes, (count, N, ...)."""
    poses = np.empty((count, C, Pose.SIZE), np.int32)
    proposals = np.empty((count, C, tables.proposals, Proposal.SIZE), np.int32)
    found = scratch(tables)
    for index in range(count):
        sample_anatomy(
            tables.settings, tables.structures, tables.choices, tables.boxes, tables.offsets,
            tables.surface, tables.shapes, tables.caps, tables.tries, tables.sweeps,
            np.uint64(SEED), np.uint64(index), poses[index], found.controls, found.points,
            proposals[index],
        )  # fmt: skip
    return {"poses": poses, "proposals": proposals}


def sampled_in_c(tables: Tables, *, order: int, sanitize: bool, block: int = 128) -> Scratch:
    """A batch of volumes, by the CUDA source."""
    batch = len(INDICES)
    found = scratch(tables, batch, order + 10)
    HostKernel("sample_anatomy", sanitize=sanitize)(
        -(-batch * C * 32 // block), block,
        [
            tables.settings, tables.structures, tables.choices, tables.boxes, tables.offsets,
            tables.surface, tables.shapes, tables.caps, np.int32(tables.tries),
            np.int32(tables.sweeps), np.uint64(SEED), np.array(INDICES, np.uint64), found.poses,
            found.controls, found.points, found.proposals, found.counts, np.int32(batch),
            np.int32(C), np.int32(SUBJECTS),
        ],
        order_seed=order,
    )  # fmt: skip
    assert not found.counts.any()
    return found


def check_equal(tables: Tables, found: Scratch) -> None:
    for b, index in enumerate(INDICES):
        twin = sampled(tables, index, garbage=b)
        for name in OUTPUTS:
            assert np.array_equal(getattr(found, name)[b], getattr(twin, name)), name


@needs_compiler
@EVERY_SETTING
@pytest.mark.parametrize("order", range(4))
def test_c_equals_the_twin(name, order):
    tables = tables_of(name)
    check_equal(tables, sampled_in_c(tables, order=order, sanitize=False, block=32 << order))


@needs_compiler
@EVERY_SETTING
def test_nothing_is_undefined(name):
    tables = tables_of(name)
    check_equal(tables, sampled_in_c(tables, order=2, sanitize=True))


# ------------------------------------------------------------------------------- what was drawn


@numba.njit
def words_of(seed, index, number):
    return random_words(seed, index, STREAM, number)


def words(index: int, number: int, slot: int) -> np.ndarray:
    """Four words of an object, by the contract of random streams."""
    draw = number * ANATOMY_DRAWS + slot
    return np.array(words_of(np.uint64(SEED), np.uint64(index), draw), np.uint64).astype(int)


def normals(some: np.ndarray) -> np.ndarray:
    return NORMAL_QUANTILE[some >> 20] / 4096


def clipped(some: np.ndarray) -> np.ndarray:
    return np.clip(normals(some), -3, 3)


@dataclass
class Settings:
    """Columns of ``AnatomySampling`` by name; those of three values are arrays."""

    table: np.ndarray

    def __getattr__(self, name: str) -> float:
        return float(self.table[AnatomySampling[name.upper()]])

    def three(self, name: str) -> np.ndarray:
        first = AnatomySampling[name.upper()]
        return self.table[first : first + 3].astype(float)


@dataclass
class Drawn:
    """One structure's pose in float64, from the same words.

    Attributes:
        voxel: (3,) mm.
        origin: (3,) mm.
        level: of resolution.
        spacing: mm of a source voxel.
        forward: (3, 3), voxels a source voxel.
        stretch: (3,).
        sd: of control points, source voxels.
    """

    voxel: np.ndarray
    origin: np.ndarray
    level: int
    spacing: float
    forward: np.ndarray
    stretch: np.ndarray
    sd: float


def turned(angles: np.ndarray) -> np.ndarray:
    """Rz Ry Rx of angles (z, y, x) in turns, for vectors (z, y, x)."""
    c, s = np.cos(2 * np.pi * angles), np.sin(2 * np.pi * angles)
    z = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
    y = np.array([[c[1], 0, s[1]], [0, 1, 0], [-s[1], 0, c[1]]])
    x = np.array([[1, 0, 0], [0, c[2], -s[2]], [0, s[2], c[2]]])
    return (z @ y @ x)[::-1, ::-1]


def drawn(tables: Tables, index: int, n: int, mirrored: bool) -> Drawn:
    settings = Settings(tables.settings)
    first, second = (words(index, STRUCTURES_MAX, slot) for slot in (0, 1))
    unit = (first[0] >> 8) / 2**24
    voxel = settings.three("spacing") * (
        settings.zoom_low + unit * (settings.zoom_high - settings.zoom_low)
    )
    about = tables.structures[first[1] * C >> 32, BankStructure.MEAN : BankStructure.MEAN + 3]
    middle = about + settings.wander * settings.three("body") * normals(second[:3])
    origin = middle - (settings.three("shape") - 1) / 2 * voxel
    level = int(np.floor(np.log2(voxel.min() / settings.bank_spacing)))
    level = min(max(level, 0), int(settings.levels) - 1)
    spacing = settings.bank_spacing * 2**level

    pose, turns = (words(index, n, slot) for slot in (1, 2))
    scale = np.exp(settings.scale_sd * clipped(pose[3]))
    stretch = np.clip(scale, settings.scale_low, settings.scale_high) * np.exp(
        settings.axis_sd * clipped(pose[:3])
    )
    stretch[2] *= -1 if mirrored else 1
    turn = turned(settings.turn_sd * clipped(turns[:3]))
    forward = np.diag(1 / voxel) @ turn @ np.diag(stretch) * spacing
    low, high = settings.displacement_low, settings.displacement_high
    sd = (low + (turns[3] >> 8) / 2**24 * (high - low)) / spacing
    return Drawn(voxel, origin, level, spacing, forward, stretch, sd)


def source_of(tables: Tables, pose: np.ndarray) -> tuple[int, int, int]:
    """Level, subject and structure of a pose's shape."""
    level, rest = divmod(int(pose[Pose.SHAPE]), SUBJECTS * C)
    return level, rest // C, rest % C


def placed_ones(tables: Tables, indices: range):
    """Each structure that is there: index, number, what was sampled, and what was drawn."""
    for index in indices:
        found = sampled(tables, index)
        for n in range(C):
            if found.poses[n, Pose.FATE] == Fate.PLACED:
                _, _, structure = source_of(tables, found.poses[n])
                yield index, n, found, drawn(tables, index, n, structure != n)


def matrix_of(pose: np.ndarray) -> np.ndarray:
    return pose[Pose.MATRIX : Pose.MATRIX + 9].reshape(3, 3) / 65536


@EVERY_SETTING
def test_the_matrix_takes_forward_positions_back(name):
    tables = tables_of(name)
    for _, n, found, own in placed_ones(tables, range(20)):
        pose = found.poses[n]
        level, subject, structure = source_of(tables, pose)
        assert level == own.level
        assert np.allclose(matrix_of(pose) @ own.forward, np.eye(3), atol=2e-4)
        assert pose[CENTRE].tolist() == tables.shapes[
            pose[Pose.SHAPE], BankShape.CENTRE : BankShape.CENTRE + 3
        ].tolist()  # fmt: skip
        per_voxel = abs(np.linalg.det(own.forward)) ** (-1 / 3)
        assert pose[Pose.VOXEL] == pytest.approx(65536 * per_voxel, rel=1e-4)
        length = 4096 * own.spacing * abs(np.prod(own.stretch)) ** (1 / 3)
        assert pose[Pose.LENGTH] == pytest.approx(length, abs=0.51, rel=1e-6)
        points = tables.surface[subject * C + structure] / own.spacing @ own.forward.T
        assert np.abs(found.points[n] - 16 * points).max() < 0.51


def test_without_variation_a_pose_is_the_grid_itself():
    tables = tables_of("still").with_settings(spacing=(3, 3, 3))
    for _, n, found, _ in placed_ones(tables, range(5)):
        assert np.array_equal(matrix_of(found.poses[n]), np.eye(3))
        assert found.poses[n, Pose.VOXEL] == 65536
        assert found.poses[n, Pose.LENGTH] == 3 * 4096
        assert not found.controls[n].any()


def test_mirror_images():
    """The other side's shape, mirrored, as often as asked; the middle is never mirrored."""
    tables = tables_of("plain").with_settings(keep=1, mirror=0.3)
    pairs = {LUNG_LEFT: LUNG_RIGHT, KIDNEY_LEFT: KIDNEY_RIGHT}
    pairs |= {right: left for left, right in pairs.items()}
    mirrored, paired = 0, 0
    for pose_row in several(tables, 2000)["poses"]:
        for n, pose in enumerate(pose_row):
            if pose[Pose.FATE] != Fate.PLACED:
                continue
            _, _, structure = source_of(tables, pose)
            flipped = bool(np.linalg.det(matrix_of(pose)) < 0)
            assert structure == (pairs[n] if flipped else n)
            paired += n in pairs
            mirrored += flipped
    assert stats.binomtest(mirrored, paired, 0.3).pvalue > 1e-3


def test_what_has_no_mirror_image_is_not_mirrored():
    tables = tables_of("plain").with_settings(keep=1, mirror=1)
    structures = tables.structures.copy()
    structures[LUNG_RIGHT, BankStructure.SUBJECTS] = 0
    changed = replace(tables, structures=structures)
    for pose_row in several(changed, 50)["poses"]:
        assert pose_row[LUNG_RIGHT, Pose.FATE] == Fate.ABSENT
        if pose_row[LUNG_LEFT, Pose.FATE] == Fate.PLACED:
            assert source_of(changed, pose_row[LUNG_LEFT])[2] == LUNG_LEFT


def contained(tables: Tables) -> Tables:
    """The nodule is inside the liver, each person's at another place."""
    structures, offsets = tables.structures.copy(), tables.offsets.copy()
    structures[NODULE, BankStructure.CONTAINER] = LIVER
    offsets[NODULE::C] = [[10, -20, 5], [-15, 8, 12], [4, 4, -25]]
    return replace(tables, structures=structures, offsets=offsets).with_settings(keep=1, jitter=0)


def both_there(poses: np.ndarray) -> np.ndarray:
    both = (poses[:, [NODULE, LIVER], Pose.FATE] == Fate.PLACED).all(1)
    assert both.sum() > 20
    return both


def test_what_is_contained_is_of_the_person_and_in_the_pose_of_its_container():
    tables = contained(tables_of("plain"))
    poses = several(tables, 80)["poses"]
    there = poses[both_there(poses)]
    same = slice(Pose.MATRIX, Pose.MATRIX + 9)
    np.testing.assert_array_equal(there[:, NODULE, same], there[:, LIVER, same])
    assert (there[:, NODULE, Pose.LEADER] == LIVER + 1).all()
    people = {n: there[:, n, Pose.SHAPE] % (SUBJECTS * C) // C for n in (NODULE, LIVER)}
    has = tables.shapes.reshape(-1, SUBJECTS, C, BankShape.SIZE)[0, :, NODULE, BankShape.DEPTH] > 0
    assert (people[NODULE] == people[LIVER])[has[people[LIVER]]].all()
    alone = poses[(poses[:, LIVER, Pose.FATE] == Fate.ABSENT), NODULE]
    assert (alone[:, Pose.LEADER] == 0).all()


def test_what_is_contained_is_expected_where_its_person_has_it():
    tables = contained(tables_of("plain"))
    found = several(tables, 80)
    for poses, proposals in zip(found["poses"], found["proposals"], strict=True):
        pose, leader = poses[NODULE], poses[LIVER]
        if pose[Pose.LEADER] == 0:
            continue
        level, subject, which = source_of(tables, pose)
        assert which == NODULE
        offset = tables.offsets[subject * C + NODULE].astype(float)
        forward = np.linalg.inv(matrix_of(pose))  # voxels a source voxel
        source = tables.settings[AnatomySampling.BANK_SPACING] * 2.0**level
        expected = forward @ (offset / source)
        away = pose[Pose.ANCHOR : Pose.ANCHOR + 3] - leader[Pose.ANCHOR : Pose.ANCHOR + 3]
        assert np.abs(away - expected).max() < 0.75
        same = proposals[NODULE, :, PLACE] == pose[Pose.ANCHOR : Pose.ANCHOR + 3]
        assert same.all()  # without jitter


@pytest.mark.parametrize("uniform", [0, 1])
@pytest.mark.parametrize("order", [0, 1, 7])
def test_c_equals_the_twin_where_one_contains_another(order, uniform):
    tables = contained(tables_of("plain")).with_settings(jitter=2, uniform=uniform)
    found = sampled_in_c(tables, order=order, sanitize=False)
    check_equal(tables, found)
    assert (found.poses[:, NODULE, Pose.LEADER] > 0).any() == (not uniform)


def test_boxes_reach_wherever_a_leader_goes():
    tables = contained(tables_of("plain"))
    found = several(tables, 60)
    for poses, proposals in zip(found["poses"], found["proposals"], strict=True):
        pose = poses[NODULE]
        if pose[Pose.LEADER] == 0 or not pose[Pose.CLIPPED]:
            continue
        anchor = poses[LIVER][Pose.ANCHOR : Pose.ANCHOR + 3]
        moves = proposals[LIVER, :, PLACE] - anchor
        for axis in range(3):
            places = proposals[NODULE, :, Proposal.PLACE + axis]
            first = -(places.max() + moves[:, axis].max())
            last = tables.shape[axis] - 1 - (places.min() + moves[:, axis].min())
            low = pose[Pose.BOX + axis]
            assert low >= first
            assert pose[Pose.DEPTH + axis] <= last - first + 1 + 3


# ---------------------------------------------------------------------------------- distributions


def test_subjects_are_uniform():
    tables = tables_of("plain").with_settings(mirror=0)
    poses = several(tables, 4000)["poses"]
    for n, subjects in ((LIVER, 3), (GUT, 2)):
        there = poses[poses[:, n, Pose.FATE] == Fate.PLACED, n]
        chosen = there[:, Pose.SHAPE] % (SUBJECTS * C) // C
        counts = np.bincount(chosen, minlength=subjects)
        assert len(counts) == subjects
        assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("keep", [0, 0.35, 1])
def test_kept_where_in_view(keep):
    tables = tables_of("plain").with_settings(keep=keep)
    settings = Settings(tables.settings)
    seen, kept = 0, 0
    for index in range(500):
        found = sampled(tables, index)
        own = drawn(tables, index, 0, False)
        middle = own.origin + (settings.three("shape") - 1) / 2 * own.voxel
        away = np.abs(tables.structures[:, BankStructure.MEAN : BankStructure.MEAN + 3] - middle)
        reach = tables.structures[:, BankStructure.REACH : BankStructure.REACH + 3]
        slack = reach + settings.three("shape") / 2 * own.voxel - away
        there = found.poses[:, Pose.FATE] == Fate.PLACED
        assert not there[(slack < -1e-3).any(1)].any()
        seen += (slack > 0).all(1).sum()
        kept += there.sum()
        for n in np.flatnonzero(~there):
            assert found.poses[n].tolist() == [Fate.ABSENT, *[0] * (Pose.SIZE - 1)]
            assert not found.controls[n].any()
            assert not found.points[n].any()
            assert not found.proposals[n].any()
    assert seen > 1500
    assert stats.binomtest(int(kept), int(seen), keep).pvalue > 1e-3


def test_views():
    """Zoom is uniform; without wandering, views are about the mean of a random structure."""
    tables = tables_of("plain").with_settings(wander=0, keep=1, scale_sd=0, axis_sd=0)
    means = tables.structures[:, BankStructure.MEAN : BankStructure.MEAN + 3]
    settings, zooms, about = Settings(tables.settings), [], []
    for index in range(2000):
        own = drawn(tables, index, 0, False)
        middle = own.origin + (settings.three("shape") - 1) / 2 * own.voxel
        distance = np.abs(means - middle).max(1)
        about.append(int(np.argmin(distance)))
        assert distance.min() < 1e-3
        found = sampled(tables, index)
        n = np.flatnonzero(found.poses[:, Pose.FATE] == Fate.PLACED)[0]
        size = float(found.poses[n, Pose.VOXEL]) * found.poses[n, Pose.LENGTH] / 65536 / 4096
        zooms.append(size / np.prod(settings.three("spacing")) ** (1 / 3))
        check_places(tables, found, own)
    assert stats.kstest(zooms, stats.uniform(0.8, 0.45).cdf).pvalue > 1e-3
    # Some share a mean: the liver and its nodule.
    counts = np.bincount(about, minlength=C)
    expected = np.array([2 if n == LIVER else 0 if n == anatomy_scenes.NODULE else 1
                         for n in range(C)]) * 200.0  # fmt: skip
    there = expected > 0
    assert stats.chisquare(counts[there], expected[there]).pvalue > 1e-3


def check_places(tables: Tables, found: Scratch, own: Drawn) -> None:
    """The body's coordinates are those of the places."""
    there = found.poses[:, Pose.FATE] == Fate.PLACED
    position = own.origin + found.proposals[there][..., PLACE] * own.voxel
    body = position / Settings(tables.settings).three("body") * BODY_UNIT
    assert np.abs(found.proposals[there][..., BODY] - body).max() < 1


def factor_of(tables: Tables, n: int) -> np.ndarray:
    factor = np.zeros((3, 3))
    first = BankStructure.FACTOR
    factor[np.tril_indices(3)] = tables.structures[n, first : first + 6]
    return factor


def test_places_are_normal():
    """About the mean, with the covariance; the second round is wider, sweeps are as the first.

    None is farther than PROPOSAL_REACH standard deviations; those that would be are there.
    """
    tables = tables_of("plain").with_settings(spacing=(0.25, 0.25, 0.25), keep=1, wander=0, widen=2)
    found = several(tables, 3000)
    body = Settings(tables.settings).three("body")
    tries = tables.tries
    for n in (LIVER, LUNG_RIGHT):
        there = found["poses"][:, n, Pose.FATE] == Fate.PLACED
        position = found["proposals"][there, n][..., BODY] / BODY_UNIT * body
        away = position - tables.structures[n, BankStructure.MEAN : BankStructure.MEAN + 3]
        numbers = np.linalg.solve(factor_of(tables, n), away.reshape(-1, 3).T)
        numbers = numbers.T.reshape(away.shape)
        rounds = (slice(0, tries), slice(tries, 2 * tries), slice(2 * tries, None))
        for part, sd in zip(rounds, (1, 2, 1), strict=True):
            some = numbers[:, part].reshape(-1, 3) / sd
            count = len(some)
            far = PROPOSAL_REACH / sd
            beyond, density = stats.norm.sf(far), stats.norm.pdf(far)
            variance = 1 - 2 * beyond - 2 * far * density + 2 * far**2 * beyond
            assert np.abs(some.mean(0)).max() < 4.5 / np.sqrt(count)
            assert np.abs(np.cov(some.T) - variance * np.eye(3)).max() < 6 / np.sqrt(count)
            assert np.abs(some).max() < far + 0.05
            inner = far - 0.05
            for column in some.T:
                near = column[np.abs(column) < inner]
                assert stats.kstest(near, stats.truncnorm(-inner, inner).cdf).pvalue > 1e-4
                outside = 2 * stats.norm.sf(inner)
                assert stats.binomtest(count - len(near), count, outside).pvalue > 1e-4


def test_places_may_be_uniform():
    tables = tables_of("uniform")
    found = several(tables, 400)
    there = found["poses"][..., Pose.FATE] == Fate.PLACED
    places = found["proposals"][there][..., PLACE].reshape(-1, 3)
    for axis, side in enumerate(tables.shape):
        counts = np.bincount(places[:, axis], minlength=side)
        assert len(counts) == side
        assert stats.chisquare(counts).pvalue > 1e-3


def test_noise():
    """Gumbel's for both rounds, exponential for sweeps; independent of places."""
    tables = tables_of("plain").with_settings(keep=1)
    found = several(tables, 1500)
    proposals = found["proposals"][found["poses"][..., Pose.FATE] == Fate.PLACED]
    noise = proposals[..., Proposal.NOISE] / 4096
    trials = 2 * tables.tries
    gumbel, exponential = noise[:, :trials].ravel(), noise[:, trials:].ravel()
    assert stats.kstest(gumbel, stats.gumbel_r.cdf).pvalue > 1e-3
    assert stats.kstest(exponential, stats.expon.cdf).pvalue > 1e-3
    repeated = stats.pearsonr(proposals[:, 0, Proposal.PLACE], noise[:, 0])
    assert repeated.pvalue > 1e-3


def test_sizes_and_intensities():
    tables = tables_of("plain").with_settings(axis_sd=0, mirror=0, keep=1)
    poses = several(tables, 2000)["poses"]
    there = poses[poses[..., Pose.FATE] == Fate.PLACED]
    level = there[:, Pose.SHAPE] // (SUBJECTS * C)
    scale = there[:, Pose.LENGTH] / 4096 / (3.0 * 2.0**level)
    assert scale.min() >= 0.8 - 1e-4
    assert scale.max() <= 1.25 + 1e-4
    within = np.abs(np.log(scale)) < 0.2
    share = stats.truncnorm(-2, 2, scale=0.1)
    assert stats.kstest(np.log(scale[within]), share.cdf).pvalue > 1e-3
    counts = np.bincount(there[:, Pose.VALUE] - 128, minlength=128)
    assert len(counts) == 128
    assert stats.chisquare(counts).pvalue > 1e-3


# ------------------------------------------------------------------------------------------ boxes


def limit_of(own: Drawn, sides: np.ndarray) -> float:
    """Most that a control point may be moved, source voxels."""
    return float(min(0.4 * sides / 3 / np.abs(own.forward).sum(1)))


@EVERY_SETTING
def test_controls_are_bounded(name):
    tables = tables_of(name)
    largest = 0.0
    for _, n, found, own in placed_ones(tables, range(30)):
        pose, controls = found.poses[n], np.abs(found.controls[n]) / 4096
        bound = min(3 * own.sd, limit_of(own, pose[SIDES]))
        assert controls.max() <= bound * (1 + 1e-5) + 1e-3
        largest = max(largest, controls.max())
    assert (largest == 0) == (name == "still")


def spline_weights(corners: np.ndarray, tiles: int, slope: bool = False) -> np.ndarray:
    """(len(corners), CONTROLS): weights of control points at corners 0 .. tiles."""
    basis = BSpline(np.arange(-3, CONTROLS + 1), np.eye(CONTROLS), 3)
    if slope:
        return basis.derivative()(np.minimum(3 * corners / tiles, 3 - 1e-9)) * 3 / tiles
    return basis(np.minimum(3 * corners / tiles, 3 - 1e-9))


def displacement_of(controls: np.ndarray, sides: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """(3, ...) source voxels, at voxels of a box from its first."""
    weights = [spline_weights(a / TILE, side // TILE) for a, side in zip(axes, sides, strict=True)]
    return np.einsum("cijk,zi,yj,xk->czyx", controls / 4096, *weights, optimize=True)


@pytest.mark.parametrize("name", ["plain", "fine", "wild"])
def test_displacements_fold_nothing(name):
    """The Jacobian of voxel -> moved voxel stays positive, also with controls at their bound."""
    tables = tables_of(name).with_settings(displacement_low=100, displacement_high=100)
    random = np.random.default_rng(0)
    checked = 0
    for _, n, found, own in itertools.islice(placed_ones(tables, range(20)), 60):
        sides = found.poses[n, SIDES].astype(int)
        if not sides.all():
            continue
        bound = np.abs(found.controls[n]).max() / 4096
        signs = random.choice([-1, 1], found.controls[n].shape)
        steps = np.sign(np.cos(np.pi * np.indices(found.controls[n].shape[1:])))
        for controls in (found.controls[n] / 4096, bound * signs, bound * steps, -bound * steps):
            at = [np.linspace(0, side // TILE, 13) for side in sides]
            jacobian = np.zeros((13, 13, 13, 3, 3))
            for axis in range(3):
                weights = [
                    spline_weights(at[i], sides[i] // TILE, slope=i == axis) for i in range(3)
                ]
                moved = np.einsum("cijk,zi,yj,xk->zyxc", controls, *weights, optimize=True) / TILE
                jacobian[..., axis] = moved @ own.forward.T
            assert np.linalg.det(jacobian + np.eye(3)).min() > 0
            checked += 1
    assert checked > 40


def whole_box(tables: Tables, pose: np.ndarray, own: Drawn, bound: float) -> np.ndarray:
    """(2, 3) voxels from the centre voxel: all that the displaced, widened mask may reach."""
    _, subject, structure = source_of(tables, pose)
    box = tables.boxes[subject * C + structure].reshape(2, 3) / own.spacing
    corners = np.array(list(itertools.product(*box.T))) @ own.forward.T
    outer = Settings(tables.settings).margin * abs(np.linalg.det(own.forward)) ** (-1 / 3)
    more = outer * np.linalg.norm(own.forward, axis=1) + bound * np.abs(own.forward).sum(1)
    return np.array([corners.min(0) - more, corners.max(0) + more])


@EVERY_SETTING
def test_boxes_hold_all_that_may_show(name):
    """Of the displaced mask and its outermost shell, what any proposal brings into view."""
    tables = tables_of(name)
    shape = np.array(tables.shape)
    clipped_boxes, empty = 0, 0
    for _, n, found, own in placed_ones(tables, range(40)):
        pose, places = found.poses[n], found.proposals[n][:, PLACE]
        sides = pose[SIDES].astype(int)
        assert (sides % TILE == 0).all()
        assert (sides <= tables.caps[n]).all()
        bound = np.abs(found.controls[n]).max() / 4096
        low, high = whole_box(tables, pose, own, bound)
        low, high = np.ceil(low), np.floor(high)
        shows_low = np.maximum(low, -places.max(0))
        shows_high = np.minimum(high, shape - 1 - places.min(0))
        clipped_boxes += pose[Pose.CLIPPED]
        if not sides.any():
            empty += 1
            assert (shows_low > shows_high).any()
            continue
        assert (sides < tables.caps[n]).all() or name not in ("plain", "still", "uniform")
        if (sides < tables.caps[n]).all():
            assert (pose[BOX] <= shows_low).all()
            assert (pose[BOX] + sides > shows_high).all()
        if not pose[Pose.CLIPPED]:
            assert (pose[BOX] <= low).all()
            assert (pose[BOX] + sides > high).all()
    assert clipped_boxes or name in ("still", "coarse")
    assert clipped_boxes > empty or not empty


@pytest.mark.parametrize("name", ["plain", "fine", "coarse", "uniform"])
def test_clipping_to_the_view_is_exact(name):
    """On each axis, some proposal brings each voxel but the last few into view."""
    tables = tables_of(name)
    shape, cut = np.array(tables.shape), 0
    for _, n, found, _ in placed_ones(tables, range(40)):
        pose, places = found.poses[n], found.proposals[n][:, PLACE]
        sides = pose[SIDES].astype(int)
        if not pose[Pose.CLIPPED] or not sides.any() or (sides == tables.caps[n]).any():
            continue
        first, last = -places.max(0), shape - 1 - places.min(0)
        assert (pose[BOX] >= first).all()
        assert (pose[BOX] + sides - TILE <= last).all()
        cut += ((pose[BOX] == first) | (pose[BOX] + sides > last)).any()
    assert cut > 5


def trilinear(grid: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Source voxels, from distances in 1/16; positions (3, ...) are clamped to the grid."""
    limits = np.array(grid.shape).reshape(3, *[1] * (at.ndim - 1)) - 1
    at = np.clip(at, 0, limits)
    low = np.minimum(at.astype(int), limits - 1)
    part = at - low
    found = np.zeros(at.shape[1:])
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod([p if c else 1 - p for p, c in zip(part, corner, strict=True)], axis=0)
        found += weight * grid[tuple(axis + c for axis, c in zip(low, corner, strict=True))]
    return found / 16


def test_boxes_hold_the_displaced_shapes():
    """Rendered: the outermost voxels of a whole box lie beyond the outermost shell, and it is not
    much larger than need be."""
    tables = tables_of("plain").with_settings(turn_sd=0.1, axis_sd=0.2, keep=1)
    margin = Settings(tables.settings).margin
    spare = []
    for _, n, found, _ in placed_ones(tables, range(12)):
        pose = found.poses[n]
        if pose[Pose.CLIPPED]:
            continue
        offset, *grid_sides = tables.shapes[pose[Pose.SHAPE], : BankShape.CENTRE]
        grid = tables.distances[offset : offset + np.prod(grid_sides)].reshape(grid_sides)
        sides = pose[SIDES].astype(int)
        axes = [np.arange(side) for side in sides]
        away = np.stack(np.meshgrid(*axes, indexing="ij")) + pose[BOX].reshape(3, 1, 1, 1)
        at = np.einsum("ab,bzyx->azyx", matrix_of(pose), away)
        at += pose[CENTRE].reshape(3, 1, 1, 1) / 4096
        at += displacement_of(found.controls[n], sides, axes)
        distance = trilinear(grid, at)
        shown = distance <= margin * pose[Pose.VOXEL] / 65536
        assert shown.any()
        inner = np.zeros_like(shown)
        inner[1:-TILE, 1:-TILE, 1:-TILE] = True
        inner[1:-1, 1:-1, 1:-1] = True
        assert not (shown & ~inner).any()
        found_at = np.argwhere(shown)
        spare.append(sides - (found_at.max(0) - found_at.min(0) + 1))
    assert len(spare) > 20
    assert np.mean(spare) < 24


@pytest.mark.parametrize("index", [1, 2**63])
def test_seeds_and_indices_count(index):
    tables = tables_of("plain")
    first = sampled(tables, 0)
    assert not np.array_equal(first.proposals, sampled(tables, index).proposals)
    assert not np.array_equal(first.proposals, sampled(tables, 0, seed=SEED + 1).proposals)
    assert np.array_equal(first.proposals, sampled(tables, 0, garbage=5).proposals)


def test_more_tries_leave_the_first_as_they_are():
    """What is drawn for one proposal does not depend on how many there are."""
    few, many = anatomy_scenes.tables(tries=4, sweeps=0), anatomy_scenes.tables(tries=8, sweeps=2)
    a, b = sampled(few), sampled(many)
    assert np.array_equal(a.proposals[:, :4], b.proposals[:, :4])
    assert np.array_equal(a.poses[:, : Pose.BOX], b.poses[:, : Pose.BOX])

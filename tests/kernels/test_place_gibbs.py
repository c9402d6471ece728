"""Placement by energies: against a slow reference, an enumerated toy, and built for CUDA."""

import importlib.util
import os
import re
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from benchmarks.cuda_report import ARCHITECTURES, compile_placement, placement_tools
from synthgen.kernels.anatomy_records import ENERGY_UNIT, RATIO_ONE, Fate, Pair, Pose, Proposal
from synthgen.kernels.place_gibbs import place_gibbs
from synthgen.kernels.records import Placed
from tests import gibbs_reference
from tests.gibbs_reference import (
    FORBIDDEN,
    Scene,
    Solid,
    mask,
    pair_energy,
    place_by_reference,
    random_leaders,
    random_scene,
    scene_of,
)

OUTPUTS = ("visible", "chosen", "energies", "placed")


def placed_scene(scene: Scene) -> Scene:
    """The scene, placed; what is written are new arrays."""
    written = ("proposals", *OUTPUTS)
    scene = replace(scene, **{name: getattr(scene, name).copy() for name in written})
    place_gibbs(*scene.arguments())
    return scene


def assert_as_reference(scene: Scene) -> None:
    done = placed_scene(replace(scene, full=True))
    for name, expected in zip(OUTPUTS, place_by_reference(scene), strict=True):
        np.testing.assert_array_equal(getattr(done, name), expected, err_msg=name)
    pruned = placed_scene(replace(scene, full=False))
    for name in ("visible", "chosen", "placed"):
        np.testing.assert_array_equal(getattr(pruned, name), getattr(done, name), err_msg=name)
    assert (pruned.energies == -1).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_energies_choices_and_overlaps_are_the_references(seed):
    assert_as_reference(random_scene(seed))


def test_scenes_of_the_tests_show_every_case():
    scenes = [placed_scene(random_scene(seed)) for seed in range(80)]
    fates = {int(fate) for scene in scenes for fate in scene.placed[:, Placed.ACCEPTED]}
    assert fates == set(Fate)
    assert any((scene.chosen >= 2 * scene.tries).any() for scene in scenes)  # moved by a sweep
    second = [(scene.chosen >= scene.tries) & (scene.chosen < 2 * scene.tries) for scene in scenes]
    assert any(found.any() for found in second)
    energies = np.concatenate([scene.energies.ravel() for scene in scenes])
    assert ((energies > 0) & (energies < FORBIDDEN)).sum() > 200
    assert (energies == FORBIDDEN).sum() > 200


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nothing_forbidden_is_left(seed):
    scene = placed_scene(replace(random_scene(seed), full=False))
    order = [int(n) for n in scene.order if scene.chosen[n] >= 0]
    masks = {n: mask(scene, n, scene.chosen[n]) for n in order}
    for rank, i in enumerate(order):
        for j in order[:rank]:
            shared = int((masks[i] & masks[j]).sum())
            own, other = int(masks[i].sum()), int(masks[j].sum())
            limit, within = (int(v) for v in scene.pairs[i, j, [Pair.LIMIT, Pair.WITHIN]])
            assert shared * RATIO_ONE <= limit * min(own, other)
            assert shared * RATIO_ONE >= within * own


def leader_of(scene: Scene, n: int) -> int:
    """The placed object that object n followed, or -1."""
    leader, rank = int(scene.poses[n, Pose.LEADER]) - 1, scene.order.tolist().index
    if leader < 0 or scene.chosen[leader] < 0 or rank(leader) > rank(n):
        return -1
    return leader


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_followers_keep_their_places_in_their_leaders(seed):
    random, scene = np.random.default_rng(seed), random_scene(seed)
    random_leaders(scene, random)
    scene.proposals[..., Proposal.NOISE] = random.integers(0, 40000, scene.proposals.shape[:2])
    done = placed_scene(scene)
    where = done.placed[scene.ranks, Placed.Z : Placed.X + 1]
    for n in np.flatnonzero(done.chosen >= 0):
        wanted, leader = scene.proposals[n, done.chosen[n], :3].copy(), leader_of(done, n)
        if leader >= 0:
            assert done.chosen[leader] < 2 * scene.tries  # no sweep moves it
            wanted += where[leader] - scene.poses[leader, Pose.ANCHOR : Pose.ANCHOR + 3]
        np.testing.assert_array_equal(where[n], wanted)


@pytest.mark.parametrize("fate", Fate)
def test_what_becomes_of_a_leader_moves_its_follower_or_not(fate):
    scene = boxes_in_a_row(20)
    scene.poses[1, Pose.LEADER] = 1
    scene.poses[0, Pose.ANCHOR : Pose.ANCHOR + 3] = 11, 12, 17
    if fate == Fate.ABSENT:
        scene.poses[0, Pose.FATE] = Fate.ABSENT
    if fate == Fate.EMPTY:
        scene.counts[0] = 0
    if fate == Fate.UNSEEN:
        scene.proposals[0, :, 0] = 100
    if fate == Fate.DROPPED:  # by a third, which lies where it would and is placed before
        third = boxes_in_a_row(20, count=3)
        third.poses[:2], third.poses[2, Pose.LEADER] = scene.poses[:2], 0
        third.order[:], third.pairs[0, 2, Pair.LIMIT] = (2, 0, 1), 0
        third.proposals[2] = third.proposals[0]
        scene = third
    assert_as_reference(scene)
    place = placed_scene(scene).placed[scene.ranks, Placed.Z : Placed.X + 1]
    assert placed_scene(scene).placed[scene.ranks[0], Placed.ACCEPTED] == fate
    moved = {Fate.PLACED: (1, 0, 3), Fate.UNSEEN: (89, 0, 3)}.get(fate, (0, 0, 0))
    np.testing.assert_array_equal(place[1], np.add((12, 12, 40), moved))


def boxes_in_a_row(distance: int, count: int = 2) -> Scene:
    """Balls of radius 4; the second's only proposals lie ``distance`` voxels along x."""
    solids = [Solid((4, 4, 4), (12, 12, 12))] * count
    scene = scene_of(solids, (24, 24, 100), np.random.default_rng(0), tries=1, sweeps=0)
    scene.order[:], scene.ranks[:] = range(count), range(count)[::-1]
    scene.poses[:, Pose.MATRIX : Pose.MATRIX + 9] = 65536 * np.eye(3, dtype=int).ravel()
    scene.poses[:, Pose.LENGTH] = 2 * 4096  # mm
    middle = (np.array([g - 1 for g in gibbs_reference.grid_of(solids[0]).shape]) // 2) * 4096
    scene.poses[:, Pose.CENTRE : Pose.CENTRE + 3] = middle
    scene.proposals[..., :3] = 12, 12, 20
    scene.proposals[1, :, 2] = 20 + distance
    scene.proposals[..., Proposal.BODY : Proposal.BODY + 3] = 0
    scene.proposals[..., Proposal.NOISE] = 0
    return scene


@pytest.mark.parametrize(("distance", "millimetres"), [(8, 0), (12, 8), (20, 24), (60, 104)])
def test_gap_is_that_of_two_balls(distance, millimetres):
    scene = boxes_in_a_row(distance)
    assert gibbs_reference.gap(scene, 1, 0, 0, 0) == pytest.approx(16 * millimetres, abs=24)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_gaps_that_a_bound_finds_wide_enough_are(seed):
    random = np.random.default_rng(seed)
    solids = [
        Solid(tuple(random.uniform(1, 9, 3)), (12, 12, 12), random.choice([0.5, 1, 2]))
        for _ in range(2)
    ]
    scene = scene_of(solids, (20, 20, 20), random, tries=40, sweeps=0, spread=1.0)
    scene.order[:] = 0, 1
    scene.pairs[1, 0, Pair.GAP] = ENERGY_UNIT * 80**2
    scene.proposals[0] = scene.proposals[0, 0]
    gaps = [gibbs_reference.gap(scene, 1, k, 0, 0) for k in range(40)]
    for nearest in (max(gaps), random.choice(gaps) + 2, random.choice(gaps) + 20):
        scene.pairs[1, 0, Pair.NEAREST] = nearest
        expected = [gibbs_reference.square(80**2 * ENERGY_UNIT, nearest - gap, 80) for gap in gaps]
        np.testing.assert_array_equal(placed_scene(scene).energies[1, :40], expected)


def test_terms_have_the_papers_units():
    scene = boxes_in_a_row(60)
    row = scene.pairs[1, 0]
    row[Pair.ORDER : Pair.ORDER + 3] = ENERGY_UNIT * np.array([2, 4, 1])  # one along each axis
    for axis, weight in enumerate((2, 4, 1)):
        row[Pair.SIGN : Pair.SIGN + 3] = 0
        row[Pair.SIGN + axis], row[Pair.MARGIN + axis] = 1, round(0.06 * 65536)
        energy = placed_scene(scene).energies[1, 0] / ENERGY_UNIT
        assert energy == pytest.approx(weight * (0.06 / 0.03) ** 2, rel=1e-3)
    row[Pair.ORDER + 2], row[Pair.GAP], row[Pair.FARTHEST] = 0, ENERGY_UNIT // 2, 3 * 16
    energy = placed_scene(scene).energies[1, 0] / ENERGY_UNIT
    assert energy == pytest.approx(0.5 * ((104 - 3) / 5) ** 2, rel=0.05)
    scene = boxes_in_a_row(6)
    scene.pairs[1, 0, Pair.OVERLAP] = ENERGY_UNIT
    ratio = (mask(scene, 0, 0) & mask(scene, 1, 0)).sum() / mask(scene, 0, 0).sum()
    energy = placed_scene(scene).energies[1, 0] / ENERGY_UNIT
    assert 0 < ratio < 0.3
    assert energy == pytest.approx((ratio / 0.05) ** 2, rel=2e-3)
    scene.pairs[1, 0, [Pair.OVERLAP, Pair.INSIDE]] = 0, ENERGY_UNIT
    energy = placed_scene(scene).energies[1, 0] / ENERGY_UNIT
    assert energy == pytest.approx(((1 - ratio) / 0.1) ** 2, rel=2e-3)


def test_huge_violations_do_not_overflow():
    scene = boxes_in_a_row(0)
    scene.proposals[0, :, Proposal.BODY :], scene.proposals[1, :, Proposal.BODY :] = -(2**31), 0
    scene.proposals[1, :, Proposal.BODY : Proposal.BODY + 3] = 2**31 - 1
    row = scene.pairs[1, 0]
    row[Pair.SIGN : Pair.SIGN + 3], row[Pair.MARGIN : Pair.MARGIN + 3] = -1, 2**31 - 1
    row[Pair.ORDER : Pair.GAP + 1] = 2**31 - 1
    row[Pair.NEAREST] = 2**31 - 1
    assert_as_reference(scene)
    assert 0 < placed_scene(scene).energies[1, 0] < FORBIDDEN


# ----------------------------------------------------------------------------------------- the toy

CELLS = 6
SCENES = 100_000


def toy() -> Scene:
    """Two small balls, each at one of six cells along x, with rules that matter at most cells."""
    solids = [Solid((1.5, 1.5, 2.9), (4, 4, 8)), Solid((1.2, 1.2, 3.9), (4, 4, 12))]
    scene = scene_of(solids, (5, 5, 30), np.random.default_rng(1), tries=4, sweeps=0)
    scene.order[:], scene.ranks[:], scene.full = (0, 1), (0, 1), False
    scene.poses[:, Pose.LENGTH] = 4096
    row = scene.pairs[1, 0]
    row[Pair.SIGN + 2], row[Pair.MARGIN + 2], row[Pair.ORDER + 2] = 1, 1000, ENERGY_UNIT // 8
    row[Pair.LIMIT], row[Pair.OVERLAP] = RATIO_ONE // 2, ENERGY_UNIT // 64
    row[Pair.NEAREST], row[Pair.GAP] = 5 * 16, ENERGY_UNIT // 4
    return scene


def cell_proposals(cells: np.ndarray) -> np.ndarray:
    """Columns PLACE and BODY of proposals at cells."""
    table = np.zeros((*cells.shape, 6), np.int32)
    table[..., :3] = 2, 2, 0
    table[..., 2] = 6 + 3 * cells
    table[..., 5] = 1000 * cells
    return table


def toy_distribution(scene: Scene) -> np.ndarray:
    """(CELLS, CELLS): exp(-energy) normalised."""
    scene = replace(scene, proposals=np.zeros((2, CELLS, Proposal.SIZE), np.int32))
    scene.proposals[..., :6] = cell_proposals(np.arange(CELLS))[None]
    cells = range(CELLS)
    energies = np.array([[pair_energy(scene, 1, b, 0, a) for b in cells] for a in cells])
    weights = np.where(energies < FORBIDDEN, np.exp(-energies / ENERGY_UNIT), 0)
    assert (energies == FORBIDDEN).any()
    assert len(np.unique(energies)) > 8
    return weights / weights.sum()


def toy_counts(scene: Scene, sweeps: int) -> np.ndarray:
    """(CELLS, CELLS): how often each pair of cells comes out."""
    random, counts = np.random.default_rng(3), np.zeros((CELLS, CELLS))
    number, tries = 2 * scene.tries + sweeps, 2 * scene.tries
    arguments = replace(scene, sweeps=sweeps, energies=np.empty((2, number), np.int64)).arguments()
    at = [field.name for field in fields(Scene)].index("proposals")
    for _ in range(10):
        cells = random.integers(0, CELLS, (SCENES // 10, 2, number))
        uniform = random.uniform(size=cells.shape)
        uniform[..., :tries] = -np.log(uniform[..., :tries])
        proposals = np.zeros((*cells.shape, Proposal.SIZE), np.int32)
        proposals[..., :6] = cell_proposals(cells)
        proposals[..., Proposal.NOISE] = np.rint(-np.log(uniform) * ENERGY_UNIT)
        for b, table in enumerate(proposals):
            arguments[at] = table
            place_gibbs(*arguments)
            if (scene.chosen >= 0).all():  # else dropped
                counts[cells[b, 0, scene.chosen[0]], cells[b, 1, scene.chosen[1]]] += 1
    return counts


def total_variation(counts: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(counts / counts.sum() - expected).sum() / 2)


def test_sweeps_reach_the_gibbs_distribution():
    scene = toy()
    expected = toy_distribution(scene)
    counts = toy_counts(scene, sweeps=10)
    possible = expected > 0
    assert counts[~possible].sum() == 0
    assert counts.sum() > 0.999 * SCENES
    large = expected * counts.sum() >= 5
    observed = [*counts[large], counts[~large].sum()]
    wanted = [*expected[large], expected[~large].sum()]
    if wanted[-1] == 0:
        observed, wanted = observed[:-1], wanted[:-1]
    assert chisquare(observed, np.array(wanted) * counts.sum()).pvalue > 0.01
    assert total_variation(counts, expected) < 0.02


def test_without_sweeps_the_distribution_differs():
    scene = toy()
    expected = toy_distribution(scene)
    counts = toy_counts(scene, sweeps=0)
    large = expected * counts.sum() >= 5
    scaled = expected[large] / expected[large].sum() * counts[large].sum()
    assert chisquare(counts[large], scaled).pvalue < 1e-6
    assert 0.08 < total_variation(counts, expected) < 0.16  # measured: 0.12


# -------------------------------------------------------------------------------------------- CUDA

needs_numba_cuda = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)

SIMULATE = """
import sys
import numpy as np
from synthgen.kernels.place_gibbs_cuda import place_gibbs

scenes = np.load(sys.argv[1])
names = [name for name in scenes.files if name != "names"]
arguments = {name: scenes[name] for name in names}
batched = arguments["placed"]
place_gibbs[len(batched), int(sys.argv[2])](
    *(value.item() if value.ndim == 0 else value for value in arguments.values())
)
np.savez(sys.argv[1], **{name: arguments[name] for name in sys.argv[3:]})
"""
BATCHED = ("poses", "counts", "points", "proposals", "rows", *OUTPUTS)


@needs_numba_cuda
@pytest.mark.parametrize(
    ("seed", "threads", "full"),
    [(106, 64, True), (141, 64, False), (118, 32, True)],
)
def test_simulated_blocks_place_as_the_cpu_does(seed, threads, full, tmp_path):
    scene = replace(random_scene(seed), full=full)
    other = replace(scene, proposals=scene.proposals[:, ::-1].copy())
    other.proposals[..., Proposal.NOISE] = np.abs(other.proposals[..., Proposal.NOISE])
    arguments = {}
    for field in fields(Scene):
        values = [getattr(one, field.name) for one in (scene, other)]
        if field.name == "shape":
            for name, side in zip(("depth", "height", "width"), values[0], strict=True):
                arguments[name] = side
        else:
            arguments[field.name] = np.stack(values) if field.name in BATCHED else values[0]
    file = tmp_path / "scenes.npz"
    np.savez(file, **arguments)
    command = [sys.executable, "-c", SIMULATE, str(file), str(threads), *OUTPUTS]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    simulated = np.load(file)
    for b, one in enumerate((scene, other)):
        expected = placed_scene(one)
        for name in OUTPUTS:
            np.testing.assert_array_equal(simulated[name][b], getattr(expected, name), name)


@pytest.mark.skipif(placement_tools() is not None, reason=str(placement_tools()))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiled_placement_is_integer_only_and_keeps_to_registers(architecture):
    compiled = compile_placement(architecture, "place_gibbs")
    assert re.findall(r"\.(?:f16|f32|f64)\b", compiled.ptx) == []
    assert (compiled.spill_stores, compiled.spill_loads, compiled.local_memory) == (0, 0, 0)
    assert compiled.registers <= 255  # 256 threads a block
    assert "bar.sync" in compiled.ptx

"""What the anatomical placement does to a bank's people, beside people who are not in the bank.

    python -m benchmarks.anatomy_statistics BANK LEFT_OUT [--volumes 500] [--json]

BANK is the shape bank to sample from, LEFT_OUT a bank of other people with the same structures. Each
setting makes the same volumes (recipe ``fake-it-right``, one seed): positions uniform, at the
anchors alone, with the whole energy, and with one term of it left out. Overlaps are counted on the
voxels of the volumes. Confidence intervals are bootstrapped over volumes.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from synthgen.backend.calls import calls_of
from synthgen.backend.calls.anatomy import SampleAnatomy
from synthgen.bank import Bank, open_bank
from synthgen.engine import Generator, plan_of
from synthgen.kernels.anatomy_records import Pair, Pose, Proposal
from synthgen.kernels.records import Fate, Placed
from synthgen.recipe import Recipe, load_recipe

_GAP_VOLUMES = 100  # of which gaps are measured
_NONE = {"order": 0.0, "overlap": 0.0, "gap": 0.0, "inside": 0.0}
_WEIGHTS = {"order": 1.0, "overlap": 2.0, "gap": 0.5, "inside": 2.0}
SETTINGS: dict[str, dict[str, Any]] = {
    "uniform": {
        "positions": "uniform", "proposals": 1, "weights": _NONE, "limits": None,
    },
    "anchors": {"proposals": 1, "weights": _NONE, "limits": None},
    "anchors + graph": {},
    "anchors + graph, one sweep": {"sweeps": 1},
    "anchors + graph, K = 4": {"proposals": 4},
    **{f"without {term}": {"weights": _WEIGHTS | {term: 0.0}} for term in _WEIGHTS},
    "without limits": {"limits": None},
}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """One volume's objects, by structure.

    Attributes:
        fates: (N,) of ``Fate``.
        masks: (N, D, H, W) bool, what is inside in the volume; of those that are placed.
        centres: (N, 3) in parts of the body; of those that are placed.
        volumes: (N,) mm^3 of what is inside, whole or as much as comes into view.
        clipped: (N,) whether only a part can come into view.
        voxel: mm, geometric mean.
        weights: effective number of proposals of each object's first round, of those that had one.
        moved: proposals of sweeps that were accepted, and all.
    """

    fates: npt.NDArray[np.int32]
    masks: npt.NDArray[np.bool_]
    centres: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]
    clipped: npt.NDArray[np.bool_]
    voxel: float
    weights: list[float]


def scenes(recipe: Recipe, volumes: int, seed: int) -> Iterator[Scene]:
    """The volumes 0 .. volumes - 1, stage by stage."""
    generator = Generator(recipe, seed=seed, device="cpu")
    batch = generator.empty([0])
    sample = calls_of(plan_of(recipe))[0]
    assert isinstance(sample, SampleAnatomy)
    offsets, tries = sample.anatomy.row_offsets, sample.anatomy.placement.proposals
    for index in range(volumes):
        batch.index[:] = index
        stages = generator.stages(batch)
        for stage in stages:
            stage.run()
        yield scene_of(stages.arrays, offsets, tries, recipe.reference_shape)


def scene_of(
    arrays: Mapping[str, Any],
    offsets: npt.NDArray[np.int64],
    tries: int,
    shape: tuple[int, int, int],
) -> Scene:
    """A volume's objects from what its stages left."""
    poses, counts = arrays["poses"], arrays["counts"]
    placed = arrays["placed"][np.argsort(arrays["placed"][:, Placed.OBJECT])]
    fates = placed[:, Placed.ACCEPTED].copy()
    drawn = poses[:, Pose.FATE] == Fate.PLACED
    length = (poses[drawn, Pose.VOXEL] / 256) * (poses[drawn, Pose.LENGTH] / 4096)
    voxel = float(np.median(length)) if drawn.any() else 0.0
    masks = np.zeros((len(poses), *shape), bool)
    centres = np.full((len(poses), 3), np.nan)
    for n in np.flatnonzero(fates == Fate.PLACED):
        place = placed[n, Placed.Z : Placed.X + 1]
        masks[n] = _in_volume(_inside(poses[n], arrays["rows"], offsets[n]), poses[n], place, shape)
        proposals = arrays["proposals"][n]
        same = (proposals[:, Proposal.PLACE : Proposal.PLACE + 3] == place).all(1)
        centres[n] = proposals[same][0, Proposal.BODY : Proposal.BODY + 3] / 65536
    first = arrays["energies"][fates == Fate.PLACED, :tries]
    return Scene(
        fates, masks, centres, counts * voxel**3, poses[:, Pose.CLIPPED] != 0, voxel,
        [_effective(row) for row in first],
    )  # fmt: skip


def _effective(energies: npt.NDArray[np.int64]) -> float:
    """Effective number of proposals that are weighted by their energies (Kish)."""
    weights = np.exp(-(energies - energies.min()) / 4096)
    return float(weights.sum() ** 2 / (weights**2).sum())


def _inside(
    pose: npt.NDArray[np.int32], rows: npt.NDArray[np.uint64], first: int
) -> npt.NDArray[np.bool_]:
    """(D, H, W) of an object's box."""
    depth, height, width = (int(side) for side in pose[Pose.DEPTH : Pose.WIDTH + 1])
    words = (width + 63) // 64
    block = rows[first : first + depth * words * height].reshape(depth, words, height)
    bits = np.unpackbits(
        np.ascontiguousarray(block.transpose(0, 2, 1), "<u8").view(np.uint8), axis=-1,
        bitorder="little",
    )  # fmt: skip
    return bits.reshape(depth, height, 64 * words)[..., :width].astype(bool)


def _in_volume(
    inside: npt.NDArray[np.bool_],
    pose: npt.NDArray[np.int32],
    place: npt.NDArray[np.int32],
    shape: tuple[int, int, int],
) -> npt.NDArray[np.bool_]:
    """The part of a placed box that the volume shows."""
    mask = np.zeros(shape, bool)
    first = place + pose[Pose.BOX : Pose.BOX + 3]
    low, high = np.maximum(first, 0), np.minimum(first + inside.shape, shape)
    if (low < high).all():
        there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        own = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
        mask[there] = inside[own]
    return mask


@dataclass(frozen=True)
class Graph:
    """What is to hold between structures i and j, both ways round.

    Attributes:
        sign: (N, N, 3) 1 where i lies farther along an axis.
        touching, contained: (N, N); the second: i inside j.
    """

    sign: npt.NDArray[np.int8]
    touching: npt.NDArray[np.bool_]
    contained: npt.NDArray[np.bool_]


def counts_of(scene: Scene, graph: Graph, gaps: bool) -> dict[str, float]:
    """Sums over the pairs of one volume, and gaps where asked for."""
    there = np.flatnonzero(scene.fates == Fate.PLACED)
    found: dict[str, float] = dict.fromkeys(
        ("orders", "broken", "pairs", "above .1", "apart", "apart above .1", "forbidden"), 0.0
    )
    sizes = scene.masks.reshape(len(scene.masks), -1).sum(1)
    touching, free = [], []
    for position, i in enumerate(there):
        for j in there[:position]:
            sides = graph.sign[i, j] * (scene.centres[i] - scene.centres[j])
            found["orders"] += np.count_nonzero(graph.sign[i, j])
            found["broken"] += np.count_nonzero(sides < 0)
            shared, least = np.count_nonzero(scene.masks[i] & scene.masks[j]), min(sizes[i], sizes[j])
            if graph.contained[i, j] or graph.contained[j, i]:
                inner = sizes[i] if graph.contained[i, j] else sizes[j]
                found["forbidden"] += inner > 0 and shared < 0.8 * inner * (1 - 1e-4)
                continue
            ratio = shared / least if least else 0.0
            found["pairs"] += 1
            found["above .1"] += ratio > 0.1
            found["forbidden"] += ratio > (0.3 if graph.touching[i, j] else 0.1) * (1 + 1e-4)
            if not graph.touching[i, j]:
                found["apart"] += 1
                found["apart above .1"] += ratio > 0.1
            if gaps and least:
                (touching if graph.touching[i, j] else free).append(_gap(scene, i, j))
    if touching:
        found["gap of touching"] = float(np.mean(touching))
    if free:
        found["gap of apart"] = float(np.mean(free))
    return found


def _gap(scene: Scene, i: int, j: int) -> float:
    """Least distance of two masks' voxels, less one; mm."""
    one, other = np.argwhere(scene.masks[i]), np.argwhere(scene.masks[j])
    nearest, _ = cKDTree(one).query(other)
    return float(max(0.0, nearest.min() - 1) * scene.voxel)


def bootstrap(
    values: npt.NDArray[np.float64], of: Callable[..., float], seed: int = 1
) -> tuple[float, float]:
    """95 % interval of a statistic of rows, 2,000 times drawn with replacement."""
    random = np.random.default_rng(seed)
    drawn = [of(values[random.integers(0, len(values), len(values))]) for _ in range(2000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)


def share(rows: npt.NDArray[np.float64]) -> float:
    """Sum of the first column over that of the second."""
    return float(rows[:, 0].sum() / max(rows[:, 1].sum(), 1))

"""What the anatomical placement does to a bank's people, beside people who are not in the bank.

    python -m benchmarks.anatomy_statistics BANK LEFT_OUT [--volumes 500] [--json]

BANK is the shape bank to sample from, LEFT_OUT a bank of other people with the same structures.
Each setting makes the same volumes (recipe ``fake-it-right``, one seed): positions uniform, at the
anchors alone, with the whole energy, and with one term of it left out. Overlaps are counted on the
voxels of the volumes. Confidence intervals are bootstrapped over volumes.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, find_objects
from scipy.spatial import cKDTree

from synthgen.backend.base import Buffers, constants, workspace
from synthgen.backend.calls import calls_of
from synthgen.bank import Bank, open_bank
from synthgen.bank.relations import Kind
from synthgen.engine import plan_of
from synthgen.kernels.anatomy_records import BODY_UNIT, ENERGY_UNIT, Fate, Pose, Proposal
from synthgen.kernels.records import Placed
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
        weights: effective number of proposals in the first round of each that is placed.
        moved: sweeps' proposals that were taken last, of each that is placed.
    """

    fates: npt.NDArray[np.int32]
    masks: npt.NDArray[np.bool_]
    centres: npt.NDArray[np.float64]
    volumes: npt.NDArray[np.float64]
    clipped: npt.NDArray[np.bool_]
    voxel: float
    weights: list[float]
    moved: list[bool]


def scenes(recipe: Recipe, volumes: int, seed: int) -> Iterator[Scene]:
    """The volumes 0 .. volumes - 1, with the energies of all proposals."""
    plan = plan_of(recipe)
    calls = [replace(call, full=True) if call.name == "place" else call for call in calls_of(plan)]
    arrays = constants(calls, np.ascontiguousarray)
    arrays |= {name: array[0] for name, array in workspace(calls, 1, np).items()}
    arrays["image"] = np.empty(plan.shape, plan.image_dtype)
    arrays["label"] = np.empty(plan.label_shape, plan.label_dtype)
    arrays["placed"] = np.empty((plan.objects, Placed.SIZE), np.int32)
    for index in range(volumes):
        volume = Buffers(np.uint64(seed), np.array([index], np.uint64), arrays)
        for call in calls:
            call.on_cpu(volume)()
        yield scene_of(arrays, recipe.placement.proposals, plan.shape)


def scene_of(arrays: Mapping[str, Any], tries: int, shape: tuple[int, int, int]) -> Scene:
    """A volume's objects from what its stages left."""
    poses, counts = arrays["poses"], arrays["counts"]
    placed = arrays["placed"][np.argsort(arrays["placed"][:, Placed.OBJECT])]
    fates = placed[:, Placed.ACCEPTED].copy()
    drawn = poses[:, Pose.FATE] == Fate.PLACED
    length = (poses[drawn, Pose.VOXEL] / 65536) * (poses[drawn, Pose.LENGTH] / 4096)
    voxel = float(np.median(length)) if drawn.any() else 0.0
    masks = np.zeros((len(poses), *shape), bool)
    centres = np.full((len(poses), 3), np.nan)
    for n in np.flatnonzero(fates == Fate.PLACED):
        place = placed[n, Placed.Z : Placed.X + 1]
        inside = _inside(poses[n], arrays["rows"], arrays["row_offsets"][n])
        masks[n] = _in_volume(inside, poses[n], place, shape)
        chosen = arrays["proposals"][n, arrays["chosen"][n]]
        centres[n] = chosen[Proposal.BODY : Proposal.BODY + 3] / BODY_UNIT
    first = arrays["energies"][fates == Fate.PLACED, :tries]
    return Scene(
        fates, masks, centres, counts * voxel**3, poses[:, Pose.CLIPPED] != 0, voxel,
        [_effective(row) for row in first],
        list(arrays["chosen"][fates == Fate.PLACED] >= 2 * tries),
    )  # fmt: skip


def _effective(energies: npt.NDArray[np.int64]) -> float:
    """Effective number of proposals that are weighted by their energies (Kish)."""
    weights = np.exp(-(energies - energies.min()) / ENERGY_UNIT)
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


def counts_of(scene: Scene, relations: Mapping[str, Any], gaps: bool) -> dict[str, float]:
    """Sums over the pairs of one volume, and mean gaps where asked for."""
    sign, kind = relations["sign"], relations["kind"]
    there = np.flatnonzero(scene.fates == Fate.PLACED)
    found: dict[str, float] = dict.fromkeys(
        ("orders", "broken", "pairs", "above .1", "apart", "apart above .1", "forbidden"), 0.0
    )
    sizes = scene.masks.reshape(len(scene.masks), -1).sum(1)
    touching, free = [], []
    surfaces = {n: _surface(scene.masks[n]) for n in there if gaps}
    for position, i in enumerate(there):
        for j in there[:position]:
            sides = sign[i, j] * (scene.centres[i] - scene.centres[j])
            found["orders"] += np.count_nonzero(sign[i, j])
            found["broken"] += np.count_nonzero(sides < 0)
            shared, least = (
                np.count_nonzero(scene.masks[i] & scene.masks[j]),
                min(sizes[i], sizes[j]),
            )
            if kind[i, j] in (Kind.INSIDE, Kind.CONTAINS):
                inner = sizes[i] if kind[i, j] == Kind.INSIDE else sizes[j]
                found["forbidden"] += bool(shared < 0.8 * inner * (1 - 1e-4))
                continue
            ratio = shared / least if least else 0.0
            found["pairs"] += 1
            found["above .1"] += ratio > 0.1
            near = kind[i, j] == Kind.TOUCHING
            found["forbidden"] += bool(ratio > (0.3 if near else 0.1) * (1 + 1e-4))
            if not near:
                found["apart"] += 1
                found["apart above .1"] += ratio > 0.1
            if gaps:
                gap = _gap(surfaces[i], surfaces[j], scene.voxel)
                (touching if near else free).append(gap)
    if touching:
        found["gap of touching"] = float(np.mean(touching))
    if free:
        found["gap of apart"] = float(np.mean(free))
    return found


def _gap(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], voxel: float) -> float:
    """Least distance of two surfaces' voxels, less one; mm."""
    nearest, _ = cKDTree(one).query(other)
    return float(max(0.0, nearest.min() - 1) * voxel)


def _surface(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """(n, 3) voxels inside with one outside beside them, or with the volume's edge."""
    (box,) = find_objects(mask.astype(np.uint8))
    part = mask[box]
    edge = part & ~binary_erosion(part)
    return np.argwhere(edge) + [side.start for side in box]


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


def of_setting(
    recipe: Recipe, volumes: int, seed: int, bank: Bank, left_out: Bank | None
) -> dict[str, Any]:
    """Everything about one setting of the placement."""
    shapes = recipe.shapes
    relations, names = shapes.pair_table(), shapes.class_names
    fates = np.zeros((len(names), len(Fate)), np.int64)
    rows, weights, moved = [], [], []
    centres: list[list[Any]] = [[] for _ in names]
    logs: list[list[float]] = [[] for _ in names]
    for index, scene in enumerate(scenes(recipe, volumes, seed)):
        rows.append(counts_of(scene, relations, index < _GAP_VOLUMES))
        fates[np.arange(len(names)), scene.fates] += 1
        weights += scene.weights
        moved += scene.moved
        for n in np.flatnonzero(scene.fates == Fate.PLACED):
            centres[n].append(scene.centres[n])
            if not scene.clipped[n]:
                logs[n].append(float(np.log(scene.volumes[n])))
    tried = fates[:, Fate.PLACED] + fates[:, Fate.UNSEEN] + fates[:, Fate.DROPPED]
    drops = fates[:, Fate.DROPPED] / np.maximum(tried, 1)
    found: dict[str, Any] = {"volumes": volumes}
    for name, (part, whole) in {
        "orders broken": ("broken", "orders"),
        "pairs with overlap above 0.1": ("above .1", "pairs"),
        "the same, of pairs apart": ("apart above .1", "apart"),
    }.items():
        columns = np.array([(row[part], row[whole]) for row in rows])
        found[name] = [share(columns), *bootstrap(columns, share)]
    found["forbidden overlaps"] = sum(row["forbidden"] for row in rows)
    for name in ("gap of touching", "gap of apart"):
        found[name + ", mm"] = float(np.mean([row[name] for row in rows if name in row]))
    found["placed a volume"] = float(fates[:, Fate.PLACED].sum() / volumes)
    found["dropped"] = float(fates[:, Fate.DROPPED].sum() / max(tried.sum(), 1))
    found["dropped, by structure"] = {
        names[n]: float(drops[n]) for n in np.argsort(-drops) if drops[n] > 0
    }
    found["empty"] = {
        names[n]: int(fates[n, Fate.EMPTY]) for n in np.flatnonzero(fates[:, Fate.EMPTY])
    }
    found["effective proposals"] = float(np.mean(weights))
    found["moved by sweeps"] = float(np.mean(moved))
    if left_out is not None:
        found |= beside(bank, left_out, names, centres, logs)
    return found


def beside(
    bank: Bank, left_out: Bank, names: list[str], centres: list[list[Any]], logs: list[list[float]]
) -> dict[str, float]:
    """How far placed structures are from people who are not in the bank, and the bank's people.

    Distances of centroids are to the others' mean centroid, in parts of the body; of logarithms of
    volumes to their mean. Means over structures, of root mean squares.
    """
    ours, theirs, logs_ours, logs_theirs = [], [], [], []
    for n, name in enumerate(names):
        if name not in left_out.names or not centres[n]:
            continue
        there = left_out.names.index(name)
        has = left_out.volumes[:, there] > 0
        middle = left_out.centroids[has, there].mean(0)
        ours.append(_rms(np.array(centres[n]) - middle))
        theirs.append(_rms(bank.centroids[:, bank.names.index(name)] - middle))
        if logs[n]:
            mean = np.log(left_out.volumes[has, there]).mean()
            logs_ours.append(_rms(np.array(logs[n])[:, None] - mean))
            own = bank.volumes[:, bank.names.index(name)]
            logs_theirs.append(_rms(np.log(own[own > 0])[:, None] - mean))
    return {
        "centroids, to people left out": float(np.mean(ours)),
        "the bank's people, to people left out": float(np.mean(theirs)),
        "log volumes, to people left out": float(np.mean(logs_ours)),
        "the bank's people's log volumes": float(np.mean(logs_theirs)),
    }


def _rms(offsets: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt((offsets**2).sum(-1).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank")
    parser.add_argument("left_out", nargs="?")
    parser.add_argument("--recipe", default="fake-it-right")
    parser.add_argument("--volumes", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--settings", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bank = open_bank(options.bank)
    left_out = open_bank(options.left_out) if options.left_out else None
    recipe = load_recipe(options.recipe)
    fresh = {"bank": options.bank, "digest": None, "structures": ()}
    recipe = recipe.replace(**{f"shapes__{key}": value for key, value in fresh.items()}).resolved()
    found = {}
    for name in options.settings:
        changed = recipe.replace(**{f"placement__{k}": v for k, v in SETTINGS[name].items()})
        found[name] = of_setting(changed, options.volumes, options.seed, bank, left_out)
        if not options.json:
            print(name)
            for key, value in found[name].items():
                print(f"  {key:40}{value}", flush=True)
    if options.json:
        machine = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "command": sys.argv}
        print(json.dumps({"machine": machine, "settings": found}, indent=2))


if __name__ == "__main__":
    main()

"""Placement by energies in plain Python and NumPy, and small scenes for its tests."""

from dataclasses import dataclass, fields, replace

import numpy as np

from synthgen.bank.bank import slope_of
from synthgen.kernels.anatomy_records import (
    BANK_POINTS,
    BODY_UNIT,
    ENERGY_UNIT,
    RATIO_ONE,
    BankShape,
    Fate,
    Pair,
    Pose,
    Proposal,
)
from synthgen.kernels.records import Placed

Array = np.ndarray
FORBIDDEN = 2**60


@dataclass
class Scene:
    """The arguments of ``place_gibbs`` of the same names, of one volume."""

    order: Array
    ranks: Array
    pairs: Array
    poses: Array
    counts: Array
    points: Array
    proposals: Array
    row_offsets: Array
    rows: Array
    shapes: Array
    distances: Array
    tries: int
    sweeps: int
    full: bool
    shape: tuple[int, int, int]
    visible: Array
    chosen: Array
    energies: Array
    placed: Array

    def arguments(self) -> list:
        return [getattr(self, field.name) for field in fields(self)]


# ---------------------------------------------------------------------------------- the reference


def box_mask(scene: Scene, n: int) -> Array:
    """(D, H, W) bool: the box of object n, from its bit rows."""
    depth, height, width = (int(v) for v in scene.poses[n, Pose.DEPTH : Pose.DEPTH + 3])
    words = -(-width // 64)
    first = scene.row_offsets[n]
    rows = scene.rows[first : first + depth * words * height].reshape(depth, words, height)
    bits = (rows[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    return bits.transpose(0, 2, 1, 3).reshape(depth, height, words * 64)[..., :width].astype(bool)


def mask(scene: Scene, n: int, k: int) -> Array:
    """The volume, bool: where object n is at its k-th proposal."""
    volume = np.zeros(scene.shape, bool)
    inside = np.argwhere(box_mask(scene, n))
    at = inside + scene.poses[n, Pose.BOX : Pose.BOX + 3] + place(scene, n, k)
    at = at[((at >= 0) & (at < scene.shape)).all(1)]
    volume[tuple(at.T)] = True
    return volume


def place(scene: Scene, n: int, k: int) -> Array:
    return scene.proposals[n, k, Proposal.PLACE : Proposal.PLACE + 3].astype(np.int64)


def body(scene: Scene, n: int, k: int) -> Array:
    return scene.proposals[n, k, Proposal.BODY : Proposal.BODY + 3].astype(np.int64)


def square(weight: int, part: int, whole: int) -> int:
    """``weight * (part / whole)^2`` in the kernel's fixed point."""
    ratio = min(max(part, 0) * ENERGY_UNIT // whole, 256 * ENERGY_UNIT)
    return weight * (ratio * ratio // ENERGY_UNIT) // ENERGY_UNIT


def gap(scene: Scene, i: int, ki: int, j: int, kj: int) -> int:
    """From the points of i to the surface of j, 1/16 mm."""
    pose = scene.poses[j].astype(np.int64)
    matrix = pose[Pose.MATRIX : Pose.MATRIX + 9].reshape(3, 3)
    offset = 16 * (place(scene, i, ki) - place(scene, j, kj)) + scene.points[i]
    at = offset @ matrix.T + 256 * pose[Pose.CENTRE : Pose.CENTRE + 3]  # 2^-20 source voxel
    row = scene.shapes[pose[Pose.SHAPE]].astype(np.int64)
    sides = row[BankShape.DEPTH : BankShape.DEPTH + 3]
    first = row[BankShape.OFFSET]
    grid = scene.distances[first : first + sides.prod()].reshape(sides)
    nearest = np.clip((at + 2**19) // 2**20, 0, sides - 1)
    beyond = np.maximum(np.maximum(-at, at - (sides - 1) * 2**20), 0).max(1)
    least = (grid[tuple(nearest.T)].astype(np.int64) + beyond // 2**16).min()
    return max(0, int(least * pose[Pose.LENGTH] // 4096))


def pair_energy(scene: Scene, i: int, ki: int, j: int, kj: int) -> int:
    """Energy of object i at its ki-th proposal and j, placed before it, at its kj-th."""
    pair = [int(v) for v in scene.pairs[i, j]]
    energy = 0
    for axis, offset in enumerate(body(scene, i, ki) - body(scene, j, kj)):
        sign = pair[Pair.SIGN + axis]
        if sign:
            short = pair[Pair.MARGIN + axis] - sign * int(offset)
            energy += square(pair[Pair.ORDER + axis], 100 * short, 3 * BODY_UNIT)
    one, two = mask(scene, i, ki), mask(scene, j, kj)
    shared, whole, own = int((one & two).sum()), int(min(one.sum(), two.sum())), int(one.sum())
    if whole:
        if shared * RATIO_ONE > pair[Pair.LIMIT] * whole:
            return FORBIDDEN
        energy += square(pair[Pair.OVERLAP], 20 * shared, whole)
    if own:
        if shared * RATIO_ONE < pair[Pair.WITHIN] * own:
            return FORBIDDEN
        energy += square(pair[Pair.INSIDE], 10 * (own - shared), own)
    if pair[Pair.GAP]:
        distance = gap(scene, i, ki, j, kj)
        energy += square(pair[Pair.GAP], pair[Pair.NEAREST] - distance, 80)
        if pair[Pair.FARTHEST] >= 0:
            energy += square(pair[Pair.GAP], distance - pair[Pair.FARTHEST], 80)
    return energy


def energy_among(scene: Scene, n: int, k: int, chosen: dict[int, int]) -> int:
    """Energy of object n at its k-th proposal against all others in ``chosen``."""
    rank = {int(m): r for r, m in enumerate(scene.order)}
    total = 0
    for m, other in chosen.items():
        if m != n:
            later = rank[n] > rank[m]
            total += pair_energy(scene, *((n, k, m, other) if later else (m, other, n, k)))
    return min(total, FORBIDDEN)


def follow(scene: Scene, n: int, chosen: dict[int, int]) -> None:
    """Move the proposals of object n as its leader is off its expected place."""
    leader = int(scene.poses[n, Pose.LEADER]) - 1
    if leader in chosen:
        k = chosen[leader]
        anchor = scene.poses[leader, Pose.ANCHOR : Pose.ANCHOR + 6]
        off = np.concatenate([place(scene, leader, k), body(scene, leader, k)]) - anchor
        scene.proposals[n, :, Proposal.PLACE : Proposal.PLACE + 6] += off.astype(np.int32)


def place_by_reference(scene: Scene) -> tuple[Array, Array, Array, Array]:
    """What ``place_gibbs`` writes with ``full``: visible, chosen, energies, placed."""
    scene = replace(scene, proposals=scene.proposals.copy())
    tries, objects = scene.tries, len(scene.order)
    energies = np.full((objects, 2 * tries + scene.sweeps), -1, np.int64)
    chosen: dict[int, int] = {}
    examined = np.zeros(objects, int)
    for n in map(int, scene.order):
        if scene.poses[n, Pose.FATE] != Fate.PLACED or scene.counts[n] == 0:
            continue
        follow(scene, n, chosen)
        for start in (0, tries):
            values = {}
            for k in range(start, start + tries):
                energies[n, k] = energy = energy_among(scene, n, k, chosen)
                if energy < FORBIDDEN:
                    values[k] = int(scene.proposals[n, k, Proposal.NOISE]) - energy
            examined[n] = start + tries
            if values:
                chosen[n] = max(values, key=lambda k: (values[k], -k))
                break
    for sweep in range(scene.sweeps):
        for n in map(int, scene.order):
            if n in chosen and n not in {scene.poses[m, Pose.LEADER] - 1 for m in chosen}:
                k = 2 * tries + sweep
                energies[n, k] = energy = energy_among(scene, n, k, chosen)
                present = energy_among(scene, n, chosen[n], chosen)
                noise = int(scene.proposals[n, k, Proposal.NOISE])
                if energy < FORBIDDEN and energy - present <= noise:
                    chosen[n] = k
                examined[n] += 1
    visible = np.zeros(objects, np.int32)
    placed = np.zeros((objects, Placed.SIZE), np.int32)
    for n in range(objects):
        pose, row = scene.poses[n], placed[scene.ranks[n]]
        row[Placed.OBJECT], row[Placed.VARIANT] = n, pose[Pose.SHAPE]
        row[Placed.PROPOSALS] = examined[n]
        if n in chosen:
            visible[n] = mask(scene, n, chosen[n]).sum()
            row[Placed.Z : Placed.X + 1] = place(scene, n, chosen[n])
            row[Placed.ACCEPTED] = Fate.PLACED if visible[n] else Fate.UNSEEN
        elif pose[Pose.FATE] != Fate.PLACED:
            row[Placed.ACCEPTED] = pose[Pose.FATE]
        elif scene.counts[n]:
            row[Placed.ACCEPTED] = Fate.DROPPED
        else:
            row[Placed.ACCEPTED] = Fate.UNSEEN if pose[Pose.CLIPPED] else Fate.EMPTY
    where = np.array([chosen.get(n, -1) for n in range(objects)], np.int32)
    return visible, where, energies, placed


# ---------------------------------------------------------------------------------- small scenes


@dataclass(frozen=True)
class Solid:
    """An ellipsoid in its grid and, without turns, in its box.

    Attributes:
        half: half axes, voxels.
        box: sides of its box, voxels; cut on the far sides where they are too small.
        scale: source voxels a voxel.
    """

    half: tuple[float, float, float]
    box: tuple[int, int, int]
    scale: float = 1.0


def grid_of(solid: Solid, margin: int = 8) -> Array:
    """Signed distances on a grid about the ellipsoid's middle, about 1/16 source voxel."""
    half = np.array(solid.half) * solid.scale
    reach = np.ceil(half).astype(int) + margin
    axes = [np.arange(-r, r + 1) for r in reach]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    norm = np.sqrt(((points / half) ** 2).sum(-1))
    return np.clip(np.rint(16 * (norm - 1) * half.min()), -512, 512).astype(np.int16)


def scene_of(
    solids: list[Solid],
    shape: tuple[int, int, int],
    random: np.random.Generator,
    *,
    tries: int = 4,
    sweeps: int = 2,
    spread: float = 0.5,
) -> Scene:
    """A scene of ellipsoids with proposals drawn uniformly about the view and no relations.

    Rows beyond the boxes, and what is written, start as garbage; the order is shuffled.
    """
    objects, count = len(solids), 2 * tries + sweeps
    poses = np.zeros((objects, Pose.SIZE), np.int32)
    points = np.zeros((objects, BANK_POINTS, 3), np.int32)
    shapes = np.zeros((objects + 2, BankShape.SIZE), np.int32)
    distances, rows, row_offsets, counts = [], [], np.zeros(objects, np.int64), []
    used, words_used = 0, 3
    rows.append(random.integers(0, 2**63, 3, np.uint64))
    for n, solid in enumerate(solids):
        grid, variant = grid_of(solid), (n + 1) % (objects + 2)
        middle = (np.array(grid.shape) - 1) // 2
        shapes[variant] = [used, *grid.shape, *(4096 * middle), slope_of(grid)]
        distances.append(grid.ravel())
        used += grid.size
        pose = poses[n]
        pose[Pose.FATE], pose[Pose.SHAPE] = Fate.PLACED, variant
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0] * 0.2 + np.eye(3)
        matrix = np.rint(65536 * solid.scale * turn).astype(int)
        pose[Pose.MATRIX : Pose.MATRIX + 9] = matrix.ravel()
        pose[Pose.CENTRE : Pose.CENTRE + 3] = 4096 * middle + random.integers(-3000, 3000, 3)
        pose[Pose.LENGTH] = random.integers(3000, 9000)
        pose[Pose.VOXEL] = 256 * solid.scale
        first = -np.ceil(solid.half).astype(int) - random.integers(0, 3, 3)
        pose[Pose.BOX : Pose.BOX + 3] = first
        pose[Pose.DEPTH : Pose.DEPTH + 3] = solid.box
        axes = [np.arange(side) + low for side, low in zip(solid.box, first, strict=True)]
        offsets = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        inside = ((offsets / np.array(solid.half)) ** 2).sum(-1) <= 1
        counts.append(int(inside.sum()))
        words = -(-solid.box[2] // 64)
        padded = np.zeros((*solid.box[:2], 64 * words), np.uint8)
        padded[..., : solid.box[2]] = inside
        packed = np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
        row_offsets[n] = words_used
        rows.append(packed.transpose(0, 2, 1).ravel())
        words_used += packed.size
        direction = random.normal(size=(BANK_POINTS, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        points[n] = np.rint(16 * direction * solid.half)
    rows.append(random.integers(0, 2**63, 64, np.uint64))
    proposals = np.zeros((objects, count, Proposal.SIZE), np.int32)
    low, high = -spread * np.array(shape), (1 + spread) * np.array(shape)
    drawn = random.uniform(low, high, (objects, count, 3)).astype(int)
    proposals[..., Proposal.PLACE : Proposal.PLACE + 3] = drawn
    proposals[..., Proposal.BODY : Proposal.BODY + 3] = drawn * BODY_UNIT // 100
    gumbel = -np.log(-np.log(random.uniform(1e-6, 1 - 1e-6, (objects, count))))
    gumbel[:, 2 * tries :] = -np.log(random.uniform(1e-6, 1, (objects, sweeps)))
    proposals[..., Proposal.NOISE] = np.rint(gumbel * 4096)
    pairs = np.zeros((objects, objects, Pair.SIZE), np.int32)
    pairs[..., Pair.LIMIT], pairs[..., Pair.FARTHEST] = 2 * RATIO_ONE, -1
    return Scene(
        order=random.permutation(objects).astype(np.int32),
        ranks=random.permutation(objects).astype(np.int32),
        pairs=pairs, poses=poses, counts=np.array(counts, np.int32), points=points,
        proposals=proposals, row_offsets=row_offsets, rows=np.concatenate(rows), shapes=shapes,
        distances=np.concatenate(distances), tries=tries, sweeps=sweeps, full=True, shape=shape,
        visible=np.full(objects, 77, np.int32), chosen=np.full(objects, 77, np.int32),
        energies=np.full((objects, count), 77, np.int64),
        placed=np.full((objects, Placed.SIZE), 77, np.int32),
    )  # fmt: skip


def random_relations(scene: Scene, random: np.random.Generator) -> None:
    """Every kind of rule, each for some of the pairs."""
    objects = len(scene.order)
    for pair in scene.pairs.reshape(-1, Pair.SIZE):
        pair[Pair.SIGN : Pair.SIGN + 3] = random.integers(-1, 2, 3)
        pair[Pair.MARGIN : Pair.MARGIN + 3] = random.integers(0, BODY_UNIT // 4, 3)
        pair[Pair.LIMIT] = random.choice([0, 1000, RATIO_ONE // 10, RATIO_ONE // 3, 2 * RATIO_ONE])
        pair[Pair.NEAREST] = random.choice([0, 40, 160])
        pair[Pair.FARTHEST] = random.choice([-1, 0, 48])
        weights = [0, 0, 300, ENERGY_UNIT, 5 * ENERGY_UNIT]
        pair[Pair.ORDER : Pair.ORDER + 3] = random.choice(weights, 3)
        for weight in (Pair.OVERLAP, Pair.GAP, Pair.INSIDE):
            pair[weight] = random.choice(weights)
        if random.random() < 0.7:
            pair[Pair.INSIDE] = 0
        elif random.random() < 0.3:
            pair[Pair.WITHIN], pair[Pair.LIMIT] = (
                random.choice([100, RATIO_ONE // 4]),
                2 * RATIO_ONE,
            )
    if random.random() < 0.5:
        fates = random.choice([Fate.PLACED, Fate.PLACED, Fate.PLACED, Fate.ABSENT], objects)
        scene.poses[:, Pose.FATE] = fates


def random_leaders(scene: Scene, random: np.random.Generator) -> None:
    """Some objects follow others, of which some are placed later or not at all."""
    objects = len(scene.order)
    for n in range(objects):
        pose = scene.poses[n]
        expected = random.integers(0, scene.shape)
        pose[Pose.ANCHOR : Pose.ANCHOR + 3] = expected
        pose[Pose.ANCHOR_BODY : Pose.ANCHOR_BODY + 3] = expected * BODY_UNIT // 100
        leader = int(random.integers(objects))
        if leader != n and random.random() < 0.6:
            pose[Pose.LEADER] = leader + 1


def random_scene(seed: int) -> Scene:
    """Ellipsoids of many sizes, in boxes of one to three words, in a small odd volume."""
    random = np.random.default_rng(seed)
    solids = []
    for _ in range(random.integers(1, 7)):
        half = random.uniform(0.6, 9, 3)
        if random.random() < 0.3:
            half[2] = random.uniform(20, 75)
        box = 4 * np.ceil((2 * half + 4) / 4).astype(int)
        if random.random() < 0.3:  # cut
            box = np.maximum(box - 4 * random.integers(0, 3, 3), 4)
        solids.append(Solid(tuple(half), tuple(int(side) for side in box), random.choice([0.5, 1])))
    shape = (int(random.integers(5, 25)), int(random.integers(5, 30)), int(random.integers(9, 140)))
    scene = scene_of(
        solids, shape, random, tries=int(random.integers(1, 7)), sweeps=int(random.integers(0, 4)),
        spread=float(random.choice([0, 0.1, 0.4])),
    )  # fmt: skip
    random_relations(scene, random)
    if random.random() < 0.3:  # something that the resolution has lost
        n = random.integers(len(solids))
        scene.counts[n], scene.poses[n, Pose.CLIPPED] = 0, random.integers(2)
    if random.random() < 0.6:
        random_leaders(scene, random)
    return scene

"""A synthetic bank of ellipsoids and tubes, with all constant arrays of anatomical scenes.

``tables(shape, ...)`` gives every table that the kernels read (see ``kernels/anatomy_records.py``
for their columns), ``scratch(tables)`` the arrays that they write, filled with garbage. Objects are
ten structures of three subjects: a pair of lungs, a heart, a liver with a nodule inside, a long
spine, a pair of kidneys, a ring of gut that the last subject lacks, and a speck that is too small
for coarse voxels. Rows of shapes: (level * S + subject) * C + structure. Axes z, y, x; lengths mm.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from synthgen.kernels.anatomy_records import (
    BANK_POINTS,
    BODY_UNIT,
    CONTROLS,
    ENERGY_UNIT,
    RATIO_ONE,
    TILE,
    AnatomySampling,
    BankShape,
    BankStructure,
    Pair,
    Pose,
    Proposal,
)
from synthgen.kernels.records import Placed

Array = np.ndarray
SUBJECTS = 3
LEVELS = 3
GRID_MARGIN = 8  # source voxels around a mask at level 0
BODY = (300.0, 220.0, 340.0)
SPARE = 64  # elements past the end of what is read in lanes

NAMES = (
    "lung_left", "lung_right", "heart", "liver", "nodule", "spine", "kidney_left", "kidney_right",
    "gut", "speck",
)  # fmt: skip
LUNG_LEFT, LUNG_RIGHT, HEART, LIVER, NODULE, SPINE, KIDNEY_LEFT, KIDNEY_RIGHT, GUT, SPECK = range(
    10
)
C = len(NAMES)
# Middle in parts of the body, and half axes in mm; x grows to the right.
_PLACES = [
    ((0.72, 0.5, 0.27), (48, 42, 30)), ((0.72, 0.5, 0.73), (48, 42, 33)),
    ((0.62, 0.6, 0.46), (27, 24, 30)), ((0.42, 0.6, 0.66), (36, 42, 57)),
    ((0.42, 0.6, 0.66), (9, 7.5, 10.5)), ((0.5, 0.2, 0.5), (120, 12, 12)),
    ((0.36, 0.3, 0.33), (24, 13.5, 15)), ((0.34, 0.3, 0.67), (25.5, 13.5, 15)),
    ((0.2, 0.6, 0.5), (24, 9, 48)), ((0.8, 0.8, 0.5), (1.6, 1.6, 1.6)),
]  # fmt: skip
_MIRRORS = {LUNG_LEFT: LUNG_RIGHT, KIDNEY_LEFT: KIDNEY_RIGHT}


@dataclass(frozen=True)
class Tables:
    """All that the kernels read. The lattice and row offsets belong to ``caps``.

    Attributes:
        shape: (D, H, W) of a volume.
        settings: (AnatomySampling.SIZE,) float32.
        structures: (C, BankStructure.SIZE) float32.
        choices: (C, S) int32.
        boxes: (S*C, 6) float32, mm about the centroid.
        offsets: (S*C, 3) float32, mm from the container's centroid.
        surface: (S*C, BANK_POINTS, 3) float32, mm about the centroid ("bank_points").
        shapes: (L*S*C, BankShape.SIZE) int32.
        distances: (V + 64,) int16, 1/16 source voxel.
        caps: (C, 3) int32.
        row_offsets: (C,) int64, words; ``rows`` of all in ``row_words``.
        lattice_offsets: (C,) int64; all in ``lattice_points``.
        pairs: (C, C, Pair.SIZE) int32.
        order: (C,) int32, of placement.
        ranks: (C,) int32, of painting.
        steps: (P, 2) int32, outer and inner half widths, 1/256 voxel.
        weights: (P,) int32, 1/256.
        levels: (256,) uint8.
    """

    shape: tuple[int, int, int]
    tries: int
    sweeps: int
    settings: Array
    structures: Array
    choices: Array
    boxes: Array
    offsets: Array
    surface: Array
    shapes: Array
    distances: Array
    caps: Array
    row_offsets: Array
    row_words: int
    lattice_offsets: Array
    lattice_points: int
    pairs: Array
    order: Array
    ranks: Array
    steps: Array
    weights: Array
    levels: Array

    @property
    def proposals(self) -> int:
        return 2 * self.tries + self.sweeps

    def with_settings(self, **settings: float | Sequence[float]) -> "Tables":
        """The same, with columns of ``AnatomySampling`` replaced, by their names in lower case."""
        table = self.settings.copy()
        for name, value in settings.items():
            first = AnatomySampling[name.upper()]
            values = np.atleast_1d(np.asarray(value, np.float32))
            table[first : first + len(values)] = values
        return replace(self, settings=table)


@dataclass(frozen=True)
class Scratch:
    """What the kernels write, of one volume or with a leading batch axis; starts as garbage."""

    poses: Array
    controls: Array
    points: Array
    proposals: Array
    lattice: Array
    rows: Array
    shells: Array
    counts: Array
    visible: Array
    energies: Array
    placed: Array


def scratch(tables: Tables, batch: int | None = None, seed: int = 0) -> Scratch:
    """Arrays of one volume, or of ``batch``; every element is random bits."""
    random = np.random.default_rng(seed)
    lead = () if batch is None else (batch,)

    def garbage(shape: tuple[int, ...], dtype: type) -> Array:
        size = int(np.prod((*lead, *shape), dtype=np.int64)) * np.dtype(dtype).itemsize
        return random.integers(0, 256, size, np.uint8).view(dtype).reshape(*lead, *shape)

    planes = len(tables.weights)
    return Scratch(
        poses=garbage((C, Pose.SIZE), np.int32),
        controls=garbage((C, 3, CONTROLS, CONTROLS, CONTROLS), np.int32),
        points=garbage((C, BANK_POINTS, 3), np.int32),
        proposals=garbage((C, tables.proposals, Proposal.SIZE), np.int32),
        lattice=garbage((tables.lattice_points + SPARE,), np.int32),
        rows=garbage((tables.row_words + SPARE,), np.uint64),
        shells=garbage((planes, tables.row_words + SPARE), np.uint64),
        counts=garbage((C,), np.int32),
        visible=garbage((C,), np.int32),
        energies=garbage((C, tables.proposals), np.int64),
        placed=garbage((C, Placed.SIZE), np.int32),
    )


# -------------------------------------------------------------------------------------- the shapes


def _solid(structure: int, points: Array, half: Array) -> Array:
    """Where a structure is inside; ``points`` (..., 3) mm about its middle."""
    z, y, x = np.moveaxis(points, -1, 0)
    if structure == SPINE:  # a tube along z, with a bend
        bend = 0.12 * half[0] * (z / half[0]) ** 2
        return (np.abs(z) < half[0]) & ((y - bend) ** 2 + x**2 < half[1] ** 2)
    if structure == GUT:  # a tube along a ring in (z, x)
        ring = np.hypot(z / half[0], x / half[2]) - 0.75
        return (ring * half[0]) ** 2 + (0.6 * y) ** 2 < (0.22 * half[0]) ** 2
    cut = structure in (LUNG_LEFT, LUNG_RIGHT)  # a flat bottom, so that up and down differ
    inside = (z / half[0]) ** 2 + (y / half[1]) ** 2 + (x / half[2]) ** 2 < 1
    if structure in (LUNG_LEFT, KIDNEY_LEFT):  # a dent on one side, so that a mirror image differs
        inside &= (z / half[0]) ** 2 + (y / half[1]) ** 2 + (x / half[2] - 1) ** 2 > 0.25
    if structure in (LUNG_RIGHT, KIDNEY_RIGHT):
        inside &= (z / half[0]) ** 2 + (y / half[1]) ** 2 + (x / half[2] + 1) ** 2 > 0.25
    return inside & (z > -0.7 * half[0]) if cut else inside


@functools.cache
def mask_of(subject: int, structure: int, spacing: float) -> Array:
    """(D, H, W) bool: a structure of a subject with a margin; sides 1 more than a multiple of 4."""
    random = np.random.default_rng(1000 * subject + structure)
    half = np.array(_PLACES[structure][1]) * random.uniform(0.9, 1.1, 3)
    reach = np.array([1.3 * half[1] + 0.2 * half[0] if structure == SPINE else h for h in half])
    if structure == SPINE:
        reach[0] = half[0]
    sides = 4 * np.ceil((2 * reach / spacing + 2 * GRID_MARGIN + 2) / 4).astype(int) + 1
    axes = [(np.arange(side) - (side - 1) / 2) * spacing for side in sides]
    inside = _solid(structure, np.stack(np.meshgrid(*axes, indexing="ij"), -1), half)
    inside[tuple((sides - 1) // 2)] |= structure == SPECK
    return inside


def _distances(mask: Array) -> Array:
    """Signed distance to the surface between voxels, 1/16 voxel, int16."""
    signed = np.where(mask, 0.5 - distance_transform_edt(mask), distance_transform_edt(~mask) - 0.5)
    return np.clip(np.rint(16 * signed), -512, 512).astype(np.int16)


def _level(distances: Array, level: int) -> Array:
    """Every 2^level-th sample, in voxels of that level."""
    step = 2**level
    return np.rint(distances[::step, ::step, ::step] / step).astype(np.int16)


def slope_of(distances: Array) -> int:
    """Bound of the gradient of the trilinear field: 1/256 a source voxel, rounded up."""
    squares = np.zeros([n - 1 for n in distances.shape])
    for axis in range(3):
        steps = np.abs(np.diff(distances.astype(float) / 16, axis=axis))
        for other in {0, 1, 2} - {axis}:
            low, high = [slice(None)] * 3, [slice(None)] * 3
            low[other], high[other] = slice(0, -1), slice(1, None)
            steps = np.maximum(steps[tuple(low)], steps[tuple(high)])
        squares += steps**2
    return int(np.ceil(256 * np.sqrt(squares.max())))


def _surface(mask: Array, centre: Array) -> Array:
    """BANK_POINTS points spread over the surface, source voxels about the centroid."""
    depth = distance_transform_edt(mask)
    found = np.argwhere((depth > 0) & (depth < 1.5)) - centre
    chosen = [int(np.argmax((found**2).sum(1)))]
    distance = np.full(len(found), np.inf)
    for _ in range(BANK_POINTS - 1):
        distance = np.minimum(distance, ((found - found[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(np.argmax(distance)))
    return found[chosen]


@dataclass(frozen=True)
class _Bank:
    shapes: Array
    distances: Array
    boxes: Array
    surface: Array


def has(subject: int, structure: int) -> bool:
    """Whether a subject has a structure."""
    return (subject, structure) != (SUBJECTS - 1, GUT)


@functools.cache
def _bank(spacing: float) -> _Bank:
    shapes = np.zeros((LEVELS, SUBJECTS, C, BankShape.SIZE), np.int32)
    boxes = np.zeros((SUBJECTS, C, 6), np.float32)
    surface = np.zeros((SUBJECTS, C, BANK_POINTS, 3), np.float32)
    parts: list[Array] = []
    offset = 0
    for level in range(LEVELS):
        for subject in range(SUBJECTS):
            for structure in range(C):
                if not has(subject, structure):
                    continue
                mask = mask_of(subject, structure, spacing)
                inside = np.argwhere(mask)
                centre = np.rint(4096 * inside.mean(0) / 2**level)
                grid = _level(_distances(mask), level)
                shapes[level, subject, structure] = [
                    offset, *grid.shape, *centre, slope_of(grid)
                ]  # fmt: skip
                parts.append(grid.ravel())
                offset += grid.size
                if level == 0:
                    centre = centre / 4096
                    boxes[subject, structure, :3] = (inside.min(0) - 0.5 - centre) * spacing
                    boxes[subject, structure, 3:] = (inside.max(0) + 0.5 - centre) * spacing
                    surface[subject, structure] = _surface(mask, centre) * spacing
    return _Bank(
        shapes.reshape(-1, BankShape.SIZE),
        np.concatenate([*parts, np.full(SPARE, 512, np.int16)]),
        boxes.reshape(-1, 6),
        surface.reshape(-1, BANK_POINTS, 3),
    )


# ------------------------------------------------------------------------------------- the tables


def _structures() -> Array:
    table = np.zeros((C, BankStructure.SIZE), np.float32)
    for c, (place, half) in enumerate(_PLACES):
        sd = 0.10 * np.array(half) + 4.0
        table[c, BankStructure.MEAN : BankStructure.MEAN + 3] = np.array(place) * BODY
        # zz, yz, yy, xz, xy, xx
        factor = [sd[0], 0.3 * sd[1], 0.9 * sd[1], -0.2 * sd[2], 0.1 * sd[2], 0.95 * sd[2]]
        table[c, BankStructure.FACTOR : BankStructure.FACTOR + 6] = factor
        table[c, BankStructure.REACH : BankStructure.REACH + 3] = np.array(half) * 1.2 + 3 * sd
        table[c, BankStructure.MIRROR] = c
        table[c, BankStructure.CONTAINER] = c
        table[c, BankStructure.SUBJECTS] = sum(has(s, c) for s in range(SUBJECTS))
    for left, right in _MIRRORS.items():
        table[left, BankStructure.MIRROR] = right
        table[right, BankStructure.MIRROR] = left
    return table


def _choices() -> Array:
    table = np.zeros((C, SUBJECTS), np.int32)
    for c in range(C):
        found = [s for s in range(SUBJECTS) if has(s, c)]
        table[c, : len(found)] = found
    return table


def _pairs(order: Array, structures: Array) -> Array:
    """Orders where middles differ clearly, gaps, and the nodule inside the liver."""
    table = np.zeros((C, C, Pair.SIZE), np.int32)
    rank = np.argsort(order)
    middles = structures[:, BankStructure.MEAN : BankStructure.MEAN + 3] / np.array(BODY)
    for i in range(C):
        for j in range(C):
            if rank[i] <= rank[j]:
                continue
            row = table[i, j]
            away = middles[i] - middles[j]
            row[Pair.SIGN : Pair.SIGN + 3] = np.where(np.abs(away) > 0.05, np.sign(away), 0)
            row[Pair.MARGIN : Pair.MARGIN + 3] = np.rint(0.3 * np.abs(away) * BODY_UNIT)
            inside = (i, j) == (NODULE, LIVER)
            row[Pair.LIMIT] = 2 * RATIO_ONE if inside else RATIO_ONE // 10
            row[Pair.NEAREST] = 0 if inside else 16 * 2
            row[Pair.FARTHEST] = 16 * 3 if (i, j) == (HEART, LIVER) else -1
            row[Pair.WITHIN] = RATIO_ONE * 8 // 10 if inside else 0
            row[Pair.ORDER : Pair.ORDER + 3] = ENERGY_UNIT
            row[Pair.OVERLAP] = 0 if inside else 2 * ENERGY_UNIT
            row[Pair.GAP] = 0 if inside else ENERGY_UNIT // 2
            row[Pair.INSIDE] = 2 * ENERGY_UNIT if inside else 0
    return table


def _settings(shape: Sequence[int], spacing: Sequence[float], bank_spacing: float) -> Array:
    table = np.zeros(AnatomySampling.SIZE, np.float32)
    for name, values in {
        "SHAPE": shape, "SPACING": spacing, "ZOOM_LOW": 0.8, "ZOOM_HIGH": 1.25, "BODY": BODY,
        "BANK_SPACING": bank_spacing, "LEVELS": LEVELS, "WANDER": 0.08, "KEEP": 0.9,
        "SCALE_SD": 0.1, "SCALE_LOW": 0.8, "SCALE_HIGH": 1.25, "AXIS_SD": 0.05,
        "TURN_SD": 8 / 360, "DISPLACEMENT_LOW": 0, "DISPLACEMENT_HIGH": 3.0, "MIRROR": 0.5,
        "UNIFORM": 0, "WIDEN": 2, "MARGIN": 1, "VALUE_LOW": 128, "VALUE_HIGH": 255,
    }.items():  # fmt: skip
        first = AnatomySampling[name]
        values = np.atleast_1d(np.asarray(values, np.float32))
        table[first : first + len(values)] = values
    return table


def _caps(boxes: Array, settings: Array) -> Array:
    """(C, 3): enough for any pose, as multiples of TILE."""
    corners = np.maximum(-boxes[:, :3], boxes[:, 3:]).reshape(SUBJECTS, C, 3)
    radius = np.linalg.norm(corners, axis=-1).max(0)
    for left, right in _MIRRORS.items():  # one may have the other's shape
        radius[left] = radius[right] = max(radius[left], radius[right])
    radius *= settings[AnatomySampling.SCALE_HIGH]
    radius *= np.exp(3.7 * settings[AnatomySampling.AXIS_SD])
    radius += 3 * np.sqrt(3) * settings[AnatomySampling.DISPLACEMENT_HIGH] * 1.5 + 3
    first = AnatomySampling.SPACING
    voxel = settings[first : first + 3] * settings[AnatomySampling.ZOOM_LOW]
    sides = 2 * (radius[:, None] / voxel + 2 * settings[AnatomySampling.MARGIN] + 3) + 1
    return (TILE * np.ceil(sides / TILE)).astype(np.int32)


def offsets_of(caps: Array) -> tuple[Array, int, Array, int]:
    """First word and lattice point of each object's block, and how many there are in all."""
    depth, height, width = caps.astype(np.int64).T
    words = depth * height * -(-width // 64)
    points = 3 * (depth // TILE + 1) * (height // TILE + 1) * (width // TILE + 1)
    return (
        np.cumsum(words) - words, int(words.sum()), np.cumsum(points) - points, int(points.sum())
    )  # fmt: skip


@functools.cache
def tables(
    shape: tuple[int, int, int] = (33, 48, 95),
    *,
    spacing: tuple[float, float, float] = (4.0, 3.5, 3.0),
    bank_spacing: float = 3.0,
    tries: int = 8,
    sweeps: int = 3,
) -> Tables:
    """All tables for volumes of a shape and of voxels of ``spacing`` mm; do not change them.

    Other settings: ``tables(...).with_settings(keep=1, displacement_high=0)``; where that makes
    objects larger or voxels smaller, caps are no longer enough.
    """
    bank = _bank(bank_spacing)
    settings = _settings(shape, spacing, bank_spacing)
    structures = _structures()
    volumes = np.array([np.prod(half) for _, half in _PLACES])
    volumes[NODULE] = min(volumes[NODULE], volumes[LIVER])
    order = np.argsort(-volumes, kind="stable").astype(np.int32)
    caps = _caps(bank.boxes, settings)
    rows, words, lattice, points = offsets_of(caps)
    return Tables(
        shape=shape, tries=tries, sweeps=sweeps, settings=settings, structures=structures,
        choices=_choices(), boxes=bank.boxes,
        offsets=np.zeros((SUBJECTS * C, 3), np.float32), surface=bank.surface, shapes=bank.shapes,
        distances=bank.distances, caps=caps, row_offsets=rows, row_words=words,
        lattice_offsets=lattice, lattice_points=points, pairs=_pairs(order, structures),
        order=order, ranks=np.argsort(order).astype(np.int32),
        steps=np.array([[256, 256], [128, 64]], np.int32), weights=np.array([128, 256], np.int32),
        levels=np.arange(256, dtype=np.uint8),
    )  # fmt: skip

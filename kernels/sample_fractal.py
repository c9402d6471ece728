"""Random fractals: classes, sizes, places, and their systems as they are drawn. Twin of
``sample_fractal.cu``.
"""

import numpy as np

from .bits import larger, quotient, smaller
from .float_lanes import floor_of
from .fractal import NO_WORDS, chain_words, kept, map_of, stepped
from .fractal_records import (
    FRACTAL_BITS,
    FRACTAL_CHAIN_DRAWS,
    FRACTAL_COEFFICIENTS,
    FRACTAL_DRAW_BITS,
    FRACTAL_JITTER_DRAW,
    FRACTAL_MAPS_MAX,
    FRACTAL_PARTS,
    FRACTAL_POINTS,
    FRACTAL_PROBE_DRAW,
    FRACTAL_PROBES,
    FRACTAL_REACH,
    FRACTAL_TURN_BITS,
    FRACTAL_VOXEL_BITS,
    FRACTAL_WARM,
    FractalRow,
    FractalSampling,
)
from .jit import device, kernel
from .philox import bounded, random_words
from .real import HALF
from .scene import turn_none, turn_uniform, uniform, unit_float
from .scene_records import SceneObject
from .streams import Stream

_STREAM = int(Stream.FRACTAL)
_TURN_ONE, _VOXEL = np.float32(2.0**FRACTAL_TURN_BITS), np.float32(2.0**FRACTAL_VOXEL_BITS)
_PER_VOXEL = np.float32(2.0**-FRACTAL_VOXEL_BITS)
_ONE, _REACH = 1 << FRACTAL_BITS, FRACTAL_REACH << FRACTAL_BITS
_HALF_LEAST = _ONE >> 2  # of a measured fractal's half side
_ADDED_MOST = 1 << 30
_GROUPS = FRACTAL_COEFFICIENTS // 4  # of a map's coefficients, a draw each
_JITTER_DRAWS = FRACTAL_MAPS_MAX * _GROUPS
_STEPS = FRACTAL_WARM + FRACTAL_POINTS

_CLASS, _CENTRE, _TURN = int(SceneObject.CLASS), int(SceneObject.CENTRE), int(SceneObject.TURN)
_ROW_CLASS, _ROW_CENTRE = int(FractalRow.CLASS), int(FractalRow.CENTRE)
_DEPTH, _HEIGHT = int(FractalSampling.DEPTH), int(FractalSampling.HEIGHT)
_WIDTH, _SPREAD = int(FractalSampling.WIDTH), int(FractalSampling.SPREAD)
_SIDE_LOW, _SIDE_HIGH = int(FractalSampling.SIDE_LOW), int(FractalSampling.SIDE_HIGH)
_JITTER, _TURNED = int(FractalSampling.JITTER), int(FractalSampling.TURNED)


@device
def jittered(coefficient, word, most):
    """A coefficient changed by up to ``most`` parts of it, 2^-16."""
    return coefficient + ((coefficient * bounded(word, -most, most)) >> 16)


@device
def jitter_maps(source, most, seed, index, draw, row):
    """Write all maps of a system, each coefficient changed a little, into its row."""
    for group in range(_JITTER_DRAWS):
        words = random_words(seed, index, _STREAM, draw + group)
        coefficients, first = source[group // _GROUPS], 4 * (group % _GROUPS)
        for i in range(4):
            row[4 * group + i] = jittered(np.int64(coefficients[first + i]), words[i], most)


@device
def turn_maps(turn, work, row):
    """Turn a system: A := R A R^T, b := R b, of all its maps.

    Args:
        turn: (9,) int64, R, 2^-14.
        work: (12,) int64, scratch.
        row: of the system.
    """
    for at in range(0, FRACTAL_MAPS_MAX * FRACTAL_COEFFICIENTS, FRACTAL_COEFFICIENTS):
        for i in range(3):
            for j in range(3):
                total = np.int64(0)
                for k in range(3):
                    total += turn[3 * i + k] * row[at + 3 * k + j]
                work[3 * i + j] = total >> FRACTAL_TURN_BITS
            total = np.int64(0)
            for k in range(3):
                total += turn[3 * i + k] * row[at + 9 + k]
            work[9 + i] = total >> FRACTAL_TURN_BITS
        for i in range(3):
            for j in range(3):
                total = np.int64(0)
                for k in range(3):
                    total += work[3 * i + k] * turn[3 * j + k]
                row[at + 3 * i + j] = total >> FRACTAL_TURN_BITS
            row[at + 9 + i] = work[9 + i]


@device
def measure(row, slots, seed, index, draw, bounds):
    """Least and largest components of some points of a system, into ``bounds`` (6,) int64."""
    for axis in range(3):
        bounds[axis], bounds[3 + axis] = _REACH, -_REACH
    for chain in range(FRACTAL_PROBES):
        x = y = z = np.int64(0)
        first = draw + chain * FRACTAL_CHAIN_DRAWS
        words = NO_WORDS
        for step in range(_STEPS):
            if step & 15 == 0:
                words = chain_words(seed, index, _STREAM, first, step)
            x, y, z = stepped(row, map_of(words, step, slots), _REACH, x, y, z)
            if step >= FRACTAL_WARM:
                bounds[0], bounds[3] = smaller(bounds[0], x), larger(bounds[3], x)
                bounds[1], bounds[4] = smaller(bounds[1], y), larger(bounds[4], y)
                bounds[2], bounds[5] = smaller(bounds[2], z), larger(bounds[5], z)


@device
def scale_maps(bounds, side, row):
    """From a system's own unit to voxels, the middle of its box at the origin.

    Args:
        bounds: of its fractal, see ``measure``.
        side: the largest of the box, voxels of 2^-16.
        row: of the system.
    """
    half = larger(bounds[3] - bounds[0], larger(bounds[4] - bounds[1], bounds[5] - bounds[2])) >> 1
    scale = quotient(np.int64(side) << (FRACTAL_BITS - 1), larger(half, _HALF_LEAST))
    mx, my, mz = (bounds[0] + bounds[3]) >> 1, (bounds[1] + bounds[4]) >> 1, (
        bounds[2] + bounds[5]
    ) >> 1  # fmt: skip
    for at in range(0, FRACTAL_MAPS_MAX * FRACTAL_COEFFICIENTS, FRACTAL_COEFFICIENTS):
        for i in range(3):
            to = at + 3 * i
            moved = (row[to] * mx + row[to + 1] * my + row[to + 2] * mz) >> FRACTAL_BITS
            middle = mx if i == 0 else my if i == 1 else mz
            added = ((moved + row[at + 9 + i] - middle) * scale) >> FRACTAL_BITS
            row[at + 9 + i] = kept(added, _ADDED_MOST)


@kernel
def sample_fractal(settings, systems, slots, seed, index, objects, rows):
    """Draw the objects of a volume.

    Args:
        settings: (FractalSampling.SIZE,) int32.
        systems: (C, FRACTAL_MAPS_MAX, FRACTAL_COEFFICIENTS) int32, of each class; its fractal's
            box is about -1 .. 1 along its longest side.
        slots: (C, FRACTAL_SLOTS) uint8, the map that each byte chooses.
        seed: uint64.
        index: uint64, of the volume.
        objects: (N, SceneObject.SIZE) float32, out: CLASS, TURN and CENTRE.
        rows: (N, FRACTAL_PARTS, FractalRow.SIZE) int32, out: what an object is drawn by, and what
            is mixed into it.
    """
    row, turn = np.empty(_ROW_CLASS, np.int64), np.empty(9, np.int64)
    work, bounds, head = np.empty(12, np.int64), np.empty(6, np.int64), np.empty(12, np.uint64)
    classes = systems.shape[0]
    spread = np.float32(settings[_SPREAD]) * _PER_VOXEL
    for n in range(objects.shape[0]):
        draw, item = np.int64(n) << FRACTAL_DRAW_BITS, objects[n]
        for group in range(3):
            words = random_words(seed, index, _STREAM, draw + group)
            head[4 * group], head[4 * group + 1] = words[0], words[1]
            head[4 * group + 2], head[4 * group + 3] = words[2], words[3]
        own, other = bounded(head[0], 0, classes - 1), bounded(head[1], 0, classes - 1)
        side = bounded(head[2], np.int64(settings[_SIDE_LOW]), np.int64(settings[_SIDE_HIGH]))
        item[:] = np.float32(0)
        item[_CLASS] = np.float32(own)
        if settings[_TURNED]:
            turn_uniform(item, unit_float(head[4]), unit_float(head[5]), unit_float(head[6]))
        else:
            turn_none(item)
        for i in range(9):
            turn[i] = int(floor_of(item[_TURN + i] * _TURN_ONE + HALF))
        for axis in range(3):
            length = np.float32(settings[_WIDTH - axis])
            centre = HALF * length + uniform(head[8 + axis], -spread, spread) * length
            item[_CENTRE + axis] = centre
        for part in range(FRACTAL_PARTS):
            which = own if part == 0 else other
            first = draw + FRACTAL_JITTER_DRAW + part * _JITTER_DRAWS
            jitter_maps(systems[which], np.int64(settings[_JITTER]), seed, index, first, row)
            turn_maps(turn, work, row)
            first = draw + FRACTAL_PROBE_DRAW + part * FRACTAL_PROBES * FRACTAL_CHAIN_DRAWS
            measure(row, slots[which], seed, index, first, bounds)
            scale_maps(bounds, side, row)
            target = rows[n, part]
            for i in range(_ROW_CLASS):
                target[i] = np.int32(row[i])
            target[_ROW_CLASS] = np.int32(which)
            for axis in range(3):
                target[_ROW_CENTRE + axis] = np.int32(int(floor_of(item[_CENTRE + axis] * _VOXEL)))

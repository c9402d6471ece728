"""The voxels that points of fractals fall into. Twin of ``draw_fractal.cu``."""

import numpy as np

from .fractal import NO_WORDS, chain_words, map_of, stepped
from .fractal_records import (
    FRACTAL_CHAIN_DRAW,
    FRACTAL_CHAIN_DRAWS,
    FRACTAL_DRAW_BITS,
    FRACTAL_POINTS,
    FRACTAL_REACH_VOXELS,
    FRACTAL_VOXEL_BITS,
    FRACTAL_WARM,
    FractalRow,
)
from .jit import device, kernel
from .streams import Stream

_STREAM = int(Stream.FRACTAL)
_REACH = FRACTAL_REACH_VOXELS << FRACTAL_VOXEL_BITS
_STEPS = FRACTAL_WARM + FRACTAL_POINTS
_CLASS, _CENTRE = int(FractalRow.CLASS), int(FractalRow.CENTRE)


@device
def within(x, y, z):
    """No component has come to the reach's end."""
    return -_REACH < x < _REACH and -_REACH < y < _REACH and -_REACH < z < _REACH


@device
def draw_chain(row, slots, seed, index, draw, bit, words, shape):
    """Set ``bit`` of the words of the voxels that a chain's points are in; how many were new."""
    depth, height, width = shape
    cx, cy, cz = np.int64(row[_CENTRE]), np.int64(row[_CENTRE + 1]), np.int64(row[_CENTRE + 2])
    x = y = z = np.int64(0)
    count = 0
    random = NO_WORDS
    for step in range(_STEPS):
        if step & 15 == 0:
            random = chain_words(seed, index, _STREAM, draw, step)
        x, y, z = stepped(row, map_of(random, step, slots), _REACH, x, y, z)
        if step < FRACTAL_WARM:
            continue
        vx, vy = (cx + x) >> FRACTAL_VOXEL_BITS, (cy + y) >> FRACTAL_VOXEL_BITS
        vz = (cz + z) >> FRACTAL_VOXEL_BITS
        inside = 0 <= vx < width and 0 <= vy < height and 0 <= vz < depth
        if inside and within(x, y, z):
            word = words[vz, vy, vx]
            if word & bit == 0:
                words[vz, vy, vx] = word | bit
                count += 1
    return count


@kernel
def draw_fractal(rows, slots, chains, mixed, seed, index, masks, counts, shape):
    """Find the voxels of each object.

    Args:
        rows: (N, FRACTAL_PARTS, FractalRow.SIZE) int32.
        slots: (C, FRACTAL_SLOTS) uint8, the map that each byte chooses.
        chains: of each object.
        mixed: of these, the first are of the second system.
        seed: uint64.
        index: uint64, of the volume.
        masks: (M, D, H, W) uint32, out: bit n % 32 of word n // 32 where object n is. Those of
            CUDA are 0 before, as is ``counts``.
        counts: (N,) int64, out: voxels of each object.
        shape: (D, H, W).
    """
    masks[:] = np.uint32(0)
    for n in range(rows.shape[0]):
        bit, words = np.uint32(1 << (n & 31)), masks[n >> 5]
        draw = (np.int64(n) << FRACTAL_DRAW_BITS) + FRACTAL_CHAIN_DRAW
        count = 0
        for chain in range(chains):
            row = rows[n, 1 if chain < mixed else 0]
            first = draw + chain * FRACTAL_CHAIN_DRAWS
            count += draw_chain(row, slots[row[_CLASS]], seed, index, first, bit, words, shape)
        counts[n] = count

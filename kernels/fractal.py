"""One step of a point under a system of affine maps, whole numbers only; twin of ``fractal.cuh``.

A chain is a point that starts at the origin and goes on by a map that a random byte chooses.
Sixteen steps take one draw: the bytes of its four words, each from its lowest byte on.

References:
    Barnsley, "Fractals Everywhere", 1988, on the random iteration algorithm; short chains in
    parallel: Green, "GPU-accelerated iterated function systems", SIGGRAPH 2005 sketches.
"""

import numpy as np

from .bits import larger, smaller
from .fractal_records import FRACTAL_BITS, FRACTAL_COEFFICIENTS
from .jit import device
from .philox import random_words

_SIZE, _LAST = FRACTAL_COEFFICIENTS, 9
_BYTE = np.uint64(255)
NO_WORDS = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))


@device
def chosen_byte(words, step):
    """Byte ``step`` % 16 of four words."""
    word = words[0]
    if step & 12 == 4:
        word = words[1]
    elif step & 12 == 8:
        word = words[2]
    elif step & 12 == 12:
        word = words[3]
    return np.int64((word >> np.uint64(8 * (step & 3))) & _BYTE)


@device
def kept(value, reach):
    """``value`` within ``reach`` of 0."""
    return smaller(larger(value, -reach), reach)


@device
def stepped(row, at, reach, x, y, z):
    """Where a map leads from a place.

    Args:
        row: whole numbers of 2^-20: coefficients, and what is added in the unit of places.
        at: where the map's coefficients begin.
        reach: of each component, 2^26 at most.
        x, y, z: the place, within reach.
    """
    nx = ((row[at] * x + row[at + 1] * y + row[at + 2] * z) >> FRACTAL_BITS) + row[at + _LAST]
    ny = ((row[at + 3] * x + row[at + 4] * y + row[at + 5] * z) >> FRACTAL_BITS) + row[at + 10]
    nz = ((row[at + 6] * x + row[at + 7] * y + row[at + 8] * z) >> FRACTAL_BITS) + row[at + 11]
    return kept(nx, reach), kept(ny, reach), kept(nz, reach)


@device
def chain_words(seed, index, stream, draw, step):
    """The words of the draw that holds a chain's step."""
    return random_words(seed, index, stream, draw + (step >> 4))


@device
def map_of(words, step, slots):
    """Where the coefficients of the map begin that a step takes."""
    return _SIZE * np.int64(slots[chosen_byte(words, step)])

"""Displacements of signed distances; twin of ``displacement.cuh``.

Published code evaluates them in the volume's frame: one fixed field for a shape of volume, made of
functions of one axis, which ``displacement_tables`` tabulates. In a row of voxels along x every
family of waves is ``max(P first[x] + Q second[x] + R, LOWEST)``: ``first`` and ``second`` are the x
axis' table, and P, Q, R and LOWEST follow from the y and z tables. So no voxel takes a sine.

The paper's figure has them in the object's frame, as ``displacement_at`` evaluates them; a gradient
noise has no other. Rows and tables are described in ``mapper_records``. ``row_terms`` takes float32
alone, all else a float32 or the sixteen lanes of ``float_lanes``.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199, and its public code: families and parameters. Its
    "Perlin" families are these waves, its "twist" is stripes.
"""

import numpy as np

from .float_lanes import filled, floor_of, fused, magnitude, most
from .jit import device
from .mapper_records import DisplacementFamily, DisplacementRow
from .noise import octave_sum
from .real import HALF, ZERO, cosine_of_turns, sine_of_turns

TWO_BY_PI = np.float32(0.6366197723675814)
KEYS = 2**24  # of other noises lie below, so that a displacement's is none of them

_LOWEST = np.float32(-1e30)
_TENTH, _FIFTH, _QUARTER = np.float32(0.1), np.float32(0.2), np.float32(0.25)
_15, _30, _35 = np.float32(0.15), np.float32(0.3), np.float32(0.35)  # hundredths
_NONE, _WAVES = int(DisplacementFamily.NONE), int(DisplacementFamily.WAVES)
_TURBULENCE, _RIDGE = int(DisplacementFamily.TURBULENCE), int(DisplacementFamily.RIDGE)
_SHARPMAX, _TWIST = int(DisplacementFamily.SHARPMAX), int(DisplacementFamily.TWIST)
_SAWTOOTH, _NOISE = int(DisplacementFamily.SAWTOOTH), int(DisplacementFamily.NOISE)
_FAMILY, _AMPLITUDE = int(DisplacementRow.FAMILY), int(DisplacementRow.AMPLITUDE)
_TURNS_X, _TURNS_Y = int(DisplacementRow.TURNS_X), int(DisplacementRow.TURNS_Y)
_TURNS_Z = int(DisplacementRow.TURNS_Z)
_CELLS, _OCTAVES = int(DisplacementRow.CELLS), int(DisplacementRow.OCTAVES)


# In the volume's frame, where one axis' functions are tabulated.


@device
def row_terms(row, y_first, y_second, z_first, z_second):
    """P, Q, R and LOWEST of a row of voxels.

    Args:
        row: of the displacement.
        y_first: the y table's columns at the row's y; ``z_first`` and ``z_second`` likewise.
        y_second: see ``y_first``.
        z_first: see ``y_first``.
        z_second: see ``y_first``.
    """
    family, size = int(row[_FAMILY]), row[_AMPLITUDE]
    if family == _NONE:
        return ZERO, ZERO, ZERO, _LOWEST
    if family == _WAVES:
        return size * y_first, ZERO, size * z_first, _LOWEST
    if family == _TURBULENCE:
        return size * y_first, size * z_second, size * (y_second * z_first), _LOWEST
    if family == _SHARPMAX:
        return size, ZERO, ZERO, size * most(y_first, z_first)
    if family == _TWIST:
        return size, ZERO, ZERO, _LOWEST
    return size, ZERO, size * (y_first + z_first), _LOWEST  # a ridge or sawtooth


@device
def displaced(terms, first, second):
    """What is added to a distance, from the x table's columns at the voxel."""
    p, q, r, lowest = terms
    return most(fused(p, first, fused(q, second, r)), lowest)


# In the object's frame; x, y and z are in turns, but for a noise.


@device
def turbulence_at(x, y, z):
    """Products of sines and cosines at shares of the frequency."""
    first = sine_of_turns(_TENTH * x) * cosine_of_turns(_15 * y)
    second = fused(sine_of_turns(_FIFTH * y), cosine_of_turns(_QUARTER * z), first)
    return fused(sine_of_turns(_30 * z), cosine_of_turns(_35 * x), second)


@device
def sawtooth_at(x, y, z):
    """2 / pi times what each lies beyond the nearest whole number."""
    beyond = x - floor_of(x + HALF) + (y - floor_of(y + HALF)) + (z - floor_of(z + HALF))
    return TWO_BY_PI * beyond


@device
def waves_at(family, x, y, z):
    """Of any family whose single waves are sines."""
    x, y, z = sine_of_turns(x), sine_of_turns(y), sine_of_turns(z)
    if family == _WAVES:
        return fused(x, y, z)
    x, y, z = magnitude(x), magnitude(y), magnitude(z)
    if family == _RIDGE:
        return x + y + z
    if family == _SHARPMAX:
        return most(most(x, y), z)
    return x  # a twist


@device
def displacement_at(row, key, x, y, z):
    """What is added to a distance at a point.

    Args:
        row: of the displacement.
        key: of a noise, so that each object has its own; 0 .. 2^24 - 1.
        x: of the point in the object's frame; y and z likewise.
        y: see ``x``.
        z: see ``x``.
    """
    family = int(row[_FAMILY])
    if family == _NONE:
        return filled(x, ZERO)
    if family == _NOISE:
        octaves = int(row[_OCTAVES])
        return row[_AMPLITUDE] * octave_sum(row[_CELLS], octaves, int(key) + KEYS, x, y, z)
    x, y, z = row[_TURNS_X] * x, row[_TURNS_Y] * y, row[_TURNS_Z] * z
    if family == _TURBULENCE:
        return row[_AMPLITUDE] * turbulence_at(x, y, z)
    if family == _SAWTOOTH:
        return row[_AMPLITUDE] * sawtooth_at(x, y, z)
    return row[_AMPLITUDE] * waves_at(family, x, y, z)

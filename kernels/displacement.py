"""Displacements of signed distances, tabulated along each axis; twin of ``displacement.cuh``.

A displacement is one fixed field of a volume's shape, in voxels, made of functions of one axis. In
a row of voxels along x every family is ``max(P first[x] + Q second[x] + R, LOWEST)``: ``first`` and
``second`` are the x axis' table, and P, Q, R and LOWEST follow from the y and z tables. So no voxel
takes a sine. Rows and tables are described in ``mapper_records``. ``displaced`` takes a float32 or
the sixteen lanes of ``float_lanes``, all else float32 alone.

An axis of L voxels runs from -L / 2 to L / 2 - 1; divided by the latter it is u, v or q (x, y, z).
Phases are ratios of whole numbers, taken to turns with the division's remainder and the rest of
1 / (2 pi), so that whole frequencies up to 2^21 / L leave an error below 1e-7 turns.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199, and its public code: families and parameters. Its
    "Perlin" families are these waves, its "twist" is stripes.
"""

import numpy as np

from .float_lanes import floor_of, fused, magnitude, most
from .jit import device
from .mapper_records import DisplacementFamily, DisplacementRow, DisplacementTable, VolumeAxis
from .real import HALF, ONE, ZERO, cosine_of_turns, sine_of_turns

PER_RADIAN = np.float32(0.15915494309189535)  # 1 / (2 pi) turns
PER_RADIAN_REST = np.float32(0.15915494309189535 - float(PER_RADIAN))
TWO_BY_PI = np.float32(0.6366197723675814)

_LOWEST, _TWENTY = np.float32(-1e30), np.float32(20)
_NONE, _WAVES = int(DisplacementFamily.NONE), int(DisplacementFamily.WAVES)
_TURBULENCE = int(DisplacementFamily.TURBULENCE)
_SHARPMAX, _TWIST = int(DisplacementFamily.SHARPMAX), int(DisplacementFamily.TWIST)
_SAWTOOTH = int(DisplacementFamily.SAWTOOTH)
_FAMILY, _AMPLITUDE = int(DisplacementRow.FAMILY), int(DisplacementRow.AMPLITUDE)
_FREQUENCY = int(DisplacementRow.FREQUENCY)
_FIRST, _SECOND = int(DisplacementTable.FIRST), int(DisplacementTable.SECOND)
_COLUMNS = int(DisplacementTable.SIZE)
_Y, _X = int(VolumeAxis.Y), int(VolumeAxis.X)


# The tables of one displacement, filled once for each shape of volume.


@device
def remainder_of(ratio, above, below):
    """What the rounded ``ratio`` = above / below leaves out."""
    return fused(-ratio, below, above) / below


@device
def turns_of(above, below):
    """above / below radians in turns, whole turns taken off."""
    ratio = above / below
    whole_turns = floor_of(fused(ratio, PER_RADIAN, HALF))
    turns = fused(ratio, PER_RADIAN, -whole_turns)
    turns = fused(remainder_of(ratio, above, below), PER_RADIAN, turns)
    return fused(ratio, PER_RADIAN_REST, turns)


@device
def sawtooth(above, below):
    """2 / pi times what above / below lies beyond the nearest whole number, -1/2 at a tie."""
    ratio = above / below
    beyond = ratio - floor_of(ratio + HALF)
    return TWO_BY_PI * (beyond + remainder_of(ratio, above, below))


@device
def turbulence_share(axis, column):
    """Share of the frequency in a column of a turbulence, in twentieths."""
    first = column == _FIRST
    if axis == _X:
        return np.float32(2) if first else np.float32(7)
    if axis == _Y:
        return np.float32(3) if first else np.float32(4)
    return np.float32(5) if first else np.float32(6)


@device
def turbulence(axis, column, above, below):
    """A sine of x, then a cosine; of y and z a cosine, then a sine."""
    turns = turns_of(turbulence_share(axis, column) * above, _TWENTY * below)
    if (axis == _X) == (column == _FIRST):
        return sine_of_turns(turns)
    return cosine_of_turns(turns)


@device
def axis_value(row, axis, column, place, length):
    """Value of a column at voxel ``place`` of an axis of ``length`` voxels."""
    family = int(row[_FAMILY])
    above = row[_FREQUENCY] * np.float32(2 * place - length)
    below = most(np.float32(length - 2), ONE)
    if family == _TURBULENCE:
        return turbulence(axis, column, above, below)
    if family == _NONE or column == _SECOND:
        return ZERO
    if family == _SAWTOOTH:
        return sawtooth(above, below)
    wave = sine_of_turns(turns_of(above, below))
    return wave if family == _WAVES else magnitude(wave)


@device
def fill_axis(row, axis, length, stride, first, step, table):
    """Fill the table of one axis.

    Args:
        row: of the displacement.
        axis: VolumeAxis.
        length: of the axis, in voxels.
        stride: values in a column, of which those from ``length`` on continue the axis.
        first: first value to fill, and ``step`` from one to the next; so threads share the work.
        step: see ``first``.
        table: (DisplacementTable.SIZE x stride,) float32, written.
    """
    for place in range(first, stride, step):
        for column in range(_COLUMNS):
            table[column * stride + place] = axis_value(row, axis, column, place, length)


@device
def amplitude(row, width):
    """In voxels; the largest x counts for all axes."""
    return row[_AMPLITUDE] * most(HALF * np.float32(width) - ONE, ZERO)


# What each row of voxels is evaluated with.


@device
def row_terms(row, size, y_first, y_second, z_first, z_second):
    """P, Q, R and LOWEST of a row of voxels.

    Args:
        row: of the displacement.
        size: its amplitude in voxels.
        y_first: the y table's columns at the row's y; ``z_first`` and ``z_second`` likewise.
        y_second: see ``y_first``.
        z_first: see ``y_first``.
        z_second: see ``y_first``.
    """
    family = int(row[_FAMILY])
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

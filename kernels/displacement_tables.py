"""Tables of displacements along each axis of a volume, for ``displacement``.

They are made once for each shape of volume, on the CPU for either backend, with the exactly rounded
operations of ``real``: so no library's sine can change a voxel.

An axis of L voxels runs from -L / 2 to L / 2 - 1; divided by the latter it is u, v or q (x, y, z).
Phases are ratios of whole numbers, taken to turns with the division's remainder and the rest of
1 / (2 pi), so that whole frequencies up to 2^21 / L leave an error below 1e-7 turns.
"""

import numpy as np

from .displacement import TWO_BY_PI
from .float_lanes import floor_of, fused, magnitude, most
from .jit import device, kernel
from .mapper_records import DisplacementFamily, DisplacementRow, DisplacementTable, VolumeAxis
from .real import HALF, ONE, ZERO, cosine_of_turns, sine_of_turns

PER_RADIAN = np.float32(0.15915494309189535)  # 1 / (2 pi) turns
PER_RADIAN_REST = np.float32(0.15915494309189535 - float(PER_RADIAN))

_TWENTY = np.float32(20)
_NONE, _WAVES = int(DisplacementFamily.NONE), int(DisplacementFamily.WAVES)
_TURBULENCE, _SAWTOOTH = int(DisplacementFamily.TURBULENCE), int(DisplacementFamily.SAWTOOTH)
_NOISE = int(DisplacementFamily.NOISE)
_FAMILY, _FREQUENCY = int(DisplacementRow.FAMILY), int(DisplacementRow.FREQUENCY)
_FIRST, _SECOND = int(DisplacementTable.FIRST), int(DisplacementTable.SECOND)
_Y, _X = int(VolumeAxis.Y), int(VolumeAxis.X)


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
    if family == _NONE or family == _NOISE or column == _SECOND:
        return ZERO
    if family == _SAWTOOTH:
        return sawtooth(above, below)
    wave = sine_of_turns(turns_of(above, below))
    return wave if family == _WAVES else magnitude(wave)


@kernel
def fill_tables(rows, shape, tables):
    """Fill the tables of each displacement in volumes of one shape.

    Args:
        rows: (J, DisplacementRow.SIZE) float32.
        shape: depth, height and width.
        tables: (J, VolumeAxis, DisplacementTable.SIZE, stride) float32, written; values from an
            axis' length on continue it.
    """
    for which in range(tables.shape[0]):
        for axis in range(tables.shape[1]):
            for column in range(tables.shape[2]):
                for place in range(tables.shape[3]):
                    value = axis_value(rows[which], axis, column, place, shape[axis])
                    tables[which, axis, column, place] = value

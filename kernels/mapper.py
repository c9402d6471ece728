"""Grey levels of signed distances; twin of ``mapper.cuh``.

Six families with parameters, all between 0 and PEAK, which is reached at the surface. A row is
described in ``mapper_records``; a distance, in voxels and negative inside, is a float32 or the
sixteen lanes of ``float_lanes``. Steps lie exactly where they should if 1 / width is a float32, and
a modular counts them right up to 2^17 steps below the surface.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199, and its public code: families and parameters. Its
    inverse cube never ends; here it ends at REACH, so that culling changes no voxel.
"""

import numpy as np

from .float_lanes import chosen, floor_of, fused, magnitude
from .jit import device
from .mapper_records import MapperFamily, MapperRow
from .real import HALF, ONE, QUARTER, ZERO, ceiling, clamped, power_of_two, quarter_sine

PEAK, _MIDDLE = np.float32(128), np.float32(64)

_INVERSE_CUBE, _EXPONENTIAL = int(MapperFamily.INVERSE_CUBE), int(MapperFamily.EXPONENTIAL)
_LINEAR, _FLOOR = int(MapperFamily.LINEAR), int(MapperFamily.FLOOR)
_MODULAR = int(MapperFamily.MODULAR)
_FAMILY, _REACH, _RATE = int(MapperRow.FAMILY), int(MapperRow.REACH), int(MapperRow.RATE)
_STEP, _PERIOD = int(MapperRow.STEP), int(MapperRow.PERIOD)
_PER_PERIOD = int(MapperRow.PER_PERIOD)


@device
def inverse_cube(s):
    """PEAK / (|s|^3 + 1), on both sides of the surface."""
    size = magnitude(s)
    return PEAK / fused(size * size, size, ONE)


@device
def exponential(row, s):
    """PEAK base^s."""
    return PEAK * power_of_two(row[_RATE] * s)


@device
def linear(row, s):
    """Falls by RATE a voxel, down to 0."""
    return clamped(fused(row[_RATE], s, PEAK), ZERO, PEAK)


@device
def stairs(row, s):
    """Falls by STEP at each multiple of a width, down to 0."""
    return clamped(fused(row[_STEP], ceiling(row[_RATE] * s), PEAK), ZERO, PEAK)


@device
def modular(row, s):
    """Falls from PEAK to 0 in PERIOD steps, again and again.

    Half a step is added before whole periods are taken off, so that the rounded reciprocal of the
    period cannot put a step into the wrong one.
    """
    steps = ceiling(row[_RATE] * s) + (row[_PERIOD] - ONE)
    periods = floor_of((steps + HALF) * row[_PER_PERIOD])
    return row[_STEP] * fused(-row[_PERIOD], periods, steps)


@device
def sinusoidal(row, s):
    """PEAK / 2 (1 + cos(2 pi s / PERIOD)); whole periods are taken off without rounding."""
    periods = floor_of(fused(row[_RATE], s, HALF))
    turns = fused(-row[_PERIOD], periods, s) * row[_RATE]
    level = fused(_MIDDLE, quarter_sine(QUARTER - magnitude(turns)), _MIDDLE)
    return clamped(level, ZERO, PEAK)  # as the polynomial may pass 1 by its last bit


@device
def grey_level(row, s):
    """Of any family, without its end."""
    family = int(row[_FAMILY])
    if family == _INVERSE_CUBE:
        return inverse_cube(s)
    if family == _EXPONENTIAL:
        return exponential(row, s)
    if family == _LINEAR:
        return linear(row, s)
    if family == _FLOOR:
        return stairs(row, s)
    if family == _MODULAR:
        return modular(row, s)
    return sinusoidal(row, s)


@device
def mapped(row, s):
    """Grey level of a signed distance, 0 beyond the row's REACH."""
    return chosen(s > row[_REACH], ZERO, grey_level(row, s))

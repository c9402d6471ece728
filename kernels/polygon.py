"""Geometry of one polygon in a slice, exact in integers; twin of ``polygon.cuh``.

Coordinates are 1/64 voxel with voxel centres at multiples of 64. What belongs to a row y (at
Y = 64 y) is decided by three exact rules, whatever the backend:

- inside: even-odd parity of the edges crossed, an edge covering rows ya <= Y < yb;
- outline and line: squared distance to an edge <= radius squared, as a strip |cross| <= h with
  h = floor(radius * length), cut by the slab 0 <= dot <= length^2, and a disc at each vertex.

Ends of strip and slab are linear in the row, with true values on multiples of 1 / (64 dy) and
1 / (64 |dx|) voxel, both at least 2^-21 for sides up to 512. They are carried with 32 fraction
bits; divisions are cut by less than 2^-32, slopes by 2^-32 a row, so over 512 rows the error stays
below 2^-22. A bias of 2^-22 voxel therefore makes floor and ceil exact, and the way in which an
end was computed cannot matter.
"""

import math

import numpy as np

from .bits import quotient
from .jit import device
from .records import ZRule

TURN_BITS = 24
# Whole degrees in 2^-24. No entry lies within 1e-4 of a rounding tie, so any libm gives this table.
COSINE = np.array([round(math.cos(math.radians(d)) * 2**TURN_BITS) for d in range(360)], np.int64)

FAR = np.int64(1) << np.int64(61)
BIAS = np.int64(1) << np.int64(10)  # 2^-22 voxel
CEIL = (np.int64(1) << np.int64(32)) - BIAS
_PRISM, _PYRAMID = int(ZRule.PRISM), int(ZRule.PYRAMID)


@device
def cosine(degrees):
    return COSINE[degrees % 360]


@device
def sine(degrees):
    return COSINE[(degrees + 270) % 360]


@device
def scale_at(rule, z, depth, turn, first, middle, last):
    """Scale of the section at slice z as numerator and denominator."""
    if rule == _PRISM:
        return 1, 1
    if rule == _PYRAMID:
        return depth - z, depth
    if z < turn:
        return first * (turn - z) + middle * z, turn << 16
    return middle * (depth - z) + last * (z - turn), (depth - turn) << 16


@device
def polar(radius, turn):
    """``radius * turn`` for a turn of the cosine table, cut toward zero to whole voxels."""
    value = radius * turn
    return (value + ((value >> 63) & ((1 << TURN_BITS) - 1))) >> TURN_BITS


@device
def polygon_vertex(degrees, radius, center, rule, z, depth, numerator, denominator):
    """Vertex (y, x) of a polygon's section in 1/64 voxel."""
    if rule == _PYRAMID:
        y = center + polar(radius, sine(degrees))
        x = center + polar(radius, cosine(degrees))
        y = quotient(y * (depth - z) + center * z, depth)
        x = quotient(x * (depth - z) + center * z, depth)
    else:
        r = quotient(radius * numerator, denominator)
        y = center + polar(r, sine(degrees))
        x = center + polar(r, cosine(degrees))
    return y << 6, x << 6


@device
def ellipse_step(axis):
    """Degrees between the vertices of an ellipse whose larger semi-axis is ``axis`` voxels (OpenCV)."""
    if axis >= 15:
        return 5
    if axis >= 10:
        return 18
    if axis >= 3:
        return 30
    return 90


@device
def ellipse_vertex(degrees, angle, a, b, center):
    """Vertex (y, x) of an ellipse at a parameter angle, in 1/64 voxel."""
    along, across = a * cosine(degrees), b * sine(degrees)
    x = along * cosine(angle) - across * sine(angle)
    y = along * sine(angle) + across * cosine(angle)
    half = 1 << (2 * TURN_BITS - 7)
    return (
        (center << 6) + ((y + half) >> (2 * TURN_BITS - 6)),
        (center << 6) + ((x + half) >> (2 * TURN_BITS - 6)),
    )


@device
def floor_sqrt(value):
    """Integer root of 0 <= value < 2^52.

    The root of a double is rounded correctly; below 2^52 it cannot round up to the next integer.
    """
    return np.int64(math.sqrt(np.float64(value)))


@device
def row_at_or_after(y):
    """First row whose centre is at ``y`` (1/64 voxel) or beyond."""
    return (y + 63) >> 6


@device
def strip(ya, xa, dy, dx, first):
    """Crossing of the line through (ya, xa) with row ``first``, and its step a row, in 2^-32 voxel; dy > 0."""
    offset = quotient((dx * (64 * first - ya)) << 26, dy)
    return (xa << 26) + offset, quotient(dx << 32, dy)


@device
def half_width(length2, radius, dy):
    """Half the row section of the strip of ``radius`` about an edge, in 2^-32 voxel; dy > 0."""
    return quotient(floor_sqrt(radius * radius * length2) << 26, dy)


@device
def slab(ya, xa, dy, dx, first):
    """Where the slab 0 <= dot <= length^2 lies in row ``first``: (low, high, step) in 2^-32 voxel; dx != 0."""
    length2 = dx * dx + dy * dy
    width = quotient(length2 << 26, abs(dx))
    start = (xa << 26) - quotient((dy * (64 * first - ya)) << 26, dx)
    step = -quotient(dy << 32, dx)
    if dx > 0:
        return start, start + width, step
    return start - width, start, step

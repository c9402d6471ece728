"""Geometry of one polygon in a slice, exact in integers; twin of ``polygon.cuh``.

Coordinates are 1/64 voxel with voxel centres at multiples of 64. What belongs to a row y (at
Y = 64 y) is decided by three exact rules, whatever the backend:

- inside: even-odd parity of the edges crossed, an edge covering rows ya <= Y < yb;
- outline and line: squared distance to an edge <= radius squared, as a strip |cross| <= h with
  h = floor(radius * length), cut by the slab 0 <= dot <= length^2, and a disc at each vertex.

Ends of strip and slab are linear in the row, with true values on multiples of 1 / (64 dy) and
1 / (64 |dx|) voxel, both at least 2^-21 for sides up to 512. They are carried in units of 2^-32
voxel. Products with a double reciprocal replace divisions: for magnitudes below 2^51 units they are
off by at most one unit after two roundings, and cutting to an integer adds less than one. A start
and a half-width are therefore off by at most 4 units together and, over at most 544 rows, a step by
(1 + 2^-5) units a row: less than 2^10 units, 2^-22 voxel. A bias of 2^-22 voxel then makes floor
and ceil exact. The doubles are the only ones here; their operations are IEEE and in a fixed order.
"""

import math

import numpy as np

from .bits import larger, quotient, smaller
from .jit import device, inlined
from .records import ZRule

TURN_BITS = 24
# Whole degrees in 2^-24. No entry lies within 1e-4 of a rounding tie, so any libm gives this table.
COSINE = np.array([round(math.cos(math.radians(d)) * 2**TURN_BITS) for d in range(360)], np.int64)

FAR = np.int64(1) << np.int64(61)
BIAS = np.int64(1) << np.int64(10)  # 2^-22 voxel
CEIL = (np.int64(1) << np.int64(32)) - BIAS
_PRISM, _PYRAMID = int(ZRule.PRISM), int(ZRule.PYRAMID)


@inlined
def cosine(degrees):
    return COSINE[degrees % 360]


@inlined
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


@inlined
def ellipse_step(axis):
    """Degrees between an ellipse's vertices, by its larger semi-axis in voxels, as in OpenCV."""
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


@inlined
def floor_sqrt(value):
    """Integer root of 0 <= value < 2^52.

    The root of a double is rounded correctly; below 2^52 it cannot round up to the next integer.
    """
    return np.int64(math.sqrt(np.float64(value)))


@inlined
def row_at_or_after(y):
    """First row whose centre is at ``y`` (1/64 voxel) or beyond."""
    return (y + 63) >> 6


@inlined
def reciprocal(value):
    """``2^26 / value`` of an integer other than 0."""
    return 67108864.0 / np.float64(value)


@inlined
def scaled(value, factor):
    """``value * factor`` cut to an integer; |value| < 2^53."""
    return np.int64(np.float64(value) * factor)


@inlined
def strip(ya, xa, dx, per_dy, first):
    """Crossing of an edge's line with row ``first`` and its step a row, in 2^-32 voxel.

    The edge begins at (ya, xa); ``per_dy`` is the reciprocal of its extent dy > 0.
    """
    return (xa << 26) + scaled(dx * (64 * first - ya), per_dy), scaled(dx << 6, per_dy)


@inlined
def half_width(length2, radius, per_dy):
    """Half the row section of the strip of ``radius`` about an edge, in 2^-32 voxel."""
    return scaled(floor_sqrt(radius * radius * length2), per_dy)


@device
def slab(ya, xa, dy, dx, per_dx, first):
    """Where the slab 0 <= dot <= length^2 lies in row ``first``: (low, high, step) in 2^-32 voxel.

    ``per_dx`` is the reciprocal of dx, which is not 0.
    """
    width = scaled(dx * dx + dy * dy, per_dx)
    start = (xa << 26) - scaled(dy * (64 * first - ya), per_dx)
    return smaller(start, start + width), larger(start, start + width), -scaled(dy << 6, per_dx)


@inlined
def margin(radius):
    """Rows above a vertex's own that a disc of ``radius`` (1/64 voxel) may touch."""
    return (radius + 63) >> 6

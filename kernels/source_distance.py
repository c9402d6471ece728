"""Distances between the samples of a shape's grid, whole numbers only; ``source_distance.cuh``.

A position is given in 1/256 source voxel and clamped to the grid. Samples are int16 in 1/16 source
voxel of at most 512; the result is in DISTANCE_ONE parts of a source voxel. It is trilinear but for
a rounding to 1/512 after x and after y, so that products fit what processors multiply in pairs.
"""

import numpy as np

from .float_lanes import (
    both,
    either,
    gathered_pairs,
    lower,
    shifted_left,
    splat,
    summed_products,
    upper,
)
from .jit import device, inlined

SHARE_BITS = 8  # of a position
_SHARE, _BITS, _HALF_WORD = np.int32(255), np.int32(SHARE_BITS), np.int32(16)
DISTANCE_ONE = 1 << 17
DISTANCE_FAR = 32 * DISTANCE_ONE  # that of samples that are clipped
_TO_512, _HALF_512 = np.int32(3), np.int32(4)
_HALF_SHARE, _LOW, _NONE = np.int32(128), np.int32(0xFFFF), np.int32(0)


@inlined
def last_position(side):
    """The last position along an axis of ``side`` >= 2 samples."""
    return np.int32((np.int64(side - 1) << SHARE_BITS) - 1)


@inlined
def share_pair(position):
    """Weights of the two neighbours of a position: 256 less its fraction, and its fraction."""
    share = both(position, _SHARE)
    # (share << 16) + 256 - share, in one product.
    return share * np.int32(0xFFFF) + np.int32(256)


@inlined
def joined(low, high):
    """The low halves of two lanes as the halves of one."""
    return either(both(low, _LOW), shifted_left(high, _HALF_WORD))


@device
def row_distance(pairs, shares):
    """Values between two neighbours along x, 1/512 source voxel."""
    return (summed_products(pairs, shares) + _HALF_512) >> _TO_512


@device
def source_distance(distances, start, height, width, last_z, last_y, last_x, z, y, x):
    """Signed distances at sixteen positions of a grid.

    Args:
        distances: pointer to int16, all grids.
        start: of this one.
        height: of the grid.
        width: of the grid.
        last_z: see ``last_position``; likewise of y and x.
        last_y: see ``last_z``.
        last_x: see ``last_z``.
        z: position, sixteen lanes of int32; likewise y and x.
        y: see ``z``.
        x: see ``z``.
    """
    z, y, x = (
        upper(lower(z, last_z), splat(_NONE)), upper(lower(y, last_y), splat(_NONE)),
        upper(lower(x, last_x), splat(_NONE)),
    )  # fmt: skip
    offset = ((z >> _BITS) * np.int32(height) + (y >> _BITS)) * np.int32(width) + (x >> _BITS)
    pair_z, pair_y, pair_x = share_pair(z), share_pair(y), share_pair(x)
    first, second, third, fourth = gathered_pairs(
        distances, start, width, np.int64(height) * width, offset
    )
    near = joined(row_distance(first, pair_x), row_distance(second, pair_x))
    far = joined(row_distance(third, pair_x), row_distance(fourth, pair_x))
    near = (summed_products(near, pair_y) + _HALF_SHARE) >> _BITS
    far = (summed_products(far, pair_y) + _HALF_SHARE) >> _BITS
    return summed_products(joined(near, far), pair_z)

"""Signed distances from a lattice, negative inside; twin of ``sdf_grid.cuh``.

A grid holds a shape in its own unit: the middle of its bounding box is 0 and the longest half
extent GRID_EXTENT. Its R^3 values are distances at the lattice points of the cube -1 .. 1 along
each axis, ends included, laid out (z, y, x). An object scales the cube to RADIUS voxels on each
side of its origin. Between lattice points the distance is trilinear. Beyond the cube it is that of
the nearest point on the cube plus the distance to it: no less than the distance to the bounding
box and growing without end, where the public code of FDIF keeps the value constant.

Values must be multiples of 2^-24, so that no interpolation meets a number that CUDA flushes to
zero. ``grid_distance`` takes a float32 point or the sixteen lanes of ``float_lanes``.
"""

import numpy as np

from .float_lanes import floor_of, fused, gathered, least, root, whole
from .jit import device
from .real import HALF, ONE, clamped
from .sdf_records import SdfLift, SdfRow

_GRID = int(SdfLift.GRID)
_LIFT, _NUMBER = int(SdfRow.LIFT), int(SdfRow.EDGES)
_SCALE, _PER_SCALE = int(SdfRow.RADIUS), int(SdfRow.SLOPE)


@device
def lay_grid(row, number, scale):
    """Lift: grid ``number`` of the grids, its cube's half side ``scale`` > 0 voxels."""
    row[_LIFT], row[_NUMBER] = np.float32(_GRID), np.float32(number)
    row[_SCALE], row[_PER_SCALE] = scale, ONE / scale


@device
def grid_between(low, high, share):
    """``low`` where ``share`` is 0, ``high`` where it is 1."""
    return fused(share, high - low, low)


@device
def grid_cell(place, last):
    """Lower corner of the cell that holds a place 0 .. ``last``, the last cell's at its end."""
    return least(floor_of(place), last - ONE)


@device
def grid_row(grids, start, offset, share):
    """Value between two neighbours along x."""
    low = gathered(grids, start, offset)
    return grid_between(low, gathered(grids, start + 1, offset), share)


@device
def grid_distance(grids, side, row, x, y, z):
    """Signed distance of the row's grid, in voxels.

    Args:
        grids: (G x side^3,) float32, the values of all grids.
        side: lattice points along an axis, 2 .. GRID_SIDE_MAX.
        row: laid by ``lay_grid``.
        x: of the point, in the object's frame; ``y`` and ``z`` likewise.
        y: see ``x``.
        z: see ``x``.
    """
    px, py, pz = x * row[_PER_SCALE], y * row[_PER_SCALE], z * row[_PER_SCALE]
    qx, qy, qz = clamped(px, -ONE, ONE), clamped(py, -ONE, ONE), clamped(pz, -ONE, ONE)
    count = np.float32(side)
    last = count - ONE
    half = HALF * last
    ux, uy, uz = fused(qx, half, half), fused(qy, half, half), fused(qz, half, half)
    ix, iy, iz = grid_cell(ux, last), grid_cell(uy, last), grid_cell(uz, last)
    share = ux - ix
    offset = whole(fused(fused(iz, count, iy), count, ix))
    start = int(row[_NUMBER]) * side * side * side
    front = grid_between(
        grid_row(grids, start, offset, share),
        grid_row(grids, start + side, offset, share),
        uy - iy,
    )
    start += side * side
    back = grid_between(
        grid_row(grids, start, offset, share),
        grid_row(grids, start + side, offset, share),
        uy - iy,
    )
    ex, ey, ez = px - qx, py - qy, pz - qz
    beyond = root(fused(ex, ex, fused(ey, ey, ez * ez)))
    return row[_SCALE] * (grid_between(front, back, uz - iz) + beyond)

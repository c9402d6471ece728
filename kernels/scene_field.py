"""An object's field at a voxel: where it lies in the object's frame, and the distance there.

Twin of ``scene_field.cuh``. Points are float32 or the sixteen lanes of ``float_lanes``. An ``item``
is a row of ``SceneObject``, a ``row`` one of ``SdfRow``.
"""

import numpy as np

from .float_lanes import filled, fused, least, magnitude, most
from .jit import device
from .real import ZERO
from .scene_records import SceneObject
from .sdf import distance
from .sdf_grid import grid_distance
from .sdf_records import SdfLift, SdfRow

SURFACE = np.float32(2.0**-20)  # inside: a distance of at most this

_HUGE, _FOUR = np.float32(1e30), np.float32(4)
_MATRIX, _SHIFT = int(SceneObject.MATRIX), int(SceneObject.SHIFT)
_PARTS, _BLEND = int(SceneObject.PARTS), int(SceneObject.BLEND)
_LIFT, _GRID = int(SdfRow.LIFT), int(SdfLift.GRID)


@device
def row_start(item, y, z):
    """Where a row of voxels meets x = 0, in the object's frame."""
    return (
        fused(item[_MATRIX + 1], y, fused(item[_MATRIX + 2], z, item[_MATRIX + 3])),
        fused(item[_MATRIX + 5], y, fused(item[_MATRIX + 6], z, item[_MATRIX + 7])),
        fused(item[_MATRIX + 9], y, fused(item[_MATRIX + 10], z, item[_MATRIX + 11])),
    )


@device
def row_point(item, x, start):
    """Voxel ``x`` of a row in the object's frame; ``start`` is the row's."""
    sx, sy, sz = start
    return (
        fused(item[_MATRIX], x, sx),
        fused(item[_MATRIX + 4], x, sy),
        fused(item[_MATRIX + 8], x, sz),
    )


@device
def shifted(item, point):
    """A point of the object's frame in the second part's."""
    x, y, z = point
    return x - item[_SHIFT], y - item[_SHIFT + 1], z - item[_SHIFT + 2]


@device
def blended(a, b, width):
    """Smooth minimum of two distances that differ by less than ``width`` > 0, else the minimum."""
    depth = most(width - magnitude(a - b), ZERO)
    return least(a, b) - depth * depth / (_FOUR * width)


@device
def part_distance(row, grids, side, point):
    """Signed distance of one part, whatever it is; ``grids`` and ``side`` as ``grid_distance``."""
    x, y, z = point
    if int(row[_LIFT]) == _GRID:
        return grid_distance(grids, side, row, x, y, z)
    return distance(row, x, y, z)


@device
def object_distance(item, parts, grids, side, point):
    """Signed distance of an object at a point of its frame."""
    found = filled(point[0], _HUGE)
    for part in range(int(item[_PARTS])):
        if part > 0:
            point = shifted(item, point)
        own = part_distance(parts[part], grids, side, point)
        found = own if part == 0 else blended(found, own, item[_BLEND])
    return found

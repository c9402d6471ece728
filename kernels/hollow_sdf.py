"""Walls of onions. Twin of ``hollow_sdf.cu``.

The wall of an onion is a share of the size of the least distance, within its slice, from any voxel
of the volume to its profile. That distance is evaluated with the operations that draw it, so the
wall has one value to the bit, whatever voxels are left out of the search for it.

Left out are cells of voxels that cannot hold the least distance. Within a slice a distance changes
by no more than a point moves. Where the profile is scaled by s, it changes with s by no more than
the distance of the profile's nearest point to the origin, so by at most the profile's radius.
"""

import numpy as np

from .float_lanes import (
    WIDTH,
    chosen,
    filled,
    floor_of,
    fused,
    least,
    least_of,
    load,
    magnitude,
    most,
    packed,
    pointer,
    root,
    steps,
    store,
)
from .jit import device, kernel
from .real import ONE, ZERO
from .scene import profile_radius
from .scene_field import row_point, row_start, shifted
from .scene_records import SceneObject
from .sdf import profile, taper_scale
from .sdf_records import SdfRow

_SIDE = 4  # voxels along a cell's edge: a layer of a cell fills the lanes
_LAST, _MIDDLE = np.float32(_SIDE - 1), np.float32(0.5 * (_SIDE - 1))
_HUGE, _QUARTER = np.float32(1e30), np.float32(1 / _SIDE)
# Rounding of coordinates, and of distances in parts of the lengths they are made of.
_SLACK, _SLACK_SHARE = np.float32(2.0**-9), np.float32(2.0**-18)

_PARTS, _MATRIX = int(SceneObject.PARTS), int(SceneObject.MATRIX)
_SIGN, _WALL, _HALF = int(SdfRow.SIGN), int(SdfRow.WALL), int(SdfRow.HALF)
_KNOT, _KNOT_SCALE = int(SdfRow.KNOT), int(SdfRow.KNOT_SCALE)
_SLOPE_BELOW, _SLOPE_ABOVE = int(SdfRow.SLOPE_BELOW), int(SdfRow.SLOPE_ABOVE)


@device
def part_point(item, part, x, y, z):
    """Voxel indices in the frame of a part, with the operations that draw it."""
    point = row_point(item, x, row_start(item, y, z))
    return point if part == 0 else shifted(item, point)


@device
def reach_of_cell(item):
    """How far a cell's voxels lie from its middle: across and along the axis of an onion."""
    across = ZERO
    for corner in range(4):
        sy = ONE if corner & 1 else -ONE
        sz = ONE if corner & 2 else -ONE
        x = fused(sy, item[_MATRIX + 1], fused(sz, item[_MATRIX + 2], item[_MATRIX]))
        y = fused(sy, item[_MATRIX + 5], fused(sz, item[_MATRIX + 6], item[_MATRIX + 4]))
        across = most(fused(x, x, y * y), across)
    along = magnitude(item[_MATRIX + 8]) + magnitude(item[_MATRIX + 9])
    along = along + magnitude(item[_MATRIX + 10])
    return fused(_MIDDLE, root(across), _SLACK), fused(_MIDDLE, along, _SLACK)


@device
def lowest_in_cell(row, radius, reach, value, z):
    """What no voxel of a cell falls short of.

    Args:
        row: of the part.
        radius: of its profile.
        reach: see ``reach_of_cell``.
        value: at the cell's middle.
        z: of the cell's middle, along the axis.
    """
    across, along = reach
    below, above = magnitude(row[_SLOPE_BELOW]), magnitude(row[_SLOPE_ABOVE])
    past = z - row[_KNOT]
    slope = most(
        chosen(past < along, filled(z, below), filled(z, ZERO)),
        chosen(past > -along, filled(z, above), filled(z, ZERO)),
    )
    scaled = fused(slope, magnitude(past) + along, magnitude(row[_KNOT_SCALE]) + ONE)
    rounding = _SLACK_SHARE * (magnitude(value) + radius * scaled)
    return value - (fused(radius * slope, along, across) + rounding)


@kernel
def hollow_sdf(objects, parts, shape, slab):
    """Replace the share in each onion's WALL by the wall.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        parts: (N, P, SdfRow.SIZE) float32, WALL written.
        shape: (D, H, W).
        slab: 1: only voxels between a part's two ends count, and without any the wall is 0; 0: all
            voxels of the volume count.
    """
    depth, height, width = shape
    down, across = (height + _SIDE - 1) // _SIDE, (width + _SIDE - 1) // _SIDE
    layer = WIDTH * ((down * across + WIDTH - 1) // WIDTH)  # cells, rounded up
    cell_y, cell_x = np.empty(layer, np.float32), np.empty(layer, np.float32)
    for cell in range(layer):
        inner = min(cell, down * across - 1)
        cell_y[cell] = np.float32(_SIDE * (inner // across))
        cell_x[cell] = np.float32(_SIDE * (inner % across))
    lowest = np.empty((depth + _SIDE - 1) // _SIDE * layer, np.float32)
    for n in range(objects.shape[0]):
        item = pointer(objects, n * objects.shape[1])
        for part in range(int(item[_PARTS])):
            row = pointer(parts, (n * parts.shape[1] + part) * parts.shape[2])
            if row[_SIGN] < ZERO:
                found = least_distance(item, part, row, slab, shape, cell_y, cell_x, lowest)
                row[_WALL] = row[_WALL] * magnitude(found)


@device
def bound_cells(item, part, row, slab, cell_y, cell_x, lowest):
    """Write the bound of each cell; the cell with the least distance at its middle."""
    radius, reach = profile_radius(row), reach_of_cell(item)
    best, best_cell = _HUGE, 0
    for first in range(0, lowest.size, WIDTH):
        at = first % cell_x.size
        z = np.float32(_SIDE * (first // cell_x.size)) + _MIDDLE
        x, y = load(cell_x, at) + _MIDDLE, load(cell_y, at) + _MIDDLE
        px, py, pz = part_point(item, part, x, y, z)
        value = profile(row, px, py, taper_scale(row, pz))
        low = lowest_in_cell(row, radius, reach, value, pz)
        if slab != 0:
            beyond = magnitude(pz) - row[_HALF]
            low = chosen(beyond > reach[1], filled(low, _HUGE), low)
            value = chosen(beyond > ZERO, filled(low, _HUGE), value)
        store(lowest, first, low)
        here = least_of(value)
        if here < best:
            best, best_cell = here, first
    return best_cell


@device
def least_in_cell(item, part, row, slab, shape, x, y, z):
    """Least distance of a cell's voxels; beyond the volume's end the last ones count again."""
    depth, height, width = shape
    lanes = steps()
    row_of = floor_of(lanes * _QUARTER)
    column = fused(row_of, np.float32(-_SIDE), lanes)
    x = least(column + x, np.float32(width - 1))
    y = least(row_of + y, np.float32(height - 1))
    found = filled(x, _HUGE)
    for plane in range(z, min(z + _SIDE, depth)):
        px, py, pz = part_point(item, part, x, y, np.float32(plane))
        value = profile(row, px, py, taper_scale(row, pz))
        if slab != 0:
            value = chosen(magnitude(pz) > row[_HALF], filled(value, _HUGE), value)
        found = least(value, found)
    return least_of(found)


@device
def least_distance(item, part, row, slab, shape, cell_y, cell_x, lowest):
    """Least distance of all voxels that count, 0 without any; best cells first."""
    best_first = bound_cells(item, part, row, slab, cell_y, cell_x, lowest)
    best = _HUGE
    for first in range(-WIDTH, lowest.size, WIDTH):
        start = best_first if first < 0 else first
        left = packed(load(lowest, start) <= best)
        cell = start
        while left != 0:
            if left & 1:
                if lowest[cell] <= best:
                    at = cell % cell_x.size
                    z = _SIDE * (cell // cell_x.size)
                    found = least_in_cell(item, part, row, slab, shape, cell_x[at], cell_y[at], z)
                    best = least(found, best)
            left >>= 1
            cell += 1
    return ZERO if best == _HUGE else best

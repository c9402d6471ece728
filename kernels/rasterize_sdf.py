"""Objects of a scene into rows of bits, for placing them. Twin of ``rasterize_sdf.cu``.

What is inside is decided by an object's distance alone: displacements may depend on the place that
is only looked for.
"""

import numpy as np

from .bits import popcount, smaller, span
from .float_lanes import WIDTH, packed, steps
from .jit import inlined, kernel
from .records import Box, Slice
from .scene_field import SURFACE, object_distance, row_point, row_start

_DEPTH, _HEIGHT, _WIDTH = int(Box.DEPTH), int(Box.HEIGHT), int(Box.WIDTH)
_VOXELS = int(Box.VOXELS)
_FIRST, _STOP, _SLICE_VOXELS = int(Slice.FIRST), int(Slice.STOP), int(Slice.VOXELS)


@inlined
def _word(item, parts, grids, side, x, start, count):
    """Bits of the voxels x .. x + count - 1 of a row."""
    word = np.uint64(0)
    for first in range(0, 64, WIDTH):
        point = row_point(item, steps() + np.float32(x + first), start)
        s = object_distance(item, parts, grids, side, point)
        word |= np.uint64(packed(s <= SURFACE)) << np.uint64(first)
    return word & span(0, count - 1)


@inlined
def _rasterize(item, parts, grids, side, origin, box, slices, rows):
    depth, height, width = np.int64(box[_DEPTH]), np.int64(box[_HEIGHT]), np.int64(box[_WIDTH])
    words = (width + 63) >> 6
    total = np.int64(0)
    for k in range(depth):
        z, voxels = np.float32(origin[0] + k), np.int64(0)
        for y in range(height):
            start = row_start(item, np.float32(origin[1] + y), z)
            for word in range(words):
                count = smaller(width - 64 * word, 64)
                bits = _word(item, parts, grids, side, origin[2] + 64 * word, start, count)
                rows[(k * words + word) * height + y] = bits
                voxels += popcount(bits)
        slices[k, _FIRST], slices[k, _STOP], slices[k, _SLICE_VOXELS] = 0, height, voxels
        total += voxels
    box[_VOXELS] = total


@kernel
def rasterize_sdf(objects, parts, grids, origins, boxes, slices, rows):
    """Rasterize the objects of a volume within their boxes.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        parts: (N, P, SdfRow.SIZE) float32.
        grids: (G, R, R, R) float32, see ``sdf_grid``.
        origins: (N, 3) int32, first voxel z, y, x of each box.
        boxes: (N, Box.SIZE) int32, in and out: their voxels are counted.
        slices: (N, D, Slice.SIZE) int32, out.
        rows: (N, R) uint64, out.
    """
    flat, side = grids.reshape(-1), grids.shape[1]
    for n in range(objects.shape[0]):
        _rasterize(objects[n], parts[n], flat, side, origins[n], boxes[n], slices[n], rows[n])

"""Boxes about objects that stand in a volume's middle, for placing them. Twin of ``frame_sdf.cu``.

An object that is larger than the volume is framed by the volume: it has one place only, and what
lies outside its box lies outside the volume.
"""

import numpy as np

from .float_lanes import floor_of, fused, least, magnitude, most
from .jit import device, inlined, kernel
from .real import ZERO, ceiling
from .records import Box
from .scene import part_extent
from .scene_records import SceneObject
from .sdf_records import SdfRow

_SLACK, _QUARTER = np.float32(0.05), np.float32(0.25)
_TURN, _CENTRE = int(SceneObject.TURN), int(SceneObject.CENTRE)
_PARTS, _BLEND, _SHIFT = int(SceneObject.PARTS), int(SceneObject.BLEND), int(SceneObject.SHIFT)
_BOX_DEPTH, _STEP, _VOXELS = int(Box.DEPTH), int(Box.STEP), int(Box.VOXELS)
_WALL = int(SdfRow.WALL)


@device
def inverse_element(item, i, j):
    """Element of the inverse of TURN, times its determinant."""
    a, b = (j + 1) % 3, (j + 2) % 3
    c, d = (i + 1) % 3, (i + 2) % 3
    return fused(
        item[_TURN + 3 * a + c], item[_TURN + 3 * b + d],
        -(item[_TURN + 3 * a + d] * item[_TURN + 3 * b + c]),
    )  # fmt: skip


@device
def object_extent(item, parts):
    """Half sides of a box about an object in its own frame; its noise and halo left out."""
    ex, ey, ez = ZERO, ZERO, ZERO
    blend = item[_BLEND] * _QUARTER
    for part in range(int(item[_PARTS])):
        x, y, z = part_extent(parts[part], parts[part, _WALL], blend + _SLACK)
        if part > 0:
            x = x + magnitude(item[_SHIFT])
            y = y + magnitude(item[_SHIFT + 1])
            z = z + magnitude(item[_SHIFT + 2])
        ex, ey, ez = most(ex, x), most(ey, y), most(ez, z)
    return ex, ey, ez


@inlined
def _frame(item, parts, shape, box, origin):
    ex, ey, ez = object_extent(item, parts)
    determinant = fused(
        item[_TURN], inverse_element(item, 0, 0),
        fused(item[_TURN + 1], inverse_element(item, 1, 0),
              item[_TURN + 2] * inverse_element(item, 2, 0)),
    )  # fmt: skip
    for axis in range(3):
        reach = fused(
            magnitude(inverse_element(item, axis, 0)), ex,
            fused(magnitude(inverse_element(item, axis, 1)), ey,
                  magnitude(inverse_element(item, axis, 2)) * ez),
        ) / magnitude(determinant) + _SLACK  # fmt: skip
        side = np.float32(shape[2 - axis])
        first = most(ceiling(item[_CENTRE + axis] - reach), ZERO)
        last = least(floor_of(item[_CENTRE + axis] + reach), side - np.float32(1))
        origin[2 - axis] = int(first)
        box[_BOX_DEPTH + 2 - axis] = int(last) - int(first) + 1
    box[_STEP], box[_VOXELS] = 1, 0


@kernel
def frame_sdf(objects, parts, shape, boxes, origins):
    """Frame the objects of a volume.

    Args:
        objects: (N, SceneObject.SIZE) float32, which stand in the middle.
        parts: (N, P, SdfRow.SIZE) float32.
        shape: (D, H, W).
        boxes: (N, Box.SIZE) int32, out; no voxels yet.
        origins: (N, 3) int32, out: the voxel z, y, x that is a box's first.
    """
    for n in range(objects.shape[0]):
        _frame(objects[n], parts[n], shape, boxes[n], origins[n])

"""Placed polygon stacks as objects of a scene, each a tapered prism. Twin of
``polygon_stack_scene.cu``.

The distance to a polygonal prism is exact, that to a tapered one exact within its slice. An ellipse
is a circle in a frame that is squeezed along the longer axis: its distance is a bound from below.
Vertices are not cut to whole voxels, as they are where a stack is rasterized.
"""

import numpy as np

from .float_lanes import fused, least
from .jit import device, inlined, kernel
from .philox import bounded, random_words
from .polygon import COSINE
from .real import HALF, ONE, ZERO
from .records import Object, Orientation, Placed, ZRule
from .scene import lay_matrix
from .scene_records import SDF_DRAWS, SceneObject
from .sdf import lay_circle, lay_edge, lay_prism
from .sdf_records import SdfProfile, SdfRow
from .streams import Stream

_STREAM = int(Stream.SDF)
_PER_COSINE, _PER_SCALE = np.float32(2.0**-24), np.float32(2.0**-16)
_X, _Y, _Z = 0, 1, 2

_LABEL, _VERTICES, _RULE = int(Object.LABEL), int(Object.VERTICES), int(Object.RULE)
_DEPTH, _BOX, _ANGLE = int(Object.DEPTH), int(Object.BOX), int(Object.ANGLE)
_AXIS_A, _AXIS_B, _TURN_AT = int(Object.AXIS_A), int(Object.AXIS_B), int(Object.TURN)
_FIRST, _MIDDLE, _LAST = int(Object.SCALE_FIRST), int(Object.SCALE_TURN), int(Object.SCALE_LAST)
_POLAR = int(Object.POLAR)
_PRISM, _PYRAMID = int(ZRule.PRISM), int(ZRule.PYRAMID)
_UPSIDE_DOWN, _SIDE_1 = int(Orientation.UPSIDE_DOWN), int(Orientation.SIDE_1)
_SIDE_2, _SIDE_3 = int(Orientation.SIDE_2), int(Orientation.SIDE_3)
_SIDE_4 = int(Orientation.SIDE_4)
_OBJECT, _VARIANT, _ACCEPTED = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.ACCEPTED)
_PLACED_Z = int(Placed.Z)

_CLASS, _MAPPER = int(SceneObject.CLASS), int(SceneObject.MAPPER)
_PARTS, _KEY = int(SceneObject.PARTS), int(SceneObject.KEY)
_TURN, _CENTRE = int(SceneObject.TURN), int(SceneObject.CENTRE)
_PROFILE, _EDGES, _TAPERED = int(SdfRow.PROFILE), int(SdfRow.EDGES), int(SdfRow.TAPERED)
_POLYGON = int(SdfProfile.POLYGON)
_KNOT, _KNOT_SCALE = int(SdfRow.KNOT), int(SdfRow.KNOT_SCALE)
_SLOPE_BELOW, _SLOPE_ABOVE = int(SdfRow.SLOPE_BELOW), int(SdfRow.SLOPE_ABOVE)


@device
def volume_axis(orientation, axis):
    """The volume's axis that an unturned stack's axis lies along; x, y, z are 0, 1, 2."""
    if orientation <= _UPSIDE_DOWN or orientation > _SIDE_4:
        return axis
    if orientation <= _SIDE_2:
        return _Y + _Z - axis if axis != _X else _X
    return _X + _Z - axis if axis != _Y else _Y


@device
def is_reversed(orientation, axis):
    """Whether it runs against that axis."""
    if axis == _X:
        return orientation == _SIDE_4
    if axis == _Y:
        return orientation == _UPSIDE_DOWN or orientation == _SIDE_2
    return orientation == _UPSIDE_DOWN or orientation == _SIDE_1 or orientation == _SIDE_3


@device
def table_cosine(degrees):
    """Cosine of whole degrees, as polygon stacks have it."""
    return np.float32(COSINE[degrees % 360]) * _PER_COSINE


@device
def table_sine(degrees):
    return table_cosine(degrees + 270)


@device
def lay_section(row, stack):
    """Profile: the section of a stack, its ellipse as a circle of the lesser semi-axis."""
    count = np.int64(stack[_VERTICES])
    if count == 0:
        lay_circle(row, least(np.float32(stack[_AXIS_A]), np.float32(stack[_AXIS_B])))
        return
    row[_PROFILE], row[_EDGES] = np.float32(_POLYGON), np.float32(count)
    for i in range(count):
        j = i + 1 if i + 1 < count else 0
        a, r = np.int64(stack[_POLAR + 2 * i]), np.float32(stack[_POLAR + 2 * i + 1])
        b, s = np.int64(stack[_POLAR + 2 * j]), np.float32(stack[_POLAR + 2 * j + 1])
        lay_edge(
            row, i, r * table_cosine(a), r * table_sine(a), s * table_cosine(b), s * table_sine(b)
        )


@device
def lay_rule(row, stack):
    """Taper: the stack's rule along z; slice 0 lies half a voxel above the lower end."""
    depth, turn = np.float32(stack[_DEPTH]), np.float32(stack[_TURN_AT])
    lowest = HALF - HALF * depth
    rule = stack[_RULE]
    if rule == _PRISM:
        row[_TAPERED], row[_KNOT_SCALE] = ZERO, ONE
        return
    row[_TAPERED] = ONE
    if rule == _PYRAMID:
        row[_KNOT], row[_KNOT_SCALE] = lowest, ONE
        row[_SLOPE_BELOW] = -ONE / depth
        row[_SLOPE_ABOVE] = row[_SLOPE_BELOW]
        return
    first = np.float32(stack[_FIRST]) * _PER_SCALE
    middle = np.float32(stack[_MIDDLE]) * _PER_SCALE
    last = np.float32(stack[_LAST]) * _PER_SCALE
    row[_KNOT], row[_KNOT_SCALE] = lowest + turn, middle
    row[_SLOPE_BELOW] = (middle - first) / turn if turn > ZERO else ZERO
    row[_SLOPE_ABOVE] = (last - middle) / (depth - turn) if turn < depth else ZERO


@device
def stand_stack(item, stack, place, orientation):
    """TURN and CENTRE of a placed stack, without its ellipse's squeeze."""
    side, depth = np.float32(stack[_BOX]), np.float32(stack[_DEPTH])
    middle = np.float32(stack[_BOX] // 2)
    for axis in range(3):
        lies_along, backward = volume_axis(orientation, axis), is_reversed(orientation, axis)
        length = depth if axis == _Z else side
        centre = HALF * (depth - ONE) if axis == _Z else middle
        for column in range(3):
            item[_TURN + 3 * axis + column] = ZERO
        item[_TURN + 3 * axis + lies_along] = -ONE if backward else ONE
        corner = np.float32(place[_PLACED_Z + 2 - lies_along])
        item[_CENTRE + lies_along] = corner + ((length - ONE) - centre if backward else centre)


@device
def squeeze(item, stack):
    """TURN into the frame in which the stack's ellipse is a circle."""
    a, b = np.float32(stack[_AXIS_A]), np.float32(stack[_AXIS_B])
    c, s = table_cosine(np.int64(stack[_ANGLE])), table_sine(np.int64(stack[_ANGLE]))
    along, across = least(a, b) / a, least(a, b) / b
    for column in range(3):
        x, y = item[_TURN + column], item[_TURN + 3 + column]
        item[_TURN + column] = along * fused(c, x, s * y)
        item[_TURN + 3 + column] = across * fused(c, y, -(s * x))


@inlined
def _stand(stack, place, orientation, mappers, seed, index, n, item, row):
    _, _, w2, w3 = random_words(seed, index, _STREAM, n * SDF_DRAWS)
    item[:] = ZERO
    row[:] = ZERO
    item[_CLASS] = np.float32(stack[_LABEL] - 1)
    item[_MAPPER] = np.float32(bounded(w2, 0, mappers - 1))
    item[_KEY] = np.float32(w3 >> np.uint64(8))
    item[_PARTS] = np.float32(place[_ACCEPTED])
    stand_stack(item, stack, place, orientation)
    if stack[_VERTICES] == 0:
        squeeze(item, stack)
    lay_matrix(item)
    lay_prism(row, HALF * np.float32(stack[_DEPTH]), 0, ZERO)
    lay_section(row, stack)
    lay_rule(row, stack)


@kernel
def polygon_stack_scene(stacks, placed, orientations, mappers, seed, index, objects, parts):
    """Make placed stacks the objects of a scene; those that were dropped have no part.

    Args:
        stacks: (N, P) int32, columns ``Object``, of at most SDF_CORNERS_MAX vertices.
        placed: (N, Placed.SIZE) int32.
        orientations: (K,) int64 ``Orientation`` codes.
        mappers: number of mappers to choose from.
        seed: uint64.
        index: uint64, of the volume.
        objects: (N, SceneObject.SIZE) float32, out.
        parts: (N, 1, SdfRow.SIZE) float32, out.
    """
    for rank in range(placed.shape[0]):
        n = np.int64(placed[rank, _OBJECT])
        orientation = orientations[np.int64(placed[rank, _VARIANT]) % orientations.size]
        _stand(
            stacks[n], placed[rank], orientation, mappers, seed, index, n, objects[n], parts[n, 0]
        )

"""Placed objects and their shells into label map and image. Twin of ``paint_shell.cu``.

A word of bits is painted where it lands in its row, 64 voxels at a time: what lies beyond the row
is written as it was, and only the volume's end has to be spared. The image is the largest value of
all shells at a voxel. Its values are bit patterns of numbers that are not negative, which compare
as unsigned integers do, whatever the type.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .anatomy_records import Fate, Pose
from .bits import ONE, ZERO, larger, smaller, span
from .jit import device, kernel
from .records import Placed

_BOX, _DEPTH, _HEIGHT, _WIDTH = int(Pose.BOX), int(Pose.DEPTH), int(Pose.HEIGHT), int(Pose.WIDTH)
_VALUE = int(Pose.VALUE)
_OBJECT, _ACCEPTED = int(Placed.OBJECT), int(Placed.ACCEPTED)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)
_PLACED = int(Fate.PLACED)
_WEIGHT_HALF, _WEIGHT_BITS = 128, 8
_BRIGHTEST = 255
_LANES = 64


def _painted(merge):
    """Intrinsic that changes 64 elements from ``start`` on where a bit is set.

    ``merge(builder, old, value)`` gives what becomes of the old elements there.
    """

    @intrinsic
    def operation(typing_context, array, start, bits, value):
        def codegen(context, builder, signature, arguments):
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            element = data.type.pointee
            vector, align = ir.VectorType(element, _LANES), context.get_abi_sizeof(element)
            flags = builder.bitcast(arguments[2], ir.VectorType(ir.IntType(1), _LANES))
            single = builder.insert_element(
                ir.Constant(vector, ir.Undefined), arguments[3], ir.Constant(ir.IntType(32), 0)
            )
            order = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
            splat = builder.shuffle_vector(single, single, order)
            address = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())
            old = builder.load(address, align=align)
            new = builder.select(flags, merge(builder, old, splat), old)
            builder.store(new, address, align=align)
            return context.get_dummy_value()

        return types.void(array, types.int64, types.uint64, array.dtype), codegen

    return operation


_cover = _painted(lambda builder, old, value: value)
_raise = _painted(
    lambda builder, old, value: builder.select(builder.icmp_unsigned("<", old, value), value, old)
)


@device
def cover_word(volume, at, bits, value):
    """Set the elements from ``at`` on to a value where a bit is set."""
    if volume.size - at >= _LANES:
        _cover(volume, at, bits, value)
        return
    for i in range(volume.size - at):
        if (bits >> np.uint64(i)) & ONE:
            volume[at + i] = value


@device
def raise_word(volume, at, bits, value):
    """Raise the elements from ``at`` on to at least a value where a bit is set."""
    if volume.size - at >= _LANES:
        _raise(volume, at, bits, value)
        return
    for i in range(volume.size - at):
        if (bits >> np.uint64(i)) & ONE and volume[at + i] < value:
            volume[at + i] = value


@device
def level_of(levels, value, weight):
    """The image's value of a shell of an object."""
    level = (np.int64(value) * np.int64(weight) + _WEIGHT_HALF) >> _WEIGHT_BITS
    return levels[smaller(level, _BRIGHTEST)]


@device
def paint_column(
    rows, at, first, stop, x, width, target, planes, values, dark, keep, own, image, label
):
    """Paint a word column of an object's plane.

    Args:
        rows: see ``paint_shell``.
        at: word of the column's first row.
        first: row to begin with.
        stop: row to end before.
        x: of the words' first voxel in the volume.
        width: of the volume.
        target: element of the volume's row in which row ``first`` lies.
        planes: (P, R) uint64, see ``shells`` of ``paint_shell``.
        values: (P,) the shells' values of the image.
        dark: the image's value where there is no shell.
        keep: see ``paint_shell``.
        own: the object's label.
        image: see ``paint_shell``.
        label: see ``paint_shell``.
    """
    if x <= -_LANES or x >= width:
        return
    shift, begin = np.uint64(larger(-x, 0)), larger(x, 0)
    within = span(0, smaller(width - begin, _LANES) - 1)
    target += begin - first * width
    for row in range(first, stop):
        bits = (rows[at + row] >> shift) & within
        if bits != ZERO:
            cover_word(label, target + row * width, bits, own)
            if keep == 0:
                cover_word(image, target + row * width, bits, dark)
    for p in range(planes.shape[0]):
        for row in range(first, stop):
            bits = (planes[p, at + row] >> shift) & within
            if bits != ZERO:
                raise_word(image, target + row * width, bits, values[p])


@kernel
def paint_shell(
    placed, poses, row_offsets, rows, shells, weights, levels, keep, image, label, shape
):
    """Paint the placed objects of a volume, the later over the earlier.

    Args:
        placed: (N, Placed.SIZE) int32, in painting order; the place is that of an object's centre
            voxel, from which its box is counted.
        poses: (N, Pose.SIZE) int32.
        row_offsets: see ``rasterize_bank``.
        rows: see ``rasterize_bank``.
        shells: see ``rasterize_bank``.
        weights: (P,) int32, of each shell, 1/256 of an object's VALUE.
        levels: (256,) the image's bit patterns by intensity, of its type and ascending.
        keep: 0: an object hides the shells of those before it where it is inside; 1: it does not.
        image: (D * H * W,) unsigned bit patterns, out.
        label: (D * H * W,) uint8 or uint16, out: object's number + 1.
        shape: (D, H, W).
    """
    depth, height, width = shape
    values = np.empty(weights.size, image.dtype)
    area = height * width
    for z in range(depth):
        image[z * area : (z + 1) * area] = levels[0]
        label[z * area : (z + 1) * area] = 0
        for rank in range(placed.shape[0]):
            place = placed[rank]
            n = np.int64(place[_OBJECT])
            pose = poses[n]
            k = z - np.int64(place[_Z]) - pose[_BOX]
            if place[_ACCEPTED] != _PLACED or k < 0 or k >= pose[_DEPTH]:
                continue
            y, x = np.int64(place[_Y]) + pose[_BOX + 1], np.int64(place[_X]) + pose[_BOX + 2]
            rows_high, words = np.int64(pose[_HEIGHT]), (np.int64(pose[_WIDTH]) + 63) >> 6
            first, stop = larger(-y, 0), smaller(rows_high, height - y)
            for p in range(weights.size):
                values[p] = level_of(levels, pose[_VALUE], weights[p])
            for word in range(words):
                paint_column(
                    rows, row_offsets[n] + (k * words + word) * rows_high, first, stop,
                    x + _LANES * word, width, z * area + (y + first) * width, shells, values,
                    levels[0], keep, label.dtype.type(n + 1), image, label,
                )  # fmt: skip

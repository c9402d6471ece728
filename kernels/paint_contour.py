"""Placed objects into label map and contour image. Twin of ``paint_contour.cu``."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .bits import ONE, SIXTY_THREE, ZERO
from .jit import device, kernel
from .records import Box, Object, Placed, Slice

_HEIGHT, _WIDTH, _DEPTH, _STEP = int(Box.HEIGHT), int(Box.WIDTH), int(Box.DEPTH), int(Box.STEP)
_FIRST, _STOP = int(Slice.FIRST), int(Slice.STOP)
_LABEL = int(Object.LABEL)
_OBJECT, _VARIANT, _ACCEPTED = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.ACCEPTED)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)


def _vector_codegen(lanes, merge):
    """Write ``lanes`` elements at once; ``merge(splat, arguments, load)`` gives them on and off."""

    def codegen(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        element = data.type.pointee
        vector, align = ir.VectorType(element, lanes), context.get_abi_sizeof(element)
        order = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

        def splat(value):
            first = ir.Constant(ir.IntType(32), 0)
            single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, first)
            return builder.shuffle_vector(single, single, order)

        bits = builder.trunc(arguments[2], ir.IntType(lanes))
        mask = builder.bitcast(bits, ir.VectorType(ir.IntType(1), lanes))
        address = builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())
        on, off = merge(splat, arguments, lambda: builder.load(address, align=align))
        builder.store(builder.select(mask, on, off), address, align=align)
        return context.get_dummy_value()

    return codegen


@intrinsic(prefer_literal=True)
def _paint(typing_context, array, start, bits, value, lanes):
    """``array[start + i] = value`` where bit i is set, for i < lanes."""

    def merge(splat, arguments, load):
        return splat(arguments[3]), load()

    signature = types.void(array, types.int64, types.uint64, array.dtype, lanes)
    return signature, _vector_codegen(lanes.literal_value, merge)


@intrinsic(prefer_literal=True)
def _write(typing_context, array, start, bits, high, low, lanes):
    """``array[start + i] = high if bit i is set else low``, for i < lanes."""

    def merge(splat, arguments, load):
        return splat(arguments[3]), splat(arguments[4])

    signature = types.void(array, types.int64, types.uint64, array.dtype, array.dtype, lanes)
    return signature, _vector_codegen(lanes.literal_value, merge)


@device
def paint_word(array, at, bits, value, count):
    """``array[at + i] = value`` where bit i is set, for i < count <= 64; no more is touched."""
    if count == 64:
        _paint(array, at, bits, value, 64)
        return
    if count & 32:
        _paint(array, at, bits, value, 32)
        at, bits = at + 32, bits >> np.uint64(32)
    if count & 16:
        _paint(array, at, bits, value, 16)
        at, bits = at + 16, bits >> np.uint64(16)
    for i in range(count & 15):
        if (bits >> np.uint64(i)) & ONE:
            array[at + i] = value


@device
def write_word(array, at, bits, high, low, count):
    """``array[at + i] = high if bit i is set else low``, for i < count <= 64."""
    if count == 64:
        _write(array, at, bits, high, low, 64)
        return
    if count & 32:
        _write(array, at, bits, high, low, 32)
        at, bits = at + 32, bits >> np.uint64(32)
    if count & 16:
        _write(array, at, bits, high, low, 16)
        at, bits = at + 16, bits >> np.uint64(16)
    for i in range(count & 15):
        array[at + i] = high if (bits >> np.uint64(i)) & ONE else low


@device
def _paint_slice(box, record, k, labels, lines, y, x, value, height, width, slice_label, canvas):
    """Paint slice k of a variant with its corner at (y, x); its contour goes to the canvas."""
    rows, words = box[_HEIGHT], (np.int64(box[_WIDTH]) + 63) >> 6
    base, first_word, shift = k * words * rows, x >> 6, np.uint64(x & 63)
    for word in range(first_word, min(first_word + words, (width - 1) >> 6) + 1):
        own = word - first_word
        count = min(width - 64 * word, 64)
        at = base + own * rows
        for row in range(record[_FIRST], record[_STOP]):
            label, line = ZERO, ZERO
            if own < words:
                label, line = labels[at + row] << shift, lines[at + row] << shift
            if own > 0:
                label |= (labels[at - rows + row] >> ONE) >> (SIXTY_THREE - shift)
                line |= (lines[at - rows + row] >> ONE) >> (SIXTY_THREE - shift)
            canvas[word * height + y + row] |= line
            if label != ZERO:
                paint_word(slice_label, (y + row) * width + 64 * word, label, value, count)


@kernel
def paint_contour(objects, placed, boxes, slices, labels, lines, low, high, image, label, width):
    """Paint the placed objects of each volume, the later over the earlier.

    Args:
        objects: (B, N, P) int32, column ``LABEL``.
        placed: (B, N, Placed.SIZE) int32, in painting order.
        boxes: (B, N * K, Box.SIZE) int32.
        slices: (B, N * K, S, Slice.SIZE) int32.
        labels, lines: (B, N * K, R) uint64 arena.
        low, high: bit patterns of the image off and on a contour.
        image: (B, D, H * W) unsigned bit patterns, out.
        label: (B, D, H * W) uint8 or uint16, out.
        width: W.
    """
    _, depth, area = label.shape
    height, words = area // width, (width + 63) >> 6
    canvas = np.empty(words * height, np.uint64)
    for b in range(label.shape[0]):
        for z in range(depth):
            slice_label, slice_image = label[b, z], image[b, z]
            for i in range(area):
                slice_label[i] = 0
            for i in range(words * height):
                canvas[i] = ZERO
            for rank in range(placed.shape[1]):
                place = placed[b, rank]
                variant = place[_VARIANT]
                box = boxes[b, variant]
                k = np.int64(z - place[_Z])
                if place[_ACCEPTED] == 0 or k < 0 or k >= box[_DEPTH]:
                    continue
                k *= box[_STEP]
                _paint_slice(
                    box, slices[b, variant, k], k, labels[b, variant], lines[b, variant],
                    np.int64(place[_Y]), np.int64(place[_X]),
                    label.dtype.type(objects[b, place[_OBJECT], _LABEL]),
                    height, width, slice_label, canvas,
                )  # fmt: skip
            for word in range(words):
                count = min(width - 64 * word, 64)
                for y in range(height):
                    write_word(
                        slice_image, y * width + 64 * word, canvas[word * height + y],
                        high, low, count,
                    )  # fmt: skip

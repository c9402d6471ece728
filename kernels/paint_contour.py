"""Placed objects into label map and contour image. Twin of ``paint_contour.cu``."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .bits import ONE, ZERO, smaller
from .jit import device, inlined, kernel
from .lanes import WIDTH, below, load, shift_left, shift_right, splat, steps, store
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


@inlined
def _paint_label(rows, at, first, stop, columns, value, volume, target, width):
    """Paint word columns 0 .. columns - 1 of label rows; row ``first`` goes to ``target``.

    A word is painted where it lands, not at words of the volume, and may thus cover voxels beyond
    its row or slice: they are written as they were. Only the volume's end has to be spared.
    """
    for row in range(first, stop):
        bits = rows[at + row]
        if bits != ZERO:
            room = volume.size - target
            if columns <= 32 and room >= 32:
                _paint(volume, target, bits, value, 32)
            elif room >= 64:
                _paint(volume, target, bits, value, 64)
            else:
                paint_word(volume, target, bits, value, room)
        target += width


@inlined
def _add_lines(lines, at, first, stop, canvas, target, shift, height):
    """Add line rows to the canvas, eight at a time, shifted by ``shift`` into two of its words."""
    for row in range(first, stop, WIDTH):
        inside = below(steps(np.int64(1)) + splat(row), splat(stop))
        bits = load(lines, at + row) & inside
        near = target + row
        store(canvas, near, load(canvas, near) | shift_left(bits, splat(shift)))
        spill = shift_right(shift_right(bits, splat(1)), splat(63 - shift))
        store(canvas, near + height, load(canvas, near + height) | spill)


@inlined
def _paint_object(
    box, record, k, labels, lines, y, x, value, height, width, volume, slice_start, lit, canvas
):
    """Paint stored slice k of a variant with its corner at (y, x), if lit its contour too."""
    rows, columns = np.int64(box[_HEIGHT]), np.int64(box[_WIDTH])
    first, stop = np.int64(record[_FIRST]), np.int64(record[_STOP])
    words = (columns + 63) >> 6
    for word in range(words):
        at = (k * words + word) * rows
        target = slice_start + (y + first) * width + x + 64 * word
        _paint_label(labels, at, first, stop, columns - 64 * word, value, volume, target, width)
        if lit:
            on_canvas = ((x >> 6) + word) * height + y
            _add_lines(lines, at, first, stop, canvas, on_canvas, x & 63, height)


@kernel
def paint_contour(
    objects, placed, boxes, slices, labels, lines, low, high, lit, image, label, shape
):
    """Paint the placed objects of a volume, the later over the earlier.

    Args:
        objects: (N, P) int32, column ``LABEL``.
        placed: (N, Placed.SIZE) int32, in painting order.
        boxes: (N * K, Box.SIZE) int32.
        slices: (N * K, S, Slice.SIZE) int32.
        labels, lines: (N * K, R) uint64 arena.
        low, high: bit patterns of the image off and on a contour.
        lit: 0: the image is left as it is.
        image: (D * H * W,) unsigned bit patterns, out.
        label: (D * H * W,) uint8 or uint16, out.
        shape: (D, H, W).
    """
    depth, height, width = shape
    words = (width + 63) >> 6
    canvas = np.empty((words + 1) * height + WIDTH, np.uint64)
    for z in range(depth):
        start = z * height * width
        slice_label = label[start : start + height * width]
        for i in range(slice_label.size):
            slice_label[i] = 0
        for i in range(canvas.size):
            canvas[i] = ZERO
        for rank in range(placed.shape[0]):
            place = placed[rank]
            variant = place[_VARIANT]
            box = boxes[variant]
            k = np.int64(z - place[_Z])
            if place[_ACCEPTED] == 1 and 0 <= k < box[_DEPTH]:
                k *= box[_STEP]
                _paint_object(
                    box, slices[variant, k], k, labels[variant], lines[variant],
                    np.int64(place[_Y]), np.int64(place[_X]),
                    label.dtype.type(objects[place[_OBJECT], _LABEL]),
                    height, width, label, start, lit, canvas,
                )  # fmt: skip
        if not lit:
            continue
        for word in range(words):
            count = smaller(width - 64 * word, 64)
            at = start + 64 * word
            for y in range(height):
                write_word(image, at + y * width, canvas[word * height + y], high, low, count)

"""Quarter and half turns of rasterized objects. Twin of ``turn.cu``."""

import numpy as np

from .bits import ONE, ZERO, popcount
from .jit import device, kernel
from .records import Box, Orientation, Slice

_DEPTH, _HEIGHT, _WIDTH = int(Box.DEPTH), int(Box.HEIGHT), int(Box.WIDTH)
_STEP, _VOXELS = int(Box.STEP), int(Box.VOXELS)
_FIRST, _STOP, _SLICE_VOXELS = int(Slice.FIRST), int(Slice.STOP), int(Slice.VOXELS)
_UPSIDE_DOWN, _SIDE_1, _SIDE_2 = (
    int(Orientation.UPSIDE_DOWN), int(Orientation.SIDE_1), int(Orientation.SIDE_2)
)  # fmt: skip
_STAY, _SIDE_3 = int(Orientation.STAY), int(Orientation.SIDE_3)


@device
def turned_box(orientation, depth, side):
    """(depth, height, width) of a turned object of (depth, side, side)."""
    if orientation <= _UPSIDE_DOWN:
        return depth, side, side
    if orientation <= _SIDE_2:
        return side, depth, side
    return side, side, depth


@device
def source_voxel(orientation, z, y, x, depth, side):
    """The voxel (z, y, x) of the unturned object that lands on (z, y, x) of the turned one."""
    if orientation == _STAY:
        return z, y, x
    if orientation == _UPSIDE_DOWN:
        return depth - 1 - z, side - 1 - y, x
    if orientation == _SIDE_1:
        return depth - 1 - y, z, x
    if orientation == _SIDE_2:
        return y, side - 1 - z, x
    if orientation == _SIDE_3:
        return depth - 1 - x, y, z
    return x, y, side - 1 - z


@device
def read_bit(rows, record, step, words, side, z, y, x):
    """Voxel (z, y, x) of an unturned object as 0 or 1."""
    first, stop = record[z * step, _FIRST], record[z * step, _STOP]
    if y < first or y >= stop:
        return ZERO
    return (rows[(z * step * words + (x >> 6)) * side + y] >> np.uint64(x & 63)) & ONE


@device
def _turn(orientation, base, base_slices, labels, lines, out, out_slices, out_labels, out_lines):
    depth, side, step = base[_DEPTH], base[_HEIGHT], base[_STEP]
    words = (side + 63) >> 6
    d, h, w = turned_box(orientation, depth, side)
    out[_DEPTH], out[_HEIGHT], out[_WIDTH], out[_STEP] = d, h, w, 1
    out[_VOXELS] = base[_VOXELS]
    for z in range(d):
        voxels = np.int64(0)
        for word in range((w + 63) >> 6):
            for y in range(h):
                label, line = ZERO, ZERO
                for i in range(min(64, w - 64 * word)):
                    sz, sy, sx = source_voxel(orientation, z, y, 64 * word + i, depth, side)
                    at = np.uint64(i)
                    label |= read_bit(labels, base_slices, step, words, side, sz, sy, sx) << at
                    line |= read_bit(lines, base_slices, step, words, side, sz, sy, sx) << at
                target = (z * ((w + 63) >> 6) + word) * h + y
                out_labels[target], out_lines[target] = label, line
                voxels += popcount(label)
        out_slices[z, _FIRST], out_slices[z, _STOP], out_slices[z, _SLICE_VOXELS] = 0, h, voxels


@kernel
def turn(orientations, boxes, slices, labels, lines):
    """Fill the variants 1 .. K - 1 of each object from variant 0, which must not be turned.

    Args:
        orientations: (K,) int64 ``Orientation`` codes.
        boxes: (N * K, Box.SIZE) int32, in and out.
        slices: (N * K, S, Slice.SIZE) int32, in and out.
        labels, lines: (N * K, R) uint64, in and out.
    """
    count = orientations.size
    for variant in range(boxes.shape[0]):
        base = variant - variant % count
        if variant != base:
            _turn(
                orientations[variant % count], boxes[base], slices[base], labels[base],
                lines[base], boxes[variant], slices[variant], labels[variant], lines[variant],
            )  # fmt: skip

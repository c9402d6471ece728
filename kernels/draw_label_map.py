"""A whole subject's labels at the source positions of a volume's voxels. Twin of
``draw_label_map.cu``.

Positions within a tile of TILE voxels along each axis are trilinear between its corners, in 2^-18
source voxel: exact, as sums of coefficients times voxel numbers (so they must stay within 8192).
The label is that of the nearest source voxel; beyond the map, whose outermost voxels are 0, it is
0.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .anatomy_records import TILE, Pose
from .bits import smaller
from .float_lanes import (
    INTS,
    WIDTH,
    load,
    lower,
    places,
    pointer,
    splat,
    store,
    store_narrow,
    upper,
)
from .jit import device, kernel

_SUBJECT, _MIRRORED = int(Pose.SHAPE), int(Pose.VALUE)
_HALF, _BITS = np.int32(1 << 17), np.int32(18)
_NONE = np.int32(0)
_COLUMNS = 8  # of a tile's coefficients: of 1, x, y, xy, z, xz, yz, xyz
_I8, _I32 = ir.IntType(8), ir.IntType(32)


@intrinsic
def spread_tiles(typing_context, array, start):
    """Four consecutive int32, each four times."""

    def codegen(context, builder, signature, arguments):
        four = ir.VectorType(_I32, 4)
        address = builder.bitcast(builder.gep(*_pointed(arguments)), four.as_pointer())
        value = builder.load(address, align=4)
        order = ir.Constant(INTS.vector, [lane // TILE for lane in range(WIDTH)])
        return builder.shuffle_vector(value, value, order)

    return INTS(array, types.int64), codegen


@intrinsic
def gathered_bytes(typing_context, array, start, offset):
    """Element ``start + offset`` of a pointer to uint8, for each lane."""

    def codegen(context, builder, signature, arguments):
        first = builder.gep(*_pointed(arguments))
        lanes = ir.Constant(INTS.vector, ir.Undefined)
        for lane in range(WIDTH):
            place = ir.Constant(_I32, lane)
            at = builder.zext(builder.extract_element(arguments[2], place), ir.IntType(64))
            value = builder.zext(builder.load(builder.gep(first, [at]), align=1), _I32)
            lanes = builder.insert_element(lanes, value, place)
        return lanes

    return INTS(array, types.int64, INTS), codegen


def _pointed(arguments):
    """A pointer, and the places to go on from it."""
    return arguments[0], [arguments[1]]


@device
def lay_tiles(lattice, at, row, layer, tiles, coefficients):
    """Coefficients along one axis of tiles beside each other, 2^-18 source voxel.

    Args:
        lattice: pointer to int32, see ``pose_lattice``.
        at: element of the first tile's first corner.
        row: elements from a corner to the next along y.
        layer: likewise along z.
        tiles: how many; the next ones are written, up to a multiple of sixteen.
        coefficients: pointer to (8, stride) int32, with the stride of ``tiles`` rounded up, out.
    """
    stride = (tiles + WIDTH - 1) // WIDTH * WIDTH
    for i in range(0, tiles, WIDTH):
        c000, c001 = load(lattice, at + i), load(lattice, at + i + 1)
        c010, c011 = load(lattice, at + i + row), load(lattice, at + i + row + 1)
        c100, c101 = load(lattice, at + i + layer), load(lattice, at + i + layer + 1)
        c110 = load(lattice, at + i + layer + row)
        c111 = load(lattice, at + i + layer + row + 1)
        x0, x1, y0, z0 = c001 - c000, c011 - c010, c010 - c000, c100 - c000
        xz, yz, xy = c101 - c100 - x0, c110 - c100 - y0, x1 - x0
        store(coefficients, i, c000 * np.int32(64) + _HALF)
        store(coefficients, i + stride, x0 * np.int32(16))
        store(coefficients, i + 2 * stride, y0 * np.int32(16))
        store(coefficients, i + 3 * stride, xy * np.int32(4))
        store(coefficients, i + 4 * stride, z0 * np.int32(16))
        store(coefficients, i + 5 * stride, xz * np.int32(4))
        store(coefficients, i + 6 * stride, yz * np.int32(4))
        store(coefficients, i + 7 * stride, c111 - c110 - x1 - xz)


@device
def lay_line(coefficients, z, y, tiles, line):
    """Where each tile's voxels of a row lie along one axis: the first, and a step along x.

    Args:
        coefficients: see ``lay_tiles``.
        z: voxel in the tile, 0 .. TILE - 1; likewise y.
        y: see ``z``.
        tiles: see ``lay_tiles``.
        line: pointer to (2, stride) int32, out.
    """
    stride = (tiles + WIDTH - 1) // WIDTH * WIDTH
    v, w, vw = np.int32(y), np.int32(z), np.int32(y * z)
    for i in range(0, tiles, WIDTH):
        first = load(coefficients, i) + load(coefficients, i + 2 * stride) * v
        first = first + load(coefficients, i + 4 * stride) * w
        store(line, i, first + load(coefficients, i + 6 * stride) * vw)
        step = load(coefficients, i + stride) + load(coefficients, i + 3 * stride) * v
        step = step + load(coefficients, i + 5 * stride) * w
        store(line, i + stride, step + load(coefficients, i + 7 * stride) * vw)


@device
def positions(line, tile, stride, last):
    """Source voxels along one axis of sixteen voxels, kept within 0 .. ``last``."""
    along = places() & np.int32(TILE - 1)
    at = spread_tiles(line, tile) + spread_tiles(line, tile + stride) * along
    return upper(lower(at >> _BITS, last), splat(_NONE))


@kernel
def draw_label_map(poses, lattice, maps, numbers, label, shape):
    """Draw the label map of a volume.

    Args:
        poses: (1, Pose.SIZE) int32.
        lattice: (T,) int32, see ``pose_lattice``; of this volume's one box, from element 0 on, and
            sixteen more.
        maps: (S, D, H, W) uint8, of all subjects; outermost voxels are 0.
        numbers: (256,) uint8, labels of the maps' values in a mirror.
        label: (D * H * W,) uint8 or uint16, out.
        shape: (D, H, W) of the volume.
    """
    depth, height, width = shape
    wide = (width + TILE - 1) // TILE
    row = wide + 1
    layer = row * ((height + TILE - 1) // TILE + 1)
    component = layer * ((depth + TILE - 1) // TILE + 1)
    stride = (wide + WIDTH - 1) // WIDTH * WIDTH
    coefficients = np.empty(3 * _COLUMNS * stride + WIDTH, np.int32)
    lines = np.empty(3 * 2 * stride + WIDTH, np.int32)
    values = np.empty(stride * TILE + WIDTH, np.int32)
    pose = pointer(poses, 0)
    mirrored = pose[_MIRRORED] != 0
    _, far, high, across = maps.shape
    source = pointer(maps, np.int64(pose[_SUBJECT]) * (far * high * across))
    last_z, last_y, last_x = np.int32(far - 1), np.int32(high - 1), np.int32(across - 1)
    line_z, line_y = pointer(lines, 0), pointer(lines, 2 * stride)
    line_x = pointer(lines, 4 * stride)
    start = np.int64(0)
    for z in range(depth):
        for y in range(height):
            if y % TILE == 0:
                at = z // TILE * layer + y // TILE * row
                for axis in range(3):
                    lay_tiles(
                        pointer(lattice, 0), at + axis * component, row, layer, wide,
                        pointer(coefficients, axis * _COLUMNS * stride),
                    )  # fmt: skip
            for axis in range(3):
                lay_line(
                    pointer(coefficients, axis * _COLUMNS * stride), z % TILE, y % TILE, wide,
                    pointer(lines, axis * 2 * stride),
                )  # fmt: skip
            for x in range(0, width, WIDTH):
                tile = x // TILE
                offset = positions(line_z, tile, stride, last_z) * np.int32(high)
                offset = (offset + positions(line_y, tile, stride, last_y)) * np.int32(across)
                offset = offset + positions(line_x, tile, stride, last_x)
                found = gathered_bytes(source, 0, offset)
                if start + x + WIDTH <= label.size:
                    store_narrow(label, start + x, found)
                else:
                    store(values, 0, found)
                    for i in range(smaller(width - x, WIDTH)):
                        label[start + x + i] = values[i]
            if mirrored:
                for i in range(start, start + width):
                    label[i] = numbers[label[i]]
            start += width

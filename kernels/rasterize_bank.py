"""Objects of a shape bank into rows of bits, inside and shells. Twin of ``rasterize_bank.cu``.

A tile is TILE voxels along each axis; the sixteen tiles beside each other that a word of bits spans
are handled together. Source positions within a tile are trilinear between its corners, in 2^-18
source voxel (so they must stay within 8192): exact, as sums of coefficients times voxel numbers.
First the distance at each tile's middle is compared with how far it can change up to the farthest
voxel: most tiles are wholly outside or wholly inside. The others are evaluated, a patch of 4 x 4
voxels of one z at a time. The bits are those of evaluating every voxel. A shell ends with the grid,
beyond which distances are those of its faces.

How far it can change: let samples i and j differ by at most SLOPE |i - j|. The interpolated
distance at p is the mean of the sample at a random corner P of its cell, whose mean is p and whose
variance along each axis is at most 1/4. So with P and Q independent the distances at p and q differ
by at most SLOPE E|P - Q|, which is at most SLOPE sqrt(|p - q|^2 + 3/2).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .anatomy_records import TILE, BankShape, Fate, Pose
from .bits import ZERO, larger, popcount, quotient, smaller
from .float_lanes import (
    WIDTH,
    any_bit,
    either,
    load,
    lower,
    packed,
    picked,
    places,
    pointer,
    splat,
    store,
    upper,
)
from .jit import device, inlined, kernel
from .source_distance import DISTANCE_FAR, last_position, source_distance

_SIGN = np.int32(-(1 << 31))
_FATE, _SHAPE, _VOXEL = int(Pose.FATE), int(Pose.SHAPE), int(Pose.VOXEL)
_DEPTH, _HEIGHT, _WIDTH = int(Pose.DEPTH), int(Pose.HEIGHT), int(Pose.WIDTH)
_OFFSET, _SLOPE = int(BankShape.OFFSET), int(BankShape.SLOPE)
_GRID_DEPTH, _GRID_HEIGHT, _GRID_WIDTH = (
    int(BankShape.DEPTH), int(BankShape.HEIGHT), int(BankShape.WIDTH)
)  # fmt: skip
_PLACED = int(Fate.PLACED)
_PER_WORD = 64 // TILE  # tiles that a word spans
_ROWS = TILE * TILE  # of a tile
_ALL_TILES = (1 << _PER_WORD) - 1
_ONES = np.uint64(0x1111111111111111)

# Coefficients of a position within a tile: of 1, x, y, xy, z, xz, yz, xyz.
_C1, _CX, _CY, _CXY, _CZ, _CXZ, _CYZ, _CXYZ = range(8)
_COEFFICIENTS = 8
_ROUND, _TO_SHARE = np.int32(1 << 9), np.int32(10)  # from 2^-18 to 1/256 source voxel

# Of the comparison at a tile's middle: lengths are in 1/64 source voxel.
_TO_64, _DISTANCE_TO_64 = np.int32(13), np.int32(11)
_FARTHEST = np.int32(1 << 14)
_SLACK = np.int32(4)  # for what is rounded, of positions and distances
_VARIANCE = np.int32(3 * 64 * 64 // 2)


@intrinsic
def first_bit(typing_context, word):
    """Number of the lowest set bit of an int64, which must not be 0."""

    def codegen(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@intrinsic
def turn_nibbles(typing_context, words):
    """Swap nibble i of word j with nibble j of word i, of the sixteen uint64 at a pointer."""

    def codegen(context, builder, signature, arguments):
        vector = ir.VectorType(ir.IntType(64), 16)
        address = builder.bitcast(arguments[0], vector.as_pointer())
        value = builder.load(address, align=8)
        for step in (8, 4, 2, 1):
            low = sum(15 << 4 * i for i in range(16) if not i & step)
            upper_half = [bool(lane & step) for lane in range(16)]
            kept = ir.Constant(vector, [low ^ (2**64 - 1) if up else low for up in upper_half])
            left = ir.Constant(vector, [0 if up else 4 * step for up in upper_half])
            right = ir.Constant(vector, [4 * step if up else 0 for up in upper_half])
            order = ir.Constant(ir.VectorType(ir.IntType(32), 16), [i ^ step for i in range(16)])
            partner = builder.and_(builder.shuffle_vector(value, value, order), kept)
            partner = builder.lshr(builder.shl(partner, left), right)
            value = builder.or_(builder.and_(value, kept), partner)
        builder.store(value, address, align=8)
        return context.get_dummy_value()

    return types.void(types.CPointer(types.uint64)), codegen


@device
def spread_bits(bits):
    """Sixteen bits, each four times: bit i as nibble i."""
    word = np.uint64(bits)
    word = (word | (word << np.uint64(24))) & np.uint64(0x000000FF000000FF)
    word = (word | (word << np.uint64(12))) & np.uint64(0x000F000F000F000F)
    word = (word | (word << np.uint64(6))) & np.uint64(0x0303030303030303)
    word = (word | (word << np.uint64(3))) & _ONES
    return word * np.uint64(15)


@device
def lay_coefficients(lattice, at, row, layer, coefficients):
    """Coefficients along one axis of sixteen tiles beside each other.

    Args:
        lattice: see ``pose_lattice``.
        at: element of the first tile's first corner.
        row: elements from a corner to the next along y.
        layer: likewise along z.
        coefficients: (8, WIDTH) int32, written; 2^-18 source voxel and half of what a share is.
    """
    c000, c001 = load(lattice, at), load(lattice, at + 1)
    c010, c011 = load(lattice, at + row), load(lattice, at + row + 1)
    c100, c101 = load(lattice, at + layer), load(lattice, at + layer + 1)
    c110, c111 = load(lattice, at + layer + row), load(lattice, at + layer + row + 1)
    x0, x1, y0, z0 = c001 - c000, c011 - c010, c010 - c000, c100 - c000
    xz, yz = c101 - c100 - x0, c110 - c100 - y0
    xy = x1 - x0
    store(coefficients, WIDTH * _C1, c000 * np.int32(64) + _ROUND)
    store(coefficients, WIDTH * _CX, x0 * np.int32(16))
    store(coefficients, WIDTH * _CY, y0 * np.int32(16))
    store(coefficients, WIDTH * _CZ, z0 * np.int32(16))
    store(coefficients, WIDTH * _CXY, xy * np.int32(4))
    store(coefficients, WIDTH * _CXZ, xz * np.int32(4))
    store(coefficients, WIDTH * _CYZ, yz * np.int32(4))
    store(coefficients, WIDTH * _CXYZ, c111 - c110 - x1 - xz)


@device
def sized(value):
    """Magnitudes."""
    return upper(value, splat(np.int32(0)) - value)


@device
def tile_middle(c):
    """Positions of sixteen tiles' middles along one axis, 1/256 source voxel."""
    lone = load(c, WIDTH * _CX) + load(c, WIDTH * _CY) + load(c, WIDTH * _CZ)
    mixed = load(c, WIDTH * _CXY) + load(c, WIDTH * _CXZ) + load(c, WIDTH * _CYZ)
    middle = load(c, WIDTH * _C1) + ((lone * np.int32(3)) >> np.int32(1))
    middle = middle + ((mixed * np.int32(9)) >> np.int32(2))
    return (middle + ((load(c, WIDTH * _CXYZ) * np.int32(27)) >> np.int32(3))) >> _TO_SHARE


@device
def tile_slopes(c):
    """How far a tile's middle is from its faces' along one axis, for the faces of x, y and z.

    Returns:
        Three of sixteen lanes, 1/1024 source voxel, and what the terms of two and three axes add
        to their sum at most.
    """
    xy, xz, yz = load(c, WIDTH * _CXY), load(c, WIDTH * _CXZ), load(c, WIDTH * _CYZ)
    xyz = load(c, WIDTH * _CXYZ)
    three, nine, last = np.int32(3), np.int32(9), (xyz * np.int32(27)) >> np.int32(2)
    x = load(c, WIDTH * _CX) * three + (((xy + xz) * nine) >> np.int32(1)) + last
    y = load(c, WIDTH * _CY) * three + (((xy + yz) * nine) >> np.int32(1)) + last
    z = load(c, WIDTH * _CZ) * three + (((xz + yz) * nine) >> np.int32(1)) + last
    more = (sized(xy) + sized(xz) + sized(yz)) * nine + sized(xyz) * np.int32(54)
    nine = np.int32(9)
    return x >> nine, y >> nine, z >> nine, (more >> np.int32(10)) + np.int32(4)


@device
def squared_reach(along, more):
    """Square of how far a corner voxel is along one axis, (1/64 source voxel)^2."""
    reach = lower(((sized(along) + more) >> np.int32(4)) + np.int32(1), _FARTHEST)
    return reach * reach


@device
def tile_reach(coefficients):
    """Square of how far a tile's farthest voxel is from its middle, (1/64 source voxel)^2.

    The variance of samples is added; see above.
    """
    axis = WIDTH * _COEFFICIENTS
    first = splat(_VARIANCE)
    second, third, fourth = first, first, first
    for i in range(3):
        x, y, z, more = tile_slopes(pointer(coefficients, i * axis))
        first = first + squared_reach(x + y + z, more)
        second = second + squared_reach(x + y - z, more)
        third = third + squared_reach(x - y + z, more)
        fourth = fourth + squared_reach(x - y - z, more)
    return upper(upper(first, second), upper(third, fourth))


@device
def beyond(gap, per_slope, reach):
    """Tiles whose distance at the middle is so far above a limit that all their voxels are.

    Args:
        gap: by how much, 1/64 source voxel.
        per_slope: 65536 over the shape's slope.
        reach: see ``tile_reach``.
    """
    most = (upper(gap, splat(np.int32(0))) * per_slope) >> np.int32(8)
    return packed(reach < most * most)


@device
def distance_in(distances, shape, z, y, x):
    """``source_distance`` in the grid of a row of BankShape."""
    return source_distance(
        distances, np.int64(shape[_OFFSET]), np.int64(shape[_GRID_HEIGHT]),
        np.int64(shape[_GRID_WIDTH]), last_position(shape[_GRID_DEPTH]),
        last_position(shape[_GRID_HEIGHT]), last_position(shape[_GRID_WIDTH]), z, y, x,
    )  # fmt: skip


@inlined
def off_axis(position, side):
    """Bits that are not all 0 where a position is before the first or after the last sample."""
    return either(position, last_position(side) - position) & _SIGN


@inlined
def off_grid(shape, z, y, x):
    """Whether positions are beyond a shape's grid."""
    off = either(
        either(off_axis(z, shape[_GRID_DEPTH]), off_axis(y, shape[_GRID_HEIGHT])),
        off_axis(x, shape[_GRID_WIDTH]),
    )
    return any_bit(off)


@device
def patch(c, x, y):
    """Positions along one axis of a tile's first patch, and what each of the next ones adds."""
    xy = x * y
    first = x * c[WIDTH * _CX] + y * c[WIDTH * _CY] + xy * c[WIDTH * _CXY] + c[WIDTH * _C1]
    added = x * c[WIDTH * _CXZ] + y * c[WIDTH * _CYZ] + xy * c[WIDTH * _CXYZ] + c[WIDTH * _CZ]
    return first, added


@device
def evaluate_tile(coefficients, tile, distances, shape, limits, shells, bits):
    """Evaluate the voxels of one tile.

    Args:
        coefficients: (3, 8, WIDTH) int32.
        tile: which of the sixteen.
        distances: see ``rasterize_bank``.
        shape: (BankShape.SIZE,) int32.
        limits: (2 * shells,) int32, largest and least distance of each shell in DISTANCE_ONE.
        shells: how many.
        bits: (1 + shells, 16) uint64, written: the tile's, of the inside and of each shell.
    """
    x = places() & np.int32(3)
    y = places() >> np.int32(2)
    c = pointer(coefficients, tile)
    axis = WIDTH * _COEFFICIENTS
    pz, dz = patch(c, x, y)
    py, dy = patch(pointer(c, axis), x, y)
    px, dx = patch(pointer(c, 2 * axis), x, y)
    for k in range(TILE):
        z, v, u = pz >> _TO_SHARE, py >> _TO_SHARE, px >> _TO_SHARE
        d = distance_in(distances, shape, z, v, u)
        to = np.uint64(_ROWS * k)
        bits[tile] |= np.uint64(packed(d < np.int32(0))) << to
        d = picked(off_grid(shape, z, v, u), splat(np.int32(DISTANCE_FAR)), d)
        for p in range(shells):
            within = (d <= limits[2 * p]) & (limits[2 * p + 1] <= d)
            bits[_PER_WORD * (p + 1) + tile] |= np.uint64(packed(within)) << to
        pz, py, px = pz + dz, py + dy, px + dx


@device
def write_words(bits, filled, target, at, layer):
    """Write a word of each of a tile's sixteen rows; return its set bits.

    Args:
        bits: (16,) uint64, those of the rows, z before y.
        filled: bits that are set in all of them.
        target: uint64.
        at: word of the first row.
        layer: words from a z to the next.
    """
    total = np.int64(0)
    for z in range(TILE):
        for y in range(TILE):
            word = bits[TILE * z + y] | filled
            target[at + layer * z + y] = word
            total += popcount(word)
    return total


@device
def fill_words(word, target, at, layer):
    """Write the same word to each of a tile's sixteen rows."""
    for z in range(TILE):
        for y in range(TILE):
            target[at + layer * z + y] = word


@device
def rasterize_object(
    pose, shape, distances, limits, shells, lattice, first, row_offset, rows, planes, size,
    coefficients, bits,
):  # fmt: skip
    """Rasterize one object; return its voxels inside.

    Args:
        pose: (Pose.SIZE,) int32.
        shape: (BankShape.SIZE,) int32.
        distances: see ``rasterize_bank``.
        limits: see ``evaluate_tile``.
        shells: how many.
        lattice: see ``rasterize_bank``.
        first: element of the object's in it.
        row_offset: first word of the object's rows.
        rows: see ``rasterize_bank``.
        planes: its ``shells``.
        size: words of each of the planes.
        coefficients: (3, 8, WIDTH) int32, scratch.
        bits: (1 + shells, 16) uint64, scratch.
    """
    deep, high, wide = (
        np.int64(pose[_DEPTH]) // TILE, np.int64(pose[_HEIGHT]) // TILE,
        np.int64(pose[_WIDTH]) // TILE,
    )  # fmt: skip
    words = (wide + _PER_WORD - 1) // _PER_WORD
    row = wide + 1
    layer = row * (high + 1)
    component, axis = layer * (deep + 1), WIDTH * _COEFFICIENTS
    per_slope = np.int32(quotient(65536, larger(np.int64(shape[_SLOPE]), 1)))
    high_limit, low_limit = np.int64(0), np.int64(0)
    for p in range(shells):
        high_limit = larger(high_limit, np.int64(limits[2 * p]))
        low_limit = smaller(low_limit, np.int64(limits[2 * p + 1]))
    outer = np.int32((high_limit >> _DISTANCE_TO_64) + 1 + _SLACK)
    inner = np.int32((low_limit >> _DISTANCE_TO_64) - 1 - _SLACK)
    total = np.int64(0)
    for z in range(deep):
        for word in range(words):
            tiles = np.int64(_ALL_TILES) >> larger(_PER_WORD * (word + 1) - wide, 0)
            for y in range(high):
                at = first + z * layer + y * row + _PER_WORD * word
                for i in range(3):
                    lay_coefficients(
                        lattice, at + i * component, row, layer, pointer(coefficients, i * axis)
                    )
                d = distance_in(
                    distances, shape, tile_middle(coefficients),
                    tile_middle(pointer(coefficients, axis)),
                    tile_middle(pointer(coefficients, 2 * axis)),
                ) >> _DISTANCE_TO_64  # fmt: skip
                reach = tile_reach(coefficients)
                full = beyond(splat(inner) - d, per_slope, reach) & tiles
                open_tiles = tiles & ~full & ~beyond(d - outer, per_slope, reach)
                filled = spread_bits(full)
                target = row_offset + (z * TILE * words + word) * high * TILE + TILE * y
                step = words * high * TILE
                if open_tiles == 0:
                    fill_words(filled, rows, target, step)
                    total += _ROWS * popcount(filled)
                    for p in range(shells):
                        fill_words(ZERO, planes, p * size + target, step)
                    continue
                for i in range((1 + shells) * _PER_WORD):
                    bits[i] = ZERO
                while open_tiles != 0:
                    tile = first_bit(open_tiles)
                    open_tiles &= open_tiles - 1
                    evaluate_tile(coefficients, tile, distances, shape, limits, shells, bits)
                turn_nibbles(bits)
                total += write_words(bits, filled, rows, target, step)
                for p in range(shells):
                    plane = pointer(bits, _PER_WORD * (p + 1))
                    turn_nibbles(plane)
                    write_words(plane, ZERO, planes, p * size + target, step)
    return total


_TO_DISTANCE = 7  # from steps, 1/256 voxel, times VOXEL, 1/65536


@device
def lay_limits(pose, steps, shells, limits):
    """Largest and least distance of each shell; short of where samples are clipped."""
    for i in range(2 * shells):
        width = (np.int64(steps[i]) * np.int64(pose[_VOXEL])) >> _TO_DISTANCE
        width = smaller(width, DISTANCE_FAR - 1)
        limits[i] = np.int32(-width if i & 1 else width)


@kernel
def rasterize_bank(
    poses, shapes, distances, steps, lattice, lattice_offsets, row_offsets, rows, shells, counts
):
    """Rasterize the objects that are to be placed, once each.

    Args:
        poses: (N, Pose.SIZE) int32.
        shapes: (R, BankShape.SIZE) int32.
        distances: (V,) int16, 1/16 source voxel, at most 512.
        steps: (P, 2) int32: outer and inner half width of each shell, 1/256 voxel.
        lattice: see ``pose_lattice``; at least 64 elements behind what is used.
        lattice_offsets: see ``pose_lattice``.
        row_offsets: (N,) int64: first word of an object's rows.
        rows: (R,) uint64, out: word w of row (z, y) of an object's box at
            ``row_offsets[n] + (z * words + w) * H + y``; all words of the box.
        shells: (P, R) uint64, out: as ``rows``.
        counts: (N,) int32, out: voxels inside.
    """
    count = steps.shape[0]
    coefficients = np.zeros(3 * _COEFFICIENTS * WIDTH, np.int32)
    bits = np.zeros((1 + count) * _PER_WORD, np.uint64)
    limits = np.zeros(2 * count, np.int32)
    for n in range(poses.shape[0]):
        counts[n] = 0
        pose = pointer(poses, n * poses.shape[1])
        if pose[_FATE] == _PLACED and pose[_DEPTH] > 0:
            lay_limits(pose, pointer(steps, 0), count, pointer(limits, 0))
            shape = pointer(shapes, np.int64(pose[_SHAPE]) * shapes.shape[1])
            counts[n] = rasterize_object(
                pose, shape, pointer(distances, 0), pointer(limits, 0), count,
                pointer(lattice, 0), lattice_offsets[n], row_offsets[n], pointer(rows, 0),
                pointer(shells, 0), rows.size, pointer(coefficients, 0), pointer(bits, 0),
            )  # fmt: skip

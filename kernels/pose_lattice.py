"""Source positions at the corners of tiles, displacement included. Twin of ``pose_lattice.cu``.

The displacement is a cubic B-spline of the control points, which span an object's box: corner t of
n tiles lies at 3 t / n segments. It is taken along z, then y, then x, with whole weights that add
up to 4096, and rounded to the unit of the control points after each. Control points must be below
2^19, which is 128 source voxels, and a matrix times the width of a box below 2^31.
"""

import numpy as np

from .anatomy_records import CONTROLS, TILE, Fate, Pose
from .bits import larger, quotient
from .float_lanes import WIDTH, load, places, pointer, splat, store
from .jit import device, kernel

_FATE, _MATRIX, _CENTRE, _BOX = int(Pose.FATE), int(Pose.MATRIX), int(Pose.CENTRE), int(Pose.BOX)
_DEPTH, _HEIGHT, _WIDTH = int(Pose.DEPTH), int(Pose.HEIGHT), int(Pose.WIDTH)
_PLACED = int(Fate.PLACED)
_SEGMENTS = CONTROLS - 3  # of the spline along an axis
_PLANE, _VOLUME = CONTROLS * CONTROLS, CONTROLS * CONTROLS * CONTROLS
_BITS = 12  # of the weights
_ONE, _HALF, _SHIFT = 1 << _BITS, np.int32(1 << (_BITS - 1)), np.int32(_BITS)
_MATRIX_SHIFT = 4  # from 2^-16 to 1/4096


@device
def lay_weights(tiles, weights, stride):
    """Weights of the control points along an axis at each corner.

    Args:
        tiles: along the axis, 1 .. 2^14.
        weights: (CONTROLS, stride) int32, written up to corner ``tiles``.
        stride: see ``weights``.
    """
    cube = tiles * tiles * tiles
    for corner in range(tiles + 1):
        segment = quotient(_SEGMENTS * corner, tiles)
        if segment == _SEGMENTS:
            segment -= 1
        right = _SEGMENTS * corner - segment * tiles
        left = tiles - right
        first, last = left * left * left, right * right * right
        third = 3 * right * tiles * (right + tiles) + cube - 3 * last
        first = quotient(_ONE * first + 3 * cube, 6 * cube)
        third = quotient(_ONE * third + 3 * cube, 6 * cube)
        last = quotient(_ONE * last + 3 * cube, 6 * cube)
        for k in range(CONTROLS):
            weights[k * stride + corner] = 0
        at = segment * stride + corner
        weights[at] = first
        weights[at + stride] = _ONE - first - third - last
        weights[at + 2 * stride] = third
        weights[at + 3 * stride] = last


@device
def blended_lanes(source, at, step, weights, stride):
    """Sums of sixteen lanes that lie ``step`` apart, times weights that are ``stride`` apart."""
    total = splat(_HALF)
    for k in range(CONTROLS):
        total = total + load(source, at + k * step) * weights[k * stride]
    return total >> _SHIFT


@device
def lay_row(row, weights, stride, start, slope, corners, lattice, at):
    """Source positions of a row of corners.

    Args:
        row: (CONTROLS,) int32, the displacement's control points of the row.
        weights: see ``lay_weights``, along x.
        stride: see ``lay_weights``.
        start: source position of the first corner, 2^-16.
        slope: source voxels a voxel along the row, 2^-16.
        corners: how many.
        lattice: int32, written; up to fifteen elements behind the row are too.
        at: element of the first corner.
    """
    whole, rest = np.int32(start >> _MATRIX_SHIFT), np.int32(start & ((1 << _MATRIX_SHIFT) - 1))
    for corner in range(0, corners, WIDTH):
        total = splat(_HALF)
        for k in range(CONTROLS):
            total = total + load(weights, k * stride + corner) * row[k]
        along = (places() + np.int32(corner)) * np.int32(TILE * slope) + rest
        store(
            lattice,
            at + corner,
            (total >> _SHIFT) + (along >> np.int32(_MATRIX_SHIFT)) + whole,
        )


@device
def lay_component(
    pose, axis, controls, weights_z, weights_y, weights_x, stride, planes, lattice, at
):
    """Source positions along one axis of all corners of a box.

    Args:
        pose: (Pose.SIZE,) int32.
        axis: 0, 1 or 2: z, y or x.
        controls: (CONTROLS, CONTROLS, CONTROLS) int32 of this axis.
        weights_z: see ``lay_weights``; likewise of y and x.
        weights_y: see ``weights_z``.
        weights_x: see ``weights_z``.
        stride: see ``lay_weights``.
        planes: (_PLANE + 2 * WIDTH,) int32, scratch.
        lattice: see ``lay_row``.
        at: element of the first corner.
    """
    deep, high, wide = (
        np.int64(pose[_DEPTH]) // TILE, np.int64(pose[_HEIGHT]) // TILE,
        np.int64(pose[_WIDTH]) // TILE,
    )  # fmt: skip
    matrix = _MATRIX + 3 * axis
    slope_z, slope_y = np.int64(pose[matrix]), np.int64(pose[matrix + 1])
    slope_x = np.int64(pose[matrix + 2])
    row = pointer(planes, _PLANE)
    for z in range(deep + 1):
        for i in (0, WIDTH, _PLANE - WIDTH):
            store(planes, i, blended_lanes(controls, i, _PLANE, pointer(weights_z, z), stride))
        start = (np.int64(pose[_CENTRE + axis]) << _MATRIX_SHIFT) + slope_x * pose[_BOX + 2]
        start += slope_z * (pose[_BOX] + TILE * z) + slope_y * pose[_BOX + 1]
        for y in range(high + 1):
            store(row, 0, blended_lanes(planes, 0, CONTROLS, pointer(weights_y, y), stride))
            lay_row(row, weights_x, stride, start, slope_x, wide + 1, lattice, at)
            start += TILE * slope_y
            at += wide + 1


@kernel
def pose_lattice(poses, controls, lattice_offsets, lattice):
    """Lay down the source positions of the objects that are to be placed.

    Args:
        poses: (N, Pose.SIZE) int32.
        controls: (N, 3, CONTROLS, CONTROLS, CONTROLS) int32, 1/4096 source voxel: z, y, x.
        lattice_offsets: (N,) int64, ascending: first element of an object's positions.
        lattice: (T,) int32, out: 1/4096 source voxel, for each object (3, D / TILE + 1,
            H / TILE + 1, W / TILE + 1) of its box. What lies between the objects' positions is
            overwritten, and as many as fifteen elements behind the last.
    """
    tiles = np.int64(0)
    for n in range(poses.shape[0]):
        for side in (_DEPTH, _HEIGHT, _WIDTH):
            tiles = larger(tiles, np.int64(poses[n, side]) // TILE)
    stride = tiles + 1 + WIDTH
    weights = np.zeros(3 * CONTROLS * stride, np.int32)
    planes = np.zeros(_PLANE + 2 * WIDTH, np.int32)
    scratch = pointer(planes, 0)
    weights_z, weights_y, weights_x = (
        pointer(weights, 0), pointer(weights, CONTROLS * stride),
        pointer(weights, 2 * CONTROLS * stride),
    )  # fmt: skip
    for n in range(poses.shape[0]):
        pose = pointer(poses, n * poses.shape[1])
        if pose[_FATE] != _PLACED or pose[_DEPTH] == 0:
            continue
        deep, high, wide = (
            np.int64(pose[_DEPTH]) // TILE, np.int64(pose[_HEIGHT]) // TILE,
            np.int64(pose[_WIDTH]) // TILE,
        )  # fmt: skip
        lay_weights(deep, weights_z, stride)
        lay_weights(high, weights_y, stride)
        lay_weights(wide, weights_x, stride)
        points = (deep + 1) * (high + 1) * (wide + 1)
        for axis in range(3):
            lay_component(
                pose, axis, pointer(controls, (3 * n + axis) * _VOLUME), weights_z, weights_y,
                weights_x, stride, scratch, pointer(lattice, 0),
                lattice_offsets[n] + axis * points,
            )  # fmt: skip

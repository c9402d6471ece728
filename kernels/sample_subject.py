"""Random pose of a whole subject: which one, mirror, affine map, middle of the view, displacement.
Twin of ``sample_subject.cu``.

A position v of the volume, voxels from its middle, shows the source position

    middle + F diag(scale) S R v  + displacement,

with R = Rx Ry Rz, S a matrix of ones on its diagonal and six independent shears, F a mirror along x
or nothing; voxels are ``spacing * zoom`` mm. The order is that of lab2im's
``sample_affine_transform``.

References:
    Billot et al., "SynthSeg", Medical Image Analysis 86, 2023, doi:10.1016/j.media.2023.102789
    Choi, Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical
    Models 62, 2000, doi:10.1006/gmod.2000.0531
"""

import numpy as np

from .anatomy_records import TILE, Fate, Pose, SubjectSampling
from .bits import quotient
from .float_lanes import fused, least, magnitude, most, pointer
from .jit import device, kernel
from .philox import bounded, random_words
from .real import HALF, ONE, ZERO, clamped, cosine_of_turns, sine_of_turns
from .records import Placed
from .sample_anatomy import rounded, unit_normal
from .scene import uniform, unit_float
from .streams import Stream

_STREAM = int(Stream.LABEL_MAP)
_HEADS = 6  # draws before the control points
_CONTROL_DRAW = 16

_SHAPE, _SPACING = int(SubjectSampling.SHAPE), int(SubjectSampling.SPACING)
_ZOOM_LOW, _ZOOM_HIGH = int(SubjectSampling.ZOOM_LOW), int(SubjectSampling.ZOOM_HIGH)
_BANK_SPACING, _FLIP = int(SubjectSampling.BANK_SPACING), int(SubjectSampling.FLIP)
_SCALE_LOW, _SCALE_HIGH = int(SubjectSampling.SCALE_LOW), int(SubjectSampling.SCALE_HIGH)
_TURN_LOW, _TURN_HIGH = int(SubjectSampling.TURN_LOW), int(SubjectSampling.TURN_HIGH)
_SHEAR_LOW, _SHEAR_HIGH = int(SubjectSampling.SHEAR_LOW), int(SubjectSampling.SHEAR_HIGH)
_DISPLACEMENT_LOW = int(SubjectSampling.DISPLACEMENT_LOW)
_DISPLACEMENT_HIGH = int(SubjectSampling.DISPLACEMENT_HIGH)
_WANDER, _SHIFT = int(SubjectSampling.WANDER), int(SubjectSampling.SHIFT)

_POSE_FATE, _POSE_SHAPE, _MATRIX = int(Pose.FATE), int(Pose.SHAPE), int(Pose.MATRIX)
_CENTRE, _BOX, _SIDES, _VALUE = int(Pose.CENTRE), int(Pose.BOX), int(Pose.DEPTH), int(Pose.VALUE)
_OBJECT, _VARIANT, _PLACE = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.Z)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)
_PLACED = int(Fate.PLACED)

_CLIP, _THIRD = np.float32(3), np.float32(1 / 3)  # of normal numbers, standard deviations
# Most of the spacing of control points that one may be moved; injective below 0.4033 (Choi, Lee).
_INJECTIVE = np.float32(0.4)
_CONTROL_MOST = np.float32(120)  # source voxels; see ``pose_lattice``
_MATRIX_ONE, _CONTROL_ONE = np.float32(65536), np.float32(4096)
_LEAST_DETERMINANT = np.float32(1e-12)


@device
def lay_rotation(z, y, x, turn):
    """R = Rx Ry Rz; indices z, y, x.

    Args:
        z: angle about z, turns; likewise y and x.
        y: see ``z``.
        x: see ``z``.
        turn: (3, 3), out.
    """
    cz, sz = cosine_of_turns(z), sine_of_turns(z)
    cy, sy = cosine_of_turns(y), sine_of_turns(y)
    cx, sx = cosine_of_turns(x), sine_of_turns(x)
    turn[2, 2], turn[2, 1], turn[2, 0] = cy * cz, -(cy * sz), sy
    turn[1, 2] = fused(sx * sy, cz, cx * sz)
    turn[1, 1] = fused(-(sx * sy), sz, cx * cz)
    turn[1, 0] = -(sx * cy)
    turn[0, 2] = fused(-(cx * sy), cz, sx * sz)
    turn[0, 1] = fused(cx * sy, sz, sx * cz)
    turn[0, 0] = cx * cy


@device
def reach_of(matrix, axis):
    """Sum of the magnitudes of row ``axis`` of a (3, 3) matrix's inverse, by cofactors."""
    b, c = (axis + 1) % 3, (axis + 2) % 3
    total, determinant = ZERO, ZERO
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        cofactor = fused(matrix[i, b], matrix[j, c], -(matrix[i, c] * matrix[j, b]))
        determinant = fused(matrix[k, axis], cofactor, determinant)
        total = total + magnitude(cofactor)
    return total / most(magnitude(determinant), _LEAST_DETERMINANT)


@device
def _lay_affine(settings, heads, matrix, turn):
    """Source voxels a voxel, without the mirror.

    Args:
        heads: (4 * _HEADS,) uint64, random words.
        matrix: (3, 3), out.
        turn: (3, 3), scratch.
    """
    low, high = settings[_TURN_LOW], settings[_TURN_HIGH]
    lay_rotation(
        uniform(heads[8], low, high), uniform(heads[9], low, high), uniform(heads[10], low, high),
        turn,
    )  # fmt: skip
    zoom = uniform(heads[2], settings[_ZOOM_LOW], settings[_ZOOM_HIGH])
    low, high = settings[_SHEAR_LOW], settings[_SHEAR_HIGH]
    for axis in range(3):
        scale = uniform(heads[4 + axis], settings[_SCALE_LOW], settings[_SCALE_HIGH])
        first = uniform(heads[12 + 2 * axis], low, high)
        second = uniform(heads[13 + 2 * axis], low, high)
        for to in range(3):
            own = turn[axis, to]
            own = fused(first, turn[(axis + 1) % 3, to], own)
            own = fused(second, turn[(axis + 2) % 3, to], own)
            voxel = settings[_SPACING + to] * zoom / settings[_BANK_SPACING]
            matrix[axis, to] = scale * own * voxel


@device
def _lay_middle(settings, heads, body, matrix, mirrored, middle):
    """Source position of the volume's middle.

    Args:
        body: (6,) float32, middle and sides of the subject's body, source voxels.
        matrix: see ``_lay_affine``.
        mirrored: whether the subject is seen in a mirror; ``body`` is as it is without.
        middle: (3,), out.
    """
    for axis in range(3):
        view = ZERO
        for to in range(3):
            view = fused(magnitude(matrix[axis, to]), settings[_SHAPE + to], view)
        room = HALF * most(body[3 + axis] - view, ZERO)
        away = settings[_WANDER] * room * uniform(heads[18 + axis], -ONE, ONE)
        shift = settings[_SHIFT] / settings[_BANK_SPACING]
        away = fused(shift, uniform(heads[21 + axis], -ONE, ONE), away)
        middle[axis] = body[axis] + away
    if mirrored:
        for to in range(3):
            matrix[2, to] = -matrix[2, to]


@device
def _lay_controls(sd, bound, seed, index, controls):
    """Control points of the displacement, normal numbers cut at ``bound``; source voxels."""
    w0, w1, w2, w3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    flat = pointer(controls, 0)
    for i in range(controls.size):
        if i % 4 == 0:
            w0, w1, w2, w3 = random_words(seed, index, _STREAM, _CONTROL_DRAW + i // 4)
        flat[i] = rounded(clamped(sd * unit_normal(w0), -bound, bound) * _CONTROL_ONE)
        w0, w1, w2 = w1, w2, w3


@kernel
def sample_subject(settings, bodies, seed, index, poses, controls, placed):
    """Draw the subject of a volume, and how it lies.

    Random words, of draws 0 to 5: subject, mirror, zoom, strength of the displacement; scales along
    z, y, x, and one that is not used; angles about z, y, x, likewise; two shears of each of z, y,
    x; the view's place along z, y, x; its shift likewise.

    Args:
        settings: (SubjectSampling.SIZE,) float32.
        bodies: (S, 6) float32, middle and sides of each subject's body, source voxels, z y x.
        seed: uint64.
        index: uint64, of the volume.
        poses: (1, Pose.SIZE) int32, out: SHAPE is the subject, VALUE 1 where it is mirrored; the
            box is the whole volume.
        controls: (1, 3, CONTROLS, CONTROLS, CONTROLS) int32, 1/4096 source voxel, out.
        placed: (1, Placed.SIZE) int32, out: VARIANT is twice the subject, and 1 more where it is
            mirrored; the place is the source voxel at the volume's middle.
    """
    heads = np.empty(4 * _HEADS, np.uint64)
    for draw in range(_HEADS):
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw)
        at = 4 * draw
        heads[at], heads[at + 1], heads[at + 2], heads[at + 3] = w0, w1, w2, w3
    work = np.empty((7, 3), np.float32)
    matrix, turn, middle = work[:3], work[3:6], work[6]
    pose = poses[0]
    for i in range(pose.size):
        pose[i] = 0
    subject = bounded(heads[0], 0, bodies.shape[0] - 1)
    mirrored = unit_float(heads[1]) < settings[_FLIP]
    _lay_affine(settings, heads, matrix, turn)
    _lay_middle(settings, heads, bodies[subject], matrix, mirrored, middle)

    pose[_POSE_FATE], pose[_POSE_SHAPE] = _PLACED, subject
    pose[_VALUE] = 1 if mirrored else 0
    row = placed[0]
    row[_OBJECT], row[_VARIANT] = 0, 2 * subject + (1 if mirrored else 0)
    row[_ACCEPTED], row[_PROPOSALS] = 1, 1
    spacing = settings[_BANK_SPACING]
    sd = uniform(heads[3], settings[_DISPLACEMENT_LOW], settings[_DISPLACEMENT_HIGH]) / spacing
    bound = least(_CLIP * sd, _CONTROL_MOST)
    for axis in range(3):
        side = np.int64(settings[_SHAPE + axis])
        half = quotient(side, 2)
        pose[_BOX + axis] = -half
        pose[_SIDES + axis] = quotient(side + TILE - 1, TILE) * TILE
        if side > 1:  # of a planar volume only the plane is drawn
            spread = np.float32(pose[_SIDES + axis]) * _THIRD
            bound = least(bound, _INJECTIVE * spread / reach_of(matrix, axis))
        at = middle[axis]
        row[_PLACE + axis] = rounded(at)
        for to in range(3):
            pose[_MATRIX + 3 * axis + to] = rounded(matrix[axis, to] * _MATRIX_ONE)
            whole = np.int64(settings[_SHAPE + to])
            off = np.float32(quotient(whole, 2)) - HALF * np.float32(whole - 1)
            at = fused(matrix[axis, to], off, at)
        pose[_CENTRE + axis] = rounded(at * _CONTROL_ONE)
    _lay_controls(sd, bound, seed, index, controls)

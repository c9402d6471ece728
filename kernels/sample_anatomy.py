"""Random structures of an anatomical scene: the view, shapes, poses, displacements, proposed places
and boxes. Twin of ``sample_anatomy.cu``.

A structure's own frame has its origin at the centroid of its mask, millimetres, z y x. A point p of
it lies at ``R diag(k) p`` from the centre of the voxel at which the structure is placed: k is the
*stretch* (negative in x for mirror images), R the *turn*. Rows of shapes are as in
``kernels/anatomy_records``: (level * S + subject) * C + structure.

References:
    Choi, Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical
    Models 62, 2000, doi:10.1006/gmod.2000.0531
"""

import numpy as np

from .anatomy_records import (
    ANATOMY_DRAWS,
    BODY_UNIT,
    PROPOSAL_DRAW,
    PROPOSAL_REACH,
    STRUCTURES_MAX,
    TILE,
    AnatomySampling,
    BankShape,
    BankStructure,
    Fate,
    Pose,
    Proposal,
)
from .bits import larger, quotient, smaller
from .float_lanes import floor_of, fused, least, magnitude, pointer, root, whole
from .jit import device, kernel
from .philox import bounded, random_words
from .quantiles import QUANTILE_ONE, gumbel, negative_log, normal
from .real import HALF, ONE, ZERO, ceiling, clamped, cosine_of_turns, power_of_two, sine_of_turns
from .scene import uniform, unit_float
from .streams import Stream

_STREAM = int(Stream.ANATOMY)
_HEAD_DRAWS, _CONTROL_DRAW = 3, 16  # of an object: what it is, its stretch, its turn; from 16 on

_SHAPE, _SPACING = int(AnatomySampling.SHAPE), int(AnatomySampling.SPACING)
_ZOOM_LOW, _ZOOM_HIGH = int(AnatomySampling.ZOOM_LOW), int(AnatomySampling.ZOOM_HIGH)
_BODY, _BANK_SPACING = int(AnatomySampling.BODY), int(AnatomySampling.BANK_SPACING)
_LEVELS, _WANDER = int(AnatomySampling.LEVELS), int(AnatomySampling.WANDER)
_KEEP, _SCALE_SD = int(AnatomySampling.KEEP), int(AnatomySampling.SCALE_SD)
_SCALE_LOW, _SCALE_HIGH = int(AnatomySampling.SCALE_LOW), int(AnatomySampling.SCALE_HIGH)
_AXIS_SD, _TURN_SD = int(AnatomySampling.AXIS_SD), int(AnatomySampling.TURN_SD)
_DISPLACEMENT_LOW = int(AnatomySampling.DISPLACEMENT_LOW)
_DISPLACEMENT_HIGH = int(AnatomySampling.DISPLACEMENT_HIGH)
_MIRROR_SHARE, _UNIFORM = int(AnatomySampling.MIRROR), int(AnatomySampling.UNIFORM)
_WIDEN, _MARGIN = int(AnatomySampling.WIDEN), int(AnatomySampling.MARGIN)
_VALUE_LOW, _VALUE_HIGH = int(AnatomySampling.VALUE_LOW), int(AnatomySampling.VALUE_HIGH)

_MEAN, _FACTOR = int(BankStructure.MEAN), int(BankStructure.FACTOR)
_REACH, _MIRROR = int(BankStructure.REACH), int(BankStructure.MIRROR)
_CONTAINER, _GRID_DEPTH = int(BankStructure.CONTAINER), int(BankShape.DEPTH)
_SUBJECTS, _GRID_CENTRE = int(BankStructure.SUBJECTS), int(BankShape.CENTRE)

_POSE_FATE, _POSE_SHAPE, _MATRIX = int(Pose.FATE), int(Pose.SHAPE), int(Pose.MATRIX)
_CENTRE, _BOX, _SIDES = int(Pose.CENTRE), int(Pose.BOX), int(Pose.DEPTH)
_CLIPPED, _VOXEL = int(Pose.CLIPPED), int(Pose.VOXEL)
_LENGTH, _VALUE = int(Pose.LENGTH), int(Pose.VALUE)
_LEADER, _ANCHOR = int(Pose.LEADER), int(Pose.ANCHOR)
_ANCHOR_BODY, _JITTER = int(Pose.ANCHOR_BODY), int(AnatomySampling.JITTER)
_PLACE, _PLACE_BODY = int(Proposal.PLACE), int(Proposal.BODY)
_NOISE = int(Proposal.NOISE)
_PLACED, _ABSENT = int(Fate.PLACED), int(Fate.ABSENT)

_THIRD = np.float32(1 / 3)
_CLIP = np.float32(3)  # of normal numbers that shape a structure
_LOG2_E = np.float32(1.442695)
_REACH_MOST = np.float32(PROPOSAL_REACH)
_PER_QUANTILE = np.float32(1 / QUANTILE_ONE)
_LARGE, _FAR = np.float32(2.0**30), np.float32(2.0**20)  # as whole numbers, voxels
# Most of the spacing of control points that one may be moved; injective below 0.4033 (Choi, Lee).
_INJECTIVE = np.float32(0.4)
# Source voxels by which a box is wider than its mask, as distances, matrices and positions are
# rounded.
_SLACK = np.float32(0.125)
_MATRIX_ONE, _CONTROL_ONE = np.float32(65536), np.float32(4096)
_VOXEL_ONE, _LENGTH_ONE = np.float32(65536), np.float32(4096)
_POINT_ONE, _BODY_ONE = np.float32(16), np.float32(BODY_UNIT)


@device
def unit_normal(word):
    """Standard normal number as float32, a multiple of 1/4096."""
    return np.float32(normal(word)) * _PER_QUANTILE


@device
def clipped_normal(word):
    """Standard normal number, cut to 3 standard deviations."""
    return clamped(unit_normal(word), -_CLIP, _CLIP)


@device
def rounded(x):
    """Nearest whole number as int64, within 2^30 of 0."""
    return np.int64(whole(floor_of(clamped(x, -_LARGE, _LARGE) + HALF)))


@device
def cube_root(x):
    """Of 1e-9 .. 1e9, to a few roundings: Newton's method."""
    found = ONE
    for _ in range(40):
        found = found - _THIRD * (found - x / (found * found))
    return found


@device
def _clear(values, count):
    """Zeros, from a pointer on."""
    for i in range(count):
        values[i] = 0


@device
def _draw_heads(seed, index, heads):
    """First random words of each object, last those of the volume.

    Of an object: whether it is kept, its subject, mirroring, intensity; stretch along z, y, x and
    scale; angles about z, y, x and strength of the displacement. Of the volume: zoom, structure
    that it is about; from the fifth on, its middle's distance from that.

    Args:
        heads: (N + 1, 4 * _HEAD_DRAWS) uint64, out.
    """
    last = heads.shape[0] - 1
    for n in range(heads.shape[0]):
        draw = (n if n < last else STRUCTURES_MAX) * ANATOMY_DRAWS
        for slot in range(_HEAD_DRAWS):
            w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + slot)
            at = 4 * slot
            heads[n, at], heads[n, at + 1], heads[n, at + 2], heads[n, at + 3] = w0, w1, w2, w3


@device
def _lay_view(settings, structures, head, voxel, origin):
    """Choose what a volume shows.

    Args:
        head: (4 * _HEAD_DRAWS,), random words.
        voxel: (3,) mm, out.
        origin: (3,) mm, middle of the first voxel in the body, out.

    Returns:
        Level of resolution.
    """
    zoom = uniform(head[0], settings[_ZOOM_LOW], settings[_ZOOM_HIGH])
    about = bounded(head[1], 0, structures.shape[0] - 1)
    for axis in range(3):
        voxel[axis] = settings[_SPACING + axis] * zoom
        middle = fused(
            settings[_WANDER] * settings[_BODY + axis], unit_normal(head[4 + axis]),
            structures[about, _MEAN + axis],
        )  # fmt: skip
        origin[axis] = fused(-HALF * (settings[_SHAPE + axis] - ONE), voxel[axis], middle)
    smallest = least(least(voxel[0], voxel[1]), voxel[2])
    level, coarser = 0, settings[_BANK_SPACING] + settings[_BANK_SPACING]
    while level + 1 < int(settings[_LEVELS]) and smallest >= coarser:
        level, coarser = level + 1, coarser + coarser
    return level


@device
def _is_in_view(settings, structure, voxel, origin):
    """Whether the box in which a structure is to be expected meets the view."""
    found = True
    for axis in range(3):
        half = HALF * settings[_SHAPE + axis]
        middle = fused(half - HALF, voxel[axis], origin[axis])
        away = magnitude(structure[_MEAN + axis] - middle)
        found = found and away <= fused(half, voxel[axis], structure[_REACH + axis])
    return found


@device
def _lay_stand(settings, head, mirrored, turn, stretch, cosines, sines):
    """Choose turn and stretch.

    Args:
        head: (4 * _HEAD_DRAWS,), random words of the structure, or of its leader.
        turn: (3, 3), out.
        stretch: (3,), out.
        cosines: (3,), of the angles about z, y, x, out.
        sines: (3,), out.

    Returns:
        Geometric mean of the stretch.
    """
    scale = power_of_two(settings[_SCALE_SD] * _LOG2_E * clipped_normal(head[7]))
    scale = clamped(scale, settings[_SCALE_LOW], settings[_SCALE_HIGH])
    mean = scale
    for axis in range(3):
        own = power_of_two(_THIRD * (settings[_AXIS_SD] * _LOG2_E * clipped_normal(head[4 + axis])))
        stretch[axis] = scale * (own * own * own)
        mean = mean * own
        angle = settings[_TURN_SD] * clipped_normal(head[8 + axis])
        cosines[axis], sines[axis] = cosine_of_turns(angle), sine_of_turns(angle)
    if mirrored:
        stretch[2] = -stretch[2]

    cz, cy, cx = cosines[0], cosines[1], cosines[2]
    sz, sy, sx = sines[0], sines[1], sines[2]
    turn[0, 0], turn[0, 1], turn[0, 2] = cy * cx, cy * sx, -sy
    turn[1, 0] = fused(sz * sy, cx, -(cz * sx))
    turn[1, 1] = fused(sz * sy, sx, cz * cx)
    turn[1, 2] = sz * cy
    turn[2, 0] = fused(cz * sy, cx, sz * sx)
    turn[2, 1] = fused(cz * sy, sx, -(sz * cx))
    turn[2, 2] = cz * cy
    return mean


@device
def _place_of(middle, voxel, origin):
    """Voxel at a position along an axis of the body, mm."""
    return rounded(clamped((middle - origin) / voxel, -_FAR, _FAR))


@device
def _in_body(place, voxel, origin, side):
    """Position of a voxel along an axis of the body, 1/65536 of its side."""
    return rounded(fused(np.float32(place), voxel, origin) / side * _BODY_ONE)


@device
def _lay_proposals(
    settings, middle, factor, voxel, origin, tries, sweeps, seed, index, draw, proposals, places
):
    """Propose places.

    Args:
        middle: (3,) mm in the body, of the places.
        factor: (6,) mm, of their covariance: zz, yz, yy, xz, xy, xx of a lower triangle.
        proposals: (2 * tries + sweeps, Proposal.SIZE), out.
        places: (2, 3) int64, least and most of them, out.
    """
    anywhere = settings[_UNIFORM] != ZERO
    seconds = 2 * tries
    for axis in range(3):
        places[0, axis], places[1, axis] = np.int64(_FAR), -np.int64(_FAR)
    for k in range(seconds + sweeps):
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + PROPOSAL_DRAW + k)
        widen = settings[_WIDEN] if tries <= k < seconds else ONE
        z = clamped(widen * unit_normal(w0), -_REACH_MOST, _REACH_MOST)
        y = clamped(widen * unit_normal(w1), -_REACH_MOST, _REACH_MOST)
        x = clamped(widen * unit_normal(w2), -_REACH_MOST, _REACH_MOST)
        proposals[k, _NOISE] = gumbel(w3) if k < seconds else negative_log(w3)
        first = 0
        for axis in range(3):
            away = factor[first] * z
            if axis > 0:
                away = fused(factor[first + 1], y, away)
            if axis > 1:
                away = fused(factor[first + 2], x, away)
            first += axis + 1
            place = _place_of(middle[axis] + away, voxel[axis], origin[axis])
            if anywhere:
                place = bounded(w0, 0, int(settings[_SHAPE + axis]) - 1)
            w0, w1 = w1, w2
            proposals[k, _PLACE + axis] = place
            places[0, axis] = smaller(places[0, axis], place)
            places[1, axis] = larger(places[1, axis], place)
            proposals[k, _PLACE_BODY + axis] = _in_body(
                place, voxel[axis], origin[axis], settings[_BODY + axis]
            )


@device
def _lay_extents(box, turn, stretch, voxel, spacing, wider, middles, extents, slopes):
    """Bound a mask, undisplaced.

    Args:
        box: (6,) mm, of the mask about its centroid.
        spacing: mm of a source voxel.
        wider: source voxels, by which the bound is wider than the mask.
        middles: (3,) voxels from the centre voxel to the middle of the bound, out.
        extents: (3,) half sides, voxels, out.
        slopes: (3,) most voxels that a point moves along each axis where it moves by up to one
            source voxel along each axis of the source, out.
    """
    for axis in range(3):
        middle, extent, slope, square = ZERO, ZERO, ZERO, ZERO
        for own in range(3):
            step = turn[axis, own] * stretch[own] / voxel[axis]  # voxels a mm
            middle = fused(step, HALF * (box[3 + own] + box[own]), middle)
            extent = fused(magnitude(step), HALF * (box[3 + own] - box[own]), extent)
            slope = slope + magnitude(step)
            square = fused(step, step, square)
        middles[axis], slopes[axis] = middle, slope * spacing
        extents[axis] = fused(wider * spacing, root(square), extent)


@device
def _lay_box(settings, middles, extents, slopes, most_moved, places, cap, pose):
    """BOX, DEPTH .. WIDTH and CLIPPED; sides are 0 where no proposal is in view.

    Args:
        most_moved: displacement, source voxels.
        places: (2, 3) int64, least and most of all proposals.
        cap: (3,) most that the sides may be, multiples of TILE.
    """
    empty = False
    for axis in range(3):
        extent = fused(slopes[axis], most_moved, extents[axis]) + ONE
        low = rounded(floor_of(middles[axis] - extent))
        high = rounded(ceiling(middles[axis] + extent))
        first, last = -places[1, axis], int(settings[_SHAPE + axis]) - 1 - places[0, axis]
        if low < first or high > last:
            low, high = larger(low, first), smaller(high, last)
            pose[_CLIPPED] = 1
        side = quotient(larger(high - low + 1, 0) + TILE - 1, TILE) * TILE
        empty = empty or side == 0
        if side > cap[axis]:
            low += quotient(side - cap[axis], 2)
            side = np.int64(cap[axis])
            pose[_CLIPPED] = 1
        pose[_BOX + axis], pose[_SIDES + axis] = low, side
    if empty:
        for axis in range(3):
            pose[_BOX + axis], pose[_SIDES + axis] = 0, 0


@device
def injective_bound(side, slope):
    """Most of a control point, source voxels, that leaves a displacement injective along an axis.

    Args:
        side: of the box, which three spans of control points cover, voxels.
        slope: see ``_lay_extents``.
    """
    return _INJECTIVE * side * _THIRD / slope


@device
def _lay_controls(sd, bound, seed, index, draw, controls):
    """Control points of the displacement, normal numbers cut at ``bound``; source voxels."""
    w0, w1, w2, w3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    flat = pointer(controls, 0)
    for i in range(controls.size):
        if i % 4 == 0:
            w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + _CONTROL_DRAW + i // 4)
        flat[i] = rounded(clamped(sd * unit_normal(w0), -bound, bound) * _CONTROL_ONE)
        w0, w1, w2 = w1, w2, w3


@device
def _is_drawn(settings, structures, n, head, voxel, origin):
    """Whether a structure is there."""
    return (
        structures[n, _SUBJECTS] > ZERO
        and unit_float(head[0]) < settings[_KEEP]
        and _is_in_view(settings, structures[n], voxel, origin)
    )


@device
def _shape_taken(settings, structures, n, head):
    """The structure whose shape is taken: the mirror image's, or its own."""
    partner = int(structures[n, _MIRROR])
    if structures[partner, _SUBJECTS] > ZERO and unit_float(head[2]) < settings[_MIRROR_SHARE]:
        return partner
    return n


@device
def _subject_of(structures, choices, which, head):
    """One of those who have a structure."""
    return choices[which, bounded(head[1], 0, int(structures[which, _SUBJECTS]) - 1)]


@device
def _follow(
    settings, structures, offset, leader, turn, stretch, voxel, origin, tries, sweeps, seed, index,
    middle, factor, proposals, spread,
):  # fmt: skip
    """Expect a structure where the person has it in its leader, whose place is the expected one.

    Args:
        offset: (3,) mm, of the person's centroids.
        middle: (3,) mm in the body, out.
        factor: (6,) mm, of the covariance, out.
        proposals: (2 * tries + sweeps, Proposal.SIZE), overwritten.
        spread: (2, 3) int64, how far the leader may be off its expected place, voxels; 0 is within,
            as it may not be placed; out.
    """
    mean = structures[leader, _MEAN : _MEAN + 3]
    _lay_proposals(
        settings, mean, structures[leader, _FACTOR : _FACTOR + 6], voxel, origin, tries, sweeps,
        seed, index, leader * ANATOMY_DRAWS, proposals, spread,
    )  # fmt: skip
    for axis in range(3):
        anchor = _place_of(mean[axis], voxel[axis], origin[axis])
        spread[0, axis] = smaller(spread[0, axis] - anchor, 0)
        spread[1, axis] = larger(spread[1, axis] - anchor, 0)
        middle[axis] = fused(np.float32(anchor), voxel[axis], origin[axis])
        for own in range(3):
            middle[axis] = fused(turn[axis, own] * stretch[own], offset[own], middle[axis])
    for i in range(6):
        factor[i] = ZERO
    factor[0], factor[2], factor[5] = settings[_JITTER], settings[_JITTER], settings[_JITTER]


@device
def _sample_structure(
    settings, structures, choices, boxes, offsets, surface, shapes, caps, tries, sweeps, seed,
    index, level, n, heads, voxel, origin, work, places, pose, controls, points, proposals,
):  # fmt: skip
    head, draw = heads[n], n * ANATOMY_DRAWS
    pose[_POSE_FATE] = _ABSENT
    if not _is_drawn(settings, structures, n, head, voxel, origin):
        return
    # What is contained is of the same person as its container, turned, scaled and moved with it.
    count, leader = structures.shape[0], int(structures[n, _CONTAINER])
    which = _shape_taken(settings, structures, n, heads[leader])
    leading = _shape_taken(settings, structures, leader, heads[leader])
    subject = _subject_of(structures, choices, leading, heads[leader])
    if (
        settings[_UNIFORM] != ZERO
        or int(structures[which, _CONTAINER]) != leading
        or shapes[subject * count + which, _GRID_DEPTH] == 0
        or not _is_drawn(settings, structures, leader, heads[leader], voxel, origin)
    ):
        leader = n
        which = _shape_taken(settings, structures, n, head)
        subject = _subject_of(structures, choices, which, head)
    own = subject * count + which
    shape = level * choices.shape[1] * count + own
    pose[_POSE_FATE], pose[_POSE_SHAPE] = _PLACED, shape
    pose[_VALUE] = bounded(head[3], int(settings[_VALUE_LOW]), int(settings[_VALUE_HIGH]))

    turn, stretch = work[:3], work[3]
    size = _lay_stand(settings, heads[leader], which != n, turn, stretch, work[4], work[5])
    spacing = settings[_BANK_SPACING] * np.float32(1 << level)
    for axis in range(3):
        pose[_CENTRE + axis] = shapes[shape, _GRID_CENTRE + axis]
        for to in range(3):
            step = turn[to, axis] * voxel[to] / (stretch[axis] * spacing)
            pose[_MATRIX + 3 * axis + to] = rounded(step * _MATRIX_ONE)
    per_voxel = cube_root(voxel[0] * voxel[1] * voxel[2]) / (size * spacing)
    pose[_VOXEL] = rounded(per_voxel * _VOXEL_ONE)
    pose[_LENGTH] = rounded(size * spacing * _LENGTH_ONE)

    least_most, spread = places[:2], places[2:]
    spread[:] = 0
    middle, factor = structures[n, _MEAN : _MEAN + 3], structures[n, _FACTOR : _FACTOR + 6]
    if leader != n:
        pose[_LEADER] = leader + 1
        middle, factor = work[4], work[5:7].reshape(6)
        _follow(
            settings, structures, offsets[own], leader, turn, stretch, voxel, origin, tries, sweeps,
            seed, index, middle, factor, proposals, spread,
        )  # fmt: skip
    _lay_proposals(
        settings, middle, factor, voxel, origin, tries, sweeps, seed, index, draw, proposals,
        least_most,
    )  # fmt: skip
    for axis in range(3):
        anchor = _place_of(middle[axis], voxel[axis], origin[axis])
        pose[_ANCHOR + axis] = anchor
        pose[_ANCHOR_BODY + axis] = _in_body(
            anchor, voxel[axis], origin[axis], settings[_BODY + axis]
        )
        least_most[0, axis] += spread[0, axis]
        least_most[1, axis] += spread[1, axis]

    middles, extents, slopes = work[4], work[5], work[6]
    wider = fused(settings[_MARGIN], per_voxel, _SLACK)
    _lay_extents(boxes[own], turn, stretch, voxel, spacing, wider, middles, extents, slopes)
    sd = uniform(head[11], settings[_DISPLACEMENT_LOW], settings[_DISPLACEMENT_HIGH]) / spacing
    bound = _CLIP * sd
    for axis in range(3):
        bound = least(bound, injective_bound(extents[axis] + extents[axis], slopes[axis]))
    _lay_box(settings, middles, extents, slopes, bound, least_most, caps[n], pose)
    for axis in range(3):
        side = np.float32(pose[_SIDES + axis])
        bound = least(bound, injective_bound(side, slopes[axis]))
    if bound > ZERO:
        _lay_controls(sd, bound, seed, index, draw, controls)

    for i in range(points.shape[0]):
        for axis in range(3):
            at = ZERO
            for source in range(3):
                at = fused(turn[axis, source] * stretch[source], surface[own, i, source], at)
            points[i, axis] = rounded(at / voxel[axis] * _POINT_ONE)


@kernel
def sample_anatomy(
    settings, structures, choices, boxes, offsets, surface, shapes, caps, tries, sweeps, seed,
    index, poses, controls, points, proposals,
):  # fmt: skip
    """Draw the structures of a volume.

    Args:
        settings: (AnatomySampling.SIZE,) float32.
        structures: (N, BankStructure.SIZE) float32.
        choices: (N, S) int32, subjects that have a structure, SUBJECTS of them.
        boxes: (S*N, 6) float32, first and last corner of a mask about its centroid, mm.
        offsets: (S*N, 3) float32, of its centroid from its container's, mm.
        surface: (S*N, BANK_POINTS, 3) float32, points about the centroid, mm.
        shapes: (L*S*N, BankShape.SIZE) int32.
        caps: (N, 3) int32, most that a box's sides may be, multiples of TILE.
        tries: proposals of a round.
        sweeps: proposals after two rounds, one for each sweep.
        seed: uint64.
        index: uint64, of the volume.
        poses: (N, Pose.SIZE) int32, out.
        controls: (N, 3, CONTROLS, CONTROLS, CONTROLS) int32, 1/4096 source voxel, out.
        points: (N, BANK_POINTS, 3) int32, the points in 1/16 voxel from the centre voxel, out.
        proposals: (N, 2 * tries + sweeps, Proposal.SIZE) int32, out.

    All is 0 but FATE for a structure that is absent.
    """
    work, places = np.empty((9, 3), np.float32), np.empty((4, 3), np.int64)
    voxel, origin = work[7], work[8]
    count = poses.shape[0]
    heads = np.empty((count + 1, 4 * _HEAD_DRAWS), np.uint64)
    _draw_heads(seed, index, heads)
    level = _lay_view(settings, structures, heads[count], voxel, origin)
    _clear(pointer(poses, 0), poses.size)
    _clear(pointer(controls, 0), controls.size)
    _clear(pointer(points, 0), points.size)
    _clear(pointer(proposals, 0), proposals.size)
    for n in range(count):
        _sample_structure(
            settings, structures, choices, boxes, offsets, surface, shapes, caps, tries, sweeps,
            seed, index, level, n, heads, voxel, origin, work, places, poses[n], controls[n],
            points[n], proposals[n],
        )  # fmt: skip

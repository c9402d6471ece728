"""Image and inside masks of a scene of signed distance functions. Twin of ``draw_sdf.cu``.

A plane of voxels (one z) is drawn at a time, object after object, so that what is summed stays near
the processor. An object's bound gives each row of the plane an interval, which is drawn in chunks
of sixteen lanes. Chunks of a row never overlap: those that would pass the row's end are moved back,
and draw some voxels outside the interval, which changes nothing.

Rows of tables are passed on as pointers, as a loop that passes arrays on counts references.
"""

import numpy as np

from .bits import smaller
from .displacement import displaced, displacement_at, row_terms
from .float_lanes import (
    WIDTH,
    added,
    all_bits,
    both,
    chosen,
    either,
    filled,
    floor_of,
    fused,
    least,
    load,
    magnitude,
    most,
    pointer,
    root,
    splat,
    steps,
    store,
    store_narrow,
    sum_of,
    whole,
)
from .jit import device, kernel
from .mapper import PEAK, mapped
from .mapper_records import (
    DisplacementFamily,
    DisplacementRow,
    DisplacementTable,
    NoiseRow,
    VolumeAxis,
)
from .noise import gradient_noise
from .real import ONE, ZERO, ceiling, clamped
from .scene_field import SURFACE, blended, part_distance, row_point, row_start, shifted
from .scene_records import PLANES_MAX, SceneBound, SceneObject

_HUGE, _TINY = np.float32(1e30), np.float32(1e-12)
_LANES, _PER_LANES = np.float32(WIDTH), np.float32(1 / WIDTH)
_NO_BITS = np.int32(0)
# Limits and the quadric are moved outwards by this much, for the rounding of intervals.
_SLACK, _SLACK_SHARE = np.float32(2.0**-7), np.float32(1.0 + 2.0**-13)
_FLAT = np.float32(2.0**-10)  # a plane's slope along x below which it takes or leaves whole rows
_FLAT_SQUARE = np.float32(2.0**-14)  # likewise of a quadric

_DISPLACEMENT, _MAPPER = int(SceneObject.DISPLACEMENT), int(SceneObject.MAPPER)
_PARTS, _BLEND = int(SceneObject.PARTS), int(SceneObject.BLEND)
_MATRIX, _KEY = int(SceneObject.MATRIX), int(SceneObject.KEY)
_PLANES, _RADIUS = int(SceneBound.PLANES), int(SceneBound.RADIUS)
_WEIGHT, _PLANE = int(SceneBound.WEIGHT), int(SceneBound.PLANE)
_FAMILY, _NOISE = int(DisplacementRow.FAMILY), int(DisplacementFamily.NOISE)
_AMPLITUDE = int(NoiseRow.AMPLITUDE)
_FIRST, _SECOND = int(DisplacementTable.FIRST), int(DisplacementTable.SECOND)
_COLUMNS = int(DisplacementTable.SIZE)
_Z, _Y, _X = int(VolumeAxis.Z), int(VolumeAxis.Y), int(VolumeAxis.X)

# An object's limits: how many there are from above and from below, then these of b, c and d each; a
# limit is x = b y + c z + d.
_ABOVE, _BELOW, _LIMIT = 0, 1, 2
_LIMITS_SIZE = _LIMIT + 2 * 3 * PLANES_MAX


# Which voxels of a plane an object's bound leaves.


@device
def lay_limits(bound, width, limits):
    """Lay down a bound's planes as limits of x.

    Args:
        bound: (SceneBound.SIZE,) float32.
        width: of the volume.
        limits: (_LIMITS_SIZE,) float32, written.
    """
    limits[_ABOVE], limits[_BELOW] = ZERO, ZERO
    wide = np.float32(width)
    for plane in range(int(bound[_PLANES])):
        at = _PLANE + 4 * plane
        a, b, c, d = bound[at], bound[at + 1], bound[at + 2], bound[at + 3] + _SLACK
        slope = magnitude(a)
        side, per, rest = _ABOVE, ONE / most(slope, _FLAT), ZERO
        if slope < _FLAT:  # where the plane leaves the row whole, the limit is beyond the row's end
            d, rest = fused(slope, wide, d), wide
        elif a < ZERO:
            side, per = _BELOW, -per
        to = _LIMIT + 3 * (side * PLANES_MAX + int(limits[side]))
        limits[to], limits[to + 1], limits[to + 2] = -b * per, -c * per, fused(d, per, rest)
        limits[side] += ONE


@device
def limit_at(limits, number, y, z):
    """Place of a limit in the rows ``y`` of plane ``z``."""
    at = _LIMIT + 3 * number
    return fused(limits[at], y, fused(limits[at + 1], z, limits[at + 2]))


@device
def limited(limits, y, z, width):
    """Interval of x that the limits leave of each row ``y``."""
    low, high = filled(y, ZERO), filled(y, width - ONE)
    for i in range(int(limits[_ABOVE])):
        high = least(high, limit_at(limits, i, y, z))
    for i in range(int(limits[_BELOW])):
        low = most(low, limit_at(limits, PLANES_MAX + i, y, z))
    return low, high


@device
def within_quadric(item, bound, y, z, low, high):
    """The part of an interval of x that the quadric leaves of each row ``y``.

    The row's point nearest to the quadric's middle is found first: in its place a row's length is
    small, and loses no digits. Where the quadric hardly changes along x, the interval is left as it
    is, or is empty.
    """
    wx, wy, wz = bound[_WEIGHT], bound[_WEIGHT + 1], bound[_WEIGHT + 2]
    ax, ay, az = wx * item[_MATRIX], wy * item[_MATRIX + 4], wz * item[_MATRIX + 8]
    sx, sy, sz = row_start(item, y, z)
    sx, sy, sz = wx * sx, wy * sy, wz * sz
    square = fused(ax, ax, fused(ay, ay, az * az))
    per = ONE / most(square, _TINY)
    middle = -fused(ax, sx, fused(ay, sy, az * sz)) * per
    if square < _FLAT_SQUARE:
        middle = clamped(middle, low, high)
    sx, sy, sz = fused(ax, middle, sx), fused(ay, middle, sy), fused(az, middle, sz)
    radius = fused(bound[_RADIUS], _SLACK_SHARE, _SLACK)
    room = fused(radius, radius, -fused(sx, sx, fused(sy, sy, sz * sz)))
    high = chosen(room < ZERO, filled(y, -ONE), high)
    if square < _FLAT_SQUARE:
        return low, high
    half = root(most(room, ZERO) * per)
    return most(low, middle - half), least(high, middle + half)


@device
def clip_plane(item, bound, limits, z, height, width, starts, chunks):
    """Intervals of a plane's rows as chunks.

    Args:
        item: (SceneObject.SIZE,) float32, the object.
        bound: (SceneBound.SIZE,) float32.
        limits: see ``lay_limits``.
        z: of the plane.
        height: of the volume.
        width: of the volume.
        starts: (height in whole lanes,) int32, written: first voxel of each row.
        chunks: as ``starts``, written: how many chunks from there.

    Returns:
        The chunks of all rows.
    """
    level, wide = np.float32(z), np.float32(width)
    total = splat(_NO_BITS)
    for first in range(0, height, WIDTH):
        y = steps() + np.float32(first)
        low, high = limited(limits, y, level, wide)
        low, high = within_quadric(item, bound, y, level, low, high)
        high = chosen(y < np.float32(height), high, filled(y, -ONE))
        low, high = ceiling(low), floor_of(high)
        used = floor_of((most(high - low, -ONE) + _LANES) * _PER_LANES)
        start = most(least(low, wide - _LANES * used), ZERO)
        store(chunks, first, whole(used))
        store(starts, first, whole(start))
        total = added(total, whole(used))
    return np.int64(sum_of(total))


# What is drawn in them.


@device
def draw_distances(item, part, row, grids, side, z, starts, chunks, field):
    """Write a part's distances in a plane, chunk after chunk; blend those of a second part in.

    Args:
        item: (SceneObject.SIZE,) float32, the object.
        part: 0 or 1.
        row: (SdfRow.SIZE,) float32, of the part.
        grids: see ``grid_distance``.
        side: see ``grid_distance``.
        z: of the plane.
        starts: see ``clip_plane``.
        chunks: see ``clip_plane``.
        field: float32, written.
    """
    level, at = np.float32(z), 0
    for y in range(chunks.size):
        used = np.int64(chunks[y])
        if used == 0:
            continue
        begin = row_start(item, np.float32(y), level)
        first = np.int64(starts[y])
        for column in range(first, first + WIDTH * used, WIDTH):
            point = row_point(item, steps() + np.float32(column), begin)
            if part != 0:
                point = shifted(item, point)
            s = part_distance(row, grids, side, point)
            if part != 0:
                s = blended(load(field, at), s, item[_BLEND])
            store(field, at, s)
            at += WIDTH


@device
def draw_greys(
    item, displacement, table, mapper, texture, object_frame, z, width, starts, chunks, field,
    total, words, bit,
):  # fmt: skip
    """Displace an object's distances in a plane, then add their grey levels and mark the inside.

    Args:
        item: (SceneObject.SIZE,) float32, the object.
        displacement: (DisplacementRow.SIZE,) float32.
        table: (VolumeAxis, DisplacementTable, S) float32, of the displacement.
        mapper: (MapperRow.SIZE,) float32.
        texture: see ``draw_sdf``.
        object_frame: see ``draw_sdf``.
        z: of the plane.
        width: of the volume.
        starts: see ``clip_plane``.
        chunks: see ``clip_plane``.
        field: see ``draw_distances``.
        total: (H * width in whole lanes,) float32, added to.
        words: as ``total``, int32, ``bit`` set inside.
        bit: of the object.

    Returns:
        Voxels inside.
    """
    stride = WIDTH * ((width + WIDTH - 1) // WIDTH)
    key, level, wide = int(item[_KEY]), np.float32(z), np.float32(width)
    own_frame = object_frame != 0 or int(displacement[_FAMILY]) == _NOISE
    textured = texture[_AMPLITUDE] != ZERO
    step = table.shape[2]
    at_x, at_y, at_z = (
        pointer(table, _X * _COLUMNS * step),
        pointer(table, _Y * _COLUMNS * step),
        pointer(table, _Z * _COLUMNS * step + z),
    )
    first, second = _FIRST * step, _SECOND * step
    count, source = splat(_NO_BITS), 0
    for y in range(chunks.size):
        used = np.int64(chunks[y])
        if used == 0:
            continue
        terms = row_terms(
            displacement, at_y[first + y], at_y[second + y], at_z[first], at_z[second]
        )
        begin = row_start(item, np.float32(y), level)
        start = np.int64(starts[y])
        for column in range(start, start + WIDTH * used, WIDTH):
            x = steps() + np.float32(column)
            point = x, x, x
            if own_frame or textured:
                point = row_point(item, x, begin)
            s = load(field, source)
            source += WIDTH
            if own_frame:
                s = s + displacement_at(displacement, key, *point)
            else:
                s = s + displaced(terms, load(at_x, first + column), load(at_x, second + column))
            if stride != width:
                s = chosen(x < wide, s, filled(s, _HUGE))
            inside = all_bits(s <= SURFACE)
            count = added(count, inside)
            target = y * stride + column
            store(words, target, either(load(words, target), both(inside, bit)))
            grey = mapped(mapper, s)
            if textured:
                grey = grey * (ONE + gradient_noise(texture, key, *point))
            store(total, target, load(total, target) + grey)
    return -np.int64(sum_of(count))


@device
def write_plane(total, words, z, shape, image, masks):
    """Write what was drawn of a plane; each row's end is written with its last sixteen voxels.

    Args:
        total: see ``draw_greys``.
        words: as of ``draw_greys``, for each word of the masks.
        z: of the plane.
        shape: (D, H, W).
        image: (D * H * W,) uint8, written.
        masks: (M, D, H, W) uint32, written.
    """
    depth, height, width = shape
    stride = WIDTH * ((width + WIDTH - 1) // WIDTH)
    target = pointer(masks, 0)
    for y in range(height):
        for column in range(0, width, WIDTH):
            x = smaller(column, width - WIDTH)
            to = (z * height + y) * width + x
            store_narrow(image, to, whole(clamped(load(total, y * stride + x), ZERO, PEAK)))
            for word in range(masks.shape[0]):
                bits = load(words, (word * height + y) * stride + x)
                store(target, word * depth * height * width + to, bits)


@kernel
def draw_sdf(
    objects, parts, bounds, displacements, tables, mappers, texture, object_frame, grids, image,
    masks, counts, evaluations, shape,
):  # fmt: skip
    """Draw the objects of a volume.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        parts: (N, P, SdfRow.SIZE) float32.
        bounds: (N, SceneBound.SIZE) float32.
        displacements: (J, DisplacementRow.SIZE) float32.
        tables: (J, VolumeAxis, DisplacementTable, S) float32, S at least the longest axis in whole
            lanes.
        mappers: (K, MapperRow.SIZE) float32.
        texture: (NoiseRow.SIZE,) float32, multiplies the grey levels; off with an amplitude of 0.
        object_frame: 1: displacements are in the object's frame, 0: in the volume's.
        grids: (G, R, R, R) float32, see ``sdf_grid``.
        image: (D * H * W,) uint8, out.
        masks: (M, D, H, W) uint32, out: bit n % 32 of word n // 32 where object n is inside.
        counts: (N,) int64, out: voxels inside each object.
        evaluations: (1,) int64, out: distances of a voxel to an object that were evaluated: here
            whole chunks of sixteen lanes, on CUDA the volume's voxels in the patches of 8 x 4 that
            an object's bound left.
        shape: (D, H, W), W at least WIDTH.
    """
    depth, height, width = shape
    objects_drawn, chunks_drawn = objects.shape[0], 0
    plane = height * WIDTH * ((width + WIDTH - 1) // WIDTH)
    total, field = np.empty(plane, np.float32), np.empty(plane, np.float32)
    words = np.empty(masks.shape[0] * plane, np.int32)
    rows = WIDTH * ((height + WIDTH - 1) // WIDTH)
    starts, chunks = np.empty(rows, np.int32), np.empty(rows, np.int32)
    limits = np.empty(objects_drawn * _LIMITS_SIZE, np.float32)
    for n in range(objects_drawn):
        counts[n] = 0
        bound = pointer(bounds, n * bounds.shape[1])
        lay_limits(bound, width, pointer(limits, n * _LIMITS_SIZE))
    for z in range(depth):
        total[:] = ZERO
        words[:] = _NO_BITS
        for n in range(objects_drawn):
            item = pointer(objects, n * objects.shape[1])
            bound = pointer(bounds, n * bounds.shape[1])
            limit = pointer(limits, n * _LIMITS_SIZE)
            found = clip_plane(item, bound, limit, z, height, width, starts, chunks)
            if found == 0:
                continue
            chunks_drawn += found
            for part in range(int(item[_PARTS])):
                row = pointer(parts, (n * parts.shape[1] + part) * parts.shape[2])
                source = pointer(grids, 0)
                draw_distances(item, part, row, source, grids.shape[1], z, starts, chunks, field)
            which = int(item[_DISPLACEMENT])
            mapper = pointer(mappers, int(item[_MAPPER]) * mappers.shape[1])
            displacement = pointer(displacements, which * displacements.shape[1])
            counts[n] += draw_greys(
                item, displacement, tables[which], mapper, pointer(texture, 0), object_frame, z,
                width, starts, chunks, field, total, words[(n >> 5) * plane :],
                np.int32(1 << (n & 31)),
            )  # fmt: skip
        write_plane(total, words, z, shape, image, masks)
    evaluations[0] = WIDTH * chunks_drawn

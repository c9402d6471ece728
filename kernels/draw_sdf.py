"""Image and inside masks of a scene of signed distance functions. Twin of ``draw_sdf.cu``.

A plane of voxels (one z) is drawn at a time, object after object, so that what is summed stays near
the processor. An object's bound gives each row of the plane an interval, which is drawn in chunks
of sixteen lanes. Chunks of a row never overlap: those that would pass the row's end are moved back,
and draw some voxels outside the interval, which changes nothing.
"""

import numpy as np

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
from .scene_records import PLANES_MAX, SceneBound, SceneObject
from .sdf import distance
from .sdf_grid import grid_distance
from .sdf_records import SdfLift, SdfRow

SURFACE = np.float32(2.0**-20)  # inside: a distance of at most this

_FOUR, _HUGE, _TINY = np.float32(4), np.float32(1e30), np.float32(1e-12)
_LANES = np.float32(WIDTH)
_NO_BITS = np.int32(0)
# A bound's planes and quadric are moved outwards by this much, for the rounding of the intervals.
_SLACK, _SLACK_SHARE = np.float32(2.0**-7), np.float32(1.0 + 2.0**-13)
_FLAT = np.float32(2.0**-10)  # a plane's slope along x below which it takes or leaves whole rows
_FLAT_SQUARE = np.float32(2.0**-14)  # likewise of a quadric

_DISPLACEMENT, _MAPPER = int(SceneObject.DISPLACEMENT), int(SceneObject.MAPPER)
_PARTS, _BLEND, _SHIFT = int(SceneObject.PARTS), int(SceneObject.BLEND), int(SceneObject.SHIFT)
_MATRIX, _KEY = int(SceneObject.MATRIX), int(SceneObject.KEY)
_PLANES, _RADIUS = int(SceneBound.PLANES), int(SceneBound.RADIUS)
_WEIGHT, _PLANE = int(SceneBound.WEIGHT), int(SceneBound.PLANE)
_LIFT, _GRID = int(SdfRow.LIFT), int(SdfLift.GRID)
_FAMILY, _NOISE = int(DisplacementRow.FAMILY), int(DisplacementFamily.NOISE)
_AMPLITUDE = int(NoiseRow.AMPLITUDE)
_FIRST, _SECOND = int(DisplacementTable.FIRST), int(DisplacementTable.SECOND)
_Z, _Y, _X = int(VolumeAxis.Z), int(VolumeAxis.Y), int(VolumeAxis.X)

# A limit is x = b y + c z + d.
_ABOVE, _BELOW = 0, 1


# Which voxels of a plane an object's bound leaves.


@device
def lay_limits(bound, width, limits, counts):
    """Lay down a bound's planes as limits of x.

    Args:
        bound: (SceneBound.SIZE,) float32.
        width: of the volume.
        limits: (2, PLANES_MAX, 3) float32, written: from above, from below.
        counts: (2,) int64, written.
    """
    counts[_ABOVE], counts[_BELOW] = 0, 0
    for plane in range(int(bound[_PLANES])):
        at = _PLANE + 4 * plane
        a, b, c, d = bound[at], bound[at + 1], bound[at + 2], bound[at + 3]
        d += _SLACK
        side = _BELOW if a < ZERO else _ABOVE
        slope = magnitude(a)
        per, rest = ONE / most(slope, _FLAT), ZERO
        if slope < _FLAT:  # as the limit of a row that it leaves whole lies beyond the row's end
            d, rest, side = fused(slope, np.float32(width), d), np.float32(width), _ABOVE
        if side == _BELOW:
            per = -per
        limit = limits[side, counts[side]]
        limit[0], limit[1], limit[2] = -b * per, -c * per, fused(d, per, rest)
        counts[side] += 1


@device
def planes_interval(limits, counts, y, z, width):
    """Interval of x that the planes leave of each row ``y``."""
    low, high = filled(y, ZERO), filled(y, width - ONE)
    for i in range(counts[_ABOVE]):
        limit = limits[_ABOVE, i]
        high = least(high, fused(limit[0], y, fused(limit[1], z, limit[2])))
    for i in range(counts[_BELOW]):
        limit = limits[_BELOW, i]
        low = most(low, fused(limit[0], y, fused(limit[1], z, limit[2])))
    return low, high


@device
def quadric_interval(item, bound, y, z, low, high):
    """The part of an interval of x that the quadric leaves of each row ``y``."""
    wx, wy, wz = bound[_WEIGHT], bound[_WEIGHT + 1], bound[_WEIGHT + 2]
    ax, ay, az = wx * item[_MATRIX], wy * item[_MATRIX + 4], wz * item[_MATRIX + 8]
    kx = wx * fused(item[_MATRIX + 1], y, fused(item[_MATRIX + 2], z, item[_MATRIX + 3]))
    ky = wy * fused(item[_MATRIX + 5], y, fused(item[_MATRIX + 6], z, item[_MATRIX + 7]))
    kz = wz * fused(item[_MATRIX + 9], y, fused(item[_MATRIX + 10], z, item[_MATRIX + 11]))
    square = fused(ax, ax, fused(ay, ay, az * az))
    per = ONE / most(square, _TINY)
    middle = -fused(ax, kx, fused(ay, ky, az * kz)) * per
    if square < _FLAT_SQUARE:
        middle = least(most(middle, low), high)
    kx, ky, kz = fused(ax, middle, kx), fused(ay, middle, ky), fused(az, middle, kz)
    radius = fused(bound[_RADIUS], _SLACK_SHARE, _SLACK)
    room = fused(radius, radius, -fused(kx, kx, fused(ky, ky, kz * kz)))
    high = chosen(room < ZERO, filled(y, -ONE), high)
    if square < _FLAT_SQUARE:
        return low, high
    half = root(most(room, ZERO) * per)
    return most(low, middle - half), least(high, middle + half)


@device
def clip_plane(item, bound, limits, counts, z, height, width, starts, chunks):
    """Intervals of a plane's rows as chunks.

    Args:
        item: (SceneObject.SIZE,) float32, the object.
        bound: (SceneBound.SIZE,) float32.
        limits: see ``lay_limits``.
        counts: see ``lay_limits``.
        z: of the plane.
        height: of the volume.
        width: of the volume.
        starts: (height, rounded up to WIDTH,) int32, written: first voxel of each row.
        chunks: as ``starts``, written: how many chunks from there.

    Returns:
        The chunks of all rows.
    """
    level, wide = np.float32(z), np.float32(width)
    total = splat(_NO_BITS)
    for first in range(0, height, WIDTH):
        y = steps() + np.float32(first)
        low, high = planes_interval(limits, counts, y, level, wide)
        low, high = quadric_interval(item, bound, y, level, low, high)
        high = chosen(y < np.float32(height), high, filled(y, -ONE))
        low, high = ceiling(low), floor_of(high)
        used = floor_of((most(high - low, -ONE) + _LANES) * (ONE / _LANES))
        start = most(least(low, np.float32(width) - _LANES * used), ZERO)
        store(chunks, first, whole(used))
        store(starts, first, whole(start))
        total = added(total, whole(used))
    return np.int64(sum_of(total))


# What is drawn in a chunk.


@device
def blended(a, b, width):
    """Smooth minimum of two distances that differ by less than ``width`` > 0, else the minimum."""
    depth = most(width - magnitude(a - b), ZERO)
    return least(a, b) - depth * depth / (_FOUR * width)


@device
def part_distance(row, grids, side, x, y, z):
    """Signed distance of one part, whatever it is."""
    if int(row[_LIFT]) == _GRID:
        return grid_distance(grids, side, row, x, y, z)
    return distance(row, x, y, z)


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
    level = np.float32(z)
    at = 0
    for y in range(starts.size):
        used = np.int64(chunks[y])
        if used == 0:
            continue
        row_y = np.float32(y)
        kx = fused(item[_MATRIX + 1], row_y, fused(item[_MATRIX + 2], level, item[_MATRIX + 3]))
        ky = fused(item[_MATRIX + 5], row_y, fused(item[_MATRIX + 6], level, item[_MATRIX + 7]))
        kz = fused(item[_MATRIX + 9], row_y, fused(item[_MATRIX + 10], level, item[_MATRIX + 11]))
        start = np.int64(starts[y])
        for first in range(start, start + WIDTH * used, WIDTH):
            x = steps() + np.float32(first)
            px = fused(item[_MATRIX], x, kx)
            py = fused(item[_MATRIX + 4], x, ky)
            pz = fused(item[_MATRIX + 8], x, kz)
            if part != 0:
                px, py, pz = px - item[_SHIFT], py - item[_SHIFT + 1], pz - item[_SHIFT + 2]
            s = part_distance(row, grids, side, px, py, pz)
            if part != 0:
                s = blended(load(field, at), s, item[_BLEND])
            store(field, at, s)
            at += WIDTH


@device
def draw_plane(
    item, displacement, table, mapper, texture, object_frame, z, height, width, starts, chunks,
    field, total, words, bit,
):  # fmt: skip
    """Draw an object into a plane; the voxels inside."""
    stride = WIDTH * ((width + WIDTH - 1) // WIDTH)
    ragged = stride != width
    key = int(item[_KEY])
    own_frame = object_frame != 0 or int(displacement[_FAMILY]) == _NOISE
    textured = texture[_AMPLITUDE] != ZERO
    x_table = table[_X].reshape(-1)
    second = table.shape[2]
    level = np.float32(z)
    wide = np.float32(width)
    inside_count = splat(_NO_BITS)
    source = 0
    for y in range(height):
        used = np.int64(chunks[y])
        if used == 0:
            continue
        row_y = np.float32(y)
        terms = row_terms(
            displacement, table[_Y, _FIRST, y], table[_Y, _SECOND, y], table[_Z, _FIRST, z],
            table[_Z, _SECOND, z],
        )  # fmt: skip
        kx = fused(item[_MATRIX + 1], row_y, fused(item[_MATRIX + 2], level, item[_MATRIX + 3]))
        ky = fused(item[_MATRIX + 5], row_y, fused(item[_MATRIX + 6], level, item[_MATRIX + 7]))
        kz = fused(item[_MATRIX + 9], row_y, fused(item[_MATRIX + 10], level, item[_MATRIX + 11]))
        start = np.int64(starts[y])
        for at in range(start, start + WIDTH * used, WIDTH):
            x = steps() + np.float32(at)
            px, py, pz = x, x, x
            if own_frame or textured:
                px = fused(item[_MATRIX], x, kx)
                py = fused(item[_MATRIX + 4], x, ky)
                pz = fused(item[_MATRIX + 8], x, kz)
            s = load(field, source)
            source += WIDTH
            if own_frame:
                s = s + displacement_at(displacement, key, px, py, pz)
            else:
                s = s + displaced(terms, load(x_table, at), load(x_table, second + at))
            if ragged:
                s = chosen(x < wide, s, filled(s, _HUGE))
            inside = all_bits(s <= SURFACE)
            inside_count = added(inside_count, inside)
            here = y * stride + at
            store(words, here, either(load(words, here), both(inside, bit)))
            grey = mapped(mapper, s)
            if textured:
                grey = grey * (ONE + gradient_noise(texture, key, px, py, pz))
            store(total, here, load(total, here) + grey)
    return -np.int64(sum_of(inside_count))


@device
def write_plane(total, words, z, shape, stride, image, masks, planes):
    """Write what was drawn of a plane; the end of a row is written from its last sixteen."""
    depth, height, width = shape
    for y in range(height):
        target = (z * height + y) * width
        for first in range(0, width, WIDTH):
            x = min(first, width - WIDTH)
            level = clamped(load(total, y * stride + x), ZERO, PEAK)
            store_narrow(image, target + x, whole(level))
            for plane in range(planes):
                word = load(words, (plane * height + y) * stride + x)
                store(masks, plane * depth * height * width + target + x, word)


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
        evaluations: (1,) int64, out: voxels whose distance to an object was evaluated.
        shape: (D, H, W), W at least WIDTH.
    """
    depth, height, width = shape
    stride = WIDTH * ((width + WIDTH - 1) // WIDTH)
    count = objects.shape[0]
    plane = height * stride
    total, field = np.empty(plane, np.float32), np.empty(plane, np.float32)
    words = np.empty(masks.shape[0] * plane, np.int32)
    flat_masks = masks.reshape(-1)
    side = grids.shape[1]
    limits = np.empty((count, 2, PLANES_MAX, 3), np.float32)
    limit_counts = np.empty((count, 2), np.int64)
    rows = WIDTH * ((height + WIDTH - 1) // WIDTH)
    starts, chunks = np.empty(rows, np.int32), np.empty(rows, np.int32)
    chunks_drawn = 0
    for n in range(count):
        counts[n] = 0
        lay_limits(bounds[n], width, limits[n], limit_counts[n])
    for z in range(depth):
        for i in range(total.size):
            total[i] = ZERO
        for i in range(words.size):
            words[i] = _NO_BITS
        for n in range(count):
            item = pointer(objects, n * objects.shape[1])
            drawn = clip_plane(
                item, bounds[n], limits[n], limit_counts[n], z, height, width, starts, chunks
            )
            if drawn == 0:
                continue
            chunks_drawn += drawn
            which = int(item[_DISPLACEMENT])
            for part in range(int(item[_PARTS])):
                row = pointer(parts, (n * parts.shape[1] + part) * parts.shape[2])
                draw_distances(item, part, row, pointer(grids, 0), side, z, starts, chunks, field)
            counts[n] += draw_plane(
                item, pointer(displacements, which * displacements.shape[1]), tables[which],
                pointer(mappers, int(item[_MAPPER]) * mappers.shape[1]), pointer(texture, 0),
                object_frame, z, height, width, starts,
                chunks, field, total, words[(n >> 5) * plane :], np.int32(1 << (n & 31)),
            )  # fmt: skip
        write_plane(total, words, z, shape, stride, image, flat_masks, masks.shape[0])
    evaluations[0] = WIDTH * chunks_drawn

"""Polygon stacks into rows of bits, label and contour. Twin of ``rasterize_polygon_stack.cu``."""

import numpy as np

from .bits import larger, quotient, smaller, span
from .jit import device, inlined, kernel
from .lanes import (
    WIDTH,
    at_most,
    below,
    load,
    maximum,
    minimum,
    shift_left,
    shift_right,
    splat,
    steps,
    store,
    total_popcount,
    turned,
)  # fmt: skip
from .polygon import (
    BIAS,
    CEIL,
    FAR,
    ellipse_step,
    ellipse_vertex,
    half_width,
    margin,
    polygon_vertex,
    reciprocal,
    row_at_or_after,
    scale_at,
    slab,
    strip,
)
from .records import VERTICES_MAX, Box, Object, Slice

_VERTICES, _RULE, _DEPTH, _BOX = (
    int(Object.VERTICES), int(Object.RULE), int(Object.DEPTH), int(Object.BOX)
)  # fmt: skip
_ANGLE, _AXIS_A, _AXIS_B, _TURN = (
    int(Object.ANGLE), int(Object.AXIS_A), int(Object.AXIS_B), int(Object.TURN)
)  # fmt: skip
_FIRST, _MIDDLE, _LAST, _POLAR = (
    int(Object.SCALE_FIRST), int(Object.SCALE_TURN), int(Object.SCALE_LAST), int(Object.POLAR)
)  # fmt: skip
_STEP, _VOXELS = int(Box.STEP), int(Box.VOXELS)
_SLICE_FIRST, _SLICE_STOP, _SLICE_VOXELS = int(Slice.FIRST), int(Slice.STOP), int(Slice.VOXELS)


@inlined
def _section(row, z, vy, vx):
    """Write the vertices of slice z in 1/64 voxel, closed by the first one; return their number."""
    rule, depth, center = row[_RULE], np.int64(row[_DEPTH]), np.int64(row[_BOX] // 2)
    numerator, denominator = scale_at(
        rule, z, depth, np.int64(row[_TURN]),
        np.int64(row[_FIRST]), np.int64(row[_MIDDLE]), np.int64(row[_LAST]),
    )  # fmt: skip
    count = np.int64(row[_VERTICES])
    if count == 0:
        a = quotient(row[_AXIS_A] * numerator, denominator)
        b = quotient(row[_AXIS_B] * numerator, denominator)
        step = ellipse_step(larger(a, b))
        count = 360 // step
        half = count >> 1
        for i in range(half):
            vy[i], vx[i] = ellipse_vertex(i * step, np.int64(row[_ANGLE]), a, b, center)
            vy[i + half], vx[i + half] = (center << 7) - vy[i], (center << 7) - vx[i]
    else:
        for i in range(count):
            degrees, radius = np.int64(row[_POLAR + 2 * i]), np.int64(row[_POLAR + 2 * i + 1])
            vy[i], vx[i] = polygon_vertex(
                degrees, radius, center, rule, z, depth, numerator, denominator
            )
    vy[count], vx[count] = vy[0], vx[0]
    return count


# Rows of the scratch planes before and after a slice's own, so that no loop has to stop at its
# border: a line reaches 16 rows, and eight rows are handled at once. Columns likewise start 64
# early, which keeps every coordinate that is shifted from being negative.
_PAD = 32
_EARLY = np.int64(64)
_FLOOR, _CEIL = (_EARLY << 32) + BIAS, (_EARLY << 32) + CEIL


@device
def _or_span(rows, start, low_word, high_word, pitch, a, b):
    """Set bits a .. b, counted from ``_EARLY``, in eight rows; rows with b < a stay."""
    for word in range(low_word, high_word + 1):
        origin = splat(_EARLY + 64 * word)
        first, last = maximum(a - origin, splat(0)), minimum(b - origin, splat(63))
        inside = at_most(first, last)
        bits = shift_left(splat(-1), first) & shift_right(splat(-1), splat(63) - last) & inside
        at = start + word * pitch
        store(rows, at, load(rows, at) | bits)


@device
def _flip_from(rows, start, low_word, high_word, words, pitch, a, inside):
    """Flip every bit from ``a`` on in those of eight rows that are ``inside``.

    ``a`` is counted from ``_EARLY`` and lies in the words low_word .. high_word, or beyond the row.
    """
    for word in range(low_word, high_word + 1):
        first = a - splat(_EARLY + 64 * word)
        bits = shift_left(splat(-1), maximum(first, splat(0))) & inside & below(first, splat(64))
        at = start + word * pitch
        store(rows, at, load(rows, at) ^ bits)
    for word in range(high_word + 1, words):
        at = start + word * pitch
        store(rows, at, load(rows, at) ^ inside)


@inlined
def _word_range(xa, xb, radius, words):
    """First and last word of a row that an edge widened by ``radius`` can reach."""
    low_word = larger((smaller(xa, xb) - radius) >> 12, 0)
    return low_word, smaller((larger(xa, xb) + radius) >> 12, words - 1)


@device
def _add_disc(rows, start, words, pitch, vy, vx, discs, above):
    """Set the disc about a vertex; its half-widths by row are tabulated for each fraction of vy."""
    phase, first = vy & 63, (vy >> 6) - above
    rows_high = discs.size >> 6
    low_word, high_word = _word_range(vx, vx, 64 * above, words)
    for k in range(0, rows_high, WIDTH):
        reach = load(discs, phase * rows_high + k)
        a = maximum(splat(vx + 63 + 64 * _EARLY) - reach, splat(0))
        b = maximum(splat(vx + 64 * _EARLY) + reach, splat(0))
        a, b = shift_right(a, splat(6)), shift_right(b, splat(6))
        _or_span(rows, start + first + k, low_word, high_word, pitch, a, b)


@device
def _add_edge(scratch, start, region, words, pitch, ya, xa, yb, xb, label_radius, line_radius):
    """Add an edge's strips to outline and line and its crossings to the fill, by eight rows."""
    if yb < ya:
        ya, xa, yb, xb = yb, xb, ya, xa
    dy, dx = yb - ya, xb - xa
    line_first, line_last = row_at_or_after(ya - line_radius), (yb + line_radius) >> 6
    label_first, label_last = row_at_or_after(ya - label_radius), (yb + label_radius) >> 6
    cross_first, cross_stop = row_at_or_after(ya), row_at_or_after(yb)
    if dx == 0:
        line_first, line_last = cross_first, yb >> 6
        label_first, label_last = line_first, line_last

    center, step, label_half, line_half = np.int64(0), np.int64(0), FAR, FAR
    length2 = dx * dx + dy * dy
    if dy != 0:
        per_dy = reciprocal(dy)
        center, step = strip(ya, xa, dx, per_dy, line_first)
        label_half = half_width(length2, label_radius, per_dy)
        line_half = half_width(length2, line_radius, per_dy)
    low, high, slab_step = -FAR, FAR, np.int64(0)
    if dx != 0:
        low, high, slab_step = slab(ya, xa, dy, dx, reciprocal(dx), line_first)

    low_word, high_word = _word_range(xa, xb, line_radius, words)
    rows = steps(np.int64(1)) + splat(line_first)
    centers = steps(step) + splat(center)
    lows = steps(slab_step) + splat(low + _CEIL)
    highs = steps(slab_step) + splat(high + _FLOOR)
    for y in range(line_first, line_last + 1, WIDTH):
        ceils, floors = centers + splat(_CEIL), centers + splat(_FLOOR)
        low_end, high_end = maximum(lows, splat(0)), maximum(highs, splat(0))
        last = at_most(rows, splat(line_last))
        a = maximum(ceils - splat(line_half), low_end)
        b = maximum(minimum(floors + splat(line_half), high_end), splat(0))
        a, b = shift_right(a, splat(32)), shift_right(b, splat(32)) & last
        _or_span(scratch, start + 2 * region + y, low_word, high_word, pitch, a, b)

        last = at_most(rows, splat(label_last)) & at_most(splat(label_first), rows)
        a = maximum(ceils - splat(label_half), low_end)
        b = maximum(minimum(floors + splat(label_half), high_end), splat(0))
        a, b = shift_right(a, splat(32)), shift_right(b, splat(32)) & last
        _or_span(scratch, start + region + y, low_word, high_word, pitch, a, b)

        inside = at_most(splat(cross_first), rows) & below(rows, splat(cross_stop))
        a = shift_right(maximum(ceils, splat(0)), splat(32))
        _flip_from(scratch, start + y, low_word, high_word, words, pitch, a, inside)

        rows, centers = rows + splat(WIDTH), centers + splat(step << 3)
        lows, highs = lows + splat(slab_step << 3), highs + splat(slab_step << 3)


@inlined
def _clear(scratch, start, stop):
    for at in range(start, stop, WIDTH):
        store(scratch, at, splat(0))


@device
def _deliver(labels, lines, at, label, line, box, y, stop):
    """Write eight rows from ``y`` on to the arena, from ``stop`` on as 0; return their voxels.

    What follows the rows in the arena is overwritten, and has to be written later.
    """
    inside = below(steps(np.int64(1)) + splat(y), splat(stop)) & splat(box)
    store(labels, at, label & inside)
    store(lines, at, line & inside)
    return total_popcount(label & inside)


@device
def _turned_word(scratch, at, pitch, last, shift):
    """Word of eight rows turned about the centre, from plane ``last`` and the one before it."""
    near, far = turned(load(scratch, at + last * pitch)), splat(0)
    if last > 0:
        far = turned(load(scratch, at + (last - 1) * pitch))
    spill = shift_left(shift_left(far, splat(1)), splat(63 - shift))
    return shift_right(near, splat(shift)) | spill


@inlined
def _collect(
    scratch, start, region, planes, pitch, words, side, first, middle, stop, labels, lines, at
):
    """Move a slice from scratch to the arena; return the label's voxels.

    Rows first .. middle - 1 are there; rows middle .. stop - 1 are those above the centre, turned.
    """
    voxels, twice_center = np.int64(0), side & ~1
    shift = 64 * planes - 1 - twice_center
    for word in range(words):
        box = span(0, smaller(side - 64 * word, 64) - 1)
        source, target = start + word * pitch, at + word * side
        for y in range(first, middle, WIDTH):
            label = load(scratch, source + y) | load(scratch, source + region + y)
            line = load(scratch, source + 2 * region + y)
            voxels += _deliver(labels, lines, target + y, label, line, box, y, middle)
        for y in range(middle, stop, WIDTH):
            last, row = planes - 1 - word, start + twice_center - y - WIDTH + 1
            label = _turned_word(scratch, row, pitch, last, shift)
            label = label | _turned_word(scratch, row + region, pitch, last, shift)
            line = _turned_word(scratch, row + 2 * region, pitch, last, shift)
            voxels += _deliver(labels, lines, target + y, label, line, box, y, stop)
    return voxels


@inlined
def _rasterize_slice(
    row, z, at, words, labels, lines, label_radius, line_radius, label_discs, line_discs,
    vy, vx, scratch,
):  # fmt: skip
    """Rasterize slice z to the arena at ``at``; return its first row, its stop, its voxels."""
    side = np.int64(row[_BOX])
    count = _section(row, z, vy, vx)
    top, bottom = vy[0], vy[0]
    for i in range(1, count):
        top, bottom = smaller(top, vy[i]), larger(bottom, vy[i])
    first, stop = row_at_or_after(top - line_radius), ((bottom + line_radius) >> 6) + 1

    # An ellipse looks the same upside down, so its lower half is the upper one turned about the
    # centre. For that the scratch has to hold the column 2 * center, which may be one beyond.
    center, middle, planes, deepest = side >> 1, stop, words, FAR
    if row[_VERTICES] == 0:
        middle, planes = smaller((side >> 1) + 1, stop), (center >> 5) + 1
        deepest = (center << 6) + line_radius
    pitch = side + 2 * _PAD
    region = planes * pitch
    for plane in range(3 * planes):
        _clear(scratch, plane * pitch + _PAD + first - 2, plane * pitch + _PAD + middle + WIDTH)
    for i in range(count):
        if smaller(vy[i], vy[i + 1]) > deepest:
            continue
        _add_disc(
            scratch, 2 * region + _PAD, planes, pitch, vy[i], vx[i], line_discs,
            margin(line_radius),
        )  # fmt: skip
        if vy[i] == vy[i + 1] and vx[i] == vx[i + 1]:
            _add_disc(
                scratch, region + _PAD, planes, pitch, vy[i], vx[i], label_discs,
                margin(label_radius),
            )  # fmt: skip
        else:
            _add_edge(
                scratch, _PAD, region, planes, pitch, vy[i], vx[i], vy[i + 1], vx[i + 1],
                label_radius, line_radius,
            )  # fmt: skip
    first, stop = larger(first, 0), smaller(stop, side)
    voxels = _collect(
        scratch, _PAD, region, planes, pitch, words, side, first, smaller(middle, stop), stop,
        labels, lines, at,
    )  # fmt: skip
    return first, stop, voxels


@kernel
def rasterize_polygon_stack(
    objects, orientations, side_high, label_radius, line_radius, label_discs, line_discs,
    boxes, slices, labels, lines,
):  # fmt: skip
    """Rasterize the first variant of each object.

    Args:
        objects: (N, P) int32, columns ``Object``.
        orientations: K, variants an object.
        side_high: most rows and columns of a slice.
        label_radius, line_radius: 1/64 voxel, half the width of what an edge adds to the label
            and to the contour.
        label_discs, line_discs: (64 * multiple of 8,) int64: half-width in 1/64 voxel of a disc
            about a vertex at fraction ``vy & 63`` of a row, from row ``(vy >> 6) - margin(radius)``
            on; negative where the row misses the disc.
        boxes: (N * K, Box.SIZE) int32, in and out: ``VOXELS`` is added to.
        slices: (N * K, S, Slice.SIZE) int32, out.
        labels, lines: (N * K, R) uint64 arena, out: words as described in ``records.py``.
    """
    vy, vx = np.empty(VERTICES_MAX + 1, np.int64), np.empty(VERTICES_MAX + 1, np.int64)
    scratch = np.empty(3 * ((side_high >> 6) + 1) * (side_high + 2 * _PAD), np.uint64)
    for n in range(objects.shape[0]):
        row, variant = objects[n], n * orientations
        box, records = boxes[variant], slices[variant]
        label_rows, line_rows = labels[variant], lines[variant]
        side = np.int64(row[_BOX])
        words = (side + 63) >> 6
        stored = np.int64(row[_DEPTH]) if box[_STEP] == 1 else np.int64(1)
        for z in range(stored):
            first, stop, voxels = _rasterize_slice(
                row, z, z * words * side, words, label_rows, line_rows,
                label_radius, line_radius, label_discs, line_discs, vy, vx, scratch,
            )  # fmt: skip
            record = records[z]
            record[_SLICE_FIRST], record[_SLICE_STOP], record[_SLICE_VOXELS] = first, stop, voxels
            box[_VOXELS] += voxels if box[_STEP] == 1 else voxels * row[_DEPTH]

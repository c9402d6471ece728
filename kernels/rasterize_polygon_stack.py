"""Polygon stacks into bit rows: label rows and contour rows. Twin of ``rasterize_polygon_stack.cu``."""

import numpy as np

from .bits import ALL, ZERO, clip_span, popcount, span
from .jit import device, kernel
from .polygon import (
    BIAS,
    CEIL,
    FAR,
    ellipse_step,
    ellipse_vertex,
    half_width,
    polygon_vertex,
    quotient,
    row_at_or_after,
    scale_at,
    slab,
    strip,
)
from .records import Box, Object, Slice

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

VERTICES_MAX = 72


@device
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
        step = ellipse_step(max(a, b))
        count = 360 // step
        for i in range(count):
            vy[i], vx[i] = ellipse_vertex(i * step, np.int64(row[_ANGLE]), a, b, center)
    else:
        for i in range(count):
            degrees, radius = np.int64(row[_POLAR + 2 * i]), np.int64(row[_POLAR + 2 * i + 1])
            vy[i], vx[i] = polygon_vertex(
                degrees, radius, center, rule, z, depth, numerator, denominator
            )
    vy[count], vx[count] = vy[0], vx[0]
    return count


@device
def _add(rows, start, height, words, y, low, high):
    """Set bits low .. high of row y."""
    for word in range(low >> 6, (high >> 6) + 1):
        rows[start + word * height + y] |= clip_span(word, low, high)


@device
def _toggle(rows, start, height, words, y, low):
    """Flip every bit from ``low`` on in row y."""
    word = low >> 6
    if word < words:
        rows[start + word * height + y] ^= ALL << np.uint64(low & 63)
        for right in range(word + 1, words):
            rows[start + right * height + y] ^= ALL


@device
def _add_disc(rows, start, height, words, side, vy, vx, radius, roots):
    first = max(row_at_or_after(vy - radius), 0)
    last = min((vy + radius) >> 6, side - 1)
    for y in range(first, last + 1):
        reach = roots[abs(64 * y - vy)]
        low = max(row_at_or_after(vx - reach), 0)
        high = min((vx + reach) >> 6, side - 1)
        if low <= high:
            _add(rows, start, height, words, y, low, high)


@device
def _add_edge(
    fill, outline, lines, start, words, side, ya, xa, yb, xb, label_radius, line_radius
):
    if yb < ya:
        ya, xa, yb, xb = yb, xb, ya, xa
    dy, dx = yb - ya, xb - xa
    if dy == 0 and dx == 0:
        return
    line_first = max(row_at_or_after(ya - line_radius), 0)
    line_last = min((yb + line_radius) >> 6, side - 1)
    label_first = max(row_at_or_after(ya - label_radius), 0)
    label_last = min((yb + label_radius) >> 6, side - 1)
    cross_first = max(row_at_or_after(ya), 0)
    cross_stop = min(row_at_or_after(yb), side)

    length2 = dx * dx + dy * dy
    if dy > 0:
        center, step = strip(ya, xa, dy, dx, line_first)
        label_half = half_width(length2, label_radius, dy)
        line_half = half_width(length2, line_radius, dy)
    else:
        center, step, label_half, line_half = np.int64(0), np.int64(0), FAR, FAR
    if dx != 0:
        low, high, slab_step = slab(ya, xa, dy, dx, line_first)
    else:
        low, high, slab_step = -FAR, FAR, np.int64(0)
        line_first, line_last = cross_first, min(yb >> 6, side - 1)
        label_first, label_last = line_first, line_last
    for y in range(line_first, line_last + 1):
        a = max((max(center - line_half, low) + CEIL) >> 32, 0)
        b = min((min(center + line_half, high) + BIAS) >> 32, side - 1)
        if a <= b:
            _add(lines, start, side, words, y, a, b)
        if label_first <= y <= label_last:
            a = max((max(center - label_half, low) + CEIL) >> 32, 0)
            b = min((min(center + label_half, high) + BIAS) >> 32, side - 1)
            if a <= b:
                _add(outline, np.int64(0), side, words, y, a, b)
        if cross_first <= y < cross_stop:
            _toggle(fill, start, side, words, y, max((center + CEIL) >> 32, 0))
        center += step
        low += slab_step
        high += slab_step


@device
def _rasterize_slice(
    row, z, start, words, labels, lines, label_radius, line_radius,
    label_roots, line_roots, vy, vx, outline, record,
):  # fmt: skip
    side = np.int64(row[_BOX])
    count = _section(row, z, vy, vx)
    top, bottom = vy[0], vy[0]
    for i in range(1, count):
        top, bottom = min(top, vy[i]), max(bottom, vy[i])
    first = max(row_at_or_after(top - line_radius), 0)
    stop = min((bottom + line_radius) >> 6, side - 1) + 1
    for word in range(words):
        for y in range(first, stop):
            labels[start + word * side + y] = ZERO
            lines[start + word * side + y] = ZERO
            outline[word * side + y] = ZERO

    for i in range(count):
        _add_edge(
            labels, outline, lines, start, words, side,
            vy[i], vx[i], vy[i + 1], vx[i + 1], label_radius, line_radius,
        )  # fmt: skip
        _add_disc(outline, np.int64(0), side, words, side, vy[i], vx[i], label_radius, label_roots)
        _add_disc(lines, start, side, words, side, vy[i], vx[i], line_radius, line_roots)

    voxels = np.int64(0)
    for word in range(words):
        box = span(0, min(side - 64 * word, 64) - 1)
        for y in range(first, stop):
            merged = (labels[start + word * side + y] | outline[word * side + y]) & box
            labels[start + word * side + y] = merged
            voxels += popcount(merged)
    record[_SLICE_FIRST], record[_SLICE_STOP], record[_SLICE_VOXELS] = first, stop, voxels


@kernel
def rasterize_polygon_stack(
    objects, orientations, label_radius, line_radius, label_roots, line_roots,
    boxes, slices, labels, lines,
):  # fmt: skip
    """Rasterize the first variant of each object.

    Args:
        objects: (B, N, P) int32, columns ``Object``.
        orientations: K, variants an object.
        label_radius, line_radius: 1/64 voxel; what lies this near to an edge belongs to the
            label, or to the contour.
        label_roots, line_roots: (radius + 1,) int64, ``isqrt(radius^2 - d^2)``.
        boxes: (B, N * K, Box.SIZE) int32, in and out (``VOXELS``).
        slices: (B, N * K, S, Slice.SIZE) int32, out.
        labels, lines: (B, N * K, R) uint64 arena, out: words as described in ``records.py``.
    """
    vy, vx = np.empty(VERTICES_MAX + 1, np.int64), np.empty(VERTICES_MAX + 1, np.int64)
    outline = np.empty(labels.shape[2], np.uint64)
    for b in range(objects.shape[0]):
        for n in range(objects.shape[1]):
            row, variant = objects[b, n], n * orientations
            box = boxes[b, variant]
            side = np.int64(row[_BOX])
            words = (side + 63) >> 6
            stored = np.int64(row[_DEPTH]) if box[_STEP] == 1 else np.int64(1)
            voxels = np.int64(0)
            for z in range(stored):
                _rasterize_slice(
                    row, z, z * words * side, words, labels[b, variant], lines[b, variant],
                    label_radius, line_radius, label_roots, line_roots,
                    vy, vx, outline, slices[b, variant, z],
                )  # fmt: skip
                voxels += slices[b, variant, z, _SLICE_VOXELS]
            box[_VOXELS] = voxels if box[_STEP] == 1 else voxels * row[_DEPTH]

"""Smoothing and resampling along lines of voxels, axis by axis; twin of ``filter_lines.cu``.

Beyond its ends a line goes on as it ends. Sixteen lines are filtered side by side: lanes lie along
x, and where x itself is resampled across sixteen rows, transposed. Each plane is filtered along x
and y while it is in cache; then, along z, parts of all planes' rows of one y.
"""

import numpy as np

from .appearance_records import FilterLine, FilterSteps
from .bits import larger, smaller
from .float_lanes import WIDTH, floor_of, fused, load, pointer, splat, store
from .jit import apart, device, inlined, kernel
from .lane_blocks import transpose
from .real import ZERO, clamped

# Added to a sum and taken away again: what is too small for a normal float32, which CUDA flushes to
# zero and the CPU does not, leaves no trace. Sums are off by 2^-85 or their rounding.
_TINY = np.float32(2.0**-60)
_PAD = 2  # voxels beyond a filter's radius that samples may ask for
_COLUMNS = 128  # of a row that are filtered along z at once
# Numba would compile a function anew for literal numbers as arguments.
_ZERO, _ONE, _LANES = np.int64(0), np.int64(1), np.int64(WIDTH)

_WEIGHTS = int(FilterSteps.WEIGHTS)
_RADIUS, _SAMPLES = int(FilterLine.RADIUS), int(FilterLine.SAMPLES)
_SIZE = int(FilterLine.SIZE)
_FIRST, _SPACING, _RATE = int(FilterLine.FIRST), int(FilterLine.SPACING), int(FilterLine.RATE)

# All arrays but the kernel's own arguments are pointers, see ``float_lanes.pointer``.


@device
def _whole_lanes(count):
    """``count`` rounded up to a multiple of the lanes."""
    return (count + WIDTH - 1) & -WIDTH


@device
def _stride(width):
    """Elements from row to row: room for two groups of lanes, an odd multiple of 64 bytes.

    Caches have fewer places for rows that lie a power of two apart.
    """
    return (_whole_lanes(width) + WIDTH) | WIDTH


@apart
def _copy_part(source, target, at, count):
    """Copy fewer voxels than lanes."""
    for i in range(count):
        target[at + i] = source[i]


@device
def _put(target, at, width, x, value, spare):
    """Write lanes ``x`` on of a row of ``width``, and nothing behind the row."""
    if x + WIDTH <= width:
        store(target, at + x, value)
    else:
        store(spare, 0, value)
        _copy_part(spare, target, at + x, width - x)


@apart
def _copy(source, start, target, at, width, spare):
    """Copy a row."""
    for x in range(0, width, WIDTH):
        _put(target, at, width, x, load(source, start + x), spare)


@apart
def _copy_lanes(source, start, step, target, at, stride, count, width):
    """Copy ``count`` rows in whole lanes; ``step`` and ``stride`` are elements from row to row."""
    for i in range(count):
        for x in range(0, width, WIDTH):
            store(target, at + i * stride + x, load(source, start + i * step + x))


@apart
def _smooth(
    source, start, forward, step, weights, radius, target, at, stride, count, width, spare
):  # fmt: skip
    """Smooth the lines that the voxels of ``count`` rows lie on.

    Args:
        source: float32.
        start: the element of the first row's first voxel.
        forward: elements from row to row.
        step: elements from a voxel of a line to the next.
        weights: float32.
        radius: voxels.
        target: float32.
        at: its element for the first row's first voxel.
        stride: its elements from row to row.
        width: voxels of a row.
        spare: (WIDTH,) float32.
    """
    for i in range(count):
        first, to = start + i * forward, at + i * stride
        for x in range(0, width, 2 * WIDTH):
            # The last lanes end with the row, if it is long enough.
            near = larger(smaller(x, width - 2 * WIDTH), 0)
            place = first + near
            a = fused(weights[0], load(source, place), splat(_TINY))
            b = fused(weights[0], load(source, place + WIDTH), splat(_TINY))
            before, after = place - step, place + step
            for k in range(1, radius + 1):
                weight = weights[k]
                a = fused(weight, load(source, before) + load(source, after), a)
                b = fused(weight, load(source, before + WIDTH) + load(source, after + WIDTH), b)
                before -= step
                after += step
            _put(target, to, width, near, a - _TINY, spare)
            _put(target, to, width, near + WIDTH, b - _TINY, spare)


@inlined
def _sample(source, start, step, weights, first, stride, taps, target, at, width):
    """Take a sample of each of the lines that a row's voxels lie on.

    Args:
        source, step, weights, target, at, width: as of ``_smooth``, of one row; ``target`` has room
            for whole lanes.
        start: the element of the first voxel that has a weight, of the row's first line.
        first: the sample's first weight.
        stride: elements from a weight to the next.
        taps: weights.
    """
    for x in range(0, width, WIDTH):
        total, place, weight = splat(_TINY), start + x, first
        for _ in range(taps):
            total = fused(weights[weight], load(source, place), total)
            place += step
            weight += stride
        store(target, at + x, total - _TINY)


@inlined
def _between(source, low, high, share, target, at, width, spare):
    """Interpolate between two rows."""
    for x in range(0, width, WIDTH):
        a, b = load(source, low + x), load(source, high + x)
        _put(target, at, width, x, fused(share, b - a, a), spare)


@inlined
def _extend(rows, stride, pad, count, width):
    """Repeat the first and the last of ``count`` rows ``pad`` times before and behind them."""
    last = (pad + count - 1) * stride
    _copy_lanes(rows, pad * stride, _ZERO, rows, _ZERO, stride, pad, width)
    _copy_lanes(rows, last, _ZERO, rows, last + stride, stride, pad, width)


@apart
def _filter_rows(line, weights, rows, stride, pad, count, width, samples, target, at, step, spare):
    """Filter across rows.

    Args:
        line: (FilterLine.SIZE,) float32.
        weights: float32, of the line.
        rows: float32, rows that are ``stride`` apart, of which the first ``pad`` and as many behind
            those to be filtered are overwritten.
        stride: not below the width in whole lanes.
        pad: RADIUS + _PAD.
        count: of rows to be filtered.
        width: of a row.
        samples: float32, (SAMPLES + 1) * stride or more elements that are overwritten.
        target: float32.
        at: its element for the first row.
        step: its elements from row to row.
        spare: (WIDTH,) float32.
    """
    _extend(rows, stride, pad, count, width)
    radius, found = int(line[_RADIUS]), int(line[_SAMPLES])
    if found == 0:
        _smooth(
            rows, pad * stride, stride, stride, weights, radius, target, at, step, count, width,
            spare,
        )  # fmt: skip
        return
    origin, spacing, rate = line[_FIRST], line[_SPACING], line[_RATE]
    weight_stride = _whole_lanes(found)
    for j in range(found + 1):
        own = smaller(j, found - 1)
        below = int(floor_of(fused(np.float32(own), spacing, origin)))
        _sample(
            rows, (pad + below - radius) * stride, stride, weights, own, weight_stride,
            2 * radius + 2, samples, j * stride, width,
        )  # fmt: skip
    last = np.float32(found - 1)
    for i in range(count):
        place = clamped((np.float32(i) - origin) * rate, ZERO, last)
        low = floor_of(place)
        near = int(low) * stride
        _between(samples, near, near + stride, place - low, target, at + i * step, width, spare)


@apart
def _turn(source, start, step, leap, target, at, stride, bound, count):
    """Transpose blocks.

    Args:
        source, target: float32.
        start, at: where the first block begins.
        step, stride: elements from row to row.
        leap, bound: elements from block to block.
        count: of blocks.
    """
    for i in range(count):
        transpose(source, start + i * leap, step, target, at + i * bound, stride)


@apart
def _resample_rows(
    line, weights, canvas, at, height, width, block, columns, samples, filtered, plane, start,
    stride, spare,
):  # fmt: skip
    """Filter a plane along x by samples, sixteen rows at a time.

    Args:
        block: float32, WIDTH * stride elements that are overwritten.
        columns, samples, filtered: float32, overwritten.
        plane: float32, gets the rows from ``start`` on, and up to 15 more.
        stride: of its rows.
    """
    pad, blocks, square = int(line[_RADIUS]) + _PAD, (width + WIDTH - 1) // WIDTH, _LANES * _LANES
    for y in range(0, height, WIDTH):
        for i in range(WIDTH):
            row = at + smaller(y + i, height - 1) * width
            _copy_lanes(canvas, row, _ZERO, block, i * stride, _ZERO, _ONE, width)
        _turn(block, _ZERO, stride, _LANES, columns, pad * WIDTH, _LANES, square, blocks)
        _filter_rows(
            line, weights, columns, _LANES, pad, width, _LANES, samples, filtered, _ZERO, _LANES,
            spare,
        )  # fmt: skip
        row = start + y * stride
        _turn(filtered, _ZERO, _LANES, square, plane, row, stride, _LANES, blocks)


@apart
def _smooth_rows(line, weights, canvas, at, height, width, row, plane, start, stride, spare):
    """Filter a plane along x by weights alone; arguments as of ``_resample_rows``."""
    radius, whole = int(line[_RADIUS]), larger(width, 2 * WIDTH)
    for y in range(height):
        source = at + y * width
        low, high = splat(canvas[source]), splat(canvas[source + width - 1])
        for x in range(0, radius, WIDTH):
            store(row, x, low)
        _copy_lanes(canvas, source, _ZERO, row, radius, _ZERO, _ONE, width)
        for x in range(0, radius + WIDTH, WIDTH):
            store(row, radius + width + x, high)
        _smooth(
            row, radius, _ZERO, _ONE, weights, radius, plane, start + y * stride, _ZERO, _ONE,
            whole, spare,
        )  # fmt: skip


@kernel
def filter_lines(number, filters, steps, weights, canvas, shape):
    """Filter a volume in place.

    Args:
        number: of the filter.
        filters: (F, 3, FilterLine.SIZE) float32, along z, y, x.
        steps: (F, FilterSteps.SIZE) int32.
        weights: float32.
        canvas: (D*H*W + 16 or more,) float32.
        shape: (D, H, W).
    """
    depth, height, width = shape
    first = number * 3 * _SIZE
    along_z, along_y = pointer(filters, first), pointer(filters, first + _SIZE)
    along_x = pointer(filters, first + 2 * _SIZE)
    weights_z = pointer(weights, np.int64(steps[number, _WEIGHTS]))
    weights_y = pointer(weights, np.int64(steps[number, _WEIGHTS + 1]))
    weights_x = pointer(weights, np.int64(steps[number, _WEIGHTS + 2]))
    target, layer = pointer(canvas, 0), height * width
    reach_z, reach_y, reach_x = int(along_z[_RADIUS]), int(along_y[_RADIUS]), int(along_x[_RADIUS])
    pad_z, pad_y, pad_x = reach_z + _PAD, reach_y + _PAD, reach_x + _PAD
    parts = (width + _COLUMNS - 1) // _COLUMNS  # of a row
    part = _whole_lanes((width + parts - 1) // parts)

    stride, stride_z = _stride(width), _stride(part)
    size, size_z = (height + 2 * pad_y + WIDTH) * stride, (depth + 2 * pad_z) * stride_z
    # Of one array: rows; samples; sixteen rows; these transposed; and filtered; spare elements.
    samples = larger(size, size_z)
    block = samples + (larger(larger(height, width), depth) + 1) * stride
    columns = block + WIDTH * stride
    filtered = columns + (stride + 2 * pad_x) * WIDTH
    spare = filtered + stride * WIDTH
    work = np.empty(spare + WIDTH, np.float32)

    for z in range(depth if reach_y + reach_x > 0 else 0):
        at, plane, start = z * layer, pointer(work, 0), pad_y * stride
        if along_x[_SAMPLES] > ZERO:
            _resample_rows(
                along_x, weights_x, target, at, height, width, pointer(work, block),
                pointer(work, columns), pointer(work, samples), pointer(work, filtered), plane,
                start, stride, pointer(work, spare),
            )  # fmt: skip
        elif reach_x > 0:
            _smooth_rows(
                along_x, weights_x, target, at, height, width, pointer(work, columns), plane, start,
                stride, pointer(work, spare),
            )  # fmt: skip
        else:
            _copy_lanes(target, at, width, plane, start, stride, height, width)
        if reach_y > 0:
            _filter_rows(
                along_y, weights_y, plane, stride, pad_y, height, width, pointer(work, samples),
                target, at, width, pointer(work, spare),
            )  # fmt: skip
        else:
            for y in range(height):
                _copy(
                    plane, start + y * stride, target, at + y * width, width, pointer(work, spare)
                )

    for y in range(height if reach_z > 0 else 0):
        for x in range(0, width, part):
            at = y * width + x
            own = smaller(part, width - x)
            _copy_lanes(target, at, layer, pointer(work, 0), pad_z * stride_z, stride_z, depth, own)
            _filter_rows(
                along_z, weights_z, pointer(work, 0), stride_z, pad_z, depth, own,
                pointer(work, samples), target, at, layer, pointer(work, spare),
            )  # fmt: skip

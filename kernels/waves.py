"""Sums of plane waves in a volume; twin of ``waves.cuh``.

A wave is a cosine of a sum of three angles, one along each axis, so that its values come from
tables of cosines and sines along the axes: from those of z and y come a row's cosine and sine, and
every voxel of the row takes two fused multiply-adds. Tables of all waves, ``(waves, 2, stride)``
float32, hold cosines and sines of D positions along z, then H along y, then W along x; those of z
are times the wave's amplitude, and contain its phase.
"""

from .float_lanes import WIDTH, filled, fused, load, pointer, splat, store
from .jit import device, inlined
from .real import ZERO

_ROWS = 4  # that are summed together


@inlined
def wave_stride(depth, height, width):
    """Elements of a wave's cosines: D, H, and W rounded up to whole lanes."""
    return depth + height + (width + WIDTH - 1) // WIDTH * WIDTH


@inlined
def turning_size(count):
    """Float32 of scratch that ``lay_wave_rows`` needs for ``count`` waves."""
    return 2 * WIDTH * count


@device
def turn_rows(waves, count, stride, z, y, turning):
    """Cosines, and sines with the other sign, of sixteen rows: (count, 2, WIDTH) float32.

    Args:
        waves: tables from the first wave on.
        count: of waves.
        stride: ``wave_stride``.
        z: place of the plane in the tables.
        y: place of the first row.
        turning: written.
    """
    for wave in range(count):
        cosines, sines = 2 * wave * stride, (2 * wave + 1) * stride
        cz, sz = splat(waves[cosines + z]), splat(waves[sines + z])
        cy, sy = load(waves, cosines + y), load(waves, sines + y)
        at = 2 * WIDTH * wave
        store(turning, at, fused(cz, cy, -(sz * sy)))
        store(turning, at + WIDTH, fused(-sz, cy, -(cz * sy)))


@device
def summed_waves(waves, count, stride, turning, x):
    """Sums of waves at sixteen voxels of four rows.

    Args:
        waves: tables from the first wave on.
        count: of waves.
        stride: ``wave_stride``.
        turning: by ``turn_rows``, from the first of the four rows on.
        x: place of the first voxel in the tables.
    """
    zero = splat(ZERO)
    first, second, third, fourth = zero, zero, zero, zero
    for wave in range(count):
        cx, sx = load(waves, 2 * wave * stride + x), load(waves, (2 * wave + 1) * stride + x)
        at = 2 * WIDTH * wave
        first = fused(filled(cx, turning[at]), cx, first)
        second = fused(filled(cx, turning[at + 1]), cx, second)
        third = fused(filled(cx, turning[at + 2]), cx, third)
        fourth = fused(filled(cx, turning[at + 3]), cx, fourth)
        at += WIDTH
        first = fused(filled(cx, turning[at]), sx, first)
        second = fused(filled(cx, turning[at + 1]), sx, second)
        third = fused(filled(cx, turning[at + 2]), sx, third)
        fourth = fused(filled(cx, turning[at + 3]), sx, fourth)
    return first, second, third, fourth


@device
def lay_wave_rows(waves, first, count, z, y, rows, depth, height, width, turning, out, at):
    """Sums of waves in consecutive rows of a plane.

    Args:
        waves: pointer to the tables of all waves.
        first: the first wave of the sum.
        count: of waves.
        z: plane of voxels.
        y: first row of voxels.
        rows: how many.
        depth: D, of the volume, as ``height`` and ``width``.
        height: see ``depth``.
        width: see ``depth``.
        turning: pointer to ``turning_size`` float32, scratch.
        out: pointer; (rows, W) float32 from element ``at`` on, written; up to 15 behind them too.
        at: see ``out``.
    """
    stride = wave_stride(depth, height, width)
    own = pointer(waves, 2 * first * stride)
    last = width - WIDTH if width > WIDTH else 0
    for start in range(0, rows, WIDTH):
        turn_rows(own, count, stride, z, depth + y + start, turning)
        for chunk in range(0, width, WIDTH):
            x = chunk if chunk < last else last
            for row in range(start, min(start + WIDTH, rows), _ROWS):
                sums = summed_waves(
                    own, count, stride, pointer(turning, row - start), depth + height + x
                )
                place = at + row * width + x
                store(out, place, sums[0])
                if row + 1 < rows:
                    store(out, place + width, sums[1])
                if row + 2 < rows:
                    store(out, place + 2 * width, sums[2])
                if row + 3 < rows:
                    store(out, place + 3 * width, sums[3])

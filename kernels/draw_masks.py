"""Sections of star-shaped structures into a label map. Twin of ``draw_masks.cu``."""

import numpy as np

from .bits import larger, smaller
from .float_lanes import (
    WIDTH,
    all_bits,
    below,
    floor_of,
    fused,
    load,
    picked,
    places,
    pointer,
    root,
    splat,
    steps,
    store,
    store_narrow,
    sum_of,
)
from .jit import device, kernel
from .mask_records import MaskSection
from .masks import contour_factor, half_chord, half_height
from .real import ONE, SQUARE_BIAS, ZERO, clamped
from .records import Placed

_REACH, _RADIUS = int(MaskSection.REACH), int(MaskSection.RADIUS)
_LUMEN, _Y, _X = int(MaskSection.LUMEN), int(MaskSection.Y), int(MaskSection.X)
_U_X, _U_Y = int(MaskSection.U_X), int(MaskSection.U_Y)
_V_X, _V_Y = int(MaskSection.V_X), int(MaskSection.V_Y)
_ACCEPTED = int(Placed.ACCEPTED)
_NONE, _BEYOND = np.int32(0), np.int64(2)  # rows and columns to spare for rounding
_FAR = np.float32(2.0**20)


@device
def whole_of(x):
    """Cut down to a whole number, within 2^20 of 0."""
    return np.int64(floor_of(clamped(x, -_FAR, _FAR)))


@device
def first_at(middle, half):
    """First row or column that may be within ``half`` of ``middle``, from 0 on."""
    return larger(whole_of(middle - half) - _BEYOND, np.int64(0))


@device
def stop_at(middle, half, side):
    """One behind the last such row or column, at most ``side``."""
    return smaller(whole_of(middle + half) + _BEYOND, np.int64(side))


@device
def in_section(section, dx, dy):
    """Whether points from the centre are in the structure: within its contour, not in its lumen.

    Args:
        section: (MaskSection.SIZE,).
        dx: along the row, lanes.
        dy: of the row.
    """
    u = fused(section[_U_X], dx, section[_U_Y] * dy)
    v = fused(section[_V_X], dx, section[_V_Y] * dy)
    away = root(fused(u, u, fused(v, v, SQUARE_BIAS)))
    per = ONE / away
    factor = contour_factor(section, u * per, v * per)
    return (away <= section[_RADIUS] * factor) & (section[_LUMEN] * factor < away)


@device
def paint_section(section, value, plane, height, width, pitch):
    """Paint free voxels of a section; return how many.

    Args:
        section: (MaskSection.SIZE,).
        value: to paint with.
        plane: int32, ``pitch`` elements a row.
        height: rows.
        width: voxels of a row.
        pitch: at least ``WIDTH`` more.
    """
    reach, cy, cx = section[_REACH], section[_Y], section[_X]
    half = half_height(section, reach)
    found = splat(_NONE)
    for y in range(first_at(cy, half), stop_at(cy, half, height)):
        dy = np.float32(y) - cy
        middle, half_row = half_chord(section, reach, dy)
        middle = middle + cx
        stop = stop_at(middle, half_row, width)
        for x in range(first_at(middle, half_row), stop, WIDTH):
            at = y * pitch + x
            dx = (steps() + np.float32(x)) - cx
            old = load(plane, at)
            own = in_section(section, dx, dy) & (old < np.int32(1))
            own = own & below(places(), np.int32(stop - x))
            store(plane, at, picked(own, value, old))
            found = found - all_bits(own)
    return sum_of(found)


@device
def unpaint_section(section, value, plane, height, pitch):
    """Free the voxels of a section again."""
    half = half_height(section, section[_REACH])
    for y in range(first_at(section[_Y], half), stop_at(section[_Y], half, height)):
        for at in range(y * pitch, (y + 1) * pitch):
            if plane[at] == value:
                plane[at] = _NONE


@kernel
def draw_masks(sections, least_voxels, label, placed):
    """Label each voxel with the first structure that it is in, counted from 1.

    A structure that would have fewer than ``least_voxels`` voxels of a slice is not in that slice;
    the voxels are for those after it.

    Args:
        sections: (N, D, MaskSection.SIZE) float32.
        least_voxels: see above.
        label: (D, H, W) unsigned, out.
        placed: (N, Placed.SIZE) int32, in and out: ACCEPTED, whether any voxel is labelled.
    """
    depth, height, width = label.shape
    pitch = width + WIDTH
    plane = np.empty(height * pitch, np.int32)
    target = pointer(label, 0)
    for z in range(depth):
        plane[:] = _NONE
        for n in range(sections.shape[0]):
            section = sections[n, z]
            if section[_REACH] <= ZERO:
                continue
            value = np.int32(n + 1)
            count = paint_section(section, value, plane, height, width, pitch)
            if count >= least_voxels:
                placed[n, _ACCEPTED] = 1
            elif count > 0:
                unpaint_section(section, value, plane, height, pitch)
        for y in range(height):
            first = (z * height + y) * width
            for x in range(0, width, WIDTH):
                column = smaller(x, width - WIDTH)
                store_narrow(target, first + column, load(plane, y * pitch + column))

"""Contours of star-shaped masks, twin of ``masks.cuh``; their rule is in ``mask_records``."""

from .float_lanes import fused, most, root
from .jit import device
from .mask_records import CONTOUR_WAVES, MaskSection
from .real import ONE, SQUARE_BIAS, ZERO, length

_WAVE, _RADIUS = int(MaskSection.WAVE), int(MaskSection.RADIUS)
_U_X, _U_Y = int(MaskSection.U_X), int(MaskSection.U_Y)
_V_X, _V_Y = int(MaskSection.V_X), int(MaskSection.V_Y)
_LAST = _WAVE + 2 * (CONTOUR_WAVES - 1)


@device
def contour_factor(section, c, s):
    """``1 + sum_k a_k cos(k t + f_k)``.

    Horner's rule for the complex polynomial of ``e^it`` with the coefficients ``a_k e^(i f_k)``.

    Args:
        section: (MaskSection.SIZE,).
        c: cos t, a number or lanes.
        s: sin t.
    """
    w = _LAST
    re = fused(section[w], c, fused(-section[w + 1], s, section[w - 2]))
    im = fused(section[w], s, fused(section[w + 1], c, section[w - 1]))
    for i in range(CONTOUR_WAVES - 2):
        w = _LAST - 4 - 2 * i
        re, im = (
            fused(re, c, fused(-im, s, section[w])),
            fused(re, s, fused(im, c, section[w + 1])),
        )
    return ONE + fused(re, fused(c, c, -(s * s)), -(im * ((c + c) * s)))


@device
def contour_at(section, dy, dx):
    """How far the contour is from the centre in the direction of the unit vector (dy, dx)."""
    u = fused(section[_U_X], dx, section[_U_Y] * dy)
    v = fused(section[_V_X], dx, section[_V_Y] * dy)
    per = ONE / length(u, v)
    return most(section[_RADIUS], ZERO) * contour_factor(section, u * per, v * per) * per


@device
def half_chord(section, reach, dy):
    """What of a row may be within reach of the centre.

    In the section's frame, which has the volume's area, the row is a line.

    Args:
        section: (MaskSection.SIZE,).
        reach: in the section's frame.
        dy: of the row, from the centre.

    Returns:
        middle, half: along x from the centre; half is 0 too where the row is out of reach.
    """
    ux, uy, vx, vy = section[_U_X], section[_U_Y], section[_V_X], section[_V_Y]
    square = fused(ux, ux, vx * vx)
    left = fused(square, reach * reach, -(dy * dy))
    middle = -(fused(ux, uy, vx * vy) * dy) / square
    return middle, root(most(left, SQUARE_BIAS)) / square


@device
def half_height(section, reach):
    """Rows above and below the centre that may be within reach."""
    return reach * root(fused(section[_U_X], section[_U_X], section[_V_X] * section[_V_X]))


@device
def half_width(section, reach):
    """Columns beside the centre that may be within reach."""
    return reach * root(fused(section[_U_Y], section[_U_Y], section[_V_Y] * section[_V_Y]))

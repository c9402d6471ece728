"""Float32 mathematics that gives the same bits everywhere; twin of ``real.cuh``.

Only IEEE ``+ - * /``, square roots and spelled-out fused multiply-adds, in one fixed order. Each
function takes a float32 or the sixteen lanes of ``float_lanes``. CUDA treats numbers below 2^-126
as zero and the CPU does not: the bits are equal for arguments that are 0 or larger.

The polynomials interpolate at the Chebyshev nodes of their interval, their coefficients solved for
in 40 digits and rounded to float32; the tests solve for them again:

- 2^x on [0, 1], degree 6, relative error 2.5e-9 before rounding;
- sin(2 pi r) / r as a polynomial of r^2 on [0, 1/16], degree 4, error of the sine 6.7e-9;
- log2(1 + f) / f on [-1/3, 1/3], degree 8, error of the logarithm 1.8e-8.
"""

import numpy as np

from .float_lanes import (
    added,
    as_float,
    bits_of,
    both,
    floor_of,
    fused,
    least,
    magnitude,
    most,
    reduced,
    root,
    shifted_left,
    signed_as,
    whole,
    with_bits,
)
from .jit import device

ZERO, ONE, HALF, QUARTER = np.float32(0), np.float32(1), np.float32(0.5), np.float32(0.25)
# Added to what a root is taken of: distances are off by at most 2^-21, and squares too small for a
# normal float32, which CUDA flushes to zero and the CPU does not, leave no trace.
SQUARE_BIAS = np.float32(2.0**-42)

_E1, _E2, _E3 = np.float32(0.69314694), np.float32(0.24023046), np.float32(0.05548063)
_E4, _E5, _E6 = np.float32(0.009684186), np.float32(0.0012391332), np.float32(0.00021865785)
_S0, _S1, _S2 = np.float32(6.2831855), np.float32(-41.341682), np.float32(81.60248)
_S3, _S4 = np.float32(-76.58117), np.float32(39.759827)
_L0, _L1, _L2 = np.float32(1.442695), np.float32(-0.72134656), np.float32(0.48089746)
_L3, _L4, _L5 = np.float32(-0.3607882), np.float32(0.28864336), np.float32(-0.23681147)
_L6, _L7, _L8 = np.float32(0.20278251), np.float32(-0.22209239), np.float32(0.19834617)
_LEAST_POWER, _MOST_POWER = np.float32(-126), np.float32(127)
_EXPONENT_BIAS, _MANTISSA_BITS = np.int32(127), np.int32(23)
# Bits of 2/3, and the mask of an exponent.
_TWO_THIRDS, _EXPONENT = np.int32(0x3F2AAAAB), np.int32(-(2**23))
_PER_EXPONENT = np.float32(2.0**-23)


@device
def clamped(x, low, high):
    """``x`` kept within low .. high; NaN becomes ``low``."""
    return least(most(x, low), high)


@device
def ceiling(x):
    """Least whole number not below ``x``."""
    return -floor_of(-x)


@device
def length(x, y):
    """Euclidean length, never below 2^-21."""
    return root(fused(x, x, fused(y, y, SQUARE_BIAS)))


@device
def power_of_two(x):
    """2^x, ``x`` clamped to -126 .. 127; relative error below 1.5e-7."""
    x = clamped(x, _LEAST_POWER, _MOST_POWER)
    below = floor_of(x)
    f = x - below
    p = fused(f, fused(f, fused(f, fused(f, fused(f, _E6, _E5), _E4), _E3), _E2), _E1)
    scale = with_bits(shifted_left(added(whole(below), _EXPONENT_BIAS), _MANTISSA_BITS))
    return fused(f, p, ONE) * scale


@device
def quarter_sine(r):
    """sin(2 pi r) for -1/4 <= r <= 1/4."""
    q = r * r
    return r * fused(q, fused(q, fused(q, fused(q, _S4, _S3), _S2), _S1), _S0)


@device
def sine_of_turns(r):
    """sin(2 pi r); error below 2e-7 for any ``r`` below 2^22."""
    r = r - floor_of(r + HALF)
    size = magnitude(r)
    return signed_as(quarter_sine(least(size, HALF - size)), r)


@device
def cosine_of_turns(r):
    """cos(2 pi r); error below 2e-7 for any ``r`` below 2^22."""
    r = r - floor_of(r + HALF)
    return quarter_sine(QUARTER - magnitude(r))


@device
def logarithm_of_two(x):
    """log2(x) for 2^-126 <= x; error below 3e-8 + 1.2e-7 of the result."""
    bits = bits_of(x)
    octave = both(reduced(bits, _TWO_THIRDS), _EXPONENT)
    f = with_bits(reduced(bits, octave)) - ONE
    p = fused(f, fused(f, fused(f, _L8, _L7), _L6), _L5)
    p = fused(f, fused(f, fused(f, fused(f, fused(f, p, _L4), _L3), _L2), _L1), _L0)
    return fused(f, p, as_float(octave) * _PER_EXPONENT)

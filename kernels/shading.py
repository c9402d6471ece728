"""What the operations of a chain do to a voxel's value; twin of ``shading.cuh``.

Values are float32 or the sixteen lanes of ``float_lanes``, and 1 is white. What was drawn for a
step is a float32. No operation leaves a value between 0 and 2^-126, where CUDA and the CPU differ.

References:
    S. O. Rice, "Mathematical analysis of random noise", Bell System Technical Journal 24(1), 1945,
    section 3.10, doi:10.1002/j.1538-7305.1945.tb00453.x; H. Gudbjartsson, S. Patz, "The Rician
    distribution of noisy MRI data", Magnetic Resonance in Medicine 34(6), 1995,
    doi:10.1002/mrm.1910340618: the magnitude of a signal with normal noise in both its parts.
    J. W. Goodman, "Some fundamental properties of speckle", JOSA 66(11), 1976,
    doi:10.1364/JOSA.66.001145: speckle's amplitude has the law of Rayleigh.
    IEEE 754-2019, section 4.3.1: halves are rounded to the nearest, ties to even.
"""

import numpy as np

from .float_lanes import (
    added,
    below,
    bits_of,
    both,
    chosen,
    differing,
    fused,
    most,
    picked,
    reduced,
    root,
    shifted_right,
    signs_of,
    whole,
    with_bits,
)
from .jit import device
from .real import HALF, ONE, ZERO, clamped, length, logarithm_of_two, power_of_two

_LOG2_E = np.float32(np.log2(np.e))
_RAYLEIGH_MEAN = np.float32(np.sqrt(np.pi / 2))
_PER_RAYLEIGH_SD = np.float32(1 / np.sqrt(2 - np.pi / 2))
_THREE, _MINUS_TWO, _255 = np.float32(3), np.float32(-2), np.float32(255)
_TINY, _VAST = np.float32(2.0**-60), np.float32(2.0**32)
_MAGNITUDE_BITS = np.int32(0x7FFFFFFF)
_1, _13 = np.int32(1), np.int32(13)
_HALF_BITS = np.int32(0x3F000000)  # of 1/2, whose last place is that of the least halves
_LEAST_NORMAL = np.int32((127 - 14) << 23)
# Brings the exponent to that of halves, and adds all but half of their last place.
_REBIASED = np.int32(0xFFF - ((127 - 15) << 23))


@device
def inner_weight(square, width, ramp):
    """Weight of a texture away from boundaries: from 0 at ``width`` on it rises smoothly to 1.

    Args:
        square: of the distance to the nearest boundary, voxels.
        width: voxels, float32.
        ramp: 1 / (voxels in which it rises), float32.
    """
    t = clamped((root(square) - width) * ramp, ZERO, ONE)
    return t * t * fused(_MINUS_TWO, t, _THREE)


@device
def outlined(v, square, reach, value):
    """``value`` where the squared distance to a boundary is at most ``reach``, else ``v``."""
    return chosen(square <= reach, value, v)


@device
def biased(v, sd, field):
    """``v`` times the exponential of a field of a standard deviation."""
    return v * power_of_two(_LOG2_E * sd * field)


@device
def with_gamma(v, exponent):
    """``v`` to a power, within 2^-60 .. 2^32, whose square is finite; of 2^-60 and less, 0."""
    power = power_of_two(exponent * logarithm_of_two(most(v, _TINY)))
    return chosen(v > _TINY, clamped(power, _TINY, _VAST), ZERO)


@device
def rician(v, sd, first, second):
    """Magnitude of a signal ``v`` with normal noise in both its parts, never below 2^-21."""
    return length(fused(sd, first, v), sd * second)


@device
def speckled(v, sd, first, second):
    """``v`` times 1 + sd * standardised Rayleigh number of two fields; no less than 0 times."""
    rayleigh = length(first, second) - _RAYLEIGH_MEAN
    return v * most(fused(sd * _PER_RAYLEIGH_SD, rayleigh, ONE), ZERO)


@device
def normalized(v, low, per):
    """0 at ``low``, 1 at ``low`` + 1 / ``per``."""
    return (v - low) * per


@device
def order_key(v):
    """Bits that are ordered as numbers are, as int32; -0 is below 0."""
    bits = bits_of(v)
    return differing(bits, both(signs_of(bits), _MAGNITUDE_BITS))


@device
def of_order_key(key):
    """The float32 of an ``order_key``."""
    return with_bits(differing(key, both(signs_of(key), _MAGNITUDE_BITS)))


@device
def byte_of(v):
    """The nearest of 0 .. 255, white being 255."""
    v = clamped(v, ZERO, ONE)
    return whole(fused(v, _255, HALF))


@device
def half_of(v):
    """Bits of the nearest half, black and white being the ends."""
    v = clamped(v, ZERO, ONE)
    bits = bits_of(v)
    odd = both(shifted_right(bits, _13), _1)
    normal = shifted_right(added(added(bits, _REBIASED), odd), _13)
    return picked(below(bits, _LEAST_NORMAL), reduced(bits_of(v + HALF), _HALF_BITS), normal)


@device
def single_of(v):
    """Bits of the number itself, black and white being the ends."""
    return bits_of(clamped(v, ZERO, ONE))

"""Standard normal numbers from random words; twin of ``gaussian.cuh``.

A word gives two numbers by the method of Box and Muller: its upper sixteen bits a radius, its lower
fifteen an angle in half a turn, and the bit between them the sign of the cosine. No number exceeds
4.86 in size. The polynomials interpolate at the Chebyshev nodes of their intervals, and the tests
solve for their coefficients again: -2 log(1 + f) / f on [-1/3, 1/3], relative error 8.2e-6; sine
and cosine of a turn in r^2 on [0, 1/16], errors 1.2e-6 and 6.8e-6. Steps of the uniform numbers,
1.5e-5, are larger.

Numbers are counted in groups of 128: number 128 b + 32 w + 16 k + lane is the first (k = 0) or
second number of word w of draw 16 b + lane.

References:
    G. E. P. Box, M. E. Muller, "A note on the generation of random normal deviates", Annals of
    Mathematical Statistics 29(2), 1958, doi:10.1214/aoms/1177706645.
"""

import numpy as np

from .appearance_records import NORMALS_GROUP, PART_BITS, STEPS_MAX, ChainPart
from .float_lanes import (
    as_float,
    bits_of,
    both,
    differing,
    either,
    fused,
    reduced,
    root,
    shifted_left,
    shifted_right,
    store,
    with_bits,
)
from .jit import apart, device
from .random_lanes import DRAWS, random_lanes
from .streams import Stream

_STREAM, _PARTS = int(Stream.CHAIN), int(ChainPart.SIZE)
_1, _15, _16, _ANGLE_BITS = np.int32(1), np.int32(15), np.int32(16), np.int32(0x7FFF)
_SIGN_BIT = np.int32(-(2**31))
# Bits of 2/3 * 2^17, and the mask of an exponent.
_CENTRE, _EXPONENT = np.int32(0x3F2AAAAB + (17 << 23)), np.int32(-(2**23))
_PER_RADIUS, _MINUS_ONE = np.float32(2.0**-17), np.float32(-1)
_PER_ANGLE, _FIRST_ANGLE = np.float32(2.0**-16), np.float32(2.0**-17 - 0.25)
_OCTAVE = np.float32(-1.6525917e-07)  # -2 log(2) / 2^23
_R0, _R1, _R2 = np.float32(-2.000014), np.float32(1.0000123), np.float32(-0.66440725)
_R3, _R4, _R5 = np.float32(0.4980156), np.float32(-0.4527206), np.float32(0.37959984)
_S0, _S1 = np.float32(6.2831807), np.float32(-41.339245)
_S2, _S3 = np.float32(81.408005), np.float32(-71.60768)
_C0, _C1 = np.float32(0.9999932), np.float32(-19.735725)
_C2, _C3 = np.float32(64.6594), np.float32(-78.20393)


@device
def first_draw(channel, step, part):
    """The first draw of one part of one step of a channel, an int64."""
    return ((np.int64(channel) * STEPS_MAX + step) * _PARTS + part) << PART_BITS


@device
def normal_pair(word):
    """Two independent standard normal numbers from a word, an int32 or INTS."""
    # log(u) of u = (upper half + 1/2) / 2^16, of which 2^17 is a whole number.
    bits = bits_of(as_float(either(shifted_right(word, _15), _1)))
    octave = both(reduced(bits, _CENTRE), _EXPONENT)
    f = fused(with_bits(reduced(bits, octave)), _PER_RADIUS, _MINUS_ONE)
    p = fused(f, fused(f, fused(f, fused(f, fused(f, _R5, _R4), _R3), _R2), _R1), _R0)
    radius = root(fused(f, p, as_float(octave) * _OCTAVE))
    r = fused(as_float(both(word, _ANGLE_BITS)), _PER_ANGLE, _FIRST_ANGLE)
    q = r * r
    sine = r * fused(q, fused(q, fused(q, _S3, _S2), _S1), _S0)
    cosine = fused(q, fused(q, fused(q, _C3, _C2), _C1), _C0)
    sign = both(shifted_left(word, _16), _SIGN_BIT)
    return radius * sine, with_bits(differing(bits_of(radius * cosine), sign))


@apart
def fill_groups(seed, index, draw, first, count, out, at):
    """Write normal numbers in whole groups.

    Args:
        seed: uint64.
        index: uint64, of the volume.
        draw: int64, of normal number 0; a multiple of 16.
        first: group to begin with.
        count: groups.
        out: float32, of one axis; gets 128 * count numbers.
        at: its first element to be written.
    """
    for b in range(count):
        words = random_lanes(seed, index, _STREAM, draw + DRAWS * (first + b))
        place = at + NORMALS_GROUP * b
        for w in range(4):
            one, two = normal_pair(words[w])
            store(out, place + 32 * w, one)
            store(out, place + 32 * w + 16, two)

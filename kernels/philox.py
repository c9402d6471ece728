"""Philox4x32-10, twin of ``philox.cuh``.

References:
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11,
    doi:10.1145/2063384.2063405
"""

import numpy as np

from .jit import simulated

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32, _16 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(16)


@simulated
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four random words from a counter of four words and a key of two; words are uint64 < 2^32."""
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1 & _LOW, (p0 >> _32) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _WEYL_0) & _LOW
        k1 = (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@simulated
def random_words(seed, index, stream, draw):
    """Four random words of (seed, volume index, stream, draw).

    Counter, from its lowest bit: 48 bits of draw, 16 of stream, 64 of index. Key: the seed.
    """
    s, i, d = np.uint64(seed), np.uint64(index), np.uint64(draw)
    high = ((d >> _32) & np.uint64(0xFFFF)) | (np.uint64(stream) << _16)
    return philox4x32(d & _LOW, high, i & _LOW, i >> _32, s & _LOW, s >> _32)


@simulated
def bounded(word, low, high):
    """Integer in low .. high, both included; its bias is below (high - low + 1) / 2^32."""
    return low + np.int64((word * np.uint64(high - low + 1)) >> _32)

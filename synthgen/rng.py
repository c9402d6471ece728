"""Random numbers on the host: words are a pure function of (seed, index, stream, draw)."""

import numpy as np
import numpy.typing as npt

DRAWS_MAX, STREAMS_MAX = 2**48, 2**16

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = 0x9E3779B9, 0xBB67AE85
_LOW, _32, _16 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(16)


def random_words(
    seed: int, index: npt.ArrayLike, stream: int, draw: npt.ArrayLike
) -> npt.NDArray[np.uint32]:
    """Four random words of each (volume index, draw), equal to those of the kernels.

    Args:
        seed: below 2^64.
        index: volume indices below 2^64, of a shape that broadcasts with ``draw``'s.
        stream: a code of ``synthgen.kernels.streams.Stream``.
        draw: numbers below 2^48.

    Returns:
        The broadcast shape and a last axis of four words.
    """
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
    return philox4x32(pack_counter(index, stream, draw), key)


def pack_counter(index: npt.ArrayLike, stream: int, draw: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Philox counters: from the lowest bit, 48 bits of draw, 16 of stream, 64 of index."""
    i, d = np.broadcast_arrays(np.asarray(index, np.uint64), np.asarray(draw, np.uint64))
    if not 0 <= stream < STREAMS_MAX or np.any(d >= DRAWS_MAX):
        raise ValueError("a counter holds streams below 2^16 and draws below 2^48")
    high = (d >> _32) | (np.uint64(stream) << _16)
    return np.stack([d & _LOW, high, i & _LOW, i >> _32], -1).astype(np.uint32)


def philox4x32(
    counter: npt.NDArray[np.uint32], key: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """Philox4x32-10, vectorised.

    Args:
        counter: (..., 4) words, a block of output each.
        key: (2,) words.

    Returns:
        (..., 4) random words.

    References:
        Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11,
        doi:10.1145/2063384.2063405
    """
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = int(key[0]), int(key[1])
    for _ in range(10):
        p0, p1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c1 = (p1 >> _32) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = (p0 >> _32) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL_0) & 0xFFFFFFFF, (k1 + _WEYL_1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], -1).astype(np.uint32)

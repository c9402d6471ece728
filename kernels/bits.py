"""64-bit row words, twin of ``bits.cuh``."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from .jit import simulated

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
ZERO, ONE, SIXTY_THREE = np.uint64(0), np.uint64(1), np.uint64(63)


@intrinsic
def popcount(typing_context, word):
    """Number of set bits of a uint64."""

    def codegen(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), codegen


def _choice(predicate):
    @intrinsic
    def choose(typing_context, left, right):
        def codegen(context, builder, signature, arguments):
            return builder.select(builder.icmp_signed(predicate, *arguments), *arguments)

        return types.int64(types.int64, types.int64), codegen

    return choose


# Of two int64; Numba would compile its own min and max for each pair of types.
smaller, larger = _choice("<"), _choice(">")


@intrinsic
def quotient(typing_context, numerator, denominator):
    """``numerator / denominator`` of int64, cut toward zero as in C; the denominator is not 0."""

    def codegen(context, builder, signature, arguments):
        return builder.sdiv(*arguments)

    return types.int64(types.int64, types.int64), codegen


@simulated
def span(low, high):
    """Word with bits low .. high set, 0 <= low <= high <= 63."""
    return (ALL << np.uint64(low)) & (ALL >> np.uint64(63 - high))


@simulated
def shifted_pair(low, high, shift):
    """The 64 bits that begin ``shift`` (0 .. 63) bits into ``low``, running on into ``high``."""
    s = np.uint64(shift)
    return (low >> s) | ((high << ONE) << (SIXTY_THREE - s))


@simulated
def clip_span(word, low, high):
    """Bits of the row interval low .. high (any order, any sign) that fall in word ``word``."""
    first = larger(low - 64 * word, 0)
    last = smaller(high - 64 * word, 63)
    if first > last:
        return ZERO
    return span(first, last)

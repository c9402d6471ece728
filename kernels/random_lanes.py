"""Philox4x32-10 of sixteen consecutive draws at once; lane by lane ``philox.random_words``.

A 32-bit product is made of the low half of a 64-bit lane, whose upper half may hold anything. So
eight draws are kept as eight 64-bit lanes, and no half is cleared before the end; the other eight
follow and are laid between them.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .float_lanes import INTS, WIDTH

DRAWS = WIDTH
_HALF = WIDTH // 2
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I64, _HALF)
_ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF


def _constant(value, number):
    """A number of the type of a value, in every lane."""
    if isinstance(value.type, ir.VectorType):
        return ir.Constant(_VECTOR, [number] * _HALF)
    return ir.Constant(_I64, number)


def _splat(builder, scalar):
    single = builder.insert_element(
        ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(_I32, 0)
    )
    order = ir.Constant(ir.VectorType(_I32, _HALF), [0] * _HALF)
    return builder.shuffle_vector(single, single, order)


def _mixed(builder, *values):
    """Their exclusive or; lanes if one is lanes."""
    values = sorted(values, key=lambda value: isinstance(value.type, ir.VectorType))
    result = values[0]
    for value in values[1:]:
        if result.type != value.type:
            result = _splat(builder, result)
        result = builder.xor(result, value)
    return result


def _product(builder, value, factor):
    low = builder.and_(value, _constant(value, _LOW))
    return builder.mul(low, _constant(value, factor))


def _high(builder, value):
    return builder.lshr(value, _constant(value, 32))


def _philox(builder, counter, keys):
    """Four words of each counter, in the low halves; what does not differ by lane is a scalar."""
    c0, c1, c2, c3 = counter
    for k0, k1 in keys:
        p0 = _product(builder, c0, _MULTIPLIERS[0])
        p1 = _product(builder, c2, _MULTIPLIERS[1])
        c0 = _mixed(builder, _high(builder, p1), c1, k0)
        c2 = _mixed(builder, _high(builder, p0), c3, k1)
        c1, c3 = p1, p0
    return c0, c1, c2, c3


def _keys(builder, seed):
    """Low halves of the keys of each round; what lies above them does not matter."""
    k0, k1 = seed, builder.lshr(seed, ir.Constant(_I64, 32))
    for step in range(_ROUNDS):
        yield tuple(
            builder.add(key, ir.Constant(_I64, step * weyl & _LOW))
            for key, weyl in zip((k0, k1), _WEYL, strict=True)
        )


@intrinsic
def random_lanes(typing_context, seed, index, stream, draw):
    """Words 0 .. 3 of the draws ``draw`` .. ``draw + 15`` of (seed, volume index, stream).

    Args:
        typing_context: Numba's.
        seed: uint64.
        index: uint64.
        stream: int64.
        draw: int64, a multiple of 16.

    Returns:
        Four INTS, a draw in each lane.
    """

    def codegen(context, builder, signature, arguments):
        seed, index, stream, draw = arguments
        thirty_two, sixteen = ir.Constant(_I64, 32), ir.Constant(_I64, 16)
        c1 = builder.or_(builder.lshr(draw, thirty_two), builder.shl(stream, sixteen))
        c2, c3 = index, builder.lshr(index, thirty_two)
        keys = list(_keys(builder, seed))
        halves = []
        for first in (0, 1):
            lanes = ir.Constant(_VECTOR, list(range(first, WIDTH, 2)))
            c0 = builder.or_(_splat(builder, draw), lanes)
            halves.append(_philox(builder, (c0, c1, c2, c3), keys))
        words = []
        for even, odd in zip(*halves, strict=True):
            low = builder.and_(even, _constant(even, _LOW))
            both = builder.or_(low, builder.shl(odd, _constant(odd, 32)))
            words.append(builder.bitcast(both, INTS.vector))
        return context.make_tuple(builder, signature.return_type, words)

    given = (types.uint64, types.uint64, types.int64, types.int64)
    return types.UniTuple(INTS, 4)(*given), codegen

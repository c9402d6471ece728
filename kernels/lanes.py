"""Eight 64-bit integers handled as one value, so that LLVM uses whatever vector unit there is.

A ``Lanes`` value has the operators + - & | ^ << >> (arithmetic) with another one, ``minimum``,
``maximum``, and comparisons that give all-ones or zero. Only CPU kernels use it.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDTH = 8
_I64 = ir.IntType(64)
_VECTOR = ir.VectorType(_I64, WIDTH)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


LANES = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _splat(builder, scalar):
    single = builder.insert_element(
        ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0)
    )
    order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, single, order)


@intrinsic
def splat(typing_context, value):
    """The int64 or uint64 ``value`` in every lane."""

    def codegen(context, builder, signature, arguments):
        return _splat(builder, arguments[0])

    return LANES(types.uint64 if value == types.uint64 else types.int64), codegen


@intrinsic
def steps(typing_context, step):
    """Lanes 0, step, 2 step, ... 7 step."""

    def codegen(context, builder, signature, arguments):
        return builder.mul(_splat(builder, arguments[0]), ir.Constant(_VECTOR, list(range(WIDTH))))

    return LANES(types.int64), codegen


def _address(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    element = builder.gep(array.data, [arguments[1]])
    return builder.bitcast(element, _VECTOR.as_pointer())


@intrinsic
def load(typing_context, array, start):
    """Eight consecutive words of a one-dimensional uint64 array."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature, arguments), align=8)

    return LANES(array, types.int64), codegen


@intrinsic
def store(typing_context, array, start, value):
    """Write eight consecutive words of a one-dimensional uint64 array."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, LANES), codegen


@intrinsic
def turned(typing_context, value):
    """Lanes and their bits in the other order: bit j of lane i becomes bit 63 - j of lane 7 - i."""

    def codegen(context, builder, signature, arguments):
        reverse = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.bitreverse.v{WIDTH}i64"
        )
        order = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), list(reversed(range(WIDTH))))
        bits = builder.call(reverse, arguments)
        return builder.shuffle_vector(bits, bits, order)

    return LANES(LANES), codegen


@intrinsic
def total_popcount(typing_context, value):
    """Set bits of all lanes together."""

    def codegen(context, builder, signature, arguments):
        module = builder.module
        count = cgutils.get_or_insert_function(
            module, ir.FunctionType(_VECTOR, [_VECTOR]), f"llvm.ctpop.v{WIDTH}i64"
        )
        add = cgutils.get_or_insert_function(
            module, ir.FunctionType(_I64, [_VECTOR]), f"llvm.vector.reduce.add.v{WIDTH}i64"
        )
        return builder.call(add, [builder.call(count, [arguments[0]])])

    return types.int64(LANES), codegen


def _binary(emit):
    @intrinsic
    def operation(typing_context, left, right):
        def codegen(context, builder, signature, arguments):
            return emit(builder, *arguments)

        return LANES(LANES, LANES), codegen

    return operation


def _pick(predicate):
    def emit(builder, left, right):
        return builder.select(builder.icmp_signed(predicate, left, right), left, right)

    return emit


def _flag(predicate):
    def emit(builder, left, right):
        return builder.sext(builder.icmp_signed(predicate, left, right), _VECTOR)

    return emit


minimum = _binary(_pick("<"))
maximum = _binary(_pick(">"))
at_most = _binary(_flag("<="))
below = _binary(_flag("<"))
shift_left = _binary(lambda builder, left, right: builder.shl(left, right))
shift_right = _binary(lambda builder, left, right: builder.lshr(left, right))


def _operator(function, emit):
    @type_callable(function)
    def typed(context):
        def signature(left, right):
            return LANES if isinstance(left, _LanesType) and isinstance(right, _LanesType) else None

        return signature

    @lower_builtin(function, LANES, LANES)
    def lowered(context, builder, signature, arguments):
        return emit(builder, *arguments)


_operator(operator.add, lambda builder, left, right: builder.add(left, right))
_operator(operator.sub, lambda builder, left, right: builder.sub(left, right))
_operator(operator.and_, lambda builder, left, right: builder.and_(left, right))
_operator(operator.or_, lambda builder, left, right: builder.or_(left, right))
_operator(operator.xor, lambda builder, left, right: builder.xor(left, right))
_operator(operator.rshift, lambda builder, left, right: builder.ashr(left, right))

"""Thirty-two bytes handled as one value; only CPU kernels use it."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

WIDTH = 32
_I8, _I32 = ir.IntType(8), ir.IntType(32)
_VECTOR = ir.VectorType(_I8, WIDTH)


class _BytesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name="ByteLanes")


BYTES = _BytesType()


@register_model(_BytesType)
class _BytesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


def _splat(builder, byte):
    single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), byte, ir.Constant(_I32, 0))
    order = ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, single, order)


def _loaded(builder, data, at, element):
    vector = ir.VectorType(element, WIDTH)
    address = builder.bitcast(builder.gep(data, [at]), vector.as_pointer())
    return builder.load(address, align=element.width // 8)


@intrinsic
def load(typing_context, data, at):
    """Thirty-two consecutive bytes from element ``at`` of what a pointer points to."""

    def codegen(context, builder, signature, arguments):
        return _loaded(builder, arguments[0], arguments[1], _I8)

    return BYTES(data, types.int64), codegen


@intrinsic
def store(typing_context, data, at, value):
    """Write thirty-two consecutive bytes from element ``at`` of what a pointer points to."""

    def codegen(context, builder, signature, arguments):
        data, at, value = arguments
        address = builder.bitcast(builder.gep(data, [at]), _VECTOR.as_pointer())
        builder.store(value, address, align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, BYTES), codegen


@intrinsic
def differing(typing_context, data, one, other):
    """255 where elements from ``one`` on differ from those from ``other`` on, else 0.

    Args:
        typing_context: Numba's.
        data: pointer to bytes or to integers of 16 bits.
        one: int64.
        other: int64.
    """

    def codegen(context, builder, signature, arguments):
        element = ir.IntType(signature.args[0].dtype.bitwidth)
        data, one, other = arguments
        left, right = (_loaded(builder, data, at, element) for at in (one, other))
        return builder.sext(builder.icmp_unsigned("!=", left, right), _VECTOR)

    return BYTES(data, types.int64, types.int64), codegen


@intrinsic
def either(typing_context, left, right):
    """The bits that one of two has."""
    return BYTES(BYTES, BYTES), lambda context, builder, signature, values: builder.or_(*values)


@intrinsic
def cleared(typing_context, byte, mask):
    """A byte in every lane, less the bits that ``mask`` has."""

    def codegen(context, builder, signature, arguments):
        return builder.and_(_splat(builder, arguments[0]), builder.not_(arguments[1]))

    return BYTES(types.uint8, BYTES), codegen


@intrinsic
def lower(typing_context, left, right):
    """The lesser of each two bytes, unsigned."""

    def codegen(context, builder, signature, values):
        name = f"llvm.umin.v{WIDTH}i8"
        kind = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

    return BYTES(BYTES, BYTES), codegen


@intrinsic
def raised(typing_context, value, byte):
    """Each byte plus ``byte``, modulo 256."""

    def codegen(context, builder, signature, arguments):
        return builder.add(arguments[0], _splat(builder, arguments[1]))

    return BYTES(BYTES, types.uint8), codegen

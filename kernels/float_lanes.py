"""Sixteen float32 handled as one value, and the operations that it shares with a float32 scalar.

A function written with ``+ - * /``, unary minus, comparisons and the operations below is the same
text for a scalar and for ``FLOATS``: its type follows from its arguments, and a scalar among lanes
stands in every lane. Lane by lane the result is the scalar's to the bit. Only CPU kernels use it;
LLVM splits the sixteen lanes into whatever the vector unit holds. Constants must be ``np.float32``,
as Numba would take a Python number for a double.

``least`` and ``most`` are a comparison and a choice: the first argument where it is strictly below
(above), else the second. So they agree with ``a < b ? a : b`` in C on every value, signed zeros and
NaN included, which neither ``fminf`` nor LLVM's minimum does.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDTH = 16
_F32, _I32 = ir.FloatType(), ir.IntType(32)


class _FloatsType(types.Type):
    element = types.float32
    vector = ir.VectorType(_F32, WIDTH)

    def __init__(self) -> None:
        super().__init__(name="FloatLanes")


class _IntsType(types.Type):
    element = types.int32
    vector = ir.VectorType(_I32, WIDTH)

    def __init__(self) -> None:
        super().__init__(name="IntLanes")


class _FlagsType(types.Type):
    element = types.boolean
    vector = ir.VectorType(ir.IntType(1), WIDTH)

    def __init__(self) -> None:
        super().__init__(name="FlagLanes")


FLOATS, INTS, FLAGS = _FloatsType(), _IntsType(), _FlagsType()
_LANES = {kind.element: kind for kind in (FLOATS, INTS, FLAGS)}


def _register(kind):
    @register_model(type(kind))
    class _Model(models.PrimitiveModel):
        def __init__(self, manager, model_kind):
            super().__init__(manager, model_kind, kind.vector)


for _kind in _LANES.values():
    _register(_kind)


def _is_lanes(kind):
    return isinstance(kind, (_FloatsType, _IntsType, _FlagsType))


def _splat(builder, scalar, vector):
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
    order = ir.Constant(ir.VectorType(_I32, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(single, single, order)


def _signature(elements, result, given):
    """Signature of an operation on scalars, or on lanes as soon as one argument is lanes."""
    for element, kind in zip(elements, given, strict=True):
        if kind not in (element, _LANES[element]):
            return None
    if not any(_is_lanes(kind) for kind in given):
        return result(*elements)
    return _LANES[result](*given)


def _spread(builder, signature, arguments):
    """The arguments of a lane operation with scalars in every lane."""
    if not _is_lanes(signature.return_type):
        return arguments
    return [
        value if _is_lanes(kind) else _splat(builder, value, _LANES[kind].vector)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


def _operation(elements, result, emit):
    """An intrinsic on scalars and lanes; ``emit(builder, *values)`` makes its code for both."""

    def resolve(*given):
        signature = _signature(elements, result, given)

        def codegen(context, builder, resolved, arguments):
            return emit(builder, *_spread(builder, resolved, arguments))

        return None if signature is None else (signature, codegen)

    # Numba wants as many named arguments as the operation takes.
    if len(elements) == 1:
        return intrinsic(lambda typing_context, a: resolve(a))
    if len(elements) == 2:
        return intrinsic(lambda typing_context, a, b: resolve(a, b))
    return intrinsic(lambda typing_context, a, b, c: resolve(a, b, c))


def _llvm(name):
    """Call of an LLVM intrinsic for the type at hand.

    ``declare_intrinsic`` of llvmlite knows no vectors, hence the declaration by name.
    """

    def emit(builder, *values):
        kind = values[0].type
        suffix = f"v{WIDTH}f32" if isinstance(kind, ir.VectorType) else "f32"
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind] * len(values)), f"llvm.{name}.{suffix}"
        )
        return builder.call(function, values)

    return emit


def _like(value, element):
    """The type of ``element`` with as many lanes as a value has."""
    return ir.VectorType(element, WIDTH) if isinstance(value.type, ir.VectorType) else element


def _pick(predicate):
    return lambda builder, a, b: builder.select(builder.fcmp_ordered(predicate, a, b), a, b)


_f32, _i32, _flag = types.float32, types.int32, types.boolean

fused = _operation((_f32, _f32, _f32), _f32, _llvm("fma"))  # a * b + c, rounded once
root = _operation((_f32,), _f32, _llvm("sqrt"))
floor_of = _operation((_f32,), _f32, _llvm("floor"))
magnitude = _operation((_f32,), _f32, _llvm("fabs"))
signed_as = _operation((_f32, _f32), _f32, _llvm("copysign"))  # |a| with the sign bit of b
least = _operation((_f32, _f32), _f32, _pick("<"))
most = _operation((_f32, _f32), _f32, _pick(">"))
chosen = _operation(
    (_flag, _f32, _f32), _f32, lambda builder, flag, a, b: builder.select(flag, a, b)
)
filled = _operation((_f32, _f32), _f32, lambda builder, a, b: b)  # b in as many lanes as a has
bits_of = _operation((_f32,), _i32, lambda builder, a: builder.bitcast(a, _like(a, _I32)))
with_bits = _operation((_i32,), _f32, lambda builder, a: builder.bitcast(a, _like(a, _F32)))
whole = _operation((_f32,), _i32, lambda builder, a: builder.fptosi(a, _like(a, _I32)))
added = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.add(a, b))
both = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.and_(a, b))
differing = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.xor(a, b))
shifted_left = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.shl(a, b))


def _operator(function, elements, result, emit):
    """A Python operator on lanes; on scalars it is Numba's own."""

    @type_callable(function)
    def typed(context):
        def resolve(*given):
            if len(given) != len(elements) or not any(_is_lanes(kind) for kind in given):
                return None
            signature = _signature(elements, result, given)
            return None if signature is None else signature.return_type

        return resolve

    def lowered(context, builder, signature, arguments):
        return emit(builder, *_spread(builder, signature, arguments))

    lanes = [_LANES[element] for element in elements]
    lower_builtin(function, *lanes)(lowered)
    if len(elements) == 2:
        lower_builtin(function, lanes[0], elements[1])(lowered)
        lower_builtin(function, elements[0], lanes[1])(lowered)


def _comparison(predicate):
    return lambda builder, a, b: builder.fcmp_ordered(predicate, a, b)


_operator(operator.add, (_f32, _f32), _f32, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, (_f32, _f32), _f32, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, (_f32, _f32), _f32, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, (_f32, _f32), _f32, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.neg, (_f32,), _f32, lambda builder, a: builder.fneg(a))
_operator(operator.lt, (_f32, _f32), _flag, _comparison("<"))
_operator(operator.gt, (_f32, _f32), _flag, _comparison(">"))
_operator(operator.le, (_f32, _f32), _flag, _comparison("<="))
_operator(operator.ge, (_f32, _f32), _flag, _comparison(">="))


@intrinsic
def splat(typing_context, value):
    """A float32 in every lane."""

    def codegen(context, builder, signature, arguments):
        return _splat(builder, arguments[0], FLOATS.vector)

    return FLOATS(types.float32), codegen


@intrinsic
def steps(typing_context):
    """Lanes 0, 1, ... 15."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(FLOATS.vector, [float(lane) for lane in range(WIDTH)])

    return FLOATS(), codegen


def _address(context, builder, signature, arguments):
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    element = builder.gep(array.data, [arguments[1]])
    return builder.bitcast(element, FLOATS.vector.as_pointer())


@intrinsic
def load(typing_context, array, start):
    """Sixteen consecutive elements of a one-dimensional float32 array."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return FLOATS(array, types.int64), codegen


@intrinsic
def store(typing_context, array, start, value):
    """Write sixteen consecutive elements of a one-dimensional float32 array."""

    def codegen(context, builder, signature, arguments):
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, FLOATS), codegen


@intrinsic
def packed(typing_context, flags):
    """Flags of sixteen lanes as the low bits of an int64, lane i at bit i."""

    def codegen(context, builder, signature, arguments):
        word = builder.bitcast(arguments[0], ir.IntType(WIDTH))
        return builder.zext(word, ir.IntType(64))

    return types.int64(FLAGS), codegen


@intrinsic
def set_flags(typing_context, flags):
    """How many lanes are set."""

    def codegen(context, builder, signature, arguments):
        word = builder.bitcast(arguments[0], ir.IntType(WIDTH))
        return builder.zext(builder.ctpop(word), ir.IntType(64))

    return types.int64(FLAGS), codegen

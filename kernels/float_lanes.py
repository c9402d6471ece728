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


def _splat_constant(value, number):
    """A whole number in as many lanes as a value of int32 has."""
    return ir.Constant(value.type, number if value.type == _I32 else [number] * WIDTH)


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
as_float = _operation((_i32,), _f32, lambda builder, a: builder.sitofp(a, _like(a, _F32)))
added = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.add(a, b))
reduced = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.sub(a, b))  # a - b
both = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.and_(a, b))
differing = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.xor(a, b))
shifted_left = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.shl(a, b))
shifted_right = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.lshr(a, b))
signs_of = _operation(  # -1 where negative, else 0
    (_i32,), _i32, lambda builder, a: builder.ashr(a, _splat_constant(a, 31))
)
multiplied = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.mul(a, b))
below = _operation((_i32, _i32), _flag, lambda builder, a, b: builder.icmp_signed("<", a, b))
either = _operation((_i32, _i32), _i32, lambda builder, a, b: builder.or_(a, b))
all_bits = _operation(  # -1 where set, else 0
    (_flag,), _i32, lambda builder, flag: builder.sext(flag, _like(flag, _I32))
)
lower = _operation(
    (_i32, _i32), _i32, lambda builder, a, b: builder.select(builder.icmp_signed("<", a, b), a, b)
)
upper = _operation(
    (_i32, _i32), _i32, lambda builder, a, b: builder.select(builder.icmp_signed(">", a, b), a, b)
)
any_bit = _operation(
    (_i32,), _flag, lambda builder, a: builder.icmp_signed("!=", a, ir.Constant(a.type, None))
)
picked = _operation(
    (_flag, _i32, _i32), _i32, lambda builder, flag, a, b: builder.select(flag, a, b)
)


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


def _whole_comparison(predicate):
    return lambda builder, a, b: builder.icmp_signed(predicate, a, b)


# Of INTS alone: on scalars Numba widens them. ``>>`` keeps the sign.
_operator(operator.add, (_i32, _i32), _i32, lambda builder, a, b: builder.add(a, b))
_operator(operator.sub, (_i32, _i32), _i32, lambda builder, a, b: builder.sub(a, b))
_operator(operator.mul, (_i32, _i32), _i32, lambda builder, a, b: builder.mul(a, b))
_operator(operator.and_, (_i32, _i32), _i32, lambda builder, a, b: builder.and_(a, b))
_operator(operator.rshift, (_i32, _i32), _i32, lambda builder, a, b: builder.ashr(a, b))
_operator(operator.lt, (_i32, _i32), _flag, _whole_comparison("<"))
_operator(operator.le, (_i32, _i32), _flag, _whole_comparison("<="))
_operator(operator.and_, (_flag, _flag), _flag, lambda builder, a, b: builder.and_(a, b))


@intrinsic
def splat(typing_context, value):
    """A float32 or int32 in every lane."""
    kind = _LANES[value]

    def codegen(context, builder, signature, arguments):
        return _splat(builder, arguments[0], kind.vector)

    return kind(value), codegen


@intrinsic
def steps(typing_context):
    """Lanes 0, 1, ... 15."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(FLOATS.vector, [float(lane) for lane in range(WIDTH)])

    return FLOATS(), codegen


@intrinsic
def places(typing_context):
    """Lanes 0, 1, ... 15 as int32."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(INTS.vector, list(range(WIDTH)))

    return INTS(), codegen


def _kind_in(array):
    """Lanes that hold elements of an array, or of what a pointer points to, of 32 bits."""
    return FLOATS if array.dtype == types.float32 else INTS


def _data(context, builder, kind, value):
    """Pointer to the first element of an array, or a pointer as it is."""
    if isinstance(kind, types.CPointer):
        return value
    return context.make_array(kind)(context, builder, value).data


def _address(context, builder, signature, arguments, vector):
    data = _data(context, builder, signature.args[0], arguments[0])
    return builder.bitcast(builder.gep(data, [arguments[1]]), vector.as_pointer())


@intrinsic
def pointer(typing_context, array, start):
    """Pointer to element ``start`` of an array without gaps, its axes taken for one.

    It is indexed as an array of one axis. Passing it on costs nothing, where Numba counts the
    references to an array; so the array must be in use for as long.
    """

    def codegen(context, builder, signature, arguments):
        data = _data(context, builder, signature.args[0], arguments[0])
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.int64), codegen


@intrinsic
def load(typing_context, array, start):
    """Sixteen consecutive elements of a float32, int32 or uint32 array of one axis."""
    kind = _kind_in(array)

    def codegen(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments, kind.vector)
        return builder.load(address, align=4)

    return kind(array, types.int64), codegen


@intrinsic
def load_whole(typing_context, array, start):
    """Sixteen consecutive elements of an array of unsigned bytes or of 16 bits, as INTS."""

    def codegen(context, builder, signature, arguments):
        bits = signature.args[0].dtype.bitwidth
        vector = ir.VectorType(ir.IntType(bits), WIDTH)
        address = _address(context, builder, signature, arguments, vector)
        return builder.zext(builder.load(address, align=bits // 8), INTS.vector)

    return INTS(array, types.int64), codegen


@intrinsic
def like_ends(typing_context, array, start):
    """Which of sixteen consecutive elements equal the first of them, and which the last.

    Of an array or a pointer of unsigned bytes or of 16 bits.
    """

    def codegen(context, builder, signature, arguments):
        bits = signature.args[0].dtype.bitwidth
        vector = ir.VectorType(ir.IntType(bits), WIDTH)
        address = _address(context, builder, signature, arguments, vector)
        value = builder.load(address, align=bits // 8)
        flags = []
        for place in (0, WIDTH - 1):
            order = ir.Constant(ir.VectorType(_I32, WIDTH), [place] * WIDTH)
            end = builder.shuffle_vector(value, value, order)
            flags.append(builder.icmp_signed("==", value, end))
        return context.make_tuple(builder, signature.return_type, flags)

    return types.UniTuple(FLAGS, 2)(array, types.int64), codegen


@intrinsic
def gathered(typing_context, array, start, offset):
    """Element ``start + offset`` of a one-dimensional float32 array, or one for each lane."""

    def codegen(context, builder, signature, arguments):
        data = _data(context, builder, signature.args[0], arguments[0])
        first = builder.gep(data, [arguments[1]])
        if offset is not INTS:
            return builder.load(builder.gep(first, [arguments[2]]), align=4)
        lanes = ir.Constant(FLOATS.vector, ir.Undefined)
        for lane in range(WIDTH):
            place = ir.Constant(_I32, lane)
            at = builder.gep(first, [builder.extract_element(arguments[2], place)])
            lanes = builder.insert_element(lanes, builder.load(at, align=4), place)
        return lanes

    return (FLOATS if offset is INTS else types.float32)(array, types.int64, offset), codegen


@intrinsic
def gathered_pairs(typing_context, array, start, row, layer, offset):
    """Elements ``offset`` of int16 and the one after it, for each lane as one int32.

    From each of the four places ``start``, ``start + row``, ``start + layer`` and ``start + layer +
    row`` on. The first element is the low half.

    Args:
        typing_context: Numba's.
        array: a pointer or an array of one axis.
        start: int64, as ``row`` and ``layer``.
        row: see ``start``.
        layer: see ``start``.
        offset: INTS, not negative.
    """

    def codegen(context, builder, signature, arguments):
        data = _data(context, builder, signature.args[0], arguments[0])
        start, row, layer, offset = arguments[1:]
        near = builder.gep(data, [start])
        far = builder.gep(near, [layer])
        rows = [near, builder.gep(near, [row]), far, builder.gep(far, [row])]
        # Lane by lane, so that a lane's offset need not be kept.
        lanes = [ir.Constant(INTS.vector, ir.Undefined)] * len(rows)
        for lane in range(WIDTH):
            place = ir.Constant(_I32, lane)
            at = builder.zext(builder.extract_element(offset, place), ir.IntType(64))
            for i, first in enumerate(rows):
                address = builder.bitcast(builder.gep(first, [at]), _I32.as_pointer())
                pair = builder.load(address, align=2)
                lanes[i] = builder.insert_element(lanes[i], pair, place)
        return context.make_tuple(builder, signature.return_type, lanes)

    four = types.UniTuple(INTS, 4)
    return four(array, types.int64, types.int64, types.int64, INTS), codegen


@intrinsic
def fours_at(typing_context, array, first, offsets, at):
    """Four consecutive float32 for each lane: all lanes' first, second, third and fourth.

    Lane i's begin at element ``first + offsets[at + i]``.

    Args:
        typing_context: Numba's.
        array: of float32, a pointer or an array of one axis.
        first: int64.
        offsets: of int32, not negative, a pointer or an array of one axis.
        at: int64.
    """

    def codegen(context, builder, signature, arguments):
        data = _data(context, builder, signature.args[0], arguments[0])
        data = builder.gep(data, [arguments[1]])
        table = _data(context, builder, signature.args[2], arguments[2])
        table = builder.gep(table, [arguments[3]])
        four = ir.VectorType(_F32, 4)

        def loaded(lane):
            offset = builder.load(builder.gep(table, [ir.Constant(_I32, lane)]), align=4)
            address = builder.gep(data, [builder.zext(offset, ir.IntType(64))])
            return builder.load(builder.bitcast(address, four.as_pointer()), align=4)

        def shuffled(a, b, *order):
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))

        halves = []
        for lane in range(0, WIDTH, 8):  # as eight lanes transpose without crossing their middle
            a, b, c, d = (
                shuffled(loaded(lane + i), loaded(lane + i + 4), *range(8)) for i in range(4)
            )
            low_ab, high_ab, low_cd, high_cd = (
                shuffled(x, y, *(k + half for half in (0, 4) for k in order))
                for x, y in ((a, b), (c, d))
                for order in ((0, 8, 1, 9), (2, 10, 3, 11))
            )
            halves.append(
                [
                    shuffled(x, y, *(k + half for half in (0, 4) for k in order))
                    for x, y in ((low_ab, low_cd), (high_ab, high_cd))
                    for order in ((0, 1, 8, 9), (2, 3, 10, 11))
                ]
            )
        lanes = [shuffled(low, high, *range(WIDTH)) for low, high in zip(*halves, strict=True)]
        return context.make_tuple(builder, signature.return_type, lanes)

    four_lanes = types.UniTuple(FLOATS, 4)
    return four_lanes(array, types.int64, offsets, types.int64), codegen


_I16 = ir.IntType(16)
_HALVES, _PRODUCTS = ir.VectorType(_I16, 2 * WIDTH), ir.VectorType(_I32, 2 * WIDTH)


@intrinsic
def summed_products(typing_context, left, right):
    """Sum of the products of the low halves and of the high halves, which are signed."""

    def codegen(context, builder, signature, arguments):
        wide = [builder.sext(builder.bitcast(value, _HALVES), _PRODUCTS) for value in arguments]
        products = builder.mul(*wide)
        low, high = (
            builder.shuffle_vector(
                products,
                products,
                ir.Constant(INTS.vector, list(range(first, 2 * WIDTH, 2))),
            )
            for first in (0, 1)
        )
        return builder.add(low, high)

    return INTS(INTS, INTS), codegen


@intrinsic
def store(typing_context, array, start, value):
    """Write sixteen consecutive elements of a float32, int32 or uint32 array of one axis."""
    kind = _kind_in(array)

    def codegen(context, builder, signature, arguments):
        address = _address(context, builder, signature, arguments, kind.vector)
        builder.store(arguments[2], address, align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, kind), codegen


@intrinsic
def store_narrow(typing_context, array, start, value):
    """Write INTS as sixteen consecutive elements of an array of 8-, 16- or 32-bit integers."""

    def codegen(context, builder, signature, arguments):
        bits = signature.args[0].dtype.bitwidth
        vector = ir.VectorType(ir.IntType(bits), WIDTH)
        address = _address(context, builder, signature, arguments, vector)
        value = arguments[2] if bits == 32 else builder.trunc(arguments[2], vector)
        builder.store(value, address, align=bits // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, INTS), codegen


@intrinsic
def packed(typing_context, flags):
    """Flags of sixteen lanes as the low bits of an int64, lane i at bit i."""

    def codegen(context, builder, signature, arguments):
        word = builder.bitcast(arguments[0], ir.IntType(WIDTH))
        return builder.zext(word, ir.IntType(64))

    return types.int64(FLAGS), codegen


def _reduction(name):
    """Of the sixteen lanes of an INTS to one int32."""

    @intrinsic
    def operation(typing_context, lanes):
        def codegen(context, builder, signature, arguments):
            function = cgutils.get_or_insert_function(
                builder.module,
                ir.FunctionType(_I32, [INTS.vector]),
                f"llvm.vector.reduce.{name}.v{WIDTH}i32",
            )
            return builder.call(function, arguments)

        return types.int32(INTS), codegen

    return operation


sum_of = _reduction("add")
lowest_of = _reduction("smin")
highest_of = _reduction("smax")
all_of = _reduction("or")  # the bits that any lane has


@intrinsic
def least_of(typing_context, lanes):
    """The least of sixteen float32."""

    def codegen(context, builder, signature, arguments):
        value, width = arguments[0], WIDTH
        while width > 1:
            width //= 2
            halves = [
                builder.shuffle_vector(
                    value, value, ir.Constant(ir.VectorType(_I32, width), list(order))
                )
                for order in (range(width), range(width, 2 * width))
            ]
            value = builder.select(builder.fcmp_ordered("<", *halves), *halves)
        return builder.extract_element(value, ir.Constant(_I32, 0))

    return types.float32(FLOATS), codegen

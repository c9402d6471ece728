"""Blocks of sixteen rows of sixteen float32, and how CPU kernels transpose them."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .float_lanes import WIDTH, _data

_EIGHT = 8
_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, _EIGHT)
# Orders of two vectors' elements that a vector unit of 256 bits has single instructions for.
_LOW, _HIGH = (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)
_LOW_PAIRS, _HIGH_PAIRS = (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)
_LOW_HALVES, _HIGH_HALVES = (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)


def _transposed(builder, rows):
    """The columns of eight vectors of eight."""

    def shuffled(a, b, order):
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, _EIGHT), order))

    rows = [
        shuffled(rows[i], rows[i + 1], order)
        for i in range(0, _EIGHT, 2)
        for order in (_LOW, _HIGH)
    ]
    rows = [
        shuffled(rows[i + k], rows[i + k + 2], order)
        for i in (0, 4)
        for k in (0, 1)
        for order in (_LOW_PAIRS, _HIGH_PAIRS)
    ]
    return [
        shuffled(rows[i], rows[i + 4], order)
        for order in (_LOW_HALVES, _HIGH_HALVES)
        for i in range(4)
    ]


@intrinsic
def transpose(typing_context, source, at, step, target, to, stride):
    """Write a block's columns as rows.

    Args:
        typing_context: Numba's.
        source: float32, a pointer or an array of one axis.
        at: int64, the element of the block's first row and column.
        step: int64, elements from row to row.
        target: as ``source``; another array.
        to: int64, as ``at``.
        stride: int64, as ``step``.
    """

    def codegen(context, builder, signature, arguments):
        kinds = signature.args

        def address(which, row, column):
            base = _data(context, builder, kinds[which], arguments[which])
            rows = builder.mul(arguments[which + 2], ir.Constant(_I64, row))
            place = builder.add(builder.add(arguments[which + 1], rows), ir.Constant(_I64, column))
            return builder.bitcast(builder.gep(base, [place]), _VECTOR.as_pointer())

        for i in range(0, WIDTH, _EIGHT):
            for j in range(0, WIDTH, _EIGHT):
                rows = [builder.load(address(0, i + k, j), align=4) for k in range(_EIGHT)]
                for k, column in enumerate(_transposed(builder, rows)):
                    builder.store(column, address(3, j + k, i), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(source, whole, whole, target, whole, whole), codegen

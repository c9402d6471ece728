"""What LLVM makes of the CPU kernels: no math library, no floating point but what is argued for.

A kernel added to the package is added here with the types of its arguments.
"""

import functools
import re
from importlib.resources import files
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from synthgen.kernels import (
    paint_contour,
    place_overlap,
    rasterize_polygon_stack,
    sample_polygon_stack,
    turn,
    uniform_noise,
)

I32, I64, U64, BOOL = types.int32, types.int64, types.uint64, types.boolean
SETTINGS, INDICES = I64[::1], U64[::1]
OBJECTS, PLACED, BOXES = I32[:, :, ::1], I32[:, :, ::1], I32[:, :, ::1]
SLICES, ARENA, OCCUPIED = I32[:, :, :, ::1], U64[:, :, ::1], U64[:, :, :, ::1]


def volumes(number: Any) -> Any:
    return number[:, :, :, ::1]


KERNELS: list[tuple[Any, tuple[Any, ...]]] = [
    (
        sample_polygon_stack.sample_polygon_stack,
        (SETTINGS, SETTINGS, SETTINGS, U64, INDICES, I64, OBJECTS, BOXES),
    ),
    (
        rasterize_polygon_stack.rasterize_polygon_stack,
        (OBJECTS, I64, I64, I64, I64, SETTINGS, SETTINGS, BOXES, SLICES, ARENA, ARENA),
    ),
    (turn.turn, (SETTINGS, BOXES, SLICES, ARENA, ARENA)),
    (
        place_overlap.place_overlap,
        (BOXES, SLICES, ARENA, OCCUPIED, I64, I64, I64, I64, BOOL, U64, INDICES, PLACED),
    ),
    *(
        (
            paint_contour.paint_contour,
            (
                OBJECTS, PLACED, BOXES, SLICES, ARENA, ARENA, image, image,
                volumes(image), volumes(label), I64,
            ),
        )
        for image, label in (
            (types.uint8, types.uint8), (types.uint16, types.uint8),
            (types.uint32, types.uint8), (types.uint8, types.uint16),
        )
    ),
    *(
        (uniform_noise.uniform_noise, (I64, I64, I64, image[::1], U64, INDICES, volumes(image)))
        for image in (types.uint8, types.uint16, types.uint32)
    ),
]  # fmt: skip

# Floating-point operations that a kernel may use beside conversions; polygon.py argues why their
# rounding cannot matter. Each is correctly rounded on every processor.
FLOATS = {"rasterize_polygon_stack": {"fmul", "fdiv", "sqrt", "llvm.sqrt"}}

RUNTIME = re.compile(r"NRT_|numba_|_?Py|mem(set|cpy|move)$|_ZN")  # memory and errors, no arithmetic
HARMLESS_INTRINSICS = re.compile(
    r"llvm\.(mem\w+|ctpop|ctlz|cttz|[su](min|max)|abs|fsh[lr]|bswap|bitreverse|vector\.reduce\.\w+"
    r"|assume|lifetime|dbg|experimental\.noalias|masked|umul|smul|uadd|sadd|usub|ssub|vscale"
    r"|stack(save|restore)|prefetch)\b"
)
ARITHMETIC = re.compile(r"= (?:tail )?(f(?:add|sub|mul|div|rem|neg|cmp|pext|ptrunc))\b")
FAST = re.compile(r"\b(fast|reassoc|contract|afn|arcp|nnan|ninf|nsz)\b")
CALL = re.compile(r'\b(?:call|invoke)\b[^@\n]*@"?([^"(]+)"?\(')
LIBM = re.compile(r"(?:\$|\bcallq?\s+)(sqrt|sin|cos|tan|exp|log|pow|fmod|cbrt|hypot|round)\w*")
FUNCTION = re.compile(r'^define [^\n]*?@"?([^"(]+)"?\([^\n]*\{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


@functools.cache
def compiled(function: Any, arguments: tuple[Any, ...]) -> tuple[str, str]:
    """LLVM code without Numba's wrappers and runtime, and assembly.

    Compiled afresh, as the cache keeps neither.
    """
    fresh = numba.njit(nogil=True, error_model="numpy")(function)
    fresh.compile(arguments)
    (signature,) = fresh.signatures
    bodies = FUNCTION.findall(fresh.inspect_llvm(signature))
    own = [body for name, body in bodies if not name.startswith(("_ZN7cpython", "cfunc.", "NRT_"))]
    return "\n".join(own), fresh.inspect_asm(signature)


def floating_point(code: str) -> set[str]:
    """Floating-point instructions, and intrinsics and functions that may compute."""
    called = set(CALL.findall(code))
    intrinsics = {c for c in called if c.startswith("llvm.") and not HARMLESS_INTRINSICS.match(c)}
    foreign = {c for c in called if not c.startswith("llvm.") and not RUNTIME.match(c)}
    names = {re.sub(r"(\.v\d+)?\.f\d+$|(\.v\d+f\d+)$", "", name) for name in intrinsics}
    return set(ARITHMETIC.findall(code)) | names | foreign


@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        pytest.param(kernel, arguments, id=f"{kernel.__name__}-{i}")
        for i, (kernel, arguments) in enumerate(KERNELS)
    ],
)
def test_no_floating_point_beyond_what_is_argued(kernel, arguments):
    code, assembly = compiled(kernel.py_func, arguments)
    assert floating_point(code) <= FLOATS.get(kernel.__name__, set())
    assert not FAST.search(re.sub(r'"[^"]*"', "", code))
    assert not LIBM.search(assembly)  # `sqrt` above has become an instruction
    assert not re.search(r"\bv?fn?m(add|sub)\d*[sp][sd]", assembly)


def test_every_kernel_is_checked():
    decorated = {
        f"{file.name[:-3]}.{name}"
        for file in files("synthgen.kernels").iterdir()
        if file.name.endswith(".py")
        for name in re.findall(r"^@kernel\ndef (\w+)", file.read_text(), re.MULTILINE)
    }
    checked = {f"{k.py_func.__module__.rpartition('.')[2]}.{k.__name__}" for k, _ in KERNELS}
    assert checked == decorated


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a: np.sin(a[0]), "sin"),
        (lambda a: np.exp(a[0]), "exp"),
        (lambda a: a[0] ** a[1], "pow"),
        (lambda a: a[0] % a[1], "frem"),
        (lambda a: a[0] + a[1], "fadd"),
        (lambda a: np.float32(a[0]), "fptrunc"),
    ],
    ids=["sin", "exp", "pow", "fmod", "sum", "float32"],
)
def test_the_gate_sees(function, expected):
    code, assembly = compiled(function, (types.float64[::1],))
    if expected in ("sin", "exp", "pow"):
        assert LIBM.search(assembly)
    assert any(expected in name for name in floating_point(code))

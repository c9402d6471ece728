"""What compiled code of real numbers may hold: exactly rounded operations of float32 alone."""

import re

import pytest

ALLOWED = {
    "fadd", "fsub", "fmul", "fdiv", "fneg", "fcmp", "llvm.fma", "llvm.sqrt", "llvm.floor",
    "llvm.fabs", "llvm.copysign",
}  # fmt: skip


def check_cpu(function, arguments, less=()):
    """No double, no fast flags and no libm in ``function`` as Numba compiles it.

    Args:
        arguments: Numba types.
        less: operations that it must not need either.
    """
    from tests.kernels.test_compiled_code import FAST, LIBM, compiled, floating_point

    code, assembly = compiled(function.py_func, arguments)
    code = re.sub(r'"[^"]*"', "", code)
    assert not re.search(r"\bdouble\b", code)
    assert not FAST.search(code)
    assert not LIBM.search(assembly)
    assert floating_point(code) <= ALLOWED - set(less)


def check_cuda(source, name, architecture):
    """No double and nothing approximate or spilled in the kernel ``name`` as NVRTC compiles it."""
    static = pytest.importorskip("tests.test_cuda_static")
    kernel = static.compile_text(source, name, {}, architecture)
    assert static.inexact_operations(kernel.ptx, source) == set()
    assert static.double_operations(kernel.ptx) == set()
    assert (kernel.spill_stores, kernel.spill_loads, kernel.local_memory) == (0, 0, 0)

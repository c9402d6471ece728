"""What the CUDA compiler makes of each kernel: no spills, only exactly rounded arithmetic."""

import functools
import re

import pytest

from benchmarks.cuda_report import (
    ARCHITECTURES,
    Compiled,
    compile_kernel,
    compile_text,
    evaluation_costs,
    variants,
)
from synthgen.backend.source import assemble, kernel_names, kernel_source

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed")
try:
    nvrtc.nvrtcVersion()
except RuntimeError:
    pytest.skip("the wheel nvidia-cuda-nvrtc is not installed", allow_module_level=True)

# Double operations that a kernel may use; polygon.py argues why their rounding cannot matter.
DOUBLE = {"rasterize_polygon_stack": {"cvt", "mov", "mul.rn", "div.rn", "sqrt.rn"}}

CASES = [
    pytest.param(name, tuple(defines.items()), arch, id=" ".join([name, *defines.values(), arch]))
    for name in kernel_names()
    for defines in variants(name)
    for arch in ARCHITECTURES
]
EVERY_KERNEL = pytest.mark.parametrize(("name", "defines", "architecture"), CASES)


@functools.cache
def compiled(name: str, defines: tuple[tuple[str, str], ...], architecture: str) -> Compiled:
    return compile_kernel(name, dict(defines), architecture)


def inexact_operations(ptx: str, source: str) -> set[str]:
    """Approximate and fused instructions, less the fused ones that the source spells out."""
    found = set(re.findall(r"\b(\w+\.approx[\w.]*|div\.full[\w.]*)", ptx))
    if "__fmaf_rn" not in source:
        found |= set(re.findall(r"\bfma\.[\w.]+", ptx))
    return found


def double_operations(ptx: str) -> set[str]:
    """Instructions on doubles, without their types: ``cvt.rn.f64.s64`` is ``cvt``."""
    names = set(re.findall(r"(?<![.\w])([a-z]\w*(?:\.\w+)*\.f64)\b", ptx))
    return {"cvt" if name.startswith("cvt.") else name.removesuffix(".f64") for name in names}


@EVERY_KERNEL
def test_nothing_spills(name, defines, architecture):
    kernel = compiled(name, defines, architecture)
    assert (kernel.spill_stores, kernel.spill_loads, kernel.local_memory) == (0, 0, 0)
    assert kernel.static_shared <= 48 << 10


@EVERY_KERNEL
def test_every_operation_rounds_as_ieee_says(name, defines, architecture):
    ptx = compiled(name, defines, architecture).ptx
    assert inexact_operations(ptx, kernel_source(name)) == set()
    assert double_operations(ptx) <= DOUBLE.get(name, set())


def compile_snippet(body: str) -> Compiled:
    text = f'extern "C" __global__ void snippet(float* x, double* d, int n) {{ {body} }}'
    return compile_text(assemble(text, "snippet.cu"), "snippet", {}, "sm_90")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x[0] = __sinf(x[1]);", "sin.approx"),
        ("x[0] = __fdividef(x[1], x[2]);", "div.approx"),
        ("x[0] = __fmaf_rn(x[1], x[2], x[3]);", "fma.rn"),
    ],
)
def test_the_gate_sees_inexact_operations(body, expected):
    found = inexact_operations(compile_snippet(body).ptx, "")
    assert any(name.startswith(expected) for name in found)


def test_the_gate_sees_doubles():
    found = double_operations(compile_snippet("d[0] = sqrt(d[1]) * n + x[0] / d[2];").ptx)
    assert {"cvt", "sqrt.rn", "div.rn", "add.rn", "mul.rn"} <= found


def test_the_gate_sees_local_memory():
    body = """
        float local[64];
        for (int i = 0; i < 64; ++i) local[i] = x[i * n];
        for (int i = 0; i < n; ++i) x[i] = local[i * n & 63];"""
    assert compile_snippet(body).local_memory == 256


def test_products_and_sums_are_not_fused():
    assert inexact_operations(compile_snippet("x[0] = x[1] * x[2] + x[3];").ptx, "") == set()


def test_a_polygon_costs_its_edges():
    costs = evaluation_costs("sm_90")
    three, six, nine = (costs[f"profile: polygon of {edges}"] for edges in (3, 6, 9))
    assert costs["profile: circle"] < three
    assert nine - six == pytest.approx(six - three, abs=5)
    assert min(costs.values()) > 0

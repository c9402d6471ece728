"""Each leaf function of a header equals its Numba twin, bit for bit, on random and edge inputs."""

import functools
import math
import re
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import polygon
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.leaves import LEAVES, Draw, Leaf

# Those of real numbers are held by test_sdf.py, test_mapper.py and test_displacement.py, each of
# which has a test of completeness of its own; those of arrays by test_rasterize_bank.py; those of
# appearance chains by test_gaussian.py and test_shade.py; those of fractals, in words of whole
# draws, by test_fractal.py.
ELSEWHERE = (
    "real.cuh", "sdf.cuh", "mapper.cuh", "displacement.cuh", "source_distance.cuh", "gaussian.cuh",
    "shading.cuh", "fractal.cuh",
)  # fmt: skip
CASES = pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)


READS = {  # in C and in Python
    "i": ("const long long a{i} = in[{i} * n + k];", "a[{i}, k]"),
    "u": ("const unsigned long long a{i} = in[{i} * n + k];", "np.uint64(a[{i}, k])"),
    "d": (
        "const double a{i} = __longlong_as_double(in[{i} * n + k]);",
        "a.view(np.float64)[{i}, k]",
    ),
}
RESULTS = {"i": ("(long long)", "r"), "d": ("__double_as_longlong", "r.view(np.float64)")}


def c_case(number: int, leaf: Leaf) -> str:
    """C that calls one function for every column of inputs."""
    reads = " ".join(READS[kind][0].format(i=i) for i, kind in enumerate(leaf.kinds))
    members = [f".{name}" for name in leaf.fields] or [""]
    cast = RESULTS[leaf.result][0]
    writes = " ".join(f"out[{i} * n + k] = {cast}(r{m});" for i, m in enumerate(members))
    return f"""
        case {number}:
            for (long long k = 0; k < n; ++k) {{ {reads} const auto r = {leaf.c_call}; {writes} }}
            break;"""


@functools.cache
def host_kernel(sanitize: bool) -> HostKernel:
    headers = sorted({leaf.module.__name__.rpartition(".")[2] for leaf in LEAVES})
    includes = "\n".join(f'#include "{header}.cuh"' for header in headers)
    cases = "".join(c_case(i, leaf) for i, leaf in enumerate(LEAVES))
    text = f"""{includes}
extern "C" __global__ void leaves(int which, long long n, const long long* in, long long* out)
{{
    switch (which) {{{cases}
    }}
}}"""
    return HostKernel("leaves", source=assemble(text, "leaves.cu"), sanitize=sanitize)


def run_c(leaf: Leaf, inputs: np.ndarray, *, sanitize: bool = False) -> np.ndarray:
    out = np.zeros((leaf.results, inputs.shape[1]), np.int64)
    arguments = [np.int32(LEAVES.index(leaf)), np.int64(inputs.shape[1]), inputs, out]
    host_kernel(sanitize)(1, 1, arguments)
    return out


def run_numba(leaf: Leaf, inputs: np.ndarray) -> np.ndarray:
    """Call the twin for every column, in a loop compiled for it."""
    arguments = ", ".join(READS[kind][1].format(i=i) for i, kind in enumerate(leaf.kinds))
    target = RESULTS[leaf.result][1]
    targets = ", ".join(f"{target}[{i}, k]" for i in range(leaf.results))
    body = f"{targets} = f({arguments})"
    scope = {"f": getattr(leaf.module, leaf.name), "np": np}
    exec(f"def loop(a, r):\n for k in range(a.shape[1]):\n  {body}\n", scope)
    out = np.zeros((leaf.results, inputs.shape[1]), np.int64)
    numba.njit(error_model="numpy")(scope["loop"])(inputs, out)
    return out


def inputs_of(leaf: Leaf, count: int) -> np.ndarray:
    return np.ascontiguousarray(leaf.inputs(Draw(count)), np.int64)


def test_every_device_function_is_fuzzed():
    for header in files("synthgen.kernels").iterdir():
        if header.name.endswith(".cuh") and header.name not in ELSEWHERE:
            found = set(re.findall(r"__forceinline__ [\w ]+?(\w+)\(", header.read_text()))
            module = f"synthgen.kernels.{header.name[:-4]}"
            assert found == {leaf.name for leaf in LEAVES if leaf.module.__name__ == module}


@needs_compiler
@CASES
def test_c_equals_numba(leaf):
    inputs = inputs_of(leaf, 1_000_000)
    expected, got = run_numba(leaf, inputs), run_c(leaf, inputs)
    wrong = np.flatnonzero((expected != got).any(0))
    assert wrong.size == 0, (inputs[:, wrong[0]], expected[:, wrong[0]], got[:, wrong[0]])


@needs_compiler
@CASES
def test_nothing_overflows(leaf):
    """The undefined-behaviour sanitizer passes, so the inputs above compare defined values only."""
    inputs = inputs_of(leaf, 50_000)
    assert np.array_equal(run_c(leaf, inputs, sanitize=True), run_c(leaf, inputs))


def test_floor_sqrt_is_the_integer_root():
    leaf = next(leaf for leaf in LEAVES if leaf.name == "floor_sqrt")
    inputs = inputs_of(leaf, 100_000)
    assert run_numba(leaf, inputs)[0].tolist() == [math.isqrt(v) for v in inputs[0].tolist()]


def test_cosine_table_is_far_from_every_rounding_tie():
    """So the table does not depend on the platform's cosine."""
    exact = [math.cos(math.radians(d)) * 2**polygon.TURN_BITS for d in range(360)]
    ties = [abs(abs(v - math.floor(v)) - 0.5) for v in exact]
    assert min(ties) > 1e-4
    assert [round(v) for v in exact] == polygon.COSINE.tolist()

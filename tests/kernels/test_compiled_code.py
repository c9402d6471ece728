"""What LLVM makes of the CPU kernels: no math library, no floating point but what is argued for."""

import functools
import re
from importlib.resources import files
from typing import Any

import numba
import numpy as np
import pytest
from numba import types

from synthgen.backend.cpu import CpuBackend
from synthgen.backend.plan import MixturePlan
from synthgen.engine import plan_of
from synthgen.kernels.displacement_tables import fill_tables
from synthgen.recipe import AnyRecipe, load_recipe, mix
from tests.backends import empty_outputs
from tests.kernels.real_code import check_cpu
from tests.pair_folders import plan_with

IMAGES_AND_LABELS = [
    ("uint8", "uint8"), ("float16", "uint8"), ("float32", "uint8"), ("uint8", "uint16")
]  # fmt: skip


def recipes() -> list[AnyRecipe]:
    """Recipes that run every kernel, with every type."""
    stacks = load_recipe("avs-db")
    turned = stacks.replace(shapes__orientations=("stay", "side_1"), appearance__noise=(1, 8))
    fdif = load_recipe("fdif")
    return [
        *(
            turned.replace(image_dtype=image, label_dtype=label)
            for image, label in IMAGES_AND_LABELS
        ),
        fdif,
        fdif.replace(label_dtype="uint16"),
        fdif.replace(placement={"kind": "overlap"}),
        load_recipe("fdif-classification"),
        stacks.replace(appearance={"kind": "mapper"}),
        *(
            load_recipe("fake-it-right").replace(image_dtype=image, label_dtype=label)
            for image, label in IMAGES_AND_LABELS
        ),
        *(load_recipe("synthseg").replace(label_dtype=label) for label in ("uint8", "uint16")),
        *(load_recipe("synthfm-3d").replace(label_dtype=label) for label in ("uint8", "uint16")),
        load_recipe("boundary-safe").replace(image_dtype="float32"),
        load_recipe("v-pcf"),
        *(
            mix([(other.replace(label_dtype=label), 1) for other in (fdif, stacks)])
            for label in ("uint8", "uint16")
        ),
    ]


def kernels_called() -> list[tuple[Any, tuple[Any, ...]]]:
    """Each kernel with the types of the arguments that the package calls it with."""
    shape = types.UniTuple(types.int64, 3)
    found = {
        "fill_tables": (fill_tables, (floats(2), shape, floats(4))),
    }
    plans = [plan_of(recipe) for recipe in recipes()]
    plans += [plan_with(image, label) for image, label in IMAGES_AND_LABELS]
    for plan in plans:
        if isinstance(plan, MixturePlan):  # the first one's labels are right as they are
            plan = plan.components[1]
        stages = CpuBackend(plan).stages(0, np.zeros(1, np.uint64), empty_outputs(plan, 1))
        for stage in stages:
            arguments = tuple(numba.typeof(value) for value in stage.run.args)
            found[stage.run.func.__name__, arguments] = (stage.run.func, arguments)
    return list(found.values())


def floats(dimensions: int) -> types.Array:
    return types.Array(types.float32, dimensions, "C")


KERNELS = kernels_called()

# Floating-point operations that a kernel may use beside conversions. Of doubles: polygon.py argues
# why their rounding cannot matter. Each is correctly rounded on every processor.
DOUBLES = {"rasterize_polygon_stack": {"fmul", "fdiv", "sqrt", "llvm.sqrt"}}
# What only decides over integers; all others draw scenes, with the mathematics of ``real``.
WHOLE = {
    "sample_polygon_stack", "rasterize_polygon_stack", "turn", "place_overlap", "paint_contour",
    "uniform_noise", "pose_lattice", "rasterize_bank", "place_gibbs", "paint_shell",
    "draw_label_map", "label_distance", "measure_labels", "sample_prompts", "draw_fractal",
    "relabel", "crop_pair",
}  # fmt: skip

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
    if kernel.__name__ not in WHOLE:
        check_cpu(kernel, arguments)
        return
    code, assembly = compiled(kernel.py_func, arguments)
    assert floating_point(code) <= DOUBLES.get(kernel.__name__, set())
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

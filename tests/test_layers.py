"""Imports run downward, and the lowest layers stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A module may import what stands below it, and what stands beside it.
LAYERS = [
    ["synthgen.cli", "synthgen.__main__"],
    ["synthgen.training"],
    ["synthgen.bench", "synthgen.catalogue", "synthgen.gallery"],
    ["synthgen.feeding", "synthgen.dataset"],
    ["synthgen.preview", "synthgen.export", "synthgen.store"],
    ["synthgen.engine"],
    ["synthgen.recipe"],
    ["synthgen.shapes", "synthgen.placement", "synthgen.appearance", "synthgen.labels"],
    ["synthgen.bank"],
    ["synthgen.meshes"],
    ["synthgen.backend", "synthgen.samples", "synthgen.tensors"],
    ["synthgen.kernels"],
    [
        "synthgen.settings",
        "synthgen.rng",
        "synthgen.cores",
        "synthgen.signals",
        "synthgen.named",
        "synthgen.drawing",
    ],
]
# The package itself only forwards names, on first use.
MODULES = [
    path
    for folder in ("synthgen", "kernels", "training")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "synthgen" / "__init__.py"
]


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "synthgen" else ("synthgen", *parts))


def layer_of(module):
    for depth, names in enumerate(LAYERS):
        if any(module == name or module.startswith(f"{name}.") for name in names):
            return depth
    return None


def imports_of(path):
    package = name_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{package}.{node.module}" if node.level else str(node.module)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_downward(path):
    own = layer_of(name_of(path))
    assert own is not None, "a module needs a place in LAYERS"
    upward = [
        name for name in imports_of(path)
        if layer_of(name) is not None and layer_of(name) < own
    ]  # fmt: skip
    assert upward == []


def test_recipes_need_no_compiler():
    script = "import sys, synthgen.recipe; print('numba' in sys.modules or 'zarr' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"

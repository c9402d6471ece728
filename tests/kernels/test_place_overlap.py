"""The CUDA build of the placement: in Numba's simulator, and compiled without a device."""

import importlib.util
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.cuda_report import ARCHITECTURES, compile_placement, placement_tools
from synthgen.recipe import load_recipe
from tests.backends import empty_outputs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)

TURNS = ("stay", "upside_down", "side_1", "side_2", "side_3", "side_4")
RECIPES = {
    "own": ("avs-db", {"shapes__objects": 8}),
    "legacy": ("avs-db-legacy", {"shapes__objects": 8}),
    "turned": ("avs-db", {"shapes__objects": 5, "shapes__orientations": TURNS}),
    "crowded": ("avs-db-no-overlap", {"shapes__objects": 12, "placement__tries": 5}),
}


def run(script, *arguments, **environment):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


SIMULATE = """
import sys
import numpy as np
from synthgen.kernels.place_overlap_cuda import place_overlap

inputs = dict(np.load(sys.argv[1]))
scalars = [inputs.pop(key).item() for key in ("orientations", "width", "ratio", "tries", "legacy")]
tables = [inputs[key] for key in ("boxes", "slices", "rows", "occupied")]
count, seed = len(inputs["indices"]), inputs["seed"][()]
place_overlap[count, int(sys.argv[2])](*tables, *scalars, seed, inputs["indices"], inputs["placed"])
np.savez(sys.argv[1], placed=inputs["placed"], occupied=inputs["occupied"])
"""


@pytest.mark.parametrize(("name", "threads"), [*((name, 64) for name in RECIPES), ("own", 32)])
def test_simulated_block_places_as_the_cpu_does(name, threads, tmp_path):
    from synthgen.backend.cpu import CpuBackend
    from synthgen.engine import plan_of

    builtin, changes = RECIPES[name]
    plan = plan_of(load_recipe(builtin).at_shape((17, 33, 19)).replace(**changes))
    backend, index = CpuBackend(plan, threads=1), np.array([5], np.uint64)
    outputs = empty_outputs(plan, 1)
    backend.fill(7, index, outputs)
    placed = outputs["placed"]
    work, file = backend._local.workspace, tmp_path / "placement.npz"
    np.savez(
        file, boxes=work["boxes"], slices=work["slices"], rows=work["labels"],
        occupied=np.full_like(work["occupied"], 77), placed=np.full_like(placed, -1),
        orientations=len(plan.shapes.orientations), width=plan.shape[2], ratio=plan.placement.ratio,
        tries=plan.placement.tries, legacy=plan.placement.legacy, seed=np.uint64(7), indices=index,
    )  # fmt: skip
    run(SIMULATE, file, threads, NUMBA_ENABLE_CUDASIM="1")
    simulated = np.load(file)
    np.testing.assert_array_equal(simulated["placed"], placed)
    np.testing.assert_array_equal(simulated["occupied"], work["occupied"])


@pytest.mark.skipif(placement_tools() is not None, reason=str(placement_tools()))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiled_placement_is_integer_only_and_keeps_to_registers(architecture):
    compiled = compile_placement(architecture)
    assert re.findall(r"\.(?:f16|f32|f64)\b", compiled.ptx) == []
    assert (compiled.spill_stores, compiled.spill_loads, compiled.local_memory) == (0, 0, 0)
    assert compiled.registers <= 128  # 256 threads a block, so that two blocks share a processor
    assert "bar.sync" in compiled.ptx

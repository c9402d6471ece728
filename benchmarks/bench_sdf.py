"""pytest-benchmark cases of scenes: groups of primitives, other shapes, and what culling saves.

    pytest benchmarks/bench_sdf.py --benchmark-only

A round draws one volume, another each time. ``extra_info`` holds voxels a second of mean, median
and slowest round, distances evaluated a voxel and, of draw alone, evaluations a second.
"""

import math

import numpy as np
import pytest

from synthgen.engine import Generator
from synthgen.kernels.scene_records import SceneBound
from synthgen.recipe import load_recipe
from synthgen.shapes.sdf_classes import GROUPS

VOLUMES, WARM_UP = 60, 5
EVERYWHERE = np.float32(1e6)


def culled(arrays):
    """Bounds as they are."""


def unculled(arrays):
    """Bounds that leave every voxel."""
    arrays["bounds"][:] = 0
    arrays["bounds"][:, SceneBound.RADIUS] = EVERYWHERE


class Scenes:
    """The stages of one volume after another; those before ``timed`` are run beforehand.

    Args:
        recipe: of the volumes.
        timed: the first stage timed.
        bounds: what to do with the bounds before it.
    """

    def __init__(self, recipe, timed, bounds=culled):
        self.recipe, self._timed, self._bounds = recipe, timed, bounds
        self._generator = Generator(recipe, seed=7, device="cpu")
        self._batch, self._next = self._generator.empty([0]), -WARM_UP
        self.evaluations, self.foreground = [], []

    def set_up(self):
        self._batch.index[:] = max(self._next, 0)
        self._next += 1
        self._stages = self._generator.stages(self._batch)
        names = [stage.name for stage in self._stages]
        first = names.index(self._timed)
        for stage in self._stages.stages[:first]:
            stage.run()
        self._bounds(self._stages.arrays)
        self._rest = self._stages.stages[first:]

    def run(self):
        for stage in self._rest:
            stage.run()

    def tear_down(self):
        if self._next > 0:
            self.evaluations.append(int(self._stages.arrays["evaluations"][0]))
            self.foreground.append(float((self._batch.label > 0).mean()))


def measure(benchmark, scenes):
    benchmark.pedantic(
        scenes.run, setup=scenes.set_up, teardown=scenes.tear_down, rounds=VOLUMES,
        warmup_rounds=WARM_UP,
    )  # fmt: skip
    if benchmark.stats is None:
        return
    seconds = np.array(benchmark.stats.stats.data)
    voxels = math.prod(scenes.recipe.reference_shape)
    evaluations = np.array(scenes.evaluations[-len(seconds) :])
    benchmark.extra_info.update(
        shape=list(scenes.recipe.reference_shape),
        volumes=len(seconds),
        voxels_per_second=voxels / float(np.median(seconds)),
        voxels_per_second_mean=voxels / float(seconds.mean()),
        voxels_per_second_worst=voxels / float(seconds.max()),
        evaluations_per_voxel=float(evaluations.mean()) / voxels,
        evaluations_per_voxel_worst=float(evaluations.max()) / voxels,
        evaluations_per_second=float(evaluations.sum() / seconds.sum()),
        foreground=float(np.mean(scenes.foreground)),
    )


@pytest.mark.parametrize("shape", [(96, 96, 96), (160, 192, 128)], ids=str)
def bench_fdif(benchmark, shape):
    """Whole volumes, sampling included."""
    measure(benchmark, Scenes(load_recipe("fdif").at_shape(shape), "sample"))


@pytest.mark.parametrize("bounds", [culled, unculled])
@pytest.mark.parametrize("shape", [(96, 96, 96), (160, 192, 128)], ids=str)
def bench_culling(benchmark, shape, bounds):
    """Drawing and labelling, with bounds and without."""
    measure(benchmark, Scenes(load_recipe("fdif").at_shape(shape), "draw", bounds))


@pytest.mark.parametrize("group", [name for name in GROUPS if name != "all"])
def bench_group(benchmark, group):
    """Drawing and labelling of one group of primitives, undisplaced, with one mapper."""
    recipe = load_recipe("fdif").replace(
        shapes__primitives=(group,),
        shapes__displacements=("none",),
        appearance__mappers=("linear_slope_10.0",),
    )
    measure(benchmark, Scenes(recipe, "draw"))


@pytest.mark.parametrize(
    "name", ["fdif-paper", "fdif-multitask", "fdif-mesh", "noise", "placed", "mapped avs-db"]
)
def bench_recipe(benchmark, name):
    """Whole volumes of other recipes, sampling included."""
    recipes = {
        "noise": load_recipe("fdif").replace(
            shapes__displacements=("gradient_noise_fine", "gradient_noise_coarse")
        ),
        "placed": load_recipe("fdif").replace(placement={"kind": "overlap", "ratio": 0.3}),
        "mapped avs-db": load_recipe("avs-db").replace(appearance={"kind": "mapper"}),
    }
    measure(benchmark, Scenes(recipes.get(name) or load_recipe(name), "sample"))

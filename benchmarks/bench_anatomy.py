"""pytest-benchmark cases of anatomical scenes: whole volumes and stages, at two spacings.

    pytest benchmarks/bench_anatomy.py --benchmark-only
    SYNTHGEN_BANK=bank.zarr pytest benchmarks/bench_anatomy.py --benchmark-only

Of the bank that the environment variable SYNTHGEN_BANK names, else of the built-in torso. A round
makes other volumes each time: one on the CPU, 64 on CUDA. ``extra_info`` holds voxels a second of
mean, median and slowest round, the structures placed a volume, and the share of labelled voxels.
"""

import math
import os

import numpy as np
import pytest

from benchmarks.staged import StagedVolumes
from synthgen.engine import Generator
from synthgen.kernels.anatomy_records import Fate
from synthgen.kernels.records import Placed
from synthgen.recipe import load_recipe

DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=pytest.mark.gpu)]
STAGES = ("sample", "lattice", "rasterize", "place", "paint")
BANK = os.environ.get("SYNTHGEN_BANK", "")
WARM_UP = 5


def recipe_of(name, millimetres, shape):
    """A built-in recipe, of volumes of ``shape`` whose voxels are so many millimetres."""
    recipe = load_recipe(name).at_shape(shape).replace(spacing=[millimetres] * 3)
    if not BANK:
        return recipe
    return recipe.replace(shapes__bank=BANK, shapes__structures=(), shapes__digest=None).resolved()


class Volumes(StagedVolumes):
    """Those from stage ``first`` to stage ``last``, and what was made."""

    def __init__(self, generator, first, last):
        super().__init__(
            generator, WARM_UP, lambda names: (names.index(first), names.index(last) + 1)
        )
        self.placed, self.foreground = [], []

    def tear_down(self):
        super().tear_down()
        if self.warm:
            made = self.generator.numpy(self.batch)
            fates = made.placed[..., Placed.ACCEPTED]
            self.placed.append(float((fates == Fate.PLACED).sum(-1).mean()))
            self.foreground.append(float((made.label > 0).mean()))


def measure(benchmark, recipe, device, first, last):
    generator = Generator(recipe, seed=7, device=device)
    volumes = Volumes(generator, first, last)
    benchmark.pedantic(
        volumes.run, setup=volumes.set_up, teardown=volumes.tear_down,
        rounds=60 if device == "cpu" else 10, warmup_rounds=WARM_UP,
    )  # fmt: skip
    if benchmark.stats is None:
        return
    seconds = np.array(benchmark.stats.stats.data)
    voxels = volumes.size * math.prod(recipe.reference_shape)
    benchmark.extra_info.update(
        device=generator.device,
        bank=BANK or "builtin",
        structures=len(recipe.shapes.structures),
        shape=list(recipe.reference_shape),
        volumes=volumes.size * len(seconds),
        voxels_per_second=voxels / float(np.median(seconds)),
        voxels_per_second_mean=voxels / float(seconds.mean()),
        voxels_per_second_worst=voxels / float(seconds.max()),
        structures_placed=float(np.mean(volumes.placed)),
        foreground=float(np.mean(volumes.foreground)),
    )


@pytest.fixture
def recipe(request, name, millimetres):
    return recipe_of(name, millimetres, request.config.getoption("--shape"))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("millimetres", [1.5, 3.0])
@pytest.mark.parametrize("name", ["fake-it-right", "anatomy-patches"])
def bench_volume(benchmark, recipe, device):
    """Whole volumes, sampling included."""
    measure(benchmark, recipe, device, STAGES[0], STAGES[-1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("millimetres", [1.5, 3.0])
@pytest.mark.parametrize("name", ["fake-it-right", "anatomy-patches"])
@pytest.mark.parametrize("stage", STAGES)
def bench_stage(benchmark, recipe, device, stage):
    measure(benchmark, recipe, device, stage, stage)

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


class Volumes:
    """The stages of one batch after another, of which those from ``first`` to ``last`` are timed.

    The others are run before and after, so that every batch is finished.
    """

    def __init__(self, generator, first, last):
        self._generator, self._first, self._last = generator, first, last
        self.size = 64 if generator.device == "cuda" else 1
        self._batch, self._next = generator.empty(range(self.size)), -WARM_UP
        self.placed, self.foreground = [], []

    def set_up(self):
        first = max(self._next, 0) * self.size
        self._batch.index[:] = np.arange(first, first + self.size)
        self._next += 1
        stages = self._generator.stages(self._batch).stages
        names = [stage.name for stage in stages]
        start, stop = names.index(self._first), names.index(self._last) + 1
        self._timed, self._after = stages[start:stop], stages[stop:]
        for stage in stages[:start]:
            stage.run()
        self._generator.synchronize()

    def run(self):
        for stage in self._timed:
            stage.run()
        self._generator.synchronize()

    def tear_down(self):
        for stage in self._after:
            stage.run()
        if self._next > 0:
            made = self._generator.numpy(self._batch)
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

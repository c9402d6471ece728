"""pytest-benchmark cases of appearance chains: each step alone, whole chains, whole volumes.

    taskset -c 1 pytest benchmarks/bench_appearance.py --benchmark-only

A round makes another volume on one CPU thread, or another 64 on CUDA. Of chains, all but the making
of the label map is timed. ``extra_info`` holds voxels a second at the median and at the best round.
"""

import math

import numpy as np
import pytest

from benchmarks.staged import StagedVolumes
from synthgen.engine import Generator
from synthgen.recipe import load_recipe, recipe_from_dict

DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=pytest.mark.gpu)]
WARM_UP = 3
FIRST = ("distance", "sample_chain")  # the first stages of a chain

INTENSITY = {"kind": "intensity", "mean": [0.1, 0.9], "sd": [0.02, 0.1], "background": None}
FLAT = INTENSITY | {"sd": [0.0, 0.0]}
STEPS = {
    "none": [],
    "normal intensity": [INTENSITY],
    "bias": [{"kind": "bias_field"}],
    "gamma": [{"kind": "gamma"}],
    "gaussian noise": [{"kind": "noise"}],
    "rician noise": [{"kind": "noise", "models": ["rician"]}],
    "speckle": [{"kind": "noise", "models": ["speckle"]}],
    "texture": [{"kind": "texture"}],
    "spectral texture": [{"kind": "spectral_texture"}],
    "buffer": [{"kind": "texture", "scales": [4.0], "buffer": {}}],
    "outline": [{"kind": "outline"}],
    "normalize": [{"kind": "normalize"}],
    "blur 0.5": [{"kind": "blur", "sd": [0.5, 0.5]}],
    "blur 2": [{"kind": "blur", "sd": [2.0, 2.0]}],
    "resolution": [{"kind": "resolution"}],
}
SIMPLE = [INTENSITY, {"kind": "bias_field"}, {"kind": "noise"}]


def stacks_with(steps):
    """AVS-DB's shapes in the images of a chain."""
    values = load_recipe("avs-db").to_dict()
    chain = {"kind": "chain", "steps": steps}
    return recipe_from_dict(values | {"image_dtype": "float16", "appearance": chain})


def span_from(names, first):
    """All stages from the first of those in ``first`` on; all of them where there is none."""
    return min((names.index(name) for name in first if name in names), default=0), len(names)


def measure(benchmark, recipe, device, first=()):
    generator = Generator(recipe, seed=7, device=device)
    volumes = StagedVolumes(generator, WARM_UP, lambda names: span_from(names, first))
    rounds = 40 if device == "cpu" else 10
    benchmark.pedantic(volumes.run, setup=volumes.set_up, rounds=rounds, warmup_rounds=WARM_UP)
    if benchmark.stats is None:
        return
    seconds = np.array(benchmark.stats.stats.data)
    voxels = volumes.size * math.prod(recipe.reference_shape)
    benchmark.extra_info.update(
        device=generator.device,
        shape=list(recipe.reference_shape),
        volumes=volumes.size * len(seconds),
        nanoseconds_per_voxel=1e9 * float(np.median(seconds)) / voxels,
        voxels_per_second=voxels / float(np.median(seconds)),
        voxels_per_second_best=voxels / float(seconds.min()),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("step", STEPS)
def bench_step(benchmark, step, device):
    """A step after flat intensities; ``none`` is what to subtract."""
    steps = STEPS[step] if step == "normal intensity" else [FLAT, *STEPS[step]]
    measure(benchmark, stacks_with(steps), device, FIRST)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["simple", "boundary-safe", "synthfm-3d", "synthseg"])
def bench_chain(benchmark, name, device):
    """The image alone, label map given."""
    recipe = stacks_with(SIMPLE) if name == "simple" else load_recipe(name)
    if name == "synthfm-3d":
        recipe = recipe.replace(prompts=None)
    measure(benchmark, recipe, device, FIRST)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "name", ["simple", "boundary-safe", "synthfm", "synthfm-3d", "synthseg", "sap", "v-pcf"]
)
def bench_volume(benchmark, name, device):
    """Whole volumes, sampling and prompts included."""
    measure(benchmark, stacks_with(SIMPLE) if name == "simple" else load_recipe(name), device)

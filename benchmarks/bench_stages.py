"""pytest-benchmark cases: every stage, whole batches, and the store.

    pytest benchmarks --benchmark-only                      all that this machine can run
    pytest benchmarks --benchmark-only -m gpu               on CUDA alone
    pytest benchmarks --benchmark-disable --shape 17 33 19  once each, to see that they run

``extra_info`` of each case holds voxels a second at the median and what was made.
"""

import math
import statistics

import pytest
import zarr

import synthgen
from synthgen.engine import Generator
from synthgen.kernels.records import Placed
from synthgen.recipe import load_recipe
from synthgen.store import build

DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=pytest.mark.gpu)]
STAGES = {
    "avs-db": ["sample", "rasterize", "turn", "place", "paint", "noise"],
    "fdif": ["sample", "hollow", "bound", "draw", "label"],
}
OPTIONAL = {
    "turn": {"shapes__orientations": ("stay", "side_1")},
    "noise": {"appearance__noise": (1, 100)},
}


@pytest.fixture
def recipe(request):
    return load_recipe("avs-db").at_shape(request.config.getoption("--shape"))


@pytest.fixture
def record(benchmark):
    """Note the rate and what was made, once the case has run."""
    noted = []
    yield lambda generator, batch: noted.append((generator, batch))
    if noted and benchmark.stats is not None:
        generator, batch = noted[0]
        host = generator.numpy(batch)
        seconds = statistics.median(benchmark.stats.stats.data)
        voxels = len(batch) * math.prod(generator.recipe.reference_shape)
        benchmark.extra_info.update(
            device=generator.device,
            shape=list(generator.recipe.reference_shape),
            volumes=len(batch),
            voxels_per_second=voxels / seconds,
            foreground=float((host.label > 0).mean()),
            objects_placed=float((host.placed[..., Placed.ACCEPTED] == 1).sum(-1).mean()),
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("name", "stage"), [(name, stage) for name, stages in STAGES.items() for stage in stages]
)
def bench_stage(benchmark, record, request, device, name, stage):
    recipe = load_recipe(name).at_shape(request.config.getoption("--shape"))
    generator = Generator(recipe.replace(**OPTIONAL.get(stage, {})), seed=7, device=device)
    batch = generator.batch(range(64 if device == "cuda" else 1))
    record(generator, batch)
    stages = {found.name: found.run for found in generator.stages(batch)}

    def again():
        # What the timed stage reads is made by those before it; sampling also resets their sums.
        for name, run in stages.items():
            if name == stage:
                break
            run()
        generator.synchronize()

    def once():
        stages[stage]()
        generator.synchronize()

    benchmark.pedantic(once, setup=again, rounds=50, warmup_rounds=5)
    generator.fill(batch)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["avs-db", "fdif"])
@pytest.mark.parametrize("batch_size", [1, 64, 256])
def bench_generate(benchmark, record, request, device, name, batch_size):
    recipe = load_recipe(name).at_shape(request.config.getoption("--shape"))
    generator = Generator(recipe, seed=7, device=device)
    batch = generator.batch(range(batch_size))
    record(generator, batch)

    def once():
        generator.fill(batch)
        generator.synchronize()

    benchmark.pedantic(once, rounds=20 if batch_size < 64 else 5, warmup_rounds=1)


def bench_store(benchmark, record, recipe, tmp_path):
    """Generation, encoding and writing of 64 volumes."""
    generator = Generator(recipe, seed=7, device="cpu")
    record(generator, generator.batch(range(64)))
    folders = iter(range(1000))
    benchmark.pedantic(
        lambda: build(recipe, tmp_path / f"{next(folders)}.zarr", count=64, seed=7, device="cpu"),
        rounds=3,
        warmup_rounds=1,
    )


@pytest.mark.parametrize("stored", ["built", "generated"])
def bench_read(benchmark, record, recipe, tmp_path, stored):
    """Reading 64 volumes with zarr alone, from a disk or as they are made."""
    generator = Generator(recipe, seed=7, device="cpu")
    record(generator, generator.batch(range(64)))
    if stored == "built":
        build(recipe, tmp_path / "store.zarr", count=64, seed=7, device="cpu")
    start = iter(range(0, 6400, 64))  # other volumes each time: those read last are kept

    def once():
        first = next(start)
        if stored == "built":
            group, first = zarr.open_group(tmp_path / "store.zarr", mode="r"), 0
        else:
            group = synthgen.open(recipe, seed=7, count=6400, device="cpu")
        image, label = group["image"], group["label"]
        return [(image[i], label[i]) for i in range(first, first + 64)]

    benchmark.pedantic(once, rounds=5, warmup_rounds=1)

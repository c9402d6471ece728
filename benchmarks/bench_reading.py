"""pytest-benchmark cases: what torch's way of reading a store costs beside plain zarr reads.

    pytest benchmarks/bench_reading.py --benchmark-only
    pytest benchmarks/bench_reading.py --benchmark-disable --shape 17 33 19  to see that they run

Before each round of a case the same volumes are read with zarr alone. ``extra_info`` holds the
milliseconds a volume of both, medians of the rounds, and the share of zarr's speed that the case
keeps: the median of the rounds, and that of the two quickest, which other processes disturb least.
torch has one thread, as in its workers: two that wait for each other on cores in use take longer
than one.
"""

from itertools import count
from statistics import median
from time import perf_counter

import pytest
import torch
from torch.utils.data import DataLoader

import synthgen
from synthgen import VolumeDataset
from synthgen.recipe import load_recipe
from synthgen.store import build

VOLUMES, BATCH, ROUNDS, WARM_UP = 32, 4, 12, 2


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["built", "generated"])
def stored(request, tmp_path):
    """A function that opens the store, and the first volumes of the rounds."""
    recipe = load_recipe("avs-db").at_shape(request.config.getoption("--shape"))
    if request.param == "built":
        build(recipe, tmp_path / "store", count=VOLUMES, seed=7, device="cpu")
        return lambda: synthgen.open(tmp_path / "store"), count(0, 0)
    opened = lambda: synthgen.open(recipe, seed=7, count=10_000, device="cpu")  # noqa: E731
    return opened, count(0, VOLUMES)  # others each time: those read last are kept


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("normalize", [None, "unit"])
@pytest.mark.parametrize("workers", [None, 0, 2], ids=["dataset", "workers-0", "workers-2"])
def bench_reading(benchmark, stored, workers, normalize):
    opened, firsts = stored
    group, dataset = opened(), VolumeDataset(opened(), normalize=normalize)
    image, label = group["image"], group["label"]
    batches = []
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers or 0,
        persistent_workers=bool(workers),
    )
    plain = []

    def read_plainly():
        first = next(firsts)
        places = range(first, first + VOLUMES)
        batches[:] = [list(places[start : start + BATCH]) for start in range(0, VOLUMES, BATCH)]
        start = perf_counter()
        for place in places:
            image[place], label[place]
        plain.append(perf_counter() - start)

    def read():
        if workers is not None:
            return sum(len(batch["index"]) for batch in loader)
        return sum(len([dataset[place] for place in batch]) for batch in batches)

    made = benchmark.pedantic(read, setup=read_plainly, rounds=ROUNDS, warmup_rounds=WARM_UP)
    assert made == VOLUMES
    if benchmark.stats is not None:
        rounds = benchmark.stats.stats.data
        beside = plain[-len(rounds) :]
        benchmark.extra_info.update(
            ms_per_volume=median(rounds) / VOLUMES * 1e3,
            ms_per_volume_zarr=median(beside) / VOLUMES * 1e3,
            share_of_zarr=median(b / r for b, r in zip(beside, rounds, strict=True)),
            share_of_zarr_at_best=min(beside) / min(rounds),
        )

"""pytest-benchmark cases: the feed beside the bare engine, and training beside a bare loop.

    pytest benchmarks/bench_feeding.py --benchmark-only

The other side of each ratio runs between the rounds of the first, so that a noisy machine slows
both alike; ``extra_info`` holds its median and the ratio.
"""

from itertools import islice
from statistics import median
from time import perf_counter

import pytest

from synthgen.engine import Generator
from synthgen.feeding import Feed
from synthgen.feeding.ahead import AHEAD
from synthgen.recipe import load_recipe

torch = pytest.importorskip("torch")

DEVICES = [pytest.param("cpu"), pytest.param("cuda", marks=pytest.mark.gpu)]
BATCHES = 12  # a round


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(work, device):
    start = perf_counter()
    work()
    wait(device)
    return perf_counter() - start


def beside(benchmark, device, work, other, rounds, before=lambda: None):
    """Time ``work`` with ``other`` between, and note their ratio; ``before`` is not timed."""
    others = []

    def timed():
        work()
        wait(device)

    def between():
        others.append(seconds(other, device))
        before()

    benchmark.pedantic(timed, setup=between, rounds=rounds, warmup_rounds=2)
    if benchmark.stats is not None:
        own = median(benchmark.stats.stats.data)
        benchmark.extra_info.update(beside=median(others), share=median(others) / own)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch_size", [2, 8])
@pytest.mark.parametrize("normalize", [None, "unit", "zscore"])
def bench_feed(benchmark, request, device, batch_size, normalize):
    """``share``: the feed's voxels a second over those of the engine, in buffers used again."""
    recipe = load_recipe("avs-db").at_shape(request.config.getoption("--shape"))
    feed = iter(Feed(recipe, batch_size=batch_size, device=device, normalize=normalize))
    generator = Generator(recipe, device=device)
    buffers = generator.empty(range(batch_size))

    def engine():
        for _ in range(BATCHES):
            buffers.index[:] += batch_size
            generator.fill(buffers)

    def fed(batches=BATCHES):
        for _ in islice(feed, batches):
            pass

    def drained():
        """What was made while the engine was timed would cost the feed nothing."""
        fed(AHEAD + 2)

    benchmark.extra_info.update(volumes=BATCHES * batch_size, device=device)
    beside(benchmark, device, fed, engine, rounds=15, before=drained)


@pytest.mark.parametrize("device", DEVICES)
def bench_step(benchmark, device):
    """``share``: time of a step on tensors in memory over that of a step on the feed's."""
    monai = pytest.importorskip("monai.networks.nets.unetr")
    from monai.losses.dice import DiceCELoss

    shape, batch_size, size = ((96, 96, 96), 8, {}) if device == "cuda" else ((48, 48, 48), 2, {
        "feature_size": 8, "hidden_size": 96, "mlp_dim": 192, "num_heads": 4,
    })  # fmt: skip
    recipe = load_recipe("avs-db").at_shape(shape)
    net = monai.UNETR(1, recipe.num_classes, shape, **size).to(device)
    criterion = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    feed = iter(Feed(recipe, batch_size=batch_size, device=device))
    kept = next(feed)

    def step(batch):
        criterion(net(batch["image"]), batch["label"]).backward()
        optimizer.step()
        optimizer.zero_grad()

    benchmark.extra_info.update(device=device, shape=list(shape), batch_size=batch_size)
    beside(benchmark, device, lambda: step(next(feed)), lambda: step(kept), rounds=12)

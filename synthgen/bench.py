"""How fast volumes are made, stage by stage, beside what was made.

Rates are voxels of finished volumes a second. On the CPU the stages of single volumes are timed on
one thread; on CUDA those of whole batches. ``write`` merely fills the same buffers: the floor.
"""

import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

import llvmlite.binding
import numpy as np
import zarr

from synthgen.backend import Device, Stages
from synthgen.cores import available_cores
from synthgen.engine import Batch, Generator
from synthgen.kernels.anatomy_records import Fate
from synthgen.kernels.records import Placed
from synthgen.recipe import AnyRecipe
from synthgen.store import build

_WRITING = ("paint", "generate")


class Made(NamedTuple):
    """Means over volumes.

    Attributes:
        foreground, drawn: shares of voxels labelled, 0 without label maps, and not black.
        objects_placed, objects_dropped, proposals: counts.
        evaluations: signed distances evaluated a voxel; 0 of recipes without.
    """

    foreground: float
    drawn: float
    objects_placed: float
    objects_dropped: float
    proposals: float
    evaluations: float


WARM_UP = 8  # volumes or batches before the first one timed
STORED = 128  # volumes of the store that is written and read


@dataclass(frozen=True)
class Row:
    """Seconds a volume, and which volumes.

    Attributes:
        name: what was timed.
        threads: CPU threads, or 0 on CUDA.
        volumes: the indices 0 .. volumes - 1 were made.
        samples: times taken; of single volumes, batches or whole stores.
        median: seconds a volume.
        iqr: the middle half of the samples, seconds a volume.
        voxels_per_second: at the median.
        made: of these volumes.
        floor_share: time of writing the same buffers over this time, where it writes them.
    """

    name: str
    threads: int
    volumes: int
    samples: int
    median: float
    iqr: tuple[float, float]
    voxels_per_second: float
    made: Made
    floor_share: float | None = None


@dataclass(frozen=True)
class Report:
    """A table of rows with all that is needed to read it.

    Attributes:
        machine, versions, settings: where and on what it was measured.
        rows: in the order of the pipeline.
    """

    machine: dict[str, str]
    versions: dict[str, str]
    settings: dict[str, Any]
    rows: list[Row]

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        for row in values["rows"]:
            row["made"] = row["made"]._asdict()
        return values


def bench(
    recipe: AnyRecipe | str,
    *,
    device: Device = "auto",
    batch_size: int = 64,
    volumes: int = 200,
    seed: int = 7,
) -> Report:
    """Time every stage over the volumes 0 .. volumes - 1.

    Args:
        recipe: a recipe, the name of a built-in one, or the path of a YAML file.
        device: ``auto`` takes CUDA where it is usable.
        batch_size: volumes of a batch, where batches are timed.
        volumes: consecutive indices timed, after a warm-up.
        seed: of the volumes.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
        ValueError: a size is not positive.
        RuntimeError: CUDA was asked for and is not usable.
    """
    for name, value in (("batch", batch_size), ("volumes", volumes)):
        if value < 1:
            raise ValueError(f"{name}: must be at least 1, got {value}")
    generator = Generator(recipe, seed=seed, device=device)
    on_cuda = generator.device == "cuda"
    rows = _stage_rows(generator, batch_size if on_cuda else 1, volumes)
    if not on_cuda:
        rows.append(_all_threads(generator, batch_size, volumes))
    rows += _store_rows(generator, min(volumes, STORED))
    return Report(
        machine=_machine(generator.device),
        versions=_versions(on_cuda),
        settings={
            "recipe": generator.recipe.name,
            "digest": generator.recipe.digest(),
            "shape": list(generator.recipe.reference_shape),
            "image_dtype": generator.recipe.image_dtype,
            "label_dtype": generator.recipe.label_dtype,
            "seed": seed,
            "batch": batch_size,
            "device": generator.device,
        },
        rows=rows,
    )


def _stage_rows(generator: Generator, group: int, volumes: int) -> list[Row]:
    """Every stage, and all of them, on groups of volumes: one on a CPU thread, a batch on CUDA."""
    samples: dict[str, list[float]] = {}
    batch, made, groups = generator.empty(range(group)), [], max(1, volumes // group)

    def time(name: str, run: Callable[[], Any]) -> None:
        generator.synchronize()
        start = perf_counter()
        run()
        generator.synchronize()
        samples.setdefault(name, []).append((perf_counter() - start) / group)

    for step in range(-WARM_UP, groups):
        batch.index[:] = np.arange(group) + max(step, 0) * group
        time("write", lambda: _write(batch))
        stages = generator.stages(batch)
        for stage in stages:
            time(stage.name, stage.run)
        evaluated = _evaluations(generator, stages)
        time("generate", lambda: generator.fill(batch))
        if step >= 0:
            made.append(_made(generator.numpy(batch), evaluated))
    means = Made(*(float(mean) for mean in np.mean(made, axis=0)))
    threads = 1 if generator.device == "cpu" else 0
    floor = median(samples["write"][WARM_UP:])
    return [
        _row(
            generator, name, threads, values[WARM_UP:], groups * group, means,
            floor if name in _WRITING else None,
        )
        for name, values in samples.items()
    ]  # fmt: skip


def _write(batch: Batch) -> None:
    batch.image.fill(1)
    batch.label.fill(1)


def _all_threads(generator: Generator, batch_size: int, volumes: int) -> Row:
    size = min(batch_size, volumes)
    batch, samples, made = generator.empty(range(size)), [], []
    _write(batch)  # so that no page is touched for the first time
    for step in range(-1, volumes // size):
        batch.index[:] = np.arange(size) + max(step, 0) * size
        start = perf_counter()
        generator.fill(batch)
        if step >= 0:
            samples.append((perf_counter() - start) / size)
            made.append(_made(batch))
    means = Made(*(float(mean) for mean in np.mean(made, axis=0)))
    threads = available_cores()
    return _row(generator, "generate, all", threads, samples, len(samples) * size, means)


class _Stored:
    """A source of volumes made before, so that a build is encoding and writing alone."""

    def __init__(self, generator: Generator, count: int) -> None:
        self._all = generator.numpy(generator.batch(range(count)))
        self.made = _made(self._all)

    def empty(self, indices: Sequence[int]) -> Batch:
        return self._part(slice(0, len(indices)))

    def fill(self, batch: Batch) -> Batch:
        return self._part(slice(int(batch.index[0]), int(batch.index[-1]) + 1))

    def numpy(self, batch: Batch) -> Batch:
        return batch

    def _part(self, chosen: slice) -> Batch:
        made = self._all
        return Batch(
            image=made.image[chosen],
            label=made.label[chosen],
            index=made.index[chosen],
            placed=made.placed[chosen],
            prompts=None if made.prompts is None else made.prompts[chosen],
        )


def _store_rows(generator: Generator, count: int) -> list[Row]:
    """Encoding and writing, then reading, a store of volumes that were made before."""
    source, cores = _Stored(generator, count), available_cores()
    writes, reads = [], []
    for _ in range(5):
        with TemporaryDirectory(prefix="synthgen-bench-") as folder:
            out = Path(folder, "store.zarr")
            built = build(generator.recipe, out, count=count, seed=generator.seed, generator=source)
            writes.append(built.seconds / count)
            group = zarr.open_group(out, mode="r")
            arrays, start = [array for _, array in group.arrays()], perf_counter()
            for index in range(count):
                for array in arrays:
                    array[index]
            reads.append((perf_counter() - start) / count)
    return [
        _row(generator, "encode+write", cores, writes, count, source.made),
        _row(generator, "read", 1, reads, count, source.made),
    ]


def _row(
    generator: Generator,
    name: str,
    threads: int,
    samples: list[float],
    volumes: int,
    made: Made,
    floor: float | None = None,
) -> Row:
    middle = median(samples)
    low, high = np.percentile(samples, [25, 75])
    return Row(
        name=name,
        threads=threads,
        volumes=volumes,
        samples=len(samples),
        median=middle,
        iqr=(float(low), float(high)),
        voxels_per_second=math.prod(generator.recipe.reference_shape) / middle,
        made=made,
        floor_share=floor / middle if floor else None,
    )


def _evaluations(generator: Generator, stages: Stages) -> float:
    """Of the batch whose stages have run, a voxel."""
    counted = stages.arrays.get("evaluations")
    voxels = math.prod(generator.recipe.reference_shape)
    return 0.0 if counted is None else float(counted.mean()) / voxels


def _made(batch: Batch, evaluations: float = 0.0) -> Made:
    return Made(
        foreground=float((batch.label > 0).mean()) if batch.label.ndim > 2 else 0.0,
        drawn=float((batch.image > 0).mean()),
        objects_placed=_count(batch, Fate.PLACED),
        objects_dropped=_count(batch, Fate.DROPPED),
        proposals=float(batch.placed[..., Placed.PROPOSALS].sum(-1).mean()),
        evaluations=evaluations,
    )


def _count(batch: Batch, fate: Fate) -> float:
    """Objects of a volume that came to this; rows of none, as masks leave, have no proposals."""
    came = batch.placed[..., Placed.ACCEPTED] == fate
    if fate == Fate.DROPPED:
        came &= batch.placed[..., Placed.PROPOSALS] > 0
    return float(came.sum(-1).mean())


def _machine(device: str) -> dict[str, str]:
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "target": llvmlite.binding.get_host_cpu_name(),
        "cores": str(available_cores()),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
    }
    if device == "cuda":
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        found["gpu"] = properties["name"].decode()
        found["driver"] = str(cupy.cuda.runtime.driverGetVersion())
    return found


def _processor() -> str:
    """Name of the processor as the kernel tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _versions(on_cuda: bool) -> dict[str, str]:
    names = ["synthgen", "numpy", "numba", "llvmlite", "zarr", *(["numba-cuda"] if on_cuda else [])]
    found = {"python": platform.python_version()} | {name: version(name) for name in names}
    if on_cuda:
        import cupy

        found["cupy"] = cupy.__version__
    return found

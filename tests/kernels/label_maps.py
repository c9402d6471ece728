"""Made-up label maps of a few subjects, and what draws them: for tests of their kernels."""

from dataclasses import dataclass

import numpy as np

from synthgen.backend.base import Buffers, constants
from synthgen.backend.calls.label_map import label_map_calls
from synthgen.backend.plan import LabelMapTables
from synthgen.kernels.anatomy_records import SubjectSampling
from synthgen.kernels.records import Placed
from tests.backends import garbage

Array = np.ndarray
SOURCE = (41, 52, 37)  # of the maps
LABELS = 6  # 1 and 2 are left and right of each other
BANK_SPACING = 1.5


def source_maps(subjects: int = 3, seed: int = 0) -> Array:
    """(S, D, H, W) uint8: blobs of six labels, the outermost voxels 0."""
    random = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*map(np.arange, SOURCE), indexing="ij"), -1)
    maps = np.zeros((subjects, *SOURCE), np.uint8)
    for one in maps:
        for label in range(1, LABELS + 1):
            middle, radius = random.uniform(8, np.array(SOURCE) - 8), random.uniform(4, 10)
            one[((place - middle) ** 2).sum(-1) < radius**2] = label
        for axis in range(3):
            np.moveaxis(one, axis, 0)[[0, -1]] = 0
    return maps


def tables(subjects: int = 3, **settings: float | tuple[float, float]) -> LabelMapTables:
    """Tables with the ranges of SynthSeg, but for columns that are named in lower case."""
    ranges = {
        "zoom": (1, 1), "scale": (0.8, 1.2), "turn": (-15 / 360, 15 / 360),
        "shear": (-0.012, 0.012), "displacement": (0, 4), "bank_spacing": BANK_SPACING,
        "flip": 0.5, "wander": 1, "shift": 0,
    } | settings  # fmt: skip
    row = np.zeros(SubjectSampling.SIZE, np.float32)
    for name, value in ranges.items():
        if isinstance(value, tuple):
            row[SubjectSampling[f"{name.upper()}_LOW"]] = value[0]
            row[SubjectSampling[f"{name.upper()}_HIGH"]] = value[1]
        else:
            row[SubjectSampling[name.upper()]] = value
    other_sides = np.arange(256, dtype=np.uint8)
    other_sides[[1, 2]] = 2, 1
    body = [*(n / 2 for n in SOURCE), *(n - 6 for n in SOURCE)]
    bodies = (np.array([body] * subjects) + np.arange(subjects)[:, None]).astype(np.float32)
    return LabelMapTables(row, source_maps(subjects), bodies, other_sides, 60.0)


@dataclass(frozen=True)
class FakePlan:
    """As much of a plan as the calls ask for."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.5, 1.5, 1.5)
    label_dtype: str = "uint8"


@dataclass(frozen=True)
class Drawn:
    """What became of volumes; B first."""

    label: Array
    placed: Array
    poses: Array
    controls: Array
    lattice: Array


def _arrays(plan: FakePlan, calls, count: int) -> dict[str, Array]:
    outputs = {
        "label": np.full((count, 1, *plan.shape), 77, plan.label_dtype),
        "placed": np.full((count, 1, Placed.SIZE), 77, np.int32),
    }
    return outputs | garbage(calls, count)


def _drawn(arrays: dict[str, Array]) -> Drawn:
    return Drawn(**{name: arrays[name] for name in Drawn.__dataclass_fields__})


def on_cpu(plan: FakePlan, given: LabelMapTables, indices, seed: int = 7) -> Drawn:
    """Volumes by the CPU kernels."""
    calls = label_map_calls(plan, given)
    arrays, fixed = _arrays(plan, calls, len(indices)), constants(calls, np.ascontiguousarray)
    for b, index in enumerate(indices):
        own = {name: array[b] for name, array in arrays.items()} | fixed
        volume = Buffers(np.uint64(seed), np.array([index], np.uint64), own)
        for call in calls:
            call.on_cpu(volume)()
    return _drawn(arrays)


def on_cuda(plan: FakePlan, given: LabelMapTables, indices, start, seed: int = 7) -> Drawn:
    """The same by the CUDA kernels, which ``start`` starts."""
    calls = label_map_calls(plan, given)
    arrays = _arrays(plan, calls, len(indices))
    fixed = constants(calls, np.ascontiguousarray)
    batch = Buffers(np.uint64(seed), np.array(indices, np.uint64), arrays | fixed)
    for call in calls:
        call.on_cuda(batch, start)()
    return _drawn(arrays)

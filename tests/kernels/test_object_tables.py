"""The tables of objects, sampled, rasterized and turned, are equal between twins, entry by entry.

Images hide some errors here: a wrong count of voxels in a slice only makes the placement slower.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from synthgen.backend import Plan
from synthgen.backend.base import Stages, constants, cuda_stages
from synthgen.backend.calls import calls_of
from synthgen.backend.cpu import CpuBackend
from synthgen.engine import plan_of
from synthgen.kernels.records import Box, Object, Slice
from synthgen.recipe import Recipe, load_recipe
from tests.backends import HostLauncher, empty_outputs, garbage
from tests.host_cuda import needs_compiler

SEED = 11
INDICES = [0, 1, 2**63 + 5]
OBJECT_STAGES = ("sample", "rasterize", "turn")


def recipe() -> Recipe:
    """Small objects in all orientations, some wider than a word."""
    values = load_recipe("avs-db").model_dump(mode="json")
    values["shapes"] |= {
        "objects": 12,
        "depth": [5, 20],
        "polygon_box": [30, 80],
        "ellipse_axis": [5, 33],
        "orientations": ["stay", "upside_down", "side_1", "side_2", "side_3", "side_4"],
    }
    return Recipe.from_dict(values)


def run_object_stages(queue: Stages) -> None:
    for stage in queue:
        if stage.name in OBJECT_STAGES:
            stage.run()


def tables_of_twins(plan: Plan, index: int) -> dict[str, np.ndarray]:
    backend = CpuBackend(plan)
    run_object_stages(backend.stages(SEED, np.array([index], np.uint64), empty_outputs(plan, 1)))
    return backend._workspace()


def tables_of_host_cuda(
    plan: Plan, index: int, order: int, sanitize: bool
) -> dict[str, np.ndarray]:
    calls = calls_of(plan)
    work, tables = garbage(calls, 1), constants(calls, np.ascontiguousarray)
    indices, arrays = np.array([index], np.uint64), work | tables | empty_outputs(plan, 1)
    start = HostLauncher(sanitize=sanitize, order=order)
    run_object_stages(cuda_stages(calls, start, SEED, indices, arrays))
    return work


def stored_slices(work: dict[str, np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
    """Record, label rows and contour rows of each slice, without what no kernel may read."""
    for b, v in np.ndindex(work["boxes"].shape[:2]):
        box = work["boxes"][b, v]
        height, words = box[Box.HEIGHT], (box[Box.WIDTH] + 63) // 64
        for z in range(stored(box)):
            record = work["slices"][b, v, z]
            plane = slice(z * words * height, (z + 1) * words * height)
            rows = slice(record[Slice.FIRST], record[Slice.STOP])
            arenas = (work["labels"], work["lines"])
            yield record, *(a[b, v, plane].reshape(words, height)[:, rows] for a in arenas)


def stored(box: np.ndarray) -> int:
    return int(box[Box.DEPTH]) if box[Box.STEP] else 1


def objects_written(work: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The columns of each object that have a meaning."""
    return [
        row[: Object.POLAR + 2 * row[Object.VERTICES]]
        for row in work["objects"].reshape(-1, work["objects"].shape[2])
    ]


@needs_compiler
@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize(("order", "sanitize"), [(0, False), (1, False), (2, False), (3, True)])
def test_tables_are_equal(index, order, sanitize):
    plan = plan_of(recipe())
    expected = tables_of_twins(plan, index)
    got = tables_of_host_cuda(plan, index, order, sanitize)
    for a, b in zip(objects_written(expected), objects_written(got), strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(expected["boxes"], got["boxes"])
    for pair in zip(stored_slices(expected), stored_slices(got), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))


@pytest.mark.parametrize("index", INDICES)
def test_voxels_are_counted_right(index):
    """A slice's count is its set bits, a variant's the sum over its slices."""
    work = tables_of_twins(plan_of(recipe()), index)
    for record, labels, _ in stored_slices(work):
        assert record[Slice.VOXELS] == np.bitwise_count(labels).sum()
    for box, slices in zip(work["boxes"][0], work["slices"][0], strict=True):
        counts = slices[: stored(box), Slice.VOXELS].sum()
        assert box[Box.VOXELS] == (counts if box[Box.STEP] else counts * box[Box.DEPTH])

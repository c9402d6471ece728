"""The tables of objects, sampled, rasterized and turned, are equal between twins, entry by entry.

Images hide some errors here: a wrong count of voxels in a slice only makes the placement slower.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from synthgen.backend import Plan
from synthgen.backend.base import workspace
from synthgen.backend.launches import constants, run
from synthgen.kernels.rasterize_polygon_stack import rasterize_polygon_stack
from synthgen.kernels.records import Box, Object, Slice
from synthgen.kernels.sample_polygon_stack import sample_polygon_stack
from synthgen.kernels.turn import turn
from synthgen.recipe import Recipe, load_recipe
from tests.host_cuda import HostKernel, needs_compiler

SEED = np.uint64(11)
INDICES = np.array([0, 2**63 + 5], np.uint64)


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


def empty_tables(plan: Plan) -> dict[str, np.ndarray]:
    tables = workspace(plan, len(INDICES), np)
    for table in tables.values():
        table.view(np.uint8).fill(0xA5)
    return tables


def tables_of_twins(plan: Plan) -> dict[str, np.ndarray]:
    work, shapes, contour = empty_tables(plan), plan.shapes, plan.contour
    boxes, slices, labels, lines = (work[key] for key in ("boxes", "slices", "labels", "lines"))
    orientations = len(shapes.orientations)
    sample_polygon_stack(
        shapes.settings, shapes.xy_vertices, shapes.z_rules, SEED, INDICES, orientations,
        work["objects"], boxes,
    )  # fmt: skip
    rasterize_polygon_stack(
        work["objects"], orientations, shapes.side, contour.label_radius, contour.line_radius,
        contour.label_discs, contour.line_discs, boxes, slices, labels, lines,
    )  # fmt: skip
    turn(shapes.orientations, boxes, slices, labels, lines)
    return work


def tables_of_host_cuda(plan: Plan, order: int, sanitize: bool) -> dict[str, np.ndarray]:
    work = empty_tables(plan)

    def launch(name, grid, threads, args, shared, defines):
        if name in ("sample_polygon_stack", "rasterize_polygon_stack", "turn"):
            kernel = HostKernel(name, sanitize=sanitize, **defines)
            kernel(grid, threads, args, shared_bytes=shared, order_seed=order)

    nothing = np.empty(0)
    run(
        plan, constants(plan, np.ascontiguousarray), work, SEED, INDICES, nothing, nothing,
        nothing, launch, lambda *arguments: None,
    )  # fmt: skip
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
@pytest.mark.parametrize(("order", "sanitize"), [(0, False), (1, False), (2, False), (3, True)])
def test_tables_are_equal(order, sanitize):
    plan = Plan.of(recipe())
    expected, got = tables_of_twins(plan), tables_of_host_cuda(plan, order, sanitize)
    for a, b in zip(objects_written(expected), objects_written(got), strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(expected["boxes"], got["boxes"])
    for pair in zip(stored_slices(expected), stored_slices(got), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(*pair, strict=True))


def test_voxels_are_counted_right():
    """A slice's count is its set bits, a variant's the sum over its slices."""
    work = tables_of_twins(Plan.of(recipe()))
    for record, labels, _ in stored_slices(work):
        assert record[Slice.VOXELS] == np.bitwise_count(labels).sum()
    for box, slices in zip(
        work["boxes"].reshape(-1, Box.SIZE),
        work["slices"].reshape(-1, work["slices"].shape[2], Slice.SIZE),
        strict=True,
    ):
        counts = slices[: stored(box), Slice.VOXELS].sum()
        assert box[Box.VOXELS] == (counts if box[Box.STEP] else counts * box[Box.DEPTH])

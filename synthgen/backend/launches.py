"""The CUDA launch sequence of a batch: six launches at most, whatever the batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Array, Stage
from synthgen.backend.plan import Plan

Grid = tuple[int, int, int]
# launch(name, grid, threads of a block, arguments, dynamic shared bytes, defines)
Launch = Callable[[str, Grid, int, tuple[Any, ...], int, dict[str, str]], None]
# place(arguments of place_overlap)
Place = Callable[..., None]

_CTYPES = {"uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int"}


def constants(plan: Plan, upload: Callable[[npt.NDArray[Any]], Array]) -> dict[str, Array]:
    """The plan's tables on the device."""
    shapes, contour = plan.shapes, plan.contour
    return {
        "settings": upload(shapes.settings),
        "xy_vertices": upload(shapes.xy_vertices),
        "z_rules": upload(shapes.z_rules),
        "orientations": upload(shapes.orientations),
        "label_discs": upload(contour.label_discs),
        "line_discs": upload(contour.line_discs),
        "levels": upload(contour.levels),
    }


def stages(
    plan: Plan,
    tables: dict[str, Array],
    work: dict[str, Array],
    seed: int,
    indices: Array,
    image: Array,
    label: Array,
    placed: Array,
    launch: Launch,
    place: Place,
) -> list[Stage]:
    """The kernels of a batch in their order; each call queues one.

    Args:
        plan: sizes.
        tables: result of ``constants``.
        work: ``workspace`` for this batch.
        seed: 0 .. 2^64 - 1.
        indices: (B,) uint64 on the device.
        image: (B, D, H, W) unsigned bit patterns on the device, out.
        label: (B, D, H, W) on the device, out.
        placed: (B, N, Placed.SIZE) int32 on the device, out.
        launch, place: how kernels are started.
    """
    shapes, contour = plan.shapes, plan.contour
    count, objects, orientations = len(indices), shapes.objects, len(shapes.orientations)
    depth, height, width = plan.shape
    types = {
        "IMAGE_TYPE": _CTYPES[contour.levels.dtype.name],
        "LABEL_TYPE": _CTYPES[plan.label_dtype],
    }
    boxes, slices, labels, lines = (work[key] for key in ("boxes", "slices", "labels", "lines"))
    slices_high, rows_high = np.int32(shapes.slices), np.int64(shapes.rows)

    sample = partial(
        launch, "sample_polygon_stack", (-(-count * objects // 64), 1, 1), 64,
        (
            tables["settings"], tables["xy_vertices"], tables["z_rules"], np.uint64(seed), indices,
            np.int32(orientations), work["objects"], boxes,
            np.int32(count), np.int32(objects), np.int32(shapes.columns),
        ), 0, {},
    )  # fmt: skip
    rasterize = partial(
        launch, "rasterize_polygon_stack", (shapes.depth, objects, count), 128,
        (
            work["objects"], np.int32(orientations), np.int32(contour.label_radius),
            np.int32(contour.line_radius), tables["label_discs"], tables["line_discs"], boxes,
            slices, labels, lines, np.int32(objects), np.int32(shapes.columns),
            np.int32(contour.label_discs.size // 64), np.int32(contour.line_discs.size // 64),
            slices_high, rows_high,
        ), 24 * shapes.side * ((shapes.side + 63) // 64), {},
    )  # fmt: skip
    turn = partial(
        launch, "turn", (shapes.slices, plan.variants, count), 128,
        (
            tables["orientations"], boxes, slices, labels, lines, np.int32(orientations),
            np.int32(plan.variants), slices_high, rows_high,
        ), 0, {},
    )  # fmt: skip
    place_all = partial(
        place, boxes, slices, labels, work["occupied"], orientations, width, plan.ratio,
        plan.tries, plan.legacy, np.uint64(seed), indices, placed,
    )  # fmt: skip
    paint = partial(
        launch, "paint_contour", (depth, count, 1), 256,
        (
            work["objects"], placed, boxes, slices, labels, lines,
            np.uint32(contour.levels[0]), np.uint32(contour.levels[contour.value]), image, label,
            np.int32(objects), np.int32(shapes.columns), np.int32(plan.variants), slices_high,
            rows_high, np.int32(depth), np.int32(height), np.int32(width),
        ), 0, types,
    )  # fmt: skip
    voxels = depth * height * width
    noise = partial(
        launch, "uniform_noise", (-(-voxels // 1024), count, 1), 256,
        (
            np.int32(contour.noise[0]), np.int32(contour.noise[1]), np.int32(contour.value),
            tables["levels"], np.uint64(seed), indices, image, np.int64(voxels),
        ), 0, {"IMAGE_TYPE": types["IMAGE_TYPE"]},
    )  # fmt: skip
    return [
        Stage("sample", sample),
        Stage("rasterize", rasterize),
        *([Stage("turn", turn)] if orientations > 1 else []),
        Stage("place", place_all),
        Stage("paint", paint),
        *([Stage("noise", noise)] if plan.noisy else []),
    ]

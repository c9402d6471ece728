"""CPU backend: Numba kernels, a volume a thread. Marshals and launches; no arithmetic."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Array, workspace
from synthgen.backend.plan import Plan
from synthgen.kernels.paint_contour import paint_contour
from synthgen.kernels.place_overlap import place_overlap
from synthgen.kernels.rasterize_polygon_stack import rasterize_polygon_stack
from synthgen.kernels.sample_polygon_stack import sample_polygon_stack
from synthgen.kernels.turn import turn
from synthgen.kernels.uniform_noise import uniform_noise


class CpuBackend:
    """Makes volumes on all cores this process may use, or on ``threads`` of them."""

    name = "cpu"

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.threads = threads or available_cores()
        self._local = threading.local()
        self._pool: ThreadPoolExecutor | None = None

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.empty(shape, dtype)

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def fill(
        self, seed: int, indices: npt.NDArray[np.uint64], image: Array, label: Array, placed: Array
    ) -> None:
        patterns = image.view(self.plan.contour.levels.dtype)

        def one(b: int) -> None:
            only = slice(b, b + 1)
            self._volume(np.uint64(seed), indices[only], patterns[only], label[only], placed[only])

        if self.threads == 1 or len(indices) == 1:
            for b in range(len(indices)):
                one(b)
        else:
            list(self._threads().map(one, range(len(indices))))

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="synthgen")
        return self._pool

    def _volume(
        self, seed: np.uint64, index: Array, image: Array, label: Array, placed: Array
    ) -> None:
        """Make one volume; every array has a leading axis of length 1."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = workspace(self.plan, 1, np)
        plan, shapes, contour, work = self.plan, self.plan.shapes, self.plan.contour, self._local.workspace
        boxes, slices, labels, lines = (work[key] for key in ("boxes", "slices", "labels", "lines"))
        orientations = len(shapes.orientations)
        sample_polygon_stack(
            shapes.settings, shapes.xy_vertices, shapes.z_rules, seed, index, orientations,
            work["objects"], boxes,
        )  # fmt: skip
        rasterize_polygon_stack(
            work["objects"], orientations, contour.label_radius, contour.line_radius,
            contour.label_discs, contour.line_discs, boxes, slices, labels, lines,
        )  # fmt: skip
        if orientations > 1:
            turn(shapes.orientations, boxes, slices, labels, lines)
        place_overlap(
            boxes, slices, labels, work["occupied"], orientations, plan.shape[2], plan.ratio,
            plan.tries, plan.legacy, seed, index, placed,
        )  # fmt: skip
        paint_contour(
            work["objects"], placed, boxes, slices, labels, lines,
            contour.levels[0], contour.levels[contour.value], image, label,
        )  # fmt: skip
        if plan.noisy:
            uniform_noise(*contour.noise, contour.value, contour.levels, seed, index, image)


def available_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

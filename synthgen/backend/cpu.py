"""CPU backend: Numba kernels, a volume a thread. Marshals and launches; no arithmetic."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Array, Stage, workspace
from synthgen.backend.plan import Plan
from synthgen.cores import available_cores
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
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return np.empty(shape, dtype)

    def view(self, memory: Any) -> Array:
        if not hasattr(memory, "__array__") or hasattr(memory, "__cuda_array_interface__"):
            raise TypeError(f"must be in host memory, got {type(memory).__name__}")
        return np.asarray(memory)

    def queueing_on(self, stream: int | None) -> AbstractContextManager[Any]:
        return nullcontext()

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        return np.asarray(array)

    def synchronize(self) -> None:
        """Nothing runs on once a call has returned."""

    def fill(
        self, seed: int, indices: npt.NDArray[np.uint64], image: Array, label: Array, placed: Array
    ) -> None:
        def one(b: int) -> None:
            only = slice(b, b + 1)
            for stage in self.stages(seed, indices[only], image[only], label[only], placed[only]):
                stage.run()

        if self.threads == 1 or len(indices) == 1:
            for b in range(len(indices)):
                one(b)
        else:
            list(self._threads().map(one, range(len(indices))))

    def _threads(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork, as of a DataLoader's workers: a child makes its own.
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self.threads, "synthgen")
        return self._pool[1]

    def _workspace(self) -> dict[str, Array]:
        """Tables and arena of this thread, for one volume."""
        if not hasattr(self._local, "workspace"):
            self._local.workspace = workspace(self.plan, 1, np)
        work: dict[str, Array] = self._local.workspace
        return work

    def stages(
        self, seed: int, indices: npt.NDArray[np.uint64], image: Array, label: Array, placed: Array
    ) -> list[Stage]:
        """The kernels of one volume; every array has a leading axis of length 1."""
        plan, key, index = self.plan, np.uint64(seed), indices[0]
        shapes, contour, orientations = plan.shapes, plan.contour, len(plan.shapes.orientations)
        work = {name: array[0] for name, array in self._workspace().items()}
        objects, boxes, slices = work["objects"], work["boxes"], work["slices"]
        labels, lines = work["labels"], work["lines"]
        pixels, classes = image.view(contour.levels.dtype).reshape(-1), label.reshape(-1)

        sample = partial(
            sample_polygon_stack, shapes.settings, shapes.xy_vertices, shapes.z_rules, key, index,
            orientations, objects, boxes,
        )  # fmt: skip
        rasterize = partial(
            rasterize_polygon_stack, objects, orientations, shapes.side, contour.label_radius,
            contour.line_radius, contour.label_discs, contour.line_discs, boxes, slices, labels,
            lines,
        )  # fmt: skip
        turned = partial(turn, shapes.orientations, boxes, slices, labels, lines)
        place = partial(
            place_overlap, boxes, slices, labels, work["occupied"], orientations, plan.shape[2],
            plan.ratio, plan.tries, plan.legacy, key, index, placed[0],
        )  # fmt: skip
        paint = partial(
            paint_contour, objects, placed[0], boxes, slices, labels, lines, contour.levels[0],
            contour.levels[contour.value], pixels, classes, plan.shape,
        )  # fmt: skip
        noise = partial(
            uniform_noise, *contour.noise, contour.value, contour.levels, key, index, pixels
        )
        return [
            Stage("sample", sample),
            Stage("rasterize", rasterize),
            *([Stage("turn", turned)] if orientations > 1 else []),
            Stage("place", place),
            Stage("paint", paint),
            *([Stage("noise", noise)] if plan.noisy else []),
        ]

"""Backends that only tests use."""

import os
from contextlib import nullcontext
from typing import Any

import numpy as np

from synthgen.backend.base import workspace
from synthgen.backend.launches import constants, stages
from synthgen.kernels.place_overlap import place_overlap
from tests.host_cuda import HostKernel


def place_on_cpu(*args):
    """The CPU placement for arguments of the CUDA one, whose tables have a leading axis B."""
    per_volume = {0, 1, 2, 3, 10, 11}
    for b in range(len(args[0])):
        place_overlap(*(arg[b] if i in per_volume else arg for i, arg in enumerate(args)))


class HostCudaBackend:
    """The CUDA launch sequence with every ``.cu`` compiled for and run on the CPU.

    Args:
        plan: as for every backend.
        sanitize: with address and undefined-behaviour sanitizers.
        order: seed of the order in which the threads of a block run between barriers.
        place: the placement, by default its CPU build.
    """

    name = "host-cuda"

    def __init__(self, plan: Any, *, sanitize: bool = False, order: int = 0, place: Any = None):
        self.plan, self._sanitize, self._order = plan, sanitize, order
        self._place = place or place_on_cpu
        self._tables = constants(plan, np.ascontiguousarray)

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)

    def view(self, memory):
        return np.asarray(memory)

    def queueing_on(self, stream):
        return nullcontext()

    def numpy(self, array):
        return array

    def fill(self, seed, indices, image, label, placed):
        work = workspace(self.plan, len(indices), np)
        for array in work.values():  # what a kernel must not rely on
            array.view(np.uint8).fill(0xA5)
        patterns = image.view(self.plan.contour.levels.dtype)
        for stage in stages(
            self.plan, self._tables, work, seed, indices, patterns, label, placed, self._launch,
            self._place,
        ):  # fmt: skip
            stage.run()

    def _launch(self, name, grid, threads, args, shared, defines):
        kernel = HostKernel(name, sanitize=self._sanitize, **defines)
        kernel(grid, (threads,), args, shared_bytes=shared, order_seed=self._order)


def generic_environment() -> dict[str, str]:
    """Settings in which Numba compiles for the least of all x86-64 processors."""
    return os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def plain_numpy_environment() -> dict[str, str]:
    """Settings in which NumPy uses none of the vector units that it would choose at run time."""
    from numpy._core._multiarray_umath import __cpu_dispatch__

    return os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)}

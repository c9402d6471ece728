"""Backends that only tests use."""

import os
from contextlib import nullcontext
from typing import Any

import numpy as np

from synthgen.backend.base import (
    Buffers,
    constants,
    cuda_stages,
    output_kinds,
    patterns,
    scratch_of,
    workspace,
)
from synthgen.backend.calls import calls_of
from synthgen.backend.cpu import CpuBackend
from synthgen.backend.mixture import MixtureBackend
from synthgen.backend.plan import MixturePlan
from synthgen.engine import Generator, plan_of
from synthgen.kernels.place_gibbs import place_gibbs
from synthgen.kernels.place_overlap import place_overlap
from tests.host_cuda import HostKernel


def place_gibbs_of(*args):
    """The CPU placement for arguments of the CUDA one, where the shape is three numbers."""
    place_gibbs(*args[:14], args[14:17], *args[17:])


# CPU builds of what Numba compiles for CUDA, and which of their arguments have a leading axis B.
NUMBA = {
    "place_overlap": (place_overlap, {0, 1, 2, 3, 10, 11}),
    "place_gibbs": (place_gibbs_of, {3, 4, 5, 6, 8, 17, 18, 19, 20}),
}


def empty_outputs(plan, count):
    """What backends write, uninitialised."""
    return {name: np.empty(*kind) for name, kind in output_kinds(plan, count).items()}


def written_outside(recipe, index):
    """Names of the arrays beside whose memory the CPU kernels of one volume write."""
    plan = plan_of(recipe)
    calls, fence = calls_of(plan), 4096
    kinds = {name: (shape[1:], dtype) for name, (shape, dtype) in output_kinds(plan, 1).items()}
    memory, arrays = {}, {}
    for name, (shape, dtype) in (kinds | scratch_of(calls)).items():
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory[name] = np.full(size + 2 * fence, 0xA5, np.uint8)
        arrays[name] = memory[name][fence : fence + size].view(dtype).reshape(shape)
    arrays = patterns(arrays) | constants(calls, np.ascontiguousarray)
    volume = Buffers(np.uint64(7), np.array([index], np.uint64), arrays)
    for call in calls:
        call.on_cpu(volume)()
    return [
        name
        for name, around in memory.items()
        if (around[:fence] != 0xA5).any() or (around[-fence:] != 0xA5).any()
    ]


class HostLauncher:
    """Runs every ``.cu`` compiled for the CPU.

    Args:
        sanitize: with address and undefined-behaviour sanitizers.
        order: seed of the order in which the threads of a block run between barriers.
    """

    def __init__(self, *, sanitize: bool = False, order: int = 0):
        self._sanitize, self._order = sanitize, order

    def numba(self, name, blocks, args):
        kernel, per_volume = NUMBA[name]
        for b in range(blocks):
            kernel(*(arg[b] if i in per_volume else arg for i, arg in enumerate(args)))

    def launch(self, name, grid, threads, args, *, shared=0, **defines):
        kernel = HostKernel(name, sanitize=self._sanitize, **defines)
        kernel(grid, (threads,), args, shared_bytes=shared, order_seed=self._order)


def garbage(calls, count):
    """A workspace full of what a kernel must not rely on."""
    work = workspace(calls, count, np)
    for array in work.values():
        array.view(np.uint8).fill(0xA5)
    return work


class HostCudaBackend:
    """The CUDA launch sequence on the CPU; ``options`` are those of ``HostLauncher``."""

    name = "host-cuda"

    def __init__(self, plan: Any, **options: Any):
        self.plan = plan
        self._calls = calls_of(plan)
        self._constants = constants(self._calls, np.ascontiguousarray)
        self._start = HostLauncher(**options)

    def empty(self, shape, dtype):
        return np.empty(shape, dtype)

    def view(self, memory):
        return np.asarray(memory)

    def queueing_on(self, stream):
        return nullcontext()

    def numpy(self, array):
        return array

    def fill(self, seed, indices, outputs):
        arrays = patterns(outputs) | garbage(self._calls, len(indices)) | self._constants
        for stage in cuda_stages(self._calls, self._start, seed, indices, arrays):
            stage.run()


def backend_of(plan, make):
    """A backend made by ``make``; of a mixture, one for each of its plans."""
    if isinstance(plan, MixturePlan):
        return MixtureBackend(plan, [make(part) for part in plan.components])
    return make(plan)


def cpu(recipe, seed=7, threads=None):
    """A generator of CPU kernels."""
    generator = Generator(recipe, seed=seed, device="cpu")
    generator._backend = backend_of(plan_of(recipe), lambda plan: CpuBackend(plan, threads))
    return generator


def host_cuda(recipe, **options):
    """A generator of CUDA kernels on the CPU; ``options`` are those of ``HostLauncher``."""
    generator = cpu(recipe)
    generator._backend = backend_of(plan_of(recipe), lambda plan: HostCudaBackend(plan, **options))
    return generator


def assert_equal(actual, expected):
    """Batches are equal to the bit."""
    np.testing.assert_array_equal(actual.placed, expected.placed)
    np.testing.assert_array_equal(actual.label, expected.label)
    np.testing.assert_array_equal(actual.image, expected.image)
    np.testing.assert_array_equal(actual.prompts, expected.prompts)


def generic_environment() -> dict[str, str]:
    """Settings in which Numba compiles for the least of all x86-64 processors."""
    return os.environ | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}


def plain_numpy_environment() -> dict[str, str]:
    """Settings in which NumPy uses none of the vector units that it would choose at run time."""
    from numpy._core._multiarray_umath import __cpu_dispatch__

    return os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__)}

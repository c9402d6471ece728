"""CPU backend: Numba kernels, a volume a thread. Marshals and launches; no arithmetic."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import (
    Array,
    Buffers,
    Outputs,
    Stage,
    Stages,
    constants,
    patterns,
    workspace,
)
from synthgen.backend.calls import calls_of
from synthgen.backend.plan import Plan
from synthgen.cores import available_cores


class CpuBackend:
    """Makes volumes on all cores this process may use, or on ``threads`` of them."""

    name = "cpu"

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self._calls = calls_of(plan)
        self._constants = constants(self._calls, np.ascontiguousarray)
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

    def fill(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> None:
        def one(b: int) -> None:
            only = slice(b, b + 1)
            volume = {name: array[only] for name, array in outputs.items()}
            for stage in self.stages(seed, indices[only], volume):
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
            self._local.workspace = workspace(self._calls, 1, np)
        work: dict[str, Array] = self._local.workspace
        return work

    def stages(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> Stages:
        """The kernels of one volume; every array has a leading axis of length 1."""
        own = patterns(outputs) | self._workspace()
        arrays = {name: array[0] for name, array in own.items()}
        volume = Buffers(np.uint64(seed), indices, arrays | self._constants)
        stages = [Stage(call.name, call.on_cpu(volume)) for call in self._calls]
        return Stages(stages, arrays)

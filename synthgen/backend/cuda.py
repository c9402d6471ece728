"""CUDA backend: CuPy raw kernels and the Numba placement. Marshals and launches; no arithmetic."""

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import cupy
import numpy as np
import numpy.typing as npt
from numba import cuda as numba_cuda

from synthgen.backend.base import (
    Array,
    Grid,
    Outputs,
    Stages,
    batch_high,
    constants,
    cuda_stages,
    in_parts,
    patterns,
    workspace,
)
from synthgen.backend.calls import calls_of
from synthgen.backend.plan import Plan
from synthgen.backend.source import kernel_source
from synthgen.kernels import place_gibbs_cuda, place_overlap_cuda

# -fmad=false: a fused a * b + c rounds once, the CPU's twin twice.
_OPTIONS = ("-std=c++17", "-fmad=false")
_GRID_MAX = 65535  # blocks along y and z
_NUMBA = {  # kernels that Numba compiles, and the threads of a block
    "place_gibbs": (place_gibbs_cuda.place_gibbs, place_gibbs_cuda.THREADS),
    "place_overlap": (place_overlap_cuda.place_overlap, place_overlap_cuda.THREADS),
}


class CudaBackend:
    """Makes volumes on the current CUDA device and stream; memory comes from CuPy's pool.

    Raises:
        RuntimeError: there is no CUDA device.
        ValueError: there is one, and NumPy is too new for numba-cuda.
    """

    name = "cuda"

    def __init__(self, plan: Plan) -> None:
        if not cupy.is_available():
            raise RuntimeError("no CUDA device")
        if not hasattr(np, "row_stack"):
            raise ValueError(
                f"numpy: numba-cuda needs a version below 2.5, got {np.__version__}; "
                "pip install 'numpy<2.5', or use --device cpu"
            )
        self.plan = plan
        # Whichever stream is first to read them, they are there.
        self._calls = calls_of(plan)
        self._constants = constants(self._calls, partial(cupy.asarray, blocking=True))

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return cupy.empty(shape, dtype)

    def view(self, memory: Any) -> Array:
        if not hasattr(memory, "__cuda_array_interface__"):
            raise TypeError(f"must be in CUDA memory, got {type(memory).__name__}")
        return cupy.asarray(memory)

    def queueing_on(self, stream: int | None) -> AbstractContextManager[Any]:
        return (
            nullcontext() if stream is None else cupy.cuda.Stream.from_external(_Borrowed(stream))
        )

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        host: npt.NDArray[Any] = cupy.asnumpy(array)
        return host

    def fill(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> None:
        def make(part: slice) -> None:
            volumes = {name: array[part] for name, array in outputs.items()}
            for stage in self.stages(seed, indices[part], volumes):
                stage.run()

        for _ in in_parts(len(indices), self._batch_high(), make):
            pass

    def _batch_high(self) -> int:
        """Volumes whose workspace fits into free memory, and whose count into a grid."""
        pool = cupy.get_default_memory_pool()
        free = cupy.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return batch_high(int(free), self._calls, _GRID_MAX)

    def stages(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> Stages:
        scratch = workspace(self._calls, len(indices), cupy)
        arrays = patterns(outputs) | scratch | self._constants
        return cuda_stages(self._calls, _Launcher(), seed, cupy.asarray(indices), arrays)

    def synchronize(self) -> None:
        cupy.cuda.get_current_stream().synchronize()


class _Borrowed(NamedTuple):
    """A ``cudaStream_t`` in the form that libraries exchange."""

    pointer: int

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


@cupy.memoize(for_each_device=True)
def _kernel(name: str, defines: tuple[tuple[str, str], ...], shared: int) -> "cupy.RawKernel":
    kernel = cupy.RawKernel(kernel_source(name, **dict(defines)), name, options=_OPTIONS)
    if shared:  # together with what a kernel declares it may be more than is given without asking
        kernel.max_dynamic_shared_size_bytes = shared
    return kernel


class _Launcher:
    """Queues kernels on CuPy's current stream."""

    def launch(
        self,
        name: str,
        grid: Grid,
        threads: int,
        args: tuple[Any, ...],
        *,
        shared: int = 0,
        **defines: str,
    ) -> None:
        _kernel(name, tuple(defines.items()), shared)(grid, (threads,), args, shared_mem=shared)

    def numba(self, name: str, blocks: int, args: tuple[Any, ...]) -> None:
        # as_cuda_array without sync, and an explicit stream: otherwise Numba waits for CuPy's.
        pointer = cupy.cuda.get_current_stream().ptr
        stream = numba_cuda.external_stream(pointer) if pointer else numba_cuda.default_stream()
        arrays = [
            numba_cuda.as_cuda_array(arg, sync=False) if isinstance(arg, cupy.ndarray) else arg
            for arg in args
        ]
        kernel, threads = _NUMBA[name]
        kernel[blocks, threads, stream](*arrays)

"""Backends: the same kernels on the CPU and on CUDA, chosen here and nowhere else."""

from typing import Literal

from synthgen.backend.base import Array, Backend, Stages, in_parts, placed_shape
from synthgen.backend.plan import Plan

__all__ = [
    "Array",
    "Backend",
    "Device",
    "Plan",
    "Stages",
    "get_backend",
    "in_parts",
    "placed_shape",
]

Device = Literal["auto", "cpu", "cuda"]


def get_backend(plan: Plan, device: Device = "auto") -> Backend:
    """Return a backend for ``plan``; ``auto`` is CUDA where a device is usable, else the CPU.

    Raises:
        ValueError: ``device`` is none of auto, cpu, cuda.
        RuntimeError: CUDA was asked for and is not usable.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: must be auto, cpu or cuda, got {device!r}")
    if device != "cpu":
        try:
            from synthgen.backend.cuda import CudaBackend

            return CudaBackend(plan)
        except (ImportError, RuntimeError) as error:
            if device == "cuda":
                raise RuntimeError(
                    f"device: cuda is not usable ({error}); install synthgen[cuda12] or "
                    "synthgen[cuda13] on a machine with an NVIDIA GPU, or use --device cpu"
                ) from None
    from synthgen.backend.cpu import CpuBackend

    return CpuBackend(plan)

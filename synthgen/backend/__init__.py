"""Backends: the same kernels on the CPU and on CUDA, chosen here and nowhere else."""

from typing import Literal

from synthgen.backend.base import Array, Backend, Outputs, Stages, in_parts, output_kinds
from synthgen.backend.plan import AnyPlan, MixturePlan, Plan

__all__ = [
    "AnyPlan",
    "Array",
    "Backend",
    "Device",
    "MixturePlan",
    "Outputs",
    "Plan",
    "Stages",
    "get_backend",
    "in_parts",
    "output_kinds",
]

Device = Literal["auto", "cpu", "cuda"]


def get_backend(plan: AnyPlan, device: Device = "auto") -> Backend:
    """Return a backend for ``plan``; ``auto`` is CUDA where a device is usable, else the CPU.

    Raises:
        ValueError: ``device`` is none of auto, cpu, cuda; or there is a CUDA device, and NumPy is
            too new for numba-cuda.
        RuntimeError: CUDA was asked for and is not usable.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: must be auto, cpu or cuda, got {device!r}")
    if isinstance(plan, MixturePlan):
        from synthgen.backend.mixture import MixtureBackend

        return MixtureBackend(plan, [get_backend(part, device) for part in plan.components])
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

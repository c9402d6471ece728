"""How much of the machine is ours."""

import os


def available_cores() -> int:
    """Cores this process may run on: fewer than the machine's in a SLURM job or a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

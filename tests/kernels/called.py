"""Calls run by themselves, without a recipe: by their CPU kernels, and by CUDA's source."""

from collections.abc import Mapping, Sequence

import numpy as np

from synthgen.backend.base import Buffers, Call, constants, cuda_stages
from tests.backends import HostLauncher, garbage

SEED = 7
Arrays = dict[str, np.ndarray]
Kinds = Mapping[str, tuple[tuple[int, ...], str]]  # shape and type of a volume's outputs


def by_cpu(
    calls: Sequence[Call], kinds: Kinds, indices: Sequence[int], given: Arrays | None = None
) -> Arrays:
    """All arrays of a batch, volume by volume; outputs and scratch hold garbage before.

    Args:
        kinds: of the outputs.
        indices: of the volumes.
        given: outputs of other calls, with a leading axis B.
    """
    arrays = _arrays(calls, kinds, indices, given)
    fixed = constants(calls, np.ascontiguousarray)
    for b in range(len(indices)):
        own = {name: array[b] for name, array in arrays.items()}
        volume = Buffers(np.uint64(SEED), np.array(indices[b : b + 1], np.uint64), own | fixed)
        for call in calls:
            call.on_cpu(volume)()
    return arrays


def by_cuda(
    calls: Sequence[Call],
    kinds: Kinds,
    indices: Sequence[int],
    given: Arrays | None = None,
    **options,
) -> Arrays:
    """The same by CUDA's source on the CPU; ``options`` are those of ``HostLauncher``."""
    arrays = _arrays(calls, kinds, indices, given)
    both = arrays | constants(calls, np.ascontiguousarray)
    numbers = np.array(indices, np.uint64)
    for stage in cuda_stages(calls, HostLauncher(**options), SEED, numbers, both):
        stage.run()
    return arrays


def _arrays(
    calls: Sequence[Call], kinds: Kinds, indices: Sequence[int], given: Arrays | None
) -> Arrays:
    outputs = {
        name: np.empty((len(indices), *shape), dtype) for name, (shape, dtype) in kinds.items()
    }
    for array in outputs.values():
        array.view(np.uint8).fill(0xA5)
    return outputs | garbage(calls, len(indices)) | (given or {})

"""Chains of steps for tests, and the calls of a chain on either side."""

import numpy as np

from synthgen.appearance.chain import Chain as ChainSettings
from synthgen.backend.base import Buffers, constants
from synthgen.backend.calls.chain import Chain
from synthgen.backend.calls.filters import FilterLines, SampleChain, SampleFilters
from tests.backends import HostLauncher, garbage


def chain_of(
    *steps, shape=(16, 16, 16), spacing=(1.0, 1.0, 1.0), values=5, intensity=None, alike=None
):
    """A chain of step settings after intensities."""
    first = {"kind": "intensity", **(intensity or {})}
    tables = ChainSettings(steps=[first, *steps]).tables("float32")
    alike = np.arange(values, dtype=np.int32) if alike is None else np.array(alike, np.int32)
    return Chain(shape, spacing, alike, "float32", "uint8", tables)


def sampling(chain, channel=0):
    """The calls that draw steps and filters."""
    filters = SampleFilters(chain, channel)
    return [SampleChain(chain, channel), *([filters] if filters.filters.steps else [])]


def filtering(chain, channel=0):
    """The calls that filter, in order."""
    return [FilterLines(chain, channel, step) for step in SampleFilters(chain, 0).filters.steps]


def on_cpu(calls, *, seed=7, index=0, **arrays):
    """All arrays of one volume after the calls; ``arrays`` are changed."""
    own = {name: array[0] for name, array in garbage(calls, 1).items()}
    arrays = {**own, **constants(calls, np.ascontiguousarray), **arrays}
    volume = Buffers(np.uint64(seed), np.array([index], np.uint64), arrays)
    for call in calls:
        call.on_cpu(volume)()
    return arrays


def in_c(calls, *, seed=7, indices=(0,), sanitize=False, order=0, **arrays):
    """All arrays of a batch after the calls, by the CUDA source; ``arrays`` are changed."""
    own = garbage(calls, len(indices))
    arrays = {**own, **constants(calls, np.ascontiguousarray), **arrays}
    batch = Buffers(np.uint64(seed), np.array(indices, np.uint64), arrays)
    for call in calls:
        call.on_cuda(batch, HostLauncher(sanitize=sanitize, order=order))()
    return arrays


def bits(array):
    return np.ascontiguousarray(array).view(np.int32)

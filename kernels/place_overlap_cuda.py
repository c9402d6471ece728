"""The placement of ``place_overlap.py`` compiled for CUDA: a block a volume."""

import numpy as np
from numba import cuda

from .place_overlap import build

THREADS, LANES = 256, 32
_SHARED = 1 + THREADS // LANES


@cuda.jit(device=True)
def _synchronize():
    cuda.syncthreads()


@cuda.jit(device=True)
def _add(array, i, value):
    cuda.atomic.add(array, i, value)


@cuda.jit(device=True)
def _keep_least(array, i, value):
    cuda.atomic.min(array, i, value)


@cuda.jit(device=True)
def _count_bits(word):
    return cuda.popc(word)


_device = cuda.jit(device=True)
_place_volume = build(_device, _device, _count_bits, _synchronize, _add, _keep_least)


@cuda.jit
def place_overlap(
    boxes, slices, rows, occupied, orientations, width, ratio, tries, legacy, seed, indices, placed
):
    """The CPU's ``place_overlap`` for B volumes, a leading axis; launch as ``[B, THREADS]``."""
    shared = cuda.shared.array(_SHARED, np.int64)
    b = cuda.blockIdx.x
    _place_volume(
        boxes[b], slices[b], rows[b], occupied[b], orientations, width, ratio, tries, legacy,
        seed, indices[b], placed[b], cuda.threadIdx.x, cuda.blockDim.x, LANES, shared,
    )  # fmt: skip

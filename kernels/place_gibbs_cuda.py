"""The placement of ``place_gibbs.py`` compiled for CUDA: a block a volume."""

import numpy as np
from numba import cuda

from .anatomy_records import STRUCTURES_MAX
from .place_gibbs import Scene, Team, build

THREADS, LANES = 256, 32
_SHARED = THREADS // LANES


@cuda.jit(device=True)
def _synchronize():
    cuda.syncthreads()


@cuda.jit(device=True)
def _count_bits(word):
    return np.int64(cuda.popc(word))


@cuda.jit(device=True)
def _group_sum(team, value):
    cuda.syncthreads()  # all have read what was there
    if team.lane == 0:
        team.shared[team.group] = 0
    cuda.syncthreads()
    cuda.atomic.add(team.shared, team.group, value)
    cuda.syncthreads()
    return team.shared[team.group]


@cuda.jit(device=True)
def _group_least(team, value):
    cuda.syncthreads()
    if team.lane == 0:
        team.shared[team.group] = value
    cuda.syncthreads()
    cuda.atomic.min(team.shared, team.group, value)
    cuda.syncthreads()
    return team.shared[team.group]


@cuda.jit(device=True)
def _block_least(team, value):
    cuda.syncthreads()
    if team.thread == 0:
        team.shared[0] = value
    cuda.syncthreads()
    cuda.atomic.min(team.shared, 0, value)
    cuda.syncthreads()
    return team.shared[0]


@cuda.jit(device=True)
def _block_most(team, value):
    return -_block_least(team, -value)


_device = cuda.jit(device=True)
_place_volume = _device(
    build(
        _device, _device, _count_bits, _synchronize,
        _group_sum, _group_least, _block_most, _block_least,
    )
)  # fmt: skip


@cuda.jit
def place_gibbs(
    order, ranks, pairs, poses, counts, points, proposals, row_offsets, rows, shapes, distances,
    tries, sweeps, full, depth, height, width, visible, chosen, energies, placed,
):  # fmt: skip
    """The CPU's ``place_gibbs`` for B volumes; launch as ``[B, THREADS]``.

    ``poses``, ``counts``, ``points``, ``proposals``, ``rows``, ``visible``, ``chosen``,
    ``energies`` and ``placed`` have a leading axis.
    """
    shared = cuda.shared.array(_SHARED, np.int64)
    reach = cuda.shared.array((STRUCTURES_MAX, 2, 3), np.int32)
    b, thread = cuda.blockIdx.x, np.int64(cuda.threadIdx.x)
    threads = np.int64(cuda.blockDim.x)
    scene = Scene(
        order, pairs, poses[b], counts[b], points[b], proposals[b], row_offsets, rows[b], shapes,
        distances, (np.int64(depth), np.int64(height), np.int64(width)), visible[b], chosen[b],
        energies[b], reach,
    )  # fmt: skip
    lanes = np.int64(LANES)
    team = Team(thread, threads, thread // lanes, threads // lanes, thread % lanes, lanes, shared)
    _place_volume(scene, ranks, tries, sweeps, full, placed[b], team)

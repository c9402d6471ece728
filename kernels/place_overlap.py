"""Placement by overlap ratio on bit rows: one integer-only source for the CPU and for CUDA.

Objects are taken largest first. Each gets uniform proposals of an orientation and a corner, and the
first whose overlap with what is occupied is at most ``limit`` voxels is kept. A block of threads
places one volume: it is split into groups of ``lanes`` threads, each group counts the overlap of
one proposal, and the lowest accepted proposal wins, so the outcome is that of trying them in order.
The CPU is a block of one thread; ``place_overlap_cuda.py`` compiles the same functions for CUDA.

Occupancy is (D, words + 1, H) uint64 a volume: bit rows as in ``records.py``, with a spare word.
"""

from typing import Any

import numpy as np

from .bits import ONE, SIXTY_THREE, popcount, shifted_pair
from .jit import device, inlined, kernel
from .philox import bounded, random_words
from .records import PROPOSALS_MAX, RATIO_UNIT, Box, Placed, Slice
from .streams import Stream

_STREAM = int(Stream.PLACEMENT)

_DEPTH, _HEIGHT, _WIDTH = int(Box.DEPTH), int(Box.HEIGHT), int(Box.WIDTH)
_STEP, _VOXELS = int(Box.STEP), int(Box.VOXELS)
_FIRST, _STOP, _SLICE_VOXELS = int(Slice.FIRST), int(Slice.STOP), int(Slice.VOXELS)
_OBJECT, _VARIANT = int(Placed.OBJECT), int(Placed.VARIANT)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)


def build(
    jit: Any, jit_inlined: Any, count_bits: Any, synchronize: Any, add: Any, keep_least: Any
) -> Any:
    """Compile the placement of one volume for a target.

    Args:
        jit, jit_inlined: decorators of functions called from kernels; the second, in one place.
        count_bits: set bits of a uint64.
        synchronize: waits for all threads of the block.
        add, keep_least: ``(array, i, value)``, atomic in the block.
    """

    @jit_inlined
    def rank_by_volume(boxes, orientations, n, objects):
        """Place of object n by voxels, largest first; of equals, the later one first."""
        voxels, rank = boxes[n * orientations, _VOXELS], 0
        for other in range(objects):
            others = boxes[other * orientations, _VOXELS]
            if others > voxels or (others == voxels and other > n):
                rank += 1
        return rank

    @jit
    def propose(boxes, orientations, n, attempt, seed, index, depth, height, width):
        """Variant and corner (variant, z, y, x) of a proposal; its box is inside the volume."""
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, n * PROPOSALS_MAX + attempt)
        variant = n * orientations + bounded(w0, 0, orientations - 1)
        box = boxes[variant]
        return (
            variant,
            bounded(w1, 0, depth - box[_DEPTH]),
            bounded(w2, 0, height - box[_HEIGHT]),
            bounded(w3, 0, width - box[_WIDTH]),
        )

    @jit_inlined
    def overlap(box, slices, rows, occupied, z, y, x, lane, lanes, limit):
        """Voxels of a variant's slices lane, lane + lanes, ... that are occupied.

        One lane alone stops as soon as the comparison with ``limit`` is decided.
        """
        height = box[_HEIGHT]
        words, step, left = (box[_WIDTH] + 63) >> 6, box[_STEP], box[_VOXELS]
        first_word, shift = x >> 6, x & 63
        total = np.int64(0)
        for k in range(lane, box[_DEPTH], lanes):
            record = slices[k * step]
            for word in range(words):
                at = (k * step * words + word) * height
                near, far = (
                    occupied[z + k, first_word + word],
                    occupied[z + k, first_word + word + 1],
                )
                for row in range(record[_FIRST], record[_STOP]):
                    there = shifted_pair(near[y + row], far[y + row], shift)
                    total += count_bits(rows[at + row] & there)
            left -= record[_SLICE_VOXELS]
            if total > limit or (lanes == 1 and total + left <= limit):
                break
        return total

    @jit_inlined
    def occupy(box, slices, rows, occupied, z, y, x, thread, threads):
        """Mark a variant's voxels, slice by slice, as occupied."""
        height, words, step = box[_HEIGHT], (box[_WIDTH] + 63) >> 6, box[_STEP]
        first_word, shift = x >> 6, np.uint64(x & 63)
        for k in range(thread, box[_DEPTH], threads):
            record = slices[k * step]
            for word in range(words):
                at = (k * step * words + word) * height
                near, far = (
                    occupied[z + k, first_word + word],
                    occupied[z + k, first_word + word + 1],
                )
                for row in range(record[_FIRST], record[_STOP]):
                    near[y + row] |= rows[at + row] << shift
                    far[y + row] |= (rows[at + row] >> ONE) >> (SIXTY_THREE - shift)

    @jit_inlined
    def place_object(
        boxes, slices, rows, occupied, orientations, width, n, limit, tries, seed, index, placed,
        thread, threads, lanes, shared,
    ):  # fmt: skip
        depth, height = occupied.shape[0], occupied.shape[2]
        groups, group, lane = threads // lanes, thread // lanes, thread % lanes
        for start in range(0, tries, groups):
            if lane == 0:
                shared[1 + group] = 0
            if thread == 0:
                shared[0] = tries
            synchronize()
            attempt = start + group
            if attempt < tries:
                variant, z, y, x = propose(
                    boxes, orientations, n, attempt, seed, index, depth, height, width
                )
                found = overlap(
                    boxes[variant], slices[variant], rows[variant], occupied, z, y, x,
                    lane, lanes, limit,
                )  # fmt: skip
                add(shared, 1 + group, found)
            synchronize()
            if lane == 0 and attempt < tries and shared[1 + group] <= limit:
                keep_least(shared, 0, attempt)
            synchronize()
            if shared[0] < tries:
                break
        winner = shared[0]
        synchronize()
        if winner < tries:
            variant, z, y, x = propose(
                boxes, orientations, n, winner, seed, index, depth, height, width
            )
            occupy(
                boxes[variant], slices[variant], rows[variant], occupied, z, y, x, thread, threads
            )
            if thread == 0:
                placed[_VARIANT] = variant
                placed[_Z], placed[_Y], placed[_X] = z, y, x
                placed[_ACCEPTED], placed[_PROPOSALS] = 1, winner + 1
        elif thread == 0:
            placed[_VARIANT] = n * orientations
            placed[_Z], placed[_Y], placed[_X] = 0, 0, 0
            placed[_ACCEPTED], placed[_PROPOSALS] = 0, tries

    @jit_inlined
    def place_volume(
        boxes, slices, rows, occupied, orientations, width, ratio, tries, legacy, seed, index,
        placed, thread, threads, lanes, shared,
    ):  # fmt: skip
        objects = placed.shape[0]
        for n in range(thread, objects, threads):
            rank = rank_by_volume(boxes, orientations, n, objects)
            placed[rank, _OBJECT] = n
        for z in range(thread, occupied.shape[0], threads):
            for word in range(occupied.shape[1]):
                for y in range(occupied.shape[2]):
                    occupied[z, word, y] = 0
        synchronize()
        for rank in range(objects):
            n = placed[rank, _OBJECT]
            # The published script divides object k by the (k + 1)-th largest volume.
            divisor = placed[n, _OBJECT] if legacy else n
            limit = np.int64(boxes[divisor * orientations, _VOXELS]) * ratio // RATIO_UNIT
            place_object(
                boxes, slices, rows, occupied, orientations, width, n, limit, tries, seed, index,
                placed[rank], thread, threads, lanes, shared,
            )  # fmt: skip
            synchronize()

    return place_volume


@inlined
def _nothing():
    return None


@inlined
def _add(array, i, value):
    array[i] += value


@inlined
def _keep_least(array, i, value):
    array[i] = min(array[i], value)


_place_volume = build(device, inlined, popcount, _nothing, _add, _keep_least)


@kernel
def place_overlap(
    boxes, slices, rows, occupied, orientations, width, ratio, tries, legacy, seed, index, placed
):
    """Place the objects of a volume.

    Args:
        boxes: (N * K, Box.SIZE) int32.
        slices: (N * K, S, Slice.SIZE) int32.
        rows: (N * K, R) uint64 label rows.
        occupied: (D, words + 1, H) uint64, out: the union of what was placed.
        orientations: K.
        width: W of the volume.
        ratio: largest overlap ratio, millionths.
        tries: proposals an object.
        legacy: divide by the published script's denominator.
        seed: uint64.
        index: uint64, of the volume.
        placed: (N, Placed.SIZE) int32, out, in painting order.
    """
    _place_volume(
        boxes, slices, rows, occupied, orientations, width, ratio, tries, legacy, seed, index,
        placed, 0, 1, 1, np.zeros(2, np.int64),
    )  # fmt: skip

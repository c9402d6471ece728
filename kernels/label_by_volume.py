"""Inside masks into label maps, the smallest object on top. Twin of ``label_by_volume.cu``."""

import numpy as np

from .bits import smaller
from .float_lanes import (
    WIDTH,
    all_of,
    any_bit,
    both,
    either,
    floor_of,
    load,
    picked,
    pointer,
    splat,
    store_narrow,
)
from .jit import device, kernel
from .records import Placed
from .scene_records import SceneObject

_BLOCK = 16 * WIDTH  # voxels for which it is found out which objects there are
_NONE = np.int32(0)

_CENTRE = int(SceneObject.CENTRE)
_OBJECT, _VARIANT = int(Placed.OBJECT), int(Placed.VARIANT)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)


@device
def painting_order(counts, order):
    """Objects by their voxels, largest first; of equals, the later one first."""
    for n in range(counts.size):
        rank = n
        while rank > 0 and counts[order[rank - 1]] <= counts[n]:
            order[rank] = order[rank - 1]
            rank -= 1
        order[rank] = n


@device
def write_places(objects, counts, order, placed):
    """Rows of the placed objects, in painting order."""
    for rank in range(order.size):
        n = order[rank]
        place = placed[rank]
        place[_OBJECT], place[_VARIANT] = n, n
        place[_Z] = int(floor_of(objects[n, _CENTRE + 2]))
        place[_Y] = int(floor_of(objects[n, _CENTRE + 1]))
        place[_X] = int(floor_of(objects[n, _CENTRE]))
        place[_ACCEPTED], place[_PROPOSALS] = (1 if counts[n] > 0 else 0), 1


@device
def list_objects(words, voxels, order, first, stop, unions, listed):
    """List, in painting order, the objects that are inside somewhere in first .. stop - 1.

    Args:
        words: the masks, ``voxels`` of each word.
        voxels: of the volume.
        order: (N,) int64, objects in painting order.
        first: first voxel; stop: one behind the last, at least WIDTH later.
        stop: see ``first``.
        unions: (M,) int64, written: the objects of each word.
        listed: (N,) int64, written.

    Returns:
        How many.
    """
    for word in range(unions.size):
        found = splat(_NONE)
        for step in range(first, stop, WIDTH):
            found = either(load(words, word * voxels + smaller(step, stop - WIDTH)), found)
        unions[word] = all_of(found)
    count = 0
    for rank in range(order.size):
        n = order[rank]
        if (unions[n >> 5] >> (n & 31)) & 1:
            listed[count] = n
            count += 1
    return count


@device
def painted(words, voxels, at, listed, values, count):
    """Sixteen labels: the objects listed, each over those before it."""
    found = splat(_NONE)
    for i in range(count):
        n = listed[i]
        inside = any_bit(both(load(words, (n >> 5) * voxels + at), np.int32(1 << (n & 31))))
        found = picked(inside, values[i], found)
    return found


@kernel
def label_by_volume(objects, masks, counts, tasks, label, placed):
    """Label each voxel with what the object is that has the fewest voxels of those it is inside.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        masks: (M, D, H, W) uint32, bit n % 32 of word n // 32 where object n is inside.
        counts: (N,) int64, voxels inside each object.
        tasks: (T,) int64, the ``SceneObject`` column that each task tells.
        label: (T, D * H * W) unsigned, out: the column's value, and 1; 0 where no object is.
        placed: (N, Placed.SIZE) int32, out, in painting order: largest first; of equals, the later
            one first.
    """
    count, voxels = objects.shape[0], label.shape[1]
    order, listed = np.empty(count, np.int64), np.empty(count, np.int64)
    values, unions = np.empty(count, np.int32), np.empty(masks.shape[0], np.int64)
    words, target = pointer(masks, 0), pointer(label, 0)
    painting_order(counts, order)
    write_places(objects, counts, order, placed)
    for start in range(0, voxels, _BLOCK):
        stop = smaller(start + _BLOCK, voxels)
        first = smaller(start, stop - WIDTH)
        seen = list_objects(words, voxels, order, first, stop, unions, listed)
        for task in range(tasks.size):
            for i in range(seen):
                values[i] = np.int32(int(objects[listed[i], tasks[task]]) + 1)
            for step in range(first, stop, WIDTH):
                at = smaller(step, stop - WIDTH)
                found = painted(words, voxels, at, listed, values, seen)
                store_narrow(target, task * voxels + at, found)

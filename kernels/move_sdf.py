"""Objects of a scene to where they were placed. Twin of ``move_sdf.cu``."""

import numpy as np

from .jit import kernel
from .real import ZERO
from .records import Placed
from .scene import lay_matrix
from .scene_records import SceneObject

_CENTRE, _PARTS = int(SceneObject.CENTRE), int(SceneObject.PARTS)
_OBJECT, _ACCEPTED, _Z = int(Placed.OBJECT), int(Placed.ACCEPTED), int(Placed.Z)


@kernel
def move_sdf(placed, origins, objects):
    """Move the objects of a volume from the middle; those that were dropped lose their parts.

    Args:
        placed: (N, Placed.SIZE) int32.
        origins: (N, 3) int32, where each box began.
        objects: (N, SceneObject.SIZE) float32, in and out.
    """
    for rank in range(placed.shape[0]):
        n = np.int64(placed[rank, _OBJECT])
        item = objects[n]
        for axis in range(3):
            moved = placed[rank, _Z + axis] - origins[n, axis]
            item[_CENTRE + 2 - axis] = item[_CENTRE + 2 - axis] + np.float32(moved)
        if placed[rank, _ACCEPTED] == 0:
            item[_PARTS] = ZERO
        lay_matrix(item)

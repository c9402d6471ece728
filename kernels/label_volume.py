"""One label a task for a whole volume: what its first object is. Twin of ``label_volume.cu``."""

from .float_lanes import floor_of
from .jit import kernel
from .records import Placed
from .scene_records import SceneObject

_CENTRE = int(SceneObject.CENTRE)
_OBJECT, _VARIANT = int(Placed.OBJECT), int(Placed.VARIANT)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)


@kernel
def label_volume(objects, tasks, label, placed):
    """Tell what a volume's first object is, and where all are.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        tasks: (T,) int64, the ``SceneObject`` column that each task tells.
        label: (T,) unsigned, out: the column's value, from 0, as there is no background.
        placed: (N, Placed.SIZE) int32, out, in the order of objects.
    """
    for task in range(tasks.size):
        label[task] = int(objects[0, tasks[task]])
    for n in range(objects.shape[0]):
        placed[n, _OBJECT], placed[n, _VARIANT] = n, n
        placed[n, _Z] = int(floor_of(objects[n, _CENTRE + 2]))
        placed[n, _Y] = int(floor_of(objects[n, _CENTRE + 1]))
        placed[n, _X] = int(floor_of(objects[n, _CENTRE]))
        placed[n, _ACCEPTED], placed[n, _PROPOSALS] = 1, 1

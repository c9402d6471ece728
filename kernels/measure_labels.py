"""What each slice shows of each label value. Twin of ``measure_labels.cu``."""

import numpy as np

from .bits import larger, smaller
from .jit import inlined, kernel
from .prompt_records import LabelSlice

_VOXELS = int(LabelSlice.VOXELS)
_Y_LOW, _Y_HIGH = int(LabelSlice.Y_LOW), int(LabelSlice.Y_HIGH)
_X_LOW, _X_HIGH = int(LabelSlice.X_LOW), int(LabelSlice.X_HIGH)


@inlined
def _add_run(shown, y, first, last):
    """Add the voxels first .. last of row y."""
    if shown[_VOXELS] == 0:
        shown[_Y_LOW], shown[_X_LOW], shown[_X_HIGH] = y, first, last
    shown[_Y_HIGH] = y
    shown[_X_LOW] = smaller(np.int64(shown[_X_LOW]), first)
    shown[_X_HIGH] = larger(np.int64(shown[_X_HIGH]), last)
    shown[_VOXELS] += last - first + 1


@kernel
def measure_labels(label, table):
    """Count the voxels of each label value in each slice, and box them.

    Args:
        label: (D, H, W) unsigned, values 0 .. K.
        table: (K, D, LabelSlice.SIZE) int32, out.
    """
    depth, height, width = label.shape
    for z in range(depth):
        table[:, z, _VOXELS] = 0
        for y in range(height):
            row = label[z, y]
            x = np.int64(0)
            while x < width:
                value, first = row[x], x
                while x < width and row[x] == value:
                    x += 1
                if value != 0:
                    _add_run(table[value - 1, z], np.int64(y), first, x - 1)

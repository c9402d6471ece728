"""Columns of the tables of prompts, and their limits; CUDA gets both as ``#define``s.

A *prompt* tells which structure is meant: a box about it, and *clicks*, voxels in it and beside it.
Its *scope* is one slice z of the volume, or the whole volume. Voxels are z, y, x.
"""

from enum import IntEnum

PROMPT_CLICKS_MAX = 8  # of each kind
PROMPT_LABELS_MAX = 255  # label values beside the background
PROMPT_DRAWS = 32  # of a label: 3 for its scope and box, then one a click


class PromptScope(IntEnum):
    """Where a label's prompt is."""

    WHOLE = 0  # in the whole volume
    ANY = 1  # a slice of those that show the label, each as likely
    LARGEST = 2  # the slice with most of its voxels, the first of such
    FIRST = 3  # the first slice that shows it


class PromptSetting(IntEnum):
    """Settings of prompts, (SIZE,) int32."""

    SCOPE = 0  # PromptScope
    POSITIVE = 1  # clicks in the structure
    NEGATIVE = 2  # clicks beside it
    MARGIN = 3  # voxels around the structure's box in which they lie
    JITTER = 4  # most by which a side of the box is moved, 2^-16 of the box's length along it
    SIZE = 5


class PromptRow(IntEnum):
    """What is asked of one label value, (K, SIZE) int32, the values 1 .. K; -1 where there is none.

    A label that the volume does not show has VOXELS 0 and else -1.
    """

    VOXELS = 0  # of the label, in the whole volume
    SLICE = 1  # z of the slice that it is asked for in, -1 for the whole volume
    BOX = 2  # z0 y0 x0 z1 y1 x1, the last ones included
    POSITIVE = 8  # clicks, each z y x
    NEGATIVE = 32  # POSITIVE + 3 * PROMPT_CLICKS_MAX
    SIZE = 56


class LabelSlice(IntEnum):
    """What one slice shows of one label value, (K, D, SIZE) int32; of none, VOXELS alone is set."""

    VOXELS = 0
    Y_LOW = 1
    Y_HIGH = 2
    X_LOW = 3
    X_HIGH = 4
    SIZE = 5

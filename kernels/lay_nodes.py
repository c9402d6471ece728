"""Draws the nodes of random fields, standard normal numbers; twin of ``lay_nodes.cu``.

Nodes of a step's fields are consecutive normal numbers, those of each field in whole groups.
"""

import numpy as np

from .appearance_records import (
    NORMALS_GROUP,
    ChainPart,
    FieldRow,
    NoiseModel,
    Step,
    StepKind,
    StepSetting,
)
from .gaussian import fill_groups, first_draw
from .jit import device, kernel

_STEP, _OFFSET, _NUMBER = int(FieldRow.STEP), int(FieldRow.OFFSET), int(FieldRow.NUMBER)
_DEPTH, _HEIGHT, _WIDTH = int(FieldRow.DEPTH), int(FieldRow.HEIGHT), int(FieldRow.WIDTH)
_ACTIVE, _MODEL, _PART = int(Step.ACTIVE), int(Step.Q), int(ChainPart.NODES)
_KIND, _NOISE = int(StepSetting.KIND), np.float32(StepKind.NOISE)
_SPECKLE, _ZERO = np.float32(NoiseModel.SPECKLE), np.float32(0)


@device
def is_read(settings, drawn, step):
    """Whether a step reads its fields; of noises, only speckle does."""
    if drawn[step, _ACTIVE] == _ZERO:
        return False
    return settings[step, _KIND] != _NOISE or drawn[step, _MODEL] == _SPECKLE


@kernel
def lay_nodes(fields, settings, drawn, seed, index, channel, nodes):
    """Lay the nodes of all fields that are read.

    Args:
        fields: (F, FieldRow.SIZE) int32.
        settings: (S, StepSetting.SIZE) float32.
        drawn: (S, Step.SIZE) float32.
        seed: uint64.
        index: uint64, of the volume.
        channel: int64.
        nodes: (nodes + NORMALS_GROUP,) float32, out: of each field, up to a whole group.
    """
    for f in range(fields.shape[0]):
        step = int(fields[f, _STEP])
        if not is_read(settings, drawn, step):
            continue
        count = np.int64(fields[f, _DEPTH]) * fields[f, _HEIGHT] * fields[f, _WIDTH]
        fill_groups(
            seed, index, first_draw(channel, step, _PART), fields[f, _NUMBER] // NORMALS_GROUP,
            (count + NORMALS_GROUP - 1) // NORMALS_GROUP, nodes, np.int64(fields[f, _OFFSET]),
        )  # fmt: skip

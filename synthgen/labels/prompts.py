"""Prompts: a box and clicks for each structure that a volume shows, as promptable models take them.

They are drawn from the label map, and come beside it: one row of
``synthgen.kernels.prompt_records.PromptRow`` for each label value.

References:
    Sengupta et al., "SynthFM", arXiv 2504.08177: clicks and boxes. Chakrabarty et al.,
    "SynthFM-3D", arXiv 2601.12297: a prompt on one slice of a volume. The rules for drawing them
    are our own.
"""

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from synthgen.backend.plan import PromptTables
from synthgen.kernels.prompt_records import (
    PROMPT_CLICKS_MAX,
    PROMPT_LABELS_MAX,
    PromptRow,
    PromptScope,
    PromptSetting,
)
from synthgen.settings import Int, Settings, scale_length

_JITTER_ONE = 65536
_MARGIN_HIGH = 64


class Prompts(Settings):
    """Settings of prompts.

    Attributes:
        positive: clicks in the structure, each any of its voxels.
        negative: clicks on voxels of other structures or of the background, each any of those
            within ``margin`` of the structure's box.
        margin: voxels.
        box_jitter: most by which a side of the box is moved, in parts of the box's length, cut to
            whole voxels; the box still holds a voxel of the structure.
        slice: clicks and box are on one slice: ``any`` that shows the structure, its ``largest``,
            or the ``first``; or in the ``whole`` volume.
    """

    positive: Annotated[Int, Field(ge=0, le=PROMPT_CLICKS_MAX)] = 1
    negative: Annotated[Int, Field(ge=0, le=PROMPT_CLICKS_MAX)] = 1
    margin: Annotated[Int, Field(ge=0, le=_MARGIN_HIGH)] = 5
    box_jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    slice: Literal["any", "largest", "first", "whole"] = "any"

    def scaled(self, factor: Fraction) -> Self:
        margin = max(1, min(scale_length(self.margin, factor), _MARGIN_HIGH))
        return self.model_copy(update={"margin": margin if self.margin else 0})

    def check_values(self, values: int) -> None:
        """Raise ValueError unless each of ``values`` label values can have a row."""
        if values - 1 > PROMPT_LABELS_MAX:
            raise ValueError(
                f"prompts: need {PROMPT_LABELS_MAX} classes or fewer, got {values - 1}"
            )

    def tables(self, values: int) -> PromptTables:
        """What the kernels read.

        Args:
            values: label values, background included.
        """
        row = np.zeros(PromptSetting.SIZE, np.int32)
        row[PromptSetting.SCOPE] = PromptScope[self.slice.upper()]
        row[PromptSetting.POSITIVE], row[PromptSetting.NEGATIVE] = self.positive, self.negative
        row[PromptSetting.MARGIN] = self.margin
        row[PromptSetting.JITTER] = round(self.box_jitter * _JITTER_ONE)
        return PromptTables(shape=(values - 1, int(PromptRow.SIZE)), settings=row)

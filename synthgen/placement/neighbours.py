"""Structures uniform over the plane, and satellites laid against them: boundaries hard to see.

References:
    Sengupta et al., "SynthFM", arXiv 2504.08177: structures close to adjacent ones. Formulas are
    not given there; those here are our own choice.
"""

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from synthgen.backend.plan import NeighboursTables
from synthgen.kernels.mask_records import SATELLITES_MAX, MaskSetting
from synthgen.settings import FloatRange, IntRange, Settings
from synthgen.shapes.masks import Share, check_range

_WIDEST_GAP = 64.0  # voxels


class Neighbours(Settings):
    """Settings of the placement.

    Attributes:
        margin: no structure's centre at its widest section lies within this of the plane's border,
            in parts of each side; satellites' may.
        probability: that a structure has satellites.
        satellites: how many, of those that have.
        size: radius of a satellite, of its structure's; none is below the least of all radii.
        gap: between the contours of the two, on the line through their centres, voxels; the same in
            every slice. Below 0 they touch: the structure keeps its voxels.
        nested: probability that the first satellite lies in the structure's lumen, the gap within
            it, and never beyond the structure's contour; such a structure is a ring.
    """

    kind: Literal["neighbours"] = "neighbours"
    margin: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    probability: Share = 0.6
    satellites: IntRange = (1, 3)
    size: FloatRange = (0.3, 1.0)
    gap: FloatRange = (-2.0, 4.0)
    nested: Share = 0.2

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_range("satellites", self.satellites, 1, SATELLITES_MAX)
        check_range("size", self.size, 0.05, 4)
        check_range("gap", self.gap, -_WIDEST_GAP, _WIDEST_GAP)
        return self

    def scaled(self, factor: Fraction) -> Self:
        low, high = (max(-_WIDEST_GAP, min(float(gap * factor), _WIDEST_GAP)) for gap in self.gap)
        return self.model_copy(update={"gap": (low, high)})

    def tables(self, shapes: Settings) -> NeighboursTables:
        """What the kernels read, whatever the shapes."""
        row = np.zeros(MaskSetting.SIZE, np.float32)
        row[MaskSetting.NEAR], row[MaskSetting.NESTED] = self.probability, self.nested
        row[[MaskSetting.SATELLITES_LOW, MaskSetting.SATELLITES_HIGH]] = self.satellites
        row[[MaskSetting.SIZE_LOW, MaskSetting.SIZE_HIGH]] = self.size
        row[[MaskSetting.GAP_LOW, MaskSetting.GAP_HIGH]] = self.gap
        return NeighboursTables(row, self.margin)

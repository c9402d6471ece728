"""Placement by overlap ratio: largest first, uniform proposals, dropped after too many refusals."""

from typing import Annotated, Literal

from pydantic import Field

from synthgen.backend.plan import OverlapTables
from synthgen.kernels.records import PROPOSALS_MAX, RATIO_UNIT
from synthgen.settings import Int, Settings


class Overlap(Settings):
    """Settings of the placement.

    Attributes:
        ratio: a proposal is accepted if |object AND occupied| / denominator <= ratio.
        tries: proposals before an object is dropped.
        denominator: ``own`` divides by the object's own voxels, as the paper says; ``legacy`` by
            the (k+1)-th largest volume for the k-th sampled object, as the published script does.
    """

    kind: Literal["overlap"] = "overlap"
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.7
    tries: Annotated[Int, Field(ge=1, le=PROPOSALS_MAX)] = 101
    denominator: Literal["own", "legacy"] = "own"

    def tables(self, shapes: Settings) -> OverlapTables:
        """What the kernels read, whatever the shapes."""
        return OverlapTables(
            ratio=round(self.ratio * RATIO_UNIT),
            tries=self.tries,
            legacy=self.denominator == "legacy",
        )

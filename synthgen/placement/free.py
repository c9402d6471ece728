"""Placement without a rule: centres are uniform about the volume's middle, objects may overlap."""

from typing import Annotated, Literal

from pydantic import Field

from synthgen.backend.plan import FreeTables
from synthgen.settings import Settings


class Free(Settings):
    """Settings of the placement.

    Attributes:
        spread: a centre lies at most this far from the middle, in parts of each side; 0 puts every
            object into the middle. Parts of objects may hang out of the volume.
    """

    kind: Literal["free"] = "free"
    spread: Annotated[float, Field(ge=0, le=1)] = 0.35

    def tables(self, shapes: Settings) -> FreeTables:
        """What the kernels read, whatever the shapes."""
        return FreeTables(self.spread)

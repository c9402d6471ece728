"""A solid that objects are made of: kind, and a range for each parameter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synthgen.kernels.scene_records import SdfClassRow, SdfDraw, SdfParameter, SdfUnit
from synthgen.kernels.sdf_records import SdfLift, SdfProfile, SdfTaper

LENGTH_LOW, LENGTH_HIGH = 0.001, 2.0  # in parts of the volume's smallest side

Unit = Literal["side", "width", "height", "offset", "radius", "minimum", "one"]


@dataclass(frozen=True)
class Draw:
    """Uniform in low .. high, times a unit.

    Units are the volume's smallest side or its width in voxels, another parameter of the object,
    the size of the least distance to its profile (``minimum``), or nothing (``one``).
    """

    low: float
    high: float
    unit: Unit = "side"


@dataclass(frozen=True)
class SdfPart:
    """A solid; fields as of ``SdfClass``.

    Attributes:
        draws: by the name of an ``SdfParameter`` in lower case. Units that are parameters must be
            given in parts of the volume themselves.
        variety: grids to choose from, of a grid, from number ``count`` on.
    """

    name: str
    lift: SdfLift
    profile: SdfProfile
    count: int
    taper: SdfTaper
    onion: bool
    draws: Mapping[str, Draw]
    variety: int = 1

    @property
    def row(self) -> NDArray[np.float32]:
        """What the kernels read, see SdfClassRow."""
        row = np.zeros(SdfClassRow.SIZE, np.float32)
        row[SdfClassRow.LIFT] = self.lift
        row[SdfClassRow.PROFILE] = self.profile
        row[SdfClassRow.COUNT] = self.count
        row[SdfClassRow.TAPER] = self.taper
        row[SdfClassRow.ONION] = self.onion
        row[SdfClassRow.VARIETY] = self.variety
        for name, draw in self.draws.items():
            at = SdfClassRow.DRAW + SdfDraw.SIZE * SdfParameter[name.upper()]
            unit = SdfUnit.ONE if draw.unit == "minimum" else SdfUnit[draw.unit.upper()]
            row[at : at + SdfDraw.SIZE] = draw.low, draw.high, unit
        return row

    @property
    def why_a_bound(self) -> str | None:
        """Why its field would only be a bound of the distance, or None if it is exact."""
        if self.lift is SdfLift.GRID:
            return f"between lattice points, of the mesh {self.name}"
        if self.lift is SdfLift.OCTAHEDRON:
            return f"beyond the faces, of {self.name}"
        if self.taper is not SdfTaper.CONST:
            return f"within the slice, of {self.name}"
        if self.onion:
            return f"within the wall, of {self.name}"
        if self.lift is SdfLift.REVOLVE and self._may_meet_axis:
            return f"at the axis, of {self.name}"
        return None

    @property
    def _may_meet_axis(self) -> bool:
        """Whether a revolved profile may reach as far in as its axis."""
        offset = self.draws["offset"]
        for name in ("radius", "corner_a", "corner_b"):
            draw = self.draws.get(name)
            if draw is not None:
                least = 1.0 if draw.unit == "offset" else offset.low
                if offset.unit != draw.unit != "offset" or draw.high > least:
                    return True
        return False

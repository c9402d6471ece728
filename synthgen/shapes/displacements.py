"""The displacements of FDIF as rows of a table: family, amplitude and frequency.

Names and numbers are those of the public code of "FDIF" (Yamamoto et al., arXiv 2603.23199).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.kernels.mapper_records import DisplacementFamily, DisplacementRow
from synthgen.named import named

# Minus the least value of a family at an amplitude of 1, and a little more for its rounding.
_DEPTH = {
    DisplacementFamily.NONE: 0.0,
    DisplacementFamily.WAVES: 2.001,
    DisplacementFamily.TURBULENCE: 3.001,
    DisplacementFamily.RIDGE: 0.0,
    DisplacementFamily.SHARPMAX: 0.0,
    DisplacementFamily.TWIST: 0.0,
    DisplacementFamily.SAWTOOTH: 3.001 / math.pi,
}


@dataclass(frozen=True)
class Displacement:
    """What is added to a signed distance.

    Attributes:
        name: as published.
        family: what the numbers belong to.
        amplitude: in parts of the largest x, half a volume's width less one voxel.
        frequency: radians from the middle of an axis to its last voxel. Phases are most exact when
            it is a whole number.
        published: among the nine that the published data set draws from, beside ``none``.
    """

    name: str
    family: DisplacementFamily
    amplitude: float = 0.0
    frequency: float = 0.0
    published: bool = True

    @property
    def row(self) -> NDArray[np.float32]:
        """What the kernels read, see DisplacementRow."""
        row = np.zeros(DisplacementRow.SIZE, np.float32)
        row[DisplacementRow.FAMILY] = self.family
        row[DisplacementRow.AMPLITUDE] = self.amplitude
        row[DisplacementRow.FREQUENCY] = self.frequency
        return row

    def reach(self, width: int) -> float:
        """By how many voxels it may lower a distance in a volume ``width`` voxels wide."""
        return _DEPTH[self.family] * self.amplitude * max(width / 2 - 1, 0.0)


DISPLACEMENTS: tuple[Displacement, ...] = (
    Displacement("none", DisplacementFamily.NONE, published=False),
    Displacement("perlin_more_fine", DisplacementFamily.WAVES, 0.03, 50),
    Displacement("perlin_fine", DisplacementFamily.WAVES, 0.01, 30),
    Displacement("turbulence", DisplacementFamily.TURBULENCE, 0.05, 30),
    Displacement("ridge", DisplacementFamily.RIDGE, 0.03, 30),
    Displacement("ridge_coarse", DisplacementFamily.RIDGE, 0.05, 10),
    Displacement("sharpmax", DisplacementFamily.SHARPMAX, 0.05, 20),
    Displacement("sharpmax_fine", DisplacementFamily.SHARPMAX, 0.03, 40),
    Displacement("twisted_x", DisplacementFamily.TWIST, 0.04, 20),
    Displacement("sawtooth", DisplacementFamily.SAWTOOTH, 0.03, 15),
    Displacement("sawtooth_fine", DisplacementFamily.SAWTOOTH, 0.02, 30, published=False),
)
_BY_NAME = {found.name: found for found in DISPLACEMENTS}


def displacement_named(name: str) -> Displacement:
    """The displacement of a published name.

    Raises:
        ValueError: there is none; the message lists the nearest names.
    """
    return named(_BY_NAME, name, "displacement")

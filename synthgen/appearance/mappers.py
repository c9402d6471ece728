"""The intensity mappers of FDIF as rows of a table: family and parameters.

Names and numbers are those of the public code of "FDIF" (Yamamoto et al., arXiv 2603.23199).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.kernels.mapper_records import MapperFamily, MapperRow
from synthgen.named import named

INVERSE_CUBE_REACH = 20.0  # voxels; the public code's never ends, and is 0.016 grey levels there
FLOOR_STEP = 10.0  # grey levels
PEAK = 128.0


@dataclass(frozen=True)
class Mapper:
    """How a grey level, 0 .. 128, follows from a signed distance in voxels.

    Attributes:
        name: as published.
        family: what the numbers belong to.
        number: base of an exponential, grey levels a voxel of a linear, voxels a step of a floor
            or modular, voxels a period of a sinusoidal; an inverse cube has none.
        steps: of a modular, from 128 to 0; at least 2.
        published: among the ten that the published data set draws from.
    """

    name: str
    family: MapperFamily
    number: float = 0.0
    steps: int = 0
    published: bool = True

    @property
    def reach(self) -> float:
        """How far outside the surface it is not 0, in voxels."""
        return INVERSE_CUBE_REACH if self.family is MapperFamily.INVERSE_CUBE else 0.0

    @property
    def row(self) -> NDArray[np.float32]:
        """What the kernels read, see MapperRow."""
        row = np.zeros(MapperRow.SIZE, np.float32)
        row[MapperRow.FAMILY] = self.family
        row[MapperRow.REACH] = self.reach
        row[MapperRow.RATE] = self._rate
        if self.family is MapperFamily.FLOOR:
            row[MapperRow.STEP] = FLOOR_STEP
        elif self.family is MapperFamily.MODULAR:
            row[MapperRow.STEP] = PEAK / (self.steps - 1)
            row[MapperRow.PERIOD] = self.steps
            row[MapperRow.PER_PERIOD] = 1 / self.steps
        elif self.family is MapperFamily.SINUSOIDAL:
            row[MapperRow.PERIOD] = self.number
        return row

    @property
    def _rate(self) -> float:
        if self.family is MapperFamily.INVERSE_CUBE:
            return 0.0
        if self.family is MapperFamily.EXPONENTIAL:
            return math.log2(self.number)  # no value is near a rounding tie of float32
        if self.family is MapperFamily.LINEAR:
            return self.number
        return 1 / self.number


MAPPERS: tuple[Mapper, ...] = (
    Mapper("inverse_cube", MapperFamily.INVERSE_CUBE),
    Mapper("exponential_base_1.5", MapperFamily.EXPONENTIAL, 1.5),
    Mapper("exponential_base_2.0", MapperFamily.EXPONENTIAL, 2.0),
    Mapper("linear_slope_10.0", MapperFamily.LINEAR, 10.0),
    Mapper("linear_slope_20.0", MapperFamily.LINEAR, 20.0, published=False),
    Mapper("floor_width_0.5", MapperFamily.FLOOR, 0.5),
    Mapper("floor_width_1.0", MapperFamily.FLOOR, 1.0),
    Mapper("modular_5", MapperFamily.MODULAR, 1.0, 5),
    Mapper("modular_10", MapperFamily.MODULAR, 0.5, 10),
    Mapper("sinusoidal_wavelength_1.0", MapperFamily.SINUSOIDAL, 1.0),
    Mapper("sinusoidal_wavelength_3.0", MapperFamily.SINUSOIDAL, 3.0),
)
_BY_NAME = {found.name: found for found in MAPPERS}


def mapper_named(name: str) -> Mapper:
    """The mapper of a published name.

    Raises:
        ValueError: there is none; the message lists the nearest names.
    """
    return named(_BY_NAME, name, "mapper")

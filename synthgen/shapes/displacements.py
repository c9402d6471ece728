"""The displacements of FDIF as rows of a table: family, amplitude and frequency.

Names and numbers are those of the public code of "FDIF" (Yamamoto et al., arXiv 2603.23199), which
has no gradient noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.kernels.mapper_records import (
    DisplacementFamily,
    DisplacementRow,
    DisplacementTable,
    NoiseRow,
    VolumeAxis,
)
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
    DisplacementFamily.NOISE: 1.001,
}
_NOISE_PEAK = 1.0364  # of one octave of amplitude 1, whatever its gradients
_TURNS_COLUMNS = [DisplacementRow.TURNS_X, DisplacementRow.TURNS_Y, DisplacementRow.TURNS_Z]
_NOISE_COLUMNS = [  # in the order of NoiseRow
    DisplacementRow.AMPLITUDE,
    DisplacementRow.CELLS,
    DisplacementRow.OCTAVES,
]
_LANES = 16  # that the CPU reads of a table at once


def noise_row(largest: float, cell: float, octaves: int) -> NDArray[np.float32]:
    """What the kernels read of a gradient noise, see NoiseRow.

    Args:
        largest: that its magnitude can be.
        cell: side of a cell of the first octave, in lengths of the volume's frame.
        octaves: 1 or more.
    """
    row = np.zeros(NoiseRow.SIZE, np.float32)
    row[NoiseRow.AMPLITUDE] = largest / (_NOISE_PEAK * (2 - 2.0 ** (1 - octaves)))
    row[NoiseRow.CELLS] = 1 / cell
    row[NoiseRow.OCTAVES] = octaves
    return row


def _largest(length: int, grid_scale: float) -> float:
    """Coordinate of an axis' last voxel in lengths of the volume's frame, kept off 0.

    Args:
        length: of the axis, in voxels.
        grid_scale: lengths of the volume's frame a voxel.
    """
    return max(length / 2 - 1, 0.5) * grid_scale


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
        cell: side of a cell of a noise's first octave, in parts of the largest x.
        octaves: of a noise, whose largest value ``amplitude`` then is.
    """

    name: str
    family: DisplacementFamily
    amplitude: float = 0.0
    frequency: float = 0.0
    published: bool = True
    cell: float = 0.0
    octaves: int = 0

    def row(self, shape: tuple[int, int, int], grid_scale: float = 1.0) -> NDArray[np.float32]:
        """What the kernels read, see DisplacementRow.

        Args:
            shape: of the volume, depth, height and width.
            grid_scale: lengths of the volume's frame a voxel.
        """
        row = np.zeros(DisplacementRow.SIZE, np.float32)
        row[DisplacementRow.FAMILY] = self.family
        largest = [_largest(length, grid_scale) for length in reversed(shape)]
        if self.family is DisplacementFamily.NOISE:
            noise = noise_row(self.amplitude * largest[0], self.cell * largest[0], self.octaves)
            row[_NOISE_COLUMNS] = noise
        else:
            row[DisplacementRow.AMPLITUDE] = self.amplitude * largest[0]
            row[DisplacementRow.FREQUENCY] = self.frequency
            row[_TURNS_COLUMNS] = [self.frequency / (self._period * length) for length in largest]
        return row

    def reach(self, shape: tuple[int, int, int], grid_scale: float = 1.0) -> float:
        """By how much it may lower a distance, in lengths of the volume's frame."""
        return _DEPTH[self.family] * self.amplitude * _largest(shape[2], grid_scale)

    @property
    def _period(self) -> float:
        """Of a single wave, in radians."""
        return 1.0 if self.family is DisplacementFamily.SAWTOOTH else 2 * math.pi


def axis_tables(
    displacements: Sequence[Displacement], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Tables of displacements in the volume's frame.

    Args:
        displacements: J of them.
        shape: of the volume, depth, height and width.

    Returns:
        (J, VolumeAxis, DisplacementTable, stride); ``stride`` is a whole number of lanes, and at
        least one more than the longest axis needs, as the CPU reads lanes beyond a row's end.
    """
    # Here, as it needs a compiler and a recipe does not.
    from synthgen.kernels.displacement_tables import fill_tables

    rows = np.stack([which.row(shape) for which in displacements])
    tables = zero_tables(len(rows), shape)
    fill_tables(rows, shape, tables)
    return tables


def zero_tables(count: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Tables like those of ``axis_tables``, of nothing."""
    stride = (-(-max(shape) // _LANES) + 1) * _LANES
    return np.zeros((count, len(VolumeAxis), DisplacementTable.SIZE, stride), np.float32)


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
    Displacement(
        "gradient_noise_fine", DisplacementFamily.NOISE, 0.05, published=False, cell=0.1, octaves=2
    ),
    Displacement(
        "gradient_noise_coarse",
        DisplacementFamily.NOISE,
        0.1,
        published=False,
        cell=0.25,
        octaves=3,
    ),
)
_BY_NAME = {found.name: found for found in DISPLACEMENTS}


def displacement_named(name: str) -> Displacement:
    """The displacement of a published name.

    Raises:
        ValueError: there is none; the message lists the nearest names.
    """
    return named(_BY_NAME, name, "displacement")

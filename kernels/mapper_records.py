"""Columns of the parameter rows of mappers and displacements; CUDA gets them as ``#define``s.

Rows are float32. Small whole numbers (families, counts) are stored as floats, exactly.
"""

from enum import IntEnum


class MapperFamily(IntEnum):
    """How a grey level follows from a signed distance."""

    INVERSE_CUBE = 0
    EXPONENTIAL = 1
    LINEAR = 2
    FLOOR = 3
    MODULAR = 4
    SINUSOIDAL = 5


class MapperRow(IntEnum):
    """Parameter row of a mapper, (SIZE,) float32; a family leaves the others' columns at 0."""

    FAMILY = 0  # MapperFamily
    REACH = 1  # voxels: 0 beyond this distance
    RATE = 2  # per voxel: powers of two, grey levels, steps or periods
    STEP = 3  # grey levels, of a floor or modular
    PERIOD = 4  # steps of a modular, voxels of a sinusoidal
    PER_PERIOD = 5  # 1 / PERIOD, of a modular
    SIZE = 6


class DisplacementFamily(IntEnum):
    """What is added to a signed distance."""

    NONE = 0
    WAVES = 1
    TURBULENCE = 2
    RIDGE = 3
    SHARPMAX = 4
    TWIST = 5
    SAWTOOTH = 6


class DisplacementRow(IntEnum):
    """Parameter row of a displacement, (SIZE,) float32."""

    FAMILY = 0  # DisplacementFamily
    AMPLITUDE = 1  # in parts of the largest x
    FREQUENCY = 2  # radians from the middle of an axis to its last voxel
    SIZE = 3


class DisplacementTable(IntEnum):
    """Columns of one axis' table, (SIZE, stride) float32."""

    FIRST = 0
    SECOND = 1  # only of a turbulence, else 0
    SIZE = 2


class VolumeAxis(IntEnum):
    """Axis of a volume."""

    Z = 0
    Y = 1
    X = 2

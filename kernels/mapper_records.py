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
    NOISE = 7  # gradient noise, always in the object's frame


class DisplacementRow(IntEnum):
    """Parameter row of a displacement in volumes of one shape, (SIZE,) float32.

    Lengths are those of the volume's frame. TURNS and FREQUENCY are of the families of waves, CELLS
    and OCTAVES of a noise.
    """

    FAMILY = 0  # DisplacementFamily
    AMPLITUDE = 1  # a length; of a noise's first octave
    FREQUENCY = 2  # radians from the middle of an axis to its last voxel
    TURNS_X = 3  # periods a length along the object's axes
    TURNS_Y = 4
    TURNS_Z = 5
    CELLS = 6  # of the first octave, a length
    OCTAVES = 7
    SIZE = 8


class NoiseRow(IntEnum):
    """Parameter row of a gradient noise, (SIZE,) float32."""

    AMPLITUDE = 0  # of the first octave
    CELLS = 1  # of the first octave, a length of the volume's frame
    OCTAVES = 2
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

"""Columns of the tables of appearance chains, and their limits; CUDA gets both as ``#define``s.

A *chain* is a list of S steps that make one channel of an image from a label map. A step's random
parameters are drawn for each volume and channel; its *tones* are what it draws for each of the L
label values. A *program* is a list of operations that ``shade`` applies to each voxel. A *field* is
a smooth random function, interpolated between standard normal *nodes* on a lattice.
"""

from enum import IntEnum

STEPS_MAX = 16  # of a chain
CHANNELS_MAX = 8
OCTAVES_MAX = 6  # of a texture
FIELD_TAPS = 4  # nodes along an axis that a voxel depends on
WAVES_MAX = 256  # of a chain
FILTER_SD_MAX = 32  # voxels
DISTANCE_MAX = 7  # voxels; squared distances to a boundary end at its square
NORMALS_GROUP = 128  # consecutive normal numbers that come from 16 consecutive draws
PART_BITS = 36  # of the draws of one part of one step


class StepKind(IntEnum):
    """What a step does; BLUR and RESOLUTION are filters, all others are shaded."""

    INTENSITY = 0
    OUTLINE = 1
    TEXTURE = 2
    WAVES = 3
    BIAS = 4
    GAMMA = 5
    NOISE = 6
    CLIP = 7
    NORMALIZE = 8
    BLUR = 9
    RESOLUTION = 10


class StepSetting(IntEnum):
    """Settings of one step, (SIZE,) float32, the same for every volume; ranges are uniform.

    ========== ============= ============ ================= ============== =================
    kind       A             B            C                 D              E
    ========== ============= ============ ================= ============== =================
    INTENSITY  mean          sd           to the one before background's   background's sd
                                                            mean
                             F: dark background's mean      G: its sd
    OUTLINE    value         width
    TEXTURE    amplitude     buffer width ramp
    WAVES      amplitude     buffer width ramp
    BIAS       sd
    GAMMA      sd of the log
    NOISE      sd
    CLIP       bounds
    BLUR       sd, y and x   sd, z
    RESOLUTION mm, all axes  mm, one axis
    ========== ============= ============ ================= ============== =================
    """

    KIND = 0  # StepKind
    PROBABILITY = 1  # of the step being taken; RESOLUTION: of not being of native resolution
    A_LOW = 2
    A_HIGH = 3
    B_LOW = 4
    B_HIGH = 5
    C_LOW = 6
    C_HIGH = 7
    D_LOW = 8
    D_HIGH = 9
    E_LOW = 10
    E_HIGH = 11
    # INTENSITY: probability that a label's mean goes by that of the label before it; RESOLUTION:
    # of all axes alike; TEXTURE and WAVES: 1 where amplitudes are in parts of a label's mean.
    SHARE = 12
    # INTENSITY: least difference of a label's mean from the background's; NOISE: the bits of the
    # models that are drawn from; TEXTURE and WAVES: how many fields or waves.
    COUNT = 13
    FIRST = 14  # number of its first field or wave
    TONE = 15  # which of the tables of tones is its own, -1 for none
    F_LOW = 16
    F_HIGH = 17
    G_LOW = 18
    G_HIGH = 19
    DARK = 20  # INTENSITY: probability of a dark background
    BLACK = 21  # INTENSITY: and of one that is black
    SIZE = 22


class Step(IntEnum):
    """What was drawn for one step of a volume's channel, (SIZE,) float32.

    OUTLINE: value, squared half width; TEXTURE and WAVES: buffer width, 1 / ramp (0: no buffer);
    BIAS: sd; GAMMA: exponent; NOISE: sd, NoiseModel; CLIP: low, high.
    """

    ACTIVE = 0  # 1, or 0: the step is passed over
    P = 1
    Q = 2
    SIZE = 3


class Tone(IntEnum):
    """What was drawn for one label value by one step, (SIZE,) float32.

    INTENSITY: MEAN, SD. TEXTURE: from AMPLITUDE on, of each octave. WAVES: AMPLITUDE.
    """

    MEAN = 0
    SD = 1
    AMPLITUDE = 0
    SIZE = 8


class NoiseModel(IntEnum):
    """How a noise changes a voxel; bit ``model`` of COUNT stands for it."""

    GAUSSIAN = 0
    RICIAN = 1
    SPECKLE = 2


class ChainPart(IntEnum):
    """What a draw of the stream CHAIN is for, within its channel and step."""

    PARAMETERS = 0
    TONES = 1
    VOXELS = 2
    VOXELS_MORE = 3
    NODES = 4
    WAVES = 5
    FILTER = 6
    SIZE = 8


class ShadeOp(IntEnum):
    """An operation on a voxel's value; a program is (P, 2) int32 of it and of the step's number.

    GREY takes the value from an image of bytes, LOAD from the canvas; STORE and CAST write it to
    the canvas and to the image. EXTREMES takes down the least and the largest value.
    """

    GREY = 0
    LOAD = 1
    STORE = 2
    CAST = 3
    EXTREMES = 4
    INTENSITY = 5
    OUTLINE = 6
    TEXTURE = 7
    WAVES = 8
    BIAS = 9
    GAMMA = 10
    NOISE = 11
    CLIP = 12
    NORMALIZE = 13


class FilterSteps(IntEnum):
    """One filter of a chain, (SIZE,) int32, the same for every volume."""

    STEP = 0
    WEIGHTS = 1  # where its weights begin, along z, y, x
    SIZE = 4


class FilterLine(IntEnum):
    """What was drawn for a filter along one axis, (SIZE,) float32.

    Without samples, a line of voxels is smoothed by weights 0 .. RADIUS, of a voxel and of those to
    either side of it. With them, sample j lies at ``FIRST + SPACING * j``; its weights are those of
    2 * RADIUS + 2 voxels, from RADIUS before the one below it on, and between samples the line is
    interpolated. Weight t of sample j is the element ``t * stride + j``, the stride being SAMPLES
    rounded up to a multiple of 16.
    """

    RADIUS = 0  # 0: the line stays as it is
    SAMPLES = 1  # 0: it keeps its voxels
    FIRST = 2  # voxels
    SPACING = 3  # voxels
    RATE = 4  # 1 / SPACING
    SIZE = 5


class FieldRow(IntEnum):
    """One field, (SIZE,) int32, the same for every volume."""

    STEP = 0  # the step that it belongs to
    OFFSET = 1  # its first node, of all fields'
    NUMBER = 2  # its first node, of its step's
    DEPTH = 3  # nodes along z, y, x
    HEIGHT = 4
    WIDTH = 5
    TABLE = 6  # first row of its axes' tables: D rows of z, then H of y, then W of x
    TAPS = 7  # nodes along an axis that matter: FIELD_TAPS, or 2 of a linear field
    SIZE = 8


class Band(IntEnum):
    """An archetype's part of a step's waves, (SIZE,) float32, the same for every volume.

    Its power spectrum is f^SLOPE exp(-(SHARPNESS (f / f0 - CENTRE))^2) for the frequency f.
    """

    STEP = 0  # the step that it belongs to; those of one step follow one another
    FIRST = 1  # its first wave, of all steps'
    COUNT = 2  # of its waves
    SLOPE_LOW = 3  # bounds of SLOPE
    SLOPE_HIGH = 4
    CYCLES_LOW = 5  # bounds of f0, cycles a voxel
    CYCLES_HIGH = 6
    OCTAVES_LOW = 7  # bounds of log2(f / f0)
    OCTAVES_HIGH = 8
    CENTRE = 9
    SHARPNESS = 10
    SPREAD = 11  # directions: 1 less the cosine to a drawn axis is at most this; 2: all directions
    SIZE = 12

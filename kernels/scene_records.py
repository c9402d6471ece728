"""Columns of the tables of a scene of signed distance functions; CUDA gets them as ``#define``s.

Tables hold B volumes of N objects. They are float32; small whole numbers (kinds, counts, indices)
are stored as floats, exactly. Components come as x, y, z; a voxel's place is its index along each
axis. An object is one part (an ``SdfRow``), or two that are blended.
"""

from enum import IntEnum

SDF_DRAWS = 32  # draws of the SDF stream reserved for an object
PARTS_MAX = 2  # of an object
PLANES_MAX = 20  # of an object's bound


class SdfParameter(IntEnum):
    """What is drawn for a part; voxels where it has a length."""

    RADIUS = 0
    OFFSET = 1
    CORNER_A = 2
    CORNER_B = 3
    HEIGHT = 4  # full height
    BLUNTNESS = 5
    SCALE = 6
    KNOT = 7
    WALL = 8  # of an onion, in parts of its profile's depth
    SIZE = 9


class SdfUnit(IntEnum):
    """What a drawn number is multiplied by: a length of the volume, or another parameter."""

    ONE = 0
    SIDE = 1  # the volume's smallest side
    WIDTH = 2
    RADIUS = 3
    OFFSET = 4
    HEIGHT = 5


class SdfDraw(IntEnum):
    """Range of one parameter."""

    LOW = 0
    HIGH = 1
    UNIT = 2  # SdfUnit
    SIZE = 3


class SdfClassRow(IntEnum):
    """One class of parts, (SIZE,) float32."""

    LIFT = 0  # SdfLift
    PROFILE = 1  # SdfProfile
    COUNT = 2  # tips, corners, or the number of a first grid
    TAPER = 3  # SdfTaper
    ONION = 4
    DRAW = 5  # SdfDraw of each SdfParameter
    VARIETY = 32  # grids to choose from
    SIZE = 33


class SdfRotation(IntEnum):
    """How objects are turned."""

    NONE = 0
    EULER = 1  # three uniform angles: not uniform over rotations
    UNIFORM = 2


class SdfSampling(IntEnum):
    """Settings of ``sample_sdf``, (SIZE,) float32."""

    DEPTH = 0  # of the volume, voxels
    HEIGHT = 1
    WIDTH = 2
    SPREAD = 3  # of centres about the middle, in parts of each side
    SHEAR = 4  # largest off-diagonal element
    ROTATION = 5  # SdfRotation
    GRID_SCALE = 6  # lengths of the volume's frame a voxel
    SLOPE = 7  # of an octahedron's field
    BLEND_LOW = 8  # of two parts, in parts of the smallest side
    BLEND_HIGH = 9
    SIZE = 10


class SceneObject(IntEnum):
    """One object, (SIZE,) float32."""

    CLASS = 0  # index of its class
    DISPLACEMENT = 1  # row of its displacement
    MAPPER = 2  # row of its mapper
    PARTS = 3
    BLEND = 4  # width over which two parts are blended
    SHIFT = 5  # of the second part's origin, in the object's frame
    TURN = 8  # 3 x 3, from the volume's frame into the object's
    CENTRE = 17  # voxel indices
    MATRIX = 20  # 3 x 4, from voxel indices into the object's frame
    KEY = 32  # of its noise, 0 .. 2^24 - 1
    SIZE = 33


class SceneBound(IntEnum):
    """Where an object's distance may be within its margin, (SIZE,) float32; in voxel indices.

    A voxel outside any of the planes, or outside the quadric, is farther away than the margin.
    """

    PLANES = 0  # used
    RADIUS = 1  # weighted length of the point in the object's frame, at most
    WEIGHT = 2  # of its squared components, 0 or 1
    PLANE = 5  # of each: a, b, c, d with a x + b y + c z <= d
    SIZE = 85

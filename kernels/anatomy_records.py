"""Columns of the tables of anatomical scenes, and their limits; CUDA gets both as ``#define``s.

An object is a structure: object n of a volume is structure n of the recipe. Its shape is that of
one subject, as a grid of signed distances (int16, 1/16 source voxel, negative inside). A *source
voxel* is one of the grid, a *voxel* one of the volume. Triples are in the order z, y, x. The *body*
is the box around all that is labelled; positions in it are in 1/65536 of its sides. Energies are in
1/4096 of the temperature.
"""

from enum import IntEnum

STRUCTURES_MAX = 255  # of a volume
BANK_POINTS = 64  # of a shape's surface
CONTROLS = 6  # control points along an axis of a displacement
TILE = 4  # voxels along an axis between lattice points
SHELLS_MAX = 8  # nested shells
ANATOMY_DRAWS = 1024  # draws reserved for an object
PROPOSAL_DRAW = 256  # the first of its proposals; those before are of its shape and pose
PROPOSAL_REACH = 4  # standard deviations, of proposals along each principal direction
GIBBS_PROPOSALS_MAX = 64
GIBBS_SWEEPS_MAX = 256
BODY_UNIT = 65536
RATIO_ONE = 65536  # of overlap ratios and shares
ENERGY_UNIT = 4096


class BankShape(IntEnum):
    """One shape at one level of resolution, (SIZE,) int32."""

    OFFSET = 0  # of its grid in the array of all distances
    DEPTH = 1  # source voxels
    HEIGHT = 2
    WIDTH = 3
    CENTRE = 4  # its centroid in the grid, 1/4096 source voxel
    SLOPE = 7  # most that two samples differ by for their distance, 1/256
    SIZE = 8


class BankStructure(IntEnum):
    """What is known of one structure over all subjects, (SIZE,) float32; mm."""

    MEAN = 0  # centroid, from the body's first corner
    FACTOR = 3  # of its covariance: zz, yz, yy, xz, xy, xx of a lower triangle
    REACH = 9  # half sides of the box in which it is to be expected, about MEAN
    MIRROR = 12  # the structure that it is the mirror image of; itself where there is none
    SUBJECTS = 13  # that have it
    CONTAINER = 14  # the outermost structure that it is inside of; itself where there is none
    SIZE = 15


class AnatomySampling(IntEnum):
    """Settings of ``sample_anatomy``, (SIZE,) float32."""

    SHAPE = 0  # D, H, W, voxels
    SPACING = 3  # mm of a voxel at zoom 1
    ZOOM_LOW = 6
    ZOOM_HIGH = 7
    BODY = 8  # mm
    BANK_SPACING = 11  # mm of a source voxel at level 0
    LEVELS = 12
    WANDER = 13  # sd of the volume's middle about a structure's mean, in parts of the body
    KEEP = 14  # probability that a structure within view is there
    SCALE_SD = 15  # of the logarithm
    SCALE_LOW = 16
    SCALE_HIGH = 17
    AXIS_SD = 18  # of the logarithm
    TURN_SD = 19  # about each axis, turns
    DISPLACEMENT_LOW = 20  # sd of control points, mm
    DISPLACEMENT_HIGH = 21
    MIRROR = 22  # probability that the mirror structure's shape is taken
    UNIFORM = 23  # 1: positions are uniform over the view, 0: about the anchors
    WIDEN = 24  # of the sd of the second round of proposals
    MARGIN = 25  # of a box about its mask, voxels: the outermost shell
    VALUE_LOW = 26  # of an object's intensity, whole numbers
    VALUE_HIGH = 27
    JITTER = 28  # sd along each axis of what is contained about its place in its container, mm
    SIZE = 29


class Pose(IntEnum):
    """One object's shape and pose, (B, N, SIZE) int32."""

    FATE = 0  # Fate.PLACED: it is to be placed, or Fate.ABSENT
    SHAPE = 1  # row of BankShape
    MATRIX = 2  # 3 x 3, source voxels a voxel, 2^-16
    CENTRE = 11  # source position of its centre voxel, 1/4096 source voxel
    BOX = 14  # first voxel, counted from its centre voxel
    DEPTH = 17  # of the box, multiples of TILE
    HEIGHT = 18
    WIDTH = 19
    CLIPPED = 20  # 1: parts that no proposal brings into view are left out of the box
    VOXEL = 21  # 1/65536 source voxels a voxel, geometric mean
    LENGTH = 22  # 1/4096 mm a source voxel, geometric mean
    VALUE = 23  # intensity; of a whole subject 1 where it is mirrored
    LEADER = 24  # 1 + the object whose place its proposals follow; 0: none
    ANCHOR = 25  # where its centre voxel is expected, voxels
    ANCHOR_BODY = 28  # the same, 1/65536 of the body
    SIZE = 31


class Proposal(IntEnum):
    """One proposed place, (B, N, 2 K + S, SIZE) int32: K, K more of wider spread, S for sweeps."""

    PLACE = 0  # of the centre voxel, voxels
    BODY = 3  # of the centre voxel, 1/65536 of the body
    NOISE = 6  # Gumbel's, or the negative logarithm of a uniform number for sweeps; 1/4096
    SIZE = 7


class Pair(IntEnum):
    """What binds structure i to structure j, (N, N, SIZE) int32; only for i placed after j."""

    SIGN = 0  # along each axis: 1: i lies farther along it, -1: j does, 0: either
    MARGIN = 3  # by how much, 1/65536 of the body
    LIMIT = 6  # overlap ratio that is never exceeded, 1/65536; above RATIO_ONE: none
    NEAREST = 7  # the gap is wanted to be at least this, 1/16 mm
    FARTHEST = 8  # and at most this, 1/16 mm; negative: any
    WITHIN = 9  # least share of i inside j, 1/65536; 0: none
    ORDER = 10  # weights of the terms, 1/4096; of orders, one along each axis
    OVERLAP = 13
    GAP = 14
    INSIDE = 15
    SIZE = 16


class Fate(IntEnum):
    """What became of an object; in the column ``Placed.ACCEPTED``."""

    DROPPED = 0  # every proposal was forbidden
    PLACED = 1
    ABSENT = 2  # it was not drawn: far from the view, or left out
    EMPTY = 3  # no voxel is inside at this spacing
    UNSEEN = 4  # placed outside of the view


class SubjectSampling(IntEnum):
    """Settings of ``sample_subject``, (SIZE,) float32; ranges are uniform."""

    SHAPE = 0  # D, H, W, voxels
    SPACING = 3  # mm of a voxel at zoom 1
    ZOOM_LOW = 6
    ZOOM_HIGH = 7
    BANK_SPACING = 8  # mm of a source voxel
    FLIP = 9  # probability
    SCALE_LOW = 10  # factors along each axis
    SCALE_HIGH = 11
    TURN_LOW = 12  # about each axis, turns
    TURN_HIGH = 13
    SHEAR_LOW = 14
    SHEAR_HIGH = 15
    DISPLACEMENT_LOW = 16  # sd of control points, mm
    DISPLACEMENT_HIGH = 17
    WANDER = 18  # share of the room in which a volume's middle lies
    SHIFT = 19  # most that it is off besides, along each axis, mm
    SIZE = 20

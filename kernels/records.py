"""Limits, and columns of the tables that kernels pass on; CUDA gets both as ``#define``s.

Tables hold B volumes of N objects. A *variant* is an object in one orientation: V = N * K variants,
variant ``n * K + k`` is object n in the k-th orientation. A *row* is a line of voxels along x, kept
as ``words = ceil(width / 64)`` 64-bit words, bit i of word w being voxel x = 64 w + i. The words of
a slice lie in planes: word w of row y is at ``slice + w * height + y``.
"""

from enum import IntEnum

VERTICES_MAX = 72  # of a section; an ellipse is drawn as a polygon of up to as many
OBJECTS_MAX = 255  # of a volume, as many as a block of `paint_contour` lists
SAMPLE_DRAWS = 64  # of an object's sampling: 3 for its header, 1 for two vertices
PROPOSALS_MAX = 1024  # draws of the placement stream reserved for an object
RATIO_UNIT = 1_000_000  # of an overlap ratio


class Sampling(IntEnum):
    """Settings of ``sample_polygon_stack``; voxels, scales in 2^-16, ranges inclusive."""

    XY_CLASSES = 0
    Z_CLASSES = 1
    DEPTH_LOW = 2
    DEPTH_HIGH = 3
    BOX_LOW = 4
    BOX_HIGH = 5
    AXIS_LOW = 6
    AXIS_HIGH = 7
    RADIUS_LOW = 8
    ELLIPSE_MARGIN = 9
    TURN_MARGIN = 10
    WIDE_LOW = 11
    WIDE_HIGH = 12
    NARROW_LOW = 13
    NARROW_HIGH = 14
    SIZE = 15


class ZRule(IntEnum):
    """How a polygon stack's section scales with z."""

    PRISM = 0
    HOURGLASS = 1
    PYRAMID = 2
    RHOMBUS = 3


class Orientation(IntEnum):
    """Turns of an object about its box, in ``numpy.rot90``'s sense on (y, x, z)."""

    STAY = 0
    UPSIDE_DOWN = 1  # half turn in (y, z)
    SIDE_1 = 2  # +1 quarter turn in (y, z)
    SIDE_2 = 3  # -1 in (y, z)
    SIDE_3 = 4  # +1 in (x, z)
    SIDE_4 = 5  # -1 in (x, z)


class Object(IntEnum):
    """One sampled polygon stack, (B, N, POLAR + 2 * vertices) int32; lengths in voxels."""

    LABEL = 0
    VERTICES = 1  # 0: ellipse
    RULE = 2  # ZRule
    DEPTH = 3
    BOX = 4  # height and width
    ANGLE = 5  # degrees, ellipses only
    AXIS_A = 6
    AXIS_B = 7
    TURN = 8  # slice where the scale changes direction
    SCALE_FIRST = 9  # 2^-16
    SCALE_TURN = 10
    SCALE_LAST = 11
    POLAR = 12  # then (degrees, radius) of each vertex


class Box(IntEnum):
    """One variant's box and its rows in the arena, (B, V, SIZE) int32."""

    DEPTH = 0
    HEIGHT = 1
    WIDTH = 2
    STEP = 3  # stored slices a slice: 0 where all slices are equal, else 1
    VOXELS = 4
    SIZE = 5


class Slice(IntEnum):
    """Rows of one stored slice, (B, V, slices, SIZE) int32."""

    FIRST = 0  # rows FIRST .. STOP - 1 hold the label and its contour
    STOP = 1
    VOXELS = 2
    SIZE = 3


class Placed(IntEnum):
    """One object's place, (B, N, SIZE) int32, in painting order: largest first."""

    OBJECT = 0
    VARIANT = 1
    Z = 2
    Y = 3
    X = 4
    ACCEPTED = 5  # 1, or 0 where it was dropped; of a bank's structures, their ``Fate``
    PROPOSALS = 6
    SIZE = 7

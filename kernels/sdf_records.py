"""Columns of a signed distance function's parameter row; CUDA gets them as ``#define``s.

A row is float32 and describes one object in its own frame, in voxels. Small whole numbers (kinds,
counts) are stored as floats, exactly. It is written by the ``lay_*`` functions of ``sdf``, so that
no voxel takes a division, an angle or a branch on a parameter that they can settle beforehand.
"""

from enum import IntEnum

SDF_CORNERS_MAX = 9  # of a polygon
SDF_TIPS_MAX = 8  # of a star: as many as SDF_MIRRORS reflections fold onto one half tip
SDF_MIRRORS = 3
GRID_SIDE_MAX = 256  # so that a float32 holds the place of every value in a grid
GRID_EXTENT = 0.8  # longest half extent of a grid's shape, of its cube's half side


class SdfLift(IntEnum):
    """How a solid is made of a profile; the first three have none, and a grid neither."""

    SPHERE = 0
    OCTAHEDRON = 1
    CONE = 2
    REVOLVE = 3  # about the y axis
    PRISM = 4  # along the z axis
    GRID = 5  # distances on a lattice, see sdf_grid


class SdfProfile(IntEnum):
    """Closed curve that is lifted."""

    CIRCLE = 0
    STAR = 1
    POLYGON = 2


class SdfTaper(IntEnum):
    """How a prism's profile scales along its axis."""

    CONST = 0
    CONE = 1
    CONVEX = 2
    CONCAVE = 3


class SdfEdge(IntEnum):
    """One edge, from its start along a unit direction.

    A point (x, y) lies ``u = DX x + DY y + ALONG`` beyond its middle and ``w = DX y - DY x +
    ACROSS`` to its left. Scaling the profile by s scales ALONG, ACROSS, REACH and LEVEL.
    """

    DX = 0
    DY = 1
    ALONG = 2
    ACROSS = 3
    REACH = 4  # half the length
    LEVEL = 5  # minus the start's y, never -0
    SIZE = 6


class SdfRow(IntEnum):
    """Parameter row, (SIZE,) float32."""

    LIFT = 0  # SdfLift
    PROFILE = 1  # SdfProfile
    TAPERED = 2  # 0: the scale is 1 everywhere
    EDGES = 3  # of a polygon; tips of a star; number of a grid
    RADIUS = 4  # of a sphere, circle or cone's base; half an octahedron's diagonal or grid's side
    HALF = 5  # half the height of a prism or cone
    OFFSET = 6  # of a revolved profile from the axis
    SLOPE = 7  # of an octahedron's field; 1 / RADIUS of a grid
    SIGN = 8  # 1, or -1 for an onion
    WALL = 9  # 0, or half the thickness of an onion's wall
    KNOT = 10  # z where a taper changes its slope; scale there, slopes before and behind
    KNOT_SCALE = 11
    SLOPE_BELOW = 12
    SLOPE_ABOVE = 13
    MIRROR = 14  # (x, y) of SDF_MIRRORS normals of length sqrt 2, or 0 where unused
    EDGE = 20  # SdfEdge of each polygon edge; of a star's half tip; of a cone's side
    SIZE = 74

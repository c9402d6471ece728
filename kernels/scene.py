"""Objects of a scene: how they stand, what is drawn for them, how far they reach; twin of
``scene.cuh``.

Objects are rows of ``SceneObject``, parts rows of ``SdfRow``; both are laid down once for each
object, by scalars. ``M = T R S`` takes a point of the object's frame into the volume's: S shears, R
turns and T shifts. TURN is the grid's scale times the inverse of R S.
"""

import numpy as np

from .float_lanes import fused, least, magnitude, most, root
from .jit import device
from .real import HALF, ONE, ZERO, cosine_of_turns, sine_of_turns
from .scene_records import SceneObject
from .sdf import taper_scale
from .sdf_records import GRID_EXTENT, SdfEdge, SdfLift, SdfProfile, SdfRow

_PER_WORD = np.float32(2.0**-24)
_EIGHT, _TWO = np.uint64(8), np.float32(2)
_HUGE, _GRID_REACH = np.float32(1e30), np.float32(GRID_EXTENT)
_ROOT_THREE = np.float32(1.7320509)
_SLACK = np.float32(0.02)  # of z, as a steep taper makes much of its rounding

_TURN, _CENTRE = int(SceneObject.TURN), int(SceneObject.CENTRE)
_MATRIX = int(SceneObject.MATRIX)
_SPHERE, _OCTAHEDRON, _CONE = int(SdfLift.SPHERE), int(SdfLift.OCTAHEDRON), int(SdfLift.CONE)
_REVOLVE, _GRID = int(SdfLift.REVOLVE), int(SdfLift.GRID)
_CIRCLE, _STAR = int(SdfProfile.CIRCLE), int(SdfProfile.STAR)
_LIFT, _PROFILE, _COUNT = int(SdfRow.LIFT), int(SdfRow.PROFILE), int(SdfRow.EDGES)
_RADIUS, _HALF, _OFFSET = int(SdfRow.RADIUS), int(SdfRow.HALF), int(SdfRow.OFFSET)
_SLOPE, _KNOT = int(SdfRow.SLOPE), int(SdfRow.KNOT)
_EDGE, _EDGE_SIZE = int(SdfRow.EDGE), int(SdfEdge.SIZE)
_DX, _DY, _ALONG = int(SdfEdge.DX), int(SdfEdge.DY), int(SdfEdge.ALONG)
_ACROSS, _REACH = int(SdfEdge.ACROSS), int(SdfEdge.REACH)


@device
def unit_float(word):
    """Uniform in 0 .. 1, 1 left out, of a random word's upper 24 bits."""
    return np.float32(word >> _EIGHT) * _PER_WORD


@device
def uniform(word, low, high):
    """Uniform in ``low`` .. ``high``."""
    return fused(high - low, unit_float(word), low)


# How an object stands. Each ``turn_*`` writes the inverse of R into TURN, ``unshear`` goes on.


@device
def turn_none(item):
    """R is the identity."""
    for i in range(9):
        item[_TURN + i] = ONE if i % 4 == 0 else ZERO


@device
def turn_euler(item, a, b, c):
    """R = Rz(c) Ry(b) Rx(a), angles in turns."""
    ca, sa = cosine_of_turns(a), sine_of_turns(a)
    cb, sb = cosine_of_turns(b), sine_of_turns(b)
    cc, sc = cosine_of_turns(c), sine_of_turns(c)
    item[_TURN], item[_TURN + 1], item[_TURN + 2] = cc * cb, sc * cb, -sb
    item[_TURN + 3] = fused(cc * sb, sa, -(sc * ca))
    item[_TURN + 4] = fused(sc * sb, sa, cc * ca)
    item[_TURN + 5] = cb * sa
    item[_TURN + 6] = fused(cc * sb, ca, sc * sa)
    item[_TURN + 7] = fused(sc * sb, ca, -(cc * sa))
    item[_TURN + 8] = cb * ca


@device
def turn_uniform(item, u, v, w):
    """R of a uniform random quaternion, from three uniform numbers in 0 .. 1.

    References:
        Shoemake, "Uniform random rotations", Graphics Gems III, 1992.
    """
    low, high = root(ONE - u), root(u)
    x, y = low * sine_of_turns(v), low * cosine_of_turns(v)
    z, s = high * sine_of_turns(w), high * cosine_of_turns(w)
    item[_TURN] = fused(-_TWO, fused(y, y, z * z), ONE)
    item[_TURN + 1] = _TWO * fused(x, y, z * s)
    item[_TURN + 2] = _TWO * fused(x, z, -(y * s))
    item[_TURN + 3] = _TWO * fused(x, y, -(z * s))
    item[_TURN + 4] = fused(-_TWO, fused(x, x, z * z), ONE)
    item[_TURN + 5] = _TWO * fused(y, z, x * s)
    item[_TURN + 6] = _TWO * fused(x, z, y * s)
    item[_TURN + 7] = _TWO * fused(y, z, -(x * s))
    item[_TURN + 8] = fused(-_TWO, fused(x, x, y * y), ONE)


@device
def unshear(item, xy, xz, yz, scale):
    """TURN := ``scale`` times the inverse of S times TURN.

    S is symmetric with ones on its diagonal; ``xy``, ``xz`` and ``yz`` are the others, each below
    1/2 in size, so that no eigenvalue is 0.
    """
    ixx, iyy, izz = fused(-yz, yz, ONE), fused(-xz, xz, ONE), fused(-xy, xy, ONE)
    ixy, ixz, iyz = fused(xz, yz, -xy), fused(xy, yz, -xz), fused(xy, xz, -yz)
    factor = scale / fused(xy, ixy, fused(xz, ixz, ixx))
    for column in range(3):
        at = _TURN + column
        x, y, z = item[at], item[at + 3], item[at + 6]
        item[at] = factor * fused(ixx, x, fused(ixy, y, ixz * z))
        item[at + 3] = factor * fused(ixy, x, fused(iyy, y, iyz * z))
        item[at + 6] = factor * fused(ixz, x, fused(iyz, y, izz * z))


@device
def lay_matrix(item):
    """MATRIX from TURN and CENTRE."""
    cx, cy, cz = item[_CENTRE], item[_CENTRE + 1], item[_CENTRE + 2]
    for i in range(3):
        tx, ty, tz = item[_TURN + 3 * i], item[_TURN + 3 * i + 1], item[_TURN + 3 * i + 2]
        item[_MATRIX + 4 * i] = tx
        item[_MATRIX + 4 * i + 1] = ty
        item[_MATRIX + 4 * i + 2] = tz
        item[_MATRIX + 4 * i + 3] = -fused(tx, cx, fused(ty, cy, tz * cz))


# How far a part reaches.


@device
def edge_start(row, edge):
    """Where an edge starts, off by its rounding."""
    at = _EDGE + _EDGE_SIZE * edge
    dx, dy = row[at + _DX], row[at + _DY]
    along, across = -(row[at + _ALONG] + row[at + _REACH]), -row[at + _ACROSS]
    return fused(dx, along, -(dy * across)), fused(dx, across, dy * along)


@device
def profile_corner(row, i):
    """Corner ``i`` of a polygon, or tip of a star."""
    if int(row[_PROFILE]) != _STAR:
        return edge_start(row, i)
    _, radius = edge_start(row, 0)
    turns = np.float32(i) / row[_COUNT]
    return radius * sine_of_turns(turns), radius * cosine_of_turns(turns)


@device
def profile_support(row, nx, ny):
    """Most of n (x, y) over the row's profile, n a unit vector."""
    if int(row[_PROFILE]) == _CIRCLE:
        return row[_RADIUS]
    found = -_HUGE
    for i in range(int(row[_COUNT])):
        x, y = profile_corner(row, i)
        found = most(fused(nx, x, ny * y), found)
    return found


@device
def profile_radius(row):
    """Farthest point of the row's profile from its origin."""
    if int(row[_PROFILE]) == _CIRCLE:
        return row[_RADIUS]
    square = ZERO
    for i in range(int(row[_COUNT]) if int(row[_PROFILE]) != _STAR else 1):
        x, y = edge_start(row, i)
        square = most(fused(x, x, y * y), square)
    return root(square)


@device
def largest_scale(row, reach):
    """Most that a prism's profile is scaled where |z| <= ``reach``."""
    found = most(taper_scale(row, -reach), taper_scale(row, reach))
    if -reach < row[_KNOT] < reach:
        found = most(taper_scale(row, row[_KNOT]), found)
    return found


@device
def part_extent(row, wall, margin):
    """Half sides x, y, z of a box about the origin that holds a part.

    Args:
        row: of the part.
        wall: of an onion, as its row may still hold something else; else 0.
        margin: largest value of the part's field that counts as inside.
    """
    lift = int(row[_LIFT])
    if lift == _SPHERE:
        reach = row[_RADIUS] + margin
        return reach, reach, reach
    if lift == _OCTAHEDRON:
        reach = row[_RADIUS] + margin / row[_SLOPE]
        return reach, reach, reach
    if lift == _GRID:
        reach = fused(_GRID_REACH, row[_RADIUS], margin)
        return reach, reach, reach
    if lift == _CONE:
        round_reach = row[_RADIUS] + margin
        return round_reach, row[_HALF] + margin, round_reach
    radius = profile_radius(row)
    if lift == _REVOLVE:
        round_reach = row[_OFFSET] + radius + margin
        return round_reach, radius + margin, round_reach
    end = row[_HALF] + margin
    across = fused(radius, largest_scale(row, end + _SLACK), wall + margin)
    return across, across, end


@device
def part_radius(row, wall, margin):
    """Radius of a sphere about the origin that holds a part; arguments as of ``part_extent``."""
    x, y, z = part_extent(row, wall, margin)
    lift = int(row[_LIFT])
    if lift == _GRID:
        return _ROOT_THREE * x
    if lift == _CONE:
        return root(fused(x, x, y * y))
    if lift == _SPHERE or lift == _OCTAHEDRON or lift == _REVOLVE:
        return x
    return root(fused(x, x, z * z))


@device
def part_depth(row):
    """About how deep a part is, walls left out: the least distance of its middle to an outline."""
    lift = int(row[_LIFT])
    if lift == _SPHERE:
        return row[_RADIUS]
    if lift == _OCTAHEDRON:
        return row[_RADIUS] * row[_SLOPE]
    if lift == _GRID:
        return HALF * _GRID_REACH * row[_RADIUS]
    if lift == _CONE:
        return HALF * least(row[_RADIUS], row[_HALF])
    depth = row[_RADIUS]
    if int(row[_PROFILE]) != _CIRCLE:
        depth = _HUGE
        for edge in range(int(row[_COUNT]) if int(row[_PROFILE]) != _STAR else 1):
            depth = least(magnitude(row[_EDGE + _EDGE_SIZE * edge + _ACROSS]), depth)
    return depth if lift == _REVOLVE else least(depth, row[_HALF])

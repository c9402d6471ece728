"""Where an object may be: half-spaces and one quadric that hold it. Twin of ``bound_sdf.cu``.

All bounds hold what lies within a margin of the object: the reach of its mapper and by how much its
displacement may lower a distance. They are somewhat too large, so that no rounding, here or where
they are used, leaves a voxel out.

A prism's profile, scaled by s at z, lies in the half-planes ``n (x, y) <= s c`` of its convex hull.
Along z, s is linear on either side of a knot and never below a constant. Its upper hull is one line
or two, and each makes a half-space of a half-plane.
"""

import numpy as np

from .float_lanes import fused, least, magnitude, most, root
from .jit import device, inlined, kernel
from .mapper_records import MapperRow
from .real import HALF, ONE, QUARTER, ZERO, cosine_of_turns, sine_of_turns
from .scene import edge_start, part_extent, part_radius, profile_support
from .scene_records import SceneBound, SceneObject
from .sdf import sloping_run, taper_scale
from .sdf_records import SdfEdge, SdfLift, SdfProfile, SdfRow

TANGENTS = 8  # planes about a round outline

_SLACK, _RELATIVE = np.float32(0.02), np.float32(1e-5)
_PER_COEFFICIENT = np.float32(2.0**-10)  # rounding of a product with a voxel's place
_LEAST_MARGIN = np.float32(2.0**-10)
_NOWHERE = np.float32(-1e6)  # of a plane that no voxel is within
_LEAST_SQUARE = np.float32(1e-12)
_HUGE = np.float32(1e30)
_DIAGONAL = np.float32(0.70710678)

_DISPLACEMENT, _MAPPER = int(SceneObject.DISPLACEMENT), int(SceneObject.MAPPER)
_PARTS, _BLEND = int(SceneObject.PARTS), int(SceneObject.BLEND)
_SHIFT, _MATRIX = int(SceneObject.SHIFT), int(SceneObject.MATRIX)
_MAPPER_REACH = int(MapperRow.REACH)
_PLANES, _PLANE = int(SceneBound.PLANES), int(SceneBound.PLANE)
_BOUND_RADIUS, _WEIGHT = int(SceneBound.RADIUS), int(SceneBound.WEIGHT)

_SPHERE, _OCTAHEDRON, _CONE = int(SdfLift.SPHERE), int(SdfLift.OCTAHEDRON), int(SdfLift.CONE)
_REVOLVE, _GRID = int(SdfLift.REVOLVE), int(SdfLift.GRID)
_CIRCLE, _STAR = int(SdfProfile.CIRCLE), int(SdfProfile.STAR)
_LIFT, _PROFILE, _COUNT = int(SdfRow.LIFT), int(SdfRow.PROFILE), int(SdfRow.EDGES)
_TAPERED, _RADIUS, _HALF = int(SdfRow.TAPERED), int(SdfRow.RADIUS), int(SdfRow.HALF)
_OFFSET, _SLOPE = int(SdfRow.OFFSET), int(SdfRow.SLOPE)
_WALL, _KNOT, _EDGE = int(SdfRow.WALL), int(SdfRow.KNOT), int(SdfRow.EDGE)
_DX, _DY = int(SdfEdge.DX), int(SdfEdge.DY)


@device
def add_plane(bound, nx, ny, nz, most_along):
    """One more half-space: n p <= ``most_along`` of a point p of the object's frame."""
    at = _PLANE + 4 * int(bound[_PLANES])
    bound[at], bound[at + 1], bound[at + 2], bound[at + 3] = nx, ny, nz, most_along
    bound[_PLANES] += ONE


@device
def map_plane(item, bound, at):
    """Take a half-space from the object's frame to voxel indices."""
    nx, ny, nz, most_along = bound[at], bound[at + 1], bound[at + 2], bound[at + 3]
    m = _MATRIX
    a = fused(nx, item[m], fused(ny, item[m + 4], nz * item[m + 8]))
    b = fused(nx, item[m + 1], fused(ny, item[m + 5], nz * item[m + 9]))
    c = fused(nx, item[m + 2], fused(ny, item[m + 6], nz * item[m + 10]))
    d = fused(nx, item[m + 3], fused(ny, item[m + 7], nz * item[m + 11]))
    slack = fused(_RELATIVE, magnitude(most_along) + magnitude(d), _SLACK)
    slack = fused(_PER_COEFFICIENT, magnitude(a) + magnitude(b) + magnitude(c), slack)
    bound[at], bound[at + 1], bound[at + 2] = a, b, c
    bound[at + 3] = (most_along - d) + slack


@device
def add_slab(bound, nx, ny, nz, reach):
    """Two half-spaces: |n p| <= ``reach``."""
    add_plane(bound, nx, ny, nz, reach)
    add_plane(bound, -nx, -ny, -nz, reach)


@device
def set_quadric(bound, wx, wy, wz, radius):
    """The quadric: the length of (wx x, wy y, wz z) is at most ``radius``."""
    bound[_BOUND_RADIUS] = fused(_RELATIVE, magnitude(radius), most(radius, ZERO) + _SLACK)
    bound[_WEIGHT], bound[_WEIGHT + 1], bound[_WEIGHT + 2] = wx, wy, wz


@device
def scale_lines(row, reach):
    """Upper hull of a prism's scale where |z| <= ``reach``: two lines, and the scale's least value.

    Returns:
        Slope and value at z = 0 of the one line, then of the other, which may be the same one.
    """
    low, high = taper_scale(row, -reach), taper_scale(row, reach)
    slope, level = HALF * (high - low) / most(reach, _LEAST_MARGIN), HALF * (low + high)
    knot, lowest = row[_KNOT], least(low, high)
    if magnitude(knot) >= reach:
        return slope, level, slope, level, lowest
    middle = taper_scale(row, knot)
    lowest = least(middle, lowest)
    if middle <= fused(slope, knot, level):
        return slope, level, slope, level, lowest
    below, above = (
        (middle - low) / sloping_run(knot + reach),
        (middle - high) / sloping_run(knot - reach),
    )
    return below, fused(-below, knot, middle), above, fused(-above, knot, middle), lowest


@device
def add_side(bound, nx, ny, support, lines, margin):
    """Half-spaces of a half-plane n (x, y) <= s ``support`` of a prism's profile."""
    below, below_level, above, above_level, lowest = lines
    if support < ZERO:
        add_plane(bound, nx, ny, ZERO, fused(support, lowest, margin))
        return
    add_plane(bound, nx, ny, -(below * support), fused(below_level, support, margin))
    if below != above:
        add_plane(bound, nx, ny, -(above * support), fused(above_level, support, margin))


@device
def first_corner(row):
    """The polygon's corner that is farthest along x: one of its hull's."""
    found, most_x = 0, -_HUGE
    for i in range(int(row[_COUNT])):
        x, _ = edge_start(row, i)
        if x > most_x:
            found, most_x = i, x
    return found


@device
def next_corner(row, corner):
    """The corner that follows on the polygon's hull, counter-clockwise."""
    x, y = edge_start(row, corner)
    found, found_x, found_y = corner, ZERO, ZERO
    for i in range(int(row[_COUNT])):
        other_x, other_y = edge_start(row, i)
        other_x, other_y = other_x - x, other_y - y
        turn = fused(found_x, other_y, -(found_y * other_x))
        if i != corner and (found == corner or turn < ZERO):
            found, found_x, found_y = i, other_x, other_y
    return found


@device
def add_polygon_sides(row, bound, lines, margin):
    """Half-spaces of a polygon's hull. A wrong edge, by rounding, would still hold all corners."""
    first = first_corner(row)
    corner = first
    for _ in range(int(row[_COUNT])):
        following = next_corner(row, corner)
        x0, y0 = edge_start(row, corner)
        x1, y1 = edge_start(row, following)
        nx, ny = y1 - y0, x0 - x1
        square = fused(nx, nx, ny * ny)
        if square > _LEAST_SQUARE:
            size = root(square)
            nx, ny = nx / size, ny / size
            add_side(bound, nx, ny, profile_support(row, nx, ny), lines, margin)
        corner = following
        if corner == first:
            break


@device
def add_regular_sides(row, bound, count, lines, margin):
    """Half-spaces about a star or circle, ``count`` of them, between the tips of a star."""
    for i in range(count):
        turns = (np.float32(i) + HALF) / np.float32(count)
        nx, ny = sine_of_turns(turns), cosine_of_turns(turns)
        add_side(bound, nx, ny, profile_support(row, nx, ny), lines, margin)


@device
def bound_prism(row, bound, margin):
    """Ends, sides and the circle about them; of an onion, out to its wall's outer face."""
    reach, across = row[_HALF] + margin, row[_WALL] + margin
    add_slab(bound, ZERO, ZERO, ONE, reach)
    extent, _, _ = part_extent(row, row[_WALL], margin)
    set_quadric(bound, ONE, ONE, ZERO, extent)
    lines = scale_lines(row, reach + _SLACK)
    kind = int(row[_PROFILE])
    if kind == _STAR:
        add_regular_sides(row, bound, int(row[_COUNT]), lines, across)
    elif kind != _CIRCLE:
        add_polygon_sides(row, bound, lines, across)
    elif row[_TAPERED] != ZERO:
        add_regular_sides(row, bound, TANGENTS, lines, across)


@device
def add_tangents(bound, radial, along, most_along):
    """Planes tangent to the cone ``radial`` |(x, z)| + ``along`` y <= ``most_along``."""
    for i in range(TANGENTS):
        turns = np.float32(i) / np.float32(TANGENTS)
        nx, nz = radial * cosine_of_turns(turns), radial * sine_of_turns(turns)
        add_plane(bound, nx, along, nz, most_along)


@device
def bound_revolution(row, bound, margin):
    """Ends, the cylinder about them, and cones that cut the rims off."""
    add_plane(bound, ZERO, ONE, ZERO, profile_support(row, ZERO, ONE) + margin)
    add_plane(bound, ZERO, -ONE, ZERO, profile_support(row, ZERO, -ONE) + margin)
    offset = row[_OFFSET] + margin
    set_quadric(bound, ONE, ZERO, ONE, profile_support(row, ONE, ZERO) + offset)
    offset = fused(_DIAGONAL, row[_OFFSET], margin)
    upper = profile_support(row, _DIAGONAL, _DIAGONAL) + offset
    add_tangents(bound, _DIAGONAL, _DIAGONAL, upper)
    lower = profile_support(row, _DIAGONAL, -_DIAGONAL) + offset
    add_tangents(bound, _DIAGONAL, -_DIAGONAL, lower)


@device
def bound_cone(row, bound, margin):
    """Ends, the cylinder about them, and planes tangent to the side."""
    add_slab(bound, ZERO, ONE, ZERO, row[_HALF] + margin)
    set_quadric(bound, ONE, ZERO, ONE, row[_RADIUS] + margin)
    radial, along = row[_EDGE + _DY], -row[_EDGE + _DX]
    add_tangents(
        bound, radial, along, fused(radial, row[_RADIUS], fused(-along, row[_HALF], margin))
    )


@device
def bound_octahedron(row, bound, margin):
    """Its eight faces."""
    reach = row[_RADIUS] + margin / row[_SLOPE]
    for i in range(4):
        add_slab(bound, ONE, ONE if i % 2 == 0 else -ONE, ONE if i < 2 else -ONE, reach)
    set_quadric(bound, ONE, ONE, ONE, reach)


@device
def bound_box(row, bound, margin):
    """The box of a grid."""
    x, y, z = part_extent(row, ZERO, margin)
    add_slab(bound, ONE, ZERO, ZERO, x)
    add_slab(bound, ZERO, ONE, ZERO, y)
    add_slab(bound, ZERO, ZERO, ONE, z)
    set_quadric(bound, ONE, ONE, ONE, part_radius(row, ZERO, margin))


@device
def bound_part(row, bound, margin):
    """Of an object of one part."""
    lift = int(row[_LIFT])
    if lift == _SPHERE:
        set_quadric(bound, ONE, ONE, ONE, row[_RADIUS] + margin)
    elif lift == _OCTAHEDRON:
        bound_octahedron(row, bound, margin)
    elif lift == _CONE:
        bound_cone(row, bound, margin)
    elif lift == _REVOLVE:
        bound_revolution(row, bound, margin)
    elif lift == _GRID:
        bound_box(row, bound, margin)
    else:
        bound_prism(row, bound, margin)


@device
def bound_union(item, parts, bound, margin):
    """Box and sphere about two parts; blending lowers their distances by a quarter of its width."""
    margin = fused(QUARTER, item[_BLEND], margin)
    first, second = parts[0], parts[1]
    x0, y0, z0 = part_extent(first, first[_WALL], margin)
    x1, y1, z1 = part_extent(second, second[_WALL], margin)
    sx, sy, sz = item[_SHIFT], item[_SHIFT + 1], item[_SHIFT + 2]
    add_plane(bound, ONE, ZERO, ZERO, most(x0, x1 + sx))
    add_plane(bound, -ONE, ZERO, ZERO, most(x0, x1 - sx))
    add_plane(bound, ZERO, ONE, ZERO, most(y0, y1 + sy))
    add_plane(bound, ZERO, -ONE, ZERO, most(y0, y1 - sy))
    add_plane(bound, ZERO, ZERO, ONE, most(z0, z1 + sz))
    add_plane(bound, ZERO, ZERO, -ONE, most(z0, z1 - sz))
    away = magnitude(sx) + magnitude(sy) + magnitude(sz)  # along one axis
    radius = most(
        part_radius(first, first[_WALL], margin), part_radius(second, second[_WALL], margin) + away
    )
    set_quadric(bound, ONE, ONE, ONE, radius)


@inlined
def _bound_object(item, parts, depths, mappers, bound):
    bound[:] = ZERO
    depth = depths[int(item[_DISPLACEMENT])]
    margin = most(depth + mappers[int(item[_MAPPER]), _MAPPER_REACH], _LEAST_MARGIN)
    count = int(item[_PARTS])
    if count == 0:  # dropped when it was placed
        add_plane(bound, ZERO, ZERO, ZERO, _NOWHERE)
    elif count > 1:
        bound_union(item, parts, bound, margin)
    else:
        bound_part(parts[0], bound, margin)
    for plane in range(int(bound[_PLANES])):
        map_plane(item, bound, _PLANE + 4 * plane)


@kernel
def bound_sdf(objects, parts, depths, mappers, bounds):
    """Bound each object of a volume.

    Args:
        objects: (N, SceneObject.SIZE) float32.
        parts: (N, P, SdfRow.SIZE) float32, walls settled.
        depths: (J,) float32, by how many voxels each displacement may lower a distance.
        mappers: (K, MapperRow.SIZE) float32.
        bounds: (N, SceneBound.SIZE) float32, out.
    """
    for n in range(objects.shape[0]):
        _bound_object(objects[n], parts[n], depths, mappers, bounds[n])

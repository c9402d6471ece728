"""Signed distances of parametric solids, negative inside; twin of ``sdf.cuh``.

Three lifts (prism, revolution, solid) of three profiles (circle, star, polygon), tapered along the
axis and hollowed. Lengths are voxels. A point is given in the object's frame and a row is described
in ``sdf_records``; points are float32 or the sixteen lanes of ``float_lanes``.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199, and its public code: parameters, tapers, onion, and
    the octahedron's slope.
    I. Quilez, "2D distance functions" and "distance functions": polygon, star, extrusion,
    revolution, cone. The star's angle is folded by reflections, and an edge's frame is laid down
    once for each object, so that no point takes an arc tangent or a division.
"""

import numpy as np

from .float_lanes import (
    bits_of,
    both,
    chosen,
    differing,
    filled,
    fused,
    least,
    magnitude,
    most,
    root,
    signed_as,
    with_bits,
)
from .jit import device
from .real import (
    HALF,
    ONE,
    SQUARE_BIAS,
    ZERO,
    clamped,
    cosine_of_turns,
    length,
    sine_of_turns,
)
from .sdf_records import SDF_MIRRORS, SdfEdge, SdfLift, SdfProfile, SdfRow, SdfTaper

_HUGE, _NO_BITS = np.float32(1e30), np.int32(0)
_LEAST_SCALE = np.float32(1e-6)
_LEAST_RUN = np.float32(2.0**-20)  # of a taper's piece
_LEAST_SQUARE = np.float32(2.0**-60)  # of an edge's length
_ROOT_TWO, _TWO = np.float32(1.4142135), np.float32(2)

_SPHERE, _OCTAHEDRON, _CONE = int(SdfLift.SPHERE), int(SdfLift.OCTAHEDRON), int(SdfLift.CONE)
_REVOLVE, _PRISM = int(SdfLift.REVOLVE), int(SdfLift.PRISM)
_CIRCLE, _STAR = int(SdfProfile.CIRCLE), int(SdfProfile.STAR)
_CONST_TAPER, _CONE_TAPER = int(SdfTaper.CONST), int(SdfTaper.CONE)
_LIFT, _PROFILE, _TAPERED = int(SdfRow.LIFT), int(SdfRow.PROFILE), int(SdfRow.TAPERED)
_EDGES, _RADIUS, _HALF = int(SdfRow.EDGES), int(SdfRow.RADIUS), int(SdfRow.HALF)
_OFFSET, _SLOPE = int(SdfRow.OFFSET), int(SdfRow.SLOPE)
_SIGN, _WALL = int(SdfRow.SIGN), int(SdfRow.WALL)
_KNOT, _KNOT_SCALE = int(SdfRow.KNOT), int(SdfRow.KNOT_SCALE)
_SLOPE_BELOW, _SLOPE_ABOVE = int(SdfRow.SLOPE_BELOW), int(SdfRow.SLOPE_ABOVE)
_MIRROR, _EDGE, _EDGE_SIZE = int(SdfRow.MIRROR), int(SdfRow.EDGE), int(SdfEdge.SIZE)
_DX, _DY, _ALONG = int(SdfEdge.DX), int(SdfEdge.DY), int(SdfEdge.ALONG)
_ACROSS, _REACH, _LEVEL = int(SdfEdge.ACROSS), int(SdfEdge.REACH), int(SdfEdge.LEVEL)


# What an object's row is laid down with, once for each object, scalars only.


@device
def lay_edge(row, edge, x0, y0, x1, y1):
    """Edge number ``edge`` from (x0, y0) to (x1, y1); one without length stands for its point."""
    at = _EDGE + _EDGE_SIZE * edge
    ex, ey = x1 - x0, y1 - y0
    square = fused(ex, ex, ey * ey)
    run = root(square)
    dx, dy = ONE, ZERO
    if square >= _LEAST_SQUARE:
        dx, dy = ex / run, ey / run
    row[at + _DX] = dx
    row[at + _DY] = dy
    row[at + _ALONG] = -fused(dx, x0, fused(dy, y0, HALF * run))
    row[at + _ACROSS] = fused(dy, x0, -(dx * y0))
    row[at + _REACH] = HALF * run
    row[at + _LEVEL] = ZERO - y0


@device
def lay_mirror(row, mirror, turns):
    """Mirror in the line at an angle from +y towards +x; it folds what lies beyond."""
    row[_MIRROR + 2 * mirror] = _ROOT_TWO * cosine_of_turns(turns)
    row[_MIRROR + 2 * mirror + 1] = -(_ROOT_TWO * sine_of_turns(turns))


@device
def lay_star(row, tips, radius, bluntness):
    """Profile: a star with its tips at ``radius``, one of them on +y.

    Args:
        row: written.
        tips: 3 .. 8.
        radius: of the tips.
        bluntness: 0 is tips without width, 1 the regular polygon.
    """
    count = np.float32(tips)
    row[_PROFILE], row[_EDGES] = np.float32(_STAR), count
    half_tip = HALF / count  # angles in turns
    lean = HALF / fused(bluntness, _TWO - count, count)
    span = tips  # half tips that are not folded yet, of a half plane
    for mirror in range(SDF_MIRRORS):
        row[_MIRROR + 2 * mirror] = ZERO
        row[_MIRROR + 2 * mirror + 1] = ZERO
        if span > 1:
            span = (span + 1) >> 1
            lay_mirror(row, mirror, np.float32(span) * half_tip)
    dx, dy = sine_of_turns(lean - half_tip), -cosine_of_turns(lean - half_tip)
    reach = HALF * radius * sine_of_turns(half_tip) / sine_of_turns(lean)
    row[_EDGE + _DX] = dx
    row[_EDGE + _DY] = dy
    row[_EDGE + _ALONG] = -fused(dy, radius, reach)
    row[_EDGE + _ACROSS] = -(dx * radius)
    row[_EDGE + _REACH] = reach


@device
def lay_circle(row, radius):
    """Profile: a circle."""
    row[_PROFILE] = np.float32(_CIRCLE)
    row[_RADIUS] = radius


@device
def sloping_run(run):
    """Length of a taper's piece, kept off 0."""
    return signed_as(most(magnitude(run), _LEAST_RUN), run)


@device
def lay_taper(row, taper, half, scale, knot):
    """Scale along z of a prism of half height ``half``: 1 at -half.

    Args:
        row: written.
        taper: SdfTaper.
        half: half the height.
        scale: at +half for a cone, at the knot for a convex or concave taper; 1 again at +half.
        knot: z of the knot. Where |knot| > half, the solid never reaches ``scale``.
    """
    row[_TAPERED] = ZERO if taper == _CONST_TAPER else ONE
    row[_KNOT], row[_KNOT_SCALE] = ZERO, ONE
    row[_SLOPE_BELOW], row[_SLOPE_ABOVE] = ZERO, ZERO
    if taper == _CONE_TAPER:
        row[_KNOT] = -half
        row[_SLOPE_BELOW] = (scale - ONE) / sloping_run(half + half)
        row[_SLOPE_ABOVE] = row[_SLOPE_BELOW]
    elif taper != _CONST_TAPER:
        row[_KNOT], row[_KNOT_SCALE] = knot, scale
        row[_SLOPE_BELOW] = (scale - ONE) / sloping_run(knot + half)
        row[_SLOPE_ABOVE] = (scale - ONE) / sloping_run(knot - half)


@device
def lay_prism(row, half, onion, wall):
    """Lift: a prism; with ``onion`` 1 only a wall of ``wall`` on either side of its profile."""
    row[_LIFT] = np.float32(_PRISM)
    row[_HALF] = half
    row[_SIGN] = -ONE if onion else ONE
    row[_WALL] = wall if onion else ZERO


@device
def lay_revolution(row, offset):
    """Lift: a profile turned about the y axis at a distance of ``offset``."""
    row[_LIFT], row[_OFFSET] = np.float32(_REVOLVE), offset


@device
def lay_sphere(row, radius):
    """Lift: a sphere, as the two that follow without a profile."""
    row[_LIFT], row[_RADIUS] = np.float32(_SPHERE), radius


@device
def lay_octahedron(row, size, slope):
    """Corners at ``size`` > 0 on each axis; ``slope`` 1 / sqrt 3 is a distance's."""
    row[_LIFT], row[_RADIUS], row[_SLOPE] = np.float32(_OCTAHEDRON), size, slope


@device
def lay_cone(row, radius, height):
    """Base of ``radius`` at y = -height / 2, apex at y = height / 2."""
    row[_LIFT], row[_RADIUS], row[_HALF] = np.float32(_CONE), radius, HALF * height
    lay_edge(row, 0, ZERO, ZERO, -radius, height)


# What each point is evaluated with.


@device
def circle(row, x, y, scale):
    """Distance in the plane, as ``star`` and ``polygon``; the profile scaled about its origin."""
    return fused(row[_RADIUS], -scale, length(x, y))


@device
def edge_position(row, at, x, y, scale):
    """How far a point lies beyond an edge's middle and to the left of it."""
    along = fused(row[at + _DX], x, fused(row[at + _DY], y, row[at + _ALONG] * scale))
    across = fused(row[at + _DX], y, fused(row[at + _DY], -x, row[at + _ACROSS] * scale))
    return along, across


@device
def edge_square(row, at, along, across, scale):
    """Squared distance to an edge."""
    reach = row[at + _REACH] * scale
    past = most(magnitude(along), reach) - reach
    return fused(across, across, past * past)


@device
def star(row, x, y, scale):
    """Folded onto the half tip right of +y, whose edge runs from the tip to the valley.

    The sign is the side of the edge's line, also where the nearest point is one of its ends.
    """
    x = magnitude(x)
    for mirror in range(SDF_MIRRORS):
        mx, my = row[_MIRROR + 2 * mirror], row[_MIRROR + 2 * mirror + 1]
        beyond = most(fused(mx, x, my * y), ZERO)
        x, y = fused(mx, -beyond, x), fused(my, -beyond, y)
    along, across = edge_position(row, _EDGE, x, y, scale)
    square = edge_square(row, _EDGE, along, across, scale)
    return signed_as(root(square + SQUARE_BIAS), across)


@device
def polygon(row, x, y, scale):
    """Nearest edge; inside by the parity of edges crossed by the ray towards +x.

    An edge is crossed where its ends lie on two sides of the ray's line and the point on the side
    that the end's sign tells: all sign bits of floats, so that no comparison is needed.
    """
    square = filled(x, _HUGE)
    crossed = bits_of(filled(x, ZERO))
    end = bits_of(fused(scale, row[_EDGE + _LEVEL], y))
    for edge in range(int(row[_EDGES]) - 1, -1, -1):
        at = _EDGE + _EDGE_SIZE * edge
        start = bits_of(fused(scale, row[at + _LEVEL], y))
        along, across = edge_position(row, at, x, y, scale)
        square = least(edge_square(row, at, along, across, scale), square)
        side = differing(end, bits_of(across))
        crossed = differing(crossed, both(differing(start, end), side))
        end = start
    return signed_as(root(square + SQUARE_BIAS), with_bits(crossed))


@device
def profile(row, x, y, scale):
    """Distance in the plane to the row's profile scaled about its origin."""
    kind = int(row[_PROFILE])
    if kind == _CIRCLE:
        return circle(row, x, y, scale)
    if kind == _STAR:
        return star(row, x, y, scale)
    return polygon(row, x, y, scale)


@device
def taper_scale(row, z):
    """Scale of a prism's profile at z."""
    slope = chosen(z < row[_KNOT], row[_SLOPE_BELOW], row[_SLOPE_ABOVE])
    return most(fused(slope, z - row[_KNOT], row[_KNOT_SCALE]), _LEAST_SCALE)


@device
def walled(row, across):
    """An onion's distance from that to its profile, any other's unchanged; no branch."""
    return most(across, row[_SIGN] * across) - row[_WALL]


@device
def extruded(across, along):
    """Distance to a prism from that to its side and that to its ends' slab."""
    nearest = most(across, along)
    corner = length(most(across, ZERO), most(along, ZERO))
    return chosen(nearest < ZERO, nearest, corner)


@device
def prism(row, x, y, z):
    """Along z; a true distance with a constant taper and no onion, else one within the slice.

    A constant taper's scale is exactly 1: said so, it saves the lanes their products.
    """
    if row[_TAPERED] == ZERO:
        across = profile(row, x, y, filled(x, ONE))
    else:
        across = profile(row, x, y, taper_scale(row, z))
    return extruded(walled(row, across), magnitude(z) - row[_HALF])


@device
def revolved(row, x, y, z):
    """About y; a bound where the profile meets the axis."""
    return profile(row, length(x, z) - row[_OFFSET], y, filled(x, ONE))


@device
def sphere(row, x, y, z):
    return root(fused(x, x, fused(y, y, fused(z, z, SQUARE_BIAS)))) - row[_RADIUS]


@device
def octahedron(row, x, y, z):
    """Linear in |x| + |y| + |z|: no distance, as its slope is not 1."""
    return (magnitude(x) + magnitude(y) + magnitude(z) - row[_RADIUS]) * row[_SLOPE]


@device
def cone(row, x, y, z):
    """Outside, distance to the side's edge; inside, to the nearer of side and base."""
    px, py = length(x, z) - row[_RADIUS], y + row[_HALF]
    dx, dy = row[_EDGE + _DX], row[_EDGE + _DY]
    along = clamped(fused(dx, px, dy * py), ZERO, _TWO * row[_EDGE + _REACH])
    qx, qy = fused(dx, -along, px), fused(dy, -along, py)
    side = length(qx, qy)
    return chosen(most(qx, qy) > ZERO, side, -least(side, py))


@device
def distance(row, x, y, z):
    """Signed distance of the row's solid, whatever it is."""
    lift = int(row[_LIFT])
    if lift == _SPHERE:
        return sphere(row, x, y, z)
    if lift == _OCTAHEDRON:
        return octahedron(row, x, y, z)
    if lift == _CONE:
        return cone(row, x, y, z)
    if lift == _REVOLVE:
        return revolved(row, x, y, z)
    return prism(row, x, y, z)

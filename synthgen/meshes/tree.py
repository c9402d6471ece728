"""Distances to triangles and how often they wind about a point, by a tree of boxes.

Doubles, in one fixed order of exactly rounded operations but for the arc tangent of a solid angle,
which decides a sign alone. The tree is whole: the children of node i are 2 i + 1 and 2 i + 2.

References:
    C. Ericson, "Real-time collision detection", 5.1.5: nearest point of a triangle.
    A. Van Oosterom, J. Strackee, "The solid angle of a plane triangle", 1983.
    G. Barill et al., "Fast winding numbers for soups and clouds", 2018: far nodes as dipoles.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAF = 8  # triangles, at most
_DEPTH = 64  # of a stack of nodes; halving 2^32 triangles takes 30
_FAR = 3.0  # radii away a node counts as a dipole: its share of a turn is off by about 1 %
_TINY = 1e-200  # area that a triangle may lose to rounding
_SLACK = 1 + 1e-9  # over a bound that holds but for rounding


class Tree(NamedTuple):
    """Nodes N over triangles F."""

    corners: NDArray[np.float64]  # (F, 3, 3), in the order of the leaves
    first: NDArray[np.int64]  # (N,), of a node's triangles
    last: NDArray[np.int64]  # past them
    low: NDArray[np.float64]  # (N, 3), of their box
    high: NDArray[np.float64]
    dipole: NDArray[np.float64]  # (N, 3), sum of their normals times areas
    middle: NDArray[np.float64]  # (N, 3), of their areas
    radius: NDArray[np.float64]  # (N,), of all of them about the middle


def build_tree(triangles: NDArray[np.float64]) -> Tree:
    """Tree over (F, 3, 3) corners of triangles with an area.

    Each level halves every node by the order of centroids along the axis in which they spread most.
    """
    count = len(triangles)
    levels = 0
    while count > LEAF << levels:
        levels += 1
    centroids = triangles.sum(1) / 3
    order = np.arange(count)
    for level in range(levels):
        bounds = _bounds(count, level)
        placed = centroids[order]
        spread = _over(np.maximum, placed, bounds) - _over(np.minimum, placed, bounds)
        node = np.repeat(np.arange(1 << level), np.diff(bounds))
        along_axis = placed[np.arange(count), spread.argmax(1)[node]]
        order = order[np.lexsort((along_axis, node))]
    corners = triangles[order]
    columns = [_level(corners, _bounds(count, level)) for level in range(levels + 1)]
    return Tree(corners, *(np.concatenate(column) for column in zip(*columns, strict=True)))


def _bounds(count: int, level: int) -> NDArray[np.int64]:
    """Where the nodes of a level begin, and where the last one ends."""
    return count * np.arange((1 << level) + 1) // (1 << level)


def _over(function: np.ufunc, values: NDArray[Any], bounds: NDArray[np.int64]) -> NDArray[Any]:
    """Values of all triangles of each node as one."""
    return np.asarray(function.reduceat(values, bounds[:-1], axis=0))


def _level(corners: NDArray[np.float64], bounds: NDArray[np.int64]) -> list[NDArray[Any]]:
    """The columns of a tree, without the corners, for the nodes of a level."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2
    areas = np.sqrt((normals**2).sum(1))[:, None] + _TINY
    middle = _over(np.add, areas * (corners.sum(1) / 3), bounds) / _over(np.add, areas, bounds)
    away = corners - np.repeat(middle, np.diff(bounds), axis=0)[:, None]
    return [
        bounds[:-1],
        bounds[1:],
        _over(np.minimum, corners.min(1), bounds),
        _over(np.maximum, corners.max(1), bounds),
        _over(np.add, normals, bounds),
        middle,
        np.sqrt(_over(np.maximum, (away**2).sum(2).max(1), bounds)),
    ]


@njit(nogil=True, error_model="numpy")
def cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(nogil=True, error_model="numpy")
def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(nogil=True, error_model="numpy")
def from_point(corner, point):
    """Vector from a point to a corner."""
    return corner[0] - point[0], corner[1] - point[1], corner[2] - point[2]


@njit(nogil=True, error_model="numpy")
def along(a, b, share, c, other):
    """Square of a + share b + other c."""
    x = a[0] + share * b[0] + other * c[0]
    y = a[1] + share * b[1] + other * c[1]
    z = a[2] + share * b[2] + other * c[2]
    return x * x + y * y + z * z


@njit(nogil=True, error_model="numpy")
def triangle_square(corners, point):
    """Squared distance from a point to a triangle, by the region that its nearest point is in."""
    a, b = from_point(corners[0], point), from_point(corners[1], point)
    c = from_point(corners[2], point)
    ab, ac = (b[0] - a[0], b[1] - a[1], b[2] - a[2]), (c[0] - a[0], c[1] - a[1], c[2] - a[2])
    d1, d2 = -dot(ab, a), -dot(ac, a)
    if d1 <= 0 and d2 <= 0:
        return dot(a, a)
    d3, d4 = -dot(ab, b), -dot(ac, b)
    if d3 >= 0 and d4 <= d3:
        return dot(b, b)
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        return along(a, ab, d1 / (d1 - d3), ac, 0.0)
    d5, d6 = -dot(ab, c), -dot(ac, c)
    if d6 >= 0 and d5 <= d6:
        return dot(c, c)
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        return along(a, ab, 0.0, ac, d2 / (d2 - d6))
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        share = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return along(a, ab, 1 - share, ac, share)
    total = va + vb + vc
    return along(a, ab, vb / total, ac, vc / total)


@njit(nogil=True, error_model="numpy")
def box_square(tree, node, point):
    """Squared distance from a point to a node's box."""
    square = 0.0
    for i in range(3):
        past = max(tree.low[node, i] - point[i], point[i] - tree.high[node, i])
        if past > 0:
            square += past * past
    return square


@njit(nogil=True, error_model="numpy")
def nearest_square(tree, point, bound):
    """Squared distance to the nearest triangle, which must not lie beyond ``bound`` squared."""
    best = bound
    nodes, squares = np.empty(_DEPTH, np.int64), np.empty(_DEPTH)
    nodes[0], squares[0] = 0, 0.0
    depth = 1
    while depth > 0:
        depth -= 1
        node = nodes[depth]
        if squares[depth] >= best:
            continue
        near = 2 * node + 1
        if near >= tree.radius.size:
            for i in range(tree.first[node], tree.last[node]):
                square = triangle_square(tree.corners[i], point)
                if square < best:  # not where the corners are one point, which gives NaN
                    best = square
            continue
        far = near + 1
        near_square, far_square = box_square(tree, near, point), box_square(tree, far, point)
        if far_square < near_square:
            near, far = far, near
            near_square, far_square = far_square, near_square
        nodes[depth], squares[depth] = far, far_square
        nodes[depth + 1], squares[depth + 1] = near, near_square
        depth += 2
    return best


@njit(nogil=True, error_model="numpy")
def solid_angle(corners, point):
    """Signed solid angle of a triangle, positive from behind, in units of 4 pi."""
    a, b = from_point(corners[0], point), from_point(corners[1], point)
    c = from_point(corners[2], point)
    la, lb, lc = math.sqrt(dot(a, a)), math.sqrt(dot(b, b)), math.sqrt(dot(c, c))
    below = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
    return math.atan2(dot(a, cross(b, c)), below) / (2 * math.pi)


@njit(nogil=True, error_model="numpy")
def winding(tree, point):
    """How many times the triangles wind about a point: 1 within a closed mesh, 0 outside."""
    total = 0.0
    nodes = np.empty(_DEPTH, np.int64)
    nodes[0] = 0
    depth = 1
    while depth > 0:
        depth -= 1
        node = nodes[depth]
        away = from_point(tree.middle[node], point)
        square = dot(away, away)
        if square > (_FAR * tree.radius[node]) ** 2:
            total += dot(tree.dipole[node], away) / (4 * math.pi * square * math.sqrt(square))
        elif 2 * node + 1 >= tree.radius.size:
            for i in range(tree.first[node], tree.last[node]):
                total += solid_angle(tree.corners[i], point)
        else:
            nodes[depth], nodes[depth + 1] = 2 * node + 2, 2 * node + 1
            depth += 2
    return total


@njit(nogil=True, error_model="numpy")
def within_box(tree, point):
    for i in range(3):
        if point[i] < tree.low[0, i] or point[i] > tree.high[0, i]:
            return False
    return True


@njit(nogil=True, error_model="numpy")
def fill_distances(tree, first, last, out):
    """Signed distances at lattice points of the cube -1 .. 1.

    Inside is where the triangles wind more than half about a point, in either sense, and outside
    all that is not in their box. From one point to the next the distance grows by at most a step,
    which bounds the search.

    Args:
        tree: see ``build_tree``.
        first: layer of the lattice, along z, to begin with; ``last`` is past the end.
        last: see ``first``.
        out: (R, R, R) float64, written, in the order z, y, x.
    """
    side = out.shape[0]
    step = 2.0 / (side - 1)
    for z in range(first, last):
        for y in range(side):
            bound = math.inf
            for x in range(side):
                point = (x * step - 1.0, y * step - 1.0, z * step - 1.0)
                away = math.sqrt(nearest_square(tree, point, bound))
                bound = ((away + step) * _SLACK) ** 2
                inside = within_box(tree, point) and abs(winding(tree, point)) > 0.5
                out[z, y, x] = -away if inside else away

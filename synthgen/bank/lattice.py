"""Distances on lattices, to voxels and to triangles, in compiled loops.

Exactly rounded operations in one fixed order, so that a bank is the same wherever it is built.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from synthgen.meshes.tree import nearest_square, winding, within_box

_SLACK = 1 + 1e-9  # over a bound that holds but for rounding


def face_distances(
    solid: NDArray[np.bool_], sides: NDArray[np.float64], limit: float
) -> NDArray[np.float32]:
    """Signed distances from the centres of voxels to the nearest face between inside and outside.

    Args:
        solid: (I, J, K).
        sides: (3,) of a voxel along each axis.
        limit: distances beyond it are cut to it.

    Returns:
        (I, J, K), negative inside.
    """
    most = limit * limit
    squares = _along_lines(np.ascontiguousarray(solid), sides[2], most)
    _widen(squares.transpose(0, 2, 1), sides[1], most)
    _widen(squares.transpose(1, 2, 0), sides[0], most)
    return np.asarray(np.copysign(np.sqrt(np.abs(squares)), squares))


@njit(nogil=True, error_model="numpy")
def _along_lines(solid, side, most):
    """Squared distances to the nearest face along the last axis, negative inside."""
    squares = np.empty(solid.shape, np.float32)
    count = solid.shape[2]
    for i in range(solid.shape[0]):
        for j in range(solid.shape[1]):
            start = 0
            for k in range(count):
                if k > 0 and solid[i, j, k] != solid[i, j, k - 1]:
                    start = k
                squares[i, j, k] = _square(k - start, side, most) if start > 0 else most
            end = count
            for k in range(count - 1, -1, -1):
                if k < count - 1 and solid[i, j, k] != solid[i, j, k + 1]:
                    end = k + 1
                if end < count:
                    squares[i, j, k] = min(squares[i, j, k], _square(end - 1 - k, side, most))
                if solid[i, j, k]:
                    squares[i, j, k] = -squares[i, j, k]
    return squares


@njit(nogil=True, error_model="numpy")
def _square(steps, side, most):
    """Squared distance to a face ``steps`` and a half away."""
    away = (steps + 0.5) * side
    return min(away * away, most)


@njit(nogil=True, error_model="numpy")
def _widen(squares, side, most):
    """Take the last axis of a view into account.

    A line falls into runs of one sign. In a run the squared distance is the least over its voxels,
    and the one past either end, of theirs (0 past the ends) plus ``_across``: the lower envelope of
    functions any two of which cross once (Felzenszwalb, Huttenlocher 2012 for parabolas).
    """
    count = squares.shape[2]
    line = np.empty(count)
    places, starts = np.empty(count + 2, np.int64), np.empty(count + 2, np.int64)
    for i in range(squares.shape[0]):
        for j in range(squares.shape[1]):
            for k in range(count):
                line[k] = squares[i, j, k]
            first = 0
            for last in range(1, count + 1):
                if last == count or (line[last] < 0) != (line[first] < 0):
                    _widen_run(line, first, last, side, most, places, starts, squares[i, j])
                    first = last


@njit(nogil=True, error_model="numpy")
def _widen_run(line, first, last, side, most, places, starts, out):
    """Values of a run of one sign; ``places`` and ``starts`` are the envelope, scratch."""
    sign = -1.0 if line[first] < 0 else 1.0
    size = 0
    for place in range(max(first - 1, 0), min(last + 1, line.size)):
        square = max(line[place] * sign, 0.0)
        if square >= most:
            continue
        start = first
        while size > 0:
            other = places[size - 1]
            gained = (square - max(line[other] * sign, 0.0)) / (side * side)
            start = max(_crossing(other, place, gained), first)
            if start > starts[size - 1]:
                break
            size -= 1
            start = first
        places[size], starts[size] = place, start
        size += 1
    now = 0
    for place in range(first, last):
        while now + 1 < size and starts[now + 1] <= place:
            now += 1
        best = most
        if size > 0:
            best = min(max(line[places[now]] * sign, 0.0) + _across(place, places[now], side), most)
        out[place] = best * sign


@njit(nogil=True, error_model="numpy")
def _across(place, other, side):
    """Squared distance from a voxel's centre to the nearest face of another one in its line."""
    away = (abs(place - other) - 0.5) * side
    return away * away if place != other else 0.0


@njit(nogil=True, error_model="numpy")
def _crossing(p, q, gained):
    """First place x with across(x, p) - across(x, q) >= gained, in squares of a side; p < q."""
    n = q - p
    half = (n - 0.5) * (n - 0.5)
    if gained > half:
        return max(np.int64(math.ceil((gained / n + p + q + 1) / 2)), q + 1)
    if gained > ((n - 1) * (n - 2) if n > 1 else -half):
        return q
    if gained > -half:
        return max(np.int64(math.ceil((gained / (n - 1) + p + q) / 2)), p + 1)
    if gained > -n * (n + 1):
        return p
    return np.int64(math.ceil((gained / n + p + q - 1) / 2))


@njit(nogil=True, error_model="numpy")
def resample(values, origin, step, out):
    """Linear interpolation on another lattice; positions are clamped to the values.

    Args:
        values: (I, J, K) float32, two or more along each axis.
        origin: (3,) float64, position of ``out[0, 0, 0]`` among the values.
        step: (3, 3) float64, how it moves (columns) along each axis of ``out``.
        out: (A, B, C) float32, written.
    """
    for a in range(out.shape[0]):
        for b in range(out.shape[1]):
            for c in range(out.shape[2]):
                i, u = _cell(origin, step, 0, a, b, c, values.shape[0])
                j, v = _cell(origin, step, 1, a, b, c, values.shape[1])
                k, w = _cell(origin, step, 2, a, b, c, values.shape[2])
                near = _mixed(_at(values, i, j, k, w), _at(values, i, j + 1, k, w), v)
                far = _mixed(_at(values, i + 1, j, k, w), _at(values, i + 1, j + 1, k, w), v)
                out[a, b, c] = _mixed(near, far, u)


@njit(nogil=True, error_model="numpy")
def _cell(origin, step, axis, a, b, c, count):
    """The value before a lattice point along one axis, and how far on it is, 0 to 1."""
    place = origin[axis] + step[axis, 0] * a + step[axis, 1] * b + step[axis, 2] * c
    place = min(max(place, 0.0), count - 1.0)
    before = min(np.int64(place), count - 2)
    return before, place - before


@njit(nogil=True, error_model="numpy")
def _at(values, i, j, k, share):
    return _mixed(values[i, j, k], values[i, j, k + 1], share)


@njit(nogil=True, error_model="numpy")
def _mixed(a, b, share):
    return a + share * (b - a)


@njit(nogil=True, error_model="numpy")
def triangle_distances(tree, first, spacing, limit, layer, out):
    """Signed distances to triangles in one layer of a lattice, as ``meshes.tree.fill_distances``.

    Args:
        tree: see ``meshes.tree.build_tree``; mm.
        first: (3,) int64, lattice point of ``out[0, 0, 0]``, z y x.
        spacing: between lattice points, mm.
        limit: distances beyond it are cut to it.
        layer: of the lattice, along z.
        out: (D, H, W) float32, its layer is written.
    """
    z = (first[0] + layer) * spacing
    for j in range(out.shape[1]):
        bound = limit * limit
        for i in range(out.shape[2]):
            point = ((first[2] + i) * spacing, (first[1] + j) * spacing, z)
            away = math.sqrt(nearest_square(tree, point, bound))
            bound = min(((away + spacing) * _SLACK) ** 2, limit * limit)
            inside = within_box(tree, point) and abs(winding(tree, point)) > 0.5
            out[layer, j, i] = -away if inside else away


@njit(nogil=True, error_model="numpy")
def spread_points(points, centre, count):
    """Farthest points first: the one farthest from the centre, then always from those chosen.

    Args:
        points: (n, 3) int64, n > 0.
        centre: (3,) int64.
        count: to choose; where there are fewer points they repeat.

    Returns:
        (count,) int64, their numbers.
    """
    chosen, far = np.zeros(count, np.int64), np.full(points.shape[0], np.int64(2) ** 62)
    last = centre
    for n in range(count):
        best, most = 0, np.int64(-1)
        for i in range(points.shape[0]):
            square = np.int64(0)
            for axis in range(3):
                square += (points[i, axis] - last[axis]) ** 2
            if n == 1:  # from here on the centre does not count
                far[i] = square
            far[i] = min(far[i], square)
            if far[i] > most:
                best, most = i, far[i]
        chosen[n] = best
        last = points[best]
    return chosen

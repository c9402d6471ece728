"""What is kept of one shape besides its distances, from those alone, in whole numbers."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.bank import CENTRE_UNIT, UNIT, slope_of
from synthgen.kernels.anatomy_records import BANK_POINTS

_SWEEPS = 8  # of Jacobi's method for 3 x 3; it has converged after 5
_AXIS_UNIT = 65536


@dataclass(frozen=True)
class Measured:
    """One shape; z, y, x.

    Attributes:
        grid: (D, H, W) int16, 1/16 lattice step.
        centre: (3,) int64, centroid in the grid, 1/4096 lattice step.
        slope: see ``bank.slope_of``.
        box: (6,) float32, see ``Bank.boxes``.
        points: (BANK_POINTS, 3) float32, see ``Bank.points``.
        volume: mm^3.
        axes: (3, 3) float64, see ``Bank.axes``.
    """

    grid: NDArray[np.int16]
    centre: NDArray[np.int64]
    slope: int
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    volume: float
    axes: NDArray[np.float64]


def measured(grid: NDArray[np.int16], spacing: float) -> Measured:
    """Measure a grid with some lattice point inside; lengths in mm by ``spacing``."""
    from synthgen.bank.lattice import spread_points

    filling = np.clip(UNIT // 2 - grid, 0, UNIT)  # of a lattice cell, as if its surface were flat
    sums = [filling.sum((1, 2), dtype=np.int64), filling.sum((0, 2), dtype=np.int64)]
    sums.append(filling.sum((0, 1), dtype=np.int64))
    total = int(sums[0].sum())
    moments = [int((line * np.arange(len(line))).sum()) for line in sums]
    centre = np.array([(2 * CENTRE_UNIT * m + total) // (2 * total) for m in moments], np.int64)
    surface = _surface(grid)
    unit = CENTRE_UNIT // UNIT
    chosen = surface[spread_points(surface, (centre + unit // 2) // unit, BANK_POINTS)]
    ends = [surface.min(0) - 1, surface.max(0) + 1]  # as crossings are rounded
    step = spacing / CENTRE_UNIT
    return Measured(
        grid,
        centre,
        slope_of(grid),
        np.concatenate([(end * unit - centre) * step for end in ends]).astype(np.float32),
        ((chosen * unit - centre) * step).astype(np.float32),
        total / UNIT * spacing**3,
        _principal_axes(filling, moments, total),
    )


def _surface(grid: NDArray[np.int16]) -> NDArray[np.int64]:
    """Where the surface crosses the lattice's edges, (n, 3) in 1/16 lattice step."""
    found = []
    for axis in range(3):
        along = np.moveaxis(grid, axis, 0)
        crossed = np.moveaxis((along[1:] < 0) != (along[:-1] < 0), 0, axis)
        places = np.argwhere(crossed)
        before = grid[tuple(places.T)].astype(np.int64)
        ahead = places.copy()
        ahead[:, axis] += 1
        after = grid[tuple(ahead.T)].astype(np.int64)
        places *= UNIT
        places[:, axis] += (2 * UNIT * before // (before - after) + 1) // 2
        found.append(places)
    return np.concatenate(found)


def _principal_axes(
    filling: NDArray[np.int16], moments: list[int], total: int
) -> NDArray[np.float64]:
    """Unit vectors of the covariance, the longest first; of either sense the mostly positive."""
    spread = np.empty((3, 3))
    for i in range(3):
        for j in range(i, 3):
            plane = filling.sum(tuple({0, 1, 2} - {i, j}), dtype=np.int64)
            if i == j:
                second = int((plane * np.arange(len(plane)) ** 2).sum())
            else:
                rows, columns = (np.arange(n) for n in plane.shape)
                second = int((plane * rows[:, None] * columns).sum())
            # In whole numbers as far as can be: what is left is far smaller than what is taken.
            spread[i, j] = spread[j, i] = (second * total - moments[i] * moments[j]) / total**2
    values, vectors = _eigen(spread)
    order = sorted(range(3), key=lambda i: (-values[i], i))
    axes = np.rint(vectors[:, order].T * _AXIS_UNIT) / _AXIS_UNIT + 0.0
    for axis in axes:
        if axis[np.abs(axis).argmax()] < 0:
            axis *= -1.0
    return axes + 0.0


def _eigen(matrix: NDArray[np.float64]) -> tuple[list[float], NDArray[np.float64]]:
    """Eigenvalues and vectors (columns) of a symmetric 3 x 3 matrix by Jacobi's rotations.

    By exactly rounded operations in a fixed order, which LAPACK does not promise.
    """
    a = matrix.copy()
    vectors = np.eye(3)
    for _ in range(_SWEEPS):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            if abs(a[p, q]) <= 1e-30 * abs(a[p, p] + a[q, q]):
                continue
            ratio = (a[q, q] - a[p, p]) / (2 * a[p, q])
            tangent = math.copysign(1.0, ratio) / (abs(ratio) + math.sqrt(ratio * ratio + 1))
            cosine = 1 / math.sqrt(tangent * tangent + 1)
            sine = tangent * cosine
            for columns in (a, a.T, vectors):
                first, second = columns[:, p].copy(), columns[:, q].copy()
                columns[:, p] = cosine * first - sine * second
                columns[:, q] = sine * first + cosine * second
    return [float(a[i, i]) for i in range(3)], vectors

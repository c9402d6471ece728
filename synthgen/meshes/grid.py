"""A mesh as a lattice of signed distances, as ``kernels/sdf_grid`` reads it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from synthgen.cores import available_cores
from synthgen.kernels.sdf_records import GRID_EXTENT, GRID_SIDE_MAX

SIDE_MIN = 8
VERSION = 1  # of the grids that a mesh gives
_QUANTUM = 2.0**-24  # see kernels/sdf_grid


def check_resolution(resolution: int) -> None:
    """Refuse a number of lattice points along an axis that grids cannot have."""
    if not SIDE_MIN <= resolution <= GRID_SIDE_MAX:
        raise ValueError(f"resolution: must be {SIDE_MIN} to {GRID_SIDE_MAX}, got {resolution}")


def normalised(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (..., 3) with the middle of their box at 0 and its longest half extent GRID_EXTENT."""
    axes = tuple(range(points.ndim - 1))
    low, high = points.min(axes), points.max(axes)
    half = float((high - low).max()) / 2
    if half <= 0:
        raise ValueError("vertices: must not all lie in one point")
    return np.asarray((points - (low + high) / 2) / half * GRID_EXTENT)


def signed_distance_grid(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], resolution: int
) -> NDArray[np.float32]:
    """Signed distances to a mesh on a lattice over the cube -1 .. 1, negative inside.

    The size is the exact distance to the nearest triangle. Inside is where the generalised winding
    number is above 1/2 in size: it is that of the solid for a closed mesh, whatever the sense of
    its triangles, and closes the holes of an open one by the surface where it is 1/2. Outside the
    mesh's bounding box nothing is inside.

    Args:
        vertices: (V, 3) x, y, z, those in use finite; ``normalised`` here.
        faces: (F, 3) indices of vertices, F > 0, no triangle without an area.
        resolution: lattice points along an axis, R.

    Returns:
        (R, R, R) in the order z, y, x, multiples of 2^-24.
    """
    check_resolution(resolution)
    from synthgen.meshes.tree import build_tree, fill_distances

    tree, distances = build_tree(normalised(vertices[faces])), np.empty((resolution,) * 3)
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(lambda z: fill_distances(tree, z, z + 1, distances), range(resolution)))
    return np.asarray(np.round(distances / _QUANTUM) * _QUANTUM + 0.0, np.float32)

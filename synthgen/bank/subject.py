"""What is read of one person: solids with names, nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.meshes import Mesh


@dataclass(frozen=True)
class Mask:
    """A solid as voxels.

    Attributes:
        voxels: (I, J, K) bool, cut to what is inside, in the order of the file.
        affine: (4, 4) float64, from voxel indices (i, j, k) to RAS mm (x, y, z).
    """

    voxels: NDArray[np.bool_]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class Subject:
    """One person.

    Attributes:
        parts: a solid for each structure by name; meshes are closed, in RAS mm (x, y, z).
        body: (2, 3) float64, first and last corner (z, y, x; RAS mm) of the box around all that is
            labelled, structures that are left out included.
    """

    parts: Mapping[str, Mask | Mesh]
    body: NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Signed distances on the lattice whose point (k, j, i) lies at (k, j, i) * spacing, RAS mm.

    Attributes:
        distance: (D, H, W) float32, z y x, mm, negative inside.
        first: lattice point of ``distance[0, 0, 0]``, z y x.
    """

    distance: NDArray[np.float32]
    first: tuple[int, int, int]

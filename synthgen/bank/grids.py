"""A solid as a grid of signed distances on the one lattice of all structures and subjects."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.bank import CLIP, UNIT
from synthgen.bank.subject import Grid, Mask
from synthgen.cores import available_cores
from synthgen.meshes import Mesh

MARGIN = 8  # lattice points about a solid
VALUES_MAX = 2**28  # of a grid
_VOXELS_MAX = 2**27  # of a mask in its own voxels, margin included
_STRAIGHT = 1e-3  # cosine between axes that counts as a right angle
_FINEST = 8  # voxels a lattice step; finer ones are joined
_COARSER = 1.1  # times longer, where voxels are too many


def structure_grid(solid: Mask | Mesh, spacing: float) -> Grid:
    """The exact distances to a solid's surface, on the lattice.

    The surface of a mask is that of its voxels: distances are exact at their centres, and linear
    in between. Voxels that are no boxes (a sheared affine), or far finer than the lattice, are
    sampled anew before. Inside a mesh is where its triangles wind more than half about a point.

    Args:
        spacing: of the lattice, mm.

    Returns:
        Distances up to 32 lattice steps, with ``MARGIN`` lattice points about the solid.

    Raises:
        ValueError: the solid is empty, or its grid would have more than ``VALUES_MAX`` values.
    """
    return _of_mesh(solid, spacing) if isinstance(solid, Mesh) else _of_mask(solid, spacing)


def grid_size(solid: Mask | Mesh, spacing: float) -> int:
    """About how many values a solid's grid will have.

    Raises:
        ValueError: more than ``VALUES_MAX``.
    """
    points = solid.vertices if isinstance(solid, Mesh) else _corners(solid)
    return math.prod(_lattice_box(points, spacing)[1])


def _of_mesh(mesh: Mesh, spacing: float) -> Grid:
    from synthgen.bank.lattice import triangle_distances
    from synthgen.meshes.tree import build_tree

    first, shape = _lattice_box(mesh.vertices, spacing)
    tree, distance = build_tree(mesh.vertices[mesh.faces]), np.empty(shape, np.float32)
    limit = _limit(spacing)
    origin = np.array(first)
    with ThreadPoolExecutor(available_cores()) as pool:
        fill = partial(triangle_distances, tree, origin, spacing, limit)
        list(pool.map(lambda layer: fill(layer, distance), range(shape[0])))
    return Grid(distance, first)


def _of_mask(mask: Mask, spacing: float) -> Grid:
    from synthgen.bank.lattice import face_distances, resample

    if not mask.voxels.any():
        raise ValueError("voxels: must not all be outside")
    mask = _usable(mask, spacing)
    first, shape = _lattice_box(_corners(mask), spacing)
    pads = _pads(mask, first, shape, spacing)
    sides = np.sqrt((mask.affine[:3, :3] ** 2).sum(0))
    values = face_distances(np.pad(mask.voxels, pads), sides, _limit(spacing))
    distance = np.empty(shape, np.float32)
    origin, step = _positions(mask.affine, first, spacing)
    resample(values, origin + [low for low, _ in pads], step, distance)
    return Grid(distance, first)


def _limit(spacing: float) -> float:
    return CLIP / UNIT * spacing


def _usable(mask: Mask, spacing: float) -> Mask:
    """The mask, or where its voxels do not suit, one of cubes along the axes of the body."""
    axes = mask.affine[:3, :3]
    sides = np.sqrt((axes**2).sum(0))
    cosines = (axes / sides).T @ (axes / sides) - np.eye(3)
    if (
        np.abs(cosines).max() < _STRAIGHT
        and sides.min() * _FINEST >= spacing
        and _padded(mask, spacing) <= _VOXELS_MAX
    ):
        return mask
    return _straightened(
        mask, _fitting(mask, max(float(sides.min()), 2 * spacing / _FINEST), spacing)
    )


def _padded(mask: Mask, spacing: float) -> int:
    """The voxels of a mask that covers its lattice box."""
    pads = _pads(mask, *_lattice_box(_corners(mask), spacing), spacing)
    return math.prod(n + sum(pad) for n, pad in zip(mask.voxels.shape, pads, strict=True))


def _fitting(mask: Mask, side: float, spacing: float) -> float:
    """The side of cubes, this one or longer, that are few enough to cover a mask's lattice box."""
    extents = np.ptp(_corners(mask), axis=0)
    # Margins of both lattices, and what each rounds up.
    while np.prod(extents / side + 2 * (MARGIN + 2) * (1 + spacing / side)) > _VOXELS_MAX:
        side *= _COARSER
    return side


def _straightened(mask: Mask, side: float) -> Mask:
    from synthgen.bank.lattice import resample

    first, shape = _lattice_box(_corners(mask), side)
    origin, step = _positions(mask.affine, first, side)
    share = np.empty(shape, np.float32)
    values = np.pad(mask.voxels, 1).astype(np.float32)
    resample(values, origin + 1, step, share)
    affine = np.diag([side, side, side, 1.0])
    affine[:3, 3] = np.array(first[::-1]) * side
    return Mask(np.ascontiguousarray((share >= 0.5).transpose(2, 1, 0)), affine)


def _corners(mask: Mask) -> NDArray[np.float64]:
    """The corners of its box, (8, 3) x y z, mm."""
    ends = [(-0.5, n - 0.5) for n in mask.voxels.shape]
    return _moved(mask.affine, np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3))


def _moved(affine: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (n, 3) by an affine map, one operation after the other."""
    columns = [points[:, i, None] * affine[:3, i] for i in range(3)]
    return np.asarray(columns[0] + columns[1] + columns[2] + affine[:3, 3])


def _lattice_box(
    points: NDArray[np.float64], spacing: float
) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First lattice point and shape, z y x, of the box about points (n, 3) x y z and its margin."""
    low = np.floor(points.min(0) / spacing) - MARGIN
    high = np.ceil(points.max(0) / spacing) + MARGIN
    if not math.prod((high - low + 1).tolist()) <= VALUES_MAX:
        sides = [f"{side:.0f}" for side in points.max(0) - points.min(0)]
        raise ValueError(
            f"spacing: grids must have at most {VALUES_MAX} values, got {spacing} mm for a "
            f"structure of {' x '.join(sides)} mm"
        )
    z, y, x = (int(value) for value in low[::-1])
    depth, height, width = (int(value) for value in (high - low + 1)[::-1])
    return (z, y, x), (depth, height, width)


def _pads(
    mask: Mask, first: Sequence[int], shape: Sequence[int], spacing: float
) -> list[tuple[int, int]]:
    """Voxels to add before and after along each axis, so that a lattice box is covered."""
    ends = [(start * spacing, (start + n - 1) * spacing) for start, n in zip(first, shape)][::-1]  # noqa: B905
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3)
    places = _moved(_inverse(mask.affine), corners)
    return [
        (max(1, math.ceil(-low)), max(1, math.ceil(high - n + 1)))
        for low, high, n in zip(places.min(0), places.max(0), mask.voxels.shape, strict=True)
    ]


def _positions(
    affine: NDArray[np.float64], first: Sequence[int], spacing: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxel position of a lattice's first point, and how it moves along z, y, x."""
    inverse = _inverse(affine)
    start = np.array([first[::-1]], np.float64) * spacing
    return _moved(inverse, start)[0], np.ascontiguousarray(inverse[:3, 2::-1] * spacing)


def _inverse(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """By cofactors, so that it is the same everywhere."""
    a, b, c = affine[:3, :3].T
    across = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)])
    size = a[0] * across[0, 0] + a[1] * across[0, 1] + a[2] * across[0, 2]
    inverse = np.eye(4)
    inverse[:3, :3] = across / size
    shift = _moved(inverse, -affine[None, :3, 3])
    inverse[:3, 3] = shift[0]
    return inverse


def filled(container: Grid, contents: Sequence[Grid], spacing: float) -> Grid:
    """The distances to a container and its contents as one solid.

    Outside, and inside near the surface of the whole, that is the least distance to its parts. It
    has no surface where they meet: deeper inside it is the distance to the outermost lattice
    points that are inside.
    """
    from synthgen.bank.lattice import face_distances

    parts = [container, *contents]
    first = np.min([part.first for part in parts], axis=0)
    past = np.max([np.add(part.first, part.distance.shape) for part in parts], axis=0)
    # No part is nearer than its margin where its grid has ended.
    least = np.full(past - first, MARGIN * spacing, np.float32)
    for part in parts:
        place = least[_window(np.subtract(part.first, first), part.distance.shape)]
        np.minimum(place, part.distance, out=place)
    whole = face_distances(least <= 0, np.full(3, spacing), _limit(spacing))
    # Half a diagonal: by so much may the faces of lattice cells lie within the surface.
    distance = np.minimum(least, whole + np.float32(math.sqrt(3) / 2 * spacing))
    z, y, x = (int(start) for start in first)
    return Grid(distance, (z, y, x))


def _window(first: NDArray[np.int64], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(a) + n) for a, n in zip(first, shape, strict=True))


def quantised(grid: Grid, spacing: float) -> NDArray[np.int16]:
    """Its distances in 1/16 of a lattice step, cut to 32 steps: (D, H, W)."""
    values = np.rint(grid.distance * np.float32(UNIT / spacing))
    return np.asarray(np.clip(values, -CLIP, CLIP), np.int16)

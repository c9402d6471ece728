"""Masks: their boxes, and the specks in them."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.subject import Mask

SPECK_VOXELS = 64  # a component below both is left out
SPECK_SHARE = 0.10  # of the largest


def scipy_images() -> Any:
    """``scipy.ndimage``.

    Raises:
        RuntimeError: SciPy is not installed.
    """
    try:
        return import_module("scipy.ndimage")
    except ImportError as error:
        raise RuntimeError(f"banks need SciPy: pip install 'synthgen[bank]' ({error})") from None


def without_specks(voxels: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """A mask without small components (voxels that share a corner are of one).

    Returns:
        The mask, and how many components were left out, of how many voxels together.
    """
    labels, count = scipy_images().label(voxels, np.ones((3, 3, 3), bool))
    if count < 2:
        return voxels, (0, 0)
    found = labels[voxels]
    sizes = np.bincount(found, minlength=count + 1)[1:]
    specks = (sizes < SPECK_VOXELS) & (sizes < SPECK_SHARE * sizes.max())
    if not specks.any():
        return voxels, (0, 0)
    kept = voxels.copy()
    kept[voxels] = ~specks[found - 1]
    return kept, (int(specks.sum()), int(sizes[specks].sum()))


def cut_to_box(voxels: NDArray[np.bool_], affine: NDArray[np.float64]) -> Mask:
    """A mask that is not empty, cut to what is inside."""
    first, last = inner_box(voxels)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ first
    box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return Mask(voxels[box], moved)


def inner_box(voxels: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index along each axis at which a mask that is not empty has a voxel."""
    first, last = [], []
    for axis in range(3):
        planes = np.flatnonzero(np.any(voxels, tuple(a for a in range(3) if a != axis)))
        first.append(planes[0])
        last.append(planes[-1])
    return np.array(first, np.int64), np.array(last, np.int64)


def box_of(mask: Mask) -> NDArray[np.float64]:
    """(2, 3) first and last corner, z y x, of the box around a mask's voxels; RAS mm.

    The voxels' own corners count, whichever way they are turned.
    """
    turn = mask.affine[:3, :3]
    row = np.asarray(mask.voxels.any(0))
    first = mask.voxels.argmax(0)[row]
    last = mask.voxels.shape[0] - 1 - mask.voxels[::-1].argmax(0)[row]
    j, k = np.nonzero(row)
    half = np.abs(turn).sum(1) / 2
    ends = np.stack([np.stack([i, j, k]).astype(np.float64) for i in (first, last)])
    places = turn @ ends + mask.affine[:3, 3:]
    corners = np.stack([places.min((0, 2)) - half, places.max((0, 2)) + half])
    return np.asarray(corners[:, ::-1])

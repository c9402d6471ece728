"""Masks: their boxes, and the specks in them."""

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.components import drop_specks
from synthgen.bank.subject import Mask


def without_specks(voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without components that are small against its largest."""
    labels = voxels.astype(np.uint16, order="C")
    drop_specks(labels, 1)
    return labels.astype(bool)


def cut_to_box(voxels: NDArray[np.bool_], affine: NDArray[np.float64]) -> Mask:
    """A mask that is not empty, cut to what is inside."""
    first, last = inner_box(voxels)
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ first
    box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    return Mask(np.array(voxels[box], order="K"), moved)  # no view, which would keep all of it


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
    if np.count_nonzero(turn) == 3:  # straight: the box of the voxels
        ends = np.stack(inner_box(mask.voxels)) + np.array([[-0.5], [0.5]])
        places = ends @ turn.T + mask.affine[:3, 3]
        return np.asarray(np.sort(places, 0)[:, ::-1])
    row = np.asarray(mask.voxels.any(0))
    first = mask.voxels.argmax(0)[row]
    last = mask.voxels.shape[0] - 1 - mask.voxels[::-1].argmax(0)[row]
    j, k = np.nonzero(row)
    half = np.abs(turn).sum(1) / 2
    ends = np.stack([np.stack([i, j, k]).astype(np.float64) for i in (first, last)])
    places = turn @ ends + mask.affine[:3, 3:]
    corners = np.stack([places.min((0, 2)) - half, places.max((0, 2)) + half])
    return np.asarray(corners[:, ::-1])

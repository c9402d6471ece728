"""Connected components of all structures of a label map at once.

A run is a row of equal labels; two of them are joined if they have the same label and a voxel of
one shares a corner with one of the other. So a graph of runs tells all; a pass over the box of each
structure would take twice as long.
"""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.volume_file import FileError

RUNS_MAX = 2**25  # of a label map; an image has more
SPECK_VOXELS = 64  # a component below both is a speck
SPECK_SHARE = 0.10  # of its structure's largest

_SLAB = 2**22  # voxels that are compared at a time
_BEFORE = ((0, -1), (-1, -1), (-1, 0), (-1, 1))  # rows that touch one, of those before it: z, y


def drop_specks(labels: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
    """Set specks to 0.

    Args:
        labels: (D, H, W), C order, at most ``count``, 0 where there is none, of 2^30 voxels at
            most; changed in place.

    Returns:
        (count + 1, 2): how many components of each label were dropped, and of how many voxels.

    Raises:
        FileError: it has so many runs that it is an image.
        RuntimeError: SciPy is not installed.
    """
    runs = _run_count(labels)
    if runs > RUNS_MAX:
        raise FileError(
            f"is an image, not a label map: {runs:,} runs of equal labels, at most {RUNS_MAX:,}"
        )
    lost = np.zeros((count + 1, 2), np.int64)
    first, length = _runs(labels)
    label = labels.reshape(-1)[first]
    component = _components(first, length, label, labels.shape)
    if len(component) == 0:
        return lost
    sizes = np.bincount(component, length).astype(np.int64)
    kind = np.zeros(len(sizes), np.uint16)
    kind[component] = label
    largest = np.zeros(count + 1, np.int64)
    np.maximum.at(largest, kind, sizes)
    specks = (sizes < SPECK_VOXELS) & (sizes < SPECK_SHARE * largest[kind])
    np.add.at(lost, kind[specks], np.stack([np.ones_like(sizes), sizes], 1)[specks])
    gone = specks[component]
    labels.reshape(-1)[_ranges(first[gone], length[gone])] = 0
    return lost


def _run_count(labels: NDArray[np.uint16]) -> int:
    """How many runs there are, without a list of them."""
    depth, height, width = labels.shape
    rows, count = labels.reshape(-1, width), 0
    step = max(1, _SLAB // width)
    for low in range(0, depth * height, step):
        slab = rows[low : low + step]
        count += int(np.count_nonzero(slab[:, 0]))
        count += int(np.count_nonzero((slab[:, 1:] != slab[:, :-1]) & (slab[:, 1:] != 0)))
    return count


def _runs(labels: NDArray[np.uint16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First voxels of runs, counted over the whole map, and their lengths."""
    flat, width = labels.reshape(-1), labels.shape[2]
    change = np.empty(len(flat) + 1, bool)
    np.not_equal(flat[1:], flat[:-1], out=change[1:-1])
    change[::width] = True  # rows end, and so does the map
    bounds = np.flatnonzero(change)
    filled = flat[bounds[:-1]] != 0
    return bounds[:-1][filled], np.diff(bounds)[filled]


def _components(
    first: NDArray[np.int64],
    length: NDArray[np.int64],
    label: NDArray[np.uint16],
    shape: tuple[int, ...],
) -> NDArray[np.int32]:
    """The number of each run's component."""
    height, width = shape[1:]
    row = (first // width).astype(np.int32)
    line = row % height
    starts = first.astype(np.int32) + row  # a voxel more a row: an end is no other row's start
    stops = starts + length.astype(np.int32)
    wide = width + 1
    ones, others = [], []
    for z, y in _BEFORE:
        inside = (row >= -z * height) & (line + y >= 0) & (line + y < height)
        there = np.int32((z * height + y) * wide)
        low = np.searchsorted(stops, starts[inside] + there)
        high = np.searchsorted(starts, stops[inside] + there, "right")
        one, other = np.flatnonzero(inside).repeat(high - low), _ranges(low, high - low)
        same = label[one] == label[other]
        ones.append(one[same])
        others.append(other[same])
    one, other = np.concatenate(ones), np.concatenate(others)
    sparse = scipy_module("scipy.sparse")
    graph = sparse.coo_matrix((np.ones(len(one), bool), (one, other)), (len(first), len(first)))
    _, component = scipy_module("scipy.sparse.csgraph").connected_components(graph, directed=False)
    return np.asarray(component)


def _ranges(first: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers of ranges, one range after the other."""
    past = np.cumsum(length)
    total = int(past[-1]) if len(past) else 0
    ranges: NDArray[np.int64] = np.arange(total) + np.repeat(first - (past - length), length)
    return ranges


def scipy_module(name: str) -> Any:
    """A module of SciPy.

    Raises:
        RuntimeError: SciPy is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise RuntimeError(f"banks need SciPy: pip install 'synthgen[bank]' ({error})") from None

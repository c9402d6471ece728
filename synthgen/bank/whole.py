"""Whole label maps of the people of a bank, put together from its grids.

A bank keeps each structure in a grid of its own, all on one lattice of a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.bank import Bank, BankError
from synthgen.bank.relations import painting_order

MAPS_MAX = 2**31 - 1  # lattice points of all maps, which are counted in 32 bits
_GAP = 8  # 1/16 lattice step
BORDER = 1  # empty lattice points about a map

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class WholeMaps:
    """The people of a bank; lattice points, z y x.

    Attributes:
        maps: (S, D, H, W) uint8: 0, or 1 + the number of the structure among those that were asked
            for; the outermost points are 0.
        middles: (S, 3) float32, of the box around all that is labelled.
        sides: (S, 3) float32, of that box.
    """

    maps: NDArray[np.uint8]
    middles: NDArray[np.float32]
    sides: NDArray[np.float32]


def whole_maps(bank: Bank, names: Sequence[str]) -> WholeMaps:
    """The label maps of all people at the bank's spacing, their bodies in the middle of one shape.

    Where structures overlap, the label is that of what is inside another one, else of the smaller
    one; what ``over`` of the relations says comes first.

    Args:
        names: of structures of the bank, 255 or fewer.

    Raises:
        BankError: maps are too large.
    """
    chosen = [bank.names.index(name) for name in names]
    order = painting_order(bank.relations, names, _median_volumes(bank, chosen))
    boxes = [_box(bank, s) for s in range(bank.subjects)]
    shape = np.max([high - low for low, high in boxes], axis=0) + 2 * BORDER
    size = bank.subjects * int(np.prod(shape))
    if size > MAPS_MAX:
        raise BankError(
            f"whole maps must have at most {MAPS_MAX} lattice points, got {size}; build a bank of "
            "fewer subjects, or of a larger spacing"
        )
    maps = np.zeros((bank.subjects, *shape.tolist()), np.uint8)
    middles = np.zeros((bank.subjects, 3), np.float32)
    values = np.zeros(len(bank.names), np.uint8)
    values[chosen] = np.arange(1, len(chosen) + 1)
    for s, (low, high) in enumerate(boxes):
        start = (shape - (high - low)) // 2 - low
        middles[s] = (low + high - 1) / 2 + start
        firsts = bank.firsts[s] + start
        _close(maps[s], bank, s, firsts, values)
        for number in order:
            c = chosen[number]
            if bank.present[s, c]:
                here, part = _meeting(maps[s], bank.grid(s, c), firsts[c])
                maps[s][here][part < 0] = number + 1
    return WholeMaps(maps, middles, np.array([high - low for low, high in boxes], np.float32))


def _median_volumes(bank: Bank, chosen: Sequence[int]) -> list[float]:
    """Of each structure over the people who have it, mm^3."""
    return [float(np.median(column[column > 0])) for column in bank.volumes[:, chosen].T]


def _meeting(
    target: NDArray[Any], grid: NDArray[np.int16], first: Ints
) -> tuple[tuple[slice, ...], NDArray[np.int16]]:
    """Where a grid lies in a map, and the part of it that does; its inside does."""
    low = np.maximum(first, 0)
    high = np.minimum(first + grid.shape, target.shape)
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return here, grid[tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))]


def _close(
    target: NDArray[np.uint8], bank: Bank, subject: int, firsts: Ints, values: NDArray[np.uint8]
) -> None:
    """Set what lies between two structures nearer to each other than ``_GAP`` to the nearest one.

    Distances that were brought to another lattice leave such gaps where several structures meet.
    What is inside another structure leaves none, as that one has it, too.
    """
    nearest = np.full(target.shape, _GAP, np.int16)
    second = nearest.copy()
    contained = bank.relations.containers()
    for c in np.flatnonzero(bank.present[subject]).tolist():
        if bank.names[c] in contained:
            continue
        here, part = _meeting(target, bank.grid(subject, c), firsts[c])
        np.minimum(second[here], np.maximum(nearest[here], part), out=second[here])
        target[here][part < nearest[here]] = values[c]
        np.minimum(nearest[here], part, out=nearest[here])
    target[(nearest < 0) | (nearest + second >= _GAP)] = 0


def _box(bank: Bank, subject: int) -> tuple[Ints, Ints]:
    """First lattice point of all that is inside any structure, and the one past the last."""
    lows, highs = [], []
    for c in np.flatnonzero(bank.present[subject]).tolist():
        inside = bank.grid(subject, c) < 0
        ends = [np.flatnonzero(inside.any(axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
        low, high = np.array(ends).T
        lows.append(bank.firsts[subject, c] + low)
        highs.append(bank.firsts[subject, c] + high + 1)
    return np.min(lows, axis=0), np.max(highs, axis=0)

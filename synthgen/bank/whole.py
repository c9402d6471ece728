"""Whole label maps of the people of a bank, put together from its grids.

A bank keeps each structure in a grid of its own, all on one lattice of a person. Where a grid lies
on it is not kept, but follows: the centroids are known in their grids to 1/4096 lattice step and in
parts of the body's side, whose length is the one at which they all fit the lattice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.bank import CENTRE_UNIT, Bank, BankError
from synthgen.bank.relations import painting_order
from synthgen.kernels.anatomy_records import BankShape

MAPS_MAX = 2**31 - 1  # lattice points of all maps, which are counted in 32 bits
_GAP = 8  # 1/16 lattice step
BORDER = 1  # empty lattice points about a map
_PART = 2.0**-16  # of the body's side: unit of the centroids
_WIDEST = 4.0  # bodies by the mean one: what is left out of a bank counts as body, too
_SLACK = 16.0  # lattice steps, by which the boxes of structures may exceed the body's
_UNKNOWN = (
    "where its structures lie to each other cannot be told; build a bank of more structures, and "
    "choose among them in the recipe"
)

Floats = NDArray[np.float64]
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
        BankError: where the structures of a person lie cannot be told, or maps are too large.
    """
    chosen = [bank.names.index(name) for name in names]
    order = painting_order(bank.relations, names, _median_volumes(bank, chosen))
    firsts = _first_points(bank)
    boxes = [_box(bank, s, first) for s, first in enumerate(firsts)]
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
    for s, (first, (low, high)) in enumerate(zip(firsts, boxes, strict=True)):
        start = (shape - (high - low)) // 2 - low
        middles[s] = (low + high - 1) / 2 + start
        _close(maps[s], bank, s, first + start, values)
        for number in order:
            c = chosen[number]
            if bank.present[s, c]:
                here, part = _meeting(maps[s], bank.grid(s, c), first[c] + start)
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


def _box(bank: Bank, subject: int, firsts: Ints) -> tuple[Ints, Ints]:
    """First lattice point of all that is inside any structure, and the one past the last."""
    lows, highs = [], []
    for c in np.flatnonzero(bank.present[subject]).tolist():
        inside = bank.grid(subject, c) < 0
        ends = [np.flatnonzero(inside.any(axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1))]
        low, high = np.array(ends).T
        lows.append(firsts[c] + low)
        highs.append(firsts[c] + high + 1)
    return np.min(lows, axis=0), np.max(highs, axis=0)


def _first_points(bank: Bank) -> Ints:
    """(S, C, 3) lattice point of each grid's first sample, a person's from an origin of its own."""
    firsts = np.zeros((*bank.present.shape, 3), np.int64)
    for axis in range(3):
        sides = [_side(bank, subject, axis) for subject in range(bank.subjects)]
        _check_mean(bank, axis, sides)
        for subject, (side, _) in enumerate(sides):
            present = bank.present[subject]
            away = bank.centroids[subject, present, axis] * (side / bank.spacing)
            places = _places(bank, subject, axis)
            firsts[subject, present, axis] = np.rint((away - away[0]) - (places - places[0]))
    return firsts


def _places(bank: Bank, subject: int, axis: int) -> Floats:
    """Centroids in the grids of what a person has, lattice steps."""
    return np.asarray(
        bank.shapes[subject, bank.present[subject], BankShape.CENTRE + axis] / CENTRE_UNIT
    )


def _side(bank: Bank, subject: int, axis: int) -> tuple[float, float]:
    """The side of a person's body along an axis, and how far it may be off, mm.

    Of the sides that bring the two farthest centroids onto the lattice, those that bring all others
    there, too, as near as all was rounded; of these the one that fits the boxes of all best.
    """
    present, mean = bank.present[subject], float(bank.body[axis])
    parts, places = bank.centroids[subject, present, axis], _places(bank, subject, axis)
    first, last = int(parts.argmin()), int(parts.argmax())
    span = float(parts[last] - parts[first])
    if bank.subjects == 1:
        return mean, 0.0
    if span <= 0:  # then its length does not matter
        return mean, np.inf
    low, high = bank.boxes[subject, present].astype(np.float64)[:, [axis, 3 + axis]].T
    room = float(np.maximum(-low / parts, high / (1 - parts)).max())
    away = places[last] - places[first]
    counts = np.arange(
        np.ceil((room / bank.spacing - _SLACK) * span - away),
        np.floor(_WIDEST * mean / bank.spacing * span - away) + 1,
    )
    sides = (counts + away) / span * bank.spacing
    steps = (parts - parts[first]) * (sides / bank.spacing)[:, None] - (places - places[first])
    off = np.abs(steps - np.rint(steps)).max(1)
    # Two centroids, each rounded twice; the side is off by as much over their span.
    rounding = 4 * (_PART / 2 * sides / bank.spacing + 0.5 / CENTRE_UNIT) + 1e-6
    fits = sides[off <= rounding]
    if not len(fits):
        raise BankError(_UNKNOWN)
    reached = fits[:, None] * parts
    short = np.abs((reached + low).min(1)) + np.abs(fits - (reached + high).max(1))
    side = float(fits[short.argmin()])
    return side, (_PART * side + bank.spacing / CENTRE_UNIT) / span


def _check_mean(bank: Bank, axis: int, sides: Sequence[tuple[float, float]]) -> None:
    """Raise BankError unless the sides have the mean that the bank states."""
    total = sum(side for side, _ in sides)
    allowed = sum(off + _PART for _, off in sides)
    if abs(total - bank.subjects * float(bank.body[axis])) > allowed:
        raise BankError(_UNKNOWN)

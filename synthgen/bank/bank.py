"""A shape bank: masks of several people as grids of distances, and what they have in common.

All numbers are rounded before they are kept, so that volumes follow from a bank alone.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.relations import Relations
from synthgen.kernels.anatomy_records import BankShape

FORMAT_VERSION = 2
CENTRE_UNIT = 4096  # of centroids, a lattice step
SLOPE_UNIT = 256
UNIT = 16  # of distances, a lattice step
CLIP = 32 * UNIT  # of distances
# Of a path over neighbours; longest for its line is that to (1, sqrt(2) - 1, sqrt(3) - sqrt(2)).
_DETOUR = math.sqrt(1 + (math.sqrt(2) - 1) ** 2 + (math.sqrt(3) - math.sqrt(2)) ** 2)


class BankError(ValueError):
    """A bank cannot be built, opened or changed: one line."""


@dataclass(frozen=True, eq=False)
class Bank:
    """Shapes of C structures of S people; masks only, and nothing that tells whose they are.

    Positions in mm are RAS, in the order z, y, x. The body is the box around all that is labelled.

    Attributes:
        spacing: of the lattice, mm.
        names: of the structures, sorted.
        mirrors: (C,) int64, the structure on the other side; itself where there is none.
        body: (3,) float64, mean sides, mm.
        distances: (V,) int16, 1/16 lattice step, negative inside, cut to 32 steps; all grids one
            after the other, each z, y, x.
        shapes: (S, C, BankShape.SIZE) int64; DEPTH is 0 where a person lacks a structure.
        firsts: (S, C, 3) int64, lattice point of each grid's first value, counted from the least of
            the person's; 0 where the structure is missing.
        boxes: (S, C, 6) float32, first and last corner of the solid, from its centroid, mm.
        points: (S, C, BANK_POINTS, 3) float32, spread over the surface, from the centroid, mm.
        volumes: (S, C) float64, mm^3.
        centroids: (S, C, 3) float64, in parts of the person's body from its first corner.
        axes: (S, C, 3, 3) float64, principal axes, the longest first, each a unit vector z, y, x.
        means: (C, 3) float64, mean centroid, mm of the mean body from its first corner.
        factors: (C, 3, 3) float64, lower Cholesky factor of its covariance, mm of the mean body.
        log_volumes: (C, 2) float64, mean and sd of ln(mm^3).
        relations: learned, or as edited.
    """

    spacing: float
    names: tuple[str, ...]
    mirrors: NDArray[np.int64]
    body: NDArray[np.float64]
    distances: NDArray[np.int16]
    shapes: NDArray[np.int64]
    firsts: NDArray[np.int64]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]
    volumes: NDArray[np.float64]
    centroids: NDArray[np.float64]
    axes: NDArray[np.float64]
    means: NDArray[np.float64]
    factors: NDArray[np.float64]
    log_volumes: NDArray[np.float64]
    relations: Relations

    @property
    def subjects(self) -> int:
        """S."""
        return len(self.shapes)

    @property
    def present(self) -> NDArray[np.bool_]:
        """(S, C), whether a person has a structure."""
        return np.asarray(self.shapes[..., BankShape.DEPTH] > 0)

    def deepest(self, structure: int) -> float:
        """Largest distance of a lattice point in any person's solid from its surface, mm.

        Infinite where distances are cut.
        """
        people = np.flatnonzero(self.present[:, structure]).tolist()
        least = min((int(self.grid(subject, structure).min()) for subject in people), default=0)
        return -least / UNIT * self.spacing if least > -CLIP else math.inf

    def grid(self, subject: int, structure: int) -> NDArray[np.int16]:
        """Distances of one shape, (D, H, W); all 0 where it is missing."""
        return grid_of(self.distances, self.shapes[subject, structure])

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        total = hashlib.sha256(json.dumps(self.header(), sort_keys=True).encode())
        for name in ARRAYS:
            values = np.ascontiguousarray(getattr(self, name))
            total.update(f"{name} {values.dtype.str[1:]} {values.shape}".encode())
            total.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
        return total.hexdigest()

    def header(self) -> dict[str, Any]:
        """What is no array, as plain values."""
        return {
            "spacing": self.spacing,
            "names": list(self.names),
            "relations": self.relations.to_dict(),
        }


# The axes of each array; those of C and S have these lengths in all of them.
ARRAYS: dict[str, tuple[str, ...]] = {
    "mirrors": ("structure",),
    "body": ("axis",),
    "distances": ("value",),
    "shapes": ("subject", "structure", "column"),
    "firsts": ("subject", "structure", "axis"),
    "boxes": ("subject", "structure", "corner"),
    "points": ("subject", "structure", "point", "axis"),
    "volumes": ("subject", "structure"),
    "centroids": ("subject", "structure", "axis"),
    "axes": ("subject", "structure", "principal", "axis"),
    "means": ("structure", "axis"),
    "factors": ("structure", "row", "axis"),
    "log_volumes": ("structure", "statistic"),
}


def grid_of(distances: NDArray[np.int16], shape: NDArray[np.int64]) -> NDArray[np.int16]:
    """The grid of a row of ``shapes`` within all distances, (D, H, W)."""
    depth, height, width = (int(n) for n in shape[BankShape.DEPTH : BankShape.WIDTH + 1])
    first = int(shape[BankShape.OFFSET])
    return distances[first : first + depth * height * width].reshape(depth, height, width)


def slope_of(grid: NDArray[np.int16]) -> int:
    """How far samples differ at most for their distance, steps a step in 1/256, rounded up.

    The steepest of the differences of neighbours, diagonal ones included, times the longest detour:
    between any two samples a path over neighbours is at most that much longer than a straight line.
    """
    values = grid.astype(np.int32)
    steepest = 0.0
    for step in product((0, 1), (-1, 0, 1), (-1, 0, 1)):
        if step > (0, 0, 0):
            ahead = values[tuple(slice(max(n, 0), min(n, 0) or None) for n in step)]
            behind = values[tuple(slice(max(-n, 0), min(-n, 0) or None) for n in step)]
            most = int(np.abs(ahead - behind).max(initial=0))
            steepest = max(steepest, most / UNIT / math.sqrt(sum(n * n for n in step)))
    return math.ceil(steepest * _DETOUR * SLOPE_UNIT)


def level(bank: Bank, k: int) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """The bank at a lattice of 2^k times its spacing.

    Args:
        k: 0 is the bank itself.

    Returns:
        Every 2^k-th sample along each axis, in the steps of the coarser lattice (halves away from
        0), and the shapes (S, C, BankShape.SIZE) int64 that go with it. A last plane that is
        between samples is taken instead of the next one.
    """
    if k == 0:
        return bank.distances, bank.shapes
    shapes = np.zeros_like(bank.shapes)
    grids = [np.zeros(0, np.int16)]
    offset = 0
    for place in np.argwhere(bank.present):
        row = bank.shapes[tuple(place)]
        grid = _coarser(grid_of(bank.distances, row), k)
        centre = (row[BankShape.CENTRE : BankShape.CENTRE + 3] + (1 << k >> 1)) >> k
        shapes[tuple(place)] = [offset, *grid.shape, *centre, slope_of(grid)]
        grids.append(grid.reshape(-1))
        offset += grid.size
    return np.concatenate(grids), shapes


def _coarser(grid: NDArray[np.int16], k: int) -> NDArray[np.int16]:
    for axis, count in enumerate(grid.shape):
        places = np.minimum(np.arange(0, count - 1 + (1 << k), 1 << k), count - 1)
        grid = grid.take(places, axis)
    size = (np.abs(grid) + np.int16(1 << k >> 1)) >> np.int16(k)
    return np.where(grid < 0, -size, size).astype(np.int16)

"""Categories of fractals: random systems of affine maps, in whole numbers, so the same everywhere.

References:
    Yamada et al., "Point Cloud Pre-training with Natural 3D Structures", CVPR 2022 (PC-FractalDB),
    and its public code, ``category_search.py``: 2 to 7 maps of twelve coefficients, uniform in
    -1 .. 1, chosen with probabilities that go by their determinants' sizes; a category is kept if,
    once the coordinates of its points are scaled to -1 .. 1, the variance along each axis exceeds a
    threshold. The arithmetic is our own, and so is the rule that no point may go far, which there
    follows from the scaling.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthgen.kernels.fractal_records import (
    FRACTAL_BITS,
    FRACTAL_CHAIN_DRAWS,
    FRACTAL_COEFFICIENTS,
    FRACTAL_MAPS_MAX,
    FRACTAL_POINTS,
    FRACTAL_SLOTS,
    FRACTAL_WARM,
)
from synthgen.kernels.streams import Stream
from synthgen.rng import random_words
from synthgen.settings import RecipeError

_ONE = 1 << FRACTAL_BITS
_DRAW = 2**47  # apart from the kernels', of whatever seed
_CHAIN_DRAW = _DRAW + 2**20
_MAP_WORDS = FRACTAL_MAPS_MAX * FRACTAL_COEFFICIENTS
_CANDIDATE_DRAWS = 1 + _MAP_WORDS // 4
_BLOCK, _TRIED_MOST = 1024, 2**17  # candidates
_CHAINS = 32  # that look whether points go far, and measure
_LOOK = 8  # steps, after which systems are left out whose points went far
_STEPS = FRACTAL_WARM + FRACTAL_POINTS
_FAR, _LOST = 32 * _ONE, 2048 * _ONE  # whoever goes far comes near again only by chance
_ADDED_MOST = 16 * _ONE
_VARIANCE_BITS = 20

Integers = NDArray[np.int64]


class Systems(NamedTuple):
    """The systems of all classes, in the unit of half their fractals' longest sides.

    Attributes:
        maps: (C, FRACTAL_MAPS_MAX, FRACTAL_COEFFICIENTS) int32, 2^-20; unused ones are 0.
        slots: (C, FRACTAL_SLOTS) uint8, the map that each random byte chooses.
    """

    maps: NDArray[np.int32]
    slots: NDArray[np.uint8]


@lru_cache(maxsize=4)
def systems(
    family: int, classes: int, maps: tuple[int, int], variance: float, jitter: float
) -> Systems:
    """The first systems of a family that will do.

    Args:
        family: seed of the search.
        classes: C; more of them begin with the same.
        maps: fewest and most maps of a system.
        variance: least variance along each axis, of coordinates within -1 .. 1.
        jitter: coefficients may later grow by this part of them, and points must not go far then.

    Raises:
        RecipeError: too few are found.
    """
    found: list[tuple[Integers, NDArray[np.uint8]]] = []
    least = round(variance * 2**_VARIANCE_BITS)
    steps = _bytes(family)
    for first in range(0, _TRIED_MOST, _BLOCK):
        drawn = _candidates(family, np.arange(first, first + _BLOCK, dtype=np.uint64), maps)
        slots = _slots(drawn)
        grown = drawn + (drawn * round(jitter * 65536) >> 16)
        stays = _staying(grown, slots, steps)
        for system, choice, points in zip(
            drawn[stays], slots[stays], _visited(drawn[stays], slots[stays], steps), strict=True
        ):
            if _varied(points, least):
                scaled = _scaled(system, points)
                if abs(scaled).max() <= _ADDED_MOST:
                    found.append((scaled, choice))
        if len(found) >= classes:
            return Systems(
                np.stack([system for system, _ in found[:classes]]).astype(np.int32),
                np.stack([choice for _, choice in found[:classes]]),
            )
    raise RecipeError(
        f"shapes.variance: no more than {len(found)} of {_TRIED_MOST} fractals vary as much as "
        f"{variance} along every axis, and {classes} classes are asked; use less"
    )


def _candidates(family: int, numbers: NDArray[np.uint64], maps: tuple[int, int]) -> Integers:
    """(K, FRACTAL_MAPS_MAX, FRACTAL_COEFFICIENTS) uniform coefficients; unused maps are 0."""
    draws = np.arange(_DRAW, _DRAW + _CANDIDATE_DRAWS, dtype=np.uint64)
    words = random_words(family, numbers[:, None], Stream.FRACTAL, draws).astype(np.int64)
    low, high = maps
    counts = low + (words[:, 0, 0] * (high - low + 1) >> 32)
    drawn: Integers = (words[:, 1:].reshape(len(numbers), FRACTAL_MAPS_MAX, -1) >> 11) - _ONE
    drawn[np.arange(FRACTAL_MAPS_MAX) >= counts[:, None]] = 0
    return drawn


def _slots(maps: Integers) -> NDArray[np.uint8]:
    """Random bytes shared out to the maps of each system by the sizes of their determinants."""
    a, b, c, d, e, f, g, h, i = np.moveaxis(maps[..., :9] >> 5, -1, 0)  # products fit 64 bits
    sizes = abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)) >> 4
    ends = np.cumsum(sizes, axis=1)
    total = np.maximum(ends[:, -1:], 1)
    stops = (ends * FRACTAL_SLOTS + total // 2) // total  # of each map, the byte behind its last
    chosen = (np.arange(FRACTAL_SLOTS)[:, None] >= stops[:, None, :-1]).sum(axis=-1)
    slots: NDArray[np.uint8] = chosen.astype(np.uint8)
    return slots


def _bytes(family: int) -> NDArray[np.uint8]:
    """(chains, steps) random bytes, the same for all candidates."""
    draws = np.arange(_CHAIN_DRAW, _CHAIN_DRAW + _CHAINS * FRACTAL_CHAIN_DRAWS, dtype=np.uint64)
    words = random_words(family, 0, Stream.FRACTAL, draws)
    found: NDArray[np.uint8] = words.astype("<u4").view(np.uint8).reshape(_CHAINS, _STEPS)
    return found


def _staying(maps: Integers, slots: NDArray[np.uint8], steps: NDArray[np.uint8]) -> Integers:
    """The systems, by number, no chain of which goes far."""
    stays = np.arange(len(maps))
    at = np.zeros((3, len(maps), len(steps)), np.int64)
    for step in range(_STEPS):
        at = _stepped(maps, slots, steps[:, step], at)
        if step % _LOOK == _LOOK - 1:
            near = (abs(at) <= _FAR).all(axis=(0, 2))
            stays, maps, slots, at = stays[near], maps[near], slots[near], at[:, near]
    return stays


def _visited(maps: Integers, slots: NDArray[np.uint8], steps: NDArray[np.uint8]) -> Integers:
    """(K, points, 3): where the chains of systems went that stay near."""
    at = np.zeros((3, len(maps), len(steps)), np.int64)
    points = np.empty((len(maps), FRACTAL_POINTS, len(steps), 3), np.int64)
    for step in range(_STEPS):
        at = _stepped(maps, slots, steps[:, step], at)
        if step >= FRACTAL_WARM:
            points[:, step - FRACTAL_WARM] = at.transpose(1, 2, 0)
    return points.reshape(len(maps), -1, 3)


def _stepped(
    maps: Integers, slots: NDArray[np.uint8], step: NDArray[np.uint8], at: Integers
) -> Integers:
    """The next place of each system's chains, kept where sums fit.

    Args:
        step: (chains,), the byte of each.
        at: (3, K, chains).
    """
    m = maps[np.arange(len(maps))[:, None], slots[:, step]].transpose(2, 0, 1)
    x, y, z = at
    rows = ((m[3 * i] * x + m[3 * i + 1] * y + m[3 * i + 2] * z >> FRACTAL_BITS) + m[9 + i]
            for i in range(3))  # fmt: skip
    found: Integers = np.clip(np.stack(list(rows)), -_LOST, _LOST)
    return found


def _varied(points: Integers, least: int) -> bool:
    """Whether the variance along each axis exceeds ``least``, 2^-20, of half the range of all."""
    coarse = points >> 8  # so that sums of squares fit 64 bits
    half, count = int(coarse.max() - coarse.min()), len(coarse)
    sums, squares = coarse.sum(axis=0), (coarse * coarse).sum(axis=0)
    return half > 0 and all(
        4 * (count * int(square) - int(total) ** 2) << _VARIANCE_BITS
        > least * count * count * half * half
        for total, square in zip(sums, squares, strict=True)
    )


def _scaled(maps: Integers, points: Integers) -> Integers:
    """The system in the unit of half its points' longest side, from the middle of their box."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) >> 1, int((high - low).max()) >> 1
    moved = ((maps[:, :9].reshape(-1, 3, 3) * middle).sum(axis=-1) >> FRACTAL_BITS) - middle
    scaled = maps.copy()
    used = abs(maps).max(axis=1) > 0
    scaled[used, 9:] = ((moved + maps[:, 9:])[used] * _ONE) // half
    return scaled

"""Relations of structures, learned from the signed distances of all subjects.

Distances are exact next to a grid's solid, so that gaps need no search: with D the signed distance
to a solid, the gap between two is the least D_i + D_j of any point, and of the points on a shortest
line between them, it is that. Grids reach ``MARGIN`` lattice points beyond their solids; so gaps up
to nearly twice that are seen, and longer ones count as ``_longest``.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.grids import MARGIN
from synthgen.bank.relations import SIDES, TOUCHING_GAP, Contact, Order, Relations
from synthgen.bank.subject import Grid

ORDER_LEAST = 0.02  # distance along an axis in all subjects, parts of the body
TOUCHING_SHARE = 0.05  # of the smaller one's surface
GAP_MOST = 10.0  # mm wanted between structures that are apart
INSIDE_SHARE = 0.9
CLOSING = 5  # radius, lattice points

Floats = NDArray[np.float64]
Box = tuple[slice, ...]


def contained_in(subjects: Sequence[Mapping[str, Grid]], spacing: float) -> dict[str, str]:
    """The innermost container of each structure that has one.

    A structure is inside another one if, in all subjects that have both, 90 % of it lies in the
    other's morphological closing with a ball of 5 lattice points: label maps leave holes where
    something is inside.

    Args:
        subjects: grids by structure.
        spacing: mm of the lattice.
    """
    shares: dict[tuple[str, str], list[float]] = {}
    refuted: set[tuple[str, str]] = set()
    volumes: dict[str, list[int]] = {}
    for grids in subjects:
        solids = {name: _Solid.of(grid) for name, grid in grids.items()}
        for name, solid in solids.items():
            volumes.setdefault(name, []).append(solid.count)
        for pair in permutations(sorted(solids), 2):
            if pair in refuted:
                continue
            share = _share_within(solids[pair[0]], solids[pair[1]], spacing)
            if share < INSIDE_SHARE:
                refuted.add(pair)
            else:
                shares.setdefault(pair, []).append(share)
    sure = {pair: float(np.mean(found)) for pair, found in shares.items() if pair not in refuted}
    sizes = {name: float(np.median(counts)) for name, counts in volumes.items()}
    containers: dict[str, str] = {}
    for part, container in _without_cycles(sorted(sure, key=lambda pair: (-sure[pair], pair))):
        other = containers.get(part)
        if other is None or (sizes[container], container) < (sizes[other], other):
            containers[part] = container
    return dict(sorted(containers.items()))


def learn(
    subjects: Sequence[Mapping[str, Grid]],
    bodies: Sequence[Floats],
    spacing: float,
    inside: Mapping[str, str] | None = None,
) -> Relations:
    """Learn the graph.

    * Order: the centroids lie the same way in all subjects that have both, by 2 % of the body or
      more; the margin is half of the least distance.
    * Touching: in all but one of them, 5 % of the smaller one's surface lies within 3 mm of the
      other. Apart: all others; the gap wanted is half of the least one, 10 mm at most. It is 7
      lattice steps at most, too, as no more of a gap is seen: less than 10 mm below a spacing of
      1.43 mm.

    Args:
        subjects: grids by structure.
        bodies: (2, 3) each, first and last corner of the body, z y x, mm.
        spacing: mm of the lattice.
        inside: container by structure; by default what ``contained_in`` says.
    """
    inside = contained_in(subjects, spacing) if inside is None else inside
    names = sorted({name for grids in subjects for name in grids})
    centroids = np.full((len(subjects), len(names), 3), np.nan)
    found: dict[tuple[str, str], list[_Meeting]] = {}
    nested = Relations(contacts=tuple(_inside_contacts(inside))).containers()
    for s, (grids, body) in enumerate(zip(subjects, bodies, strict=True)):
        solids = {name: _Solid.of(grids[name]) for name in sorted(grids)}
        for name, solid in solids.items():
            place = (solid.centroid * spacing - body[0]) / (body[1] - body[0])
            centroids[s, names.index(name)] = place
        surfaces = {name: _Surface.of(solid) for name, solid in solids.items()}
        for one, other in combinations(solids, 2):
            if other not in nested.get(one, ()) and one not in nested.get(other, ()):
                meeting = _meeting(surfaces[one], surfaces[other], spacing)
                found.setdefault((one, other), []).append(meeting)
    contacts = [_contact(*pair, meetings) for pair, meetings in sorted(found.items())]
    contacts.sort(key=lambda contact: contact.kind == "apart")
    return Relations(
        orders=tuple(_orders(names, centroids)),
        contacts=(*_inside_contacts(inside), *contacts),
    )


class _Meeting(NamedTuple):
    """How two solids of a subject meet: gap in mm, and whether they touch."""

    gap: float
    touching: bool


@dataclass(frozen=True)
class _Solid:
    """A grid, and what is inside.

    Attributes:
        inside: (d, h, w) bool, the box of what is inside.
        first: lattice point of ``inside[0, 0, 0]``.
        count: how many points are inside.
        centroid: (3,) z y x, lattice points.
    """

    grid: Grid
    inside: NDArray[np.bool_]
    first: tuple[int, int, int]
    count: int
    centroid: Floats

    @classmethod
    def of(cls, grid: Grid) -> "_Solid":
        """A solid that no lattice point is in has the innermost one."""
        inside = grid.distance < 0
        if not inside.any():
            inside = grid.distance == grid.distance.min()
        counts = [inside.sum(axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        ends = [np.flatnonzero(along)[[0, -1]].tolist() for along in counts]
        count = int(counts[0].sum())
        middle = [int((along * np.arange(len(along))).sum()) / count for along in counts]
        z, y, x = (first + low for first, (low, _) in zip(grid.first, ends, strict=True))
        box = tuple(slice(low, high + 1) for low, high in ends)
        return cls(grid, inside[box], (z, y, x), count, np.array(middle) + grid.first)


@dataclass(frozen=True)
class _Surface:
    """Points inside a solid next to points outside.

    Attributes:
        points: (n, 3) z y x, lattice points.
        depth: (n,) mm, how deep inside they are.
    """

    solid: _Solid
    points: NDArray[np.int64]
    depth: NDArray[np.float32]

    @classmethod
    def of(cls, solid: _Solid) -> "_Surface":
        padded = np.pad(solid.inside, 1)
        deep = solid.inside.copy()
        for axis in range(3):
            for start in (0, 2):
                span = [slice(1, -1)] * 3
                span[axis] = slice(start, start + solid.inside.shape[axis])
                deep &= padded[tuple(span)]
        points = np.argwhere(solid.inside & ~deep) + solid.first
        z, y, x = (points - solid.grid.first).T
        return cls(solid, points, -solid.grid.distance[z, y, x])


def _share_within(part: _Solid, container: _Solid, spacing: float) -> float:
    """How much of ``part`` lies in the closing of ``container``, or 0 where that is too little."""
    both = _common(part.first, part.inside.shape, container.grid)
    if both is None:
        return 0.0
    inside, distance = part.inside[both[0]], container.grid.distance[both[1]]
    if np.count_nonzero(inside & (distance <= CLOSING * spacing)) < INSIDE_SHARE * part.count:
        return 0.0  # nor in the closing, which goes no farther
    share = np.count_nonzero(inside & (distance < 0)) / part.count
    return share if share >= INSIDE_SHARE else _share_closed(part, container.grid, spacing)


def _share_closed(part: _Solid, container: Grid, spacing: float) -> float:
    """As ``_share_within``, by the closing itself, in the box of ``part``."""
    first = [low - CLOSING for low in part.first]
    far = np.ones([length + 2 * CLOSING for length in part.inside.shape], bool)
    both = _common(first, far.shape, container)
    if both is not None:
        far[both[0]] = container.distance[both[1]] > CLOSING * spacing
    return np.count_nonzero(part.inside & ~_dilated(far)) / part.count


def _dilated(far: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Points within ``CLOSING`` of one that is set; the result is shorter by that on each side."""
    depth, height, width = (length - 2 * CLOSING for length in far.shape)
    runs = [far[:, :, CLOSING : CLOSING + width].copy()]  # by half length along x
    for half in range(1, CLOSING + 1):
        left, right = CLOSING - half, CLOSING + half
        runs.append(runs[-1] | far[:, :, left : left + width] | far[:, :, right : right + width])
    out = np.zeros((depth, height, width), bool)
    for z in range(-CLOSING, CLOSING + 1):
        for y in range(-CLOSING, CLOSING + 1):
            rest = CLOSING**2 - z * z - y * y
            if rest >= 0:
                top, low = CLOSING + z, CLOSING + y
                out |= runs[math.isqrt(rest)][top : top + depth, low : low + height]
    return out


def _common(first: Sequence[int], shape: Sequence[int], grid: Grid) -> tuple[Box, Box] | None:
    """Where a box and a grid meet, in indices of either; None where they do not."""
    spans = []
    for low, length, other, size in zip(first, shape, grid.first, grid.distance.shape, strict=True):
        start, stop = max(low, other), min(low + length, other + size)
        if start >= stop:
            return None
        spans.append((slice(start - low, stop - low), slice(start - other, stop - other)))
    own, others = zip(*spans, strict=True)
    return own, others


def _meeting(one: _Surface, other: _Surface, spacing: float) -> _Meeting:
    small, large = sorted((one, other), key=lambda surface: surface.solid.count)
    grid, seen = large.solid.grid, _longest(spacing)
    near = small.points - np.array(grid.first)
    within = ((near >= 0) & (near < grid.distance.shape)).all(axis=1)
    z, y, x = near[within].T
    distance = grid.distance[z, y, x]
    share = np.count_nonzero(distance <= TOUCHING_GAP) / len(small.points)
    gap = min((distance - small.depth[within]).min(initial=np.inf), seen)
    if gap > (MARGIN - 2) * spacing:  # a shorter one may run outside of the grid
        gap = min(gap, _gap_between(small.solid.grid, grid))
    return _Meeting(max(0.0, float(gap)), bool(share >= TOUCHING_SHARE))


def _gap_between(one: Grid, other: Grid) -> float:
    """The gap by all points that both grids have."""
    both = _common(one.first, one.distance.shape, other)
    if both is None:
        return np.inf
    return float((one.distance[both[0]] + other.distance[both[1]]).min())


def _longest(spacing: float) -> float:
    """The longest gap that is told from longer ones, mm."""
    return min(2 * GAP_MOST, 2 * (MARGIN - 1) * spacing)


def _contact(one: str, other: str, meetings: Sequence[_Meeting]) -> Contact:
    gaps = np.array([meeting.gap for meeting in meetings])
    touching = sum(meeting.touching for meeting in meetings)
    often = touching >= max(1, len(meetings) - 1)
    share = touching / len(meetings)
    return Contact(
        of=one,
        kind="touching" if often else "apart",
        to=other,
        gap=TOUCHING_GAP if often else _cut(min(GAP_MOST, 0.5 * gaps.min()), 2),
        strength=_cut(share, 4) if often else 1.0,
        frequency=_cut(share if often else 1 - share, 4),
        **_spread(gaps, 2),
    )


def _inside_contacts(inside: Mapping[str, str]) -> Iterator[Contact]:
    for part, container in sorted(inside.items()):
        yield Contact(of=part, kind="inside", to=container, frequency=1.0)


def _orders(names: Sequence[str], centroids: Floats) -> Iterator[Order]:
    """Orders of ``centroids`` (S, N, 3), which are nan where a subject lacks a structure.

    Where no subject has all of some structures, their orders might make a cycle; so none is against
    the order of the means.
    """
    present = ~np.isnan(centroids[..., 0])
    means = np.nansum(centroids, axis=0) / present.sum(axis=0)[:, None]
    for axis, side in enumerate(SIDES):
        for i, j in permutations(range(len(names)), 2):
            both = present[:, i] & present[:, j]
            steps = centroids[both, i, axis] - centroids[both, j, axis]
            if len(steps) and steps.min() >= ORDER_LEAST and means[i, axis] > means[j, axis]:
                yield Order(
                    of=names[i],
                    side=side,
                    than=names[j],
                    margin=_cut(0.5 * steps.min(), 4),
                    frequency=1.0,
                    **_spread(steps, 4),
                )


def _spread(values: Floats, digits: int) -> dict[str, float]:
    return {
        "mean": _cut(values.mean(), digits),
        "sd": _cut(values.std(ddof=1) if len(values) > 1 else 0.0, digits),
        "least": _cut(values.min(), digits),
    }


def _cut(value: float, digits: int) -> float:
    """Rounded, as plain Python."""
    return round(float(value), digits)


def _without_cycles(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The pairs, first come, first served, but those that would close a cycle."""
    beyond: dict[str, set[str]] = {}
    for one, other in pairs:
        reached = {other} | beyond.get(other, set())
        if one in reached:
            continue
        for node in [one, *(node for node, after in beyond.items() if one in after)]:
            beyond.setdefault(node, set()).update(reached)
        yield one, other

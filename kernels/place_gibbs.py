"""Placement by energies: one integer-only source for the CPU and for CUDA.

Structures are placed in a given order. Each has ``tries`` proposals, already drawn from where the
structure is usually found; the one with the largest ``noise - energy`` is taken (noise is Gumbel's, so
that proposals are chosen with probability proportional to exp(-energy)). The energy is the sum of
``TERMS`` over the pairs with what is placed already. If all proposals are forbidden, as many more of
wider spread are tried, and then the structure is dropped. Sweeps (Metropolis) follow: each structure in
turn may move to one more proposal, given all others.

To add a term, write a function of a pair's row and a ``Contact`` that returns an energy, and add its
name to the line of ``TERMS`` that measures what it needs. What is cheap is measured first, and a
proposal that can no longer win is measured no further; that changes no outcome.

A block of threads places one volume. It is split into groups of ``lanes`` threads, each of which
examines one proposal; all groups walk through the same loops in step. The CPU is a block of one
thread; ``place_gibbs_cuda.py`` compiles the same functions for CUDA.
"""

from typing import Any, NamedTuple

import numpy as np

from .anatomy_records import (
    BANK_POINTS,
    BODY_UNIT,
    ENERGY_UNIT,
    RATIO_ONE,
    BankShape,
    Fate,
    Pair,
    Pose,
    Proposal,
)
from .bits import popcount, shifted_pair, span
from .jit import device, inlined, kernel, simulated
from .records import Placed

FORBIDDEN = 1 << 60  # an energy; all that is not forbidden is below

_ENERGY_BITS = ENERGY_UNIT.bit_length() - 1
_RATIO_MOST = 256 << _ENERGY_BITS  # violations count as at most 256 of their unit
_LEAST = -(1 << 62)
_FAR = 1 << 40

_SIGN, _MARGIN, _ORDER = int(Pair.SIGN), int(Pair.MARGIN), int(Pair.ORDER)
_LIMIT, _OVERLAP = int(Pair.LIMIT), int(Pair.OVERLAP)
_NEAREST, _FARTHEST, _GAP = int(Pair.NEAREST), int(Pair.FARTHEST), int(Pair.GAP)
_WITHIN, _INSIDE = int(Pair.WITHIN), int(Pair.INSIDE)
_FATE, _SHAPE, _MATRIX, _CENTRE = (
    int(Pose.FATE), int(Pose.SHAPE), int(Pose.MATRIX), int(Pose.CENTRE)
)  # fmt: skip
_BOX, _DEPTH, _HEIGHT, _WIDTH = int(Pose.BOX), int(Pose.DEPTH), int(Pose.HEIGHT), int(Pose.WIDTH)
_CLIPPED, _LENGTH = int(Pose.CLIPPED), int(Pose.LENGTH)
_PLACE, _BODY, _NOISE = int(Proposal.PLACE), int(Proposal.BODY), int(Proposal.NOISE)
_GRID, _GRID_DEPTH, _GRID_HEIGHT, _GRID_WIDTH = (
    int(BankShape.OFFSET), int(BankShape.DEPTH), int(BankShape.HEIGHT), int(BankShape.WIDTH)
)  # fmt: skip
_OBJECT, _VARIANT, _ACCEPTED = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.ACCEPTED)
_Z, _Y, _X, _PROPOSALS = int(Placed.Z), int(Placed.Y), int(Placed.X), int(Placed.PROPOSALS)
_DROPPED, _PLACED = int(Fate.DROPPED), int(Fate.PLACED)
_EMPTY, _UNSEEN = int(Fate.EMPTY), int(Fate.UNSEEN)


class Contact(NamedTuple):
    """How object i lies to object j, of which i comes later in the order of placement; int64.

    Terms of places see the first three fields alone, those of masks the first six; the others are 0.

    Attributes:
        z, y, x: position of i's centre voxel less that of j's, 1/65536 of the body.
        shared: voxels inside both and within the volume. Where that is more than the pair's LIMIT
            allows it may be too few, but is still more than the limit.
        visible: voxels of i within the volume; not measured (0) where ``shared`` is 0 and the pair
            has neither WITHIN nor INSIDE.
        visible_other: voxels of j within the volume; the same holds.
        gap: 1/16 mm between the surfaces, 0 where they meet; not measured (0) where the pair's
            weight GAP is 0.
    """

    z: int
    y: int
    x: int
    shared: int
    visible: int
    visible_other: int
    gap: int


@simulated
def _lesser(a, b):
    return a if a < b else b


@simulated
def _greater(a, b):
    return a if a > b else b


@simulated
def squared(weight, part, whole):
    """Energy ``weight * (part / whole)^2``; 0 where ``part`` is not positive; ``whole`` > 0."""
    ratio = _lesser((_greater(part, np.int64(0)) << _ENERGY_BITS) // whole, np.int64(_RATIO_MOST))
    return (np.int64(weight) * ((ratio * ratio) >> _ENERGY_BITS)) >> _ENERGY_BITS


@simulated
def _out_of_order(pair, axis, offset):
    if pair[_SIGN + axis] == 0:
        return np.int64(0)
    short = pair[_MARGIN + axis] - np.int64(pair[_SIGN + axis]) * offset
    return squared(pair[_ORDER], 100 * short, np.int64(3 * BODY_UNIT))


@simulated
def order_broken(pair, contact):
    """i is not by the margin on its side of j; the unit is 3 % of the body."""
    return (
        _out_of_order(pair, 0, contact.z)
        + _out_of_order(pair, 1, contact.y)
        + _out_of_order(pair, 2, contact.x)
    )


@simulated
def overlapping(pair, contact):
    """Voxels in both; the unit is 5 % of the smaller one, more than LIMIT is forbidden."""
    whole = _lesser(contact.visible, contact.visible_other)
    if whole == 0:
        return np.int64(0)
    if contact.shared * RATIO_ONE > np.int64(pair[_LIMIT]) * whole:
        return np.int64(FORBIDDEN)
    return squared(pair[_OVERLAP], 20 * contact.shared, whole)


@simulated
def sticking_out(pair, contact):
    """Voxels of i that are not inside j; the unit is 10 %, a share inside < WITHIN is forbidden."""
    if contact.visible == 0:
        return np.int64(0)
    if contact.shared * RATIO_ONE < np.int64(pair[_WITHIN]) * contact.visible:
        return np.int64(FORBIDDEN)
    return squared(pair[_INSIDE], 10 * (contact.visible - contact.shared), contact.visible)


@simulated
def ill_spaced(pair, contact):
    """Surfaces nearer than NEAREST or farther than FARTHEST; the unit is 5 mm."""
    energy = squared(pair[_GAP], pair[_NEAREST] - contact.gap, np.int64(5 * 16))
    if pair[_FARTHEST] >= 0:
        energy += squared(pair[_GAP], contact.gap - pair[_FARTHEST], np.int64(5 * 16))
    return energy


TERMS = {
    "places": (order_broken,),
    "masks": (overlapping, sticking_out),
    "surfaces": (ill_spaced,),
}


@simulated
def _nothing(pair, contact):
    return np.int64(0)


def _sum_of(terms: tuple[Any, ...]) -> Any:
    """One function that adds up the energies of several."""
    if len(terms) < 2:
        return terms[0] if terms else _nothing
    first, rest = terms[0], _sum_of(terms[1:])

    @simulated
    def total(pair, contact):
        return first(pair, contact) + rest(pair, contact)

    return total


class Scene(NamedTuple):
    """What is placed; the arguments of ``place_gibbs`` of the same names."""

    order: Any
    pairs: Any
    poses: Any
    counts: Any
    points: Any
    proposals: Any
    row_offsets: Any
    rows: Any
    shapes: Any
    distances: Any
    depth: int
    height: int
    width: int
    visible: Any
    chosen: Any
    energies: Any


class Team(NamedTuple):
    """Where a thread stands in its block; ``shared`` is memory for the block's sums."""

    thread: int
    threads: int
    group: int
    groups: int
    lane: int
    lanes: int
    shared: Any


@simulated
def _nearest(pose, axis, z, y, x, side):
    """A point's nearest sample along an axis of a grid.

    Args:
        pose: of the grid's object.
        z, y, x: from its centre voxel, 1/16 voxel.
        side: samples along the axis.

    Returns:
        The sample, and how far beyond the grid the point lies, 2^-20 source voxel.
    """
    row = _MATRIX + 3 * axis
    at = (
        (np.int64(pose[_CENTRE + axis]) << 8)
        + np.int64(pose[row]) * z
        + np.int64(pose[row + 1]) * y
        + np.int64(pose[row + 2]) * x
    )
    last = side - 1
    sample = _greater(_lesser((at + (1 << 19)) >> 20, last), np.int64(0))
    return sample, _greater(_greater(-at, at - (last << 20)), np.int64(0))


@simulated
def _later_first(n, k, m, other, later):
    """Objects and proposals n, k and m, other; n first if it is ``later`` in the order than m."""
    return (n, k, m, other) if later else (m, other, n, k)


@simulated
def _contact(scene, i, ki, j, kj, shared, visible, visible_other, gap):
    """The contact of object i at its ki-th proposal with j at its kj-th."""
    one, two = scene.proposals[i, ki], scene.proposals[j, kj]
    return Contact(
        np.int64(one[_BODY]) - two[_BODY],
        np.int64(one[_BODY + 1]) - two[_BODY + 1],
        np.int64(one[_BODY + 2]) - two[_BODY + 2],
        shared, visible, visible_other, gap,
    )  # fmt: skip


@simulated
def _begin(scene, n, k, axis):
    """First voxel of object n's box at its k-th proposal."""
    return np.int64(scene.proposals[n, k, _PLACE + axis]) + scene.poses[n, _BOX + axis]


def build(
    jit: Any, jit_inlined: Any, count_bits: Any, synchronize: Any,
    group_sum: Any, group_least: Any, block_most: Any, block_least: Any,
) -> Any:  # fmt: skip
    """Compile the placement of one volume for a target.

    Args:
        jit, jit_inlined: decorators of functions called from kernels; the second, in one place.
        count_bits: set bits of a uint64.
        synchronize: waits for all threads of the block.
        group_sum, group_least: ``(team, value)``, over the threads of a group; called by all
            threads of the block together.
        block_most, block_least: the same over the block.
    """
    place_terms = _sum_of(TERMS["places"])
    mask_terms = _sum_of(TERMS["masks"])
    surface_terms = _sum_of(TERMS["surfaces"])

    @jit
    def voxels_in_view(scene, n, k, team):
        """This lane's share of the voxels of object n that are within the volume."""
        pose = scene.poses[n]
        z, y, x = _begin(scene, n, k, 0), _begin(scene, n, k, 1), _begin(scene, n, k, 2)
        height, width = pose[_HEIGHT], pose[_WIDTH]
        z0, z1 = _greater(-z, np.int64(0)), _lesser(pose[_DEPTH], scene.depth - z)
        y0, y1 = _greater(-y, np.int64(0)), _lesser(height, scene.height - y)
        x0, x1 = _greater(-x, np.int64(0)), _lesser(width, scene.width - x)
        words, total = (np.int64(width) + 63) >> 6, np.int64(0)
        if z0 >= z1 or y0 >= y1 or x0 >= x1:
            return total
        for word in range(x0 >> 6, ((x1 - 1) >> 6) + 1):
            first = word << 6
            bits = span(_greater(x0 - first, np.int64(0)), _lesser(x1 - 1 - first, np.int64(63)))
            for slice in range(z0, z1):
                at = scene.row_offsets[n] + (slice * words + word) * height
                rows = scene.rows[at + y0 : at + y1]
                for row in range(team.lane, len(rows), team.lanes):
                    total += count_bits(rows[row] & bits)
        return total

    @jit_inlined
    def voxels_shared(scene, i, ki, j, kj, enough, team):
        """This lane's share of the voxels inside both and within the volume.

        Ends as soon as there are more than ``enough``.
        """
        zi, yi, xi = _begin(scene, i, ki, 0), _begin(scene, i, ki, 1), _begin(scene, i, ki, 2)
        zj, yj, xj = _begin(scene, j, kj, 0), _begin(scene, j, kj, 1), _begin(scene, j, kj, 2)
        one, two = scene.poses[i], scene.poses[j]
        z0 = _greater(_greater(zi, zj), np.int64(0))
        y0 = _greater(_greater(yi, yj), np.int64(0))
        x0 = _greater(_greater(xi, xj), np.int64(0))
        z1 = _lesser(_lesser(zi + one[_DEPTH], zj + two[_DEPTH]), scene.depth)
        y1 = _lesser(_lesser(yi + one[_HEIGHT], yj + two[_HEIGHT]), scene.height)
        x1 = _lesser(_lesser(xi + one[_WIDTH], xj + two[_WIDTH]), scene.width)
        total = np.int64(0)
        if z0 >= z1 or y0 >= y1 or x0 >= x1:
            return total
        words_i, words_j = (np.int64(one[_WIDTH]) + 63) >> 6, (np.int64(two[_WIDTH]) + 63) >> 6
        for word in range((x0 - xj) >> 6, ((x1 - 1 - xj) >> 6) + 1):
            # The word's first voxel; i's words there, of which one may be outside of its box:
            # then it is any other, and ``bits`` leaves it out.
            first = xj + (word << 6)
            bits = span(_greater(x0 - first, np.int64(0)), _lesser(x1 - 1 - first, np.int64(63)))
            shift, near = (first - xi) & 63, (first - xi) >> 6
            far = _lesser(near + 1, words_i - 1)
            near = _greater(near, np.int64(0))
            for z in range(z0, z1):
                at = scene.row_offsets[i] + (z - zi) * words_i * one[_HEIGHT] + y0 - yi
                low = scene.rows[at + near * one[_HEIGHT] :]
                high = scene.rows[at + far * one[_HEIGHT] :]
                at = scene.row_offsets[j] + ((z - zj) * words_j + word) * two[_HEIGHT] + y0 - yj
                others = scene.rows[at:]
                for row in range(team.lane, y1 - y0, team.lanes):
                    mine = shifted_pair(low[row], high[row], shift)
                    total += count_bits(mine & others[row] & bits)
                if total > enough:
                    return total
        return total

    @jit_inlined
    def least_distance(scene, i, ki, j, kj, team):
        """Least distance from this lane's points of i's surface to j's, 1/16 source voxel of j."""
        there = scene.proposals[i, ki]
        here, pose = scene.proposals[j, kj], scene.poses[j]
        shape = scene.shapes[pose[_SHAPE]]
        depth, height, width = (
            np.int64(shape[_GRID_DEPTH]), np.int64(shape[_GRID_HEIGHT]), np.int64(shape[_GRID_WIDTH])
        )  # fmt: skip
        dz = (np.int64(there[_PLACE]) - here[_PLACE]) << 4
        dy = (np.int64(there[_PLACE + 1]) - here[_PLACE + 1]) << 4
        dx = (np.int64(there[_PLACE + 2]) - here[_PLACE + 2]) << 4
        least = np.int64(_FAR)
        for p in range(team.lane, BANK_POINTS, team.lanes):
            point = scene.points[i, p]
            z, y, x = dz + point[0], dy + point[1], dx + point[2]  # 1/16 voxel
            w, beyond_w = _nearest(pose, 0, z, y, x, depth)
            v, beyond_v = _nearest(pose, 1, z, y, x, height)
            u, beyond_u = _nearest(pose, 2, z, y, x, width)
            beyond = _greater(_greater(beyond_w, beyond_v), beyond_u)
            at = shape[_GRID] + (w * height + v) * width + u
            least = _lesser(least, scene.distances[at] + (beyond >> 16))
        return least

    @jit_inlined
    def energy_of(scene, n, k, rank, most, team):
        """Energy of object n at its k-th proposal, against all that is placed.

        Args:
            rank: n's place in the order.
            most: once the energy is above, nothing more is added.
        """
        none, energy, seen = np.int64(0), np.int64(0), np.int64(-1)
        for other in range(scene.order.shape[0]):
            m = scene.order[other]
            if other != rank and scene.chosen[m] >= 0:
                i, ki, j, kj = _later_first(n, k, m, scene.chosen[m], rank > other)
                contact = _contact(scene, i, ki, j, kj, none, none, none, none)
                energy += place_terms(scene.pairs[i, j], contact)
        for other in range(scene.order.shape[0]):
            m = scene.order[other]
            if other == rank or scene.chosen[m] < 0:
                continue
            i, ki, j, kj = _later_first(n, k, m, scene.chosen[m], rank > other)
            pair = scene.pairs[i, j]

            # More than this is forbidden, however much of n is visible.
            whole = np.int64(_lesser(scene.counts[n], scene.visible[m]))
            enough = pair[_LIMIT] * whole // RATIO_ONE
            part = none
            if energy <= most:
                part = voxels_shared(scene, i, ki, j, kj, enough, team)
            shared = group_sum(team, part)
            asked = shared > 0 or pair[_WITHIN] > 0 or pair[_INSIDE] > 0
            look, part = energy <= most and asked and seen < 0 and shared <= enough, none
            if look:
                part = voxels_in_view(scene, n, k, team)
            part = group_sum(team, part)
            seen = part if look else seen
            own, others = none, none
            if asked:
                own = seen if shared <= enough else np.int64(scene.counts[n])
                others = np.int64(scene.visible[m])
            visible, visible_other = (own, others) if rank > other else (others, own)
            if energy <= most:
                contact = _contact(scene, i, ki, j, kj, shared, visible, visible_other, none)
                energy += mask_terms(pair, contact)

            gap = none
            if pair[_GAP] != 0:
                part = np.int64(_FAR)
                if energy <= most:
                    part = least_distance(scene, i, ki, j, kj, team)
                gap = group_least(team, part) * scene.poses[j, _LENGTH] >> 12
                gap = _greater(gap, none)
            if energy <= most:
                contact = _contact(scene, i, ki, j, kj, shared, visible, visible_other, gap)
                energy += surface_terms(pair, contact)
        return _lesser(energy, np.int64(FORBIDDEN))

    @jit_inlined
    def best_of(scene, n, rank, first, tries, full, team):
        """The proposal that wins, or -1 where all are forbidden.

        Candidates are ``tries`` proposals from ``first`` on, and object n's present place if it has
        one, without noise: with one proposal that is Metropolis' rule.
        """
        best, winner = np.int64(_LEAST), np.int64(-1)
        present = np.int64(scene.chosen[n])
        candidates = tries if present < 0 else tries + 1
        for start in range(0, candidates, team.groups):
            c, k, noise, most = start + team.group, present, np.int64(0), np.int64(-1)
            if c < tries:
                k = first + c
                noise = np.int64(scene.proposals[n, k, _NOISE])
            if c < candidates:
                most = np.int64(FORBIDDEN - 1)
                if not full:  # what has more energy cannot win
                    most = _lesser(most, noise - best - 1)
            k = _greater(k, np.int64(0))
            energy = energy_of(scene, n, k, rank, most, team)
            if full and c < tries and team.lane == 0:
                scene.energies[n, k] = energy
            value = noise - energy if energy <= most else np.int64(_LEAST)
            round_best = block_most(team, value)
            if round_best > best:
                best = round_best
                c = block_least(team, c if value == best else np.int64(_FAR))
                winner = first + c if c < tries else present
        return winner

    @jit_inlined
    def settle(scene, n, rank, first, tries, full, team):
        """Put object n where the winner of ``best_of`` is, if there is one."""
        k = best_of(scene, n, rank, first, tries, full, team)
        if k >= 0:
            visible = group_sum(team, voxels_in_view(scene, n, k, team))
            synchronize()
            if team.thread == 0:
                scene.chosen[n], scene.visible[n] = k, visible
            synchronize()

    @jit_inlined
    def report(scene, n, placed):
        """Fill object n's row."""
        k, pose = scene.chosen[n], scene.poses[n]
        placed[_OBJECT], placed[_VARIANT] = n, pose[_SHAPE]
        placed[_Z], placed[_Y], placed[_X] = 0, 0, 0
        if k >= 0:
            placed[_Z] = scene.proposals[n, k, _PLACE]
            placed[_Y] = scene.proposals[n, k, _PLACE + 1]
            placed[_X] = scene.proposals[n, k, _PLACE + 2]
            placed[_ACCEPTED] = _PLACED if scene.visible[n] > 0 else _UNSEEN
        elif pose[_FATE] != _PLACED:
            placed[_ACCEPTED] = pose[_FATE]
        elif scene.counts[n] > 0:
            placed[_ACCEPTED] = _DROPPED
        else:
            placed[_ACCEPTED] = _UNSEEN if pose[_CLIPPED] else _EMPTY

    @jit_inlined
    def place_volume(scene, ranks, tries, sweeps, full, placed, team):
        objects = scene.order.shape[0]
        for n in range(team.thread, objects, team.threads):
            scene.chosen[n], scene.visible[n], placed[ranks[n], _PROPOSALS] = -1, 0, 0
            for k in range(scene.energies.shape[1]):
                scene.energies[n, k] = -1
        synchronize()
        for turn in range(1 + sweeps):
            for rank in range(objects):
                n = scene.order[rank]
                for attempt in range(2):
                    if turn == 0:
                        wanted = scene.poses[n, _FATE] == _PLACED and scene.counts[n] > 0
                        due = wanted and scene.chosen[n] < 0
                        first, count = attempt * tries, tries
                    else:
                        due = attempt == 0 and scene.chosen[n] >= 0
                        first, count = 2 * tries + turn - 1, 1
                    if due:
                        settle(scene, n, rank, first, count, full, team)
                        if team.thread == 0:
                            placed[ranks[n], _PROPOSALS] += count
        synchronize()
        for n in range(team.thread, objects, team.threads):
            report(scene, n, placed[ranks[n]])

    return place_volume


@inlined
def _no_barrier():
    return None


@inlined
def _own(team, value):
    return value


_place_volume = build(device, inlined, popcount, _no_barrier, _own, _own, _own, _own)


@kernel
def place_gibbs(
    order, ranks, pairs, poses, counts, points, proposals, row_offsets, rows, shapes, distances,
    tries, sweeps, full, shape, visible, chosen, energies, placed,
):  # fmt: skip
    """Place the objects of a volume.

    Args:
        order: (N,) int32, objects in the order of placement.
        ranks: (N,) int32, each object's row in ``placed``.
        pairs: (N, N, Pair.SIZE) int32.
        poses: (N, Pose.SIZE) int32.
        counts: (N,) int32, voxels inside in the box.
        points: (N, BANK_POINTS, 3) int32, of the surface, 1/16 voxel from the centre voxel.
        proposals: (N, 2 * tries + sweeps, Proposal.SIZE) int32.
        row_offsets: (N,) int64, the first word of each object in ``rows``.
        rows: (R,) uint64, word w of row (z, y) of an object at (z * words + w) * height + y.
        shapes: (M, BankShape.SIZE) int32.
        distances: (V,) int16.
        tries: proposals of a round.
        sweeps: moves proposed to each object after all are placed.
        full: compute every energy, also of proposals that cannot win; changes no outcome.
        shape: (D, H, W).
        visible: (N,) int32, out: voxels within the volume; 0 where not placed.
        chosen: (N,) int32, out: the proposal at which an object is; -1 where not placed.
        energies: (N, 2 * tries + sweeps) int64, out: of each proposal when it was examined, at most
            ``FORBIDDEN``; -1 where none was. All -1 unless ``full``.
        placed: (N, Placed.SIZE) int32, out; VARIANT is the row of the shape, ACCEPTED the fate.
    """
    scene = Scene(
        order, pairs, poses, counts, points, proposals, row_offsets, rows, shapes, distances,
        np.int64(shape[0]), np.int64(shape[1]), np.int64(shape[2]), visible, chosen, energies,
    )  # fmt: skip
    team = Team(0, 1, 0, 1, 0, 1, energies[0])
    _place_volume(scene, ranks, tries, sweeps, full, placed, team)

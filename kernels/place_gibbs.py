"""Placement by energies: one integer-only source for the CPU and for CUDA.

Structures are placed in a given order. Each has ``tries`` proposals, already drawn from where the
structure is usually found; that with the largest ``noise - energy`` is taken (the noise is
Gumbel's, so that a proposal is chosen with probability proportional to exp(-energy)). The energy is
the sum of ``TERMS`` over the pairs with what is placed already. If all proposals are forbidden, as
many more of wider spread are tried, and then the structure is dropped. Sweeps follow: each
structure in turn may move to one more proposal, given all others (Metropolis).

To add a term, write a function of a pair's row and a ``Contact`` that returns an energy, and add
its name to the line of ``TERMS`` that measures what it needs. It is not decorated; what it calls,
such as ``squared``, is. What is cheap is measured first, and a proposal that can no longer win is
measured no further; that changes no outcome.

A block of threads places one volume. It is split into groups of ``lanes`` threads, each of which
examines one proposal; all groups walk through the same loops in step. The CPU is a block of one
thread; ``place_gibbs_cuda.py`` compiles the same functions for CUDA.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import njit

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
from .jit import inlined, kernel, simulated
from .records import Placed

FORBIDDEN = 1 << 60  # an energy; all that is not forbidden is below

_ENERGY_BITS = ENERGY_UNIT.bit_length() - 1
_RATIO_MOST = 256 << _ENERGY_BITS  # violations count as at most 256 of their unit
_LEAST = -(1 << 62)
_FAR = 1 << 40
_AMPLE = 1 << 20  # 1/16 source voxel: its square, in 1/256, is still an int64

_SIGN, _MARGIN, _ORDER = int(Pair.SIGN), int(Pair.MARGIN), int(Pair.ORDER)
_LIMIT, _OVERLAP = int(Pair.LIMIT), int(Pair.OVERLAP)
_NEAREST, _FARTHEST, _GAP = int(Pair.NEAREST), int(Pair.FARTHEST), int(Pair.GAP)
_WITHIN, _INSIDE = int(Pair.WITHIN), int(Pair.INSIDE)
_FATE, _SHAPE, _MATRIX, _CENTRE = (
    int(Pose.FATE), int(Pose.SHAPE), int(Pose.MATRIX), int(Pose.CENTRE)
)  # fmt: skip
_BOX, _DEPTH, _HEIGHT, _WIDTH = int(Pose.BOX), int(Pose.DEPTH), int(Pose.HEIGHT), int(Pose.WIDTH)
_LEADER, _ANCHOR, _ANCHOR_BODY = int(Pose.LEADER), int(Pose.ANCHOR), int(Pose.ANCHOR_BODY)
_CLIPPED, _LENGTH = int(Pose.CLIPPED), int(Pose.LENGTH)
_PLACE, _BODY, _NOISE = int(Proposal.PLACE), int(Proposal.BODY), int(Proposal.NOISE)
_GRID, _GRID_DEPTH, _GRID_HEIGHT, _GRID_WIDTH = (
    int(BankShape.OFFSET), int(BankShape.DEPTH), int(BankShape.HEIGHT), int(BankShape.WIDTH)
)  # fmt: skip
_SLOPE, _SLOPE_UNIT = int(BankShape.SLOPE), 256
_OBJECT, _VARIANT, _ACCEPTED = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.ACCEPTED)
_Z, _Y, _X, _PROPOSALS = int(Placed.Z), int(Placed.Y), int(Placed.X), int(Placed.PROPOSALS)
_DROPPED, _PLACED = int(Fate.DROPPED), int(Fate.PLACED)
_EMPTY, _UNSEEN = int(Fate.EMPTY), int(Fate.UNSEEN)


class Contact(NamedTuple):
    """How object i lies to object j, of which i comes later in the order of placement; int64.

    Terms of places see the first three fields alone, those of masks the first six; others are 0.

    Attributes:
        z, y, x: position of i's centre voxel less that of j's, 1/65536 of the body.
        shared: voxels inside both and within the volume. Where that is more than the pair's LIMIT
            allows it may be too few, but is still more than the limit.
        visible: voxels of i within the volume; not measured (0) where ``shared`` is 0 and the pair
            has neither WITHIN nor INSIDE.
        visible_other: voxels of j within the volume; the same holds.
        gap: 1/16 mm between the surfaces, 0 where they meet; not measured (0) where the pair's
            weight GAP is 0. Where FARTHEST is negative it may be less, but is then at least NEAREST
            as the gap is.
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
def _out_of_order(sign, margin, offset, weight):
    if sign == 0:
        return np.int64(0)
    return squared(weight, 100 * (margin - np.int64(sign) * offset), np.int64(3 * BODY_UNIT))


def order_broken(pair, contact):
    """i is not by the margin on its side of j; the unit is 3 % of the body."""
    return (
        _out_of_order(pair[_SIGN], pair[_MARGIN], contact.z, pair[_ORDER])
        + _out_of_order(pair[_SIGN + 1], pair[_MARGIN + 1], contact.y, pair[_ORDER + 1])
        + _out_of_order(pair[_SIGN + 2], pair[_MARGIN + 2], contact.x, pair[_ORDER + 2])
    )


def overlapping(pair, contact):
    """Voxels in both; the unit is 5 % of the smaller one, more than LIMIT is forbidden."""
    whole = _lesser(contact.visible, contact.visible_other)
    if whole == 0:
        return np.int64(0)
    if contact.shared * RATIO_ONE > np.int64(pair[_LIMIT]) * whole:
        return np.int64(FORBIDDEN)
    return squared(pair[_OVERLAP], 20 * contact.shared, whole)


def sticking_out(pair, contact):
    """Voxels of i that are not inside j; the unit is 10 %, a share inside < WITHIN is forbidden."""
    if contact.visible == 0:
        return np.int64(0)
    if contact.shared * RATIO_ONE < np.int64(pair[_WITHIN]) * contact.visible:
        return np.int64(FORBIDDEN)
    return squared(pair[_INSIDE], 10 * (contact.visible - contact.shared), contact.visible)


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


def _nothing(pair, contact):
    return np.int64(0)


def _sum_of(jit: Any, terms: tuple[Any, ...]) -> Any:
    """One function that adds up the energies of several."""
    if len(terms) < 2:
        return jit(terms[0] if terms else _nothing)
    first, rest = jit(terms[0]), _sum_of(jit, terms[1:])

    @jit
    def total(pair, contact):
        return first(pair, contact) + rest(pair, contact)

    return total


class Scene(NamedTuple):
    """Arguments of ``place_gibbs`` of the same names; ``volume`` is its ``shape``.

    ``reach`` is (N, 2, 3), the least and the most of each object's points along each axis.
    """

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
    volume: Any
    visible: Any
    chosen: Any
    energies: Any
    reach: Any


class Team(NamedTuple):
    """Where a thread stands in its block; ``shared`` is memory for the block's sums."""

    thread: int
    threads: int
    group: int
    groups: int
    lane: int
    lanes: int
    shared: Any


def build(
    jit: Any, jit_inlined: Any, count_bits: Any, synchronize: Any,
    group_sum: Any, group_least: Any, block_most: Any, block_least: Any,
) -> Any:  # fmt: skip
    """The placement of one volume for a target; it remains to be compiled itself.

    Args:
        jit, jit_inlined: decorators of functions called from kernels; the second, in one place.
        count_bits: set bits of a uint64.
        synchronize: waits for all threads of the block.
        group_sum, group_least: ``(team, value)``, over the threads of a group; called by all
            threads of the block together.
        block_most, block_least: the same over the block.
    """
    place_terms = _sum_of(jit, TERMS["places"])
    mask_terms = _sum_of(jit, TERMS["masks"])
    surface_terms = _sum_of(jit, TERMS["surfaces"])

    @jit
    def first_voxel(pose, proposal):
        """(z, y, x) of a box's first voxel."""
        return (
            np.int64(proposal[_PLACE]) + pose[_BOX],
            np.int64(proposal[_PLACE + 1]) + pose[_BOX + 1],
            np.int64(proposal[_PLACE + 2]) + pose[_BOX + 2],
        )

    @jit
    def common(first, side, other, other_side, whole):
        """First and last + 1 voxel along an axis of what two boxes share within the volume."""
        start = _greater(_greater(first, other), np.int64(0))
        return start, _lesser(_lesser(first + side, other + other_side), whole)

    @jit
    def bits_between(first, start, stop):
        """Bits of the word that begins at voxel ``first`` for voxels start ... stop - 1."""
        low, high = start - first, stop - 1 - first
        return span(_greater(low, np.int64(0)), _lesser(high, np.int64(63)))

    @jit
    def voxels_in_view(rows, pose, proposal, volume, team):
        """This lane's share of the voxels of an object that are within the volume."""
        z, y, x = first_voxel(pose, proposal)
        height, width = np.int64(pose[_HEIGHT]), np.int64(pose[_WIDTH])
        z0, z1 = common(z, np.int64(pose[_DEPTH]), z, np.int64(pose[_DEPTH]), volume[0])
        y0, y1 = common(y, height, y, height, volume[1])
        x0, x1 = common(x, width, x, width, volume[2])
        words, total = (width + 63) >> 6, np.int64(0)
        if z0 >= z1 or y0 >= y1 or x0 >= x1:
            return total
        for word in range((x0 - x) >> 6, ((x1 - 1 - x) >> 6) + 1):
            bits = bits_between(x + (word << 6), x0, x1)
            for k in range(z0 - z, z1 - z):
                at = (k * words + word) * height - y
                own = rows[at + y0 : at + y1]
                for row in range(team.lane, y1 - y0, team.lanes):
                    total += count_bits(own[row] & bits)
        return total

    @jit_inlined
    def voxels_shared(rows_i, one, place_i, rows_j, two, place_j, volume, enough, team):
        """This lane's share of the voxels inside both objects and within the volume.

        Counting ends as soon as there are more than ``enough``.
        """
        zi, yi, xi = first_voxel(one, place_i)
        zj, yj, xj = first_voxel(two, place_j)
        height_i, width_i = np.int64(one[_HEIGHT]), np.int64(one[_WIDTH])
        height_j, width_j = np.int64(two[_HEIGHT]), np.int64(two[_WIDTH])
        z0, z1 = common(zi, np.int64(one[_DEPTH]), zj, np.int64(two[_DEPTH]), volume[0])
        y0, y1 = common(yi, height_i, yj, height_j, volume[1])
        x0, x1 = common(xi, width_i, xj, width_j, volume[2])
        words_i, words_j, total = (width_i + 63) >> 6, (width_j + 63) >> 6, np.int64(0)
        first_word = (x0 - xj) >> 6
        stop_word = ((x1 - 1 - xj) >> 6) + 1
        if z0 >= z1 or y0 >= y1:
            stop_word = first_word
        for word in range(first_word, stop_word):
            first = xj + (word << 6)
            bits, shift = bits_between(first, x0, x1), (first - xi) & 63
            # i's two words there. One may be outside of the box: any other does, as ``bits`` leaves
            # it out.
            near = (first - xi) >> 6
            far = _lesser(near + 1, words_i - 1)
            near = _greater(near, np.int64(0))
            for z in range(z0, z1):
                at = (z - zi) * words_i
                low = rows_i[(at + near) * height_i + y0 - yi :]
                high = rows_i[(at + far) * height_i + y0 - yi :]
                others = rows_j[((z - zj) * words_j + word) * height_j + y0 - yj :]
                for row in range(team.lane, y1 - y0, team.lanes):
                    own = shifted_pair(low[row], high[row], shift)
                    total += count_bits(own & others[row] & bits)
                if total > enough:
                    break
        return total

    @jit
    def nearest(at, side):
        """The sample nearest to ``at`` (2^-20 source voxel), and how far ``at`` is off the grid."""
        last = side - np.int64(1)
        sample = _greater(_lesser((at + (1 << 19)) >> 20, last), np.int64(0))
        return sample, _greater(_greater(-at, at - (last << 20)), np.int64(0))

    @jit_inlined
    def least_distance(points, place_i, two, place_j, shape, distances, team):
        """From this lane's points of i's surface to that of j, 1/16 source voxel of j."""
        depth, height, width = (
            np.int64(shape[_GRID_DEPTH]),
            np.int64(shape[_GRID_HEIGHT]),
            np.int64(shape[_GRID_WIDTH]),
        )
        dz = (np.int64(place_i[_PLACE]) - place_j[_PLACE]) << 4
        dy = (np.int64(place_i[_PLACE + 1]) - place_j[_PLACE + 1]) << 4
        dx = (np.int64(place_i[_PLACE + 2]) - place_j[_PLACE + 2]) << 4
        least = np.int64(_FAR)
        for p in range(team.lane, BANK_POINTS, team.lanes):
            z, y, x = dz + points[p, 0], dy + points[p, 1], dx + points[p, 2]  # 1/16 voxel
            at = two[_MATRIX] * z + two[_MATRIX + 1] * y + two[_MATRIX + 2] * x
            w, beyond_w = nearest(at + (np.int64(two[_CENTRE]) << 8), depth)
            at = two[_MATRIX + 3] * z + two[_MATRIX + 4] * y + two[_MATRIX + 5] * x
            v, beyond_v = nearest(at + (np.int64(two[_CENTRE + 1]) << 8), height)
            at = two[_MATRIX + 6] * z + two[_MATRIX + 7] * y + two[_MATRIX + 8] * x
            u, beyond_u = nearest(at + (np.int64(two[_CENTRE + 2]) << 8), width)
            beyond = _greater(_greater(beyond_w, beyond_v), beyond_u)
            distance = distances[shape[_GRID] + (w * height + v) * width + u]
            least = _lesser(least, distance + (beyond >> 16))
        return least

    @jit
    def surely_apart(reach, place_i, two, place_j, pair, shape, distances):
        """Whether i's points are at least NEAREST from j's surface, from a bound alone.

        The points lie in a box, and so do their samples of j's grid; none is less than that at the
        middle by more than the slope allows. What all of the box is off the grid is added.
        """
        at, square, beyond = np.int64(0), np.int64(0), np.int64(0)
        for axis in range(3):
            low = np.int64(two[_CENTRE + axis]) << 8  # 2^-20 source voxel
            high = low
            for own in range(3):
                step = np.int64(two[_MATRIX + 3 * axis + own])
                away = (np.int64(place_i[_PLACE + own]) - place_j[_PLACE + own]) << 4
                start, end = step * (away + reach[0, own]), step * (away + reach[1, own])
                low, high = low + _lesser(start, end), high + _greater(start, end)
            side = np.int64(shape[_GRID_DEPTH + axis])
            beyond = _greater(beyond, _greater(-high, low - ((side - 1) << 20)))
            first, last = nearest(low, side)[0], nearest(high, side)[0]
            middle = (first + last) >> 1
            square += (last - middle) * (last - middle)
            at = at * side + middle
        wanted = ((np.int64(pair[_NEAREST]) << 12) + two[_LENGTH] - 1) // two[_LENGTH]
        spare = distances[shape[_GRID] + at] + (beyond >> 16) - wanted  # 1/16 source voxel
        spare = _SLOPE_UNIT * _lesser(spare, np.int64(_AMPLE))
        slope = 16 * np.int64(shape[_SLOPE])
        return spare >= 0 and spare * spare >= slope * slope * square

    @jit
    def contact_of(place_i, place_j, shared, visible, visible_other, gap):
        return Contact(
            np.int64(place_i[_BODY]) - place_j[_BODY],
            np.int64(place_i[_BODY + 1]) - place_j[_BODY + 1],
            np.int64(place_i[_BODY + 2]) - place_j[_BODY + 2],
            shared,
            visible,
            visible_other,
            gap,
        )

    @jit
    def pair_energy(scene, i, ki, j, kj, own, seen, energy, most, team):
        """Add what masks and surfaces of objects i and j say to ``energy``.

        Args:
            own: 0: i is the object that is being placed, 1: j is.
            seen: its voxels within the volume, -1: not measured yet.
            most: once the energy is above, nothing more is measured.

        Returns:
            The energy, and ``seen``.
        """
        none, pair, place_i, place_j = (
            np.int64(0), scene.pairs[i, j], scene.proposals[i, ki], scene.proposals[j, kj]
        )  # fmt: skip
        one, two = scene.poses[i], scene.poses[j]
        rows_i, rows_j = scene.rows[scene.row_offsets[i] :], scene.rows[scene.row_offsets[j] :]
        # More than ``enough`` is forbidden, however much of the object is visible.
        at_most = scene.counts[j] if own else scene.counts[i]
        others = scene.visible[i] if own else scene.visible[j]
        enough = pair[_LIMIT] * _lesser(np.int64(at_most), np.int64(others)) // RATIO_ONE
        part = none
        if energy <= most:
            part = voxels_shared(
                rows_i, one, place_i, rows_j, two, place_j, scene.volume, enough, team
            )
        shared = group_sum(team, part)
        asked = shared > 0 or pair[_WITHIN] > 0 or pair[_INSIDE] > 0
        look, part = energy <= most and asked and seen < 0 and shared <= enough, none
        if look:
            part = voxels_in_view(
                rows_j if own else rows_i, two if own else one, place_j if own else place_i,
                scene.volume, team,
            )  # fmt: skip
        part = group_sum(team, part)
        seen = part if look else seen
        visible, visible_other = none, none
        if asked:
            visible = seen if shared <= enough else np.int64(at_most)
            visible_other = np.int64(others)
        if own:
            visible, visible_other = visible_other, visible
        if energy <= most:
            contact = contact_of(place_i, place_j, shared, visible, visible_other, none)
            energy += mask_terms(pair, contact)
        gap = none
        if pair[_GAP] != 0:
            part, shape = np.int64(_FAR), scene.shapes[two[_SHAPE]]
            measured = energy <= most and not (
                pair[_FARTHEST] < 0
                and surely_apart(
                    scene.reach[i], place_i, two, place_j, pair, shape, scene.distances
                )
            )
            if measured:
                part = least_distance(
                    scene.points[i], place_i, two, place_j, shape, scene.distances, team
                )
            part = _greater((group_least(team, part) * two[_LENGTH]) >> 12, none)
            gap = part if measured else _greater(np.int64(pair[_NEAREST]), none)
        if energy <= most:
            contact = contact_of(place_i, place_j, shared, visible, visible_other, gap)
            energy += surface_terms(pair, contact)
        return energy, seen

    @jit_inlined
    def energy_of(scene, n, k, rank, most, team):
        """Energy of object n at its k-th proposal, against all that is placed.

        Args:
            rank: n's place in the order.
            most: once the energy is above, nothing more is added.
        """
        none, energy, seen = np.int64(0), np.int64(0), np.int64(-1)
        objects = scene.order.shape[0]
        for measured in range(2):
            for other in range(objects):
                m = scene.order[other]
                if other == rank or scene.chosen[m] < 0:
                    continue
                if team.lanes == 1 and energy > most:
                    break
                i, ki, j, kj, own = n, k, m, scene.chosen[m], 0
                if rank < other:
                    i, ki, j, kj, own = m, scene.chosen[m], n, k, 1
                if measured:
                    energy, seen = pair_energy(scene, i, ki, j, kj, own, seen, energy, most, team)
                else:
                    contact = contact_of(
                        scene.proposals[i, ki], scene.proposals[j, kj], none, none, none, none
                    )
                    energy += place_terms(scene.pairs[i, j], contact)
        return _lesser(energy, np.int64(FORBIDDEN))

    @jit
    def noise_of(proposals, tries, c):
        """Noise of candidate c; that after the ``tries`` proposals is the present place."""
        return np.int64(proposals[c, _NOISE]) if c < tries else np.int64(0)

    @jit
    def louder(proposals, tries, candidates, c):
        """The candidate after c by falling noise, then by number; -1: before the first."""
        last = noise_of(proposals, tries, c) if c >= 0 else np.int64(_FAR)
        found, loudest = candidates, np.int64(_LEAST)
        for other in range(candidates):
            noise = noise_of(proposals, tries, other)
            if loudest < noise and (noise < last or (noise == last and other > c)):
                found, loudest = other, noise
        return found

    @jit_inlined
    def best_of(scene, n, rank, first, tries, full, team):
        """The proposal that wins, or -1 where all are forbidden; of equals, the first.

        Candidates are ``tries`` proposals from ``first`` on, then object n's present place if it
        has one, without noise: with one proposal that is Metropolis' rule. Those of most noise come
        first, as the others then seldom need to be measured.
        """
        present, proposals = np.int64(scene.chosen[n]), scene.proposals[n, first:]
        candidates = np.int64(tries) if present < 0 else np.int64(tries + 1)
        best, winner, c = np.int64(_LEAST), candidates, np.int64(-1)
        for start in range(0, candidates, team.groups):
            for _ in range(team.groups if start else team.group + 1):
                if c < candidates:
                    c = louder(proposals, tries, candidates, c)
            noise, most, k = np.int64(0), np.int64(-1), np.int64(first)
            if c < candidates:
                noise, most = noise_of(proposals, tries, c), np.int64(FORBIDDEN - 1)
                k = first + c if c < tries else present
                if not full:  # what has more energy cannot win
                    most = _lesser(most, noise - best - (1 if c > winner else 0))
            energy = energy_of(scene, n, k, rank, most, team)
            if full and c < tries and team.lane == 0:
                scene.energies[n, k] = energy
            value = noise - energy if energy <= most else np.int64(_LEAST)
            round_best = block_most(team, value)
            round_winner = block_least(team, c if value == round_best else candidates)
            if round_best > best or (round_best == best and round_winner < winner):
                best, winner = round_best, round_winner
        if best == _LEAST:
            return np.int64(-1)
        return first + winner if winner < tries else present

    @jit_inlined
    def settle(scene, n, rank, first, tries, full, team):
        """Put object n where the winner of ``best_of`` is, if there is one."""
        k = best_of(scene, n, rank, first, tries, full, team)
        if k >= 0:
            rows = scene.rows[scene.row_offsets[n] :]
            part = voxels_in_view(rows, scene.poses[n], scene.proposals[n, k], scene.volume, team)
            visible = group_sum(team, part)
            synchronize()
            if team.thread == 0:
                scene.chosen[n], scene.visible[n] = k, visible
            synchronize()

    @jit_inlined
    def follow(scene, n, team):
        """Move object n's proposals by how far its leader is from where it was expected."""
        leader = np.int64(scene.poses[n, _LEADER]) - 1
        if leader >= 0 and scene.chosen[leader] >= 0:
            there, expected = scene.proposals[leader, scene.chosen[leader]], scene.poses[leader]
            for k in range(team.thread, scene.proposals.shape[1], team.threads):
                for axis in range(3):
                    scene.proposals[n, k, _PLACE + axis] += (
                        there[_PLACE + axis] - expected[_ANCHOR + axis]
                    )
                    scene.proposals[n, k, _BODY + axis] += (
                        there[_BODY + axis] - expected[_ANCHOR_BODY + axis]
                    )
        synchronize()

    @jit_inlined
    def leads(scene, n):
        """Whether what is placed follows object n, which then stays."""
        found = False
        for other in range(scene.order.shape[0]):
            found = found or (scene.poses[other, _LEADER] == n + 1 and scene.chosen[other] >= 0)
        return found

    @jit_inlined
    def bound(points, reach):
        """Least and most along each axis."""
        for axis in range(3):
            least = most = points[0, axis]
            for p in range(BANK_POINTS):
                least, most = _lesser(least, points[p, axis]), _greater(most, points[p, axis])
            reach[0, axis], reach[1, axis] = least, most

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

    def place_volume(scene, ranks, tries, sweeps, full, placed, team):
        objects = scene.order.shape[0]
        for n in range(team.thread, objects, team.threads):
            scene.chosen[n], scene.visible[n], placed[ranks[n], _PROPOSALS] = -1, 0, 0
            bound(scene.points[n], scene.reach[n])
            for k in range(scene.energies.shape[1]):
                scene.energies[n, k] = -1
        synchronize()
        for turn in range(1 + sweeps):
            for rank in range(objects):
                n = scene.order[rank]
                stays = turn > 0 and leads(scene, n)
                if turn == 0:
                    follow(scene, n, team)
                for attempt in range(2):
                    if turn == 0:
                        wanted = scene.poses[n, _FATE] == _PLACED and scene.counts[n] > 0
                        due = wanted and scene.chosen[n] < 0
                        first, count = attempt * tries, tries
                    else:
                        due = attempt == 0 and scene.chosen[n] >= 0 and not stays
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


# Arrays are in use for as long as the kernel runs: not counting the references to them saves a
# sixth of the time, and some of compiling.
_compiled = partial(
    njit, nogil=True, error_model="numpy", forceinline=True, no_cpython_wrapper=True,
    no_cfunc_wrapper=True, _nrt=False,
)  # fmt: skip
_place_volume = _compiled(build(_compiled, inlined, popcount, _no_barrier, _own, _own, _own, _own))


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
        proposals: (N, 2 * tries + sweeps, Proposal.SIZE) int32; those of followers are moved.
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
        shape, visible, chosen, energies, np.empty((len(order), 2, 3), np.int32),
    )  # fmt: skip
    team = Team(0, 1, 0, 1, 0, 1, energies[0])
    _place_volume(scene, ranks, tries, sweeps, full, placed, team)

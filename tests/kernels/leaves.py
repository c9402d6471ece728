"""The leaf functions of the ``.cuh`` headers: how to call each, and inputs it is made for."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from synthgen.kernels import bits, philox, polygon, quantiles

Columns = list[np.ndarray]
SIDE = 512  # largest volume side
FAR = 128 * SIDE  # a coordinate in 1/64 voxel, well outside


class Draw:
    """Random columns of ``count`` int64 with the ends of each range over-represented."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self.count, self.generator = count, np.random.default_rng(seed)

    def ints(self, low: int, high: int) -> np.ndarray:
        """Integers in low .. high; a quarter are edge values: the ends, 0, 1, -1, powers of two."""
        values = self.generator.integers(low, high, self.count, np.int64, endpoint=True)
        powers = [sign * 2**k + d for k in range(62) for sign in (1, -1) for d in (-1, 0, 1)]
        edges = [v for v in {low, low + 1, high - 1, high, 0, *powers} if low <= v <= high]
        chosen = self.generator.random(self.count) < 0.25
        values[chosen] = self.generator.choice(np.array(edges, np.int64), chosen.sum())
        return values

    def words(self, bits: int) -> np.ndarray:
        """Unsigned words of some width as int64 bit patterns; half have few ones or few zeros."""
        values = self.generator.integers(0, 2**bits - 1, self.count, np.uint64, endpoint=True)
        spread = self.generator.integers(0, bits, self.count, np.uint64)
        mask = np.uint64(2**bits - 1)
        kind = self.generator.integers(0, 8, self.count)
        values = np.where(kind == 0, (np.uint64(1) << spread) & mask, values)
        values = np.where(kind == 1, (~np.uint64(0) << spread) & mask, values)
        values = np.where(kind == 2, mask, np.where(kind == 3, np.uint64(0), values))
        return values.view(np.int64)

    def pair(self, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
        """Two columns, the first not above the second."""
        a, b = self.ints(low, high), self.ints(low, high)
        return np.minimum(a, b), np.maximum(a, b)

    def nonzero(self, low: int, high: int) -> np.ndarray:
        values = self.ints(low, high)
        return np.where(values == 0, 1, values)


@dataclass(frozen=True)
class Leaf:
    """One function of a header and of the Python module of the same name.

    Attributes:
        name: of the function, in both.
        module: the Python twin's.
        kinds: ``i`` (int64), ``u`` (uint64) or ``d`` (double) for each argument of the twin.
        inputs: columns of valid arguments, as 64 bits.
        fields: members of the struct that C returns, where it returns one.
        call: the call in C, of arguments a0, a1, ..., where it is not the plain one.
        result: ``i`` or ``d``.
    """

    name: str
    module: ModuleType
    kinds: str
    inputs: Callable[[Draw], Columns]
    fields: tuple[str, ...] = ()
    call: str = ""
    result: str = "i"

    @property
    def c_call(self) -> str:
        arguments = ", ".join(f"a{i}" for i in range(len(self.kinds)))
        return self.call or f"{self.name}({arguments})"

    @property
    def results(self) -> int:
        return max(1, len(self.fields))


def _span(draw: Draw) -> Columns:
    return [*draw.pair(0, 63)]


def _shifted_pair(draw: Draw) -> Columns:
    return [draw.words(64), draw.words(64), draw.ints(0, 63)]


def _clip_span(draw: Draw) -> Columns:
    near, far = draw.ints(-600, 1200), draw.ints(-(2**40), 2**40)
    low = np.where(draw.ints(0, 3) == 0, far, near)
    return [draw.ints(0, 8), low, low + draw.ints(-70, 600)]


def _philox(draw: Draw) -> Columns:
    return [draw.words(32) for _ in range(6)]


def _random_words(draw: Draw) -> Columns:
    return [draw.words(64), draw.words(64), draw.words(16), draw.words(48)]


def _bounded(draw: Draw) -> Columns:
    low, high = draw.pair(-(2**30) + 1, 2**30 - 1)
    return [draw.words(32), low, high]


def _slice(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Slice and depth, 0 <= z < depth."""
    z, last = draw.pair(0, SIDE - 1)
    return z, last + 1


def _scale_at(draw: Draw) -> Columns:
    z, depth = _slice(draw)
    turn = np.minimum(draw.ints(0, SIDE), depth)
    return [draw.ints(0, 3), z, depth, turn, *(draw.ints(0, 2**18) for _ in range(3))]


def _polygon_vertex(draw: Draw) -> Columns:
    z, depth = _slice(draw)
    head = [draw.ints(0, 360), draw.ints(0, SIDE), draw.ints(0, SIDE // 2), draw.ints(0, 3)]
    return [*head, z, depth, draw.ints(0, SIDE << 18), draw.ints(1, SIDE << 16)]


def _ellipse_vertex(draw: Draw) -> Columns:
    return [draw.ints(0, 359), draw.ints(0, 180), *(draw.ints(0, SIDE) for _ in range(3))]


def _floor_sqrt(draw: Draw) -> Columns:
    near_square = draw.ints(1, 2**26 - 1) ** 2 + draw.ints(-1, 1)
    return [np.where(draw.ints(0, 1) == 0, near_square, draw.ints(0, 2**52 - 1))]


def _per(extent: np.ndarray) -> np.ndarray:
    """Bits of the double reciprocal of an extent."""
    return (2.0**26 / extent).view(np.int64)


def _scaled(draw: Draw) -> Columns:
    return [draw.ints(-(2**36), 2**36), _per(draw.nonzero(-FAR, FAR))]


def _strip(draw: Draw) -> Columns:
    y, x, dx = (draw.ints(-FAR, FAR) for _ in range(3))
    return [y, x, dx, _per(draw.ints(1, FAR)), draw.ints(0, SIDE - 1)]


def _half_width(draw: Draw) -> Columns:
    dy, dx = draw.ints(1, FAR), draw.ints(-FAR, FAR)
    return [dx * dx + dy * dy, draw.ints(0, 4 * 64), _per(dy)]


def _slab(draw: Draw) -> Columns:
    y, x, dx = draw.ints(-FAR, FAR), draw.ints(-FAR, FAR), draw.nonzero(-FAR, FAR)
    return [y, x, draw.ints(0, FAR), dx, _per(dx), draw.ints(0, SIDE - 1)]


_WORDS = ("x", "y", "z", "w")
_PHILOX = "philox4x32(Words{(unsigned)a0, (unsigned)a1, (unsigned)a2, (unsigned)a3}, a4, a5)"

LEAVES = [
    Leaf("span", bits, "ii", _span),
    Leaf("shifted_pair", bits, "uui", _shifted_pair),
    Leaf("clip_span", bits, "iii", _clip_span),
    Leaf("philox4x32", philox, "uuuuuu", _philox, _WORDS, _PHILOX),
    Leaf("random_words", philox, "uuuu", _random_words, _WORDS),
    Leaf("bounded", philox, "uii", _bounded),
    Leaf("cosine", polygon, "i", lambda draw: [draw.ints(0, 1000)]),
    Leaf("sine", polygon, "i", lambda draw: [draw.ints(0, 1000)]),
    Leaf("scale_at", polygon, "iiiiiii", _scale_at, ("numerator", "denominator")),
    Leaf("polar", polygon, "ii", lambda d: [d.ints(-SIDE, SIDE), d.ints(-(2**24), 2**24)]),
    Leaf("polygon_vertex", polygon, "iiiiiiii", _polygon_vertex, ("y", "x")),
    Leaf("ellipse_step", polygon, "i", lambda draw: [draw.ints(0, SIDE)]),
    Leaf("ellipse_vertex", polygon, "iiiii", _ellipse_vertex, ("y", "x")),
    Leaf("floor_sqrt", polygon, "i", _floor_sqrt),
    Leaf("row_at_or_after", polygon, "i", lambda draw: [draw.ints(-(2**40), 2**40)]),
    Leaf("reciprocal", polygon, "i", lambda d: [d.nonzero(-(2**40), 2**40)], result="d"),
    Leaf("scaled", polygon, "id", _scaled),
    Leaf("strip", polygon, "iiidi", _strip, ("at", "step")),
    Leaf("half_width", polygon, "iid", _half_width),
    Leaf("slab", polygon, "iiiidi", _slab, ("low", "high", "step")),
    Leaf("margin", polygon, "i", lambda draw: [draw.ints(0, 2**20)]),
    Leaf("normal", quantiles, "u", lambda draw: [draw.words(32)]),
    Leaf("gumbel", quantiles, "u", lambda draw: [draw.words(32)]),
    Leaf("negative_log", quantiles, "u", lambda draw: [draw.words(32)]),
]

"""Five stylised torsos, made by formulas: a bank that needs no download. A demo, not anatomy.

Organs are chains of beads with smoothly joined surfaces, in mm, x to the right, y to the front, z
up, from the middle of the body at the height of the diaphragm. Sizes, places and bumps of each
organ differ between subjects. All of it is ``+ - * /`` and square roots, in float64 and element by
element, so that every machine makes the same masks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.solids import box_of, cut_to_box, without_specks
from synthgen.bank.subject import Mask, Subject
from synthgen.kernels.streams import Stream
from synthgen.rng import random_words

SUBJECTS = 5
MIRRORS = (("kidney_left", "kidney_right"), ("lung_left", "lung_right"))

Field = NDArray[np.float64]
Point = tuple[float, float, float]
Bead = tuple[float, float, float, float]  # x, y, z, radius

_SEED = 0x746F72736F  # of the five; others are other people
_DRAWS = 16  # of an organ
_BODY_SD = 0.07  # half width of the uniform factors on the body's sides
_SIZE_SD = 0.10  # and of those on an organ's
_SHIFT = (4.0, 4.0, 6.0)  # half widths of an organ's own shift, mm
_WAVE = 46.0  # mm between bumps
_REACH = 16.0  # of joins and bumps beyond the beads, mm
_FAR = 1000.0


@dataclass(frozen=True)
class _Organ:
    """How an organ is made.

    Attributes:
        name: of the structure.
        chain: beads in order, each joined to the next by a cone.
        flat: factors on x, y, z: below 1 the beads are flattened along it.
        bumps: height of the bumps on its surface, mm.
        steady: part of the usual shift and change of size; tubes that join others move little.
        carve: what of its neighbourhood it has not; negative where it may be.
        inside: of which organ it is a part; that one keeps the voxels too.
    """

    name: str
    chain: Sequence[Sequence[Bead]]
    flat: Point = (1.0, 1.0, 1.0)
    bumps: float = 1.5
    steady: float = 1.0
    carve: Callable[[Field, Field, Field], Field] | None = None
    inside: str = ""


def _mirrored(chain: Sequence[Bead]) -> tuple[Bead, ...]:
    return tuple((-x, y, z, r) for x, y, z, r in chain)


def _ellipsoid(x: Field, y: Field, z: Field, middle: Point, half: Point) -> Field:
    """Some 1 outside, 0 on the surface, -1 in the middle, times the least half axis."""
    u, v, w = ((a - m) / h for a, m, h in zip((x, y, z), middle, half, strict=True))
    root: Field = np.sqrt(u * u + v * v + w * w)
    return (root - 1.0) * min(half)


def _lung_carving(side: float) -> Callable[[Field, Field, Field], Field]:
    """A lung has neither the room between both of them nor that of the diaphragm's dome."""

    def carve(x: Field, y: Field, z: Field) -> Field:
        dome = _ellipsoid(x, y, z, (side * 72.0, 2.0, -70.0), (98.0, 116.0, 92.0 + 6.0 * side))
        return np.maximum(-dome, 20.0 - side * x)

    return carve


def _above_the_gut(x: Field, y: Field, z: Field) -> Field:
    """The liver ends in a slope that rises to the left and to the back."""
    return -(0.52 * (x - 96.0) + 0.24 * (y - 40.0) + 0.82 * (z + 92.0)) * 0.9


def _hilum(side: float) -> Callable[[Field, Field, Field], Field]:
    def carve(x: Field, y: Field, z: Field) -> Field:
        return -_ellipsoid(x, y, z, (side * 34.0, -38.0, -88.0 - 6.0 * side), (15.0, 15.0, 18.0))

    return carve


_LUNG = (((74.0, -12.0, 178.0, 46.0), (78.0, -6.0, 96.0, 68.0), (80.0, -8.0, 34.0, 74.0)),)
_KIDNEY = (((56.0, -48.0, -66.0, 25.0), (66.0, -42.0, -110.0, 26.0)),)
_SPINE = (
    (0.0, -60.0, -232.0, 25.0), (0.0, -56.0, -170.0, 24.0), (0.0, -48.0, -100.0, 23.0),
    (0.0, -60.0, -20.0, 21.0), (0.0, -78.0, 60.0, 19.0), (0.0, -84.0, 140.0, 17.0),
    (0.0, -72.0, 220.0, 15.0), (0.0, -60.0, 268.0, 14.0),
)  # fmt: skip
# Later ones take the voxels of earlier ones.
_ORGANS = (
    _Organ("lung_right", _LUNG, (0.98, 1.12, 1.1), 2.0, carve=_lung_carving(1.0)),
    _Organ(
        "lung_left", (_mirrored(_LUNG[0]),), (0.92, 1.12, 1.1), 2.0, carve=_lung_carving(-1.0)
    ),
    _Organ(
        "liver",
        (((70.0, 0.0, -52.0, 72.0), (66.0, 6.0, -34.0, 66.0), (-20.0, 30.0, -14.0, 36.0)),
         ((-20.0, 30.0, -14.0, 36.0), (-52.0, 34.0, -10.0, 20.0))),
        (0.98, 1.12, 0.92), 2.5, carve=_above_the_gut,
    ),
    _Organ(
        "stomach",
        (((-66.0, -12.0, -12.0, 34.0), (-72.0, 12.0, -52.0, 31.0), (-44.0, 36.0, -92.0, 25.0),
          (4.0, 30.0, -92.0, 17.0)),),
        bumps=2.5,
    ),
    _Organ(
        "spleen",
        (((-112.0, -58.0, -8.0, 25.0), (-118.0, -48.0, -44.0, 27.0)),),
        (0.72, 1.15, 1.2), 2.0,
    ),
    _Organ("heart", (((4.0, 12.0, 76.0, 40.0), (-46.0, 36.0, 40.0, 27.0)),), bumps=2.0),
    _Organ("kidney_right", _KIDNEY, (0.92, 0.86, 1.1), carve=_hilum(1.0)),
    _Organ("kidney_left", (_mirrored(_KIDNEY[0]),), (0.92, 0.86, 1.1), carve=_hilum(-1.0)),
    _Organ(
        "pancreas",
        (((34.0, 2.0, -98.0, 16.0), (6.0, 6.0, -82.0, 12.0), (-42.0, -12.0, -70.0, 11.0),
          (-88.0, -34.0, -62.0, 9.0)),),
    ),
    _Organ("gallbladder", (((56.0, 60.0, -92.0, 14.0), (48.0, 38.0, -70.0, 8.0)),), bumps=0.8),
    _Organ("spine", (_SPINE, tuple((x, y - 27.0, z, 0.85 * r) for x, y, z, r in _SPINE)), bumps=2.5,
           steady=0.3),
    _Organ(
        "spinal_canal",
        (tuple((x, y - 25.0, 0.98 * z + 1.0, 8.5) for x, y, z, _ in _SPINE),),
        bumps=0.0, steady=0.3, inside="spine",
    ),
    _Organ(
        "aorta",
        (((2.0, 8.0, 92.0, 15.0), (8.0, -4.0, 138.0, 15.0), (-10.0, -30.0, 154.0, 14.0),
          (-26.0, -58.0, 132.0, 13.0), (-26.0, -54.0, 50.0, 12.0), (-16.0, -34.0, -20.0, 11.0),
          (-8.0, -16.0, -96.0, 10.0), (-6.0, -22.0, -136.0, 9.0)),),
        bumps=0.6, steady=0.3,
    ),
    _Organ(
        "esophagus",
        (((-3.0, -44.0, 262.0, 8.5), (-2.0, -54.0, 190.0, 8.5), (2.0, -58.0, 120.0, 8.5),
          (-4.0, -42.0, 40.0, 9.0), (-30.0, -18.0, 2.0, 9.0), (-50.0, -14.0, -12.0, 9.5)),),
        bumps=0.5, steady=0.3,
    ),
    _Organ(
        "trachea",
        (((0.0, -22.0, 268.0, 10.0), (3.0, -32.0, 160.0, 10.0), (40.0, -34.0, 122.0, 7.5)),
         ((3.0, -32.0, 160.0, 10.0), (-40.0, -36.0, 120.0, 7.5))),
        bumps=0.4, steady=0.3,
    ),
    _Organ("urinary_bladder", (((0.0, 42.0, -222.0, 36.0),),), (1.2, 1.0, 0.86), 1.5),
)  # fmt: skip


def torso_subjects(spacing: float = 3.0) -> list[Subject]:
    """The five subjects, of 16 structures each; a structure inside another is a part of it too.

    Args:
        spacing: of the voxels, mm.

    Raises:
        ValueError: the spacing is out of range.
    """
    if not 1.0 <= spacing <= 8.0:
        raise ValueError(f"spacing: must be 1.0 to 8.0 mm, got {spacing}")
    return [_subject(number, spacing) for number in range(SUBJECTS)]


def _subject(number: int, spacing: float) -> Subject:
    body = 1.0 + _BODY_SD * _uniform(number, len(_ORGANS))[:3]
    whole = {
        organ.name: _voxels(organ, body, _uniform(number, place), spacing)
        for place, organ in enumerate(_ORGANS)
    }
    first = np.min([low for _, low in whole.values()], 0)
    last = np.max([low + mask.shape for mask, low in whole.values()], 0)
    owner = np.zeros(tuple(last - first), np.uint8)
    container = {place: organ.inside for place, organ in enumerate(_ORGANS, 1) if organ.inside}
    for place, organ in enumerate(_ORGANS, 1):
        mask, low = whole[organ.name]
        here = tuple(slice(a, a + n) for a, n in zip(low - first, mask.shape, strict=True))
        owner[here][mask] = place
    parts = {}
    for place, organ in enumerate(_ORGANS, 1):
        held = [place, *(part for part, name in container.items() if name == organ.name)]
        parts[organ.name] = _part(np.isin(owner, held), first, spacing)
    boxes = np.stack([box_of(part) for part in parts.values()])
    return Subject(parts, np.stack([boxes[:, 0].min(0), boxes[:, 1].max(0)]))


def _part(inside: NDArray[np.bool_], first: NDArray[np.int64], spacing: float) -> Mask:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = first * spacing
    return cut_to_box(without_specks(inside), affine)


def _uniform(subject: int, organ: int) -> Field:
    """(_DRAWS,) numbers in -1 .. 1, the same for every spacing."""
    draws = organ * _DRAWS // 4 + np.arange(_DRAWS // 4)
    words = random_words(_SEED, subject, Stream.ANATOMY, draws).reshape(-1)
    return words.astype(np.float64) / 2.0**31 - 1.0


def _voxels(
    organ: _Organ, body: Field, draws: Field, spacing: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """An organ's mask x, y, z, and the lattice point of its first voxel."""
    sizes = 1.0 + _SIZE_SD * organ.steady * draws[0:3]
    shift = np.array(_SHIFT) * organ.steady * draws[3:6]
    beads = np.array([bead for chain in organ.chain for bead in chain])
    middle = (beads[:, :3].min(0) + beads[:, :3].max(0)) / 2
    reach = beads[:, 3:].max() * np.maximum(np.array(organ.flat), 1.0) + _REACH
    low = ((beads[:, :3].min(0) - reach - middle) * sizes + middle + shift) * body
    high = ((beads[:, :3].max(0) + reach - middle) * sizes + middle + shift) * body
    first = np.floor(low / spacing).astype(np.int64)
    counts = np.ceil(high / spacing).astype(np.int64) - first + 1
    axes = [
        ((first[a] + np.arange(counts[a])) * spacing / body[a] - shift[a] - middle[a]) / sizes[a]
        + middle[a]
        for a in range(3)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    field = _chains(organ, axes)
    if organ.bumps:
        field += organ.bumps * _bumps(x, y, z, draws[6:12])
    if organ.carve is not None:
        field = np.maximum(field, organ.carve(x, y, z))
    return field < 0, first


def _chains(organ: _Organ, axes: Sequence[Field]) -> Field:
    """Some signed distance to beads, joined along each chain, and chains one to another."""
    field = np.full([len(axis) for axis in axes], _FAR)
    for chain in organ.chain:
        for start, end in zip(chain, chain[1:] or chain, strict=False):
            reach = max(start[3], end[3]) + _REACH
            ranges = [
                np.searchsorted(axis, [min(a, b) - reach * f, max(a, b) + reach * f])
                for axis, a, b, f in zip(axes, start[:3], end[:3], organ.flat, strict=True)
            ]
            here = tuple(slice(int(a), int(b)) for a, b in ranges)
            near = [axis[part] for axis, part in zip(axes, here, strict=True)]
            x, y, z = np.meshgrid(*near, indexing="ij", sparse=True)
            field[here] = _joined(field[here], _cone(x, y, z, start, end, organ.flat))
    return field


def _cone(x: Field, y: Field, z: Field, start: Bead, end: Bead, flat: Point) -> Field:
    """Distance to a bead that slides and grows from one to the other."""
    way = [(b - a) / f for a, b, f in zip(start[:3], end[:3], flat, strict=True)]
    u, v, w = ((p - a) / f for p, a, f in zip((x, y, z), start[:3], flat, strict=True))
    square = way[0] * way[0] + way[1] * way[1] + way[2] * way[2]
    if square == 0:
        return np.asarray(np.sqrt(u * u + v * v + w * w) - start[3])
    share = ((u * way[0] + v * way[1] + w * way[2]) / square).clip(0.0, 1.0)
    u, v, w = u - share * way[0], v - share * way[1], w - share * way[2]
    return np.asarray(np.sqrt(u * u + v * v + w * w) - (start[3] + share * (end[3] - start[3])))


def _joined(one: Field, other: Field, width: float = 8.0) -> Field:
    """The lesser, with a fillet where both are near (a polynomial smooth minimum)."""
    near = np.maximum(width - np.abs(one - other), 0.0) / width
    return np.asarray(np.minimum(one, other) - near * near * width / 4)


def _bumps(x: Field, y: Field, z: Field, draws: Field) -> Field:
    """A smooth field in -1 .. 1, its waves turned against the axes and shifted by the draws."""
    p = (x + 0.6 * y) / _WAVE + draws[0]
    q = (y + 0.6 * z) / _WAVE + draws[1]
    r = (z + 0.6 * x) / (_WAVE * (1.0 + 0.2 * draws[3])) + draws[2]
    return (_wave(p) * _wave(q) + _wave(q) * _wave(r) + _wave(r) * _wave(p)) / 3


def _wave(t: Field) -> Field:
    """Period 1, -1 .. 1: two parabolas in place of a sine."""
    s = t - np.floor(t)
    half = s - np.floor(s * 2) / 2  # 0 .. 1/2
    return np.asarray(np.where(s < 0.5, 1.0, -1.0) * 16 * half * (0.5 - half))

"""The 109 solids of FDIF as a table: what each is made of, and its parameters' ranges.

Names, ids and ranges are those of the public code of "FDIF" (Yamamoto et al., arXiv 2603.23199).
Label values follow the order of the ids, and are dense: the ids themselves only where a recipe
names all classes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from synthgen.kernels.sdf_records import SdfLift, SdfProfile, SdfTaper
from synthgen.named import named
from synthgen.shapes.sdf_part import Draw, SdfPart


@dataclass(frozen=True)
class SdfClass:
    """One class.

    Attributes:
        id: 1 .. 109, the published label value.
        name: as published.
        lift: how the solid is made of its profile.
        profile: a circle for the lifts that have none.
        count: tips of a star, corners of a polygon, else 0.
        taper: of a prism, else constant.
        onion: hollowed.
        block: name of the ranges of its profile and place, a key of BLOCKS.
    """

    id: int
    name: str
    lift: SdfLift
    profile: SdfProfile
    count: int
    taper: SdfTaper
    onion: bool
    block: str

    @property
    def draws(self) -> dict[str, Draw]:
        """All parameters and their ranges, in the order in which they depend on each other."""
        found = BLOCKS[self.block]
        if self.lift is SdfLift.PRISM:
            found = found | {"height": Draw(0.1, 0.5)} | TAPERS[self.taper]
        if self.onion:
            found = found | {"wall": Draw(0.2, 0.5, "minimum")}
        return found

    @property
    def part(self) -> SdfPart:
        """What an object of the class is made of."""
        return SdfPart(
            self.name, self.lift, self.profile, self.count, self.taper, self.onion, self.draws
        )


# A polygon has its corners at radii between corner_a and corner_b, whichever is larger. The height
# of a taper's knot is measured from the middle.
_LARGE, _SMALL = {"radius": Draw(0.15, 0.40)}, {"radius": Draw(0.05, 0.20)}
_LARGE_CORNERS = {"corner_a": Draw(0.15, 0.40), "corner_b": Draw(0.15, 0.40)}
_SMALL_CORNERS = {"corner_a": Draw(0.05, 0.20), "corner_b": Draw(0.05, 0.20)}
_BLUNT = {"bluntness": Draw(0.2, 0.7, "one")}
_BLUNT_REVOLVED = {"bluntness": Draw(0.1, 0.7, "one")}
_OFFSET = {"offset": Draw(0.15, 0.40)}

BLOCKS: Mapping[str, dict[str, Draw]] = {
    "A1": _LARGE,
    "A2": _LARGE,
    "A3": _LARGE | {"height": Draw(0.10, 0.50, "width")},
    "R1": _OFFSET | {"radius": Draw(0.3, 0.7, "offset")},
    "R2": _OFFSET | {"corner_a": Draw(0.03, 0.03), "corner_b": Draw(0.4, 0.8, "offset")},
    "R3": _OFFSET | {"radius": Draw(0.4, 0.8, "offset")} | _BLUNT_REVOLVED,
    "R4": _LARGE | {"offset": Draw(0.0, 0.5, "radius")} | _BLUNT_REVOLVED,
    "C0": _LARGE,
    "C1": _LARGE,
    "C2": _SMALL,
    "C3": _LARGE,
    "P0": _LARGE_CORNERS,
    "P1": _LARGE_CORNERS,
    "P2": _SMALL_CORNERS,
    "P3": _LARGE_CORNERS,
    "S0": _LARGE | _BLUNT,
    "S1": _LARGE | _BLUNT,
    "S2": _SMALL | _BLUNT,
    "S3": _LARGE | _BLUNT,
}

_KNOT = {"knot": Draw(-0.7, 0.7, "height")}
TAPERS: Mapping[SdfTaper, dict[str, Draw]] = {
    SdfTaper.CONST: {},
    SdfTaper.CONE: {"scale": Draw(0.0, 1.6, "one")},
    SdfTaper.CONVEX: {"scale": Draw(2.0, 4.0, "one")} | _KNOT,
    SdfTaper.CONCAVE: {"scale": Draw(0.2, 0.5, "one")} | _KNOT,
}

_CORNERS = {
    3: "Triangle", 4: "Square", 5: "Pentagon", 6: "Hexagon", 7: "Heptagon", 8: "Octagon",
    9: "Nonagon",
}  # fmt: skip
_TIPS = {3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven", 8: "Eight"}
_TAPER_NAMES = {
    SdfTaper.CONST: "",
    SdfTaper.CONE: "Cone",
    SdfTaper.CONVEX: "Convex",
    SdfTaper.CONCAVE: "Concave",
}

# Name (# stands for the count), lift, profile, counts, taper, onion, block.
_Row = tuple[str, SdfLift, SdfProfile, range, SdfTaper, bool, str]
_ONE = range(1)
_CORNER_COUNTS, _TIP_COUNTS = range(3, 10), range(5, 9)
_TAPER_ORDER = (SdfTaper.CONST, SdfTaper.CONVEX, SdfTaper.CONCAVE, SdfTaper.CONE)


def _plain(name: str, lift: SdfLift, taper: SdfTaper, block: str) -> _Row:
    return name, lift, SdfProfile.CIRCLE, _ONE, taper, False, block


def _revolved(name: str, profile: SdfProfile, counts: range, block: str) -> _Row:
    return name, SdfLift.REVOLVE, profile, counts, SdfTaper.CONST, False, block


def _prisms(onion: bool, profile: SdfProfile) -> list[_Row]:
    letter, counts, star = (
        ("P", _CORNER_COUNTS, "") if profile is SdfProfile.POLYGON else ("S", _TIP_COUNTS, "Star")
    )
    before = "Onioned#" if onion else "#"
    return [
        (
            f"{before}{star}{_TAPER_NAMES[taper]}Prism",
            SdfLift.PRISM, profile, counts, taper, onion, f"{letter}{int(taper)}",
        )
        for taper in _TAPER_ORDER
    ]  # fmt: skip


_ROWS: list[_Row] = [
    _plain("Sphere", SdfLift.SPHERE, SdfTaper.CONST, "A1"),
    _plain("Cylinder", SdfLift.PRISM, SdfTaper.CONST, "C0"),
    _plain("Torus", SdfLift.REVOLVE, SdfTaper.CONST, "R1"),
    _plain("Cone", SdfLift.CONE, SdfTaper.CONST, "A3"),
    _plain("Octahedron", SdfLift.OCTAHEDRON, SdfTaper.CONST, "A2"),
    _plain("ConvexCylinder", SdfLift.PRISM, SdfTaper.CONVEX, "C2"),
    _plain("ConcaveCylinder", SdfLift.PRISM, SdfTaper.CONCAVE, "C3"),
    _plain("ConeCylinder", SdfLift.PRISM, SdfTaper.CONE, "C1"),
    _revolved("#StarRevolution", SdfProfile.STAR, range(3, 6), "R4"),
    *_prisms(False, SdfProfile.POLYGON),
    *_prisms(False, SdfProfile.STAR),
    _revolved("#Torus", SdfProfile.POLYGON, range(4, 10), "R2"),
    _revolved("#StarTorus", SdfProfile.STAR, _TIP_COUNTS, "R3"),
    *_prisms(True, SdfProfile.POLYGON),
    *_prisms(True, SdfProfile.STAR),
]


def _classes() -> Iterator[SdfClass]:
    number = 0
    for name, lift, profile, counts, taper, onion, block in _ROWS:
        words = _TIPS if profile is SdfProfile.STAR else _CORNERS
        for count in counts:
            number += 1
            full = name.replace("#", words.get(count, ""))
            yield SdfClass(number, full, lift, profile, count, taper, onion, block)


CLASSES: tuple[SdfClass, ...] = tuple(_classes())


@cache
def _by_name() -> dict[str, SdfClass]:
    return {found.name: found for found in CLASSES}


def _groups() -> Iterator[tuple[str, tuple[SdfClass, ...]]]:
    """Named sets of classes; those of prisms are there for each taper too."""
    revolve, prism = SdfLift.REVOLVE, SdfLift.PRISM
    circle, star, polygon = SdfProfile.CIRCLE, SdfProfile.STAR, SdfProfile.POLYGON
    yield "all", CLASSES
    yield "solids", tuple(c for c in CLASSES if c.profile is circle)
    yield "tori", tuple(c for c in CLASSES if c.lift is revolve and c.block != "R4")
    yield "polygon_tori", tuple(c for c in CLASSES if c.block == "R2")
    yield "star_tori", tuple(c for c in CLASSES if c.block == "R3")
    yield "star_revolutions", tuple(c for c in CLASSES if c.block == "R4")
    for onion in (False, True):
        for profile in (polygon, star):
            name = f"{'onion_' if onion else ''}{profile.name.lower()}_prisms"
            found = tuple(
                c for c in CLASSES if (c.lift, c.profile, c.onion) == (prism, profile, onion)
            )
            yield name, found
            for taper in SdfTaper:
                yield f"{taper.name.lower()}_{name}", tuple(c for c in found if c.taper is taper)


GROUPS: Mapping[str, tuple[SdfClass, ...]] = dict(_groups())


def classes_named(name: str) -> tuple[SdfClass, ...]:
    """The class of a published name, or the classes of a group.

    Raises:
        ValueError: there is neither; the message lists the nearest names.
    """
    known = {**GROUPS, **{key: (found,) for key, found in _by_name().items()}}
    return named(known, name, "primitive")

"""A primitive of one's own: the kinds of the published ones with other ranges and counts."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from synthgen.kernels.sdf_records import (
    SDF_CORNERS_MAX,
    SDF_TIPS_MAX,
    SdfLift,
    SdfProfile,
    SdfTaper,
)
from synthgen.settings import FloatRange, Int, Settings
from synthgen.shapes.sdf_classes import CLASSES, GROUPS
from synthgen.shapes.sdf_part import LENGTH_HIGH, LENGTH_LOW, Draw, SdfPart, Unit

TAKEN = {*GROUPS, *(which.name for which in CLASSES), "background"}
_COUNTS = {"circle": (0, 0), "star": (3, SDF_TIPS_MAX), "polygon": (3, SDF_CORNERS_MAX)}
_OF_LIFT = {
    "sphere": ["radius"],
    "octahedron": ["radius"],
    "cone": ["radius", "height"],
    "revolve": ["offset"],
    "prism": ["height"],
}
_OF_PROFILE = {
    "circle": ["radius"],
    "star": ["radius", "bluntness"],
    "polygon": ["corner_a", "corner_b"],
}
_OF_TAPER = {
    "const": [],
    "cone": ["scale"],
    "convex": ["scale", "knot"],
    "concave": ["scale", "knot"],
}
# Unit of a parameter, and what its range must lie in.
_RULES: dict[str, tuple[Unit, float, float]] = {
    "radius": ("side", LENGTH_LOW, LENGTH_HIGH),
    "offset": ("side", 0.0, LENGTH_HIGH),
    "corner_a": ("side", LENGTH_LOW, LENGTH_HIGH),
    "corner_b": ("side", LENGTH_LOW, LENGTH_HIGH),
    "height": ("side", LENGTH_LOW, LENGTH_HIGH),
    "bluntness": ("one", 0.0, 1.0),
    "scale": ("one", 0.0, 10.0),
    "knot": ("height", -2.0, 2.0),
    "wall": ("minimum", 0.01, 1.0),
}


class CustomPrimitive(Settings):
    """A class of solids; each kind takes the ranges that it needs, and no others.

    Lengths are in parts of the volume's smallest side.

    Attributes:
        name: of the class.
        lift: a solid, or how it is made of a profile.
        profile: of a revolution or prism.
        count: tips of a star, 3..8; corners of a polygon, 3..9.
        taper: of a prism.
        onion: hollow out a prism.
        radius: of a sphere, circle or cone's base, of a star's tips; half an octahedron's diagonal.
        offset: of a revolved profile from the axis.
        corner_a, corner_b: a polygon's corners lie between a number drawn from each.
        height: of a prism or cone.
        bluntness: of a star, 0 without width, 1 a regular polygon.
        scale: of a tapered prism's profile: at its other end, or at the knot.
        knot: of a convex or concave taper, from the middle, in parts of the height.
        wall: of an onion, in parts of the depth of its profile.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$", max_length=64)]
    lift: Literal["sphere", "octahedron", "cone", "revolve", "prism"]
    profile: Literal["circle", "star", "polygon"] | None = None
    count: Int = 0
    taper: Literal["const", "cone", "convex", "concave"] = "const"
    onion: bool = False
    radius: FloatRange | None = None
    offset: FloatRange | None = None
    corner_a: FloatRange | None = None
    corner_b: FloatRange | None = None
    height: FloatRange | None = None
    bluntness: FloatRange | None = None
    scale: FloatRange | None = None
    knot: FloatRange | None = None
    wall: FloatRange | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name in TAKEN:
            raise ValueError(f"name: must not be a published class or group, got {self.name!r}")
        self._check_kind()
        for name, (_, low, high) in _RULES.items():
            self._check_range(name, low, high)
        return self

    def _check_kind(self) -> None:
        profiled = self.lift in ("revolve", "prism")
        if profiled and self.profile is None:
            raise ValueError(f"profile: a {self.lift} needs one, got none")
        if not profiled and self.profile is not None:
            raise ValueError(f"profile: a {self.lift} has none, got {self.profile!r}")
        low, high = _COUNTS[self.profile or "circle"]
        if not low <= self.count <= high:
            raise ValueError(
                f"count: a {self.profile or self.lift} has "
                f"{f'{low}..{high}' if high else 'none'}, got {self.count}"
            )
        if self.lift != "prism" and self.taper != "const":
            raise ValueError(f"taper: only a prism has one, got {self.taper!r}")
        if self.lift != "prism" and self.onion:
            raise ValueError("onion: only a prism can be hollow, got true")

    def _check_range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if (value is not None) != (name in self._needed):
            needs = "needed" if value is None else "not used"
            shown = "none" if value is None else list(value)
            raise ValueError(f"{name}: {needs} by {self._kind}, got {shown}")
        if value is not None and not low <= value[0] <= value[1] <= high:
            raise ValueError(f"{name}: must lie in {low:g}..{high:g}, got {list(value)}")

    @property
    def _needed(self) -> list[str]:
        """Names of the parameters that the kind draws."""
        profile = _OF_PROFILE[self.profile] if self.profile else []
        wall = ["wall"] if self.onion else []
        return [*_OF_LIFT[self.lift], *profile, *_OF_TAPER[self.taper], *wall]

    @property
    def _kind(self) -> str:
        """In words."""
        taper = "" if self.taper == "const" else f"{self.taper} "
        profile = f" of a {self.profile}" if self.profile else ""
        return f"a{'n onion' if self.onion else ''} {taper}{self.lift}{profile}"

    @property
    def part(self) -> SdfPart:
        """What an object of the class is made of."""
        draws = {}
        for name in self._needed:
            low, high = getattr(self, name)
            draws[name] = Draw(low, high, _RULES[name][0])
        return SdfPart(
            self.name, SdfLift[self.lift.upper()], SdfProfile[(self.profile or "circle").upper()],
            self.count, SdfTaper[self.taper.upper()], self.onion, draws,
        )  # fmt: skip

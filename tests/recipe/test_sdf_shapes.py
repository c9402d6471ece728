"""Settings of signed distance functions: ids, tables, and each rule with its message."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from synthgen.kernels.scene_records import (
    SdfClassRow,
    SdfDraw,
    SdfParameter,
    SdfRotation,
    SdfSampling,
    SdfUnit,
)
from synthgen.settings import one_line
from synthgen.shapes.sdf import SdfShapes
from synthgen.shapes.sdf_classes import CLASSES, GROUPS

SHAPE = (48, 64, 80)
STAR = {
    "name": "mine", "lift": "prism", "profile": "star", "count": 5, "radius": (0.1, 0.2),
    "bluntness": (0.2, 0.3), "height": (0.1, 0.2),
}  # fmt: skip
POLYGON = {
    "name": "mine", "lift": "prism", "profile": "polygon", "count": 4, "corner_a": (0.1, 0.2),
    "corner_b": (0.1, 0.3), "height": (0.1, 0.2),
}  # fmt: skip


def test_published_classes_keep_their_ids():
    shapes = SdfShapes()
    assert shapes.class_names == [which.name for which in CLASSES]
    tables = shapes.tables(SHAPE)
    assert (tables.objects, tables.parts) == (20, 1)
    assert tables.entries.tolist() == [[row, -1] for row in range(109)]
    assert shapes.displacement_names[0] == "none"
    assert shapes.displacement_names[1:] == sorted(shapes.displacement_names[1:])
    assert len(shapes.displacement_names) == 10


def test_ids_do_not_depend_on_the_order_written():
    values = {
        "primitives": ("FiveStarPrism", "tori", "Sphere", "Torus"),
        "custom": [STAR | {"name": "b"}, STAR | {"name": "a"}],
        "unions": [("Sphere", "Cone"), ("b", "Torus"), ("Cone", "Cone")],
        "displacements": ("ridge", "none", "perlin_fine"),
    }
    turned = {name: list(reversed(value)) for name, value in values.items()}
    turned["unions"] = [tuple(reversed(pair)) for pair in values["unions"]]
    first, second = (
        SdfShapes(**{name: tuple(value) for name, value in given.items()})
        for given in (values, turned)
    )
    assert first.class_names == second.class_names
    assert first.class_names[:2] == ["Sphere", "Torus"]
    assert first.class_names[-6:] == [
        "EightStarTorus", "a", "b", "Cone + Cone", "Cone + Sphere", "Torus + b"
    ]  # fmt: skip
    assert first.displacement_names == ["none", "perlin_fine", "ridge"]
    for name in ("entries", "classes", "displacements", "depths"):
        one, other = getattr(first.tables(SHAPE), name), getattr(second.tables(SHAPE), name)
        assert np.array_equal(one, other)


def test_parts_of_unions_are_classes_of_their_own_only_if_named():
    tables = SdfShapes(primitives=("Sphere",), unions=[("Torus", "Cone")]).tables(SHAPE)
    assert tables.parts == 2
    assert tables.entries.tolist() == [[0, -1], [2, 1]]
    assert len(tables.classes) == 3


def test_groups():
    counts = {name: len(found) for name, found in GROUPS.items()}
    assert counts["all"] == 109
    assert counts["solids"] == 8
    assert counts["tori"] == 11
    parts = ["star_revolutions", "polygon_tori", "star_tori"]
    parts += [
        f"{onion}{profile}_prisms" for onion in ("", "onion_") for profile in ("polygon", "star")
    ]
    assert counts["solids"] + sum(counts[name] for name in parts) == 109
    assert counts["convex_onion_star_prisms"] == 4
    for name in GROUPS:
        assert name in (SdfShapes.__doc__ or "") or name.split("_", 1)[1] in GROUPS


def draw_of(row: np.ndarray, parameter: SdfParameter) -> list[float]:
    at = SdfClassRow.DRAW + SdfDraw.SIZE * parameter
    return row[at : at + SdfDraw.SIZE].tolist()


def test_tables_of_a_custom_primitive():
    onion = STAR | {"taper": "convex", "onion": True, "scale": (2, 3), "knot": (-0.5, 0.25)}
    (row,) = SdfShapes(primitives=(), custom=[onion | {"wall": (0.5, 0.75)}]).tables(SHAPE).classes
    assert row[: SdfClassRow.DRAW].tolist() == [4, 1, 5, 2, 1]
    assert draw_of(row, SdfParameter.SCALE) == [2, 3, SdfUnit.ONE]
    assert draw_of(row, SdfParameter.KNOT) == [-0.5, 0.25, SdfUnit.HEIGHT]
    assert draw_of(row, SdfParameter.WALL) == [0.5, 0.75, SdfUnit.ONE]
    assert draw_of(row, SdfParameter.OFFSET) == [0, 0, 0]
    assert draw_of(row, SdfParameter.RADIUS)[2] == SdfUnit.SIDE


def test_settings_reach_the_kernels():
    shapes = SdfShapes(
        rotation="uniform", shear=0.25, grid_scale=0.5, octahedron_slope="exact",
        blend=(0.125, 0.5), onion_minimum="slab", displacement_frame="object",
        displacements=("turbulence",),
    )  # fmt: skip
    tables = shapes.tables(SHAPE)
    row = np.zeros(SdfSampling.SIZE, np.float32)
    row[[SdfSampling.DEPTH, SdfSampling.HEIGHT, SdfSampling.WIDTH]] = SHAPE
    row[[SdfSampling.SHEAR, SdfSampling.GRID_SCALE]] = 0.25, 0.5
    row[[SdfSampling.ROTATION, SdfSampling.SLOPE]] = SdfRotation.UNIFORM, 3**-0.5
    row[[SdfSampling.BLEND_LOW, SdfSampling.BLEND_HIGH]] = 0.125, 0.5
    assert np.array_equal(tables.settings, row)
    assert tables.slab
    assert tables.object_frame
    assert not tables.axis_tables.any()
    assert SdfShapes(displacements=("turbulence",)).tables(SHAPE).axis_tables.any()
    assert tables.depths[0] == pytest.approx(0.05 * 3 * 39 * 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, None),
        ({"shear": 0.01}, "of sheared objects"),
        ({"displacements": ("none", "ridge")}, "displaced by ridge"),
        ({"unions": [("Sphere", "Cone")]}, "of the union Cone + Sphere"),
        ({"primitives": ("tori",)}, None),
        ({"primitives": ("const_star_prisms", "Cone")}, None),
        ({"primitives": ("cone_star_prisms",)}, "within the slice, of FiveStarConePrism"),
        ({"primitives": ("OnionedFiveStarPrism",)}, "within the wall, of OnionedFiveStarPrism"),
        ({"primitives": ("star_revolutions",)}, "at the axis, of ThreeStarRevolution"),
        ({"primitives": ("Octahedron",)}, "beyond the faces, of Octahedron"),
        ({"custom": [STAR]}, None),
    ],
)
def test_why_a_distance_is_a_bound(values, reason):
    exact = {"primitives": ("Sphere",), "displacements": ("none",), "shear": 0.0}
    assert SdfShapes(**(exact | values)).why_a_bound == reason


def test_custom_revolutions_are_exact_clear_of_the_axis():
    torus = {"name": "mine", "lift": "revolve", "profile": "circle", "radius": (0.1, 0.2)}
    base = {"primitives": (), "displacements": ("none",), "shear": 0.0}
    for offset, exact in (((0.2, 0.3), True), ((0.19, 0.3), False)):
        shapes = SdfShapes(custom=[torus | {"offset": offset}], **base)
        assert (shapes.why_a_bound is None) == exact


@pytest.mark.parametrize("shape", [(16, 16, 16), (512, 16, 64)])
def test_any_volume_fits(shape):
    SdfShapes().check_fits(shape)


NAN, INF = float("nan"), float("inf")
RULES: list[tuple[dict[str, Any], str]] = [
    ({"objects": 0}, "objects: must be greater than or equal to 1, got 0"),
    ({"objects": 256}, "objects: must be less than or equal to 255, got 256"),
    ({"objects": 2.0}, "objects: must be a valid integer, got 2.0"),
    ({"primitives": ("Spere",)},
     "primitives: must be a known primitive, got 'Spere'; nearest: Sphere"),
    ({"primitives": ("star_prism",)},
     "primitives: must be a known primitive, got 'star_prism'; nearest: star_prisms, "),
    ({"primitives": ()}, "primitives: needs 1 or more entries, got []"),
    ({"primitives": ("Cone", "Cone")}, "primitives: entries must be distinct, "),
    ({"displacements": ("rigde",)},
     "displacements: must be a known displacement, got 'rigde'; nearest: ridge"),
    ({"displacements": ()}, "displacements: needs 1 or more entries, got []"),
    ({"unions": (("Cone", "Cbe"),)},
     "unions: must be a known primitive, got 'Cbe'; nearest: Cone"),
    ({"unions": (("Cone", "solids"),)}, "unions: must be a known primitive, got 'solids'; "),
    ({"unions": (("Cone", "Torus"), ("Torus", "Cone"))}, "unions: pairs must be distinct, "),
    ({"unions": (("Cone",),)}, "unions.0.1: missing"),
    ({"shear": 0.5}, "shear: must be less than 0.5, got 0.5"),
    ({"shear": -0.1}, "shear: must be greater than or equal to 0, got -0.1"),
    ({"shear": NAN}, "shear: must be a finite number, got nan"),
    ({"grid_scale": 0.0}, "grid_scale: must be greater than or equal to 0.05, got 0.0"),
    ({"grid_scale": INF}, "grid_scale: must be a finite number, got inf"),
    ({"blend": (0.2, 0.1)}, "blend: a range needs low <= high, got [0.2, 0.1]"),
    ({"blend": (0.0, 0.1)}, "blend: must lie in 0.001..1, got [0.0, 0.1]"),
    ({"blend": (0.1, INF)}, "blend.1: must be a finite number, got inf"),
    ({"rotation": "free"}, "rotation: must be 'euler', 'uniform' or 'none', got 'free'"),
    ({"custom": (STAR, STAR)},
     "custom: names, also those of meshes, must be distinct, got ['mine', 'mine']"),
]  # fmt: skip
CUSTOM_RULES: list[tuple[dict[str, Any], str]] = [
    (STAR | {"count": 2}, "count: a star has 3..8, got 2"),
    (STAR | {"count": 9}, "count: a star has 3..8, got 9"),
    (POLYGON | {"count": 2}, "count: a polygon has 3..9, got 2"),
    (POLYGON | {"count": 10}, "count: a polygon has 3..9, got 10"),
    (STAR | {"radius": (-0.1, 0.2)}, "radius: must lie in 0.001..2, got [-0.1, 0.2]"),
    (STAR | {"radius": (0.1, 3.0)}, "radius: must lie in 0.001..2, got [0.1, 3.0]"),
    (STAR | {"radius": (0.3, 0.2)}, "radius: a range needs low <= high, got [0.3, 0.2]"),
    (STAR | {"radius": (0.1, NAN)}, "radius.1: must be a finite number, got nan"),
    (STAR | {"bluntness": (0.5, 1.5)}, "bluntness: must lie in 0..1, got [0.5, 1.5]"),
    (STAR | {"height": (0.0, 0.2)}, "height: must lie in 0.001..2, got [0.0, 0.2]"),
    (STAR | {"name": "Sphere"}, "name: must not be a published class or group, got 'Sphere'"),
    (STAR | {"name": "a + b"}, "name: "),
    (STAR | {"onion": True}, "wall: needed by an onion prism of a star, got none"),
    (STAR | {"taper": "convex"}, "scale: needed by a convex prism of a star, got none"),
    (STAR | {"knot": (0.0, 0.1)}, "knot: not used by a prism of a star, got [0.0, 0.1]"),
    (STAR | {"lift": "sphere"}, "profile: a sphere has none, got 'star'"),
    (STAR | {"profile": None}, "profile: a prism needs one, got none"),
    (STAR | {"lift": "revolve", "onion": True}, "onion: only a prism can be hollow, got true"),
    (STAR | {"lift": "revolve", "taper": "cone"}, "taper: only a prism has one, got 'cone'"),
    (POLYGON | {"corner_a": (0.0, 0.0), "corner_b": (0.0, 0.0)},
     "corner_a: must lie in 0.001..2, got [0.0, 0.0]"),
    (POLYGON | {"corner_a": (-0.1, 0.1)}, "corner_a: must lie in 0.001..2, got [-0.1, 0.1]"),
    (POLYGON | {"colour": 1}, "colour: unknown key, got 1"),
]  # fmt: skip


def message(values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        SdfShapes.model_validate(values, strict=True)
    text = one_line(caught.value, values)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(("values", "expected"), RULES)
def test_rules(values, expected):
    assert message(values).startswith(expected)


@pytest.mark.parametrize(("custom", "expected"), CUSTOM_RULES)
def test_rules_of_custom_primitives(custom, expected):
    assert message({"custom": (custom,)}).startswith(f"custom.0.{expected}")

"""Recipes of whole label maps: what is pinned, what scales, each rule with its message, tables."""

from fractions import Fraction

import numpy as np
import pytest

from synthgen.backend.calls.label_map import LabelMap
from synthgen.bank import build_bank, open_bank, relate, save_bank
from synthgen.bank.relations import Relations
from synthgen.engine import plan_of
from synthgen.kernels.anatomy_records import SubjectSampling
from synthgen.placement.as_is import AsIs
from synthgen.recipe import Recipe, RecipeError, load_recipe, mix
from synthgen.shapes.label_map import LabelMapShapes
from tests.backends import cpu
from tests.bank.test_whole import person

NAMES = ("kidney_left", "liver", "lung_left", "lung_right")
FITTING = {"appearance": {"kind": "chain", "steps": [{"kind": "intensity"}]}}


def test_a_bank_and_a_chain_are_enough_of_a_recipe():
    recipe = Recipe.from_dict(
        {"name": "mine", "shapes": {"kind": "label_map"}, **FITTING}
    ).resolved()
    assert (recipe.placement.kind, recipe.labels.kind) == ("as_is", "by_priority")
    assert recipe.class_names == ["background", *open_bank("builtin").names]
    assert plan_of(recipe).objects == 1


def test_what_is_no_target_is_drawn_and_not_labelled():
    whole = load_recipe("synthseg").at_shape((24, 20, 32))
    some = whole.replace(shapes__targets=("spine", "liver"))
    assert some.class_names == ["background", "liver", "spine"]
    assert some.digest() != whole.digest()
    all_drawn, targets = (cpu(recipe).batch([0, 1]) for recipe in (whole, some))
    np.testing.assert_array_equal(targets.image, all_drawn.image)
    expected = np.zeros_like(all_drawn.label)
    for value, name in enumerate(some.class_names):
        expected[all_drawn.label == whole.class_names.index(name)] = value
    assert len(np.unique(expected)) == 3
    np.testing.assert_array_equal(targets.label, expected)
    mixed = mix([(some, 1), (whole, 1)])
    assert mixed.label_values[0][whole.class_names.index("spine")] == mixed.class_names.index(
        "spine"
    )
    with pytest.raises(
        RecipeError, match=r"shapes.targets: must be of the structures, got 'femur'"
    ):
        whole.replace(shapes__targets=("femur",))


@pytest.mark.parametrize("name", ["synthseg", "sap"])
def test_built_in_recipes_have_the_published_ranges(name):
    """Of Billot et al.'s public code; voxels are four times as long as theirs."""
    recipe = load_recipe(name)
    shapes = recipe.shapes
    assert (shapes.flip, shapes.scale, shapes.rotation) == (0.5, (0.8, 1.2), (-15.0, 15.0))
    assert (shapes.shear, shapes.wander) == ((-0.012, 0.012), 1.0)
    assert shapes.displacement == (0.0, 4.0 * recipe.spacing[0])
    assert recipe.channels == (2 if name == "sap" else 1)
    assert len(set(recipe.spacing)) == 1


def test_resolving_pins_the_bank_and_its_structures():
    bank, shapes = open_bank("builtin"), LabelMapShapes().resolved()
    assert (shapes.digest, shapes.structures) == (bank.digest, bank.names)
    assert shapes.resolved() is shapes
    assert shapes.pinned
    assert shapes.remarks() == [
        "the built-in bank is made by formula: a demonstration, not anatomy"
    ]


def test_a_bank_that_has_changed_is_refused(tmp_path):
    bank, path = open_bank("builtin"), tmp_path / "mine.zarr"
    save_bank(bank, path)
    pinned = LabelMapShapes(bank=str(path)).resolved()
    edited = bank.relations.model_copy(update={"over": (("heart", "liver"),)})
    relate(path, Relations.from_dict(edited.to_dict()))
    with pytest.raises(ValueError, match=r"shapes.digest: must be that of the bank"):
        pinned.tables((20, 20, 20))


def test_structures_that_a_pinned_bank_lacks_are_refused():
    """As of a recipe whose structures were edited and whose digest was left."""
    pinned = LabelMapShapes().resolved().model_copy(update={"structures": ("liver", "wing")})
    for use in (pinned.remarks, lambda: pinned.tables((20, 20, 20))):
        with pytest.raises(ValueError, match=r"^shapes.structures: must be of .* got 'wing'"):
            use()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": "/no/such.zarr"}, "shapes.bank: .*/no/such.zarr"),
        ({"structures": ("liver", "wing")}, "shapes.structures: must be of the bank .* got 'wing'"),
        ({"structures": ("liver", "liver")}, "shapes.structures: entries must be distinct"),
        ({"scale": (1.5, 1.0)}, "shapes.scale: a range needs low <= high"),
        ({"scale": (0.0, 1.0)}, r"shapes.scale: must lie in 0.25..4, got \[0.0, 1.0\]"),
        ({"zoom": (0.01, 1.0)}, r"shapes.zoom: must lie in 0.05..20"),
        ({"rotation": (-200.0, 0.0)}, r"shapes.rotation: must lie in -180..180"),
        ({"shear": (-0.5, 0.5)}, r"shapes.shear: must lie in -0.3..0.3, got \[-0.5, 0.5\]"),
        ({"displacement": (-1.0, 2.0)}, r"shapes.displacement: must lie in 0..60"),
        ({"flip": 1.5}, "shapes.flip: must be less than or equal to 1, got 1.5"),
        ({"shift": -1.0}, "shapes.shift: must be greater than or equal to 0"),
        ({"digest": "0" * 64}, "shapes.structures: needs 1 or more entries beside a digest"),
        ({"keep": 0.5}, "shapes.keep: unknown key"),
    ],
)
def test_bad_shapes(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict(
            {"name": "mine", "shapes": {"kind": "label_map", **changes}, **FITTING}
        ).resolved()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"placement": {"kind": "gibbs"}}, "placement.kind: must be as_is with label_map shapes"),
        ({"appearance": {"kind": "shell"}}, "appearance.kind: must be chain with label_map shapes"),
        ({"labels": {"kind": "by_volume"}}, "labels.kind: must be by_priority with label_map"),
    ],
)
def test_what_cannot_be_combined_is_refused(changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("synthseg").replace(**changes)


def test_a_view_beyond_what_positions_can_hold_is_refused():
    recipe = load_recipe("synthseg").replace(
        shapes__zoom=(20.0, 20.0), shapes__scale=(4.0, 4.0), spacing=(8.0, 8.0, 8.0)
    )
    plan = plan_of(recipe)
    maps = LabelMap(plan.shape, plan.spacing, plan.shapes)
    with pytest.raises(ValueError, match=r"shapes.zoom: a volume must span at most 8000 .* in$"):
        maps.check()


def test_another_shape_shows_the_same_of_the_body():
    recipe = load_recipe("synthseg")
    half = recipe.at_shape((48, 48, 48))
    assert half.shapes.zoom == (2.0, 2.0)
    assert half.shapes.displacement == recipe.shapes.displacement
    assert recipe.at_shape((48, 48, 48), scale=False).shapes.zoom == (1.0, 1.0)
    assert LabelMapShapes().scaled(Fraction(3, 1)).zoom == (1 / 3, 1 / 3)


def test_planes_are_volumes_too():
    recipe = load_recipe("synthseg").at_shape((1, 64, 96), scale=False)
    assert recipe.label_shape == (1, 1, 64, 96)


def test_tables():
    tables = LabelMapShapes(structures=NAMES, rotation=(-90.0, 45.0)).resolved().tables((9, 9, 9))
    assert tables.other_sides[:6].tolist() == [0, 1, 2, 4, 3, 5]  # the right kidney is not there
    assert set(np.unique(tables.maps)) == {0, 1, 2, 3, 4}
    assert tables.maps.shape[0] == len(tables.bodies) == open_bank("builtin").subjects
    low, high = tables.settings[[SubjectSampling.TURN_LOW, SubjectSampling.TURN_HIGH]]
    assert (low, high) == (-0.25, 0.125)
    assert tables.settings[SubjectSampling.BANK_SPACING] == 4.0


def test_people_without_a_chosen_structure_are_left_out(tmp_path):
    people = [person(n) for n in range(3)]
    people[1].parts.pop("nodule")
    save_bank(build_bank(people, spacing=2.0), tmp_path / "people.zarr")
    shapes = LabelMapShapes(bank=str(tmp_path / "people.zarr"))
    assert len(shapes.resolved().tables((9, 9, 9)).bodies) == 3
    chosen = shapes.model_copy(update={"structures": ("nodule",)}).resolved()
    tables = chosen.tables((9, 9, 9))
    assert len(tables.bodies) == len(tables.maps) == 2
    assert tables.maps.any((1, 2, 3)).all()


def test_nothing_is_to_be_placed():
    assert AsIs().kind == "as_is"
    with pytest.raises(ValueError, match="extra"):
        AsIs(ratio=0.5)

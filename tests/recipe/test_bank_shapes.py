"""Recipes of shape banks: what is pinned, what scales, each rule with its message, tables."""

from fractions import Fraction

import numpy as np
import pytest

from synthgen.backend.calls import calls_of
from synthgen.bank import open_bank, save_bank
from synthgen.bank.relations import Relations
from synthgen.engine import plan_of
from synthgen.kernels.anatomy_records import (
    RATIO_ONE,
    AnatomySampling,
    BankShape,
    BankStructure,
    Pair,
)
from synthgen.placement.gibbs import Gibbs, GibbsLimits
from synthgen.recipe import Recipe, RecipeError, load_recipe
from synthgen.shapes.bank import BankShapes

SHAPE = (33, 48, 40)


@pytest.fixture(scope="module")
def shapes():
    return BankShapes().resolved()


def test_a_bank_is_enough_of_a_recipe():
    recipe = Recipe.from_yaml("{name: mine, shapes: {kind: bank}}").resolved()
    kinds = [recipe.placement.kind, recipe.appearance.kind, recipe.labels.kind]
    assert kinds == ["gibbs", "shell", "by_priority"]
    assert recipe.class_names == ["background", *open_bank("builtin").names]


def test_resolving_pins_the_bank_and_its_structures(shapes):
    bank = open_bank("builtin")
    assert (shapes.digest, shapes.structures) == (bank.digest, bank.names)
    assert shapes.resolved() is shapes
    chosen = BankShapes(structures=("liver", "heart")).resolved()
    assert chosen.structures == ("heart", "liver")


def test_the_path_of_a_bank_is_no_part_of_the_digest(tmp_path):
    save_bank(open_bank("builtin"), tmp_path / "copy.zarr")
    recipe = load_recipe("fake-it-right")
    elsewhere = recipe.replace(shapes__bank=str(tmp_path / "copy.zarr"), shapes__digest=None)
    assert elsewhere.resolved().digest() == recipe.digest()
    assert recipe.replace(shapes__keep=0.5).digest() != recipe.digest()


def test_a_bank_that_has_changed_is_refused(tmp_path):
    bank, path = open_bank("builtin"), tmp_path / "mine.zarr"
    save_bank(bank, path)
    pinned = BankShapes(bank=str(path)).resolved()
    edited = bank.relations.model_copy(update={"over": (("heart", "liver"),)})
    from synthgen.bank import relate

    relate(path, Relations.from_dict(edited.to_dict()))
    with pytest.raises(
        ValueError, match=r"shapes.digest: must be that of the bank .* leave digest"
    ):
        pinned.tables(SHAPE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bank": "/no/such.zarr"}, "shapes.bank: .*/no/such.zarr"),
        ({"structures": ("liver", "wing")}, "shapes.structures: must be of the bank .* got 'wing'"),
        ({"structures": ("liver", "liver")}, "shapes.structures: entries must be distinct"),
        ({"zoom": (1.5, 1.0)}, "shapes.zoom: a range needs low <= high"),
        ({"zoom": (0.01, 1.0)}, r"shapes.zoom: must lie in 0.05..20, got \[0.01, 1.0\]"),
        ({"displacement": (0.0, 50.0)}, r"shapes.displacement: must lie in 0..30"),
        ({"keep": 1.5}, "shapes.keep: must be less than or equal to 1, got 1.5"),
        ({"rotation": -1.0}, "shapes.rotation: must be greater than or equal to 0"),
    ],
)
def test_bad_shapes(changes, message):
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({"name": "mine", "shapes": {"kind": "bank", **changes}}).resolved()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("fake-it-right", {"placement": {"kind": "overlap"}},
         "placement.kind: must be gibbs with bank shapes, got overlap"),
        ("fake-it-right", {"appearance": {"kind": "contour"}},
         "appearance.kind: must be shell or chain with bank shapes, got contour .a contour "),
        ("fake-it-right", {"labels": {"kind": "by_volume"}},
         "labels.kind: must be by_priority with bank shapes, got by_volume"),
        ("avs-db", {"placement": {"kind": "gibbs"}},
         "placement.kind: must be overlap with .*got gibbs .it goes by relations"),
        ("fdif", {"appearance": {"kind": "shell"}},
         "appearance.kind: must be mapper or chain .* .it goes by distances"),
        ("avs-db", {"labels": {"kind": "by_priority"}},
         "labels.kind: must be by_volume .* .it goes by relations"),
        ("fake-it-right", {"placement__proposals": 0}, "placement.proposals: must be greater"),
        ("fake-it-right", {"placement__temperature": 0.0},
         "placement.temperature: must be greater"),
        ("fake-it-right", {"placement__weights__order": -1.0},
         "placement.weights.order: must be greater"),
        ("fake-it-right", {"placement__limits__apart": 2.0},
         "placement.limits.apart: must be less"),
        ("fake-it-right", {"appearance__value": (0, 300)},
         r"appearance.value: must lie in 1..255, got \[0, 300\]"),
        ("fake-it-right", {"appearance__outside": -1.0}, "appearance.outside: must be greater"),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_refused_with_the_reason(name, changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(name).replace(**changes)


def test_another_shape_shows_the_same_of_the_body(shapes):
    recipe = load_recipe("fake-it-right")
    half = recipe.at_shape((48, 48, 48))
    assert half.shapes.zoom == tuple(2 * value for value in recipe.shapes.zoom)
    assert half.appearance.outside == recipe.appearance.outside / 2
    assert recipe.at_shape((48, 48, 48), scale=False).shapes.zoom == recipe.shapes.zoom
    assert shapes.scaled(Fraction(3, 1)).zoom == tuple(v / 3 for v in shapes.zoom)


def test_tables_of_chosen_structures():
    bank = open_bank("builtin")
    names = ("kidney_left", "liver", "lung_left", "lung_right")
    tables = BankShapes(structures=names).resolved().tables(SHAPE)
    assert tables.objects == 4
    left, right = names.index("lung_left"), names.index("lung_right")
    mirrors = tables.structures[:, BankStructure.MIRROR]
    assert (mirrors[left], mirrors[right]) == (right, left)
    assert mirrors[names.index("kidney_left")] == names.index(
        "kidney_left"
    )  # the right is not there
    rows = tables.shapes.reshape(3, bank.subjects, 4, -1)
    for subject in range(bank.subjects):
        row = rows[0, subject, 1]
        sides = row[BankShape.DEPTH : BankShape.WIDTH + 1]
        grid = tables.distances[row[0] : row[0] + sides.prod()].reshape(sides)
        np.testing.assert_array_equal(grid, bank.grid(subject, bank.names.index("liver")))
        coarse = rows[1, subject, 1]
        there = tables.distances[coarse[0] :][: coarse[1:4].prod()].reshape(coarse[1:4])
        assert np.abs(there[0, 0, 0] * 2 - grid[0, 0, 0]) <= 1
    assert len(tables.distances) >= rows[-1, -1, -1, 0] + 64
    assert tables.settings[AnatomySampling.BANK_SPACING] == bank.spacing


def test_pair_rows_follow_relations_and_settings(shapes):
    table, pairs = shapes.pair_table(), Gibbs().tables(shapes).pairs
    names = shapes.class_names
    canal, spine = names.index("spinal_canal"), names.index("spine")
    liver, lung = names.index("liver"), names.index("lung_left")
    assert pairs[canal, spine, Pair.WITHIN] == round(0.8 * RATIO_ONE)
    assert pairs[canal, spine, Pair.LIMIT] > RATIO_ONE
    assert pairs[canal, spine, Pair.OVERLAP] == 0
    assert pairs[liver, lung, Pair.LIMIT] in (round(0.1 * RATIO_ONE), round(0.3 * RATIO_ONE))
    right = Pair.SIGN + 2
    assert (pairs[lung, liver, right], pairs[liver, lung, right]) == (-1, 1)
    np.testing.assert_array_equal(pairs[..., Pair.SIGN : Pair.SIGN + 3], table["sign"])
    free = Gibbs(limits=None).tables(shapes).pairs
    assert (free[..., Pair.LIMIT] > RATIO_ONE).all()
    assert (free[..., Pair.WITHIN] == 0).all()
    warm = Gibbs(temperature=2.0).tables(shapes)
    assert warm.spread == 2**0.5
    order = slice(Pair.ORDER, Pair.ORDER + 3)
    np.testing.assert_allclose(warm.pairs[..., order] * 2, pairs[..., order], atol=1)
    np.testing.assert_array_equal(pairs[..., order], table["order_strength"])
    strict = Gibbs(limits=GibbsLimits(apart=0.0, touching=0.0)).tables(shapes).pairs
    assert strict[liver, lung, Pair.LIMIT] == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapes__zoom": (0.05, 0.05)},
         "shapes.zoom: boxes must hold at most 16 GiB .* got .* GiB"),
        ({"spacing": (500.0, 500.0, 500.0), "shapes__zoom": (1.0, 20.0)},
         "shapes.zoom: a box must span at most 8000 of the bank's voxels, got"),
    ],
)  # fmt: skip
def test_what_kernels_cannot_hold_is_refused_before_memory_is_taken(changes, message):
    with pytest.raises(ValueError, match=message):
        calls_of(plan_of(load_recipe("fake-it-right").replace(**changes)))


def test_the_largest_volumes_fit():
    assert calls_of(plan_of(load_recipe("fake-it-right").at_shape((512, 512, 512))))

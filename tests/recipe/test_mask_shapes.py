"""Settings of masks, neighbours and prompts: rules, scaling, recipes that use them."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from synthgen.kernels.mask_records import MaskSetting
from synthgen.labels.prompts import Prompts
from synthgen.placement.neighbours import Neighbours
from synthgen.recipe import Recipe, RecipeError, load_recipe
from synthgen.shapes.masks import Masks

RECIPES = ["synthfm", "synthfm-3d"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes__structures": [0, 3]}, "shapes.structures: must lie in 1..32, got [0, 3]"),
        ({"shapes__structures": [4, 40]}, "shapes.structures: must lie in 1..32, got [4, 40]"),
        ({"shapes__radius": [0.1, 0.7]}, "shapes.radius: must lie in 0.005..0.5, got [0.1, 0.7]"),
        ({"shapes__elongation": [0.5, 2.0]}, "shapes.elongation: must lie in 1..16"),
        ({"shapes__lumen_size": [0.0, 0.5]}, "shapes.lumen_size: must lie in 0.05..0.95"),
        ({"shapes__lumen": 1.5}, "shapes.lumen: must be less than or equal to 1, got 1.5"),
        ({"shapes__evolution": {"grow": [-1.0, 1.0]}}, "shapes.evolution.grow: must lie in 0..16"),
        ({"shapes__evolution": {"birth": [0.0, 2.0]}}, "shapes.evolution.birth: must lie in 0..1"),
        ({"shapes__objects": 256}, "shapes.objects: must be less than or equal to 255, got 256"),
        ({"placement__satellites": [0, 3]}, "placement.satellites: must lie in 1..7, got [0, 3]"),
        ({"placement__gap": [-90.0, 4.0]}, "placement.gap: must lie in -64..64"),
        ({"placement__size": [0.0, 1.0]}, "placement.size: must lie in 0.05..4"),
        ({"placement": {"kind": "overlap"}}, "placement.kind: must be neighbours with masks"),
        ({"labels": {"kind": "by_volume"}}, "labels.kind: must be by_order with masks shapes"),
        ({"appearance": {"kind": "contour"}}, "appearance.kind: must be chain with masks shapes"),
        ({"prompts__slice": "middle"}, "prompts.slice: must be 'any', 'largest', 'first' or"),
        ({"prompts__positive": 9}, "prompts.positive: must be less than or equal to 8, got 9"),
        ({"prompts__box_jitter": 0.6}, "prompts.box_jitter: must be less than or equal to 0.5"),
        ({"reference_shape": [2, 64, 64]}, "reference_shape: needs 3 sides"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("synthfm-3d").replace(**change)
    assert message in str(error.value)


def test_a_slice_must_be_able_to_show_a_structure() -> None:
    recipe = load_recipe("synthfm").replace(shapes__radius=[0.01, 0.02])
    with pytest.raises(RecipeError, match=r"shapes.least_voxels: .* got 12 and 0.3 at shape"):
        recipe.at_shape((1, 16, 16))


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("shape", [(1, 64, 80), (16, 16, 16), (40, 33, 57)])
def test_recipes_work_in_planes_and_volumes(name: str, shape: tuple[int, int, int]) -> None:
    recipe = load_recipe(name).at_shape(shape)
    tables = recipe.shapes.tables(shape)
    evolves = name == "synthfm-3d" and shape[0] > 1
    assert tables.settings[MaskSetting.EVOLVES] == evolves
    radii = np.exp2(tables.settings[[MaskSetting.RADIUS_LOW, MaskSetting.RADIUS_HIGH]])
    np.testing.assert_allclose(radii, np.array(recipe.shapes.radius) * min(shape[1:]), rtol=1e-6)
    assert recipe.class_names[0] == "background"
    assert recipe.class_names[1] == "structure_1"
    assert recipe.num_classes == recipe.shapes.objects + 1


def test_gaps_scale_and_the_rest_does_not() -> None:
    placement = Neighbours().scaled(Fraction(1, 2))
    assert placement == Neighbours(gap=(-1.0, 2.0))
    assert Neighbours().scaled(Fraction(1000)).gap == (-64.0, 64.0)
    assert Masks().scaled(Fraction(1, 2)) == Masks()


def test_prompts_have_a_row_for_each_class() -> None:
    assert Prompts().tables(256).shape[0] == 255
    with pytest.raises(ValueError, match="prompts: need 255 classes or fewer, got 256"):
        Prompts().check_values(257)


@pytest.mark.parametrize("name", RECIPES)
def test_the_digest_sees_prompts(name: str) -> None:
    recipe = load_recipe(name)
    bare = recipe.replace(prompts=None)
    assert bare.digest() != recipe.digest()
    assert Recipe.from_yaml(bare.to_yaml()) == bare

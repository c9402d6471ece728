"""Recipes: every rule says no in one line; YAML and digests are stable."""

import random
from fractions import Fraction
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.recipe import (
    Mixture,
    Recipe,
    RecipeError,
    builtin_names,
    load_recipe,
    recipe_from_dict,
)
from synthgen.settings import scale_range
from synthgen.shapes.polygon_stack import PolygonStack

# A change of one of these is a format change: other volumes for the same recipe.
DIGESTS = {
    "anatomy-patches": "6f1caee9044588065c07b6b1f86d0cc0108fbbd50576e8eb3df3f5932f5e589f",
    "avs-db": "fc0d34e6f606c42d549a9845d467f7e6de5e609eb775e5f79b256e8784d9944e",
    "avs-db-16": "72f554d7314667ac9190ec96040309ef56b971713f240a16a309a1be17ae4b71",
    "avs-db-4": "c15ad90e9a04f800fa0e261a16044ba720617d39c62066b8910c8d6ff7ba181a",
    "avs-db-legacy": "ed37dcb66da95710c0807a4bfc1517fa69158da6a7edeb969ceab55fbc98ed27",
    "avs-db-no-overlap": "d8c51a409092bb06aee255f39af1e1e26c20c76ca60800ce38ff4057ffaf6f9e",
    "boundary-safe": "891ab5987003ecb081dafe12d875b2ab0def72eac8dd0491dd91977c5fdfc8cc",
    "fake-it-right": "fd62a10a61f923ebd76edf5b454af6b08f98e318b4fce5297b46e20e5e4728d5",
    "fdif": "8000c093247ec0cfd0aa52404afd088b093130705df48204df83f6de400bd73c",
    "fdif-classification": "af30f75bfba7aed1ed275e7f39a40c6f26d4e30ab7dd400118f5d636dd8fcc06",
    "fdif-mesh": "27222c26373f842aae4a92da77c60aeee4b8f39ee6dbbe1f18342487cd7ba8c4",
    "fdif-multitask": "53af3d31c5eabb15116641fac93c93a250e3a76da5cae73fef56a041e71fdf8f",
    "fdif-paper": "b1c9df990c65b43a830a038792a5cc839397e692644bf1caadbbc6595cdd6bb8",
    "mixture": "f880b3eae791408fae1e74f3d012db6d267eca75dc9d077448c26b450aaee897",
    "sap": "aabf78050dbb434b8df868f1ad939110047dfc99164b8eae1aad575c55cf6306",
    "synthfm": "fb920a286a85e6c96c25b2c9e59d2bc02b57a10afe8de60a11248f4f3555111e",
    "synthfm-3d": "3a1d8896578e4cb9c8fbd06baacd725d52e848ce8dcd1bf9ebb99c7a1fc4a5e5",
    "synthseg": "f41dcb224ff5aa436b79d4118d0bbe08c05af46e7a57dd39b67c8493580d80df",
    "v-pcf": "a7233e85ca4fd6b0e3d431cc800ec7529fd48c7e5a25d853c9a914079fff764e",
}

MINIMAL = "name: mine\nshapes: {kind: polygon_stack, sections: [3], z_rules: [prism]}\n"


@pytest.fixture
def avs_db() -> Recipe:
    return load_recipe("avs-db")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The values of avs-db with one of them changed."""
    values = load_recipe("avs-db").to_dict()
    *stages, leaf = path.split(".")
    target = values
    for stage in stages:
        target = target[stage]
    target[leaf] = value
    return values


def message(values: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.from_dict(values)
    text = str(caught.value)
    assert "\n" not in text
    assert "polygon_stack', 'objects" not in text, "the whole stage is no value to show"
    return text


RULES = [
    # field, value, what the message says
    ("colour", 1, "colour: unknown key, got 1"),
    ("shapes.sides", 1, "shapes.sides: unknown key, got 1"),
    ("format", 2, "format: must be 1, got 2"),
    ("name", 3, "name: must be a valid string, got 3"),
    ("shapes", 3, "shapes: must be a mapping of settings, got 3"),
    (
        "shapes.kind",
        "cube",
        "shapes.kind: must be 'polygon_stack' or 'sdf' or 'bank' or 'label_map' or 'masks' or "
        "'fractal' or 'pairs', got 'cube'",
    ),
    (
        "appearance",
        {"kind": "chain", "steps": [{"kind": "intensity"}, {"sd": [1.0, 2.0]}]},
        "appearance.steps.1.kind: missing",
    ),
    (
        "appearance",
        {"kind": "chain", "steps": [{"kind": "intensity"}, {"kind": "noise", "models": ["film"]}]},
        "appearance.steps.1.models.0: must be 'gaussian', 'rician' or 'speckle', got 'film'",
    ),
    ("shapes.objects", "20", "shapes.objects: must be a valid integer, got '20'"),
    ("shapes.objects", 20.0, "shapes.objects: must be a valid integer, got 20.0"),
    ("shapes.objects", True, "shapes.objects: must be a valid integer, got True"),
    ("shapes.objects", 0, "shapes.objects: must be greater than or equal to 1, got 0"),
    ("shapes.sections", [], "shapes.sections: needs 1 or more entries, got []"),
    ("shapes.sections", "ellipse", "shapes.sections: must be a list, got 'ellipse'"),
    ("shapes.sections", [3, 3], "shapes.sections: entries must be distinct, got [3, 3]"),
    (
        "shapes.sections",
        ["ellipse", 2],
        "shapes.sections.1: must be 'ellipse' or greater than or equal to 3, got 2",
    ),
    (
        "shapes.z_rules",
        ["prism", "cone"],
        "shapes.z_rules.1: must be 'prism', 'hourglass', 'pyramid' or 'rhombus', got 'cone'",
    ),
    ("shapes.depth", [50, 10], "shapes.depth: a range needs low <= high, got [50, 10]"),
    ("shapes.depth", [], "shapes.depth.0: missing (and 1 more)"),
    ("shapes.depth", [1, 2, 3], "shapes.depth: needs 2 or fewer entries, got [1, 2, 3]"),
    ("shapes.depth", [0, 10], "shapes.depth: must be at least 1 voxel, got 0"),
    ("shapes.wide_scale", [0.5, 1.5], "shapes.wide_scale: must lie in 0..1, got [0.5, 1.5]"),
    (
        "shapes.polygon_radius_low",
        16,
        "shapes.polygon_radius_low: must be at most half the smallest polygon_box (15 voxels), "
        "got 16",
    ),
    ("placement.ratio", -0.1, "placement.ratio: must be greater than or equal to 0, got -0.1"),
    ("placement.ratio", 1.01, "placement.ratio: must be less than or equal to 1, got 1.01"),
    ("placement.ratio", "0.7", "placement.ratio: must be a valid number, got '0.7'"),
    ("placement.ratio", float("nan"), "placement.ratio: must be a finite number, got nan"),
    ("placement.tries", 0, "placement.tries: must be greater than or equal to 1, got 0"),
    ("appearance.noise", [9, 2], "appearance.noise: a range needs low <= high, got [9, 2]"),
    ("appearance.noise", [0, 2], "appearance.noise: must lie in 1..1024, got [0, 2]"),
    (
        "appearance.noise",
        [125, 200],
        "image_dtype: uint8 holds 0..255, but appearance reaches 327; use float16 or float32",
    ),
    ("spacing", [1.0, 1.0, 0.0], "spacing.2: must be greater than 0, got 0.0"),
    (
        "reference_shape",
        [0, 96, 96],
        "reference_shape: needs 3 sides (D, H, W) of 16..512 voxels, got [0, 96, 96]",
    ),
    (
        "reference_shape",
        [40, 96, 96],
        "shapes: the largest object (50x90x90 voxels, stay) must fit into the volume, "
        "got shape [40, 96, 96]",
    ),
    (
        "shapes.sections",
        list(range(3, 67)),
        "label_dtype: uint8 holds 255 classes, got 256; use uint16",
    ),
    ("image_dtype", "int8", "image_dtype: must be 'uint8', 'float16' or 'float32', got 'int8'"),
]


@pytest.mark.parametrize(("field", "value", "expected"), RULES)
def test_broken_rule_names_field_rule_and_value(field: str, value: Any, expected: str) -> None:
    assert message(changed(field, value)) == expected


def test_every_missing_field_is_named(avs_db: Recipe) -> None:
    values = avs_db.to_dict()
    del values["shapes"], values["name"]
    assert message(values) == "name: missing (and 1 more)"


@pytest.mark.parametrize("values", [None, [], "avs-db", 3])
def test_not_a_mapping(values: Any) -> None:
    assert message(values) == f"a recipe is a mapping of fields, got {type(values).__name__}"


def test_long_values_are_cut() -> None:
    assert len(message(changed("spacing", "x" * 1000))) < 150


@pytest.mark.parametrize("text", ["a: [1", "a: b: c", "\t- x", "a: !!python/object:os.system x"])
def test_not_yaml(text: str) -> None:
    with pytest.raises(RecipeError, match=r"^not YAML: [^\n]*$"):
        Recipe.from_yaml(text)


def test_file_errors_name_the_path(tmp_path: Any) -> None:
    path = tmp_path / "mine.yaml"
    with pytest.raises(RecipeError, match=r"mine\.yaml: No such file or directory$"):
        load_recipe(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RecipeError, match=r"mine\.yaml: 'utf-8' codec can't decode"):
        load_recipe(path)
    path.write_text("name: 3")
    with pytest.raises(RecipeError, match=r"mine\.yaml: name: must be a valid string, got 3"):
        load_recipe(path)
    path.write_text(MINIMAL)
    assert load_recipe(path).name == "mine"


def test_unknown_name_lists_the_known() -> None:
    known = r"unknown name 'avs'; built in are anatomy-patches, avs-db, .*\.yaml"
    with pytest.raises(RecipeError, match=known):
        load_recipe("avs")


@pytest.mark.parametrize("name", builtin_names())
def test_builtin_round_trip(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert type(recipe).from_yaml(recipe.to_yaml()) == recipe
    assert recipe_from_dict(recipe.to_dict()) == recipe
    assert load_recipe(recipe) is recipe


@pytest.mark.parametrize("name", builtin_names())
def test_builtin_file_states_every_setting(name: str) -> None:
    """So that a copy of it shows all there is to change; a mixture names its recipes."""
    from synthgen.recipe.loading import _BUILTIN

    values, recipe = yaml.safe_load((_BUILTIN / f"{name}.yaml").read_text()), load_recipe(name)
    if isinstance(recipe, Mixture):
        assert all(isinstance(entry["recipe"], str) for entry in values["recipes"])
    else:
        assert values == recipe.to_dict()


def test_builtin_digests_are_pinned() -> None:
    assert {name: load_recipe(name).digest() for name in builtin_names()} == DIGESTS


def test_digest_ignores_names_and_order(avs_db: Recipe) -> None:
    assert avs_db.replace(name="x", description="y").digest() == avs_db.digest()
    values = avs_db.to_dict()
    keys = list(values)
    random.Random(3).shuffle(keys)
    assert Recipe.from_dict({key: values[key] for key in keys}).digest() == avs_db.digest()
    assert Recipe.from_yaml(yaml.safe_dump(values, sort_keys=True)).digest() == avs_db.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"placement__ratio": 0.5},
        {"shapes__objects": 21},
        {"shapes__sections": [3, "ellipse", 4, 5, 6, 7, 8, 9]},
        {"spacing": [1, 1, 2]},
        {"image_dtype": "float16"},
        {"label_dtype": "uint16"},
        {"appearance__value": 127},
        {"reference_shape": (96, 96, 97)},
    ],
)
def test_digest_depends_on_settings(avs_db: Recipe, change: dict[str, Any]) -> None:
    assert avs_db.replace(**change).digest() != avs_db.digest()


def test_defaults_are_part_of_the_digest() -> None:
    short = Recipe.from_yaml(MINIMAL)
    assert Recipe.from_yaml(short.to_yaml()).digest() == short.digest()
    assert Recipe.from_yaml(MINIMAL + "spacing: [1, 1, 1]\n").digest() == short.digest()


def test_replace(avs_db: Recipe) -> None:
    stage = PolygonStack(sections=("ellipse",), z_rules=("prism",))
    changed = avs_db.replace(shapes=stage, placement__ratio=0.25)
    assert changed.shapes == stage
    assert changed.placement.ratio == 0.25
    assert changed.placement.tries == avs_db.placement.tries
    assert avs_db.placement.ratio == 0.7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"placement__ratio": 2}, "placement.ratio: must be less than or equal to 1, got 2"),
        ({"placement__rate": 1}, "placement.rate: unknown key, got 1"),
        ({"place__ratio": 1}, "place: unknown stage, got 'place__ratio'"),
        ({"rate": 1}, "rate: unknown key, got 1"),
    ],
)
def test_replace_is_checked(avs_db: Recipe, change: dict[str, Any], expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        avs_db.replace(**change)
    assert str(caught.value) == expected


def test_classes(avs_db: Recipe) -> None:
    names = avs_db.class_names
    assert avs_db.num_classes == len(names) == 33
    assert (names[0], names[1], names[8], names[32]) == (
        "background", "ellipse prism", "triangle rhombus", "nonagon rhombus",
    )  # fmt: skip
    assert load_recipe("avs-db-16").num_classes == 17


def test_wide_labels_hold_many_classes() -> None:
    values = changed("shapes.sections", list(range(3, 67)))
    assert Recipe.from_dict(values | {"label_dtype": "uint16"}).num_classes == 257


def test_at_its_own_shape_nothing_changes(avs_db: Recipe) -> None:
    assert avs_db.at_shape((96, 96, 96)) == avs_db


def test_lengths_scale_with_the_least_side(avs_db: Recipe) -> None:
    small = avs_db.at_shape((64, 96, 80))
    assert small.reference_shape == (64, 96, 80)
    assert small.shapes.depth == (6, 33)
    assert small.shapes.polygon_box == (20, 53)
    assert small.appearance.line_width == 2 * 64 / 96
    assert small.placement == avs_db.placement
    assert small.digest() != avs_db.digest()
    assert avs_db.at_shape((192, 192, 192)).shapes.depth == (20, 100)


def test_lengths_stay_if_told_so(avs_db: Recipe) -> None:
    large = avs_db.at_shape((128, 160, 144), scale=False)
    assert large.shapes == avs_db.shapes
    with pytest.raises(RecipeError, match="must fit into the volume, got shape \\[48, 48, 48\\]"):
        avs_db.at_shape((48, 48, 48), scale=False)


@pytest.mark.parametrize(
    "shape",
    [(0, 96, 96), (-96, 96, 96), (96, 96), (96, 96, 96, 96), (513, 96, 96), (96.5, 96, 96), "abc"],
)
def test_bad_shape(avs_db: Recipe, shape: Any) -> None:
    with pytest.raises(RecipeError) as caught:
        avs_db.at_shape(shape)
    expected = f"shape: needs 3 sides (D, H, W) of 16..512 voxels, got {list(shape)}"
    assert str(caught.value) == expected


@pytest.mark.parametrize("name", builtin_names())
@settings(deadline=None)
@given(shape=st.tuples(*[st.integers(16, 512)] * 3))
def test_builtins_work_at_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    recipe = load_recipe(name).at_shape(shape)
    assert type(recipe).from_yaml(recipe.to_yaml()).digest() == recipe.digest()


@given(st.integers(0, 512), st.integers(0, 512), st.fractions(0, 8))
def test_scaled_ranges_stay_ordered(low: int, more: int, factor: Fraction) -> None:
    scaled = scale_range((low, low + more), factor)
    assert scaled[0] <= scaled[1] <= (low + more) * factor

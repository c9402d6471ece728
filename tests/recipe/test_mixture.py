"""Mixtures: which recipe makes a volume, whose classes its labels tell, and what is refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from typer.testing import CliRunner

import synthgen
from synthgen.cli import app
from synthgen.engine import Generator, plan_of
from synthgen.kernels.prompt_records import PromptRow
from synthgen.kernels.records import Placed
from synthgen.kernels.streams import Stream
from synthgen.preview import from_recipe
from synthgen.recipe import Mixture, RecipeError, load_recipe, mix, recipe_from_dict
from synthgen.rng import random_words
from synthgen.store import StoreError, build, verify
from tests.backends import assert_equal, cpu, host_cuda
from tests.host_cuda import needs_compiler

SHAPE = (17, 20, 24)
SEED = 7
FEW = range(14)


def mixture(**changes) -> Mixture:
    """Three recipes whose classes overlap in part, with different numbers of objects."""
    some = load_recipe("avs-db-4").replace(shapes__objects=3)
    more = load_recipe("avs-db").replace(shapes__objects=6, shapes__z_rules=("rhombus", "prism"))
    solids = load_recipe("fdif").replace(shapes__objects=4, shapes__primitives=("tori", "solids"))
    made = mix([(some, 1), (more, 2), (solids, 1.5)], name="three").at_shape(SHAPE)
    return made.replace(**changes) if changes else made


def chosen_of(recipe: Mixture, seed: int, count: int) -> np.ndarray:
    return plan_of(recipe).chosen(seed, np.arange(count, dtype=np.uint64))


def test_volumes_are_those_of_the_recipes():
    recipe = mixture()
    batch, chosen = cpu(recipe, SEED).batch(FEW), chosen_of(recipe, SEED, len(FEW))
    assert set(chosen) == {0, 1, 2}
    for place, number in enumerate(chosen):
        own = recipe.recipes[number].recipe
        alone = cpu(own, SEED).batch([place])
        np.testing.assert_array_equal(batch.image[place], alone.image[0])
        names = np.array(recipe.class_names)[batch.label[place]]
        np.testing.assert_array_equal(names, np.array(own.class_names)[alone.label[0]])
        count = alone.placed.shape[1]
        np.testing.assert_array_equal(batch.placed[place, :count], alone.placed[0])
        assert not batch.placed[place, count:].any()
    assert batch.placed.shape == (len(FEW), 6, Placed.SIZE)


def test_classes_are_united_by_name():
    recipe = mixture()
    names = recipe.class_names
    assert names[:5] == load_recipe("avs-db-4").class_names
    assert len(set(names)) == len(names) == recipe.num_classes
    assert names[5] == "ellipse rhombus"
    parts = [set(component.recipe.class_names) for component in recipe.recipes]
    assert set(names) == set.union(*parts)
    assert len(names) < sum(map(len, parts)) - 2, "some are in two"
    assert [task.class_names for task in recipe.tasks] == [names]


@needs_compiler
def test_prompts_are_of_the_united_classes():
    asked = {"positive": 2, "negative": 1, "slice": "whole"}
    parts = [component.recipe.replace(prompts=asked) for component in mixture().recipes[:2]]
    recipe = mix([(parts[1], 1), (parts[0].replace(shapes__z_rules=("hourglass",)), 1)])
    batch = cpu(recipe, SEED).batch(FEW[:6])
    assert batch.prompts.shape == (6, recipe.num_classes - 1, PromptRow.SIZE)
    for label, rows in zip(batch.label[:, 0], batch.prompts, strict=True):
        counts = np.bincount(label.ravel(), minlength=recipe.num_classes)[1:]
        np.testing.assert_array_equal(rows[:, PromptRow.VOXELS], counts)
        for value, row in enumerate(rows, start=1):
            if counts[value - 1]:
                click = tuple(row[PromptRow.POSITIVE : PromptRow.POSITIVE + 3])
                assert label[click] == value
    assert_equal(host_cuda(recipe).batch(FEW[:6]), batch)


def test_prompts_must_agree():
    some = load_recipe("avs-db-4")
    with pytest.raises(RecipeError, match=r"recipes.1.recipe.prompts: must be that of recipe 0"):
        mix([(some, 1), (some.replace(prompts={"positive": 1}), 1)])


@needs_compiler
def test_cuda_and_its_twin():
    recipe = mixture()
    expected = cpu(recipe, SEED).batch(FEW)
    assert_equal(host_cuda(recipe, order=2).batch(FEW), expected)
    few = cpu(recipe, SEED).batch(FEW[:4])
    assert_equal(host_cuda(recipe, sanitize=True, order=1).batch(FEW[:4]), few)


@pytest.mark.gpu
def test_cuda():
    recipe = mixture()
    cuda = Generator(recipe, seed=SEED, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(40))), cpu(recipe, SEED).batch(range(40)))


@pytest.mark.parametrize(("threads", "size"), [(1, 1), (2, 3), (3, 14)])
def test_batches_and_threads_change_no_voxel(threads, size):
    recipe = mixture()
    expected, generator = cpu(recipe, SEED).batch(FEW), cpu(recipe, SEED, threads)
    for start in range(0, len(FEW), size):
        part = generator.batch(FEW[start : start + size])
        chosen = slice(start, start + size)
        np.testing.assert_array_equal(part.image, expected.image[chosen])
        np.testing.assert_array_equal(part.label, expected.label[chosen])
        np.testing.assert_array_equal(part.placed, expected.placed[chosen])


def test_any_order_of_indices():
    recipe = mixture()
    expected, order = cpu(recipe, SEED).batch(FEW), [9, 3, 3, 0, 13, 1, 2]
    found = cpu(recipe, SEED).batch(order)
    np.testing.assert_array_equal(found.image, expected.image[order])
    np.testing.assert_array_equal(found.label, expected.label[order])
    np.testing.assert_array_equal(found.placed, expected.placed[order])


def test_buffers_are_filled_in_place():
    generator = cpu(mixture(), SEED)
    batch = generator.empty(FEW)
    image = batch.image
    batch.placed.fill(-5)
    assert generator.fill(batch).image is image
    assert_equal(batch, generator.batch(FEW))


def test_pickles():
    generator = cpu(mixture(), SEED)
    again = pickle.loads(pickle.dumps(generator))
    assert_equal(again.batch([4]), generator.batch([4]))


def test_stages_make_the_volume():
    generator = cpu(mixture(), SEED)
    for index in FEW[:4]:
        batch = generator.empty([index])
        for stage in generator.stages(batch):
            assert stage.name == "mixture"
            stage.run()
        assert_equal(batch, generator.batch([index]))


def test_shares_are_the_weights():
    recipe = mix({"avs-db-4": 1, "avs-db-16": 0.0, "avs-db": 6.5})
    count = 20_000
    found = np.bincount(chosen_of(recipe, 3, count), minlength=3)
    assert found[1] == 0
    expected = count * np.array([1, 6.5]) / 7.5
    assert stats.chisquare(found[[0, 2]], expected).pvalue > 1e-3
    other = chosen_of(recipe, 4, count)
    assert (other != chosen_of(recipe, 3, count)).any()


def test_choice_is_by_a_word_of_its_own_stream():
    recipe = mix({"avs-db-4": 1, "avs-db": 2})
    words = random_words(9, np.arange(500), Stream.MIXTURE, 0)[:, 0]
    np.testing.assert_array_equal(chosen_of(recipe, 9, 500), words >= recipe.bounds[0])
    assert recipe.bounds == (2**32 // 3, 2**32)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6).filter(lambda found: sum(found) > 0))
def test_bounds(weights):
    recipe = load_recipe("avs-db-4")
    bounds = mix([(recipe, weight) for weight in weights]).bounds
    shares = np.diff([0, *bounds]) / 2**32
    assert bounds[-1] == 2**32
    assert list(bounds) == sorted(bounds)
    np.testing.assert_allclose(shares, np.array(weights) / sum(weights), atol=2**-31)


def test_digest():
    recipe = mix({"avs-db": 2, "fdif": 1})
    same = [
        mix({"avs-db": 4, "fdif": 2}, name="other", description="words"),
        mix([(load_recipe("avs-db").replace(name="x"), 2), ("fdif", 1)]),
        recipe_from_dict(recipe.to_dict()),
        Mixture.from_yaml(recipe.to_yaml()),
    ]
    assert {other.digest() for other in same} == {recipe.digest()}
    different = [
        mix({"fdif": 1, "avs-db": 2}),
        mix({"avs-db": 2, "fdif": 1.5}),
        mix([(load_recipe("avs-db").replace(placement__ratio=0.5), 2), ("fdif", 1)]),
        recipe.at_shape((64, 64, 64)),
    ]
    assert len({recipe.digest(), *(other.digest() for other in different)}) == 5


def test_files_name_their_recipes(tmp_path: Path):
    own = tmp_path / "mine.yaml"
    own.write_text(load_recipe("avs-db-4").replace(name="mine", placement__ratio=0.25).to_yaml())
    inside = {"name": "inside", "shapes": {"kind": "polygon_stack", "sections": [3, 4],
                                           "z_rules": ["prism"]}}  # fmt: skip
    path = tmp_path / "mixture.yaml"
    path.write_text(yaml.safe_dump({
        "kind": "mixture", "name": "from a file",
        "recipes": [{"recipe": "avs-db"}, {"recipe": str(own), "weight": 2}, {"recipe": inside}],
    }))  # fmt: skip
    recipe = load_recipe(path)
    assert [component.recipe.name for component in recipe.recipes] == ["avs-db", "mine", "inside"]
    assert [component.weight for component in recipe.recipes] == [1, 2, 1]
    assert recipe.recipes[1].recipe.placement.ratio == 0.25
    assert "placement" in recipe.to_yaml(), "in full, wherever it is written"


def test_files_that_recipes_name_are_pinned():
    recipe = mix({"avs-db": 1, "fdif-mesh": 1})
    assert recipe.recipes[1].recipe.shapes.meshes.digest
    assert recipe.pinned
    plain = Mixture.from_dict(
        {"name": "m", "recipes": [{"recipe": {"name": "a", "shapes": {
            "kind": "sdf", "meshes": {"folder": "builtin"}}, "placement": {"kind": "free"},
            "appearance": {"kind": "mapper"}}}]}
    )  # fmt: skip
    assert not plain.pinned
    assert plain.resolved().num_classes > 5


def refused(*entries, **values) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe_from_dict({"kind": "mixture", "name": "m", "recipes": list(entries)} | values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_recipes():
    assert "recipes.0.weight: " in refused({"recipe": "avs-db", "weight": -1})
    assert refused({"recipe": "avs-db", "weight": 0}) == "recipes: weights must not all be 0"
    assert "recipes.1.recipe: recipe: unknown name 'avs'" in refused(
        {"recipe": "avs-db"}, {"recipe": "avs"}
    )
    assert "recipes.0.recipe: missing" in refused({"weight": 1.0})
    assert "needs 1 or more entries" in refused()
    assert "recipes.0.recipe.placement.ratio: " in refused(
        {"recipe": load_recipe("avs-db").to_dict() | {"placement": {"ratio": 2.0}}}
    )
    assert "colour: unknown key" in refused({"recipe": "avs-db"}, colour=1)
    assert "recipes.0.colour: unknown key" in refused({"recipe": "avs-db", "colour": 1})
    assert "recipes: " in refused(recipes="avs-db")
    assert "recipes.0: " in refused("avs-db")
    with pytest.raises(RecipeError, match=r"^kind: must be mixture, .* got 'mixtur'"):
        recipe_from_dict({"kind": "mixtur", "name": "m", "recipes": [{"recipe": "avs-db"}]})


def test_nested_mixtures():
    message = "recipes.1.recipe: must be no mixture itself, got mixture"
    assert refused({"recipe": "avs-db"}, {"recipe": "mixture"}) == message
    inner = mix({"avs-db": 1}).to_dict()
    assert refused({"recipe": "avs-db"}, {"recipe": inner}) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_dtype": "float16"}, "image_dtype: must be that of recipe 0 (avs-db), uint8, got "
                                     "float16 (x)"),
        ({"label_dtype": "uint16"}, "label_dtype: must be that of recipe 0 (avs-db), uint8"),
        ({"spacing": (1.0, 1.0, 2.0)}, "spacing: must be that of recipe 0 (avs-db), "
                                       "[1.0, 1.0, 1.0], got [1.0, 1.0, 2.0] (x)"),
        ({"reference_shape": (96, 96, 80)}, "reference_shape: must be that of recipe 0"),
    ],
)  # fmt: skip
def test_recipes_must_agree(change, message):
    other = load_recipe("avs-db-4").replace(name="x", **change)
    with pytest.raises(RecipeError, match=r"^recipes\.1\.recipe\.") as caught:
        mix([("avs-db", 1), (other, 1)])
    assert message in str(caught.value)


def test_label_maps_only():
    for name in ("fdif-classification", "fdif-multitask"):
        with pytest.raises(RecipeError, match=r"^recipes.1.recipe.labels.kind: a mixture needs"):
            mix({"avs-db": 1, name: 1})


def test_too_many_classes():
    wide = [
        load_recipe("avs-db").replace(shapes__sections=tuple(range(first, first + 16)))
        for first in (9, 25, 41, 57)
    ]
    assert mix([(part, 1) for part in wide[:3]]).num_classes == 1 + 3 * 64
    with pytest.raises(RecipeError, match="holds 255 classes, and together they have 256"):
        mix([(part, 1) for part in wide])
    many = [(part.replace(label_dtype="uint16"), 1) for part in wide]
    assert mix(many).num_classes == 257


def test_weights_of_python():
    for weight in (True, "1", None):
        with pytest.raises(RecipeError, match=r"^recipes.0.weight: must be a number"):
            mix([("avs-db", weight)])
    with pytest.raises(RecipeError, match=r"recipes.0.weight"):
        mix([("avs-db", -1)])
    with pytest.raises(RecipeError):
        mix([("avs-db", float("nan"))])
    with pytest.raises(RecipeError, match="needs 1 or more entries"):
        mix([])
    for pairs in ("avs-db", [("avs-db",)], ["avs-db"]):
        with pytest.raises(RecipeError, match=r"^recipes.0: must be a recipe and its weight, got"):
            mix(pairs)


def test_what_is_told_beside_the_recipes():
    values = mixture().to_dict()
    assert values["reference_shape"] == list(SHAPE)
    assert recipe_from_dict(values) == mixture()
    message = refused(**values | {"spacing": [1.0, 1.0, 3.0]})
    assert message == "spacing: must be that of the recipes, [1.0, 1.0, 1.0], got (1.0, 1.0, 3.0)"


def test_shapes_out_of_bounds():
    with pytest.raises(RecipeError, match=r"512 voxels, got \[8, 8, 8\] \(recipe 0, avs-db\)"):
        mix({"avs-db": 1}).at_shape((8, 8, 8))


def test_stores(tmp_path: Path):
    """Built, verified, read with zarr alone and as a data set."""
    recipe, path = mixture(), tmp_path / "a.zarr"
    build(recipe, path, count=8, seed=SEED, device="cpu", shard_size=3)
    assert verify(path, deep=True).intact
    expected, group = cpu(recipe, SEED).batch(range(8)), zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["image"][:], expected.image)
    np.testing.assert_array_equal(np.squeeze(group["label"][:]), np.squeeze(expected.label))
    assert group.attrs["class_names"] == recipe.class_names
    assert group.attrs["recipe_digest"] == recipe.digest()
    assert recipe_from_dict(group.attrs["recipe"]).digest() == recipe.digest()
    changed = mixture(recipes=[
        component.model_dump() | {"weight": 1.0} for component in recipe.recipes
    ])  # fmt: skip
    with pytest.raises(StoreError, match=r"recipe.recipes.1.weight is 2.0 there"):
        build(changed, path, count=8, seed=SEED, device="cpu", shard_size=3)
    generated = synthgen.open(recipe, seed=SEED, count=8)
    np.testing.assert_array_equal(generated["image"][5], expected.image[5])


def test_feed_and_data_set(tmp_path: Path):
    pytest.importorskip("torch")
    recipe = mixture()
    expected = cpu(recipe, SEED).batch(range(4))
    feed = synthgen.feed(recipe, batch_size=4, seed=SEED, device="cpu", normalize=None)
    batch = next(iter(feed))
    np.testing.assert_array_equal(batch["image"], expected.image)
    np.testing.assert_array_equal(batch["label"], expected.label)
    build(recipe, tmp_path / "a.zarr", count=4, seed=SEED, device="cpu")
    item = synthgen.VolumeDataset(tmp_path / "a.zarr", normalize=None)[2]
    np.testing.assert_array_equal(item["image"], expected.image[2])


def test_montage():
    content = from_recipe(mixture(), [0, 1, 2], seed=SEED)
    assert content.class_names == mixture().class_names


def test_commands(tmp_path: Path):
    def run(*arguments):
        return CliRunner().invoke(app, list(map(str, arguments)))

    path = tmp_path / "m.yaml"
    path.write_text(mixture().to_yaml())
    result = run("recipes", "validate", path)
    assert result.exit_code == 0, result.output
    assert f"{mixture().num_classes - 1} classes, digest {mixture().digest()}" in result.stdout
    shown = run("recipes", "show", "mixture", "--shape", "32", "32", "32")
    assert recipe_from_dict(yaml.safe_load(shown.stdout)).reference_shape == (32, 32, 32)
    path.write_text("kind: mixture\nname: m\nrecipes: [{recipe: avs}]\n")
    result = run("recipes", "validate", path)
    assert result.exit_code == 2
    assert f"error: {path}: recipes.0.recipe: recipe: unknown name 'avs'" in result.stderr

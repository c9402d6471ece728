"""Recipes of images with label maps in folders: what is read, pinned and refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from synthgen import export
from synthgen.engine import Generator, plan_of
from synthgen.kernels.records import Placed
from synthgen.placement.as_is import AsIs
from synthgen.recipe import RecipeError, load_recipe, mix
from synthgen.shapes.pair_files import find_pairs
from synthgen.shapes.pair_voxels import resampled, resampled_labels, scaled_to_unit
from synthgen.store import build
from tests.backends import assert_equal, cpu, host_cuda, written_outside
from tests.host_cuda import needs_compiler
from tests.pair_folders import (
    SHAPES,
    SPACING,
    affine,
    cases,
    recipe_of,
    save,
    write_decathlon,
    write_nnunet,
)

nibabel = pytest.importorskip("nibabel")

HIPPOCAMPUS = Path(__file__).parents[3] / "shared" / "data" / "hippocampus"
WRITERS = [write_nnunet, write_decathlon]


def unit(channel):
    """Cut at percentiles 1 and 99 and scaled, in float64."""
    low, high = np.percentile(channel.astype(np.float64), (1, 99))
    return (np.clip(channel, low, high) - low) / (high - low)


def split(found):
    """Images (C, D, H, W) and label maps of a plan's tables."""
    for sides, start in zip(found.sides, found.starts, strict=True):
        voxels, count = int(sides.prod()), found.channels
        image = found.images[count * start : count * (start + voxels)]
        yield image.reshape(count, *sides), found.labels[start : start + voxels].reshape(*sides)


# ------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_both_layouts_hold_what_was_written(write, channels, tmp_path):
    given = cases(channels)
    recipe = recipe_of(write(tmp_path, given)).resolved()
    assert (recipe.channels, recipe.class_names) == (channels, ["background", "liver", "kidney"])
    assert (recipe.placement.kind, recipe.appearance.kind) == ("as_is", "as_is")
    assert recipe.remarks() == []
    tables = plan_of(recipe).shapes
    for (image, label), (own, classes) in zip(given, split(tables), strict=True):
        assert own.dtype == np.float16
        for channel, values in zip(image, own, strict=True):
            np.testing.assert_allclose(values, unit(channel), atol=6e-4)
            assert (values.min(), values.max()) == (0, 1)
        np.testing.assert_array_equal(classes, np.select([label == 1, label == 4], [1, 2], 0))


def test_other_words_in_the_document_change_nothing(tmp_path):
    folder = write_nnunet(tmp_path)
    before = find_pairs(folder)
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"description": "other words"}))
    assert find_pairs(folder) == before
    path.write_text(json.dumps({"labels": {"liver": 4, "kidney": 1}}))
    assert find_pairs(folder).digest != before.digest
    assert find_pairs(folder).names == ("kidney", "liver")


def test_the_first_versions_list_names_cases_without_their_channels(tmp_path):
    folder = write_nnunet(tmp_path)
    listed = [
        {"image": f"./imagesTr/case_{n}.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"}
        for n in range(3)
    ]
    document = {"labels": {"0": "background", "1": "liver", "4": "kidney"}, "training": listed}
    before = find_pairs(folder)
    (folder / "dataset.json").write_text(json.dumps(document))
    assert find_pairs(folder) == before


def test_voxels_are_turned_to_up_front_right(tmp_path):
    """A file whose axes are (front, left, down) holds the same as one that needs no turn."""
    image, label = cases(1)[0]
    plain = write_nnunet(tmp_path / "plain", [(image, label)])
    turned = tmp_path / "turned"
    shutil.copytree(plain, turned)
    to_left = nibabel.orientations.axcodes2ornt("ALI")
    for path in turned.glob("*Tr/*.nii.gz"):
        own = nibabel.load(path)
        nibabel.save(own.as_reoriented(to_left), path)
    (turned_case,), (plain_case,) = (find_pairs(folder).cases for folder in (turned, plain))
    assert (turned_case.shape, turned_case.spacing) == (plain_case.shape, plain_case.spacing)
    np.testing.assert_allclose(plain_case.spacing, SPACING, rtol=1e-6)
    found = [plan_of(recipe_of(folder).resolved()).shapes for folder in (turned, plain)]
    np.testing.assert_array_equal(found[0].images, found[1].images)
    np.testing.assert_array_equal(found[0].labels, found[1].labels)


def test_scaled_numbers_and_types(tmp_path):
    """Slopes are applied, float label maps taken, constant channels are 0."""
    image, label = cases(1)[0]
    folder = write_nnunet(tmp_path, [(np.zeros_like(image), label.astype(np.float32))])
    path = folder / "imagesTr/case_0_0000.nii.gz"
    ramp = np.arange(image[0].size, dtype=np.float64).reshape(image[0].shape)
    save(path, ramp / 7 - 3)
    recipe = recipe_of(folder).resolved()
    ((values, classes),) = split(plan_of(recipe).shapes)
    np.testing.assert_allclose(values[0], unit(ramp), atol=6e-4)
    np.testing.assert_array_equal(classes > 0, label > 0)
    assert (scaled_to_unit(np.full((3, 4, 5), 7, np.float32)) == 0).all()


# ------------------------------------------------------------------------------- resampling


@pytest.mark.parametrize("steps", [(0.5, 1.0, 1.7), (2.0, 0.9, 1.0), (1.0, 1.0, 1.0)])
def test_resampling_is_linear_about_the_middle(steps):
    own = (9, 14, 11)
    shape = tuple(max(1, round(n / step)) for n, step in zip(own, steps, strict=True))
    at = [
        np.clip((np.arange(n) - (n - 1) / 2) * step + (m - 1) / 2, 0, m - 1)
        for n, step, m in zip(shape, steps, own, strict=True)
    ]
    plane = np.add.outer(np.add.outer(3.0 * np.arange(9), -2.0 * np.arange(14)), np.arange(11))
    expected = np.add.outer(np.add.outer(3.0 * at[0], -2.0 * at[1]), at[2])
    found = resampled(plane.astype(np.float32), shape, steps)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    labels = np.arange(plane.size).reshape(own)
    near = [np.minimum(np.floor(p + 0.5).astype(int), m - 1) for p, m in zip(at, own, strict=True)]
    np.testing.assert_array_equal(resampled_labels(labels, shape, steps), labels[np.ix_(*near)])


def test_cases_are_resampled_to_the_recipes_spacing(tmp_path):
    folder = write_nnunet(tmp_path)
    shapes = {"kind": "pairs", "folder": str(folder), "spacing": (1.0, 1.8, 1.3)}
    recipe = recipe_of(folder, shapes=shapes, spacing=(1.0, 1.8, 1.3)).resolved()
    found = plan_of(recipe).shapes
    expected = [(2 * d, round(h / 2), w) for d, h, w in SHAPES]
    np.testing.assert_array_equal(found.sides, expected)
    assert set(np.unique(found.labels)) == {0, 1, 2}
    assert 0 <= found.images.min() <= found.images.max() <= 1
    with pytest.raises(RecipeError, match=r"shapes.spacing: must be the recipe's spacing, \[1.0, "):
        recipe_of(folder, shapes=shapes)


# ------------------------------------------------------------------------------- volumes


@pytest.mark.parametrize("image_dtype", ["uint8", "float16", "float32"])
def test_volumes_are_crops(image_dtype, tmp_path):
    recipe = recipe_of(write_decathlon(tmp_path), image_dtype=image_dtype).resolved()
    batch = cpu(recipe).batch(range(24))
    tables = plan_of(recipe).shapes
    pairs = list(split(tables))
    high = 255 if image_dtype == "uint8" else 1
    assert recipe.intensity_high == high
    assert batch.image.shape == (24, 2, 16, 20, 24)
    for b in range(24):
        _, case, *first, _, _ = batch.placed[b, 0].tolist()
        image, label = pairs[case]
        around = [(24, 24)] * 3
        part = tuple(slice(a + 24, a + 24 + n) for a, n in zip(first, (16, 20, 24), strict=True))
        expected = np.pad(image, [(0, 0), *around])[(slice(None), *part)].astype(np.float64)
        expected = np.rint(expected * 255) if high == 255 else expected
        np.testing.assert_array_equal(batch.image[b], expected.astype(image_dtype))
        np.testing.assert_array_equal(batch.label[b, 0], np.pad(label, around)[part])
    assert set(batch.placed[:, 0, Placed.VARIANT]) == {0, 1, 2}


@needs_compiler
def test_cpu_and_cuda_agree(tmp_path):
    recipe = recipe_of(write_nnunet(tmp_path)).resolved()
    for changed in (recipe, recipe.at_shape((1, 33, 18)), recipe.replace(image_dtype="uint8")):
        assert written_outside(changed, 3) == []
        expected = cpu(changed).batch(range(5))
        assert_equal(host_cuda(changed).batch(range(5)), expected)


@pytest.mark.gpu
def test_cuda_equals_the_cpu_kernels(tmp_path):
    recipe = recipe_of(write_nnunet(tmp_path)).resolved()
    cuda = Generator(recipe, seed=7, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(20))), cpu(recipe).batch(range(20)))


def test_prompts_and_mixtures_take_them(tmp_path):
    recipe = recipe_of(write_nnunet(tmp_path / "a"), prompts={"positive": 1}).resolved()
    assert cpu(recipe).batch([0]).prompts.shape[1] == 2
    names = {"background": 0, "kidney": 1, "spleen": 4}
    other = recipe_of(write_nnunet(tmp_path / "b", labels=names), name="other")
    mixed = mix([(recipe.replace(prompts=None), 1.0), (other, 1.0)])
    assert mixed.class_names == ["background", "liver", "kidney", "spleen"]
    batch = cpu(mixed).batch(range(8))
    assert batch.image.shape == (8, 2, 16, 20, 24)
    values = {tuple(np.unique(label)) for label in batch.label}
    assert {(0, 1, 2), (0, 2, 3)} >= values
    assert len(values) == 2


def test_our_own_exports_are_read(tmp_path):
    own = load_recipe("avs-db").at_shape((16, 20, 24))
    build(own, tmp_path / "store.zarr", count=3, seed=1)
    export.nnunet(tmp_path / "store.zarr", tmp_path / "raw", dataset_id=7)
    export.decathlon(tmp_path / "store.zarr", tmp_path / "task")
    (raw,) = (tmp_path / "raw").glob("Dataset007*")
    found = [plan_of(recipe_of(folder).resolved()).shapes for folder in (raw, tmp_path / "task")]
    part = len(found[1].labels)  # volumes for validation are not in the list for training
    np.testing.assert_array_equal(found[0].labels[:part], found[1].labels)
    np.testing.assert_array_equal(found[0].images[:part], found[1].images)
    expected = cpu(own, seed=1).batch(range(3)).label
    np.testing.assert_array_equal(np.sort(found[0].labels), np.sort(expected.reshape(-1)))


# ------------------------------------------------------------------------------- pinning


def test_resolving_pins_the_files(tmp_path):
    folder = write_nnunet(tmp_path / "a")
    recipe = recipe_of(folder).resolved()
    assert recipe.resolved() is recipe
    shapes = recipe.shapes
    assert (shapes.channels, shapes.structures) == (2, ("liver", "kidney"))
    assert Path(shapes.folder).is_absolute()
    moved = shutil.copytree(folder, tmp_path / "b")
    again = recipe_of(moved).resolved()
    assert again.digest() == recipe.digest()
    assert again.replace(shapes__memory=2.0).digest() == recipe.digest()
    assert recipe.replace(shapes__spacing=recipe.spacing).digest() != recipe.digest()
    save(folder / "labelsTr/case_1.nii.gz", np.ones(SHAPES[1], np.uint8))
    with pytest.raises(ValueError, match=r"^shapes.digest: must be that of the folder .* as it is"):
        plan_of(recipe)
    with pytest.raises(ValueError, match=r"^shapes.digest: must be that of the folder"):
        recipe.remarks()
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=r"^shapes.folder: must be there, got"):
        plan_of(recipe)


def test_a_file_without_a_place_is_told(tmp_path):
    folder = write_nnunet(tmp_path)
    for path in (*folder.glob("imagesTr/case_0_*"), folder / "labelsTr/case_0.nii.gz"):
        own = nibabel.load(path)
        own.set_sform(None, 0), own.set_qform(None, 0)
        nibabel.save(own, path)
    (line,) = recipe_of(folder).resolved().remarks()
    assert line.startswith("imagesTr/case_0_0000.nii.gz: says nothing of its orientation")


# ------------------------------------------------------------------------------- what is refused


def without_document(folder):
    (folder / "dataset.json").unlink()


def without_a_label(folder):
    (folder / "labelsTr/case_1.nii.gz").unlink()


def without_a_channel(folder):
    (folder / "imagesTr/case_1_0001.nii.gz").unlink()


def without_the_first_channel(folder):
    (folder / "imagesTr/case_1_0000.nii.gz").unlink()


def without_images(folder):
    shutil.rmtree(folder / "imagesTr")


def cut(folder):
    path = folder / "imagesTr/case_2_0001.nii.gz"
    path.write_bytes(b"no image")


def other_shape(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.zeros((4, 5, 6), np.uint8))


def elsewhere(folder):
    matrix = affine()
    matrix[2, 3] += 1.0
    save(folder / "labelsTr/case_0.nii.gz", cases()[0][1], matrix)


def of_four_axes(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.zeros((2, *SHAPES[0]), np.uint8))


def document(**changes):
    def change(folder):
        path = folder / "dataset.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def no_json(folder):
    (folder / "dataset.json").write_text("{")


ENTRY = {"image": "./imagesTr/case_0_0000.nii.gz", "label": "./labelsTr/case_0.nii.gz"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_document, "must hold dataset.json, as nnU-Net's .* do, got"),
        (no_json, "dataset.json: not JSON"),
        (without_a_label, r"labelsTr/case_1.nii.gz: must be there, as an image is: case_1_0000"),
        (without_a_channel, "case_1: must have as many channels as case_0, 2, got 1"),
        (without_the_first_channel, "imagesTr: channels must be numbered from 0000 on, got case_1"),
        (without_images, "imagesTr: must hold images such as CASE_0000.nii.gz"),
        (cut, r"imagesTr/case_2_0001.nii.gz: cannot be read \(cut, or not NIfTI\)"),
        (other_shape, r"labelsTr/case_0.nii.gz: must have the shape of imagesTr/case_0_0000.nii.gz,"
         " 17 x 30 x 21, got 6 x 5 x 4"),
        (elsewhere, "labelsTr/case_0.nii.gz: must lie where .* within 0.5 voxel, got 1 mm"),
        (of_four_axes, "labelsTr/case_0.nii.gz: must have 3 axes, got 4"),
        (document(labels=[]), r"dataset.json: labels: must be names with their values, got \[\]"),
        (document(labels={"background": 0}), "labels: must name a class beside the background"),
        (document(labels={"a": [1, 2]}), r"labels: a value must be one .* got \[1, 2\]"),
        (document(labels={"a": 1, "b": 1}), "labels: must be distinct, got 'b' again"),
        (document(labels={"a": 1, "ignore": 2}), "labels: must be of classes but for 0, got 'ign"),
        (document(labels={"a/b": 1}), "labels: a name has 1 to 80 of .* got 'a/b'"),
        (document(file_ending=".png"), "file_ending: must be .nii.gz or .nii, got '.png'"),
        (document(training=[]), "must have 1 to 10000 training cases, got 0"),
        (document(training=[{"image": "a"}]), "training.0: must have image and label"),
        (document(training=[ENTRY, ENTRY]), "training.1: must be distinct, got 'case_0' again"),
        (document(training=[ENTRY | {"image": "../x.nii.gz"}]), "training.0: must name files in"),
        (document(training=[ENTRY | {"image": "./x.nii.gz"}]), "x.nii.gz: must be there, as"),
    ],
)  # fmt: skip
def test_bad_folders(spoil, message, tmp_path):
    folder = write_nnunet(tmp_path)
    spoil(folder)
    with pytest.raises(RecipeError, match=f"^shapes.folder: .*{message}") as error:
        recipe_of(folder).resolved()
    assert "\n" not in str(error.value)


def unnamed(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.full(SHAPES[0], 3, np.uint8))


def beyond(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.full(SHAPES[0], 9, np.uint8))


def below(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.full(SHAPES[0], -1, np.int16))


def halves(folder):
    save(folder / "labelsTr/case_0.nii.gz", np.full(SHAPES[0], 0.5, np.float32))


def no_numbers(folder):
    save(folder / "imagesTr/case_0_0001.nii.gz", np.full(SHAPES[0], np.nan, np.float32))


def cut_voxels(folder):
    path = folder / "labelsTr/case_2.nii.gz"
    path.write_bytes(path.read_bytes()[:600])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unnamed, r"labelsTr/case_0.nii.gz: values must be 0 or named by .* \(1, 4\), got 3"),
        (beyond, "labelsTr/case_0.nii.gz: values must be 0 or named by .*, got 9"),
        (below, "labelsTr/case_0.nii.gz: values must be 0 or named by .*, got -1"),
        (halves, "labelsTr/case_0.nii.gz: values must be whole numbers"),
        (no_numbers, "imagesTr/case_0_0001.nii.gz: values must be finite, got nan or inf"),
        (cut_voxels, "labelsTr/case_2.nii.gz: cannot be read"),
    ],
)
def test_bad_voxels(spoil, message, tmp_path):
    folder = write_nnunet(tmp_path)
    spoil(folder)
    recipe = recipe_of(folder).resolved()
    with pytest.raises(ValueError, match=f"^shapes.folder: {message}") as error:
        plan_of(recipe)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folder": "/no/such"}, "shapes.folder: must be there, got '/no/such'"),
        (
            {"memory": 1e-4},
            "shapes.memory: must hold all cases, 0.00014 GiB, got 0.0001; take few",
        ),
        ({"channels": 3}, "shapes.channels: must be that of the folder, 2, got 3"),
        ({"structures": ("spleen",)}, r"shapes.structures: must be that .* got \['spleen'\]"),
        ({"digest": "0" * 64}, "shapes.structures: must be given beside a digest"),
        ({"spacing": (0.0, 1.0, 1.0)}, "shapes.spacing.0: must be greater than 0"),
        ({"flip": 0.5}, "shapes.flip: unknown key"),
    ],
)
def test_bad_settings(changes, message, tmp_path):
    folder = write_nnunet(tmp_path)
    with pytest.raises(RecipeError, match=message):
        recipe_of(folder, shapes={"kind": "pairs", "folder": str(folder), **changes}).resolved()


def test_voxels_beyond_the_memory_are_not_read(tmp_path):
    folder = write_nnunet(tmp_path)
    fine = {"kind": "pairs", "folder": str(folder), "spacing": (0.001,) * 3}
    with pytest.raises(RecipeError, match=r"shapes\.memory: must hold all cases"):
        recipe_of(folder, shapes=fine, spacing=(0.001,) * 3).resolved()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"placement": {"kind": "free"}}, "placement.kind: must be as_is with pairs shapes"),
        ({"appearance": {"kind": "contour"}}, "appearance.kind: must be as_is with pairs shapes"),
        ({"labels": {"kind": "by_volume"}}, "labels.kind: must be by_priority with pairs"),
        ({"appearance": {"kind": "as_is", "channels": 2}}, "appearance.channels: unknown key"),
    ],
)
def test_what_cannot_be_combined_is_refused(changes, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        recipe_of(tmp_path, **changes)
    with pytest.raises(RecipeError, match=r"appearance.kind: must be contour .* files hold as it"):
        load_recipe("avs-db").replace(appearance={"kind": "as_is"})
    assert AsIs().tables(recipe_of(tmp_path).shapes) is not None


# ------------------------------------------------------------------------------- real data


@pytest.mark.skipif(not HIPPOCAMPUS.exists(), reason="needs the shared data")
def test_real_data():
    recipe = recipe_of(HIPPOCAMPUS, reference_shape=(32, 40, 48), image_dtype="uint8").resolved()
    assert recipe.class_names == ["background", "Anterior", "Posterior"]
    batch = cpu(recipe).batch(range(20))
    assert (batch.placed[:, 0, Placed.ACCEPTED] == 1).all()
    assert set(np.unique(batch.label)) == {0, 1, 2}
    assert ((batch.label > 0).mean(axis=(1, 2, 3, 4)) > 0.005).mean() > 0.9
    assert batch.image.max() == 255

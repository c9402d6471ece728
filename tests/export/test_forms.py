"""Exports of planes, and of images of several channels."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import zarr

from synthgen.export import ExportError, decathlon, nifti, nnunet, ome_zarr
from synthgen.recipe import Recipe, load_recipe
from synthgen.store import build
from synthgen.store.reference import write_reference
from tests.planes import planar_recipe
from tests.store.conftest import FakeGenerator, decoded

COUNT, SPACING = 4, (3.0, 2.0, 0.5)
FORMS = {"plane": (1, 1), "channels": (3, 17), "planes of channels": (3, 1)}


class ColouredGenerator(FakeGenerator):
    """Channels that differ, and images that no turn or mirror leaves as they are."""

    def fill(self, batch: Any) -> Any:
        super().fill(batch)
        rng = np.random.default_rng(list(map(int, batch.index)))
        batch.image[:] = rng.integers(0, 200, batch.image.shape)
        return batch


class Form:
    """A recipe and its store, with a number of channels."""

    def __init__(self, recipe: Recipe, channels: int, store: Path) -> None:
        self.recipe, self.channels, self.store = recipe, channels, store
        generator = ColouredGenerator(recipe, 5, channels=channels)
        build(recipe, store, count=COUNT, shard_size=3, validation=0.25, generator=generator)
        self.arrays = decoded(store)
        self.planar = recipe.reference_shape[0] == 1


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Form:
    channels, depth = FORMS[request.param]
    shape = (depth, 33, 19)
    recipe = planar_recipe(shape) if depth == 1 else load_recipe("avs-db").at_shape(shape)
    store = tmp_path_factory.mktemp("forms") / "store"
    return Form(recipe.replace(spacing=SPACING), channels, store)


def document(folder: Path) -> Any:
    return json.loads((folder / "dataset.json").read_text())


def voxels_of(path: Path) -> Any:
    """Of a NIfTI file, as the store has them."""
    image: Any = nibabel.load(path)
    assert image.header.get_zooms()[:3] == SPACING[::-1]
    return np.asarray(image.dataobj).T


@pytest.mark.parametrize("export", [nifti, decathlon])
def test_an_image_is_one_file(form: Form, tmp_path: Path, export: Any) -> None:
    export(form.store, tmp_path, name="x")
    (path,) = tmp_path.glob("images*/x_0002.nii.gz")
    image = form.arrays["image"][2]
    found = voxels_of(path)
    assert found.ndim == (4 if form.channels > 1 else 3), "an only slice keeps its axis"
    np.testing.assert_array_equal(found.reshape(image.shape), image)
    (path,) = tmp_path.glob("labels*/x_0002.nii.gz")
    np.testing.assert_array_equal(voxels_of(path), form.arrays["label"][2])
    assert export(form.store, tmp_path, name="x").written == 0, "what is there is whole"


def test_a_decathlon_task_names_its_channels(form: Form, tmp_path: Path) -> None:
    decathlon(form.store, tmp_path / "one", modality="MR")
    found = document(tmp_path / "one")
    assert found["modality"] == {str(channel): "MR" for channel in range(form.channels)}
    assert found["tensorImageSize"] == ("2D" if form.planar else "4D")
    names = ["T1", "T2", "FLAIR"][: form.channels]
    decathlon(form.store, tmp_path / "each", modality=names)
    assert list(document(tmp_path / "each")["modality"].values()) == names
    assert decathlon(form.store, tmp_path / "each", modality=names).written == 0
    wrong = [*names, "PD"]
    rule = rf"^modality: needs one name, or one for each of {form.channels} channels, got T1, "
    with pytest.raises(ExportError, match=rule):
        decathlon(form.store, tmp_path / "wrong", modality=wrong)
    assert not (tmp_path / "wrong").exists()


def test_nnunet_has_a_file_a_channel(form: Form, tmp_path: Path) -> None:
    folder = nnunet(form.store, tmp_path, dataset_id=7, name="x").folder
    found = document(folder)
    assert found["channel_names"] == {str(channel): "synthetic" for channel in range(form.channels)}
    names = sorted(path.name for path in (folder / "imagesTr").iterdir())
    assert names == [
        f"x_{index:04d}_{channel:04d}.nii.gz"
        for index in range(COUNT)
        for channel in range(form.channels)
    ]
    for name in names:
        index, channel = (int(part) for part in name.split(".")[0].split("_")[1:])
        np.testing.assert_array_equal(
            voxels_of(folder / "imagesTr" / name), form.arrays["image"][index, channel]
        )
    np.testing.assert_array_equal(
        voxels_of(folder / "labelsTr" / "x_0003.nii.gz"), form.arrays["label"][3]
    )
    lost = folder / "imagesTr" / names[-1]
    before = lost.read_bytes()
    lost.unlink()
    assert nnunet(form.store, tmp_path, dataset_id=7, name="x").written == 1
    assert lost.read_bytes() == before


def test_an_ome_zarr_image_has_an_axis_of_channels(form: Form, tmp_path: Path) -> None:
    ome_zarr(form.store, tmp_path, name="x")
    group: Any = zarr.open_group(tmp_path / "x_0001.ome.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][...], form.arrays["image"][1])
    assert group["0"].chunks[0] == 1
    axes = [axis["name"] for axis in group.attrs["ome"]["multiscales"][0]["axes"]]
    assert axes == ["c", "z", "y", "x"]
    label = group["labels/segmentation/0"]
    np.testing.assert_array_equal(label[...], form.arrays["label"][1])
    models = pytest.importorskip("ome_zarr_models.v05")
    models.Image.from_zarr(group)


def test_monai_reads_channels_first(form: Form, tmp_path: Path) -> None:
    transforms = pytest.importorskip("monai.transforms")
    nifti(form.store, tmp_path, name="x")
    files = {key: tmp_path / f"{key}s" / "x_0001.nii.gz" for key in ("image", "label")}
    load = transforms.LoadImaged(keys=list(files), ensure_channel_first=True)
    item = load(files)
    expected = form.arrays["image"][1].transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(item["image"].numpy(), expected)
    assert item["label"].shape == (1, *expected.shape[1:])


def test_simpleitk_reads_a_file_a_channel_as_nnunet_does(form: Form, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder = nnunet(form.store, tmp_path, dataset_id=7, name="x").folder
    image = sitk.ReadImage(str(folder / "imagesTr" / "x_0001_0000.nii.gz"))
    assert image.GetDimension() == 3
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), form.arrays["image"][1, 0])


def test_volumes_that_are_made_when_they_are_read(form: Form, tmp_path: Path) -> None:
    if form.channels > 1:
        pytest.skip("the engine makes one channel of this recipe")
    write_reference(tmp_path / "set.yaml", form.recipe, seed=5, count=2)
    nifti(tmp_path / "set.yaml", tmp_path / "out", name="x")
    found = voxels_of(tmp_path / "out" / "labels" / "x_0000.nii.gz")
    assert found.shape == form.recipe.reference_shape


def test_the_command_line_takes_several_names(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from synthgen.cli.export import export

    recipe = load_recipe("avs-db").at_shape((17, 33, 19))
    form = Form(recipe, 2, tmp_path / "store")
    for command, more in {"decathlon": [], "nnunet": ["--id", "3"]}.items():
        out = tmp_path / command
        arguments = [command, str(form.store), str(out), "--modality", "T1,T2", *more]
        run = CliRunner().invoke(export, arguments)
        assert run.exit_code == 0, run.output
        (found,) = out.rglob("dataset.json")
        values = json.loads(found.read_text())
        assert {"0": "T1", "1": "T2"} in (values.get("modality"), values.get("channel_names"))

"""Exports of several label maps, and of classes of whole volumes."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import zarr

from synthgen.export import ExportError, decathlon, nifti, nnunet, ome_zarr
from synthgen.recipe import Recipe
from synthgen.store import Stopped, Watcher, build
from synthgen.store.reference import write_reference
from tests.store.conftest import decoded
from tests.tasks import SHAPE, SPACING, recipe_of

COUNT, SEED = 4, 5
NAMES = ["shape", "displacement", "mapper"]


def built(kind: str, folder: Path) -> tuple[Recipe, Path]:
    recipe = recipe_of(kind)
    build(recipe, folder / kind, count=COUNT, seed=SEED, shard_size=3, device="cpu")
    return recipe, folder / kind


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path]:
    return built("maps", tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="module", params=["class", "classes"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recipe, Path]:
    return built(request.param, tmp_path_factory.mktemp("stores"))


def document(folder: Path, name: str = "dataset.json") -> Any:
    return json.loads((folder / name).read_text())


def by_value(names: list[str]) -> dict[str, str]:
    return {str(value): name for value, name in enumerate(names)}


@pytest.mark.parametrize("export", [nifti, decathlon])
def test_label_maps_are_one_file_of_four_axes(
    maps: tuple[Recipe, Path], tmp_path: Path, export: Any
) -> None:
    recipe, store = maps
    export(store, tmp_path, name="x")
    found, labels = document(tmp_path), decoded(store)["label"]
    assert found["labels"] == by_value(recipe.class_names)
    assert [task["name"] for task in found["tasks"]] == NAMES
    assert [task["labels"] for task in found["tasks"]] == [
        by_value(task.class_names) for task in recipe.tasks
    ]
    (path,) = tmp_path.glob("labels*/x_0002.nii.gz")
    image: Any = nibabel.load(path)
    assert image.shape == (*SHAPE[::-1], 3)
    assert image.header.get_zooms()[:3] == SPACING[::-1]
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels[2])
    again = export(store, tmp_path, name="x")
    assert again.written == 0, "what is there is whole"


def test_monai_reads_them_as_channels(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    transforms = pytest.importorskip("monai.transforms")
    data = pytest.importorskip("monai.data")
    decathlon(maps[1], tmp_path)
    (item, *_) = data.load_decathlon_datalist(tmp_path / "dataset.json", True, "training")
    load = transforms.LoadImaged(keys=["image", "label"], ensure_channel_first=True)
    item = load(item)
    assert item["image"].shape == (1, *SHAPE[::-1])
    expected = decoded(maps[1])["label"][0].transpose(0, 3, 2, 1)
    np.testing.assert_array_equal(item["label"].numpy(), expected)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("export", [nifti, decathlon, nnunet, ome_zarr])
def test_one_task_is_chosen(
    maps: tuple[Recipe, Path], tmp_path: Path, export: Any, place: int
) -> None:
    recipe, store = maps
    more = {"dataset_id": 3} if export is nnunet else {}
    folder = export(store, tmp_path, name="x", task=NAMES[place], **more).folder
    found = document(folder)
    names = recipe.tasks[place].class_names
    assert "tasks" not in found
    if export is nnunet:
        assert found["labels"] == {name: value for value, name in enumerate(names)}
    else:
        assert found["labels"] == by_value(names)
    expected = decoded(store)["label"][1, place]
    if export is ome_zarr:
        label: Any = zarr.open_group(folder / "x_0001.ome.zarr/labels/segmentation", mode="r")
        np.testing.assert_array_equal(label["0"][...], expected)
        return
    (path,) = folder.glob("labels*/x_0001.nii.gz")
    image: Any = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, expected)


def test_one_folder_is_of_one_task(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    nifti(maps[1], tmp_path, task="shape")
    for task in ("mapper", None):
        with pytest.raises(ExportError, match=f"task is shape there, {task} asked"):
            nifti(maps[1], tmp_path, task=task)


def test_nnunet_takes_one_label_map(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    rule = "^task: nnU-Net takes one label map, choose one of shape, displacement, mapper$"
    with pytest.raises(ExportError, match=rule):
        nnunet(maps[1], tmp_path / "out", dataset_id=3)
    assert not (tmp_path / "out").exists()


def test_an_ome_zarr_image_has_a_label_map_a_task(
    maps: tuple[Recipe, Path], tmp_path: Path
) -> None:
    recipe, store = maps
    ome_zarr(store, tmp_path, name="x")
    labels = decoded(store)["label"]
    group: Any = zarr.open_group(tmp_path / "x_0003.ome.zarr", mode="r")
    assert group["labels"].attrs["ome"]["labels"] == NAMES
    for place, task in enumerate(recipe.tasks):
        segmentation = group[f"labels/{task.name}"]
        np.testing.assert_array_equal(segmentation["0"][...], labels[3, place])
        named = segmentation.attrs["ome"]["image-label"]["properties"]
        assert [entry["class"] for entry in named] == task.class_names
    case = document(tmp_path)["cases"][3]
    assert case.keys() == {"image", *NAMES}
    assert all((tmp_path / path).is_dir() for path in case.values())


def test_ome_zarr_models_read_them(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    v05 = pytest.importorskip("ome_zarr_models.v05")
    ome_zarr(maps[1], tmp_path, name="x")
    group: Any = zarr.open_group(tmp_path / "x_0000.ome.zarr", mode="r")
    assert v05.Labels.from_zarr(group["labels"]).ome_attributes.labels == NAMES
    for name in NAMES:
        v05.ImageLabel.from_zarr(group[f"labels/{name}"])


def test_an_unknown_task(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    rule = "^task: must be one of shape, displacement, mapper, got 'colour'$"
    for export in (nifti, decathlon, ome_zarr):
        with pytest.raises(ValueError, match=rule):
            export(maps[1], tmp_path / "out", task="colour")
    assert not (tmp_path / "out").exists()


def classes_of(store: Path, name: str) -> dict[str, Any]:
    labels = decoded(store)["label"].tolist()
    return {f"{name}_{index:04d}": label for index, label in enumerate(labels)}


def test_classes_are_listed_by_case(whole: tuple[Recipe, Path], tmp_path: Path) -> None:
    recipe, store = whole
    nifti(store, tmp_path, name="x")
    found = document(tmp_path)
    assert found["labels"] == by_value(recipe.class_names)
    assert ("tasks" in found) == (len(recipe.tasks) > 1)
    assert [list(case) for case in found["cases"]] == [["image"]] * COUNT
    assert not (tmp_path / "labels").exists()
    classes = document(tmp_path, "labelsTr.json")
    assert list(classes.items()) == list(classes_of(store, "x").items())
    image: Any = nibabel.load(tmp_path / found["cases"][2]["image"])
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, decoded(store)["image"][2, 0])


def test_classes_of_one_task(tmp_path: Path) -> None:
    _, store = built("classes", tmp_path)
    nifti(store, tmp_path / "out", name="x", task="mapper")
    expected = {case: value[2] for case, value in classes_of(store, "x").items()}
    assert document(tmp_path / "out", "labelsTr.json") == expected


def test_a_resumed_export_lists_all_classes(whole: tuple[Recipe, Path], tmp_path: Path) -> None:
    class Stops(Watcher):
        def stopped(self) -> bool:
            return True

    with pytest.raises(Stopped):
        nifti(whole[1], tmp_path, name="x", watcher=Stops())
    assert not (tmp_path / "labelsTr.json").exists()
    nifti(whole[1], tmp_path, name="x")
    assert document(tmp_path, "labelsTr.json") == classes_of(whole[1], "x")


def test_classes_of_volumes_that_are_made_when_they_are_read(
    whole: tuple[Recipe, Path], tmp_path: Path
) -> None:
    recipe, store = whole
    write_reference(tmp_path / "set.yaml", recipe, seed=SEED, count=COUNT)
    nifti(tmp_path / "set.yaml", tmp_path / "out", name="x")
    assert document(tmp_path / "out", "labelsTr.json") == classes_of(store, "x")


@pytest.mark.parametrize("export", [decathlon, nnunet, ome_zarr])
def test_formats_of_label_maps_refuse_classes(
    whole: tuple[Recipe, Path], tmp_path: Path, export: Any
) -> None:
    more = {"dataset_id": 3} if export is nnunet else {}
    rule = r"^labels: .* label maps, and .* has classes of whole volumes; export it as nifti$"
    with pytest.raises(ExportError, match=rule):
        export(whole[1], tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_the_command_line_takes_a_task(maps: tuple[Recipe, Path], tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from synthgen.cli.export import export

    for command, more in {
        "nifti": [], "decathlon": [], "ome-zarr": [], "nnunet": ["--id", "3"],
    }.items():  # fmt: skip
        out = tmp_path / command
        run = CliRunner().invoke(
            export, [command, str(maps[1]), str(out), "--task", "mapper", *more]
        )
        assert run.exit_code == 0, run.output
        (found,) = out.rglob("dataset.json")
        names = json.loads(found.read_text())["labels"]
        assert len(names) == len(maps[0].tasks[2].class_names)

"""Names of files, and what ``dataset.json`` says."""

import json
from pathlib import Path
from typing import Any

import pytest

from synthgen.export import ExportError, decathlon, nifti, nnunet, ome_zarr
from synthgen.export.formats import Cases
from synthgen.recipe import Recipe
from synthgen.store import StoreError, Watcher
from synthgen.store.reference import write_reference
from tests.export.conftest import COUNT, build_marked


def document(folder: Path) -> Any:
    return json.loads((folder / "dataset.json").read_text())


def names(folder: Path) -> list[str]:
    """Files, without the export's records."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if path.parts[0] != ".synthgen")


def test_nifti(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    exported = nifti(store, out, name="x")
    assert (exported.folder, exported.volumes, exported.written) == (out, COUNT, COUNT)
    found = document(out)
    assert found["cases"][3] == {
        "image": "images/x_0003.nii.gz",
        "label": "labels/x_0003.nii.gz",
    }
    assert found["labels"] == {str(i): name for i, name in enumerate(recipe.class_names)}
    assert found["spacing"] == [0.5, 2.0, 3.0]
    assert found["splits"] == {"training": [0, 3], "validation": [3, 4]}
    listed = [path for case in found["cases"] for path in case.values()]
    assert names(out) == sorted([*listed, "dataset.json"])
    assert exported.bytes == sum((out / path).stat().st_size for path in listed)


def test_nnunet(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    exported = nnunet(store, tmp_path, dataset_id=7, name="Vessels", modality="CT")
    folder = tmp_path / "Dataset007_Vessels"
    assert exported.folder == folder
    found = document(folder)
    assert found["channel_names"] == {"0": "CT"}
    assert found["labels"] == {name: i for i, name in enumerate(recipe.class_names)}
    assert found["labels"]["background"] == 0
    assert (found["numTraining"], found["file_ending"]) == (COUNT, ".nii.gz")
    cases = [f"Vessels_{index:04d}" for index in range(COUNT)]
    images = [f"imagesTr/{case}_0000.nii.gz" for case in cases]
    labels = [f"labelsTr/{case}.nii.gz" for case in cases]
    assert names(folder) == ["dataset.json", *images, *labels, "splits_final.json"]
    (fold,) = json.loads((folder / "splits_final.json").read_text())
    assert fold == {"train": cases[:3], "val": cases[3:]}


def test_nnunet_draws_its_own_folds_where_nothing_is_held_out(
    recipe: Recipe, tmp_path: Path
) -> None:
    store = build_marked(recipe, tmp_path / "store", validation=0)
    exported = nnunet(store, tmp_path / "raw", dataset_id=7)
    assert not (exported.folder / "splits_final.json").exists()


def test_nnunet_finds_nothing_wrong(store: Path, tmp_path: Path) -> None:
    verify = pytest.importorskip("nnunetv2.experiment_planning.verify_dataset_integrity")
    folder = nnunet(store, tmp_path, dataset_id=7).folder
    verify.verify_dataset_integrity(str(folder), num_processes=1)
    (folder / "labelsTr" / "avs-db_0002.nii.gz").unlink()
    with pytest.raises(AssertionError):
        verify.verify_dataset_integrity(str(folder), num_processes=1)


def test_decathlon(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    decathlon(store, tmp_path)
    found = document(tmp_path)
    assert found["training"][0] == {
        "image": "./imagesTr/avs-db_0000.nii.gz",
        "label": "./labelsTr/avs-db_0000.nii.gz",
    }
    assert found["modality"] == {"0": "synthetic"}
    assert found["labels"] == {str(i): name for i, name in enumerate(recipe.class_names)}
    assert found["numTraining"] == len(found["training"]) == 3
    items = [*found["training"], *found["validation"]]
    assert len({item["image"] for item in items}) == COUNT
    for item in items:
        assert all((tmp_path / path).is_file() for path in item.values())


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.1, 1), (0.5, 2), (0.99, 3)])
def test_the_split_is_the_stores(
    recipe: Recipe, tmp_path: Path, share: float, expected: int
) -> None:
    store = build_marked(recipe, tmp_path / "store", validation=share)
    decathlon(store, tmp_path / "out")
    found = document(tmp_path / "out")
    assert len(found["validation"]) == expected
    assert len(found["training"]) == COUNT - expected


def test_monai_reads_the_lists(store: Path, tmp_path: Path) -> None:
    monai = pytest.importorskip("monai.data")
    decathlon(store, tmp_path)
    for key, count in (("training", 3), ("validation", 1)):
        items = monai.load_decathlon_datalist(tmp_path / "dataset.json", True, key)
        assert len(items) == count
        assert all(Path(item[name]).is_file() for item in items for name in ("image", "label"))


@pytest.mark.parametrize("export", [nifti, ome_zarr])
def test_a_store_that_takes_no_disk(
    store: Path, recipe: Recipe, tmp_path: Path, export: Any
) -> None:
    file = tmp_path / "avs-db.yaml"
    write_reference(file, recipe, seed=5, count=COUNT)
    export(store, tmp_path / "built")
    volumes: list[int] = []
    watcher = Watcher()
    watcher.advance = lambda entry: volumes.extend(range(entry.first, entry.stop))
    export(file, tmp_path / "made", watcher=watcher)
    assert volumes == list(range(COUNT))
    assert names(tmp_path / "made") == names(tmp_path / "built")
    for name in names(tmp_path / "made"):
        assert (tmp_path / "made" / name).read_bytes() == (tmp_path / "built" / name).read_bytes()


def test_a_recipe_is_no_store(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe.to_yaml())
    with pytest.raises(StoreError, match="count: must be a whole number"):
        nifti(tmp_path / "mine.yaml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_volume_is_trained_on(recipe: Recipe, tmp_path: Path) -> None:
    decathlon(build_marked(recipe, tmp_path / "store", count=1), tmp_path / "out")
    found = document(tmp_path / "out")
    assert (len(found["training"]), len(found["validation"])) == (1, 0)


def test_numbers_are_wide_enough() -> None:
    assert Cases("x", 10000, label="l/{}.nii").paths(7)["label"] == "l/x_0007.nii"
    assert Cases("x", 10001, label="l/{}.nii").paths(7)["label"] == "l/x_00007.nii"


def test_two_data_sets_of_one_id_are_refused(store: Path, tmp_path: Path) -> None:
    nnunet(store, tmp_path, dataset_id=7, name="One")
    nnunet(store, tmp_path, dataset_id=8, name="Two")
    with pytest.raises(ExportError, match="Dataset007_One is there"):
        nnunet(store, tmp_path, dataset_id=7, name="Two")


@pytest.mark.parametrize(
    ("export", "arguments", "rule"),
    [
        (nifti, {"level": 10}, "level: must lie in 0..9, got 10"),
        (nifti, {"name": "a/b"}, "name: needs letters, digits, - or _, got 'a/b'"),
        (nifti, {"name": ""}, "name: needs"),
        (ome_zarr, {"name": "a/b"}, "name: needs letters, digits, - or _, got 'a/b'"),
        (nnunet, {"dataset_id": 0}, "dataset id: must lie in 1..999, got 0"),
        (nnunet, {"dataset_id": 1000}, "dataset id: must lie in 1..999, got 1000"),
    ],
)
def test_arguments_out_of_bounds(
    store: Path, tmp_path: Path, export: Any, arguments: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ExportError, match=rule):
        export(store, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()

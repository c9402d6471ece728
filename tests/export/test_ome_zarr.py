"""OME-Zarr images as the format's own models and zarr read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from synthgen.export import ome_zarr
from synthgen.export.ome_zarr_folder import OmeZarrFolder
from synthgen.export.source import Volumes
from synthgen.recipe import Recipe
from tests.export.conftest import COUNT, SHAPE, SPACING, build_marked
from tests.store.conftest import FakeGenerator, decoded


def scales(image: Any) -> list[list[float]]:
    """Millimetres a voxel of each level."""
    (multiscale,) = image.ome_attributes.multiscales
    return [list(level.coordinateTransformations[0].scale) for level in multiscale.datasets]


def test_every_voxel_is_there(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    exported = ome_zarr(store, tmp_path)
    assert (exported.volumes, exported.written) == (COUNT, COUNT)
    arrays = decoded(store)
    for index in range(COUNT):
        group = zarr.open_group(tmp_path / f"avs-db_{index:04d}.ome.zarr", mode="r")
        image = models.open_ome_zarr(group)
        assert (image.ome_zarr_version, type(image).__name__) == ("0.5", "Image")
        (multiscale,) = image.ome_attributes.multiscales
        assert [(axis.name, axis.unit) for axis in multiscale.axes] == [
            ("c", None),
            *((name, "millimeter") for name in "zyx"),
        ]
        assert scales(image) == [[1.0, *SPACING]]
        np.testing.assert_array_equal(group["0"][...], arrays["image"][index])
        np.testing.assert_array_equal(group["labels/segmentation/0"][...], arrays["label"][index])


def test_labels_have_names(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    v05 = pytest.importorskip("ome_zarr_models.v05")
    ome_zarr(store, tmp_path)
    group = zarr.open_group(tmp_path / "avs-db_0001.ome.zarr", mode="r")
    assert v05.Labels.from_zarr(group["labels"]).ome_attributes.labels == ["segmentation"]
    label = v05.ImageLabel.from_zarr(group["labels/segmentation"])
    assert scales(label) == [list(SPACING)]
    named = group["labels/segmentation"].attrs["ome"]["image-label"]["properties"]
    assert [entry["class"] for entry in named] == recipe.class_names
    assert [entry["label-value"] for entry in named] == list(range(len(recipe.class_names)))
    colours = [tuple(color.rgba) for color in label.ome_attributes.image_label.colors]
    assert colours[0] == (0, 0, 0, 0)
    assert len(set(colours)) == len(colours) == len(named)


def test_the_document_lists_them(store: Path, recipe: Recipe, tmp_path: Path) -> None:
    ome_zarr(store, tmp_path, name="x")
    found = json.loads((tmp_path / "dataset.json").read_text())
    assert found["splits"] == {"training": [0, 3], "validation": [3, 4]}
    assert found["labels"] == {str(i): name for i, name in enumerate(recipe.class_names)}
    for case in found["cases"]:
        assert zarr.open_group(tmp_path / case["image"], mode="r")["0"].shape == (1, *SHAPE)
        assert zarr.open_group(tmp_path / case["label"], mode="r")["0"].shape == SHAPE


def test_the_smallest_files_of_zeros_are_there(recipe: Recipe, tmp_path: Path) -> None:
    """A lost file reads as zeros, so none may stand for them."""
    empty = build_marked(recipe, tmp_path / "store", Empty(recipe))
    ome_zarr(empty, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("c/**/0"))) >= 2 * COUNT


class Empty(FakeGenerator):
    def fill(self, batch: Any) -> Any:
        batch.image[:], batch.label[:] = 0, 0
        return batch


def test_long_sides_have_levels(store: Path, tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    shape = (5, 513, 20)
    rng = np.random.default_rng(0)
    image, label = (rng.integers(0, 9, shape, np.uint8) for _ in range(2))
    path = tmp_path / "x_0002.ome.zarr"
    form = OmeZarrFolder(Volumes.open(store))
    size = form.write(path, 2, [image, label], "w")
    assert form.is_whole(path, 2)
    assert not form.is_whole(path, 3)
    assert size < sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    group = zarr.open_group(path, mode="r")
    found = models.open_ome_zarr(group)
    assert scales(found) == [[1.0, *(side * factor for side in SPACING)] for factor in (1, 2, 4)]
    for level in range(3):
        part = (slice(None, None, 2**level),) * 3
        np.testing.assert_array_equal(group[str(level)][0], image[part])
        np.testing.assert_array_equal(group[f"labels/segmentation/{level}"][...], label[part])


def test_float16(recipe: Recipe, tmp_path: Path) -> None:
    store = build_marked(recipe, tmp_path / "store", FakeGenerator(recipe, dtype="float16"))
    ome_zarr(store, tmp_path / "out")
    group = zarr.open_group(tmp_path / "out" / "avs-db_0000.ome.zarr", mode="r")
    assert group["0"].dtype == np.float16
    np.testing.assert_array_equal(group["0"][...], decoded(store)["image"][0])

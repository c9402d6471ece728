"""Items of a data set are the volumes of its store, in the form that was asked for."""

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import monai.data
import numpy as np
import pytest
import torch
import zarr
from monai.data import MetaTensor, list_data_collate
from torch.utils.data import DataLoader, default_collate

import synthgen
from synthgen.dataset import Sample, VolumeDataset
from synthgen.recipe import Recipe
from synthgen.store import StoreError, build
from synthgen.tensors import affine_of
from tests.dataset.conftest import COUNT, SHAPE, SPACING

HIGH = 128  # the largest intensity of avs-db


def test_every_volume_is_that_of_the_store(source: Any, arrays: Any) -> None:
    dataset = VolumeDataset(source)
    assert len(dataset) == COUNT
    for index, item in enumerate(dataset[place] for place in range(COUNT)):
        assert item.keys() == {"image", "label", "index"}
        assert (item["image"].dtype, item["label"].dtype) == (torch.float32, torch.uint8)
        expected = arrays["image"][index] * np.float32(1 / HIGH)
        np.testing.assert_array_equal(item["image"].numpy(), expected)
        np.testing.assert_array_equal(item["label"].numpy(), arrays["label"][index][None])
        assert item["index"] == index
        for name in ("image", "label"):
            assert isinstance(item[name], MetaTensor)
            np.testing.assert_array_equal(item[name].affine, affine_of(SPACING, "zyx"))


def test_a_reference_is_a_source(reference: Path, arrays: Any) -> None:
    item = VolumeDataset(str(reference), normalize=None)[3]
    np.testing.assert_array_equal(item["image"].numpy(), arrays["image"][3])


def test_normalize(path: Path, arrays: Any) -> None:
    stored = VolumeDataset(path, normalize=None)[1]["image"]
    assert stored.dtype == torch.uint8
    np.testing.assert_array_equal(stored.numpy(), arrays["image"][1])
    scored = VolumeDataset(path, normalize="zscore")[1]["image"].numpy()
    voxels = arrays["image"][1].astype(np.float64)
    np.testing.assert_allclose(scored, (voxels - voxels.mean()) / voxels.std(), atol=1e-5)


@pytest.mark.parametrize("normalize", [None, "unit", "zscore"])
@pytest.mark.parametrize("patch_size", [None, (4, 5, 6), SHAPE])
def test_tensors_may_be_written_to(source: Any, normalize: Any, patch_size: Any) -> None:
    dataset = VolumeDataset(source, normalize=normalize, patch_size=patch_size)
    expected, item = dataset[2, 0], dataset[2, 0]
    kept = {name: expected[name].clone() for name in ("image", "label")}
    for name in kept:
        item[name] += 1
        assert torch.equal(expected[name], kept[name])
        assert torch.equal(dataset[2, 0][name], kept[name])


def test_labels_of_many_classes(recipe: Recipe) -> None:
    sections = ("ellipse", *range(3, 68))  # of four z rules each
    wide = recipe.replace(shapes__sections=sections, label_dtype="uint16")
    group: Any = synthgen.open(wide, count=3, device="cpu")
    dataset = VolumeDataset(group)
    assert dataset.recipe.num_classes == 4 * len(sections) + 1
    labels = torch.cat([dataset[place]["label"] for place in range(3)])
    assert labels.dtype == torch.int32
    assert labels.max() > 255
    np.testing.assert_array_equal(labels, group["label"][...])


@pytest.mark.parametrize(
    ("split", "indices"), [("training", [0, 1, 2, 3]), ("validation", [4, 5]), (None, range(6))]
)
def test_splits(source: Any, split: Any, indices: list[int]) -> None:
    dataset = VolumeDataset(source, split=split)
    assert len(dataset) == len(indices)
    assert [item["index"] for item in dataset] == list(indices)  # type: ignore[attr-defined]
    assert dataset[-1]["index"] == indices[-1]


def test_no_such_place(path: Path) -> None:
    dataset = VolumeDataset(path, split="validation")
    for place in (2, -3, (2, 0)):
        with pytest.raises(IndexError, match=r"^index: must lie in -2\.\.1, got (2|-3)"):
            dataset[place]


def test_transform_gets_the_item(path: Path) -> None:
    dataset = VolumeDataset(path, transform=lambda item: (item["index"], item["label"].amax()))
    assert dataset[3] == (3, VolumeDataset(path)[3]["label"].amax())


@pytest.mark.parametrize("collate", [default_collate, list_data_collate])
def test_collates(path: Path, collate: Any) -> None:
    dataset = VolumeDataset(path)
    batch = collate([dataset[1], dataset[4]])
    for name in ("image", "label"):
        assert batch[name].shape == (2, 1, *SHAPE)
        assert isinstance(batch[name], MetaTensor)
        assert torch.equal(batch[name][1].as_tensor(), dataset[4][name].as_tensor())
    assert batch["index"].tolist() == [1, 4]


def test_a_batch_of_monai_has_the_affine_of_each_item(path: Path) -> None:
    dataset = VolumeDataset(path, patch_size=(8, 8, 8))
    order = [[Sample(0, 1), Sample(0, 2)]]
    (batch,) = monai.data.DataLoader(dataset, batch_sampler=order)  # type: ignore[arg-type]
    for name in ("image", "label"):
        expected = [dataset[sample]["image"].affine for sample in order[0]]
        assert torch.equal(batch[name].affine, torch.stack(expected))
        assert not torch.equal(*expected)


@pytest.mark.parametrize("axes", ["zyx", "xyz"])
def test_without_monai(path: Path, monkeypatch: pytest.MonkeyPatch, axes: Any) -> None:
    with_monai = VolumeDataset(path, axes=axes)[2]
    monkeypatch.setitem(sys.modules, "monai.data.meta_tensor", None)
    (batch,) = DataLoader(VolumeDataset(path, axes=axes), batch_sampler=[[2]])
    assert batch.keys() == {"image", "label", "affine", "index"}
    for name in ("image", "label"):
        assert type(batch[name]) is torch.Tensor
        assert torch.equal(batch[name][0], with_monai[name].as_tensor())
    assert torch.equal(batch["affine"][0], with_monai["image"].affine)


def test_pickles_without_its_volumes(source: Any) -> None:
    dataset = VolumeDataset(source, patch_size=(8, 8, 8), seed=3)
    expected = dataset[5, 1]
    again = pickle.dumps(dataset)
    assert len(again) < 30_000
    found = pickle.loads(again)[5, 1]
    for name in ("image", "label"):
        assert torch.equal(found[name], expected[name])


def test_torch_is_asked_for() -> None:
    script = "import sys; sys.modules['torch'] = None; import synthgen.dataset"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "ImportError: needs the extra train: pip install 'synthgen[train]'" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"normalize": "max"}, "normalize: must be unit, zscore or None, got 'max'"),
        ({"axes": "yxz"}, "axes: must be zyx or xyz, got 'yxz'"),
        ({"split": "test"}, "split: must be training, validation or None, got 'test'"),
        ({"seed": -1}, "seed: must lie in 0..2^64 - 1, got -1"),
    ],
)
def test_bad_arguments_come_before_any_work(arguments: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        VolumeDataset("there is no such store", **arguments)


@pytest.mark.parametrize("size", [(18, 33, 19), (17, 33, 20), (0, 1, 1), (8, 8), (8.0, 8, 8), 8])
def test_patches_have_to_fit(path: Path, size: Any) -> None:
    rule = r"^patch_size: needs 3 sides .* of at least 1 and at most \(17, 33, 19\) voxels, got "
    with pytest.raises(ValueError, match=rule):
        VolumeDataset(path, patch_size=size)


def test_a_split_without_volumes(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path, count=1, validation=0, device="cpu")
    assert len(VolumeDataset(tmp_path, split="training")) == 1
    with pytest.raises(ValueError, match=r"^split: the source has no volumes.*, got 'validation'"):
        VolumeDataset(tmp_path, split="validation")


def test_other_sources(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^source: must be a store's folder"):
        VolumeDataset(tmp_path / "none")
    with pytest.raises(ValueError, match=r"^source: must be a group that synthgen\.open opened"):
        VolumeDataset(zarr.create_group({}))


@pytest.mark.parametrize("patch_size", [None, (4, 5, 6)])
def test_a_group_that_zarr_alone_opens(path: Path, tmp_path: Path, patch_size: Any) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(path, bare, ignore=shutil.ignore_patterns(".synthgen"))
    for settings in ({"normalize": None}, {"axes": "xyz"}, {"normalize": "zscore"}):
        found, expected = (
            VolumeDataset(source, patch_size=patch_size, **settings)  # type: ignore[arg-type]
            for source in (zarr.open_group(bare, mode="r"), path)
        )
        for name in ("image", "label"):
            assert torch.equal(found[3, 1][name], expected[3, 1][name])


def test_a_shard_lost_after_opening(path: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(path, tmp_path / "copied"))
    dataset = VolumeDataset(copied)
    (copied / "label" / "c.1.0.0.0").unlink()
    assert dataset[0]["label"].any()
    with pytest.raises(StoreError, match=r"c\.1\.0\.0\.0 does not decode: .*synthgen repair"):
        dataset[4]


def test_damaged_and_incomplete_stores(recipe: Recipe, tmp_path: Path) -> None:
    build(recipe, tmp_path, count=2, shard_size=1, part=(1, 2), device="cpu")
    with pytest.raises(StoreError, match="shard 1 is absent"):
        VolumeDataset(tmp_path)
    build(recipe, tmp_path, count=2, shard_size=1, device="cpu")
    assert len(VolumeDataset(tmp_path)) == 2
    (tmp_path / "image" / "zarr.json").write_text("{}")
    with pytest.raises(StoreError, match="mend it with: synthgen repair"):
        VolumeDataset(tmp_path)

"""Items of several label maps, and of classes of whole volumes; and batches of the feed."""

import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from torch.utils.data import DataLoader, default_collate

import synthgen
from synthgen.dataset import Sample, VolumeDataset
from synthgen.recipe import Recipe
from synthgen.store import build
from synthgen.tensors import affine_of
from tests.store.conftest import decoded
from tests.tasks import KINDS, SHAPE, SPACING, recipe_of

COUNT, SEED, PATCH = 4, 11, (9, 16, 19)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recipe(kind: str) -> Recipe:
    return recipe_of(kind)


@pytest.fixture(scope="module")
def path(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store; not to be changed."""
    out = tmp_path_factory.mktemp("built") / "store"
    build(recipe, out, count=COUNT, seed=SEED, shard_size=3, device="cpu")
    return out


@pytest.fixture(scope="module")
def labels(path: Path, recipe: Recipe) -> Any:
    """All of the store's, (N, T, D, H, W) or (N, T)."""
    return decoded(path)["label"].reshape(COUNT, *recipe.label_shape)


@pytest.fixture(params=["built", "generated"])
def source(request: pytest.FixtureRequest, path: Path, recipe: Recipe) -> Any:
    if request.param == "built":
        return path
    return synthgen.open(recipe, seed=SEED, count=COUNT, device="cpu")


def test_items_have_the_labels_of_the_store(kind: str, source: Any, labels: Any) -> None:
    for index, item in enumerate(VolumeDataset(source)[place] for place in range(COUNT)):
        assert item.keys() == {"image", "label", "index"}
        np.testing.assert_array_equal(item["label"].numpy(), labels[index])
        maps = kind == "maps"
        assert item["label"].dtype == (torch.uint8 if maps else torch.int64)
        assert isinstance(item["image"], MetaTensor)
        assert isinstance(item["label"], MetaTensor) == maps


def test_patches_cut_label_maps_alone(kind: str, source: Any, labels: Any) -> None:
    item = VolumeDataset(source, patch_size=PATCH, seed=3)[Sample(2, 5)]
    assert item["image"].shape == (1, *PATCH)
    if kind != "maps":
        np.testing.assert_array_equal(item["label"].numpy(), labels[2])
        return
    origin = np.rint(np.linalg.solve(affine_of(SPACING, "zyx"), item["image"].affine.numpy()[:, 3]))
    z, y, x = (
        slice(int(start), int(start) + side) for start, side in zip(origin[:3], PATCH, strict=True)
    )
    np.testing.assert_array_equal(item["label"].numpy(), labels[2][:, z, y, x])
    assert torch.equal(item["label"].affine, item["image"].affine)


def test_axes_are_those_of_label_maps(kind: str, source: Any, labels: Any) -> None:
    item = VolumeDataset(source, axes="xyz")[1]
    assert item["image"].shape == (1, *SHAPE[::-1])
    expected = labels[1].transpose(0, 3, 2, 1) if kind == "maps" else labels[1]
    np.testing.assert_array_equal(item["label"].numpy(), expected)


@pytest.mark.parametrize("collate", [default_collate, list_data_collate])
def test_items_collate(path: Path, recipe: Recipe, labels: Any, collate: Any) -> None:
    dataset = VolumeDataset(path)
    batch = collate([dataset[1], dataset[3]])
    assert batch["label"].shape == (2, *recipe.label_shape)
    np.testing.assert_array_equal(batch["label"].numpy(), labels[[1, 3]])


def test_workers_send_labels(path: Path, labels: Any) -> None:
    loader = DataLoader(VolumeDataset(path), batch_size=2, num_workers=1)
    found = torch.cat([batch["label"].as_subclass(torch.Tensor) for batch in loader])
    np.testing.assert_array_equal(found.numpy(), labels)


def test_labels_may_be_written_to(source: Any, labels: Any) -> None:
    dataset = pickle.loads(pickle.dumps(VolumeDataset(source)))
    dataset[2]["label"].add_(1)
    np.testing.assert_array_equal(dataset[2]["label"].numpy(), labels[2])


def test_labels_of_many_classes(kind: str, recipe: Recipe) -> None:
    group = synthgen.open(recipe.replace(label_dtype="uint16"), seed=SEED, count=2, device="cpu")
    label = VolumeDataset(group)[0]["label"]
    assert label.dtype == (torch.int32 if kind == "maps" else torch.int64)
    assert torch.equal(
        label.long(), torch.from_numpy(group["label"][0].astype(np.int64)).reshape(label.shape)
    )


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("axes", ["zyx", "xyz"])
def test_the_feed_has_the_labels_of_the_store(
    kind: str, recipe: Recipe, labels: Any, axes: Any, device: str
) -> None:
    feed = synthgen.feed(recipe, batch_size=2, seed=SEED, device=device, axes=axes)
    for number, batch in enumerate(islice(feed, 2)):
        expected = labels[2 * number : 2 * number + 2]
        if kind == "maps" and axes == "xyz":
            expected = expected.transpose(0, 1, 4, 3, 2)
        assert batch["label"].dtype == (torch.uint8 if kind == "maps" else torch.int64)
        assert batch["label"].device.type == device
        np.testing.assert_array_equal(batch["label"].cpu(), expected)


def test_classes_are_trained_on_as_they_are(kind: str, recipe: Recipe) -> None:
    """Cross entropy takes the labels of whole volumes as they come."""
    if kind == "maps":
        return
    (batch,) = islice(synthgen.feed(recipe, batch_size=3, device="cpu"), 1)
    scores = torch.zeros(3, recipe.num_classes)
    loss = torch.nn.functional.cross_entropy(scores, batch["label"][:, 0])
    assert loss == pytest.approx(np.log(recipe.num_classes))

"""Stores of planes, and of images of several channels."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

import synthgen
from synthgen.kernels.prompt_records import PromptRow
from synthgen.preview import draw, from_store
from synthgen.recipe import Recipe
from synthgen.store import CODECS, build, info, merge, repair, verify
from synthgen.store.generated import GeneratedStore
from synthgen.store.reference import write_reference
from tests.planes import PLANE, SPACING, planar_recipe
from tests.store.conftest import (
    COUNT,
    FakeGenerator,
    assert_same_voxels,
    build_small,
    decoded,
)

CHANNELS = 3


@pytest.fixture(scope="module")
def plane() -> Recipe:
    return planar_recipe()


def generator(recipe: Recipe) -> FakeGenerator:
    return FakeGenerator(recipe, 5, channels=CHANNELS)


@pytest.fixture(scope="module")
def store(plane: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("planes") / "store"
    build_small(plane, out, generator=generator(plane))
    return out


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_every_voxel(plane: Recipe, tmp_path: Path, codec: str) -> None:
    build_small(plane, tmp_path / "store", codec=codec, generator=generator(plane))
    expected, found = generator(plane).batch(range(COUNT)), decoded(tmp_path / "store")
    assert found["image"].shape == (COUNT, CHANNELS, *PLANE)
    np.testing.assert_array_equal(found["image"], expected.image)
    np.testing.assert_array_equal(found["label"], expected.label[:, 0])
    assert not verify(tmp_path / "store", deep=True).wanting


def test_a_chunk_is_one_volume_with_all_its_channels(store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    assert group["image"].chunks == (1, CHANNELS, *PLANE)
    assert group["label"].chunks == (1, *PLANE)
    assert info(store)["shape"] == list(PLANE)
    assert info(store)["channels"] == CHANNELS
    assert info(store)["spacing"] == list(SPACING)


def test_damage_is_seen_and_made_again(plane: Recipe, store: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(store, tmp_path / "copied"))
    (copied / "image" / "c.1.0.0.0.0").unlink()
    assert repair(copied, generator=generator(plane)).volumes == 3
    assert_same_voxels(copied, store)


def test_parts_join(plane: Recipe, store: Path, tmp_path: Path) -> None:
    for i in (1, 2):
        build_small(plane, tmp_path / str(i), part=(i, 2), generator=generator(plane))
    assert not merge([tmp_path / "1", tmp_path / "2"]).absent
    assert_same_voxels(tmp_path / "1", store)


def test_a_store_without_files_is_as_the_built_one(plane: Recipe, store: Path) -> None:
    virtual: Any = GeneratedStore(generator(plane), COUNT, 1)  # type: ignore[arg-type]
    ours: Any = zarr.open_group(virtual, mode="r")
    for name, array in decoded(store).items():
        np.testing.assert_array_equal(ours[name][...], array)


def test_a_montage_has_a_row_a_channel_and_one_plane(store: Path) -> None:
    content = from_store(store, [1, 4])
    assert [(volume.index, volume.channel) for volume in content.volumes] == [
        (index, channel) for index in (1, 4) for channel in range(CHANNELS)
    ]
    images = decoded(store)["image"]
    for volume in content.volumes:
        assert volume.channel is not None
        np.testing.assert_array_equal(volume.image, images[volume.index, volume.channel])
    page = draw(content)
    assert page.size[0] < 1000, "one plane, and that under its labels"


@pytest.mark.parametrize("axes", ["zyx", "xyz"])
@pytest.mark.parametrize("patch_size", [None, (1, 16, 40)])
def test_items_are_planes_of_all_channels(store: Path, axes: Any, patch_size: Any) -> None:
    pytest.importorskip("torch")
    from synthgen.dataset import VolumeDataset

    dataset = VolumeDataset(store, axes=axes, patch_size=patch_size, normalize="zscore")
    item = dataset[(2, 5)]
    sides = patch_size or PLANE
    assert item["image"].shape == (CHANNELS, *(sides if axes == "zyx" else sides[::-1]))
    assert item["label"].shape == (1, *item["image"].shape[1:])
    if patch_size is None:
        voxels = decoded(store)["image"][2].astype(float)
        means = voxels.mean((1, 2, 3), keepdims=True)
        expected = (voxels - means) / voxels.std((1, 2, 3), keepdims=True)
        found = item["image"].numpy().transpose(0, 3, 2, 1) if axes == "xyz" else item["image"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"^patch_size: .* at most \(1, 48, 40\) voxels"):
        VolumeDataset(store, patch_size=(2, 16, 16))


def test_a_built_store_of_the_engine_is_what_a_described_one_gives(
    plane: Recipe, tmp_path: Path
) -> None:
    """With prompts, of which the boxes hold voxels of their labels."""
    two = plane.replace(appearance__channels=2)
    build(two, tmp_path / "store", count=3, seed=9, shard_size=2, device="cpu")
    assert not verify(tmp_path / "store", deep=True).wanting
    write_reference(tmp_path / "set.yaml", two, seed=9, count=3)
    ours: Any = synthgen.open(tmp_path / "set.yaml", device="cpu")
    theirs: Any = synthgen.open(tmp_path / "store")
    for name in ("image", "label", "prompts"):
        np.testing.assert_array_equal(ours[name][...], theirs[name][...])
    assert theirs["image"].shape == (3, 2, *PLANE)
    assert theirs["prompts"].shape == (3, two.num_classes - 1, PromptRow.SIZE)
    for label, prompts in zip(theirs["label"][...], theirs["prompts"][...], strict=True):
        for value, row in enumerate(prompts, 1):
            assert row[PromptRow.VOXELS] == (label == value).sum()
            z, y, x = row[PromptRow.BOX : PromptRow.BOX + 3]
            end = row[PromptRow.BOX + 3 : PromptRow.BOX + 6] + 1
            if z >= 0:
                assert (label[z : end[0], y : end[1], x : end[2]] == value).any()

"""What a store looks like to a reader that has zarr alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from synthgen.recipe import Recipe
from synthgen.store import CODECS, info, verify
from tests.store.conftest import COUNT, FakeGenerator, assert_same_voxels, build_small, decoded


def made(generator: FakeGenerator) -> dict[str, np.ndarray]:
    batch = generator.fill(generator.empty(range(COUNT)))
    return {"image": batch.image, "label": batch.label}


def test_zarr_alone_reads_the_voxels(recipe: Recipe, reference: Path) -> None:
    expected, found = made(FakeGenerator(recipe, 5)), decoded(reference)
    np.testing.assert_array_equal(found["image"], expected["image"])
    np.testing.assert_array_equal(found["label"], expected["label"][:, 0])


def test_group_lists_both_arrays_without_a_warning(reference: Path) -> None:
    group = zarr.open_group(reference, mode="r")
    assert sorted(name for name, _ in group.members(max_depth=None)) == ["image", "label"]


def test_attributes_say_what_it_is(recipe: Recipe, reference: Path) -> None:
    group = zarr.open_group(reference, mode="r")
    attributes = dict(group.attrs)
    assert Recipe.from_dict(attributes["recipe"]) == recipe
    assert attributes["recipe_digest"] == recipe.digest()
    assert (attributes["seed"], attributes["count"], attributes["shape"]) == (5, COUNT, [16] * 3)
    assert attributes["class_names"] == recipe.class_names
    assert set(attributes["versions"]) >= {"synthgen", "zarr", "numpy", "numba"}
    assert group["image"].metadata.dimension_names == ("volume", "channel", "z", "y", "x")
    assert group["label"].metadata.dimension_names == ("volume", "z", "y", "x")


def test_affine_maps_x_y_z_to_mm(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe.replace(spacing=(3.0, 2.0, 0.5)), tmp_path / "store")
    affine = np.array(zarr.open_group(tmp_path / "store", mode="r").attrs["affine"])
    np.testing.assert_array_equal(affine @ [1, 1, 1, 1], [0.5, 2.0, 3.0, 1.0])


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_every_voxel(
    recipe: Recipe, tmp_path: Path, codec: str, dtype: str
) -> None:
    generator = FakeGenerator(recipe, 5, dtype=dtype)
    build_small(recipe, tmp_path / "store", codec=codec, generator=generator)
    found = decoded(tmp_path / "store")
    assert found["image"].dtype == dtype
    np.testing.assert_array_equal(found["image"], made(generator)["image"])
    assert not verify(tmp_path / "store", deep=True).wanting


def test_several_tasks_get_an_axis(recipe: Recipe, tmp_path: Path) -> None:
    generator = FakeGenerator(recipe, 5, tasks=2)
    build_small(recipe, tmp_path / "store", generator=generator)
    label = zarr.open_group(tmp_path / "store", mode="r")["label"]
    assert label.metadata.dimension_names == ("volume", "task", "z", "y", "x")
    np.testing.assert_array_equal(label[...], made(generator)["label"])


def test_volumes_need_not_be_cubes(recipe: Recipe, tmp_path: Path) -> None:
    odd = recipe.at_shape((17, 33, 19))
    build_small(odd, tmp_path / "store")
    np.testing.assert_array_equal(
        decoded(tmp_path / "store")["image"], made(FakeGenerator(odd, 5))["image"]
    )


def test_an_empty_volume_is_stored(recipe: Recipe, tmp_path: Path) -> None:
    class Empty(FakeGenerator):
        def fill(self, batch):  # type: ignore[no-untyped-def]
            batch.image[:], batch.label[:] = 0, 0
            return batch

    build_small(recipe, tmp_path / "store", generator=Empty(recipe))
    check = verify(tmp_path / "store", deep=True)
    assert len(check.intact) == 3
    (tmp_path / "store" / "image" / "c.1.0.0.0.0").unlink()
    assert [damage.shard for damage in verify(tmp_path / "store").damages] == [1]


def test_shard_size_and_batches_change_no_voxel(
    recipe: Recipe, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.store.writer.BATCH_VOXELS", 2 * 16**3)
    for size in (1, 5, 64):
        build_small(recipe, tmp_path / str(size), shard_size=size)
        assert_same_voxels(tmp_path / str(size), reference)


def test_zarr_may_rewrite_a_shard(recipe: Recipe, tmp_path: Path) -> None:
    """Zarr's own encoding of the same voxels has the metadata's codecs too."""
    build_small(recipe, tmp_path / "store")
    before = decoded(tmp_path / "store")
    image = zarr.open_group(tmp_path / "store", mode="r+")["image"]
    image[0:3] = before["image"][0:3][::-1]
    np.testing.assert_array_equal(image[0:3], before["image"][0:3][::-1])
    assert [damage.shard for damage in verify(tmp_path / "store").damages] == [0]


def test_info_counts_what_is_committed(reference: Path) -> None:
    found = info(reference)
    assert (found["committed"], found["absent"], found["complete"]) == (COUNT, 0, True)
    shards = [path for path in reference.rglob("c.*") if path.is_file()]
    assert found["bytes"] == sum(path.stat().st_size for path in shards)
    json.dumps(found)

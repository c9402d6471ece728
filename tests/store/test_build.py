"""Building, resuming, parts, merging; and what is refused before any work."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from synthgen.recipe import Recipe, RecipeError, load_recipe
from synthgen.store import Store, StoreError, Watcher, build, info, merge, verify
from synthgen.store.lock import writing
from tests.store.conftest import COUNT, FakeGenerator, assert_same_voxels, build_small


class StopAfter(Watcher):
    """Asks to stop once ``shards`` were begun."""

    def __init__(self, shards: int) -> None:
        self.left = shards

    def stopped(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("shards", range(4))
def test_a_stopped_build_resumes(
    recipe: Recipe, reference: Path, tmp_path: Path, shards: int
) -> None:
    out = tmp_path / "store"
    stopped = build_small(recipe, out, watcher=StopAfter(shards))
    assert stopped.volumes == min(3 * shards, COUNT)
    assert stopped.absent == info(out)["absent"] == COUNT - stopped.volumes
    generator = FakeGenerator(recipe, 5)
    resumed = build_small(recipe, out, generator=generator)
    assert resumed.absent == 0
    assert generator.made == list(range(stopped.volumes, COUNT))
    assert_same_voxels(out, reference)


def test_a_complete_store_is_left_alone(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c.*")}
    assert build_small(recipe, tmp_path).volumes == 0
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c.*")}


def test_resume_makes_damaged_shards_again(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    (tmp_path / "label" / "c.1.0.0.0").write_bytes(b"")
    assert build_small(recipe, tmp_path).volumes == 3
    assert_same_voxels(tmp_path, reference)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seed": 6}, "seed is 5 there, 6 asked"),
        ({"count": 8}, "count is 7 there, 8 asked"),
        ({"shard_size": 2}, "shard_size is 3 there, 2 asked"),
        ({"codec": "gzip"}, "codec is fast there, gzip asked"),
        ({"validation": 0.3}, "validation is 1 there, 2 asked"),
    ],
)
def test_another_store_is_refused_by_name(
    recipe: Recipe, reference: Path, changes: dict[str, Any], difference: str
) -> None:
    with pytest.raises(StoreError, match=re.escape(difference)):
        build_small(recipe, reference, **changes)


@pytest.mark.parametrize(
    ("count", "share", "split"),
    [(7, 0.1, 6), (7, 0, 7), (7, 0.5, 3), (7, 0.99, 1), (1, 0.1, 1), (1, 0.9, 1), (2, 0.01, 1)],
)
def test_the_last_volumes_are_for_validation(
    recipe: Recipe, tmp_path: Path, count: int, share: float, split: int
) -> None:
    import zarr

    build_small(recipe, tmp_path, count=count, validation=share)
    splits = {"training": [0, split], "validation": [split, count]}
    assert zarr.open_group(tmp_path, mode="r").attrs["splits"] == splits
    assert info(tmp_path)["splits"] == splits
    assert build_small(recipe, tmp_path, count=count, validation=share).volumes == 0


def test_parts_of_another_split_are_not_joined(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1", part=(1, 2))
    build_small(recipe, tmp_path / "2", part=(2, 2), validation=0.5)
    with pytest.raises(StoreError, match="validation is 4 there, 1 asked"):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all")


def test_another_recipe_or_shape_is_refused_by_field(recipe: Recipe, reference: Path) -> None:
    with pytest.raises(StoreError, match=r"recipe.placement.ratio is 0.7 there, 0.5 asked"):
        build_small(recipe.replace(placement__ratio=0.5), reference)


def test_another_kind_is_told_by_its_name_alone(recipe: Recipe, reference: Path) -> None:
    other = load_recipe("synthfm-3d").at_shape(recipe.reference_shape)
    with pytest.raises(StoreError) as error:
        build_small(other, reference)
    message = str(error.value)
    assert "recipe.shapes.kind is polygon_stack there, masks asked" in message
    assert "radius" not in message
    assert "appearance.kind is contour there, chain asked" in message


def test_another_shape_is_the_only_difference_named(recipe: Recipe, reference: Path) -> None:
    """Not the lengths that follow from it."""
    with pytest.raises(StoreError) as error:
        build_small(recipe.at_shape((32, 32, 48)), reference)
    assert str(error.value) == (
        f"{reference}: another store is there: "
        "recipe.reference_shape is (16, 16, 16) there, (32, 32, 48) asked"
    )


def test_a_recipe_may_be_renamed(recipe: Recipe, reference: Path) -> None:
    assert build_small(recipe.replace(name="mine"), reference).volumes == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 0}, "count: must be at least 1"),
        ({"count": -3}, "count: must be at least 1"),
        ({"shard_size": 0}, "shard size: must be at least 1"),
        ({"seed": -1}, "seed: must lie in"),
        ({"seed": 2**64}, "seed: must lie in"),
        ({"codec": "rar"}, "codec: must be one of fast"),
        ({"validation": 1}, "validation: must lie in 0 <= share < 1, got 1"),
        ({"validation": -0.1}, "validation: must lie in 0 <= share < 1, got -0.1"),
        ({"part": (0, 4)}, "part: needs 1 <= i <= n, got 0/4"),
        ({"part": (5, 4)}, "part: needs 1 <= i <= n, got 5/4"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(
    recipe: Recipe, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StoreError, match=re.escape(message)):
        build_small(recipe, tmp_path / "store", generator=None, **changes)
    assert not (tmp_path / "store").exists()


def test_unknown_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="unknown name"):
        build("no-such-recipe", tmp_path / "store", count=1)


def test_something_else_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    import zarr

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (tmp_path / "file").write_text("text")
    zarr.create_group(tmp_path / "group")
    (tmp_path / "folders" / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "image" / "image" / "deep").mkdir(parents=True)
    for name in ("photos", "file", "group", "folders", "image"):
        with pytest.raises(StoreError, match="not made by synthgen"):
            build_small(recipe, tmp_path / name)
    with pytest.raises(StoreError, match="no such folder"):
        verify(tmp_path / "nothing")


def test_an_empty_folder_is_taken(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    assert info(tmp_path)["complete"]


@pytest.mark.parametrize("begun", ["image", "image/.synthgen", "label"])
def test_a_build_killed_between_its_folders_resumes(
    recipe: Recipe, tmp_path: Path, begun: str
) -> None:
    (tmp_path / begun).mkdir(parents=True)
    build_small(recipe, tmp_path)
    assert info(tmp_path)["complete"]


def test_a_store_without_records_is_not_taken_over(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    shutil.rmtree(tmp_path / "image/.synthgen")
    for refuse in (verify, lambda out: build_small(recipe, out)):
        with pytest.raises(StoreError, match=r"its records, image/\.synthgen, are missing"):
            refuse(tmp_path)


def test_parts_in_one_folder(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    for i in (3, 1, 2):
        build_small(recipe, tmp_path, part=(i, 3))
    assert info(tmp_path)["complete"]
    assert_same_voxels(tmp_path, reference)


def test_more_parts_than_shards(recipe: Recipe, tmp_path: Path) -> None:
    volumes = [build_small(recipe, tmp_path, part=(i, 9)).volumes for i in range(1, 10)]
    assert sum(volumes) == COUNT


def test_parts_at_once_do_not_hinder_each_other(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path, part=(1, 2))
    with writing(Store.open(tmp_path).records, "part-1-of-2"):
        build_small(recipe, tmp_path, part=(2, 2))
    assert info(tmp_path)["complete"]


@pytest.mark.parametrize("part", [(1, 1), (1, 2), (2, 3)])
def test_two_builders_of_one_shard_are_refused(
    recipe: Recipe, tmp_path: Path, part: tuple[int, int]
) -> None:
    build_small(recipe, tmp_path)
    with (
        writing(Store.open(tmp_path).records, "part-1-of-2"),
        pytest.raises(StoreError, match=r"part-1-of-2 is being written by process \d+ on"),
    ):
        build_small(recipe, tmp_path, part=part)


def test_merge_joins_parts(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    for i in (1, 2):
        build_small(recipe, tmp_path / str(i), part=(i, 2))
    assert merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all").absent == []
    assert not verify(tmp_path / "all", deep=True).wanting
    assert_same_voxels(tmp_path / "all", reference)
    assert merge([tmp_path / "1", tmp_path / "2"]).absent == []
    assert_same_voxels(tmp_path / "1", reference)


def test_merge_takes_the_intact_copy(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    for name in ("1", "2"):
        build_small(recipe, tmp_path / name)
    (tmp_path / "1" / "image" / "c.0.0.0.0.0").write_bytes(b"")
    (tmp_path / "2" / "image" / "c.1.0.0.0.0").write_bytes(b"")
    merged = merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    assert (merged.volumes, merged.absent) == (COUNT, [])
    assert [damage.shard for damage in merged.damages] == [0, 1]
    assert_same_voxels(tmp_path / "all", reference)
    assert [damage.shard for damage in merge([tmp_path / "1", tmp_path / "2"]).damages] == [0, 1]
    assert_same_voxels(tmp_path / "1", reference)


def test_merge_says_what_is_lacking(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1", part=(1, 3))
    merged = merge([tmp_path / "1"], tmp_path / "all")
    assert (merged.absent, merged.absent_volumes) == ([1, 2], COUNT - 3)


def test_merge_sees_a_fault_of_its_own_copy(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_small(recipe, tmp_path / "1")
    monkeypatch.setattr("synthgen.store.writer.write_file", lambda path, *_: path.write_bytes(b""))
    merged = merge([tmp_path / "1"], tmp_path / "all")
    assert merged.absent == [0, 1, 2]
    assert len(merged.damages) == 6


def test_merge_refuses_parts_of_different_stores(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1")
    build_small(recipe, tmp_path / "2", seed=6)
    with pytest.raises(StoreError, match="seed is 6 there, 5 asked"):
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_merge_refuses_two_versions_of_a_shard(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1")
    build_small(recipe, tmp_path / "2", generator=FakeGenerator(recipe, 99))
    with pytest.raises(StoreError, match="differs from what synthgen"):
        merge([tmp_path / "1", tmp_path / "2"])

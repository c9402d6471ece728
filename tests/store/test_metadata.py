"""Damage of zarr's metadata is seen, worked around, and undone byte by byte."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthgen.recipe import Recipe
from synthgen.store import StoreError, clean, info, merge, repair, verify
from synthgen.store.documents import COPIES, DIGESTS, DOCUMENTS
from tests.store.conftest import (
    COUNT,
    FakeGenerator,
    assert_same_voxels,
    build_small,
    created_otherwise,
    record,
)

FILES = (*DOCUMENTS, COPIES, DIGESTS)


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in FILES}


def change_type(path: Path) -> None:
    values = json.loads((path / "image/zarr.json").read_text())
    (path / "image/zarr.json").write_text(json.dumps(values | {"data_type": "int8"}))


def change_seed(path: Path) -> None:
    text = (path / "zarr.json").read_text()
    assert text.count('"seed": 5') == 1
    (path / "zarr.json").write_text(text.replace('"seed": 5', '"seed": 6'))


def flip(name: str, at: float) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        data = bytearray((path / name).read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        (path / name).write_bytes(data)

    return harm


def remove(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


HARMS = {
    "type": change_type,
    "seed": change_seed,
    **{f"no {name}": remove(name) for name in FILES},
    **{f"flip {name} {at}": flip(name, at) for name in FILES for at in (0.0, 0.3, 0.7, 1.0)},
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_any_damaged_file_is_named_and_restored(
    recipe: Recipe, reference: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    build_small(recipe, tmp_path)
    before = contents(tmp_path)
    harm(tmp_path)
    (damage,) = verify(tmp_path, deep=True).damages
    assert damage.shard is None
    assert str(damage).startswith("metadata: ")
    assert info(tmp_path)["seed"] == 5
    assert clean(tmp_path) == []
    generator = FakeGenerator(recipe, 5)
    assert repair(tmp_path, generator=generator).restored == [damage.path]
    assert generator.made == []
    assert contents(tmp_path) == before
    assert not verify(tmp_path, deep=True).damages
    assert_same_voxels(tmp_path, reference)


@pytest.mark.parametrize("harm", [change_type, change_seed, remove("zarr.json")])
def test_resume_restores_rather_than_trusts(
    recipe: Recipe, reference: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    build_small(recipe, tmp_path, part=(1, 3))
    harm(tmp_path)
    with pytest.raises(StoreError, match="seed is 5 there, 6 asked"):
        build_small(recipe, tmp_path, seed=6)
    assert len(build_small(recipe, tmp_path).restored) == 1
    assert not verify(tmp_path, deep=True).damages
    assert_same_voxels(tmp_path, reference)


def test_merge_names_damaged_metadata_and_joins_as_created(
    recipe: Recipe, reference: Path, tmp_path: Path
) -> None:
    build_small(recipe, tmp_path / "1")
    change_type(tmp_path / "1")
    merged = merge([tmp_path / "1"], tmp_path / "all")
    assert [damage.path for damage in merged.damages] == [tmp_path / "1" / "image/zarr.json"]
    assert contents(tmp_path / "all") == contents(reference)
    assert_same_voxels(tmp_path / "all", reference)


def test_a_lost_array_is_made_again(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    shutil.rmtree(tmp_path / "label")
    assert repair(tmp_path, generator=FakeGenerator(recipe, 5)).volumes == COUNT
    assert not verify(tmp_path, deep=True).wanting
    assert_same_voxels(tmp_path, reference)


def test_two_damaged_of_three_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    change_seed(tmp_path)
    (tmp_path / COPIES).unlink()
    for refuse in (info, verify, repair, clean):
        with pytest.raises(StoreError, match="neither the file nor its copy in"):
            refuse(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "rule"),
    [
        ({"count": "x"}, "count: should be a valid integer, got 'x'"),
        ({"count": 0}, "count: should be greater than 0, got 0"),
        ({"seed": -1}, "seed: should be greater than or equal to 0, got -1"),
        ({"codec": "lost"}, "codec: must be one of fast, small, zstd, gzip, none, got 'lost'"),
        ({"splits": {"training": [0, 7]}}, "splits.validation: Field required"),
        ({"splits": {"training": [0, 7], "validation": [6, 7]}}, "splits: must be two ranges that"),
        ({"splits": {"training": [0, 0], "validation": [0, 7]}}, "splits: must be two ranges that"),
        ({"splits": {"training": [0], "validation": [1]}}, "splits.validation: List should have"),
        ({"recipe": []}, "recipe: should be a valid dictionary"),
        ({"recipe": {"name": "x", "reference_shape": [1, 2]}}, "recipe.reference_shape: "),
        ({"versions": {}}, "versions.synthgen: Field required"),
        ({"format_version": 2}, "a store of format 2"),
        ({"format": "other"}, "not made by synthgen"),
    ],
)
def test_odd_attributes_are_one_line(
    recipe: Recipe, tmp_path: Path, attributes: dict[str, Any], rule: str
) -> None:
    """Of a store that was created with them, by whatever."""
    build_small(recipe, tmp_path)
    created_otherwise(tmp_path, **attributes)
    for refuse in (info, verify, repair, clean, lambda path: build_small(recipe, path)):
        with pytest.raises(StoreError) as error:
            refuse(tmp_path)
        assert rule in str(error.value)
        assert "\n" not in str(error.value)


def test_a_store_without_splits_is_one_line(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    documents = {name: (tmp_path / name).read_bytes() for name in DOCUMENTS}
    group = json.loads(documents["zarr.json"])
    del group["attributes"]["splits"]
    record(documents, tmp_path, zarr=json.dumps(group))
    with pytest.raises(StoreError, match=r"zarr\.json: splits: Field required"):
        info(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "", "{", '{"attributes": []}', "null"])
def test_a_group_file_of_another_form_is_one_line(
    recipe: Recipe, tmp_path: Path, text: str
) -> None:
    build_small(recipe, tmp_path)
    documents = {name: (tmp_path / name).read_bytes() for name in DOCUMENTS}
    record(documents, tmp_path, zarr=text)
    with pytest.raises(StoreError, match=r"unreadable metadata|not made by synthgen"):
        info(tmp_path)


@pytest.mark.parametrize("text", ["[]", '{"shape": 3}', "{}", '{"shape": [1]}'])
def test_an_array_file_of_another_form_is_one_line(
    recipe: Recipe, tmp_path: Path, text: str
) -> None:
    build_small(recipe, tmp_path)
    documents = {name: (tmp_path / name).read_bytes() for name in DOCUMENTS}
    record(
        documents | {"label/zarr.json": text.encode()},
        tmp_path,
        zarr=documents["zarr.json"].decode(),
    )
    with pytest.raises(StoreError, match=r"label/zarr\.json: (unreadable metadata|shape)"):
        info(tmp_path)

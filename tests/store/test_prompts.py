"""A store with prompts has a third array, which is committed, checked and mended as the others."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from synthgen.kernels.prompt_records import PromptRow
from synthgen.recipe import Recipe
from synthgen.store import CODECS, Store, StoreError, build, clean, info, merge, repair, verify
from synthgen.store.documents import COPIES, DIGESTS
from synthgen.store.generated import GeneratedStore
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.reading import reader
from tests.store.conftest import (
    COUNT,
    SHARD_SIZE,
    FakeGenerator,
    assert_same_voxels,
    build_small,
    created_otherwise,
    decoded,
)

LABELS, SEED = 4, 5
DOCUMENT = "prompts/zarr.json"


def generator(recipe: Recipe) -> FakeGenerator:
    return FakeGenerator(recipe, SEED, channels=2, prompts=LABELS)


def built(recipe: Recipe, out: Path, **changes: Any) -> Path:
    build_small(recipe, out, generator=generator(recipe), **changes)
    return out


@pytest.fixture(scope="module")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted build; not to be changed."""
    return built(recipe, tmp_path_factory.mktemp("prompts") / "store")


@pytest.fixture
def copied(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copied"))


@pytest.mark.parametrize("codec", CODECS)
def test_zarr_alone_reads_the_prompts(recipe: Recipe, tmp_path: Path, codec: str) -> None:
    path = built(recipe, tmp_path / "store", codec=codec)
    expected = generator(recipe).batch(range(COUNT))
    found = decoded(path)
    assert expected.prompts is not None
    assert found["prompts"].dtype == np.int32
    np.testing.assert_array_equal(found["prompts"], expected.prompts)
    np.testing.assert_array_equal(found["image"], expected.image)
    assert found["image"].shape[1] == 2
    assert not verify(path, deep=True).wanting


def test_what_the_array_says_of_itself(store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    assert group["prompts"].metadata.dimension_names == ("volume", "class", "column")
    assert group["prompts"].chunks == (1, LABELS, PromptRow.SIZE)
    attributes = dict(group["prompts"].attrs)
    assert attributes["first_label"] == 1
    assert attributes["columns"]["box"] == PromptRow.BOX
    assert attributes["columns"].keys() == {"voxels", "slice", "box", "positive", "negative"}
    assert group.attrs["format_version"] == 2
    assert info(store)["arrays"] == ["image", "label", "prompts"]
    files = [path for path in store.rglob("c.*") if path.is_file()]
    assert info(store)["bytes"] == sum(path.stat().st_size for path in files)
    json.dumps(info(store))


def test_without_prompts_a_store_is_as_it_ever_was(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "store")
    path = tmp_path / "store"
    assert not (path / "prompts").exists()
    group: Any = zarr.open_group(path, mode="r")
    assert group.attrs["format_version"] == 1
    assert "arrays" not in info(path)
    documents = ["image/zarr.json", "label/zarr.json", "zarr.json"]
    assert list(json.loads((path / COPIES).read_text())) == documents
    assert [line.split()[1] for line in (path / DIGESTS).read_text().splitlines()] == documents
    (manifest,) = (path / "image" / ".synthgen").glob("*.jsonl")
    for line in manifest.read_text().splitlines():
        assert list(json.loads(line)) == [
            "shard", "first", "stop", "image", "label", "recipe", "version", "check",
        ]  # fmt: skip


def test_a_line_of_before_is_read() -> None:
    """As the manifest had it before there were prompts, with the check of that time."""
    file = ShardFile(3, "a" * 64, "01234567")
    entry = Entry(0, 0, 1, file, file, "r", "0.1")
    values = json.loads(entry.line())
    assert values["check"] == "7955cb3991af0359"
    assert Entry.from_line(entry.line()) == entry
    named = Entry(0, 0, 1, file, file, "r", "0.1", file)
    assert Entry.from_line(named.line()) == named
    assert Entry.from_line(named.line().replace(b'"prompts"', b'"promqts"')) is None


def test_volumes_are_read_without_zarr(store: Path) -> None:
    volumes, prompts = reader(zarr.open_group(store, mode="r")), decoded(store)["prompts"]
    for index in range(COUNT):
        np.testing.assert_array_equal(volumes.volume("prompts", index), prompts[index])


def test_a_group_that_zarr_alone_opens(store: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(store, bare, ignore=shutil.ignore_patterns(".synthgen"))
    found = reader(zarr.open_group(bare, mode="r")).volume("prompts", 3)
    np.testing.assert_array_equal(found, decoded(store)["prompts"][3])


def test_parts_resume_and_join(recipe: Recipe, store: Path, tmp_path: Path) -> None:
    for i in (1, 2, 3):
        built(recipe, tmp_path / str(i), part=(i, 3))
    built(recipe, tmp_path / "1", part=(2, 3))
    merged = merge([tmp_path / "1", tmp_path / "3"], tmp_path / "all")
    assert (merged.absent, merged.damages) == ([], [])
    for path in (tmp_path / "all", built(recipe, tmp_path / "2")):
        assert_same_voxels(path, store)
        assert not verify(path, deep=True).damages


def lose(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [lose, flip])
def test_damaged_prompts_are_seen_and_made_again(
    recipe: Recipe, store: Path, copied: Path, harm: Callable[[Path], None]
) -> None:
    file = copied / "prompts" / "c.1.0.0"
    harm(file)
    volumes = reader(zarr.open_group(copied, mode="r"))
    with pytest.raises(StoreError, match=r"prompts/c\.1\.0\.0 does not decode"):
        [volumes.volume("prompts", SHARD_SIZE + place) for place in range(SHARD_SIZE)]
    assert [damage.path for damage in verify(copied).damages] == [file]
    assert repair(copied, generator=generator(recipe)).volumes == SHARD_SIZE
    assert not verify(copied, deep=True).damages
    assert_same_voxels(copied, store)


@pytest.mark.parametrize("harm", [lose, flip])
@pytest.mark.parametrize("name", [DOCUMENT, COPIES, DIGESTS, "zarr.json"])
def test_damaged_metadata_are_restored(
    store: Path, copied: Path, name: str, harm: Callable[[Path], None]
) -> None:
    before = (copied / name).read_bytes()
    harm(copied / name)
    assert Store.open(copied).arrays == ("image", "label", "prompts")
    assert [damage.path for damage in verify(copied).damages] == [copied / name]
    assert repair(copied).restored == [copied / name]
    assert (copied / name).read_bytes() == before
    assert not verify(copied, deep=True).damages


def test_prompts_that_come_out_otherwise_replace_nothing(recipe: Recipe, copied: Path) -> None:
    class Other(FakeGenerator):
        def fill(self, batch: Any) -> Any:
            super().fill(batch)
            batch.prompts[:, 0, 0] += 1
            return batch

    (copied / "image" / "c.0.0.0.0.0").unlink()
    other = Other(recipe, SEED, channels=2, prompts=LABELS)
    with pytest.raises(StoreError, match="shard 0: prompts made by synthgen"):
        repair(copied, generator=other)


def test_temporary_files_are_cleaned(copied: Path) -> None:
    left = copied / "prompts" / ".c.0.0.0.part-1-of-1.tmp"
    left.write_bytes(b"")
    assert clean(copied) == [left]


def test_a_creation_that_was_stopped_is_gone_on_with(
    recipe: Recipe, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthgen.store import layout

    write = layout.write_file
    for last in range(7):
        left = last

        def stopping(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "no space")
            write(*arguments)

        path = tmp_path / str(last)
        monkeypatch.setattr(layout, "write_file", stopping)
        if last < 6:
            with pytest.raises(StoreError, match="no space"):
                built(recipe, path)
        monkeypatch.setattr(layout, "write_file", write)
        assert_same_voxels(built(recipe, path), store)


@pytest.mark.parametrize("shape", [[COUNT + 1, 4, 56], [COUNT, 4], [COUNT, 16, 16, 16]])
def test_prompts_of_another_form_are_one_line(copied: Path, shape: list[int]) -> None:
    from synthgen.store.documents import recorded

    names = ("image/zarr.json", "label/zarr.json", DOCUMENT, "zarr.json")
    documents = {name: (copied / name).read_bytes() for name in names}
    values = json.loads(documents[DOCUMENT]) | {"shape": shape}
    for name, content in recorded(documents | {DOCUMENT: json.dumps(values).encode()}).items():
        (copied / name).write_bytes(content)
    with pytest.raises(StoreError, match=r"prompts/zarr\.json: shape: must be of 7 volumes of"):
        info(copied)


def test_a_format_without_prompts_is_not_taken_for_one_with(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "store")
    created_otherwise(tmp_path / "store", format_version=2)
    with pytest.raises(StoreError, match=r"a store of format 2; this version .* reads format 1"):
        info(tmp_path / "store")


def test_a_store_without_files_has_them_too(recipe: Recipe, store: Path, tmp_path: Path) -> None:
    path = built(recipe, tmp_path / "store", shard_size=1, codec="none", validation=0)
    virtual: Any = GeneratedStore(generator(recipe), COUNT, 0)  # type: ignore[arg-type]
    ours: Any = zarr.open_group(virtual, mode="r")
    theirs: Any = zarr.open_group(path, mode="r")
    assert dict(ours.attrs) == dict(theirs.attrs)
    assert sorted(name for name, _ in ours.members()) == ["image", "label", "prompts"]
    for name in ("image", "prompts"):
        assert (ours[name].shape, ours[name].chunks) == (theirs[name].shape, theirs[name].chunks)
        np.testing.assert_array_equal(ours[name][...], theirs[name][...])
        np.testing.assert_array_equal(reader(ours).volume(name, 2), theirs[name][2])
    assert not reader(ours).volume("prompts", 2).flags.writeable
    again = pickle.loads(pickle.dumps(virtual))
    np.testing.assert_array_equal(again.volume("prompts", 1), theirs["prompts"][1])


def test_a_store_of_several_channels_and_prompts_in_odd_shards(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    for size in (1, 5, 64):
        out = tmp_path / str(size)
        build(recipe, out, count=COUNT, seed=SEED, shard_size=size, generator=generator(recipe))
        assert_same_voxels(out, store)

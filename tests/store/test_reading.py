"""Volumes read without zarr are those that zarr reads."""

import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from synthgen.engine import Batch
from synthgen.recipe import Recipe
from synthgen.store import CODECS, StoreError
from synthgen.store.generated import GeneratedStore
from synthgen.store.reading import reader
from tests.store.conftest import COUNT, FakeGenerator, build_small

NAMES = ("image", "label")
FORMS = pytest.mark.parametrize(("dtype", "tasks"), [("uint8", 1), ("float16", 2), ("float32", 1)])
SHAPE = (17, 33, 19)


class Making(FakeGenerator):
    """With what a generated store needs, and labels beyond a byte."""

    def __init__(self, recipe: Recipe, **settings: Any) -> None:
        super().__init__(recipe, **settings)
        self.recipe = recipe

    def empty(self, indices: Sequence[int]) -> Batch:
        batch = super().empty(indices)
        return replace(batch, label=batch.label.astype(np.uint16))

    def fill(self, batch: Batch) -> Batch:
        super().fill(batch)
        batch.label[:] *= 200
        return batch

    def batch(self, indices: Sequence[int]) -> Batch:
        return self.fill(self.empty(indices))


@pytest.fixture(scope="module")
def odd(recipe: Recipe) -> Recipe:
    return recipe.at_shape(SHAPE)


def generated(recipe: Recipe, **settings: Any) -> zarr.Group:
    store = GeneratedStore(Making(recipe, **settings), COUNT, 1)  # type: ignore[arg-type]
    return zarr.open_group(store, mode="r")


def in_memory(path: Path) -> zarr.Group:
    """A store's files in another kind of store of zarr's."""
    files = (file for file in path.rglob("*") if file.is_file() and ".synthgen" not in file.parts)
    buffer = zarr.buffer.default_buffer_prototype().buffer
    content = {
        file.relative_to(path).as_posix(): buffer.from_bytes(file.read_bytes()) for file in files
    }
    return zarr.open_group(MemoryStore(content), mode="r")


def without_records(path: Path, out: Path) -> zarr.Group:
    shutil.copytree(path, out, ignore=shutil.ignore_patterns(".synthgen"))
    return zarr.open_group(out, mode="r")


def assert_reads_what_zarr_reads(group: Any) -> None:
    read = reader(group).volume
    for name in NAMES:
        for index, expected in enumerate(group[name][...]):
            found = read(name, index)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            assert found.flags.c_contiguous
            np.testing.assert_array_equal(found, expected)


@pytest.fixture
def without_zarr(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(array: Any, selection: Any) -> Any:
        raise AssertionError("read by zarr")

    monkeypatch.setattr(zarr.Array, "__getitem__", refusing)


@FORMS
@pytest.mark.parametrize("codec", CODECS)
def test_built(odd: Recipe, tmp_path: Path, codec: str, dtype: str, tasks: int) -> None:
    generator = Making(odd, tasks=tasks, dtype=dtype)
    build_small(odd, tmp_path / "store", codec=codec, generator=generator, seed=0)
    group: Any = zarr.open_group(tmp_path / "store", mode="r")
    assert group["label"].ndim == (5 if tasks > 1 else 4)
    assert group["label"].dtype == np.uint16
    assert_reads_what_zarr_reads(group)


@FORMS
def test_generated(odd: Recipe, dtype: str, tasks: int) -> None:
    assert_reads_what_zarr_reads(generated(odd, tasks=tasks, dtype=dtype))


def test_what_zarr_alone_opens(reference: Path, tmp_path: Path) -> None:
    assert_reads_what_zarr_reads(in_memory(reference))
    assert_reads_what_zarr_reads(without_records(reference, tmp_path / "bare"))
    shutil.copytree(reference, tmp_path / "outer" / "inner")
    zarr.create_group(tmp_path / "outer")
    assert_reads_what_zarr_reads(zarr.open_group(tmp_path / "outer", mode="r", path="inner"))


@pytest.mark.usefixtures("without_zarr")
def test_zarr_has_no_part_in_it(recipe: Recipe, reference: Path) -> None:
    for group in (zarr.open_group(reference, mode="r"), generated(recipe)):
        reader(group).volume("image", 2), reader(group).volume("label", 2)
    with pytest.raises(AssertionError, match="read by zarr"):
        reader(in_memory(reference)).volume("image", 2)


def test_volumes_of_a_generated_store_are_remembered(odd: Recipe) -> None:
    group: Any = generated(odd)
    read = reader(group).volume
    image, label = read("image", 3), read("label", 3)
    assert group.store.generator.made == [3]
    assert np.shares_memory(image, read("image", 3))
    np.testing.assert_array_equal(group["image"][3], image)
    assert group.store.generator.made == [3]
    for volume in (image, label):
        with pytest.raises(ValueError, match="read-only"):
            volume[:] = 0


@pytest.mark.parametrize("kind", ["built", "generated", "in memory"])
def test_pickles(recipe: Recipe, reference: Path, kind: str) -> None:
    groups = {
        "built": lambda: zarr.open_group(reference, mode="r"),
        "generated": lambda: generated(recipe),
        "in memory": lambda: in_memory(reference),
    }
    expected = reader(groups[kind]())
    again = pickle.loads(pickle.dumps(expected))
    for name in NAMES:
        np.testing.assert_array_equal(again.volume(name, 4), expected.volume(name, 4))


@pytest.fixture
def copied(reference: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference, tmp_path / "copied"))


def refused(path: Path, file: Path, problem: str) -> None:
    rule = (
        f"^volume 4: {file} does not decode: .*{problem}.*; mend it with: synthgen repair {path}$"
    )
    with pytest.raises(StoreError, match=rule):
        reader(zarr.open_group(path, mode="r")).volume("label", 4)


def test_a_lost_shard(copied: Path) -> None:
    file = copied / "label" / "c.1.0.0.0"
    file.unlink()
    refused(copied, file, "No such file")


def test_a_torn_shard(copied: Path) -> None:
    file = copied / "label" / "c.1.0.0.0"
    for content in (file.read_bytes()[:-9], b""):
        file.write_bytes(content)
        refused(copied, file, "its index differs from its checksum")


def test_any_changed_byte_is_seen(copied: Path) -> None:
    file = copied / "label" / "c.1.0.0.0"
    whole = file.read_bytes()
    second = len(whole) // 2  # inside of the second of three volumes
    for place in (second, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        refused(copied, file, "differs from its checksum")


def test_a_shard_of_other_volumes(recipe: Recipe, copied: Path, tmp_path: Path) -> None:
    build_small(recipe.at_shape(SHAPE), tmp_path / "other")
    file = copied / "label" / "c.1.0.0.0"
    shutil.copy(tmp_path / "other" / "label" / file.name, file)
    refused(copied, file, "cannot reshape array")


def test_a_shard_with_fewer_volumes(copied: Path) -> None:
    file = copied / "label" / "c.1.0.0.0"
    shutil.copy(file.with_name("c.2.0.0.0"), file)
    refused(copied, file, "the chunk is absent")

"""Damage is named, and repair brings the same voxels back."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from synthgen.recipe import Recipe
from synthgen.store import StoreError, clean, info, repair, verify
from synthgen.store.manifest import Entry
from tests.store.conftest import FakeGenerator, assert_same_voxels, build_small, created_otherwise


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (truncate, "bytes of"),
        (flip_bit, "has other bytes than were committed"),
        (Path.unlink, "is missing"),
    ],
)
@pytest.mark.parametrize("name", ["image/c.1.0.0.0.0", "label/c.1.0.0.0"])
def test_damage_is_named_and_repaired(
    recipe: Recipe,
    reference: Path,
    tmp_path: Path,
    harm: Callable[[Path], None],
    problem: str,
    name: str,
) -> None:
    build_small(recipe, tmp_path)
    harm(tmp_path / name)
    check = verify(tmp_path)
    assert [(damage.shard, damage.path) for damage in check.damages] == [(1, tmp_path / name)]
    assert problem in check.damages[0].problem
    assert sorted(check.intact) == [0, 2]
    generator = FakeGenerator(recipe, 5)
    assert repair(tmp_path, generator=generator).volumes == 3
    assert generator.made == [3, 4, 5]
    assert not verify(tmp_path, deep=True).wanting
    assert_same_voxels(tmp_path, reference)


def rewrite_manifest(out: Path, change: Callable[[Entry], Entry]) -> None:
    """Sign other claims about shard 0."""
    path = out / "image/.synthgen/part-1-of-1.jsonl"
    entries = [Entry.from_line(line) for line in path.read_bytes().splitlines()]
    first, *rest = [entry for entry in entries if entry is not None]
    path.write_bytes(b"".join(entry.line() for entry in [change(first), *rest]))


def test_deep_sees_what_file_checksums_cannot(recipe: Recipe, tmp_path: Path) -> None:
    """A file that is as committed, but whose volumes are not those that were made."""
    build_small(recipe, tmp_path)
    rewrite_manifest(
        tmp_path, lambda entry: replace(entry, label=replace(entry.label, content="0" * 24))
    )
    assert not verify(tmp_path).damages
    (damage,) = verify(tmp_path, deep=True).damages
    assert "decodes to other voxels than were made at volume 0" in str(damage)


def test_repair_refuses_what_it_cannot_reproduce(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    path = tmp_path / "image" / "c.0.0.0.0.0"
    path.unlink()
    with pytest.raises(StoreError, match=r"shard 0: image .* differs from what synthgen"):
        repair(tmp_path, generator=FakeGenerator(recipe, 99))
    assert not path.exists()


def test_repair_refuses_a_recipe_that_reads_otherwise_now(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    created_otherwise(tmp_path, recipe_digest="0" * 64)
    with pytest.raises(StoreError, match="whose recipe this version reads otherwise"):
        repair(tmp_path)


def test_repair_finishes_a_build(recipe: Recipe, reference: Path, tmp_path: Path) -> None:
    build_small(recipe, tmp_path, part=(1, 3))
    assert repair(tmp_path, generator=FakeGenerator(recipe, 5)).volumes == 4
    assert_same_voxels(tmp_path, reference)


@pytest.mark.parametrize("keep", [0, 1, 20, -1])
def test_a_torn_manifest_line_is_no_shard(
    recipe: Recipe, reference: Path, tmp_path: Path, keep: int
) -> None:
    build_small(recipe, tmp_path)
    manifest = tmp_path / "image/.synthgen/part-1-of-1.jsonl"
    *whole, last = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(whole) + last[:-1][:keep])
    assert info(tmp_path)["absent"] == 1
    assert verify(tmp_path).absent == [2]
    assert build_small(recipe, tmp_path).volumes == 1
    assert manifest.read_bytes() == b"".join([*whole, last])
    assert_same_voxels(tmp_path, reference)


def test_a_bit_flip_in_the_manifest_is_no_shard(
    recipe: Recipe, reference: Path, tmp_path: Path
) -> None:
    """Not even where the line stays valid JSON: a checksum with another digit."""
    build_small(recipe, tmp_path)
    manifest = tmp_path / "image/.synthgen/part-1-of-1.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    before, key, content = lines[1].partition(b'"content": "')
    lines[1] = before + key + (b"1" if content[:1] == b"0" else b"0") + content[1:]
    manifest.write_bytes(b"".join(lines))
    assert verify(tmp_path).absent == [1]
    assert build_small(recipe, tmp_path).volumes == 3
    assert_same_voxels(tmp_path, reference)


def test_files_without_a_line_are_not_there(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    (tmp_path / "image/.synthgen/part-1-of-1.jsonl").unlink()
    assert verify(tmp_path).absent == [0, 1, 2]


def test_clean_removes_temporary_files_only(
    recipe: Recipe, reference: Path, tmp_path: Path
) -> None:
    build_small(recipe, tmp_path)
    left = tmp_path / "image" / ".c.1.0.0.0.0.part-1-of-1.tmp"
    left.write_bytes(b"half")
    assert clean(tmp_path) == [left]
    assert not verify(tmp_path).wanting
    assert_same_voxels(tmp_path, reference)

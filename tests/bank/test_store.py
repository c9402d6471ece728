"""Banks on disk: whole or not at all, masks only, and whatever is wrong is one line."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from synthgen.bank import (
    Bank,
    BankError,
    Relations,
    RelationsError,
    build_bank,
    open_bank,
    relate,
    save_bank,
)
from synthgen.bank.bank import ARRAYS
from synthgen.bank.builtin import builtin_bank
from synthgen.bank.store import builtin_path
from synthgen.kernels.anatomy_records import BankShape
from tests.bank.test_build import SPACING, person


@pytest.fixture(scope="module")
def bank() -> Bank:
    return build_bank([person(n) for n in range(2)], spacing=SPACING)


@pytest.fixture(scope="module")
def saved(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "bank.zarr"
    save_bank(bank, path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "bank.zarr"))


def same(one: Bank, other: Bank) -> bool:
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)
    return arrays and one.header() == other.header() and one.digest == other.digest


def refused(path: str | Path) -> str:
    with pytest.raises(BankError) as caught:
        open_bank(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = path / "zarr.json"
    document = json.loads(file.read_text())
    change(document["attributes"])
    file.write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["bank.zarr", "bank.zarr.zip", "bank"])
def test_there_and_back(bank: Bank, tmp_path: Path, name: str) -> None:
    save_bank(bank, tmp_path / name)
    assert same(open_bank(tmp_path / name), bank)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_zip_files_are_the_same_twice(bank: Bank, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        save_bank(bank, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_zarr_alone_reads_it(bank: Bank, saved: Path) -> None:
    group = zarr.open_group(saved, mode="r")
    assert group.attrs["names"] == list(bank.names)
    for name, axes in ARRAYS.items():
        array = group[name]
        assert isinstance(array, zarr.Array)
        assert array.metadata.dimension_names == axes  # type: ignore[union-attr]
        assert array.attrs["description"]
        np.testing.assert_array_equal(array[...], getattr(bank, name))


def test_nothing_else_is_kept(saved: Path) -> None:
    group = json.loads((saved / "zarr.json").read_text())
    known = {"format", "format_version", "space", "spacing", "names", "relations", "digest"}
    assert set(group["attributes"]) == known
    files = {path.relative_to(saved).parts[0] for path in saved.rglob("*")}
    assert files == {"zarr.json", *ARRAYS}
    for path in saved.rglob("zarr.json"):
        text = path.read_text()
        assert str(Path.home()) not in text
        assert "time" not in text.lower().replace("sometimes", "")


def test_what_is_there_is_not_written_over(bank: Bank, tmp_path: Path, copy: Path) -> None:
    with pytest.raises(BankError, match="exists already"):
        save_bank(bank, copy)
    save_bank(bank, copy, overwrite=True)
    assert same(open_bank(copy), bank)
    other = tmp_path / "notes"
    other.mkdir()
    (other / "zarr.json").write_text("[]")
    with pytest.raises(BankError, match="is not a bank"):
        save_bank(bank, other, overwrite=True)
    assert [path.name for path in other.iterdir()] == ["zarr.json"]
    with pytest.raises(BankError, match="there is no folder"):
        save_bank(bank, tmp_path / "missing" / "bank.zarr")


@pytest.mark.parametrize("name", ["new.zarr", "new.zip", "bank.zarr"])
def test_an_error_leaves_nothing(
    bank: Bank, copy: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    folder = copy.parent
    monkeypatch.setattr(zarr.Array, "__setitem__", fail)
    with pytest.raises(OSError, match="disk full"):
        save_bank(bank, folder / name, overwrite=True)
    monkeypatch.undo()
    assert [path.name for path in folder.iterdir()] == ["bank.zarr"]
    assert same(open_bank(copy), bank)


KILLED = """
import sys, time
import zarr
from synthgen.bank import open_bank, save_bank
bank = open_bank(sys.argv[1])
write = zarr.Array.__setitem__
def slow(array, *rest):
    write(array, *rest)
    if array.basename == "distances":
        print("half", flush=True)
        time.sleep(60)
zarr.Array.__setitem__ = slow
save_bank(bank, sys.argv[2])
"""


def test_killed_in_the_middle(bank: Bank, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.zarr"
    command = [sys.executable, "-c", KILLED, str(saved), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    save_bank(bank, out)  # and what it left is gone
    assert os.listdir(tmp_path) == ["new.zarr"]
    assert same(open_bank(out), bank)


def test_no_bank(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"{tmp_path / 'none'}: no such bank"
    assert "not a bank: no zarr.json" in refused(tmp_path)
    (tmp_path / "text").write_text("text")
    assert "not a bank (BadZipFile)" in refused(tmp_path / "text")
    zarr.create_group(tmp_path / "group")
    assert "a zarr group, but no bank" in refused(tmp_path / "group")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 1, "a bank of format 1; this version of synthgen reads format 2; build"),
        ("spacing", "1", "spacing: should be a valid number, got '1'"),
        ("spacing", 3.0, "damaged: its content does not have the digest"),
        ("spacing", -1.0, "spacing: should be greater than 0"),
        ("names", [], "names: List should have at least 1 item"),
        ("names", ["organ left", "organ right", "../spine"], "names: a name has"),
        ("names", ["spine", "organ left", "organ right"], "names: must be sorted and distinct"),
        ("names", ["organ left", "organ right", "spine", "tail"], "mirrors: must be int64 [4]"),
        ("names", ["organ left"], "must be a structure of the bank, got 'spine'"),
        ("relations", {"orders": 7}, "orders: must be a list, got 7"),
        ("relations", {"over": [["spine", "tail"]]}, "over.0.1: must be a structure"),
        ("digest", "0", "damaged: its content does not have the digest"),
    ],
)  # fmt: skip
def test_wrong_attributes(copy: Path, key: str, value: Any, message: str) -> None:
    edit(copy, lambda attributes: attributes.update({key: value}))
    assert message in refused(copy)


def test_damage_is_seen(copy: Path) -> None:
    chunk = copy / "distances" / "c" / "0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    assert "damaged" in refused(copy)
    chunk.unlink()
    assert "damaged: its content does not have the digest" in refused(copy)
    shutil.rmtree(copy / "distances")
    assert "damaged (KeyError" in refused(copy)


def test_a_bank_of_gigabytes_is_refused(copy: Path) -> None:
    group = zarr.open_group(copy, mode="r+")
    shapes = group["shapes"]
    assert isinstance(shapes, zarr.Array)
    rows = shapes[...]
    rows[0, 0, 1:4] = 2**20  # type: ignore[index, call-overload]
    shapes[...] = rows
    assert "shapes: must lie one after the other" in refused(copy)
    rows = np.zeros_like(rows)
    rows[-1, -1, :4] = [0, 2**12, 2**12, 2**12]
    shapes[...] = rows
    assert "shapes: must hold 1 to 1073741824 values" in refused(copy)


def array_metadata(path: Path, name: str, **changes: Any) -> None:
    file = path / name / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_bank_of_many_subjects_is_refused_before_it_is_read(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array_metadata(copy, "shapes", shape=[4097, 3, 8])
    array_metadata(copy, "points", shape=[4097, 3, 64, 3])
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda *_: pytest.fail("read"))
    assert "shapes: must be of 1 to 4096, got 4097" in refused(copy)
    array_metadata(copy, "shapes", shape=[0, 3, 8])
    assert "shapes: must be of 1 to 4096, got 0" in refused(copy)


@pytest.mark.parametrize("side", [1, 2**40])
def test_chunks_are_as_written(copy: Path, side: int) -> None:
    grid = {"name": "regular", "configuration": {"chunk_shape": [side, 3, 6]}}
    array_metadata(copy, "boxes", chunk_grid=grid)
    assert f"boxes: must have chunks of [2, 3, 6] and no shards, got [{side}, 3, 6]" in refused(
        copy
    )


@pytest.mark.parametrize("name", ["zarr.json", "means/zarr.json"])
@pytest.mark.parametrize("zipped", [False, True])
def test_long_metadata_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch, name: str, zipped: bool
) -> None:
    monkeypatch.setattr("synthgen.bank.store._METADATA_MAX", 20_000)
    file = copy / name
    file.write_text(file.read_text() + " " * 20_000)
    path = Path(shutil.make_archive(str(copy), "zip", copy)) if zipped else copy
    assert f"{path}: {name}: must have 20,000 bytes or fewer" in refused(path)


def test_zip_files_that_cannot_be_unpacked(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bank.zip"
    save_bank(open_bank(saved), path)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"zarr.json") - 46  # of the directory; a bit says that it is encrypted
    content[entry + 8] |= 1
    path.write_bytes(content)
    assert "not a bank (RuntimeError)" in refused(path)


@pytest.mark.parametrize(
    ("name", "at", "value", "message"),
    [
        ("mirrors", 0, 99, "mirrors: must lie in 0..2"),
        ("mirrors", 0, -1, "mirrors: must lie in 0..2"),
        ("mirrors", 0, 2, "mirrors: must be pairs"),
        ("means", (0, 0), np.nan, "means: must be finite"),
        ("points", (1, 2, 63, 2), np.inf, "points: must be finite"),
        ("body", 1, 0.0, "body: must be greater than 0, got ["),
        ("volumes", (0, 0), 0.0, "volumes: must be greater than 0 where there is a shape, else 0"),
        ("volumes", (0, 0), -1.0, "volumes: must be greater than 0 where"),
        ("shapes", (0, 0, BankShape.SLOPE), 0, "shapes: must have gradients of 1 to 65536"),
        ("shapes", (0, 0, BankShape.CENTRE), -1, "shapes: must have their centroids in"),
        ("shapes", (0, 0, BankShape.CENTRE), 2**40, "shapes: must have their centroids in"),
        ("firsts", (1, 2, 0), -1, "firsts: must lie in 0..1048575, and each subject's from 0 on"),
        ("firsts", (1, 2, 0), 2**20, "firsts: must lie in 0..1048575, and each"),
        ("firsts", (0, slice(None), 1), 1, "firsts: must lie in 0..1048575, and each subject's"),
        ("distances", 0, -(2**15), "distances: must lie in -512..512"),
    ],
)  # fmt: skip
def test_numbers_that_no_bank_has(
    bank: Bank, tmp_path: Path, name: str, at: Any, value: float, message: str
) -> None:
    values = getattr(bank, name).copy()
    values[at] = value
    save_bank(replace(bank, **{name: values}), tmp_path / "bank.zarr")  # with a digest that holds
    assert f"bank.zarr: {message}" in refused(tmp_path / "bank.zarr")


def test_each_structure_is_of_someone(bank: Bank, tmp_path: Path) -> None:
    last = bank.shapes[:, -1, BankShape.OFFSET : BankShape.WIDTH + 1].tolist()
    shapes, volumes = bank.shapes.copy(), bank.volumes.copy()
    assert last[1][0] + math.prod(last[1][1:]) == len(bank.distances)
    keep = np.ones(len(bank.distances), bool)
    for offset, *sides in last:
        keep[offset : offset + math.prod(sides)] = False
    shapes[1, :, BankShape.OFFSET] -= math.prod(last[0][1:])
    shapes[:, -1], volumes[:, -1] = 0, 0.0
    emptied = replace(bank, shapes=shapes, volumes=volumes, distances=bank.distances[keep])
    save_bank(emptied, tmp_path / "bank.zarr")
    assert "shapes: must have each structure in a subject" in refused(tmp_path / "bank.zarr")


@pytest.mark.parametrize("name", ["bank.zarr", "bank.zip"])
def test_relate(bank: Bank, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_bank(bank, path)
    relations = Relations.from_dict({"orders": [{"of": "spine", "side": "above",
                                                 "than": "organ left"}]})  # fmt: skip
    changed = relate(path, relations)
    assert changed.digest != bank.digest
    assert same(open_bank(path), changed)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert not list(path.glob(".*"))
    with pytest.raises(RelationsError, match="must be a structure of the bank, got 'tail'"):
        relate(path, Relations.from_dict({"over": [["spine", "tail"]]}))
    assert same(open_bank(path), changed)
    with pytest.raises(BankError, match=r"builtin: .* stays as it is"):
        relate("builtin", relations)


def test_builtin() -> None:
    found = open_bank("builtin")
    assert found.subjects == 5
    assert len(found.names) >= 10
    assert builtin_path().stat().st_size < 3_000_000


@pytest.mark.slow
def test_builtin_is_what_its_formulas_give() -> None:
    assert same(builtin_bank(), open_bank("builtin"))


@pytest.mark.slow
def test_five_people_of_thirty_structures_load_in_time(tmp_path: Path) -> None:
    from synthgen.bank import Subject, level

    body = np.array([[0.0, 0.0, 0.0], [400.0, 300.0, 400.0]])
    parts = list(person(0).parts.values())
    people = [Subject({f"organ {n:02}": parts[n % 3] for n in range(30)}, body) for _ in range(5)]
    save_bank(build_bank(people, spacing=0.8), tmp_path / "bank.zarr")
    started = time.perf_counter()
    found = open_bank(tmp_path / "bank.zarr")
    for k in range(3):
        level(found, k)
    assert time.perf_counter() - started < 5

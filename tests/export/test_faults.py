"""Crashes, signals, bad folders and bad stores: a partial export never looks complete."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from synthgen.export import ExportError, decathlon, folder, nifti
from synthgen.recipe import Recipe
from synthgen.store import Stopped, StoreError, Watcher, build
from synthgen.store.manifest import Entry
from tests.export.conftest import COUNT, build_marked
from tests.store.conftest import FakeGenerator, created_otherwise


def content(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def whole(store: Path, tmp_path: Path) -> dict[str, bytes]:
    nifti(store, tmp_path / "whole")
    return content(tmp_path / "whole")


@pytest.mark.parametrize("writes", range(2 * COUNT + 2))
def test_resumed_as_uninterrupted(
    store: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
) -> None:
    """It dies before each of its writes: the record, two files a volume, the document."""
    out, left = tmp_path / "out", iter(range(writes))
    write = folder.write_file

    def dying(path: Path, data: bytes, writer: str) -> None:
        if next(left, None) is None:
            path.with_name(f".{path.name}.{writer}.tmp").write_bytes(data[:40])
            raise KeyboardInterrupt
        write(path, data, writer)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write_file", dying)
        with pytest.raises(KeyboardInterrupt):
            nifti(store, out)
    assert not (out / "dataset.json").exists()
    nifti(store, out)
    assert content(out) == whole


def test_a_complete_export_is_left_alone(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*z*")}
    again = nifti(store, tmp_path)
    assert (again.volumes, again.written, again.bytes) == (COUNT, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*z*")} == before


@pytest.mark.parametrize("damage", ["missing", "empty", "torn", "another", "text"])
def test_a_bad_file_is_written_again(
    store: Path, tmp_path: Path, whole: dict[str, bytes], damage: str
) -> None:
    out = tmp_path / "out"
    nifti(store, out)
    file = out / "labels" / "avs-db_0001.nii.gz"
    bad = {
        "empty": b"",
        "torn": file.read_bytes()[:-9],
        "another": (out / "labels" / "avs-db_0002.nii.gz").read_bytes(),
        "text": b"no gzip at all",
    }
    file.unlink() if damage == "missing" else file.write_bytes(bad[damage])
    assert nifti(store, out).written == 1
    assert content(out) == whole


def test_an_export_that_lost_a_file_is_not_complete(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nifti(store, tmp_path)
    (tmp_path / "images" / "avs-db_0001.nii.gz").unlink()

    def refusing(path: Path, data: bytes, writer: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(folder, "write_file", refusing)
    with pytest.raises(StoreError, match="No space left on device; the files that are there are"):
        nifti(store, tmp_path)
    assert not (tmp_path / "dataset.json").exists()


class Watching(Watcher):
    def __init__(self, stop: bool) -> None:
        self.stop, self.total, self.volumes = stop, 0, 0

    def start(self, doing: str, plan: Any, volumes: int) -> None:
        assert doing == "exporting"
        self.total = volumes

    def advance(self, entry: Entry) -> None:
        self.volumes += entry.stop - entry.first

    def stopped(self) -> bool:
        return self.stop


def test_progress_and_stop(store: Path, tmp_path: Path, whole: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        nifti(store, out, watcher=Watching(stop=True))
    assert not (out / "dataset.json").exists()
    watching = Watching(stop=False)
    nifti(store, out, watcher=watching)
    assert watching.volumes == watching.total == COUNT
    assert content(out) == whole


def test_a_folder_of_something_else(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty, and no export; choose another folder"):
        nifti(store, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ExportError, match=r"mine\.txt: is no folder"):
        nifti(store, tmp_path / "mine.txt")


def test_a_folder_of_another_export(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path)
    before = content(tmp_path)
    with pytest.raises(ExportError, match="level is 1 there, 2 asked"):
        nifti(store, tmp_path, level=2)
    with pytest.raises(ExportError, match="format is nifti there, decathlon asked"):
        decathlon(store, tmp_path)
    assert content(tmp_path) == before


def test_a_damaged_record(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path)
    (tmp_path / ".synthgen" / "export.json").write_text("[1")
    with pytest.raises(ExportError, match=r"export\.json: damaged; export to another folder"):
        nifti(store, tmp_path)


def test_into_the_store(store: Path) -> None:
    for out in (store, store / "nifti"):
        with pytest.raises(ExportError, match="lies in the store"):
            nifti(store, out)


def test_another_process_writes_it(store: Path, tmp_path: Path) -> None:
    from synthgen.store.lock import writing

    (tmp_path / ".synthgen").mkdir()
    with (
        writing(tmp_path / ".synthgen", "export"),
        pytest.raises(StoreError, match="export is being written by process"),
    ):
        nifti(store, tmp_path)


def refused(store: Path, tmp_path: Path, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        nifti(store, tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_no_store(tmp_path: Path) -> None:
    refused(tmp_path / "none", tmp_path, "no such folder")


def test_an_incomplete_store(recipe: Recipe, tmp_path: Path) -> None:
    out = tmp_path / "store"
    build(recipe, out, count=7, shard_size=3, part=(1, 2), generator=FakeGenerator(recipe))
    refused(out, tmp_path, "4 of 7 volumes are still to be made; finish it with: synthgen repair")


@pytest.fixture
def copied(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copied"))


def test_damaged_metadata(copied: Path, tmp_path: Path) -> None:
    (copied / "zarr.json").write_text("{}")
    refused(copied, tmp_path, r"zarr\.json differs .* mend it with: synthgen repair")


def test_a_lost_shard(copied: Path, tmp_path: Path) -> None:
    """Zarr reads it as zeros."""
    (copied / "label" / "c.1.0.0.0").unlink()
    refused(copied, tmp_path, "volume 3: .* is not as it was committed; mend it with")


def test_a_damaged_shard(copied: Path, tmp_path: Path) -> None:
    file = copied / "image" / "c.0.0.0.0.0"
    data = bytearray(file.read_bytes())
    data[5] ^= 255
    file.write_bytes(data)
    refused(copied, tmp_path, "volume 0: .* does not decode: .* mend it with")


def test_several_label_maps(recipe: Recipe, tmp_path: Path) -> None:
    store = build_marked(recipe, tmp_path / "store", FakeGenerator(recipe, tasks=2))
    refused(store, tmp_path, "label: exports hold one a volume, got 2")


def test_two_classes_of_one_name(copied: Path, tmp_path: Path) -> None:
    created_otherwise(copied, class_names=["background", "a", "a"])
    refused(copied, tmp_path, "class names: must differ, got 'a' twice")


def test_without_nibabel(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImportError, match=r"pip install 'synthgen\[bank\]'"):
        nifti(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()

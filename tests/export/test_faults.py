"""Crashes, signals, bad folders and bad stores: a partial export never looks complete."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthgen.export import Exported, ExportError, decathlon, nifti, ome_zarr
from synthgen.recipe import Recipe
from synthgen.store import Stopped, StoreError, Watcher, build, commit
from synthgen.store.manifest import Entry
from tests.export.conftest import COUNT, build_marked
from tests.store.conftest import FakeGenerator, created_otherwise

ExportFunction = Callable[..., Exported]
# Whole files and folders that are put in place one after the other: each volume's, and the rest.
WRITES = {nifti: 2 * COUNT + 2, ome_zarr: COUNT + 2}
# A file of volume 1, in which damage can be told.
VOLUME_FILE = {
    nifti: "labels/avs-db_0001.nii.gz",
    ome_zarr: "avs-db_0001.ome.zarr/labels/segmentation/0/c/0/0/0",
}


@pytest.fixture(params=WRITES, ids=lambda function: function.__name__)
def export(request: pytest.FixtureRequest) -> ExportFunction:
    function: ExportFunction = request.param
    return function


def content(out: Path) -> dict[str, bytes]:
    files = (path for path in out.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def whole(store: Path, tmp_path: Path, export: ExportFunction) -> dict[str, bytes]:
    export(store, tmp_path / "whole")
    return content(tmp_path / "whole")


@pytest.mark.parametrize(
    ("export", "writes"),
    [(function, writes) for function, last in WRITES.items() for writes in range(last)],
    indirect=["export"],
)
def test_resumed_as_uninterrupted(
    store: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    export: ExportFunction,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
) -> None:
    """It dies before each of its writes takes its place, and leaves what it wrote."""
    out, left = tmp_path / "out", iter(range(writes))
    replace, unlink = os.replace, Path.unlink

    # Zarr replaces and removes files too, inside of what is then put in place.
    def dying(temp: Path, path: Path) -> None:
        if temp.name.endswith(".export.tmp") and next(left, None) is None:
            raise KeyboardInterrupt
        replace(temp, path)

    def leaving(path: Path, missing_ok: bool = False) -> None:
        if not path.name.endswith(".export.tmp"):
            unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        patch.setattr(Path, "unlink", leaving)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            export(store, out)
    assert list(out.rglob(".*.tmp"))
    assert not (out / "dataset.json").exists()
    export(store, out)
    assert content(out) == whole


def test_a_complete_export_is_left_alone(
    store: Path, tmp_path: Path, export: ExportFunction
) -> None:
    export(store, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*z*")}
    again = export(store, tmp_path)
    assert (again.volumes, again.written, again.bytes) == (COUNT, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*z*")} == before


def other(path: Path) -> None:
    """Make it the file of the next volume."""
    shutil.copy(str(path).replace("_0001", "_0002"), path)


HARMS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "torn": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "text": lambda path: path.write_bytes(b"neither gzip nor zarr"),
    "another": other,
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_bad_file_is_written_again(
    store: Path,
    tmp_path: Path,
    whole: dict[str, bytes],
    export: ExportFunction,
    harm: Callable[[Path], object],
) -> None:
    out = tmp_path / "out"
    export(store, out)
    harm(out / VOLUME_FILE[export])
    assert export(store, out).written == 1
    assert content(out) == whole


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"attributes": {}}'])
def test_a_bad_group_is_written_again(store: Path, tmp_path: Path, text: str) -> None:
    ome_zarr(store, tmp_path)
    before = content(tmp_path)
    (tmp_path / "avs-db_0001.ome.zarr" / "zarr.json").write_text(text)
    assert ome_zarr(store, tmp_path).written == 1
    assert content(tmp_path) == before


def test_a_file_where_a_folder_belongs(store: Path, tmp_path: Path) -> None:
    ome_zarr(store, tmp_path)
    before = content(tmp_path)
    shutil.rmtree(tmp_path / "avs-db_0001.ome.zarr")
    (tmp_path / "avs-db_0001.ome.zarr").write_text("text")
    assert ome_zarr(store, tmp_path).written == 1
    assert content(tmp_path) == before


def test_an_export_that_lost_a_file_is_not_complete(
    store: Path, tmp_path: Path, export: ExportFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(store, tmp_path)
    (tmp_path / VOLUME_FILE[export]).unlink()

    def refusing(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(commit.os, "fsync", refusing)
    with pytest.raises(StoreError, match="No space left on device; the files that are there are"):
        export(store, tmp_path)
    assert not (tmp_path / "dataset.json").exists()
    assert not list(tmp_path.rglob(".*.tmp"))


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


def test_progress_and_stop(
    store: Path, tmp_path: Path, whole: dict[str, bytes], export: ExportFunction
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Stopped):
        export(store, out, watcher=Watching(stop=True))
    assert not (out / "dataset.json").exists()
    watching = Watching(stop=False)
    export(store, out, watcher=watching)
    assert watching.volumes == watching.total == COUNT
    assert content(out) == whole


def test_a_folder_of_something_else(store: Path, tmp_path: Path, export: ExportFunction) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExportError, match="is not empty, and no export; choose another folder"):
        export(store, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ExportError, match=r"mine\.txt: is no folder"):
        export(store, tmp_path / "mine.txt")


def test_a_folder_of_another_export(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path)
    before = content(tmp_path)
    with pytest.raises(ExportError, match="level is 1 there, 2 asked"):
        nifti(store, tmp_path, level=2)
    with pytest.raises(ExportError, match="format is nifti there, decathlon asked"):
        decathlon(store, tmp_path)
    with pytest.raises(ExportError, match="format is nifti there, ome-zarr asked"):
        ome_zarr(store, tmp_path)
    assert content(tmp_path) == before


def test_a_folder_of_another_split(
    store: Path, recipe: Recipe, tmp_path: Path, export: ExportFunction
) -> None:
    export(store, tmp_path / "out")
    other = build_marked(recipe, tmp_path / "other", validation=0.5)
    with pytest.raises(ExportError, match="validation is 1 there, 2 asked"):
        export(other, tmp_path / "out")


def test_a_damaged_record(store: Path, tmp_path: Path, export: ExportFunction) -> None:
    export(store, tmp_path)
    (tmp_path / ".synthgen" / "export.json").write_text("[1")
    with pytest.raises(ExportError, match=r"export\.json: damaged; export to another folder"):
        export(store, tmp_path)


def test_into_the_store(store: Path, export: ExportFunction) -> None:
    for out in (store, store / "nifti"):
        with pytest.raises(ExportError, match="lies in the store"):
            export(store, out)


def test_another_process_writes_it(store: Path, tmp_path: Path, export: ExportFunction) -> None:
    from synthgen.store.lock import writing

    (tmp_path / ".synthgen").mkdir()
    with (
        writing(tmp_path / ".synthgen", "export"),
        pytest.raises(StoreError, match="export is being written by process"),
    ):
        export(store, tmp_path)


def refused(store: Path, tmp_path: Path, rule: str) -> None:
    for function in WRITES:
        out = tmp_path / function.__name__
        with pytest.raises(ValueError, match=rule):
            function(store, out)
        assert not (out / "dataset.json").exists()


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
    (copied / "label" / "c.1.0.0.0").unlink()
    refused(copied, tmp_path, "volume 3: .* does not decode: .*No such file .* mend it with")
    with pytest.raises(ExportError):
        nifti(copied, tmp_path / "again")


def test_a_damaged_shard(copied: Path, tmp_path: Path) -> None:
    file = copied / "image" / "c.0.0.0.0.0"
    data = bytearray(file.read_bytes())
    data[5] ^= 255
    file.write_bytes(data)
    refused(copied, tmp_path, "volume 0: .* does not decode: .* mend it with")


def test_a_torn_shard(copied: Path, tmp_path: Path) -> None:
    file = copied / "label" / "c.1.0.0.0"
    for content in (b"", file.read_bytes()[:-9], file.read_bytes()[:-60]):
        file.write_bytes(content)
        refused(copied, tmp_path, "volume 3: .* does not decode: its index differs from its")


def test_a_shard_of_another_store(recipe: Recipe, copied: Path, tmp_path: Path) -> None:
    build_marked(recipe, tmp_path / "other")
    shutil.copy(tmp_path / "other" / "label" / "c.1.0.0.0", copied / "label" / "c.1.0.0.0")
    refused(copied, tmp_path, "volume 3: .* is not as it was committed; mend it with")


def test_a_shard_with_fewer_volumes(copied: Path, tmp_path: Path) -> None:
    shutil.copy(copied / "label" / "c.1.0.0.0", copied / "label" / "c.0.0.0.0")
    refused(copied, tmp_path, "volume [012]: .*(the chunk is absent|is not as it was committed)")


def test_several_label_maps(recipe: Recipe, tmp_path: Path) -> None:
    store = build_marked(recipe, tmp_path / "store", FakeGenerator(recipe, tasks=2))
    refused(store, tmp_path, "label: needs one for each of 1 tasks, got 2")


def test_two_classes_of_one_name(copied: Path, tmp_path: Path) -> None:
    created_otherwise(copied, class_names=["background", "a", "a"])
    refused(copied, tmp_path, "class names: must differ, got 'a' twice")


def test_without_nibabel(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(ImportError, match=r"pip install 'synthgen\[bank\]'"):
        nifti(store, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert ome_zarr(store, tmp_path / "out").written == COUNT

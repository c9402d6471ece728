"""Writing an export: at once on all cores, resumable, and complete only once its document is there.

A folder records what it is an export of before anything else is written to it, and its document,
``dataset.json``, comes last. Volumes appear whole, so what is there need not be made again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy.typing as npt

from synthgen.cores import available_cores
from synthgen.export.errors import ExportError
from synthgen.export.source import Volumes
from synthgen.store.commit import make_folders, sync_folder, write_file
from synthgen.store.errors import disk_errors_explained
from synthgen.store.lock import writing
from synthgen.store.watcher import Stopped, Watcher

DOCUMENT = "dataset.json"
_RECORDS, _SETTINGS = ".synthgen", "export.json"
_WRITER = "export"


def threads() -> int:
    """How many write: one a core, and two, as some always wait for the disk."""
    return available_cores() + 2


class Format(Protocol):
    """How one volume of a store becomes a file, or a folder, that appears as a whole."""

    arrays: tuple[str, ...]

    def is_whole(self, path: Path, index: int) -> bool:
        """Whether ``path`` is as volume ``index`` was written; need not read all of it."""

    def write(self, path: Path, index: int, voxels: Sequence[npt.NDArray[Any]], writer: str) -> int:
        """Make or replace ``path``, which no error leaves half-written; returns bytes.

        Args:
            voxels: of each of ``arrays``, (z, y, x), several channels or label maps with their axis
                first.
            writer: name for temporary files.
        """


@dataclass(frozen=True)
class Part:
    """What each volume becomes in ``format``, and where: a path relative to the export."""

    format: Format
    path: Callable[[int], str]


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        folder: of ``dataset.json``.
        volumes: of the export.
        written: volumes of which files were written now.
        bytes: of the files written now.
        seconds: elapsed.
    """

    folder: Path
    volumes: int
    written: int
    bytes: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {**asdict(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class Export:
    """A folder to write.

    Attributes:
        settings: what determines the files; one folder holds one export.
        documents: content of JSON files, by name; ``dataset.json`` is the last one.
        note: called with each volume once its files are there, in any thread; what it adds to
            ``documents`` is written with them.
    """

    source: Volumes
    folder: Path
    parts: Sequence[Part]
    settings: Mapping[str, Any]
    documents: Mapping[str, Any]
    note: Callable[[int], None] | None = None

    def write(self, watcher: Watcher) -> Exported:
        """Write what is absent of the export.

        Raises:
            ExportError: something else is in the folder, or a volume of the store is damaged.
            StoreError: another process writes the folder, or the disk is full or read-only.
            Stopped: the watcher asked for it; the same call resumes.
        """
        start = perf_counter()
        self._check_folder()
        with disk_errors_explained(self.folder, "the files that are there are whole"):
            make_folders(self.folder / _RECORDS)
            with writing(self.folder / _RECORDS, _WRITER):
                self._check_folder()
                self._put(f"{_RECORDS}/{_SETTINGS}", self._recorded())
                sizes = self._write_volumes(watcher)
                for name, content in self.documents.items():
                    self._put(name, content)
        written = [size for size in sizes if size]
        seconds = perf_counter() - start
        return Exported(self.folder, len(sizes), len(written), sum(written), seconds)

    def _check_folder(self) -> None:
        """Raise ExportError unless the folder is new, or of this export."""
        store = self.source.path
        if self.folder.resolve().is_relative_to(store.resolve()):
            raise ExportError(f"{self.folder}: lies in the store {store}; choose another folder")
        if self.folder.exists() and not self.folder.is_dir():
            raise ExportError(f"{self.folder}: is no folder")
        record = self.folder / _RECORDS / _SETTINGS
        if record.is_file():
            self._check_record(record)
        elif self.folder.is_dir() and any(p.name != _RECORDS for p in self.folder.iterdir()):
            raise ExportError(f"{self.folder}: is not empty, and no export; choose another folder")

    def _check_record(self, record: Path) -> None:
        try:
            found = dict(json.loads(record.read_bytes()))
        except (ValueError, TypeError):
            raise ExportError(f"{record}: damaged; export to another folder") from None
        differences = [
            f"{name} is {found.get(name)} there, {value} asked"
            for name, value in self._recorded().items()
            if found.get(name) != value
        ]
        if differences:
            where = f"{self.folder}: another export is there"
            raise ExportError(f"{where}: {'; '.join(differences)}")

    def _recorded(self) -> dict[str, Any]:
        plan = self.source.plan
        return {
            **self.settings,
            "recipe": plan.recipe_digest,
            "seed": plan.seed,
            "count": plan.count,
            "validation": plan.validation,
        }

    def _write_volumes(self, watcher: Watcher) -> list[int]:
        """Bytes written of each volume."""
        plan = self.source.plan
        folders = {(self.folder / part.path(0)).parent for part in self.parts}
        for folder in folders:
            make_folders(folder)
        sizes = []
        watcher.start("exporting", plan, plan.count)
        with ThreadPoolExecutor(threads(), _WRITER) as pool:
            try:
                for size in pool.map(self._write, range(plan.count)):
                    sizes.append(size)
                    if watcher.stopped():
                        raise Stopped
                    shard = (len(sizes) - 1) // plan.shard_size
                    if len(sizes) == plan.volumes(shard).stop:
                        watcher.advance(self.source.entry(shard))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        for folder in folders:  # once: all names have to be durable before the document is there
            sync_folder(folder)
        return sizes

    def _write(self, index: int) -> int:
        size = 0
        held: dict[str, npt.NDArray[Any]] = {}  # as several parts may be of one array
        for part in self.parts:
            path = self.folder / part.path(index)
            if not part.format.is_whole(path, index):
                # An export that lacks a file is not complete, whatever it was before.
                (self.folder / DOCUMENT).unlink(missing_ok=True)
                for name in part.format.arrays:
                    if name not in held:
                        held[name] = self.source.read(name, index)
                voxels = [held[name] for name in part.format.arrays]
                size += part.format.write(path, index, voxels, _WRITER)
        if self.note:
            self.note(index)
        return size

    def _put(self, name: str, values: Any) -> None:
        path, content = self.folder / name, json.dumps(values, indent=2).encode() + b"\n"
        if not path.is_file() or path.read_bytes() != content:
            write_file(path, content, _WRITER)

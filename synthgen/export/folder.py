"""Writing an export: at once on all cores, resumable, and complete only once its document is there.

A folder records what it is an export of before anything else is written to it, and its document,
``dataset.json``, comes last. Files appear whole, so what is there need not be made again.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from synthgen.cores import available_cores
from synthgen.export.errors import ExportError
from synthgen.export.nifti_file import NiftiFile
from synthgen.export.source import Volumes
from synthgen.store.commit import make_folders, write_file
from synthgen.store.errors import disk_errors_explained
from synthgen.store.lock import writing
from synthgen.store.watcher import Stopped, Watcher

DOCUMENT = "dataset.json"
_RECORDS, _SETTINGS = ".synthgen", "export.json"
_WRITER = "export"


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
        paths: files of a volume relative to the folder, by the store's array.
        settings: what determines the files; one folder holds one export.
        document: content of ``dataset.json``.
    """

    source: Volumes
    folder: Path
    paths: Callable[[int], Mapping[str, str]]
    settings: Mapping[str, Any]
    document: Mapping[str, Any]
    level: int

    def write(self, watcher: Watcher) -> Exported:
        """Write what is absent of the export.

        Raises:
            ExportError: something else is in the folder, or a volume of the store is damaged.
            StoreError: another process writes the folder, or the disk is full or read-only.
            Stopped: the watcher asked for it; the same call resumes.
        """
        start = perf_counter()
        files = _files(self.source)
        self._check_folder()
        with disk_errors_explained(self.folder, "the files that are there are whole"):
            make_folders(self.folder / _RECORDS)
            with writing(self.folder / _RECORDS, _WRITER):
                self._check_folder()
                self._put(f"{_RECORDS}/{_SETTINGS}", _json(self._recorded()))
                sizes = self._write_volumes(files, watcher)
                self._put(DOCUMENT, _json(self.document))
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
            "level": self.level,
            "recipe": plan.recipe_digest,
            "seed": plan.seed,
            "count": plan.count,
        }

    def _write_volumes(self, files: Mapping[str, NiftiFile], watcher: Watcher) -> list[int]:
        """Bytes written of each volume."""
        plan = self.source.plan
        for folder in {(self.folder / path).parent for path in self.paths(0).values()}:
            make_folders(folder)
        sizes = []
        watcher.start("exporting", plan, plan.count)
        with ThreadPoolExecutor(available_cores(), _WRITER) as pool:
            try:
                for size in pool.map(lambda index: self._write(files, index), range(plan.count)):
                    sizes.append(size)
                    if watcher.stopped():
                        raise Stopped
                    shard = (len(sizes) - 1) // plan.shard_size
                    if len(sizes) == plan.volumes(shard).stop:
                        watcher.advance(self.source.entry(shard))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return sizes

    def _write(self, files: Mapping[str, NiftiFile], index: int) -> int:
        size = 0
        for name, path in self.paths(index).items():
            if not files[name].is_whole(self.folder / path, index):
                # An export that lacks a file is not complete, whatever it was before.
                (self.folder / DOCUMENT).unlink(missing_ok=True)
                data = files[name].encoded(self.source.read(name, index), index, self.level)
                write_file(self.folder / path, data, _WRITER)
                size += len(data)
        return size

    def _put(self, name: str, content: bytes) -> None:
        path = self.folder / name
        if not path.is_file() or path.read_bytes() != content:
            write_file(path, content, _WRITER)


def _files(source: Volumes) -> dict[str, NiftiFile]:
    """How each array becomes files, with the same geometry."""
    plan, affine = source.plan, source.attributes["affine"]
    description = f"synthgen {plan.recipe_digest[:16]} seed {plan.seed}"
    return {
        name: NiftiFile(array.dtype, plan.shape, affine, description)
        for name, array in source.arrays.items()
    }


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode() + b"\n"

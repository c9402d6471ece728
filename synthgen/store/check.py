"""Finding damage: sizes and checksums of files, and the volumes that they decode to."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.cores import available_cores
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.shard import content_digest
from synthgen.store.watcher import Stopped, Watcher


@dataclass(frozen=True)
class Damage:
    """One file that is not as it was committed.

    Attributes:
        shard: that it belongs to; None for metadata.
    """

    shard: int | None
    path: Path
    problem: str

    def __str__(self) -> str:
        where = "metadata" if self.shard is None else f"shard {self.shard}"
        return f"{where}: {self.path} {self.problem}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {"shard": self.shard, "path": str(self.path), "problem": self.problem}


@dataclass(frozen=True)
class Check:
    """What is in a store.

    Attributes:
        intact: an entry for each shard that is as it was committed.
        damages: what is wrong with the metadata and with the other committed shards.
        absent: shards that were never committed.
        absent_volumes: how many volumes they have.
    """

    intact: dict[int, Entry]
    damages: list[Damage]
    absent: list[int]
    absent_volumes: int

    @property
    def wanting(self) -> list[int]:
        """Shards to make, in order."""
        damaged = {damage.shard for damage in self.damages if damage.shard is not None}
        return sorted(damaged.union(self.absent))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {
            "intact_shards": len(self.intact),
            "absent_shards": self.absent,
            "absent_volumes": self.absent_volumes,
            "damages": [damage.to_dict() for damage in self.damages],
        }


def verify(path: str | Path, *, deep: bool = False, watcher: Watcher | None = None) -> Check:
    """Compare the metadata of a store with its record, and its committed shards with its manifest.

    Args:
        deep: also decode every volume, unless the metadata that says how is damaged.
        watcher: told of each shard that was checked; may ask to stop.

    Raises:
        StoreError: there is no store.
        Stopped: the watcher asked for it.
    """
    store = Store.open(path)
    metadata = metadata_damages(store)
    deep = deep and not metadata
    check = check_shards(store, store.plan.shards, deep=deep, watcher=watcher)
    return replace(check, damages=[*metadata, *check.damages])


def require_intact(path: Path, volumes: Sequence[int]) -> None:
    """Raise StoreError, naming the file, unless metadata and ``volumes`` are as committed."""
    store = Store.open(path)
    shards = sorted({volume // store.plan.shard_size for volume in volumes})
    check = check_shards(store, shards)
    damages = [*metadata_damages(store), *check.damages]
    if damages:
        raise StoreError(f"{damages[0]}; mend it with: synthgen repair {path}")
    if check.absent:
        shard = check.absent[0]
        image = store.shard_path("image", shard)
        raise StoreError(f"shard {shard}: {image} is absent; make it with: synthgen repair {path}")


def metadata_damages(store: Store) -> list[Damage]:
    """What is wrong with the metadata of a store, and with the record of it."""
    problems = store.documents.problems.items()
    return [Damage(None, store.path / name, problem) for name, problem in problems]


def check_shards(
    store: Store,
    shards: Sequence[int],
    *,
    deep: bool = False,
    watcher: Watcher | None = None,
) -> Check:
    """The check of some ``shards``, on all cores.

    Raises:
        Stopped: the watcher asked for it.
    """
    entries = store.entries()
    committed = [entries[shard] for shard in shards if shard in entries]
    absent = [shard for shard in shards if shard not in entries]
    arrays = _open_arrays(store) if deep else {}
    intact, damages = {}, []
    watcher = watcher or Watcher()
    if committed:
        volumes = sum(len(store.plan.volumes(known[0].shard)) for known in committed)
        watcher.start("checking", store.plan, volumes)

    def examine(known: list[Entry]) -> tuple[Entry, list[Damage]]:
        return _examine(store, known, arrays)

    with ThreadPoolExecutor(available_cores()) as pool:
        for entry, found in pool.map(examine, committed):
            if watcher.stopped():
                pool.shutdown(wait=False, cancel_futures=True)
                raise Stopped
            watcher.advance(entry)
            damages += found
            if not found:
                intact[entry.shard] = entry
    absent_volumes = sum(len(store.plan.volumes(shard)) for shard in absent)
    return Check(intact, damages, absent, absent_volumes)


def _open_arrays(store: Store) -> dict[str, Any]:
    import zarr

    group = zarr.open_group(store.path, mode="r")
    return {name: group[name] for name in store.arrays}


def _examine(
    store: Store, known: list[Entry], arrays: dict[str, Any]
) -> tuple[Entry, list[Damage]]:
    """The entry that a shard is as, or its last one with what differs from it."""
    found: list[Damage] = []
    for entry in known:
        found = list(_damages(store, entry, arrays))
        if not found:
            break
    return entry, found


def _damages(store: Store, entry: Entry, arrays: dict[str, Any]) -> Iterator[Damage]:
    for name, file in entry.files.items():
        path = store.shard_path(name, entry.shard)
        problem = _file_problem(path, file)
        if not problem and arrays:
            problem = _content_problem(arrays[name], entry, file.content)
        if problem:
            yield Damage(entry.shard, path, problem)


def _file_problem(path: Path, file: ShardFile) -> str:
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size} bytes of {file.size}"
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if digest == file.sha256 else "has other bytes than were committed"


def _content_problem(array: Any, entry: Entry, content: str) -> str:
    for place, volume in enumerate(range(entry.first, entry.stop)):
        try:
            voxels = np.ascontiguousarray(array[volume])
        except (ValueError, RuntimeError, OSError) as error:
            return f"does not decode at volume {volume}: {error}"
        if content_digest(voxels) != content[8 * place : 8 * place + 8]:
            return f"decodes to other voxels than were made at volume {volume}"
    return ""

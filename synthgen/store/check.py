"""Finding damage: sizes and checksums of files, and the volumes that they decode to."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.cores import available_cores
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.metadata import ARRAYS
from synthgen.store.shard import content_digest
from synthgen.store.watcher import Watcher


@dataclass(frozen=True)
class Damage:
    """One file that is not as it was committed."""

    shard: int
    path: Path
    problem: str

    def __str__(self) -> str:
        return f"shard {self.shard}: {self.path} {self.problem}"


@dataclass(frozen=True)
class Check:
    """What is in a store.

    Attributes:
        intact: an entry for each shard that is as it was committed.
        damages: what is wrong with the other committed shards.
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
        return sorted({damage.shard for damage in self.damages}.union(self.absent))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {
            "intact_shards": len(self.intact),
            "absent_shards": self.absent,
            "absent_volumes": self.absent_volumes,
            "damages": [
                {"shard": damage.shard, "path": str(damage.path), "problem": damage.problem}
                for damage in self.damages
            ],
        }


def verify(path: str | Path, *, deep: bool = False, watcher: Watcher | None = None) -> Check:
    """Compare the committed shards of a store with its manifest.

    Args:
        deep: also decode every volume.
        watcher: told of each shard that was checked.

    Raises:
        StoreError: there is no store.
    """
    store = Store.open(path)
    return check_shards(store, store.plan.shards, deep=deep, watcher=watcher)


def check_shards(
    store: Store,
    shards: range,
    *,
    deep: bool = False,
    watcher: Watcher | None = None,
) -> Check:
    """The check of some ``shards``, on all cores."""
    entries = store.entries()
    committed = [entries[shard] for shard in shards if shard in entries]
    absent = [shard for shard in shards if shard not in entries]
    arrays = _open_arrays(store) if deep else {}
    intact, damages = {}, []
    watcher = watcher or Watcher()
    watcher.start(store.plan, sum(len(store.plan.volumes(known[0].shard)) for known in committed))

    def examine(known: list[Entry]) -> tuple[Entry, list[Damage]]:
        return _examine(store, known, arrays)

    with ThreadPoolExecutor(available_cores()) as pool:
        for entry, found in pool.map(examine, committed):
            watcher.advance(entry)
            damages += found
            if not found:
                intact[entry.shard] = entry
    volumes = sum(len(store.plan.volumes(shard)) for shard in absent)
    return Check(intact, damages, absent, volumes)


def _open_arrays(store: Store) -> dict[str, Any]:
    import zarr

    group = zarr.open_group(store.path, mode="r")
    return {name: group[name] for name in ARRAYS}


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

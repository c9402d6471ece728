"""Joining parts of one store that were built in folders of their own."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgen.store.check import Damage, check_shards, metadata_damages
from synthgen.store.errors import StoreError, disk_errors_explained
from synthgen.store.layout import Store, create, existing
from synthgen.store.lock import writing
from synthgen.store.manifest import Entry, Manifest
from synthgen.store.watcher import Stopped, Watcher
from synthgen.store.writer import check_same_content, commit_shard


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Attributes:
        volumes: copied now.
        absent: shards that are still to be made.
        absent_volumes: how many volumes they have.
        damages: what is wrong with the sources, and was left out or mended from another one.
    """

    volumes: int
    absent: list[int]
    absent_volumes: int
    damages: list[Damage]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {
            "volumes": self.volumes,
            "absent_shards": self.absent,
            "absent_volumes": self.absent_volumes,
            "damages": [damage.to_dict() for damage in self.damages],
        }


def merge(
    sources: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    watcher: Watcher | None = None,
) -> Merged:
    """Copy the intact shards of ``sources`` into ``out``, the first source by default.

    Raises:
        StoreError: the sources are not parts of one store; two hold other volumes for a shard;
            a process is writing one of them; the disk is full or read-only. What was committed
            is whole, and the same call resumes.
        Stopped: the watcher asked for it; the same call resumes.
    """
    stores = [Store.open(source) for source in sources]
    if not stores:
        raise StoreError("merge: needs at least one store")
    first = stores[0]
    for store in stores[1:]:
        store.check_same(first.plan)
    target = Path(out) if out is not None else first.path
    joined = existing(target, first.plan)
    if joined is None:
        with disk_errors_explained(target, "nothing was joined"):
            joined = create(target, first.plan, first.documents.zarr)
    meaning = f"what was committed to {target} is whole"
    with disk_errors_explained(target, meaning), ExitStack() as locks:
        for store in {store.path.resolve(): store for store in [joined, *stores]}.values():
            locks.enter_context(writing(store.records, "merge"))
        return _join(stores, joined, watcher or Watcher())


def _join(sources: Sequence[Store], joined: Store, watcher: Watcher) -> Merged:
    plan, place = joined.plan, joined.path.resolve()
    damages: dict[Path, Damage] = {}
    is_source = any(store.path.resolve() == place for store in sources)
    before = check_shards(joined, plan.shards, watcher=watcher)
    if is_source:
        damages |= {damage.path: damage for damage in [*metadata_damages(joined), *before.damages]}
    joined.restore()
    lacking = set(before.wanting)
    for store in sources:
        if store.path.resolve() == place:
            continue
        check = check_shards(store, plan.shards, watcher=watcher)
        damages |= {damage.path: damage for damage in [*metadata_damages(store), *check.damages]}
        lacking -= _copy(store, joined, check.intact, lacking, watcher)
    copied = [shard for shard in before.wanting if shard not in lacking]
    # What was copied is read once more: a fault between the check and the copy is seen.
    after = check_shards(joined, copied, watcher=watcher)
    damages |= {damage.path: damage for damage in after.damages}
    absent = sorted(lacking.union(after.wanting))
    return Merged(
        volumes=sum(len(plan.volumes(shard)) for shard in copied),
        absent=absent,
        absent_volumes=sum(len(plan.volumes(shard)) for shard in absent),
        damages=list(damages.values()),
    )


def _copy(
    source: Store, target: Store, there: Mapping[int, Entry], lacking: set[int], watcher: Watcher
) -> set[int]:
    """Copy the shards that are ``there`` and ``lacking``; returns them."""
    manifest = Manifest(target.records, "merge")
    known = target.entries()
    for shard, entry in there.items():
        check_same_content(known.get(shard, ()), entry)
    wanted = {shard: entry for shard, entry in there.items() if shard in lacking}
    watcher.start("copying", source.plan, sum(map(_volumes, wanted.values())))
    for shard, entry in wanted.items():
        if watcher.stopped():
            raise Stopped
        files = {name: source.shard_path(name, shard).read_bytes() for name in entry.files}
        commit_shard(target, manifest, entry, files, "merge")
        watcher.advance(entry)
    return set(wanted)


def _volumes(entry: Entry) -> int:
    return entry.stop - entry.first

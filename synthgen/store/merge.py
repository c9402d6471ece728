"""Joining parts of one store that were built in folders of their own."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from synthgen.store.check import check_shards
from synthgen.store.errors import StoreError, disk_errors_explained
from synthgen.store.layout import Store, create, existing
from synthgen.store.lock import writing
from synthgen.store.manifest import Manifest
from synthgen.store.watcher import Watcher
from synthgen.store.writer import check_same_content, commit_shard


def merge(
    sources: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    watcher: Watcher | None = None,
) -> list[int]:
    """Copy the intact shards of ``sources`` into ``out``, the first source by default.

    Returns:
        The shards that ``out`` still lacks.

    Raises:
        StoreError: the sources are not parts of one store; two hold other volumes for a shard;
            a process is writing one of them; the disk is full or read-only. What was committed
            is whole, and the same call resumes.
    """
    stores = [Store.open(source) for source in sources]
    if not stores:
        raise StoreError("merge: needs at least one store")
    first = stores[0]
    for store in stores[1:]:
        store.check_same(first.plan)
    target = Path(out) if out is not None else first.path
    with disk_errors_explained(target), ExitStack() as locks:
        joined = existing(target, first.plan) or create(target, first.plan, first.documents())
        for store in {store.path.resolve(): store for store in [joined, *stores]}.values():
            locks.enter_context(writing(store.records, "merge"))
        for store in stores:
            if store.path.resolve() != joined.path.resolve():
                _copy(store, joined, watcher or Watcher())
        return check_shards(joined, joined.plan.shards).wanting


def _copy(source: Store, target: Store, watcher: Watcher) -> None:
    manifest = Manifest(target.records, "merge")
    known = target.entries()
    here = check_shards(target, target.plan.shards).intact
    there = check_shards(source, source.plan.shards).intact
    watcher.start(source.plan, sum(entry.stop - entry.first for entry in there.values()))
    for shard, entry in there.items():
        check_same_content(known.get(shard, ()), entry)
        if shard not in here:
            files = {name: source.shard_path(name, shard).read_bytes() for name in entry.files}
            commit_shard(target, manifest, entry, files, "merge")
        watcher.advance(entry)

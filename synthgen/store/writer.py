"""Making, encoding and committing shards at once: nothing waits that need not."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from synthgen.cores import available_cores
from synthgen.store.codecs import codec_of, encoder
from synthgen.store.commit import write_file
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, Manifest, ShardFile
from synthgen.store.shard import Chunk, encode_chunk, shard_bytes
from synthgen.store.watcher import Watcher

if TYPE_CHECKING:
    from synthgen.engine import Batch

BATCH_VOXELS = 2**23
_BUFFERS = 3  # one being filled, two being encoded
_TASK_VOLUMES = 8
_SHARDS_IN_HAND = 2  # beside the one being made


class Source(Protocol):
    """What a build needs of ``synthgen.engine.Generator``."""

    def empty(self, indices: Sequence[int]) -> "Batch": ...

    def fill(self, batch: "Batch") -> "Batch": ...

    def numpy(self, batch: "Batch") -> "Batch": ...


@dataclass
class Timings:
    """Seconds spent: generating (elapsed), encoding (of all threads' CPU time), on the disk."""

    generator: float = 0.0
    encoder: float = 0.0
    disk: float = 0.0


@dataclass(frozen=True)
class _Encoded:
    """Some volumes by array, and the CPU time that encoding them took."""

    chunks: dict[str, list[Chunk]]
    seconds: float


@dataclass
class _Buffer:
    batch: "Batch"
    readers: list[Future[_Encoded]] = field(default_factory=list)


class ShardWriter:
    """Writes shards of one store as one writer, which holds its lock.

    Memory is that of three batches and of the compressed shards in hand, whatever the count.

    Attributes:
        made: entries of the shards that it committed.
        timings: where the time went.
    """

    def __init__(self, store: Store, writer: str, watcher: Watcher) -> None:
        self.made: list[Entry] = []
        self.timings = Timings()
        self._store = store
        self._writer = writer
        self._watcher = watcher
        self._manifest = Manifest(store.records, writer)
        self._known = store.entries()
        self._encoders = {name: encoder(codec_of(store.plan.codec, name)) for name in store.arrays}

    def write(self, shards: Iterable[int], source: Source) -> None:
        """Generate and commit ``shards``, in order, until the watcher stops it.

        Raises:
            StoreError: a shard comes out otherwise than it was committed before.
            OSError: of the disk; what is committed stays whole.
        """
        ring = self._ring(source)
        in_hand: deque[Future[None]] = deque()
        with (
            ThreadPoolExecutor(available_cores(), "encode") as encoders,
            ThreadPoolExecutor(1, "commit") as committer,
        ):
            try:
                for shard in shards:
                    if self._watcher.stopped():
                        break
                    volumes = self._make(shard, source, ring, encoders)
                    in_hand.append(committer.submit(self._commit, shard, volumes))
                    if len(in_hand) > _SHARDS_IN_HAND:
                        in_hand.popleft().result()
                for commit in in_hand:
                    commit.result()
            except BaseException:
                encoders.shutdown(wait=False, cancel_futures=True)
                committer.shutdown(wait=False, cancel_futures=True)
                raise

    def _ring(self, source: Source) -> Iterator[_Buffer]:
        plan = self._store.plan
        size = max(1, min(BATCH_VOXELS // plan.voxels, plan.shard_size, plan.count))
        buffers: list[_Buffer] = []
        while True:
            if len(buffers) < _BUFFERS:
                buffers.append(_Buffer(source.empty(range(size))))
                yield buffers[-1]
            else:
                yield from buffers

    def _make(
        self,
        shard: int,
        source: Source,
        ring: Iterator[_Buffer],
        encoders: ThreadPoolExecutor,
    ) -> list[Future[_Encoded]]:
        """Generate a shard batch by batch; its volumes are being encoded on return."""
        volumes: list[Future[_Encoded]] = []
        rest = self._store.plan.volumes(shard)
        while rest:
            buffer = next(ring)
            wait(buffer.readers)
            size = len(buffer.batch.index)
            batch = _filled(source, buffer.batch, rest[:size], self.timings)
            buffer.readers = [
                encoders.submit(
                    self._encoded,
                    {name: getattr(batch, name)[first:last] for name in self._store.arrays},
                )
                for first, last in _groups(len(batch))
            ]
            volumes += buffer.readers
            rest = rest[size:]
        return volumes

    def _encoded(self, arrays: Mapping[str, Any]) -> _Encoded:
        start = thread_time()
        chunks = {
            name: [encode_chunk(volume, self._encoders[name]) for volume in volumes]
            for name, volumes in arrays.items()
        }
        return _Encoded(chunks, thread_time() - start)

    def _commit(self, shard: int, pending: Sequence[Future[_Encoded]]) -> None:
        groups = [future.result() for future in pending]
        chunks = {
            name: [chunk for group in groups for chunk in group.chunks[name]]
            for name in self._store.arrays
        }
        start = perf_counter()
        size = self._store.plan.shard_size
        files = {name: shard_bytes(part, size) for name, part in chunks.items()}
        entry = self._entry(shard, files, chunks)
        check_same_content(self._known.get(shard, ()), entry)
        commit_shard(self._store, self._manifest, entry, files, self._writer)
        self.timings.disk += perf_counter() - start
        self.timings.encoder += sum(group.seconds for group in groups)
        self.made.append(entry)
        self._watcher.advance(entry)

    def _entry(
        self, shard: int, files: Mapping[str, bytes], chunks: Mapping[str, Sequence[Chunk]]
    ) -> Entry:
        parts = {
            name: ShardFile(
                size=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                content="".join(chunk.content for chunk in chunks[name]),
            )
            for name, data in files.items()
        }
        volumes = self._store.plan.volumes(shard)
        return Entry(
            shard=shard,
            first=volumes.start,
            stop=volumes.stop,
            **parts,
            recipe=self._store.plan.recipe_digest,
            version=version("synthgen"),
        )


def _groups(count: int) -> Iterator[tuple[int, int]]:
    """Volumes of a batch by tasks: enough for all threads, few enough to cost nothing."""
    size = max(1, min(_TASK_VOLUMES, count // available_cores()))
    return ((first, first + size) for first in range(0, count, size))


def check_same_content(known: Iterable[Entry], entry: Entry) -> None:
    """Raise StoreError if ``entry`` holds other volumes than were committed before."""
    for before in known:
        for name, file in before.files.items():
            if file.content != entry.files[name].content:
                raise StoreError(
                    f"shard {entry.shard}: {name} made by synthgen {entry.version} differs from "
                    f"what synthgen {before.version} committed; nothing was replaced"
                )


def commit_shard(
    store: Store, manifest: Manifest, entry: Entry, files: Mapping[str, bytes], writer: str
) -> None:
    """Write a shard's files, then the line without which they are not there."""
    for name, data in files.items():
        write_file(store.shard_path(name, entry.shard), data, writer)
    manifest.append(entry)


def _filled(source: Source, buffer: "Batch", indices: range, timings: Timings) -> "Batch":
    """The volumes ``indices``, made in the first places of ``buffer``, on the host."""
    start = perf_counter()
    count = len(indices)
    batch = replace(
        buffer,
        image=buffer.image[:count],
        label=buffer.label[:count],
        index=np.array(indices, np.uint64),
        placed=buffer.placed[:count],
        prompts=None if buffer.prompts is None else buffer.prompts[:count],
    )
    host = source.numpy(source.fill(batch))
    timings.generator += perf_counter() - start
    return host

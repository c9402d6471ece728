"""A store without files: a zarr group whose volumes are made when they are read."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.buffer import cpu
from zarr.core.buffer import Buffer, BufferPrototype

from synthgen.engine import Generator
from synthgen.store.documents import arrays_of
from synthgen.store.metadata import metadata
from synthgen.store.plan import StorePlan
from synthgen.store.recent import Recent

CACHE_BYTES = 64 * 2**20
_GROUP = "zarr.json"

Bytes = npt.NDArray[np.uint8]
Voxels = npt.NDArray[Any]


class GeneratedStore(Store):
    """Volumes 0 .. count - 1 of a generator, read-only, as zarr reads any store.

    A chunk is one volume, uncompressed. The last volumes are kept, 64 MiB of them, so that image
    and label of one volume are made together.

    Args:
        generator: pickles, and with it the store does: a worker process makes its own volumes.
        validation: volumes held out of training, the last ones.

    Raises:
        StoreError: count or validation is out of bounds.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, generator: Generator, count: int, validation: int) -> None:
        super().__init__(read_only=True)
        self.generator = generator
        self.plan = StorePlan.of(
            generator.recipe,
            seed=generator.seed,
            count=count,
            shard_size=1,
            codec="none",
            validation=validation,
        )
        like = generator.empty([0])
        self._documents = {
            name: _without_shards(content) for name, content in metadata(self.plan, like).items()
        }
        self._arrays = arrays_of(self._documents)
        self._sizes = {name: int(getattr(like, name).nbytes) for name in self._arrays}
        self._shapes = {name: _shape(self._documents[f"{name}/zarr.json"]) for name in self._arrays}
        self._recent = self._new_recent()

    def __reduce__(self) -> tuple[Any, ...]:
        return GeneratedStore, (self.generator, self.plan.count, self.plan.validation)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GeneratedStore) and self.plan == other.plan

    def __repr__(self) -> str:
        plan = self.plan
        return f"GeneratedStore({plan.recipe['name']!r}, seed={plan.seed}, count={plan.count})"

    def volume(self, name: str, index: int) -> Voxels:
        """Voxels (..., D, H, W), its label as a whole, (T,) or (), or its prompts; read-only.

        Made now or remembered.

        Args:
            index: 0 .. count - 1.
        """
        pid, recent = self._recent
        if pid != os.getpid():
            # A fork may have copied the lock while another thread held it.
            self._recent = pid, recent = self._new_recent()
        return recent.get(index)[name]

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if key in self._documents:
            content = np.frombuffer(self._documents[key], np.uint8)
        else:
            chunk = self._chunk(key)
            if chunk is None:
                return None
            name, index = chunk
            # In a thread, so that the chunks of one read are made on all cores.
            content = _bytes_of(await asyncio.to_thread(self.volume, name, index))
        part = cpu.Buffer.from_array_like(content[_slice(byte_range, len(content))])
        return prototype.buffer.from_buffer(part)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        return key in self._documents or self._chunk(key) is not None

    async def getsize(self, key: str) -> int:
        """Bytes of a value, of a chunk without making it."""
        if key in self._documents:
            return len(self._documents[key])
        chunk = self._chunk(key)
        if chunk is None:
            raise FileNotFoundError(key)
        return self._sizes[chunk[0]]

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()

    async def delete(self, key: str) -> None:
        self._check_writable()

    async def list(self) -> AsyncIterator[str]:
        for key in self._keys():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        for key in self._keys():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = prefix.strip("/")
        if not folder:  # without a walk through all chunks
            for name in (_GROUP, *self._arrays):
                yield name
        elif folder in self._arrays:
            for key in self._array_keys(folder):
                yield key.removeprefix(f"{folder}/")

    def _keys(self) -> Iterator[str]:
        yield _GROUP
        for name in self._arrays:
            yield from self._array_keys(name)

    def _array_keys(self, name: str) -> Iterator[str]:
        yield f"{name}/zarr.json"
        yield from (self._chunk_key(name, index) for index in range(self.plan.count))

    def _chunk_key(self, name: str, index: int) -> str:
        return f"{name}/c.{index}{'.0' * len(self._shapes[name])}"

    def _chunk(self, key: str) -> tuple[str, int] | None:
        """Array and volume of a chunk's key."""
        name, _, place = key.partition("/c.")
        digits = place.partition(".")[0]
        if name not in self._arrays or not digits.isdecimal():
            return None
        index = int(digits)
        # The whole key is compared: volume 7 is neither "07" nor at another place of the grid.
        inside = index < self.plan.count and key == self._chunk_key(name, index)
        return (name, index) if inside else None

    def _new_recent(self) -> tuple[int, Recent[dict[str, Voxels]]]:
        volumes = max(1, CACHE_BYTES // sum(self._sizes.values()))
        return os.getpid(), Recent(self._make, volumes)

    def _make(self, index: int) -> dict[str, Voxels]:
        batch = self.generator.numpy(self.generator.batch([index]))
        return {name: _shared(getattr(batch, name), self._shapes[name]) for name in self._arrays}


def _shared(array: Voxels, shape: tuple[int, ...]) -> Voxels:
    """A view that nobody can write through: it is handed out more than once."""
    view = array.reshape(shape)
    view.flags.writeable = False
    return view


def _bytes_of(array: Voxels) -> Bytes:
    return array.reshape(-1).view(np.uint8)


def _without_shards(document: bytes) -> bytes:
    """The metadata of a built store's array, less its shards and checksums: plain chunks."""
    values = json.loads(document)
    if values["node_type"] == "array":
        (sharding,) = values["codecs"]
        settings = sharding["configuration"]
        values["chunk_grid"]["configuration"]["chunk_shape"] = settings["chunk_shape"]
        values["codecs"] = [codec for codec in settings["codecs"] if codec["name"] == "bytes"]
    return json.dumps(values).encode()


def _shape(document: bytes) -> tuple[int, ...]:
    """Of one volume of an array."""
    return tuple(json.loads(document)["shape"][1:])


def _slice(byte_range: ByteRequest | None, size: int) -> slice:
    match byte_range:
        case RangeByteRequest(start, end):
            return slice(start, end)
        case OffsetByteRequest(offset):
            return slice(offset, None)
        case SuffixByteRequest(suffix):
            return slice(max(0, size - suffix), None)
    return slice(None)

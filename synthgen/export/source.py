"""The volumes of a complete store, each checked against what was committed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.export.errors import ExportError
from synthgen.store.check import metadata_damages
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.metadata import ARRAYS
from synthgen.store.plan import StorePlan
from synthgen.store.reading import Reader, reader
from synthgen.store.shard import content_digest

# Contiguous voxels of a volume, of the array and the volume that are asked for.
Read = Callable[[str, int], npt.NDArray[Any]]


@dataclass(frozen=True)
class Volumes:
    """A store to export.

    Attributes:
        path: its folder, or the YAML file that describes it.
        dtypes: of voxels, by array.
        entries: what was committed of each shard; empty if volumes are made when they are read.
    """

    path: Path
    plan: StorePlan
    attributes: dict[str, Any]
    dtypes: dict[str, np.dtype[Any]]
    entries: dict[int, list[Entry]]
    reader: Read

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a complete store, or one that a YAML file describes.

        Raises:
            StoreError: there is none.
            ExportError: it is incomplete, its metadata are damaged, or it has several images or
                label maps a volume.
        """
        path = Path(path)
        described = path.suffix in (".yaml", ".yml") and not path.is_dir()
        return cls._described(path) if described else cls._built(path)

    @classmethod
    def _described(cls, path: Path) -> Self:
        from synthgen.store.opening import open as open_group

        group: Any = open_group(path)  # of arrays, as stores are
        attributes = dict(group.attrs)
        arrays = {name: group[name] for name in ARRAYS}
        plan = StorePlan.of_attributes(attributes)
        return cls(path, plan, attributes, _dtypes(arrays), {}, reader(group).volume)

    @classmethod
    def _built(cls, path: Path) -> Self:
        import zarr

        store = Store.open(path)
        damages = metadata_damages(store)
        if damages:
            raise ExportError(f"{damages[0]}; mend it with: synthgen repair {path}")
        entries = store.entries()
        absent = sum(
            len(store.plan.volumes(shard)) for shard in store.plan.shards if shard not in entries
        )
        if absent:
            raise ExportError(
                f"{path}: {absent} of {store.plan.count} volumes are still to be made; "
                f"finish it with: synthgen repair {path}"
            )
        group = zarr.open_group(path, mode="r")
        dtypes = _dtypes({name: group[name] for name in ARRAYS})
        read = _checked(reader(group), store, entries)
        return cls(path, store.plan, store.attributes, dtypes, entries, read)

    def entry(self, shard: int) -> Entry:
        """What to tell a watcher of ``shard``: one that was made when read has no size."""
        if self.entries:
            return self.entries[shard][-1]
        volumes, nothing = self.plan.volumes(shard), ShardFile(0, "", "")
        return Entry(
            shard,
            volumes.start,
            volumes.stop,
            image=nothing,
            label=nothing,
            recipe=self.plan.recipe_digest,
            version=version("synthgen"),
        )

    def read(self, name: str, index: int) -> npt.NDArray[Any]:
        """Voxels (z, y, x) of one array, contiguous.

        Raises:
            ExportError: they are not those that were committed.
        """
        return self.reader(name, index).reshape(self.plan.shape)


def _dtypes(arrays: dict[str, Any]) -> dict[str, np.dtype[Any]]:
    for name, array in arrays.items():
        if array.ndim == 5 and array.shape[1] != 1:
            raise ExportError(f"{name}: exports hold one a volume, got {array.shape[1]}")
    return {name: array.dtype for name, array in arrays.items()}


def _checked(volumes: Reader, store: Store, entries: dict[int, list[Entry]]) -> Read:
    """Read, and compare voxels with the manifest."""

    def read(name: str, index: int) -> npt.NDArray[Any]:
        try:
            voxels = volumes.volume(name, index)
        except StoreError as error:
            raise ExportError(str(error)) from error
        shard, place = divmod(index, store.plan.shard_size)
        found = content_digest(voxels)
        known = (entry.files[name].content for entry in entries[shard])
        if not any(digests[8 * place : 8 * place + 8] == found for digests in known):
            raise ExportError(
                f"volume {index}: {store.shard_path(name, shard)} is not as it was committed; "
                f"mend it with: synthgen repair {store.path}"
            )
        return voxels

    return read

"""The volumes of a complete store, each checked against what was committed."""

from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.export.errors import ExportError
from synthgen.store.check import metadata_damages
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.metadata import ARRAYS
from synthgen.store.plan import StorePlan
from synthgen.store.shard import content_digest


@dataclass(frozen=True)
class Volumes:
    """A store to export.

    Attributes:
        path: its folder, or the YAML file that describes it.
        arrays: zarr's, by name; of (volume, 1, z, y, x), the label with or without its 1.
        store: None if volumes are made when they are read, and there is nothing to check.
        entries: what was committed of each shard.
    """

    path: Path
    plan: StorePlan
    attributes: dict[str, Any]
    arrays: dict[str, Any]
    store: Store | None
    entries: dict[int, list[Entry]]

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
        source = cls._described(path) if described else cls._built(path)
        for name, array in source.arrays.items():
            if array.ndim == 5 and array.shape[1] != 1:
                raise ExportError(f"{name}: exports hold one a volume, got {array.shape[1]}")
        return source

    @classmethod
    def _described(cls, path: Path) -> Self:
        from synthgen.store.opening import open as open_group

        group: Any = open_group(path)  # of arrays, as stores are
        attributes = dict(group.attrs)
        plan = StorePlan(**{key.name: attributes[key.name] for key in fields(StorePlan)})
        return cls(path, plan, attributes, {name: group[name] for name in ARRAYS}, None, {})

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
        group: Any = zarr.open_group(path, mode="r")  # of arrays, as stores are
        arrays = {name: group[name] for name in ARRAYS}
        return cls(path, store.plan, store.attributes, arrays, store, entries)

    def entry(self, shard: int) -> Entry:
        """What to tell a watcher of ``shard``: one that was made when read has no size."""
        if self.store:
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
        """Voxels (z, y, x) of one array.

        Raises:
            ExportError: they are not those that were committed; zarr reads a lost file as zeros.
        """
        if self.store:
            voxels = self._checked(self.store, name, index)
        else:
            voxels = np.ascontiguousarray(self.arrays[name][index])
        return voxels.reshape(self.plan.shape)

    def _checked(self, store: Store, name: str, index: int) -> npt.NDArray[Any]:
        shard, place = divmod(index, self.plan.shard_size)
        where = f"volume {index}: {store.shard_path(name, shard)}"
        mend = f"mend it with: synthgen repair {self.path}"
        try:
            voxels = np.ascontiguousarray(self.arrays[name][index])
        except (ValueError, RuntimeError, OSError) as error:
            raise ExportError(f"{where} does not decode: {error}; {mend}") from error
        found = content_digest(voxels)
        known = (entry.files[name].content for entry in self.entries[shard])
        if not any(content[8 * place : 8 * place + 8] == found for content in known):
            raise ExportError(f"{where} is not as it was committed; {mend}")
        return voxels

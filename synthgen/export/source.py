"""The volumes of a complete store, each checked against what was committed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from synthgen.export.errors import ExportError
from synthgen.labels.tasks import Task
from synthgen.store.check import metadata_damages
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store
from synthgen.store.manifest import Entry, ShardFile
from synthgen.store.metadata import ARRAYS
from synthgen.store.plan import StorePlan
from synthgen.store.reading import Reader, reader
from synthgen.store.shard import content_digest
from synthgen.store.tasks import place_of, tasks_of

# Contiguous voxels of a volume, of the array and the volume that are asked for.
Read = Callable[[str, int], npt.NDArray[Any]]


@dataclass(frozen=True)
class Volumes:
    """A store to export.

    Attributes:
        path: its folder, or the YAML file that describes it.
        dtypes, shapes: of one volume, by array: (D, H, W), of several channels or label maps
            (C, D, H, W) or (T, D, H, W), of labels of whole volumes () or (T,).
        tasks: those that are exported.
        entries: what was committed of each shard; empty if volumes are made when they are read.
    """

    path: Path
    plan: StorePlan
    attributes: dict[str, Any]
    dtypes: dict[str, np.dtype[Any]]
    shapes: dict[str, tuple[int, ...]]
    tasks: list[Task]
    entries: dict[int, list[Entry]]
    reader: Read

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a complete store, or one that a YAML file describes.

        Raises:
            StoreError: there is none.
            ExportError: it is incomplete, its metadata are damaged, or it has other labels than its
                tasks.
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
        return cls._of(path, plan, attributes, arrays, {}, reader(group).volume)

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
        arrays = {name: group[name] for name in ARRAYS}
        read = _checked(reader(group), store, entries)
        return cls._of(path, store.plan, store.attributes, arrays, entries, read)

    @classmethod
    def _of(
        cls,
        path: Path,
        plan: StorePlan,
        attributes: dict[str, Any],
        arrays: dict[str, Any],
        entries: dict[int, list[Entry]],
        read: Read,
    ) -> Self:
        channels = arrays["image"].shape[1]
        image = (channels, *plan.shape) if channels > 1 else plan.shape
        dtypes = {name: array.dtype for name, array in arrays.items()}
        shapes = {"image": image, "label": arrays["label"].shape[1:]}
        tasks = tasks_of(attributes)
        held = shapes["label"][0] if len(shapes["label"]) in (1, 4) else 1
        if held != len(tasks):
            raise ExportError(f"label: needs one for each of {len(tasks)} tasks, got {held}")
        return cls(path, plan, attributes, dtypes, shapes, tasks, entries, read)

    @property
    def channels(self) -> int:
        """Of the images."""
        return self.shapes["image"][0] if len(self.shapes["image"]) > 3 else 1

    @property
    def whole_volumes(self) -> bool:
        """Whether labels are of whole volumes: there are no label maps."""
        return len(self.shapes["label"]) < 3

    def of_task(self, name: str | None) -> Self:
        """The same with labels of one task alone; None changes nothing.

        Raises:
            ValueError: there is no such task.
        """
        if name is None:
            return self
        place = place_of(self.tasks, name)
        if len(self.tasks) == 1:
            return self

        def read(array: str, index: int) -> npt.NDArray[Any]:
            voxels = self.reader(array, index)
            return voxels[place] if array == "label" else voxels

        shapes = self.shapes | {"label": self.shapes["label"][1:]}
        return replace(self, tasks=[self.tasks[place]], shapes=shapes, reader=read)

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
        """Voxels of one array, contiguous, in its one of ``shapes``.

        Raises:
            ExportError: they are not those that were committed.
        """
        return self.reader(name, index).reshape(self.shapes[name])


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

"""Whole volumes of a group, read without zarr where it would cost 5 to 10 ms a chunk."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from synthgen.store.codecs import codec_of, decoder
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store, is_store
from synthgen.store.metadata import ALL_ARRAYS, ARRAYS, PROMPTS
from synthgen.store.shard import read_payload

if TYPE_CHECKING:
    import zarr

Voxels = npt.NDArray[Any]


class Reader(Protocol):
    """Reads whole volumes; pickles, and is safe in forked and spawned processes."""

    def volume(self, name: str, index: int) -> Voxels:
        """Contiguous voxels (..., D, H, W), the label of a whole volume, (T,) or (), or prompts.

        What is returned may be shared and read-only.

        Args:
            name: of the array: ``image``, ``label``, or ``prompts`` where there are any.
            index: 0 .. count - 1.

        Raises:
            StoreError: a file is lost or damaged.
        """
        ...


def reader(group: "zarr.Group") -> Reader:
    """The quickest reader of a group of the arrays ``image`` and ``label``, and of its prompts.

    Raises:
        StoreError: its folder is that of a store that cannot be opened.
    """
    from zarr.storage import LocalStore

    opened: Any = group  # of arrays, as stores are
    names = ALL_ARRAYS if PROMPTS in opened else ARRAYS
    store, arrays = opened.store, {name: opened[name] for name in names}
    if not group.path and isinstance(store, LocalStore):
        if is_store(store.root):
            return _ShardReader(Store.open(store.root), _forms(arrays))
        return _ArrayReader(arrays)

    from synthgen.store.generated import GeneratedStore  # imports the engine

    return store if isinstance(store, GeneratedStore) else _ArrayReader(arrays)


@dataclass(frozen=True)
class _Form:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _ShardReader:
    """Decodes chunks of a store's files; opens a file for each, and keeps none."""

    store: Store
    forms: dict[str, _Form]

    def volume(self, name: str, index: int) -> Voxels:
        plan, form = self.store.plan, self.forms[name]
        shard, place = divmod(index, plan.shard_size)
        path = self.store.shard_path(name, shard)
        try:
            content = decoder(codec_of(plan.codec, name))(
                read_payload(path, place, plan.shard_size)
            )
            return np.frombuffer(content, form.dtype).reshape(form.shape)
        except (ValueError, RuntimeError, OSError) as error:
            raise StoreError(
                f"volume {index}: {path} does not decode: {error}; "
                f"mend it with: synthgen repair {self.store.path}"
            ) from error


@dataclass(frozen=True)
class _ArrayReader:
    """Whatever zarr can open."""

    arrays: dict[str, Any]

    def volume(self, name: str, index: int) -> Voxels:
        return np.asarray(self.arrays[name][index], order="C")


def _forms(arrays: dict[str, Any]) -> dict[str, _Form]:
    """Of a volume, as its bytes are stored."""
    return {
        name: _Form(array.dtype.newbyteorder("<"), array.shape[1:])
        for name, array in arrays.items()
    }

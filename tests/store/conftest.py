"""A small recipe, and a generator fast enough for faults at every step."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthgen.engine import Batch
from synthgen.kernels.prompt_records import PromptRow
from synthgen.recipe import Recipe, load_recipe
from synthgen.store import Built, build

COUNT, SHARD_SIZE = 7, 3


class FakeGenerator:
    """Volumes that are a function of (seed, index): blocks of labels and their outlines.

    With prompts, there are rows of numbers for so many label values.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int = 0,
        tasks: int = 1,
        dtype: str = "uint8",
        channels: int = 1,
        prompts: int = 0,
    ) -> None:
        self.recipe = recipe
        self.shape = recipe.reference_shape
        self.seed = seed
        self.tasks = tasks
        self.dtype = dtype
        self.channels = channels
        self.prompts = prompts
        self.made: list[int] = []

    def empty(self, indices: Sequence[int]) -> Batch:
        count = len(indices)
        return Batch(
            image=np.empty((count, self.channels, *self.shape), self.dtype),
            label=np.empty((count, self.tasks, *self.shape), np.uint8),
            index=np.asarray(indices, np.uint64),
            placed=np.empty((count, 0, 1), np.int32),
            prompts=np.empty((count, self.prompts, int(PromptRow.SIZE)), np.int32)
            if self.prompts
            else None,
        )

    def fill(self, batch: Batch) -> Batch:
        for place, index in enumerate(map(int, batch.index)):
            self.made.append(index)
            rng = np.random.default_rng([self.seed, index])
            blocks = rng.integers(0, 5, (self.tasks, *(-(-side // 4) for side in self.shape)))
            label = blocks.repeat(4, 1).repeat(4, 2).repeat(4, 3)
            depth, height, width = self.shape
            batch.label[place] = label[:, :depth, :height, :width]
            batch.image[place] = 128 * (batch.label[place, :1] == 2)
            batch.image[place] //= np.arange(1, self.channels + 1)[:, None, None, None].astype(
                batch.image.dtype
            )
            if batch.prompts is not None:
                batch.prompts[place] = rng.integers(-1, 1000, batch.prompts[place].shape)
        return batch

    def batch(self, indices: Sequence[int]) -> Batch:
        return self.fill(self.empty(indices))

    def numpy(self, batch: Batch) -> Batch:
        return batch


def build_small(recipe: Recipe, out: Path, **changes: Any) -> Built:
    """Seven volumes in shards of three."""
    settings: dict[str, Any] = {"count": COUNT, "seed": 5, "shard_size": SHARD_SIZE, **changes}
    settings.setdefault("generator", FakeGenerator(recipe, settings["seed"]))
    return build(recipe, out, **settings)


def created_otherwise(path: Path, **attributes: Any) -> None:
    """Make the store one that says ``attributes`` of itself, and was created so."""
    from synthgen.store.documents import DOCUMENTS

    group = json.loads((path / "zarr.json").read_text())
    group["attributes"].update(attributes)
    record({name: (path / name).read_bytes() for name in DOCUMENTS}, path, zarr=json.dumps(group))


def record(documents: dict[str, bytes], path: Path, zarr: str) -> None:
    """Write metadata whose group's file is ``zarr``, with the record of it."""
    from synthgen.store.documents import recorded

    for name, content in recorded(documents | {"zarr.json": zarr.encode()}).items():
        (path / name).write_bytes(content)


def decoded(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All voxels, through zarr alone."""
    import zarr

    group = zarr.open_group(path, mode="r")
    names = ("image", "label", *(["prompts"] if "prompts" in group else []))
    return {name: np.asarray(group[name][...]) for name in names}


def assert_same_voxels(path: Path, other: Path) -> None:
    ours, theirs = decoded(path), decoded(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("avs-db").at_shape((16, 16, 16))


@pytest.fixture(scope="session")
def reference(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted build; not to be changed."""
    out = tmp_path_factory.mktemp("reference") / "store"
    build_small(recipe, out)
    return out

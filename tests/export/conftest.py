"""Tiny stores: one of the engine, and one whose volumes are marked at known voxels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthgen.engine import Batch
from synthgen.recipe import Recipe, load_recipe
from synthgen.store import build
from tests.store.conftest import FakeGenerator

SHAPE = (17, 33, 19)
SPACING = (3.0, 2.0, 0.5)  # z, y, x
COUNT = 4


class MarkedGenerator(FakeGenerator):
    """Right, anterior and superior of the centre, one voxel each is of class 1, 2 and 3."""

    def fill(self, batch: Batch) -> Batch:
        batch.image[:], batch.label[:] = 7, 0
        z, y, x = np.array(SHAPE) // 2
        batch.label[:, :, z, y, -1] = 1
        batch.label[:, :, z, -1, x] = 2
        batch.label[:, :, -1, y, x] = 3
        batch.image[:, 0, z, y, -1] = 200
        return batch


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("avs-db").at_shape(SHAPE).replace(spacing=SPACING)


@pytest.fixture(scope="session")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four volumes in shards of three; not to be changed."""
    out = tmp_path_factory.mktemp("store") / "store"
    build(recipe, out, count=COUNT, seed=5, shard_size=3, device="cpu")
    return out


def build_marked(recipe: Recipe, out: Path, generator: Any = None, **changes: Any) -> Path:
    settings: dict[str, Any] = {"count": COUNT, "seed": 5, "shard_size": 3, **changes}
    build(recipe, out, generator=generator or MarkedGenerator(recipe), **settings)
    return out

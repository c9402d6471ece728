"""One small data set, built and as a generated store."""

from pathlib import Path
from typing import Any

import pytest
import zarr

import synthgen
from synthgen.recipe import Recipe, load_recipe
from synthgen.store import build
from synthgen.store.reference import write_reference

SHAPE = (17, 33, 19)
SPACING = (3.0, 2.0, 0.5)  # z, y, x
COUNT, VALIDATION, SEED = 6, 2, 11
PATCH = (9, 16, 19)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("avs-db").at_shape(SHAPE).replace(spacing=SPACING)


@pytest.fixture(scope="session")
def path(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store, its last two volumes for validation; not to be changed."""
    out = tmp_path_factory.mktemp("built") / "store"
    settings: dict[str, Any] = {"count": COUNT, "seed": SEED, "validation": VALIDATION / COUNT}
    build(recipe, out, shard_size=4, device="cpu", **settings)
    return out


@pytest.fixture(scope="session")
def reference(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The YAML file of the same data set."""
    out = tmp_path_factory.mktemp("reference") / "set.yaml"
    write_reference(out, recipe, seed=SEED, count=COUNT, validation=VALIDATION / COUNT)
    return out


@pytest.fixture
def generated(reference: Path) -> zarr.Group:
    return synthgen.open(reference, device="cpu")


@pytest.fixture(params=["built", "generated"])
def source(request: pytest.FixtureRequest, path: Path, generated: zarr.Group) -> Path | zarr.Group:
    return path if request.param == "built" else generated


@pytest.fixture(scope="session")
def arrays(path: Path) -> Any:
    """All voxels, through zarr alone."""
    group: Any = zarr.open_group(path, mode="r")
    return {name: group[name][...] for name in ("image", "label")}

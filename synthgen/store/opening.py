"""One way to open a data set, be it on disk or only described."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from synthgen.recipe import AnyRecipe, Mixture, Recipe, builtin_names, load_recipe
from synthgen.store.check import require_intact
from synthgen.store.errors import StoreError
from synthgen.store.layout import Store
from synthgen.store.plan import VALIDATION, held_out
from synthgen.store.reference import Reference

if TYPE_CHECKING:
    from synthgen.backend import Device
    from synthgen.engine import Generator


def open(
    source: AnyRecipe | str | Path,
    *,
    seed: int | None = None,
    count: int | None = None,
    device: "Device" = "auto",
) -> zarr.Group:
    """Open a data set as a read-only zarr group of the arrays ``image`` and ``label``.

    Where the recipe has prompts, there is an array ``prompts`` too: (volumes, K, columns) int32, a
    row for each label value 1 .. K, as in ``synthgen.kernels.prompt_records.PromptRow``.

    Args:
        source: the folder of a built store; or a recipe, the name of a built-in one or the path
            of a YAML file, whose volumes are then made when they are read; or the path of a YAML
            file that ``synthgen.store.reference.write_reference`` wrote.
        seed: of a recipe's volumes, 0 .. 2^64 - 1, by default 0; a store has its own.
        count: volumes of a recipe, the last tenth of them for validation; a store has its own.
        device: makes the volumes of a recipe; ``auto`` takes CUDA where it is usable.

    Raises:
        RecipeError: the recipe breaks a rule.
        StoreError: there is no such source, the store is damaged or incomplete, count is missing
            or out of bounds, or seed or count was given for what has its own.
        ValueError: the seed is out of range.
        RuntimeError: CUDA was asked for and is not usable.
    """
    name = str(source)
    if isinstance(source, Recipe | Mixture) or name in builtin_names():
        return _generated(load_recipe(source), seed, count, device)
    if name.endswith((".yaml", ".yml")):
        reference = Reference.read(name)
        if reference is None:
            return _generated(load_recipe(name), seed, count, device)
        _refuse_own(name, seed=seed, count=count)
        generator = _generator(reference.recipe, reference.seed, device)
        return _group(generator, reference.count, reference.validation)
    if not Path(name).exists():
        raise StoreError(
            f"source: must be a store's folder, a .yaml file or one of "
            f"{', '.join(builtin_names())}, got {name!r}"
        )
    _refuse_own(name, seed=seed, count=count)
    return _built(Path(name))


def _generated(recipe: AnyRecipe, seed: int | None, count: Any, device: "Device") -> zarr.Group:
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise StoreError(f"count: must be a whole number of volumes, at least 1, got {count!r}")
    volumes = count.__index__()
    return _group(_generator(recipe, seed or 0, device), volumes, held_out(volumes, VALIDATION))


def _generator(recipe: AnyRecipe, seed: int, device: "Device") -> "Generator":
    from synthgen.engine import Generator

    return Generator(recipe, seed=seed, device=device)


def _group(generator: "Generator", count: int, validation: int) -> zarr.Group:
    from synthgen.store.generated import GeneratedStore

    return zarr.open_group(GeneratedStore(generator, count, validation), mode="r")


def _built(path: Path) -> zarr.Group:
    """A store that is there as a whole: zarr reads a lost file as zeros."""
    require_intact(path, ())
    store = Store.open(path)
    committed = store.entries()
    for shard in store.plan.shards:
        files = (store.shard_path(name, shard) for name in store.arrays)
        if shard not in committed or not all(file.is_file() for file in files):
            raise StoreError(
                f"{path}: shard {shard} is absent; make it with: synthgen repair {path}"
            )
    return zarr.open_group(path, mode="r")


def _refuse_own(name: str, **given: int | None) -> None:
    for argument, value in given.items():
        if value is not None:
            raise StoreError(f"{argument}: must be left out, {name} has its own, got {value}")

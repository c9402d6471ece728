"""Pre-training from names: a recipe or a store, a network, a device."""

from os import environ
from pathlib import Path
from typing import Any

from synthgen.recipe import AnyRecipe, load_recipe, recipe_from_dict
from synthgen.store.opening import open as open_source
from synthgen.training.networks import is_planar
from synthgen.training.observer import Observer, Pretrained
from synthgen.training.settings import PretrainSettings

EXTRA = "needs the extra train: pip install 'synthgen[train]'"


def pretrain(
    run: str | Path,
    *,
    recipe: AnyRecipe | str | None = None,
    store: str | Path | None = None,
    network: str = "swinunetr",
    preset: str | None = None,
    device: str = "auto",
    devices: int | None = None,
    nodes: int | None = None,
    observer: Observer | None = None,
    **settings: Any,
) -> Pretrained:
    """Pre-train a network, or go on with the run in the folder ``run``.

    Args:
        run: new folder, or one of a run with the same arguments, which is gone on with; only the
            numbers of devices and nodes may differ.
        recipe: whose volumes are made as the network trains; by default avs-db, or the store's.
            Planes, (1, H, W), train a network of two dimensions.
        store: what ``synthgen.open`` opens, to read volumes from instead; its recipe must be
            ``recipe``, if that is given.
        network: a name in ``synthgen.training.NETWORKS``.
        preset: ``published`` or ``tiny``; by default tiny on a CPU.
        device: ``auto``, ``cpu`` or ``cuda``.
        devices, nodes: processes of a node, one a device, and nodes; by default those that
            torchrun started, or one.
        observer: an ``Observer``.
        settings: of ``PretrainSettings``, instead of the preset's.

    Raises:
        ImportError: the extra ``train`` is not installed.
        RecipeError, StoreError: there is no such recipe or store, or it breaks a rule.
        ValueError: an argument breaks a rule.
        TrainingError, CheckpointError: see ``synthgen.training.loop.train``.
    """
    try:
        import lightning_fabric
        import torch

        from synthgen.training import loop
        from synthgen.training.data import Generated, Stored
    except ImportError as error:
        raise ImportError(f"{EXTRA} ({error})") from None
    accelerator = _accelerator(device, torch.cuda.is_available())
    source: Any = load_recipe(recipe or "avs-db") if store is None else open_source(store)
    made = source if store is None else recipe_from_dict(source.attrs["recipe"])
    if store is not None and not made.per_voxel:  # patches have no labels of their own
        settings = {"shape": made.reference_shape, **settings}
    chosen = PretrainSettings.of(
        network,
        preset or ("published" if accelerator == "cuda" else "tiny"),
        planar=is_planar(made.reference_shape),
        whole=not made.per_voxel,
        **settings,
    )
    if store is None:
        volumes: Any = Generated(source, chosen)
    else:
        volumes = Stored(source, chosen)
        _require_recipe(volumes.recipe, recipe, store)
    devices = devices or int(environ.get("LOCAL_WORLD_SIZE", 1))
    nodes = nodes or int(environ.get("GROUP_WORLD_SIZE", 1))
    fabric = lightning_fabric.Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        # MONAI's residual blocks hold a normalisation that some of them do not use.
        strategy="ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto",
        precision=chosen.precision,
    )
    fabric.launch()
    return loop.train(run, volumes, chosen, fabric, observer)


def _accelerator(device: str, cuda: bool) -> str:
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: must be auto, cpu or cuda, got {device!r}")
    if device == "cuda" and not cuda:
        raise ValueError("device: torch sees no CUDA device; use --device cpu")
    return "cuda" if cuda and device != "cpu" else "cpu"


def _require_recipe(found: AnyRecipe, asked: AnyRecipe | str | None, store: str | Path) -> None:
    """Raise ValueError unless the store's volumes are those that were asked for, of any shape."""
    if asked is None:
        return
    recipe = load_recipe(asked)
    if recipe.at_shape(found.reference_shape).digest() != found.digest():
        raise ValueError(
            f"recipe: the store {store} is of {found.name!r} ({found.digest()[:12]}), "
            f"not of {recipe.name!r}; leave --recipe out, or choose another store"
        )

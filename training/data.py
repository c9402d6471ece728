"""Where a run's volumes come from: made as it trains, or read from a store."""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import zarr
from torch.utils.data import DataLoader, default_collate

from synthgen.cores import available_cores
from synthgen.dataset import Sample, SampleBatches, VolumeDataset
from synthgen.feeding import Feed
from synthgen.recipe import AnyRecipe
from synthgen.samples import Samples, Share
from synthgen.store.opening import open as open_source
from synthgen.training.networks import is_planar
from synthgen.training.settings import PretrainSettings

Tensors = dict[str, torch.Tensor]

STORE_WORKERS_HIGH = 8


@dataclass(frozen=True)
class Ranks:
    """The processes of a run, this one's place among them, and its device."""

    rank: int
    world_size: int
    device: torch.device

    def share(self, batch_size: int) -> Share:
        return Share(batch_size, self.rank, self.world_size)

    def own(self, count: int) -> range:
        """This rank's share of 0 .. count - 1, which may be empty."""
        return range(self.rank, count, self.world_size)


class Volumes(Protocol):
    """The volumes of a run.

    Attributes:
        recipe: of the input's shape where volumes are generated, else of the store.
        seed: of the volumes.
        source: what else tells these volumes from others; plain values.
        first: the first sample of a new run.
    """

    recipe: AnyRecipe
    seed: int
    source: dict[str, Any]
    first: int

    def training(self, first: int, ranks: Ranks) -> Iterator[tuple[Tensors, int]]:
        """Batches without end from sample ``first`` on, each with the sample after its step."""
        ...

    def validation(self, ranks: Ranks) -> Iterator[Tensors]:
        """This rank's share of the volumes held out."""
        ...


class Generated:
    """Volumes made as they are needed: the first ones are held out, and the rest train.

    Raises:
        RecipeError: the recipe does not allow the shape.
        ValueError: its volumes are planes, and the shape is not, or the other way round; or its
            labels are of whole volumes, and the loss is not for them.
    """

    def __init__(self, recipe: AnyRecipe, settings: PretrainSettings) -> None:
        _require_loss(recipe, settings)
        _require_dimensions(recipe.name, recipe.reference_shape, settings)
        self.recipe = recipe.at_shape(settings.shape)
        self.seed, self.source = settings.seed, {"kind": "generated"}
        self._settings = settings
        held_out, volumes = settings.validation, settings.volumes
        self._indices = None if volumes is None else range(held_out, held_out + volumes)
        # Without a set, sample n is volume n.
        self.first = held_out if volumes is None else 0

    def training(self, first: int, ranks: Ranks) -> Iterator[tuple[Tensors, int]]:
        feed = self._feed(
            ranks, indices=self._indices, shuffle=self._indices is not None, start=first,
            rank=ranks.rank, world_size=ranks.world_size,
        )  # fmt: skip

        def batches() -> Iterator[tuple[Tensors, int]]:
            while True:
                for batch in feed:
                    yield batch, feed.state_dict()["next_sample"]

        return batches()

    def validation(self, ranks: Ranks) -> Iterator[Tensors]:
        share = ranks.own(self._settings.validation)
        return iter(self._feed(ranks, indices=share, drop_last=False)) if share else iter(())

    def _feed(self, ranks: Ranks, **arguments: Any) -> Feed:
        settings = self._settings
        return Feed(
            self.recipe, batch_size=settings.batch_size, seed=settings.seed, device=ranks.device,
            normalize=settings.normalize, **arguments,
        )  # fmt: skip


class Stored:
    """Volumes of a store, or random patches of them, along the split that it records.

    Args:
        source: what ``synthgen.open`` opens, or a group that it opened.

    Raises:
        StoreError: there is none, or it is damaged or incomplete.
        ValueError: it holds no volumes out, or too small ones; or it holds planes, and the shape is
            not one; or its labels are of whole volumes, and the loss is not for them or the shape
            is not theirs; or a set of volumes was asked for.
    """

    first = 0

    def __init__(self, source: str | Path | zarr.Group, settings: PretrainSettings) -> None:
        if settings.volumes is not None:
            raise ValueError(f"volumes: a store has its own, got {settings.volumes}")
        self._settings = settings
        group = source if isinstance(source, zarr.Group) else open_source(source)
        attributes: dict[str, Any] = dict(group.attrs)
        if is_planar(attributes.get("shape", settings.shape)):  # patches of a slice are planes, too
            _require_dimensions(attributes["recipe"]["name"], attributes["shape"], settings)
        opened = partial(
            VolumeDataset, group, normalize=settings.normalize, seed=settings.seed,
            patch_size=settings.shape, transform=_plain,
        )  # fmt: skip
        self._training, self._validation = opened(split="training"), opened(split="validation")
        self.recipe, self.seed = self._training.recipe, self._training.attributes["seed"]
        _require_loss(self.recipe, settings)
        _require_whole(self.recipe, settings)
        channels = self._training.channels
        if channels != self.recipe.channels:
            raise ValueError(
                f"store: its recipe makes images of {self.recipe.channels} channels, and it has "
                f"{channels}; the store is not of its recipe"
            )
        self.source = {
            "kind": "store",
            "count": self._training.attributes["count"],
            "splits": self._training.attributes["splits"],
        }

    def training(self, first: int, ranks: Ranks) -> Iterator[tuple[Tensors, int]]:
        settings, share = self._settings, ranks.share(self._settings.batch_size)
        samples = Samples(range(len(self._training)), shuffle=True, seed=settings.seed)
        workers = min(STORE_WORKERS_HIGH, available_cores() - 1)
        loader = DataLoader(
            self._training,
            batch_sampler=SampleBatches(samples, share, first),
            num_workers=workers,
            pin_memory=ranks.device.type == "cuda",
            worker_init_fn=_ignore_interrupts,
            # Forked processes cannot use the CUDA context of this one.
            multiprocessing_context="spawn" if workers else None,
        )
        for number, batch in enumerate(loader, 1):
            yield _on(batch, ranks.device), first + number * share.step

    def validation(self, ranks: Ranks) -> Iterator[Tensors]:
        mine = ranks.own(min(self._settings.validation, len(self._validation)))
        size = self._settings.batch_size
        for start in range(0, len(mine), size):
            items = [self._validation[Sample(place, 0)] for place in mine[start : start + size]]
            yield _on(default_collate(items), ranks.device)


def _require_loss(recipe: AnyRecipe, settings: PretrainSettings) -> None:
    """Raise ValueError unless the loss is for such labels."""
    if not recipe.per_voxel and settings.loss != "ce":
        raise ValueError(
            f"loss: must be ce, as {recipe.name} labels whole volumes, got {settings.loss}"
        )


def _require_whole(recipe: AnyRecipe, settings: PretrainSettings) -> None:
    """Raise ValueError if patches would be labelled as whole volumes are."""
    if not recipe.per_voxel and settings.shape != recipe.reference_shape:
        raise ValueError(
            f"shape: must be {list(recipe.reference_shape)}, as {recipe.name} labels whole "
            f"volumes, got {list(settings.shape)}"
        )


def _require_dimensions(source: str, shape: Sequence[int], settings: PretrainSettings) -> None:
    """Raise ValueError unless volumes of ``shape`` and input are planes, or neither is."""
    if is_planar(shape) == is_planar(settings.shape):
        return
    volumes, wanted = ("planes", "one of (1, H, W)") if is_planar(shape) else ("volumes", "D > 1")
    dimensions = 2 if is_planar(settings.shape) else 3
    raise ValueError(
        f"shape: {source} has {volumes} of {list(shape)}, and needs {wanted}; {settings.network} "
        f"would have {dimensions} dimensions, got {list(settings.shape)}"
    )


def _ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches all processes of a terminal; the run still needs batches to end a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Plain tensors, which collate and travel at less cost than MONAI's."""
    return {
        "image": item["image"].as_subclass(torch.Tensor),
        "label": item["label"].as_subclass(torch.Tensor),
        "index": item["index"],
    }


def _on(batch: Tensors, device: torch.device) -> Tensors:
    return {
        name: tensor if name == "index" else tensor.to(device, non_blocking=True)
        for name, tensor in batch.items()
    }

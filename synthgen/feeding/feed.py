"""The feed: batches of torch tensors, generated ahead of the network that trains on them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from synthgen.backend import Device
from synthgen.cores import available_cores
from synthgen.engine import Batch, Generator
from synthgen.feeding.ahead import in_thread, on_side_stream
from synthgen.feeding.buffers import Buffers
from synthgen.recipe import AnyRecipe
from synthgen.samples import Samples, Share, steps
from synthgen.tensors import (
    Axes,
    Normalize,
    check_options,
    normalized,
    ordered,
    ordered_prompts,
    require_torch,
    targets,
)

if TYPE_CHECKING:
    import torch

CUDA_VOLUMES = 32  # made at once, so that small batches fill the device
INDEX_HIGH = 2**63  # torch's index type

Tensors = dict[str, "torch.Tensor"]


class _Made(NamedTuple):
    """One batch, and the sample that comes after its step."""

    batch: Tensors
    next_sample: int


class Feed:
    """Batches of volumes made while a network trains, a pure function of its arguments.

    Iterating yields dicts of torch tensors on ``device``, which stay valid for as long as they are
    kept: ``image`` (B, C, D, H, W), ``label`` (B, T, D, H, W), 0 = background, uint8 or (above 255
    classes) int32, T label maps, one a task; ``index`` (B,) int64 volume indices, on the host.
    Labels of whole volumes are (B, T) int64, classes from 0 on. Where the recipe has prompts,
    ``prompts`` is (B, K, PromptRow.SIZE) int32, of the label values 1 .. K: columns are those of
    ``synthgen.kernels.prompt_records.PromptRow``, voxels come in the order ``axes``, and -1 says
    that there is none.

    On CUDA, kernels write into torch's memory on a side stream, one chunk of batches ahead (one
    device a process); on the CPU a thread makes them. Without ``indices`` there is no end; with
    them an iteration is one pass. Iterating again goes on where the last iteration stopped.

    Args:
        recipe: a recipe, the name of a built-in one, or the path of a YAML file.
        batch_size: volumes a rank gets at each step.
        seed: 0 .. 2^64 - 1; of the volumes, and of the order of passes.
        device: ``auto``, ``cpu``, ``cuda``, or a ``torch.device``.
        rank, world_size: of this process. A step takes the next ``batch_size x world_size``
            samples, a consecutive share for each rank.
        start: first sample. Without ``indices`` sample n is volume n.
        indices: the volumes of a finite set, as ``range(5000)``.
        shuffle: takes the set in another order at each pass.
        drop_last: leaves out what makes no full step at the end of a pass.
        normalize: intensities as float32: ``unit`` divides by the recipe's largest, ``zscore``
            makes mean 0 and standard deviation 1 of each channel of each volume; None gives the
            recipe's type.
        axes: ``zyx``, or ``xyz`` as MONAI and NIfTI tools have them.

    Raises:
        ImportError: torch is not installed.
        RecipeError: there is no such recipe, or it breaks a rule.
        ValueError: an argument is out of range.
        RuntimeError: CUDA was asked for and is not usable.
    """

    def __init__(
        self,
        recipe: AnyRecipe | str,
        *,
        batch_size: int,
        seed: int = 0,
        device: "str | torch.device" = "auto",
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        indices: Sequence[int] | None = None,
        shuffle: bool = False,
        drop_last: bool = True,
        normalize: Normalize = "unit",
        axes: Axes = "zyx",
    ) -> None:
        require_torch()
        check_options(normalize, axes)
        if indices is not None and len(indices):
            _require_index(min(indices), "indices")
            _require_index(max(indices), "indices")
        self.samples = Samples(indices, shuffle, seed)
        self.share = Share(batch_size, rank, world_size)
        self._drop_last = drop_last
        self._check_steps()
        self.load_state_dict({"next_sample": start})
        self._normalize, self._axes = normalize, axes
        self.device = _device(device)
        with self._device_chosen():
            self.generator = Generator(recipe, seed=seed, device=cast(Device, self.device.type))
        self._buffers = Buffers()

    def _check_steps(self) -> None:
        count, share = self.samples.count, self.share
        if not self._drop_last and share.world_size > 1:
            raise ValueError("drop_last: must be true with several ranks, all need equal steps")
        if self._drop_last and count is not None and count < share.step:
            raise ValueError(
                f"indices: {count} volumes make no full step of {share.step}; "
                "lower batch_size or set drop_last=False"
            )

    def state_dict(self) -> dict[str, int]:
        """``next_sample``: what comes after the last batch that was yielded, of all ranks."""
        return {"next_sample": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from ``next_sample``, whatever batch and world size it was reached with."""
        _require_index(state["next_sample"], "start")
        self._next = state["next_sample"]

    def __len__(self) -> int:
        """Steps of a whole pass; raises TypeError without end."""
        count = self.samples.count
        if count is None:
            raise TypeError("a feed without indices has no length")
        return count // self.share.step if self._drop_last else -(-count // self.share.step)

    def __iter__(self) -> Iterator[Tensors]:
        count = self.samples.count
        for made in self._ahead(self._chunks(self._next)):
            self._next = made.next_sample
            yield made.batch
        if count is not None:  # what drop_last left out is behind us too
            self._next = -(-self._next // count) * count

    def _ahead(self, chunks: Iterator[list[_Made]]) -> Iterator[_Made]:
        if self.device.type == "cpu":
            return in_thread(chunks)
        import torch

        return on_side_stream(chunks, _device_tensors, torch.cuda, self.device)

    def _chunks(self, first: int) -> Iterator[list[_Made]]:
        """Steps from sample ``first``, so many at once that they keep the device busy."""
        at_once = max(1, -(-self._volumes_at_once() // self.share.batch_size))
        pending = steps(first, self.samples.count, self.share, self._drop_last)
        while chunk := list(islice(pending, at_once)):
            yield self._made(chunk)

    def _volumes_at_once(self) -> int:
        if self.device.type == "cpu":
            return available_cores()
        return min(CUDA_VOLUMES, self.generator.default_batch_size)

    def _made(self, chunk: list[tuple[int, int]]) -> list[_Made]:
        volumes = [self.samples.volumes(*self.share.of_step(*step)) for step in chunk]
        batch, sizes = self._generated(np.concatenate(volumes)), [len(index) for index in volumes]
        names = ["image", "label", *(["prompts"] if batch.prompts is not None else [])]
        parts = zip(*(getattr(batch, name).split(sizes) for name in names), strict=True)
        return [
            _Made(self._finished(dict(zip(names, part, strict=True)), index), stop)
            for part, index, (_, stop) in zip(parts, volumes, chunk, strict=True)
        ]

    def _generated(self, index: npt.NDArray[np.uint64]) -> Batch:
        """Volumes as the recipe makes them, in torch's memory."""
        import torch

        if self.device.type == "cpu":
            return self.generator.fill(self.generator.empty(index, self._recycled))
        with self._device_chosen():
            batch = self.generator.empty(index, self._on_cuda)
            stream = torch.cuda.current_stream().cuda_stream
            return self.generator.fill(batch, stream=stream)

    def _normalized(self, image: "torch.Tensor") -> "torch.Tensor":
        high, on_host = self.generator.recipe.intensity_high, self.device.type == "cpu"
        out = self._recycled(image.shape, "float32") if on_host and self._normalize else None
        return normalized(image, self._normalize, high, out)

    def _device_chosen(self) -> AbstractContextManager[Any]:
        import torch

        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def _recycled(self, shape: tuple[int, ...], dtype: str) -> "torch.Tensor":
        import torch

        return torch.from_numpy(self._buffers.empty(shape, dtype))

    def _on_cuda(self, shape: tuple[int, ...], dtype: str) -> "torch.Tensor":
        import torch

        return torch.empty(shape, dtype=getattr(torch, dtype), device=self.device)

    def _finished(self, made: Tensors, index: npt.NDArray[np.uint64]) -> Tensors:
        """A batch as it is asked for, of tensors as the recipe makes them."""
        import torch

        batch = {
            "image": ordered(self._normalized(made["image"]), self._axes),
            "label": targets(made["label"], self._axes),
            "index": torch.from_numpy(index.astype(np.int64)),
        }
        if "prompts" in made:
            batch["prompts"] = ordered_prompts(made["prompts"], self._axes)
        return batch


def _require_index(value: int, name: str) -> None:
    if not 0 <= value < INDEX_HIGH:
        raise ValueError(f"{name}: must lie in 0..2^63 - 1, got {value}")


def _device_tensors(made: _Made) -> "Iterator[torch.Tensor]":
    return (tensor for name, tensor in made.batch.items() if name != "index")


def _device(device: "str | torch.device") -> "torch.device":
    """The torch device to train on, with its number on CUDA.

    Raises:
        ValueError: it is neither the CPU nor CUDA.
        RuntimeError: torch has no CUDA.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device: must be auto, cpu, cuda or cuda:N, got {str(device)!r}")
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device: torch sees no CUDA device; use device='cpu'")
    if chosen.type == "cuda" and chosen.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return chosen


feed = Feed  # a verb where it is called

"""Stores as torch data sets: volumes, or random patches of them, as MONAI and TorchIO take them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import zarr

from synthgen.kernels.streams import Stream
from synthgen.recipe import AnyRecipe, recipe_from_dict
from synthgen.rng import DRAWS_MAX, random_words
from synthgen.samples import Samples, Share, steps
from synthgen.store.metadata import PROMPTS
from synthgen.store.opening import open as open_source
from synthgen.store.reading import Voxels, reader
from synthgen.tensors import (
    Axes,
    Normalize,
    affine_of,
    check_options,
    normalized,
    ordered,
    ordered_prompts,
    prompts_of_patch,
    require_torch,
    targets,
)

require_torch()

import torch  # noqa: E402 - once it is known to be there
from torch.utils.data import Dataset  # noqa: E402

Split = Literal["training", "validation"]
Where = tuple[slice, slice, slice]

_WHOLE: Where = (slice(None), slice(None), slice(None))


class Sample(NamedTuple):
    """What determines an item to the bit, whichever process makes it.

    Attributes:
        index: the place in the data set.
        draw: which random patch of the volume, 0 .. 2^48 - 1; nothing for whole volumes.
    """

    index: int  # type: ignore[assignment]  # hides tuple's method, which nobody needs here
    draw: int


class VolumeDataset(Dataset[Any]):
    """The volumes of a store, each a dictionary.

    ``image`` is (C, D, H, W), float32 where it is normalised, else of the stored type; ``label`` is
    (T, D, H, W), a label map a task, uint8, or int32 above 255 classes; ``index`` is the volume's
    in the store. With MONAI image and label are MetaTensors, whose affine is that of the axes'
    order and has the origin of a patch; without it they are plain tensors, and ``affine`` is a
    further key. A batch of MONAI's ``DataLoader`` has the affines of all its items, one of torch's
    that of its first. The label of a whole volume is a plain tensor (T,), int64, also of a patch.

    Where the store has prompts, ``prompts`` is a plain tensor (K, PromptRow.SIZE), int32, of the
    label values 1 .. K, columns as in ``synthgen.kernels.prompt_records.PromptRow``, voxels in the
    order of ``axes``, -1 where there is none. In a patch they are those of the volume that are left
    there, counted from the patch's first voxel: a box is cut to the patch, clicks outside are gone,
    VOXELS are counted anew, and a label whose box or slice lies outside is asked for no more. A
    transform that turns or flips the image leaves prompts as they are.

    An item is asked for with its place, and a patch then lies where torch's random numbers say,
    which a ``DataLoader`` seeds for each worker and epoch; or with a ``Sample``, and it is the same
    each time. Forked and spawned workers are safe; with volumes made on CUDA only spawned ones.

    Attributes:
        recipe: of the store's volumes.
        channels: C of their images.
    """

    def __init__(
        self,
        source: str | Path | zarr.Group,
        *,
        split: Split | None = None,
        patch_size: tuple[int, int, int] | None = None,
        normalize: Normalize = "unit",
        axes: Axes = "zyx",
        transform: Callable[[dict[str, Any]], Any] | None = None,
        seed: int = 0,
    ) -> None:
        """Open the source.

        Args:
            source: what ``synthgen.open`` opens without further arguments, or a group that it
                opened.
            split: the volumes that the store lists for it; None takes all.
            patch_size: (D, H, W) of a random patch, voxels, whatever the order of axes.
            normalize: see ``synthgen.tensors.normalized``; z-scores are of whole volumes, a channel
                by itself, also in patches. With None, workers send uint8: a quarter of the bytes.
            axes: order of the last three axes; ``xyz`` is that of NIfTI files: right, anterior,
                superior.
            transform: applied to each item; MONAI's transforms of dictionaries fit.
            seed: of the patches' places, 0 .. 2^64 - 1.

        Raises:
            ValueError: an argument breaks a rule, or the split has no volumes.
            StoreError: there is no such store, or it is damaged or incomplete.
        """
        check_options(normalize, axes)
        if split is not None and split not in get_args(Split):
            raise ValueError(f"split: must be training, validation or None, got {split!r}")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed: must lie in 0..2^64 - 1, got {seed}")
        group: Any = source if isinstance(source, zarr.Group) else open_source(source)
        if "recipe" not in group.attrs:
            raise ValueError(f"source: must be a group that synthgen.open opened, got {group!r}")
        self.recipe = recipe_from_dict(group.attrs["recipe"])
        self.attributes: dict[str, Any] = dict(group.attrs)
        self._volumes = _volumes(self.attributes, split)
        self._patches = None if patch_size is None else _Patches(self.recipe, patch_size, seed)
        self.channels: int = group["image"].shape[1]
        self._reader, self._prompted = reader(group), PROMPTS in group
        self._normalize, self._axes, self._transform = normalize, axes, transform
        self._meta_tensor = _meta_tensor()

    def __len__(self) -> int:
        return len(self._volumes)

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        """An item.

        Args:
            index: the place in the data set, or a ``Sample``.

        Raises:
            IndexError: there is no such place.
            StoreError: the store has since lost the volume's file, or it is damaged.
        """
        place, draw = index if isinstance(index, tuple) else (index, None)
        if not -len(self) <= place < len(self):
            raise IndexError(f"index: must lie in {-len(self)}..{len(self) - 1}, got {place}")
        volume = self._volumes[place]
        where = _WHOLE if self._patches is None else self._patches.where(volume, draw)
        image = ordered(self._image(volume, where), self._axes)
        label = self._reader.volume("label", volume)
        item = self._placed(image, self._label(label, where), self._affine(where))
        if self._prompted:
            item["prompts"] = self._prompts(volume, label, where)
        item["index"] = volume
        return item if self._transform is None else self._transform(item)

    def _image(self, volume: int, where: Where) -> torch.Tensor:
        voxels, high = self._reader.volume("image", volume), self.recipe.intensity_high
        if self._normalize != "zscore":
            return normalized(_own(voxels[(..., *where)]), self._normalize, high)
        part = normalized(_own(voxels), "zscore", high)[(..., *where)]
        # Else all of the volume would be sent to another process.
        return part if where is _WHOLE else part.clone()

    def _label(self, label: Voxels, where: Where) -> torch.Tensor:
        if label.ndim < 2:  # of the whole volume, which a patch keeps
            return targets(_own(label.reshape(-1)), self._axes)
        part = label[(..., *where)]
        return targets(_own(part.reshape(-1, *part.shape[-3:])), self._axes)

    def _prompts(self, volume: int, label: Voxels, where: Where) -> torch.Tensor:
        rows = self._reader.volume(PROMPTS, volume)
        if where is not _WHOLE:
            asked = label.reshape(-1, *label.shape[-3:])[0]  # of the first task
            rows = prompts_of_patch(rows, [along.start for along in where], asked[where])
        return ordered_prompts(_own(rows), self._axes)

    def _affine(self, where: Where) -> npt.NDArray[np.float64]:
        affine = affine_of(self.recipe.spacing, self._axes)
        origin = [along.start or 0 for along in where]
        affine[:3, 3] = affine[:3, :3] @ (origin if self._axes == "zyx" else origin[::-1])
        return affine

    def _placed(
        self, image: torch.Tensor, label: torch.Tensor, affine: npt.NDArray[np.float64]
    ) -> dict[str, Any]:
        place = torch.from_numpy(affine)
        if self._meta_tensor is None:
            return {"image": image, "label": label, "affine": place}
        placed = self._meta_tensor(image, affine=place)
        if label.ndim < 4:
            return {"image": placed, "label": label}
        return {"image": placed, "label": self._meta_tensor(label, affine=place)}


@dataclass
class SampleBatches:
    """Batches of one rank, for the ``batch_sampler`` of a ``DataLoader``.

    Iterating again begins at ``first`` again: set it to the next sample before each pass, and to
    resume. A batch is ``share.step`` samples, of all ranks, after the one before it.

    Attributes:
        samples: of the places in the data set: ``Samples(range(len(dataset)), ...)``.
        first: the first sample.
        endless: goes on with the next pass; else ends with the pass that ``first`` lies in.
    """

    samples: Samples
    share: Share
    first: int = 0
    endless: bool = True

    def __iter__(self) -> Iterator[list[Sample]]:
        count = None if self.endless else self.samples.count
        for step in steps(self.first, count, self.share, drop_last=False):
            start, stop = self.share.of_step(*step)
            places = self.samples.volumes(start, stop).tolist()
            if places:  # what is left of a pass may not reach this rank
                yield list(map(Sample, places, range(start, stop)))


class _Patches:
    """Where random patches lie: a pure function of (seed, volume, draw)."""

    def __init__(self, recipe: AnyRecipe, size: tuple[int, int, int], seed: int) -> None:
        shape, sides = recipe.reference_shape, np.asarray(size)
        whole = sides.shape == (3,) and sides.dtype.kind in "iu"
        if not whole or (sides < 1).any() or (sides > shape).any():
            raise ValueError(
                f"patch_size: needs 3 sides (D, H, W) of at least 1 and at most {shape} voxels, "
                f"got {size}"
            )
        self._seed = seed
        self._size: list[int] = sides.tolist()
        self._places: list[int] = (shape - sides + 1).tolist()

    def where(self, volume: int, draw: int | None) -> Where:
        """The patch of ``draw``, None for one of torch's random numbers."""
        if draw is None:
            draw = int(torch.randint(DRAWS_MAX, ()))
        if not 0 <= draw < DRAWS_MAX:
            raise ValueError(f"draw: must lie in 0..2^48 - 1, got {draw}")
        words = random_words(self._seed, volume, Stream.PATCH, draw).tolist()
        # The high half of a product; a place is off its share by less than 2^-23 of it.
        starts = [word * places >> 32 for word, places in zip(words, self._places, strict=False)]
        z, y, x = (
            slice(start, start + side) for start, side in zip(starts, self._size, strict=True)
        )
        return z, y, x


def _volumes(attributes: dict[str, Any], split: Split | None) -> range:
    if split is None:
        return range(attributes["count"])
    volumes = range(*attributes["splits"][split])
    if not volumes:
        raise ValueError(f"split: the source has no volumes for it, got {split!r}")
    return volumes


def _own(voxels: Voxels) -> torch.Tensor:
    """In memory of its own, writable, as what was read need not be."""
    return torch.from_numpy(np.array(voxels))


def _meta_tensor() -> Callable[..., torch.Tensor] | None:
    """MONAI's MetaTensor, where MONAI is installed."""
    try:
        from monai.data.meta_tensor import MetaTensor
    except ImportError:
        return None
    return MetaTensor

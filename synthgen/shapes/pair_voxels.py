"""The voxels of images and their label maps in a folder.

References:
    "Supervised anatomical pre-training", arXiv 2506.19590, and its public code: intensities.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.volume_file import FileError, Volume, read_channels, read_volume
from synthgen.settings import Shape
from synthgen.shapes.pair_files import DOCUMENT, Case, PairFolder, Spacing, orientation, told

_LOW, _HIGH = 1, 99  # percentiles to which intensities are cut
_TOLD = 3  # things that a message names
_WHOLE, _UNNAMED = 1e-4, -1

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class PairVoxels:
    """The voxels of S cases, one after another.

    Attributes:
        sides: (S, 3) int32, of each case.
        starts: (S,) int64, voxels before each.
        images: (C * V,) float16, 0 .. 1; of a case, channel after channel.
        labels: (V,) uint8 or uint16, 0 and the classes 1, 2, ...
    """

    sides: NDArray[np.int32]
    starts: NDArray[np.int64]
    images: NDArray[np.float16]
    labels: NDArray[Any]


def read_pairs(found: PairFolder, folder: Path, spacing: Spacing | None) -> PairVoxels:
    """All voxels.

    Args:
        spacing: (z, y, x) of a voxel, mm, to which cases are resampled; None: as they are.

    Raises:
        ValueError: a file cannot be used; the message names it and the rule.
        RuntimeError: nibabel is not installed.
    """
    shapes = [case.shape_at(spacing) for case in found.cases]
    stops = np.cumsum([math.prod(shape) for shape in shapes], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])
    images = np.empty(found.channels * int(stops[-1]), np.float16)
    labels = np.empty(int(stops[-1]), found.label_type)
    for case, shape, start, stop in zip(found.cases, shapes, starts, stops, strict=True):
        steps = [new / own for own, new in zip(case.spacing, spacing or case.spacing, strict=True)]
        image = images[found.channels * start : found.channels * stop]
        channels = _channels(case, folder)
        for out, channel in zip(image.reshape(found.channels, *shape), channels, strict=True):
            out[...] = resampled(scaled_to_unit(channel), shape, steps)
        label = _classes(case.label, found, folder)
        labels[start:stop].reshape(shape)[...] = resampled_labels(label, shape, steps)
    return PairVoxels(np.array(shapes, np.int32), starts, images, labels)


def _channels(case: Case, folder: Path) -> Iterator[NDArray[np.float32]]:
    """Each channel, (D, H, W)."""
    for path in case.images:
        volume = _read(read_channels, path, folder)
        for values in volume.values:
            with np.errstate(over="ignore", invalid="ignore"):  # of what is refused next
                channel = values.astype(np.float32) * np.float32(volume.slope)
                channel += np.float32(volume.offset)
            if not np.isfinite(channel).all():
                raise ValueError(f"{told(folder, path)}: values must be finite, got nan or inf")
            yield _turned(channel, volume.affine)


def _classes(path: Path, found: PairFolder, folder: Path) -> NDArray[Any]:
    """A label map, (D, H, W): 0 and the classes 1, 2, ..."""
    volume = _read(read_volume, path, folder)
    values = volume.values
    if values.dtype.kind == "f" or (volume.slope, volume.offset) != (1.0, 0.0):
        exact = values * volume.slope + volume.offset
        with np.errstate(invalid="ignore"):  # of what is refused next
            values = np.rint(exact)
        if not (np.abs(exact - values) < _WHOLE).all():
            raise ValueError(f"{told(folder, path)}: values must be whole numbers")
    table = np.full(max(found.values) + 1, _UNNAMED, np.int32)
    table[[0, *found.values]] = np.arange(len(found.values) + 1)
    low, high = values.min(), values.max()
    bad = low if low < 0 else high if high >= len(table) else None
    if bad is None:
        classes = table[values.astype(np.int32, copy=False)]
        if classes.min() >= 0:
            return _turned(classes.astype(found.label_type), volume.affine)
        bad = values[classes < 0][0]
    named = ", ".join(map(str, found.values[:_TOLD])) + (", ..." * (len(found.values) > _TOLD))
    raise ValueError(
        f"{told(folder, path)}: values must be 0 or named by the labels of {DOCUMENT} ({named}), "
        f"got {int(bad)}"
    )


def _read(read: Callable[[Path], Volume], path: Path, folder: Path) -> Volume:
    try:
        return read(path)
    except FileError as error:
        raise ValueError(f"{told(folder, path)}: {error}") from None


def scaled_to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values cut at percentiles 1 and 99 and scaled to 0 .. 1; 0 where the two are the same."""
    low, high = (np.float32(cut) for cut in np.percentile(values, (_LOW, _HIGH)))
    if not 0 < high - low < np.inf:
        return np.zeros_like(values)
    unit: NDArray[np.float32] = (np.clip(values, low, high) - low) / (high - low)
    return np.clip(unit, 0, 1)


def resampled(
    values: NDArray[np.float32], shape: Shape, steps: Sequence[float]
) -> NDArray[np.float32]:
    """Linear interpolation on a lattice about the same middle; at the border, the outermost value.

    Args:
        values: (D, H, W), two or more along each axis.
        shape: of the result.
        steps: voxels of ``values`` between its voxels, along each axis.
    """
    for axis, (side, step) in enumerate(zip(shape, steps, strict=True)):
        places = _places(values.shape[axis], side, step)
        first = np.minimum(places.astype(np.int64), values.shape[axis] - 2)
        share = (places - first).astype(np.float32)
        if np.array_equal(places, np.arange(values.shape[axis])):
            continue
        one, other = (np.moveaxis(values.take(at, axis), axis, -1) for at in (first, first + 1))
        values = np.moveaxis(one + share * (other - one), -1, axis)
    return values


def resampled_labels(labels: NDArray[Any], shape: Shape, steps: Sequence[float]) -> NDArray[Any]:
    """The nearest label on a lattice, see ``resampled``; of two, the one further on."""
    places = [
        np.minimum(np.floor(_places(own, side, step) + 0.5).astype(np.int64), own - 1)
        for own, side, step in zip(labels.shape, shape, steps, strict=True)
    ]
    return labels[np.ix_(*places)]


def _places(own: int, side: int, step: float) -> NDArray[np.float64]:
    """Positions of ``side`` lattice points among ``own`` values."""
    about = (np.arange(side) - (side - 1) / 2) * step + (own - 1) / 2
    places: NDArray[np.float64] = np.clip(about, 0, own - 1)
    return places


def _turned(values: NDArray[Kind], affine: NDArray[np.float64]) -> NDArray[Kind]:
    """(K, J, I) as (z, y, x): up, front, right."""
    apply = import_module("nibabel.orientations").apply_orientation
    turned: NDArray[Kind] = np.ascontiguousarray(apply(values.T, orientation(affine)).T)
    return turned

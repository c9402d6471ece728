"""Folders of images and their label maps, as nnU-Net and the Decathlon lay them out.

Reading has two parts: what a folder holds, by its ``dataset.json`` and the files' headers, and the
voxels. Nothing is read beyond the first where a rule is broken, or memory would not suffice.

References:
    https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
    http://medicaldecathlon.com
    "Supervised anatomical pre-training", arXiv 2506.19590, and its public code: intensities.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.names import checked_name
from synthgen.bank.volume_file import (
    FileError,
    Header,
    Volume,
    read_channels,
    read_header,
    read_volume,
    stem_of,
)
from synthgen.settings import Shape, read_text

DOCUMENT = "dataset.json"
CASES_MAX = 10_000
SIDE_MAX = 4096  # voxels, of a case
CHANNELS_MAX = 16

_DOCUMENT_MAX = 2**26  # bytes
_ENDINGS = (".nii.gz", ".nii")
_LOW, _HIGH = 1, 99  # percentiles to which intensities are cut
_APART = 0.5  # voxels that a label map may lie off its image
_TOLD = 3  # things that a message names
_IMAGE_BYTES = 2
_VALUES = 2**16  # of label maps
_WHOLE, _UNNAMED = 1e-4, -1

Kind = TypeVar("Kind", bound=np.generic)
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Case:
    """One image and its label map.

    Attributes:
        name: of the case.
        images: files, one a channel, or one of all channels.
        label: its file.
        shape: (D, H, W) in voxels, axes turned to up, front, right (RAS+ from the end).
        spacing: (z, y, x) of a voxel, mm.
    """

    name: str
    images: tuple[Path, ...]
    label: Path
    shape: Shape
    spacing: Spacing

    def shape_at(self, spacing: Spacing | None) -> Shape:
        """Its shape when it is resampled."""
        if spacing is None:
            return self.shape
        sides = zip(self.shape, self.spacing, spacing, strict=True)
        d, h, w = (max(1, round(side * own / new)) for side, own, new in sides)
        return d, h, w


@dataclass(frozen=True)
class PairFolder:
    """What a folder holds.

    Attributes:
        cases: in the order of their names.
        names: of the classes, in the order of their values.
        values: of the label maps; the first class's is first, 0 is background.
        channels: of the images.
        digest: of what determines their voxels.
        remarks: what is worth telling, a line each.
    """

    cases: tuple[Case, ...]
    names: tuple[str, ...]
    values: tuple[int, ...]
    channels: int
    digest: str
    remarks: tuple[str, ...]

    def bytes_at(self, spacing: Spacing | None) -> int:
        """Memory that the voxels take, images as float16."""
        voxels = sum(math.prod(case.shape_at(spacing)) for case in self.cases)
        return voxels * (_IMAGE_BYTES * self.channels + self.label_type.itemsize)

    @property
    def label_type(self) -> np.dtype[Any]:
        """The smaller type that holds all classes."""
        return np.dtype(np.uint8 if len(self.names) < 256 else np.uint16)


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


# ---------------------------------------------------------------------------------------- a folder


def find_pairs(folder: Path) -> PairFolder:
    """What is in a folder; of the files all bytes are read for the digest, and no voxel.

    Raises:
        ValueError: a rule is broken; the message names the file and the rule.
        RuntimeError: nibabel is not installed.
    """
    document = _document(folder)
    names = _names(document.get("labels"))
    listed = document.get("training")
    files = _decathlon(folder, listed) if isinstance(listed, list) else _nnunet(folder, document)
    if not 1 <= len(files) <= CASES_MAX:
        raise ValueError(f"{DOCUMENT}: must have 1 to {CASES_MAX} training cases, got {len(files)}")
    cases, counts, remarks = [], {}, []
    for name, (images, label) in sorted(files.items()):
        case, counts[name], told = _case(folder, name, images, label)
        cases.append(case)
        remarks += told
    return PairFolder(
        cases=tuple(cases),
        names=tuple(names.values()),
        values=tuple(names),
        channels=_agreed(counts),
        digest=_digest(cases, names),
        remarks=tuple(remarks),
    )


def _document(folder: Path) -> dict[str, Any]:
    path = folder / DOCUMENT
    if not path.is_file():
        raise ValueError(f"must hold {DOCUMENT}, as nnU-Net's raw data and the Decathlon's do, "
                         f"got {str(folder)!r}")  # fmt: skip
    try:
        found = json.loads(read_text(path, _DOCUMENT_MAX))
    except OSError as error:
        raise ValueError(f"{DOCUMENT}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{DOCUMENT}: must be JSON: {str(error)[:100]}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{DOCUMENT}: must be a mapping, got {type(found).__name__}")
    return found


def _names(labels: Any) -> dict[int, str]:
    """Names by value, ascending and without the background, of {name: value} or {value: name}."""
    if not isinstance(labels, dict) or not labels:
        raise ValueError(f"{DOCUMENT}: labels: must be names with their values, got {labels!r:.60}")
    found: dict[int, str] = {}
    for key, value in labels.items():
        number, name = (key, value) if key.isdecimal() else (value, key)
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _VALUES:
            raise ValueError(
                f"{DOCUMENT}: labels: a value must be one whole number of 0 .. {_VALUES - 1} "
                f"(regions are not taken), got {number!r:.60} for {name!r:.60}"
            )
        if not isinstance(name, str) or number in found or name in found.values():
            raise ValueError(f"{DOCUMENT}: labels: must be distinct, got {name!r:.60} again")
        found[number] = name
    found.pop(0, None)
    for name in found.values():
        if name in ("background", "ignore"):
            raise ValueError(f"{DOCUMENT}: labels: must be of classes but for 0, got {name!r}")
        try:
            checked_name(name)
        except ValueError as error:
            raise ValueError(f"{DOCUMENT}: labels: {error}, got {name!r:.100}") from None
    if not found:
        raise ValueError(f"{DOCUMENT}: labels: must name a class beside the background, got none")
    return dict(sorted(found.items()))


def _decathlon(folder: Path, listed: Sequence[Any]) -> dict[str, tuple[list[Path], Path]]:
    """Image files and label file of each case of a list ``training``."""
    found: dict[str, tuple[list[Path], Path]] = {}
    for number, entry in enumerate(listed):
        if not isinstance(entry, dict) or not {"image", "label"} <= entry.keys():
            raise ValueError(f"{DOCUMENT}: training.{number}: must have image and label")
        image, label = (_within(folder, entry[key], number) for key in ("image", "label"))
        name = stem_of(label)
        if name in found:
            raise ValueError(f"{DOCUMENT}: training.{number}: must be distinct, got {name!r} again")
        images = [image] if image.is_file() else _channel_files(image.parent, stem_of(image))
        found[name] = (images or [image], label)
    return found


def _channel_files(folder: Path, stem: str) -> list[Path]:
    """What nnU-Net's first version calls files that its list names without their numbers."""
    named = [f"{stem}_[0-9][0-9][0-9][0-9]{ending}" for ending in _ENDINGS]
    return [file for name in named for file in sorted(folder.glob(name))]


def _within(folder: Path, given: Any, number: int) -> Path:
    """A file that the list names, which lies in the folder."""
    path = PurePosixPath(given) if isinstance(given, str) else PurePosixPath("..")
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"{DOCUMENT}: training.{number}: must name files in the folder, got {given!r:.100}"
        )
    return folder / path


def _nnunet(folder: Path, document: Mapping[str, Any]) -> dict[str, tuple[list[Path], Path]]:
    """Image files and label file of each case in ``imagesTr``."""
    ending = document.get("file_ending", ".nii.gz")
    if ending not in _ENDINGS:
        raise ValueError(f"{DOCUMENT}: file_ending: must be .nii.gz or .nii, got {ending!r:.60}")
    found: dict[str, tuple[list[Path], Path]] = {}
    for image in sorted((folder / "imagesTr").glob(f"*_[0-9][0-9][0-9][0-9]{ending}")):
        name = image.name[: -len(ending) - 5]
        images, _ = found.setdefault(name, ([], folder / "labelsTr" / f"{name}{ending}"))
        images.append(image)
        if int(image.name[-len(ending) - 4 : -len(ending)]) != len(images) - 1:
            raise ValueError(
                f"imagesTr: channels must be numbered from 0000 on, got {image.name} as channel "
                f"{len(images) - 1}"
            )
    if not found:
        raise ValueError(f"imagesTr: must hold images such as CASE_0000{ending}, or "
                         f"{DOCUMENT} a list training, got none")  # fmt: skip
    return found


def _case(
    folder: Path, name: str, images: Sequence[Path], label: Path
) -> tuple[Case, int, list[str]]:
    """A case, its channels, and remarks."""
    if not label.is_file():
        raise ValueError(f"{_told(folder, label)}: must be there, as an image is: {images[0].name}")
    headers = [_header(folder, path) for path in images]
    first, own = headers[0], _header(folder, label)
    for path, header in zip((*images, label), (*headers, own), strict=True):
        _check_place(_told(folder, path), header, _told(folder, images[0]), first)
    if own.channels != 1 or (len(images) > 1 and first.channels != 1):
        path = label if own.channels != 1 else images[0]
        raise ValueError(f"{_told(folder, path)}: must have 3 axes, got 4")
    if max(first.sides) > SIDE_MAX:
        raise ValueError(
            f"{_told(folder, images[0])}: sides must be {SIDE_MAX} voxels or fewer, "
            f"got {_by(first.sides)}"
        )
    axes = [int(axis) for axis in _orientation(first.affine)[:, 0]]
    lengths = np.sqrt((first.affine[:3, :3] ** 2).sum(0))
    x, y, z = (axes.index(axis) for axis in range(3))
    case = Case(
        name, tuple(images), label, (first.sides[z], first.sides[y], first.sides[x]),
        (float(lengths[z]), float(lengths[y]), float(lengths[x])),
    )  # fmt: skip
    remarks = [f"{_told(folder, images[0])}: {first.remark}"] if first.remark else []
    return case, sum(header.channels for header in headers), remarks


def _header(folder: Path, path: Path) -> Header:
    if not path.is_file():
        raise ValueError(f"{_told(folder, path)}: must be there, as {DOCUMENT} or a label map says")
    try:
        return read_header(path)
    except FileError as error:
        raise ValueError(f"{_told(folder, path)}: {error}") from None


def _check_place(path: str, header: Header, image: str, first: Header) -> None:
    """Raise ValueError unless voxels are where those of a case's first image are."""
    if header.sides != first.sides:
        raise ValueError(
            f"{path}: must have the shape of {image}, {_by(first.sides)}, got {_by(header.sides)}"
        )
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)], np.float64)
    corners[:, :3] *= np.array(first.sides) - 1
    apart = np.abs((corners @ (header.affine - first.affine).T)[:, :3]).max()
    side = float(np.sqrt((first.affine[:3, :3] ** 2).sum(0)).min())
    if apart > _APART * side:
        raise ValueError(
            f"{path}: must lie where {image} lies, within {_APART:g} voxel, got {apart:.3g} mm off"
        )


def _agreed(counts: Mapping[str, int]) -> int:
    """The channels of all cases."""
    first, channels = next(iter(counts.items()))
    for name, count in counts.items():
        if count != channels:
            raise ValueError(
                f"{name}: must have as many channels as {first}, {channels}, got {count}"
            )
    if channels > CHANNELS_MAX:
        raise ValueError(f"{first}: must have {CHANNELS_MAX} channels or fewer, got {channels}")
    return channels


def _digest(cases: Sequence[Case], names: Mapping[int, str]) -> str:
    """SHA-256 of the names and values, and of each case's files."""
    files = [[*(_sha256(path) for path in case.images), _sha256(case.label)] for case in cases]
    values = {"labels": sorted(names.items()), "cases": files}
    return hashlib.sha256(json.dumps(values, separators=(",", ":")).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ------------------------------------------------------------------------------------------ voxels


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
                raise ValueError(f"{_told(folder, path)}: values must be finite, got nan or inf")
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
            raise ValueError(f"{_told(folder, path)}: values must be whole numbers")
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
        f"{_told(folder, path)}: values must be 0 or named by the labels of {DOCUMENT} ({named}), "
        f"got {int(bad)}"
    )


def _read(read: Callable[[Path], Volume], path: Path, folder: Path) -> Volume:
    try:
        return read(path)
    except FileError as error:
        raise ValueError(f"{_told(folder, path)}: {error}") from None


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


def _orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 2): for i, j, k the nearest of x, y, z, and whether along or against it."""
    found: NDArray[np.float64] = import_module("nibabel.orientations").io_orientation(affine)
    return found


def _turned(values: NDArray[Kind], affine: NDArray[np.float64]) -> NDArray[Kind]:
    """(K, J, I) as (z, y, x): up, front, right."""
    apply = import_module("nibabel.orientations").apply_orientation
    turned: NDArray[Kind] = np.ascontiguousarray(apply(values.T, _orientation(affine)).T)
    return turned


def _told(folder: Path, path: Path) -> str:
    """A file as messages name it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))

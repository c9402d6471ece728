"""Folders of images and their label maps, as nnU-Net and the Decathlon lay them out.

What a folder holds is told by its ``dataset.json`` and the headers; ``pair_voxels`` reads the rest.

References:
    https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
    http://medicaldecathlon.com
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.names import checked_name
from synthgen.bank.volume_file import (
    FileError,
    Header,
    read_header,
    stem_of,
)
from synthgen.settings import Shape, parse_json, read_text

DOCUMENT = "dataset.json"
CASES_MAX = 10_000
SIDE_MAX = 4096  # voxels, of a case
CHANNELS_MAX = 16

_DOCUMENT_MAX = 2**26  # bytes
_ENDINGS = (".nii.gz", ".nii")
_APART = 0.5  # voxels that a label map may lie off its image
_IMAGE_BYTES = 2
_VALUES = 2**16  # of label maps

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
        found = parse_json(read_text(path, _DOCUMENT_MAX))
    except OSError as error:
        raise ValueError(f"{DOCUMENT}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{DOCUMENT}: {error}") from None
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
        raise ValueError(f"{told(folder, label)}: must be there, as an image is: {images[0].name}")
    headers = [_header(folder, path) for path in images]
    first, own = headers[0], _header(folder, label)
    for path, header in zip((*images, label), (*headers, own), strict=True):
        _check_place(told(folder, path), header, told(folder, images[0]), first)
    if own.channels != 1 or (len(images) > 1 and first.channels != 1):
        path = label if own.channels != 1 else images[0]
        raise ValueError(f"{told(folder, path)}: must have 3 axes, got 4")
    if max(first.sides) > SIDE_MAX:
        raise ValueError(
            f"{told(folder, images[0])}: sides must be {SIDE_MAX} voxels or fewer, "
            f"got {_by(first.sides)}"
        )
    axes = [int(axis) for axis in orientation(first.affine)[:, 0]]
    lengths = np.sqrt((first.affine[:3, :3] ** 2).sum(0))
    x, y, z = (axes.index(axis) for axis in range(3))
    case = Case(
        name, tuple(images), label, (first.sides[z], first.sides[y], first.sides[x]),
        (float(lengths[z]), float(lengths[y]), float(lengths[x])),
    )  # fmt: skip
    remarks = [f"{told(folder, images[0])}: {first.remark}"] if first.remark else []
    return case, sum(header.channels for header in headers), remarks


def _header(folder: Path, path: Path) -> Header:
    if not path.is_file():
        raise ValueError(f"{told(folder, path)}: must be there, as {DOCUMENT} or a label map says")
    try:
        return read_header(path)
    except FileError as error:
        raise ValueError(f"{told(folder, path)}: {error}") from None


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


def orientation(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3, 2): for i, j, k the nearest of x, y, z, and whether along or against it."""
    found: NDArray[np.float64] = import_module("nibabel.orientations").io_orientation(affine)
    return found


def told(folder: Path, path: Path) -> str:
    """A file as messages name it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _by(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))

"""Subjects from files: label maps, or a folder of masks and meshes for each.

A file that cannot be used is left out with a remark, and the rest goes on.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.label_map import Remark, one_structure, structures
from synthgen.bank.mesh_part import MESH_SUFFIXES, read_solid
from synthgen.bank.names import Naming, checked_name, naming_beside
from synthgen.bank.solids import box_of
from synthgen.bank.subject import Mask, Subject
from synthgen.bank.volume_file import FileError, is_volume, read_volume, stem_of
from synthgen.kernels.anatomy_records import STRUCTURES_MAX
from synthgen.meshes import Mesh

EXTENT_MAX = 4000.0  # mm, of a body
_PLACE_MAX = 1e6  # mm, along an axis

_SEGMENTATIONS = "segmentations"  # TotalSegmentator's folder of masks, beside the image

_Boxes = Mapping[str, NDArray[np.float64]]  # (2, 3) first and last corner, z y x, mm


def read_subjects(
    inputs: Sequence[Path],
    naming: Naming | None = None,
    *,
    one_file_per_structure: bool = False,
    on_remark: Callable[[str], None] = lambda line: None,
) -> Iterator[Subject]:
    """The people in files and folders, one at a time, in the order of the inputs.

    Args:
        inputs: label maps (NIfTI, NRRD), one person each, or folders of them; or, with
            ``one_file_per_structure``, a folder for each person, or folders of such folders.
        naming: of the labels; if it is None, that of a ``labels.json`` beside label maps.
        one_file_per_structure: files are masks (NIfTI, NRRD) and meshes (STL, OBJ, PLY; RAS mm, or
            LPS where a file says so), each named like its structure.
        on_remark: is told, a line each, of what is left out or was repaired, and why.

    Raises:
        ValueError: inputs are missing, names break a rule, or, at the end, nothing could be used.
        RuntimeError: a package for a format is not installed.
    """
    found = find_people(inputs, one_file_per_structure=one_file_per_structure)
    if one_file_per_structure:
        people = [partial(_of_folder, folder, naming or Naming()) for folder in found]
    else:
        beside = {} if naming else {folder: naming_beside(folder) for folder in _parents(found)}
        people = [
            partial(_of_label_map, file, naming or beside.get(file.parent) or Naming())
            for file in found
        ]
    return _usable(list(zip([path.name for path in found], people, strict=True)), on_remark)


def find_people(inputs: Sequence[Path], *, one_file_per_structure: bool = False) -> list[Path]:
    """The file or folder of each person, in the order of the inputs.

    Raises:
        ValueError: inputs are missing, or hold none.
    """
    find = _people if one_file_per_structure else _label_maps
    return _once([path for given in inputs for path in find(given)])


def structures_named(folders: Sequence[Path]) -> set[str]:
    """The names of the structures in people's folders, one file per structure."""
    return {stem_of(file) for folder in folders for file in _structure_files(folder)}


def _usable(
    people: Sequence[tuple[str, Callable[[Remark], Subject]]], on_remark: Remark
) -> Iterator[Subject]:
    refused: list[str] = []
    for label, read in people:
        try:
            subject = read(_about(label, on_remark))
        except FileError as error:
            refused.append(f"{label}: {error}")
            on_remark(f"{label}: left out: {error}")
        else:
            yield subject
    if len(refused) == len(people):
        told = "; ".join(refused[:3]) + ("; ..." if len(refused) > 3 else "")
        raise ValueError(f"inputs: must hold a usable person, got none of {len(people)} ({told})")


def _about(label: str, on_remark: Remark) -> Remark:
    return lambda line: on_remark(f"{label}: {line}")


# ----------------------------------------------------------------------------------------- inputs


def _label_maps(given: Path) -> list[Path]:
    _check_there(given)
    if given.is_dir():
        found = [file for file in _files(given) if is_volume(file)]
        if not found:
            raise ValueError(f"inputs: a folder must hold NIfTI or NRRD files, got {given}")
        return found
    return [given]


def _people(given: Path) -> list[Path]:
    """The folders of structures in a folder: itself, or those in it."""
    _check_there(given)
    if not given.is_dir():
        raise ValueError(f"inputs: must be folders, one file per structure in each, got {given}")
    if _structure_files(given):
        return [given]
    found = [folder for folder in sorted(given.iterdir()) if folder.is_dir()]
    found = [folder for folder in found if _structure_files(folder)]
    if not found:
        raise ValueError(f"inputs: a folder must hold masks or meshes, got {given}")
    return found


def _structure_files(folder: Path) -> list[Path]:
    inner = folder / _SEGMENTATIONS
    files = _files(inner if inner.is_dir() else folder)
    return [file for file in files if is_volume(file) or file.suffix.lower() in MESH_SUFFIXES]


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in found if path.is_file())


def _check_there(given: Path) -> None:
    if not given.exists():
        raise ValueError(f"inputs: must be there, got {given}")


def _once(paths: Sequence[Path]) -> list[Path]:
    """Each file or folder once, in order."""
    seen: dict[Path, Path] = {}
    for path in paths:
        seen.setdefault(path.resolve(), path)
    return list(seen.values())


def _parents(files: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys(file.parent for file in files))


# --------------------------------------------------------------------------------------- one person


def _of_label_map(file: Path, naming: Naming, on_remark: Remark) -> Subject:
    if file.suffix.lower() in MESH_SUFFIXES:
        raise FileError("a mesh is one structure: give its folder, one file per structure")
    if not is_volume(file):
        raise FileError("must be NIfTI or NRRD")
    volume = read_volume(file)
    if volume.remark:
        on_remark(volume.remark)
    return _subject(structures(volume, naming, on_remark), naming, on_remark)


@dataclass
class _Parts:
    """What a folder's files gave."""

    solids: dict[str, Mask | Mesh] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)


def _of_folder(folder: Path, naming: Naming, on_remark: Remark) -> Subject:
    parts = _Parts()
    for file in _structure_files(folder):
        try:
            _add(parts, file, _about(file.name, on_remark))
        except FileError as error:
            on_remark(f"{file.name}: left out: {error}")
    if parts.empty:
        on_remark(f"{len(parts.empty)} masks are empty, {parts.empty[0]} for one")
    return _subject(parts.solids, naming, on_remark)


def _add(parts: _Parts, file: Path, on_remark: Remark) -> None:
    name = stem_of(file)
    try:
        checked_name(name)
    except ValueError as error:
        raise FileError(str(error)) from None
    if name in parts.solids:
        raise FileError(f"is a second {name}")
    if not is_volume(file):
        parts.solids[name] = read_solid(file, on_remark)
        return
    volume = read_volume(file)
    mask = one_structure(volume, on_remark)
    if mask is None:
        parts.empty.append(name)
        return
    if volume.remark:
        on_remark(volume.remark)
    parts.solids[name] = mask


def _subject(solids: Mapping[str, Mask | Mesh], naming: Naming, on_remark: Remark) -> Subject:
    """A person of these structures, but for the skipped, in the box of all."""
    boxes = _near({name: _corners(part) for name, part in solids.items()}, on_remark)
    parts = {name: solids[name] for name in boxes if not naming.skips(name)}
    if not parts:
        raise FileError("has no structure" + (", all are skipped" if boxes else ""))
    if len(parts) > STRUCTURES_MAX:
        raise FileError(f"structures: must be {STRUCTURES_MAX} or fewer, got {len(parts)}")
    body = _around(boxes.values())
    if np.abs(body).max() > _PLACE_MAX:
        raise FileError(f"place: must be within {_PLACE_MAX:.0f} mm, got {np.abs(body).max():.4g}")
    return Subject(parts, body)


def _near(boxes: _Boxes, on_remark: Remark) -> _Boxes:
    """The boxes that can be parts of a body: none too large, nor far from most others.

    Raises:
        FileError: there are none, or it cannot be told which.
    """
    small = {name: box for name, box in boxes.items() if _fits(_around([box]))}
    near = small
    if small and not _fits(_around(small.values())):
        middle = np.median([box.mean(0) for box in small.values()], axis=0)
        near = {n: b for n, b in small.items() if np.abs(b - middle).max() <= EXTENT_MAX / 2}
    if boxes and 2 * len(near) <= len(small):
        raise FileError(_too_large(_around(boxes.values())))
    for name in [name for name in boxes if name not in near]:
        why = "lies far from the others" if name in small else _too_large(boxes[name])
        on_remark(f"{name}: left out: {why}")
    return near


def _around(boxes: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    corners = np.stack(list(boxes))
    return np.stack([corners[:, 0].min(0), corners[:, 1].max(0)])


def _fits(box: NDArray[np.float64]) -> bool:
    return bool((box[1] - box[0]).max() <= EXTENT_MAX)


def _too_large(box: NDArray[np.float64]) -> str:
    told = " x ".join(f"{side:.0f}" for side in box[1] - box[0])
    return f"extent: must be {EXTENT_MAX:.0f} mm or less, got {told} mm"


def _corners(part: Mask | Mesh) -> NDArray[np.float64]:
    if isinstance(part, Mask):
        return box_of(part)
    return np.stack([part.vertices.min(0)[::-1], part.vertices.max(0)[::-1]])

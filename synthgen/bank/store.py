"""Banks on disk: a Zarr v3 group that any reader of Zarr opens, in a folder or a zip file."""

import json
import math
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthgen.bank.bank import ARRAYS, FORMAT_VERSION, Bank, BankError
from synthgen.bank.names import checked_name
from synthgen.bank.relations import Relations, RelationsError
from synthgen.kernels.anatomy_records import BANK_POINTS, STRUCTURES_MAX, BankShape

BUILTIN = "builtin"  # the bank that ships with synthgen, and its name where paths are asked for
FORMAT = "synthgen-bank"
SUBJECTS_MAX = 4096
VALUES_MAX = 2**30  # of all grids
_CHUNK = 2**22  # values
_FAST, _SMALL = 3, 12  # levels of Zstandard: of folders, and of files, which are to be sent
_KINDS: dict[str, type[np.generic]] = {
    "mirrors": np.int64,
    "distances": np.int16,
    "shapes": np.int64,
    "boxes": np.float32,
    "points": np.float32,
}
_SIZES = {
    "axis": 3, "row": 3, "principal": 3, "corner": 6, "statistic": 2,
    "column": int(BankShape.SIZE), "point": BANK_POINTS,
}  # fmt: skip
_DESCRIPTIONS = {
    "mirrors": "the structure on the other side, or itself",
    "body": "mean sides of the box around all that is labelled, z y x, mm",
    "distances": (
        "signed distances, 1/16 of spacing, negative inside, cut to 512; of subject s and "
        "structure c from shapes[s, c, 0] on, with sides shapes[s, c, 1:4] (z y x; 0: not there)"
    ),
    "shapes": (
        "first value of the grid, its sides, its centroid (1/4096 of spacing), its steepest "
        "gradient (1/256)"
    ),
    "boxes": "first and last corner of the solid from its centroid, z y x, mm",
    "points": "points of the surface from the centroid, z y x, mm",
    "volumes": "mm^3",
    "centroids": "in parts of the body, z y x",
    "axes": "principal axes, the longest first, unit vectors z y x",
    "means": "mean centroid from the body's first corner, z y x, mm of the mean body",
    "factors": "lower Cholesky factor of the centroid's covariance, mm of the mean body",
    "log_volumes": "mean and standard deviation of ln(mm^3)",
}


class _Attributes(BaseModel):
    """What the group says of itself."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    spacing: float = Field(gt=0)
    names: list[str] = Field(min_length=1, max_length=STRUCTURES_MAX)
    relations: dict[str, Any]
    digest: str


def save_bank(bank: Bank, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a bank, whole or not at all.

    Args:
        path: a folder, or a file where it ends in .zip.
        overwrite: whether a bank that is there is replaced.

    Raises:
        BankError: something is at ``path`` that is not to be replaced, or its folder is missing.
    """
    path = Path(path)
    check_free(path, overwrite=overwrite)
    with _replaced(path) as temporary:
        if path.suffix == ".zip":
            with _scratch(temporary.with_suffix(".folder")) as folder:
                _write(bank, folder, _SMALL)
                _pack(folder, temporary)
        else:
            _write(bank, temporary, _FAST)


def check_free(path: Path, *, overwrite: bool = False) -> None:
    """See that a bank can be written to ``path``.

    Raises:
        BankError: it cannot.
    """
    if os.path.lexists(path) and not (overwrite and is_bank(path)):
        rule = "is not a bank" if overwrite else "exists already"
        raise BankError(f"{path}: {rule}; nothing is written over it")
    if not path.parent.is_dir():
        raise BankError(f"{path}: there is no folder {str(path.parent)!r}")


def is_bank(path: Path) -> bool:
    """Whether a bank, of any version, is at ``path``."""
    try:
        return bool(_document(path).get("attributes", {}).get("format") == FORMAT)
    except (BankError, AttributeError):
        return False


def open_bank(path: str | Path) -> Bank:
    """Read a bank and check it.

    Args:
        path: a bank's folder or zip file, or "builtin".

    Raises:
        BankError: there is none, it is of another version, or damaged.
    """
    path = Path(path) if str(path) != BUILTIN else builtin_path()
    document = _document(path)
    attributes = _attributes(path, document)
    try:
        relations = Relations.from_dict(attributes.relations)
        relations.check_names(attributes.names)
    except RelationsError as error:
        raise BankError(f"{path}: {error}") from None
    arrays = _arrays(path, len(attributes.names))
    bank = Bank(attributes.spacing, tuple(attributes.names), relations=relations, **arrays)
    if bank.digest != attributes.digest:
        raise BankError(f"{path}: damaged: its content does not have the digest that it states")
    return bank


def builtin_path() -> Path:
    """The file of the bank that ships with synthgen."""
    return Path(str(resources.files("synthgen.bank"))) / "builtin.zarr.zip"


def relate(path: str | Path, relations: Relations) -> Bank:
    """Replace the relations of a bank on disk; returns it as it is then.

    Raises:
        BankError: there is no bank that can be opened.
        RelationsError: the relations name what it has not.
    """
    if str(path) == BUILTIN:
        raise BankError(f"{BUILTIN}: the bank that ships with synthgen stays as it is")
    bank = open_bank(path)
    relations.check_names(bank.names)
    changed = replace(bank, relations=relations)
    path = Path(path)
    if path.suffix == ".zip":
        save_bank(changed, path, overwrite=True)
    else:
        document = _document(path)
        document["attributes"] = _group_attributes(changed)
        with _replaced(path / "zarr.json") as temporary:
            temporary.write_text(json.dumps(document, indent=2))
    return changed


def _group_attributes(bank: Bank) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "space": "RAS, mm; axes in the order z, y, x",
        **bank.header(),
        "digest": bank.digest,
    }


def _write(bank: Bank, folder: Path, level: int) -> None:
    import zarr

    zstd: Any = {"name": "zstd", "configuration": {"level": level, "checksum": False}}
    group = zarr.create_group(folder, attributes=_group_attributes(bank))
    for name, axes in ARRAYS.items():
        values = getattr(bank, name)
        chunks = tuple(max(1, min(n, _CHUNK)) for n in values.shape)
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=chunks,
            dtype=values.dtype,
            compressors=[zstd, {"name": "crc32c"}],
            filters=(),
            fill_value=0,
            dimension_names=axes,
            attributes={"description": _DESCRIPTIONS[name]},
            config={"write_empty_chunks": True},
        )
        array[...] = values


def _pack(folder: Path, path: Path) -> None:
    """A folder as a zip file without compression, dates or owners."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                name = file.relative_to(folder).as_posix()
                archive.writestr(zipfile.ZipInfo(name), file.read_bytes())


def _document(path: Path) -> dict[str, Any]:
    """The group's metadata."""
    try:
        if path.is_dir():
            content = (path / "zarr.json").read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                content = archive.read("zarr.json")
        document = json.loads(content)
    except FileNotFoundError:
        missing = "not a bank: no zarr.json in it" if path.is_dir() else "no such bank"
        raise BankError(f"{path}: {missing}") from None
    except (OSError, KeyError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        raise BankError(f"{path}: not a bank ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise BankError(f"{path}: not a bank")
    return document


def _attributes(path: Path, document: dict[str, Any]) -> _Attributes:
    attributes = document.get("attributes")
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise BankError(f"{path}: a zarr group, but no bank")
    found = attributes.get("format_version")
    if found != FORMAT_VERSION:
        raise BankError(
            f"{path}: a bank of format {found}; this version of synthgen reads format "
            f"{FORMAT_VERSION}"
        )
    try:
        read = _Attributes.model_validate(attributes)
        for name in read.names:
            checked_name(name)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Input ")
        raise BankError(f"{path}: {field}: {rule}, got {first['input']!r:.40}") from None
    except ValueError as error:
        raise BankError(f"{path}: names: {error}") from None
    if read.names != sorted(set(read.names)):
        raise BankError(f"{path}: names: must be sorted and distinct, got {read.names!r:.60}")
    return read


def _arrays(path: Path, structures: int) -> dict[str, NDArray[Any]]:
    """All arrays; the small ones are read first, as they say how large the large one is."""
    import zarr
    from zarr.storage import ZipStore

    found: dict[str, NDArray[Any]] = {}
    try:
        group = zarr.open_group(path if path.is_dir() else ZipStore(path), mode="r")
        nodes: dict[str, Any] = {name: group[name] for name in ARRAYS}
        sizes = {**_SIZES, "structure": structures, "subject": nodes["shapes"].shape[0]}
        for name in sorted(ARRAYS, key=lambda name: name == "distances"):
            if name == "distances":
                sizes["value"] = _values(path, found["shapes"])
            expected = tuple(sizes[axis] for axis in ARRAYS[name])
            kind = np.dtype(_KINDS.get(name, np.float64))
            node = nodes[name]
            if node.shape != expected or node.dtype != kind:
                raise BankError(
                    f"{path}: {name}: must be {kind} {list(expected)}, got {node.dtype} "
                    f"{list(node.shape)}"
                )
            found[name] = np.ascontiguousarray(node[...])
    except BankError:
        raise
    except Exception as error:  # of zarr or a codec, which have many
        reason = " ".join(str(error).split())[:100]
        raise BankError(f"{path}: damaged ({type(error).__name__}: {reason})") from None
    return found


def _values(path: Path, shapes: NDArray[np.int64]) -> int:
    """How many distances there are; grids lie one after the other."""
    if not 1 <= len(shapes) <= SUBJECTS_MAX:
        raise BankError(f"{path}: shapes: must be of 1 to {SUBJECTS_MAX}, got {len(shapes)}")
    total = 0
    for row in shapes.reshape(-1, BankShape.SIZE).tolist():
        offset, *sides = row[: BankShape.WIDTH + 1]
        if sides == [0, 0, 0]:
            continue
        if offset != total or not all(1 < side <= VALUES_MAX for side in sides):
            raise BankError(f"{path}: shapes: must lie one after the other, got {row[:4]}")
        total += math.prod(sides)
    if not 0 < total <= VALUES_MAX:
        raise BankError(f"{path}: shapes: must hold 1 to {VALUES_MAX} values, got {total}")
    return total


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A temporary path to write; in the end it is ``path``, in place of what was there."""
    with _scratch(path.with_name(f".{path.name}.tmp"), make=False) as temporary:
        yield temporary
        if path.is_dir():
            with _scratch(path.with_name(f".{path.name}.old"), make=False) as before:
                os.rename(path, before)
                os.rename(temporary, path)
        else:
            os.replace(temporary, path)


@contextmanager
def _scratch(path: Path, make: bool = True) -> Iterator[Path]:
    """A path that is free at first, and gone in the end."""
    _remove(path)
    if make:
        path.mkdir()
    try:
        yield path
    finally:
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()

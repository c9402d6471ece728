"""Banks on disk: a Zarr v3 group that any reader of Zarr opens, in a folder or a zip file."""

import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthgen.bank.bank import ARRAYS, CENTRE_UNIT, CLIP, FORMAT_VERSION, Bank, BankError
from synthgen.bank.names import checked_name
from synthgen.bank.relations import Relations, RelationsError
from synthgen.kernels.anatomy_records import BANK_POINTS, STRUCTURES_MAX, BankShape

BUILTIN = "builtin"  # the bank that ships with synthgen, and its name where paths are asked for
FORMAT = "synthgen-bank"
SUBJECTS_MAX = 4096
VALUES_MAX = 2**30  # of all grids
_CHUNK = 2**22  # values
_METADATA_MAX = 2**26  # bytes of a zarr.json; relations of 255 structures have about 2**25
_SLOPE_MAX = 2**16
_SIDE_MAX = 2**20  # lattice points
_FAST, _SMALL = 3, 12  # levels of Zstandard: of folders, and of files, which are to be sent
_UNREADABLE = (
    OSError, KeyError, ValueError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
_KINDS: dict[str, type[np.generic]] = {
    "mirrors": np.int64,
    "distances": np.int16,
    "shapes": np.int64,
    "firsts": np.int64,
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
    "firsts": (
        "lattice point of the grid's first value, z y x, counted from the least of the subject's; "
        "0: not there"
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
    _check_values(path, bank)
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
        array = group.create_array(
            name,
            shape=values.shape,
            chunks=_chunks(values.shape),
            dtype=values.dtype,
            compressors=[zstd, {"name": "crc32c"}],
            filters=(),
            fill_value=0,
            dimension_names=axes,
            attributes={"description": _DESCRIPTIONS[name]},
            config={"write_empty_chunks": True},
        )
        array[...] = values


def _chunks(shape: Sequence[int]) -> tuple[int, ...]:
    """Sides of the chunks of an array."""
    return tuple(max(1, min(n, _CHUNK)) for n in shape)


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
        document = json.loads(_metadata(path, "zarr.json"))
    except BankError:
        raise
    except FileNotFoundError:
        missing = "not a bank: no zarr.json in it" if path.is_dir() else "no such bank"
        raise BankError(f"{path}: {missing}") from None
    except _UNREADABLE as error:
        raise BankError(f"{path}: not a bank ({type(error).__name__})") from None
    if not isinstance(document, dict):
        raise BankError(f"{path}: not a bank")
    return document


def _metadata(path: Path, name: str) -> bytes:
    """A file of metadata within a bank; raises BankError if it is too long."""
    if path.is_dir():
        with (path / name).open("rb") as file:
            content = file.read(_METADATA_MAX + 1)
    else:
        with zipfile.ZipFile(path) as archive, archive.open(name) as member:
            content = member.read(_METADATA_MAX + 1)
    if len(content) > _METADATA_MAX:
        raise BankError(f"{path}: {name}: must have {_METADATA_MAX:,} bytes or fewer")
    return content


def _attributes(path: Path, document: dict[str, Any]) -> _Attributes:
    attributes = document.get("attributes")
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise BankError(f"{path}: a zarr group, but no bank")
    found = attributes.get("format_version")
    if found != FORMAT_VERSION:
        raise BankError(
            f"{path}: a bank of format {found}; this version of synthgen reads format "
            f"{FORMAT_VERSION}; build it again"
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
        for name in ARRAYS:
            with suppress(FileNotFoundError, KeyError):  # zarr says what is missing
                _metadata(path, f"{name}/zarr.json")
        store = path if path.is_dir() else ZipStore(path)
        group = zarr.open_group(store, mode="r", zarr_format=3)
        nodes: dict[str, Any] = {name: group[name] for name in ARRAYS}
        sizes = {**_SIZES, "structure": structures, "subject": nodes["shapes"].shape[0]}
        if not 1 <= sizes["subject"] <= SUBJECTS_MAX:
            raise BankError(
                f"{path}: shapes: must be of 1 to {SUBJECTS_MAX}, got {sizes['subject']}"
            )
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
            if node.shards is not None or node.chunks != _chunks(node.shape):
                raise BankError(
                    f"{path}: {name}: must have chunks of {list(_chunks(node.shape))} and no "
                    f"shards, got {list(node.chunks)}"
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


def _check_values(path: Path, bank: Bank) -> None:
    """See that the numbers can be those of a bank; ``_values`` has seen the grids' places."""
    for rule in _broken_rules(bank):
        raise BankError(f"{path}: {rule}")


def _broken_rules(bank: Bank) -> Iterator[str]:
    there, volumes, structures = bank.present, bank.volumes, np.arange(len(bank.names))
    rows = bank.shapes[there]
    sides = rows[:, BankShape.DEPTH : BankShape.WIDTH + 1]
    centres = rows[:, BankShape.CENTRE : BankShape.CENTRE + 3]
    for name in ARRAYS:
        values = getattr(bank, name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            yield f"{name}: must be finite"
    if not _within(bank.mirrors, 0, len(structures) - 1):
        yield f"mirrors: must lie in 0..{len(structures) - 1}"
    elif (bank.mirrors[bank.mirrors] != structures).any():
        yield "mirrors: must be pairs"
    if not (bank.body > 0).all():
        yield f"body: must be greater than 0, got {bank.body.tolist()}"
    if not there.any(0).all():
        yield "shapes: must have each structure in a subject"
    if not _within(centres, 0, sides * CENTRE_UNIT):
        yield "shapes: must have their centroids in their grids"
    if not _within(rows[:, BankShape.SLOPE], 1, _SLOPE_MAX):
        yield f"shapes: must have gradients of 1 to {_SLOPE_MAX}"
    least = np.where(there[..., None], bank.firsts, _SIDE_MAX).min(1)
    if not (_within(least, 0, 0) and _within(bank.firsts, 0, _SIDE_MAX - 1)):
        yield f"firsts: must lie in 0..{_SIDE_MAX - 1}, and each subject's from 0 on"
    if bank.firsts[~there].any():
        yield "firsts: must be 0 where there is no shape"
    if not (_within(volumes[~there], 0, 0) and (volumes[there] > 0).all()):
        yield "volumes: must be greater than 0 where there is a shape, else 0"
    if not _within(bank.distances, -CLIP, CLIP):
        yield f"distances: must lie in -{CLIP}..{CLIP}"


def _within(values: NDArray[Any], low: int, high: int | NDArray[np.int64]) -> bool:
    return bool((values >= low).all() and (values <= high).all())


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

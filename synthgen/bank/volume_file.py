"""Volumes in NIfTI and NRRD files, read with bounds: a header that lies costs no memory.

No more is unpacked than a header promises, and nothing before the promise is checked. Only voxels
and their place are kept; all other text of a header is dropped.
"""

import bz2
import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".nii", ".nii.gz", ".hdr", ".nrrd")
VOXELS_MAX = 2**28
BYTES_MAX = 2**31  # of the voxels

_CHUNK = 2**24
_OFFSET_MAX = 2**26  # bytes before the voxels
_GZIP = b"\x1f\x8b"
_GZIP_MOST = 1100  # times that gzip can make something smaller
_SPACING = (1e-3, 1e2)  # mm
_ORIGIN_MAX = 1e6  # mm, along an axis
_FLATTEST = 1e-4  # volume of a voxel, in parts of that of a box with its sides
_NIFTI_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # by code of a unit
_NRRD_MM = {"": 1.0, "mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}
_NRRD_TO_RAS = {  # by the first letter of a space's axes
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
_NRRD_TYPES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_NO_PLACE = "says nothing of its orientation: its axes are taken for right, front, up"


class FileError(ValueError):
    """A file cannot be used; the message is the reason."""


@dataclass(frozen=True)
class Volume:
    """What a file holds.

    Attributes:
        values: (K, J, I), as they stand in the file, where i runs fastest; channels before them.
        slope: by which values are to be multiplied.
        offset: which is to be added then.
        affine: (4, 4) float64, from (i, j, k) to RAS mm (x, y, z).
        remark: what is worth telling, or "".
    """

    values: NDArray[Any]
    slope: float
    offset: float
    affine: NDArray[np.float64]
    remark: str = ""


@dataclass(frozen=True)
class Header:
    """What a NIfTI file's header says.

    Attributes:
        sides: (I, J, K).
        channels: along a fourth axis; 1 where there is none.
        affine: (4, 4) float64, from (i, j, k) to RAS mm (x, y, z).
        remark: what is worth telling, or "".
    """

    sides: tuple[int, int, int]
    channels: int
    affine: NDArray[np.float64]
    remark: str = ""


def is_volume(path: Path) -> bool:
    """Whether a file's name is that of a NIfTI or NRRD file."""
    return path.name.lower().endswith(SUFFIXES)


def stem_of(path: Path) -> str:
    """A file's name without its endings, those of two parts included."""
    name = path.name
    for ending in (".gz", ".nii", ".hdr", ".nrrd", ".seg", path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            name = name[: -len(ending)]
    return name


def read_volume(path: Path) -> Volume:
    """The volume in a NIfTI or NRRD file.

    Raises:
        FileError: it cannot be used.
        RuntimeError: nibabel or pynrrd is not installed.
    """
    with _reasons():
        if path.name.lower().endswith(".nrrd"):
            return _nrrd(path, _module("nrrd", "NRRD files need pynrrd"))
        return _nifti(path, _nibabel())


def read_channels(path: Path) -> Volume:
    """The image in a NIfTI file of three axes or four; its values are (C, K, J, I).

    Raises:
        FileError: it cannot be used.
        RuntimeError: nibabel is not installed.
    """
    with _reasons():
        return _nifti(path, _nibabel(), channels=True)


def read_header(path: Path) -> Header:
    """What a NIfTI file's header says of an image of three axes or four; no voxel is read.

    Raises:
        FileError: it cannot be used.
        RuntimeError: nibabel is not installed.
    """
    with _reasons(), _unpacked(path) as source:
        header, _ = _nifti_header(source.stream.read(540), _nibabel())
        shape, _ = _checked(header.get_data_shape(), header.get_data_dtype(), channels=True)
        i, j, k, count = shape
        return Header((i, j, k), count, *_nifti_affine(header))


@contextmanager
def _reasons() -> Iterator[None]:
    """Errors of any kind as FileError; RuntimeError is that of a missing package."""
    try:
        yield
    except (FileError, RuntimeError):
        raise
    except Exception as error:  # the parser's own, of any kind
        reason = " ".join(str(error).split())[:100]
        raise FileError(f"cannot be read ({type(error).__name__}: {reason})") from None


def _nibabel() -> Any:
    return _module("nibabel", "NIfTI files need nibabel")


def _module(name: str, needs: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise RuntimeError(f"{needs}: pip install 'synthgen[bank]' ({error})") from None


# ------------------------------------------------------------------------------------------ NIfTI


def _nifti(path: Path, nibabel: Any, *, channels: bool = False) -> Volume:
    with _unpacked(path) as source:
        start = source.stream.read(540)
        header, single = _nifti_header(start, nibabel)
        shape, dtype = _checked(header.get_data_shape(), header.get_data_dtype(), channels=channels)
        affine, remark = _nifti_affine(header)
        offset = int(header["vox_offset"])
        if single:
            values = _voxels(source, shape, dtype, max(offset, 348), start)
        else:
            with _unpacked(_image_of(path)) as voxels:
                values = _voxels(voxels, shape, dtype, offset)
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not np.isfinite(slope + inter):  # the format's way to say: not scaled
        slope, inter = 1.0, 0.0
    return Volume(values, slope, inter, affine, remark)


def _nifti_header(start: bytes, nibabel: Any) -> tuple[Any, bool]:
    """A header, and whether the voxels follow in the same file."""
    sizes = (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big"))
    if 540 in sizes and start[4:7] in (b"n+2", b"ni2"):
        return nibabel.Nifti2Header(start[:540], check=False), start[5:6] == b"+"
    if 348 in sizes and start[344:347] in (b"n+1", b"ni1") and len(start) >= 348:
        return nibabel.Nifti1Header(start[:348], check=False), start[345:346] == b"+"
    raise FileError("cannot be read (cut, or not NIfTI)")


def _nifti_affine(header: Any) -> tuple[NDArray[np.float64], str]:
    placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    affine = np.array(header.get_best_affine(), np.float64)
    if not placed:  # nibabel's guess runs to the left
        affine[0] *= -1.0
    affine[:3] *= _NIFTI_MM.get(int(header["xyzt_units"]) & 7, 1.0)
    return _checked_affine(affine), "" if placed else _NO_PLACE


def _image_of(path: Path) -> Path:
    """The file of voxels beside a header's."""
    for ending in (".img", ".img.gz"):
        other = path.with_name(stem_of(path) + ending)
        if other.is_file():
            return other
    raise FileError("has no .img file beside it")


# ------------------------------------------------------------------------------------------- NRRD


def _nrrd(path: Path, nrrd: Any) -> Volume:
    with path.open("rb") as stream:
        if stream.read(4) != b"NRRD":
            raise FileError("cannot be read (cut, or not NRRD)")
        stream.seek(0)
        header = nrrd.read_header(stream)
        _check_attached(header)
        shape, dtype = _checked([int(n) for n in header["sizes"]], _nrrd_type(header))
        affine, remark = _nrrd_affine(header)
        with _decoded(path, stream, str(header.get("encoding"))) as voxels:
            values = _voxels(voxels, shape, dtype)
    return Volume(values, 1.0, 0.0, affine, remark)


def _check_attached(header: Mapping[str, Any]) -> None:
    """Refuse what stands in another file: none that a file names is ever opened."""
    if any(key in header for key in ("data file", "datafile")):
        raise FileError("has its voxels in another file; they must be in the same")
    for key in ("line skip", "lineskip", "byte skip", "byteskip"):
        if int(header.get(key, 0)) not in (0, -1):
            raise FileError(f"{key}: must be 0, got {header[key]}")


def _nrrd_type(header: Mapping[str, Any]) -> np.dtype[Any]:
    for code, names in _NRRD_TYPES.items():
        if str(header.get("type")) in names.split("|"):
            return np.dtype(code).newbyteorder(">" if header.get("endian") == "big" else "<")
    raise FileError(f"type: must be one of numbers, got {str(header.get('type'))[:40]!r}")


def _nrrd_affine(header: Mapping[str, Any]) -> tuple[NDArray[np.float64], str]:
    affine = np.eye(4)
    space = str(header.get("space", "")).lower()
    units = header.get("space units") or header.get("units") or [""]
    scale = _NRRD_MM.get(str(units[0]).strip('"'), 1.0)
    if space not in _NRRD_TO_RAS:
        if space:
            raise FileError(f"space: must be of a patient, got {space[:40]!r}")
        affine[:3, :3] = np.diag(_nrrd_sides(header)) * scale
        return _checked_affine(affine), _NO_PLACE
    affine[:3, :3] = np.asarray(header["space directions"], np.float64).T
    affine[:3, 3] = np.asarray(header.get("space origin", [0.0] * 3), np.float64)
    affine[:3] *= scale * np.array(_NRRD_TO_RAS[space], np.float64)[:, None]
    return _checked_affine(affine), ""


def _nrrd_sides(header: Mapping[str, Any]) -> NDArray[np.float64]:
    """Sides of the voxels of a file that does not say how they are turned."""
    if "space directions" in header:
        directions = np.asarray(header["space directions"], np.float64)
        return np.asarray(np.sqrt((directions**2).sum(1)))
    if "spacings" in header:
        return np.asarray(header["spacings"], np.float64)
    raise FileError("spacings: must be there, or space directions")


# ------------------------------------------------------------------------------------------- both


def _checked(
    shape: Sequence[int], dtype: np.dtype[Any], *, channels: bool = False
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type of voxels that can be a label map's, trailing axes of one voxel left out.

    Args:
        channels: a fourth axis is one of channels; there is always one in the shape then.
    """
    sides = [int(side) for side in shape]
    while len(sides) > 3 and sides[-1] == 1:
        sides.pop()
    told = " x ".join(map(str, sides)) or "nothing"
    if len(sides) != 3 + (channels and len(sides) == 4) or min(sides) < 2:
        axes = "3 axes, or 4 with channels," if channels else "3 axes"
        raise FileError(f"shape: must have {axes} of 2 voxels or more, got {told}")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        kind = "colours" if dtype.kind == "V" else str(dtype)
        raise FileError(f"type: must be whole numbers, got {kind}")
    if prod(sides) > VOXELS_MAX or prod(sides) * dtype.itemsize > BYTES_MAX:
        raise FileError(
            f"shape: must have {VOXELS_MAX:,} voxels and {BYTES_MAX:,} bytes or fewer, got {told}"
        )
    return (*sides, 1) if channels and len(sides) == 3 else tuple(sides), dtype


def _checked_affine(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(affine).all():
        raise FileError("affine: must be finite")
    sides = np.sqrt((affine[:3, :3] ** 2).sum(0))
    volume = abs(float(np.linalg.det(affine[:3, :3])))
    if volume <= _FLATTEST * float(sides.prod()):
        raise FileError(f"affine: must have a determinant, got {volume:.3g}")
    if sides.min() < _SPACING[0] or sides.max() > _SPACING[1]:
        told = " x ".join(f"{side:.4g}" for side in sides)
        raise FileError(f"affine: voxels must be {_SPACING[0]} to {_SPACING[1]} mm, got {told}")
    if np.abs(affine[:3, 3]).max() > _ORIGIN_MAX:
        told = ", ".join(f"{place:.4g}" for place in affine[:3, 3])
        raise FileError(f"affine: its origin must be within {_ORIGIN_MAX:.0f} mm, got {told}")
    return affine


@dataclass(frozen=True)
class _Source:
    """Bytes to read, and how many there can be at most."""

    stream: io.BufferedIOBase
    most: int


@contextmanager
def _unpacked(path: Path) -> Iterator[_Source]:
    """A file's bytes, unpacked if they are packed, whatever its name says."""
    with path.open("rb") as stream:
        packed = stream.read(2) == _GZIP
        stream.seek(0)
        with _decoded(path, stream, "gzip" if packed else "raw") as source:
            yield source


@contextmanager
def _decoded(path: Path, stream: io.BufferedReader, encoding: str) -> Iterator[_Source]:
    """What follows in a file, unpacked."""
    size = path.stat().st_size
    if encoding == "raw":
        yield _Source(stream, size)
    elif encoding in ("gzip", "gz"):
        with gzip.GzipFile(fileobj=stream) as unpacked:
            yield _Source(unpacked, size * _GZIP_MOST)
    elif encoding in ("bzip2", "bz2"):
        with bz2.BZ2File(stream) as bunzipped:
            yield _Source(bunzipped, BYTES_MAX)
    else:
        raise FileError(f"encoding: must be raw, gzip or bzip2, got {encoding[:40]!r}")


def _voxels(
    source: _Source,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int = 0,
    start: bytes = b"",
) -> NDArray[Any]:
    """Voxels (K, J, I), or (C, K, J, I), from byte ``offset`` on; no more.

    Args:
        start: what is read already.
    """
    size = prod(shape) * dtype.itemsize
    if not 0 <= offset <= _OFFSET_MAX:
        raise FileError(f"vox_offset: must be 0 to {_OFFSET_MAX:,}, got {offset}")
    if source.most < size:
        raise FileError(f"is too short for its shape: must hold {size:,} bytes of voxels")
    _pass(source.stream, offset - len(start))
    content = bytearray(start[offset:])
    while len(content) <= size:
        part = source.stream.read(min(_CHUNK, size + 1 - len(content)))
        if not part:
            break
        content += part
    if len(content) != size:
        found = "more" if len(content) > size else f"{len(content):,}"
        raise FileError(f"must hold {size:,} bytes of voxels, as its header says, got {found}")
    return np.frombuffer(content, dtype).reshape(shape[::-1])


def _pass(stream: io.BufferedIOBase, count: int) -> None:
    while count > 0:
        found = len(stream.read(min(count, _CHUNK)))
        if not found:
            raise FileError("is cut")
        count -= found

"""NIfTI-1 files: compressed volumes whose header says which volume they are."""

import gzip
import os
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.export.errors import ExportError
from synthgen.export.source import Volumes
from synthgen.store.commit import replace_file

ENDING = ".nii.gz"

_HEADER = 352  # bytes before the voxels: the header, and four that say that nothing extends it
_GZIP = 31  # zlib's number of the format
_NEEDS = "NIfTI files need {}: pip install 'synthgen[bank]'"
_SCANNER = 1  # the code of an affine to a patient's own axes


class NiftiFile:
    """How one array of a store becomes files: all differ in their voxels and description alone."""

    def __init__(self, source: Volumes, array: str, level: int, channel: int | None = None) -> None:
        """Make the header.

        Args:
            level: of gzip, 0 .. 9.
            channel: of several, the only one of the file; None: all there are.

        Raises:
            ImportError: nibabel is not installed.
            ExportError: the level is out of bounds; NIfTI has no such long sides.
        """
        if not 0 <= level <= 9:
            raise ExportError(f"level: must lie in 0..9, got {level}")
        plan = source.plan
        self.arrays: tuple[str, ...] = (array,)
        self._level, self._compressor = level, _compressor(level)
        dtype = source.dtypes[array]
        # NIfTI has no half precision; single precision holds the same numbers.
        self._dtype = np.dtype("<f4") if dtype == np.float16 else dtype.newbyteorder("<")
        self._description = f"synthgen {plan.recipe_digest[:16]} seed {plan.seed}"
        shape = source.shapes[array][0 if channel is None else 1 :]
        self._part = ... if channel is None else channel
        self._size = _HEADER + prod(shape) * self._dtype.itemsize
        self._header = _header(self._dtype, shape, np.array(source.attributes["affine"]))

    def write(self, path: Path, index: int, voxels: Sequence[npt.NDArray[Any]], writer: str) -> int:
        """Write the file of volume ``index``, the same bytes each time; returns how many.

        Voxels (t, z, y, x) in C order, of channels or tasks t, are NIfTI's x, y, z, t in Fortran's:
        nothing moves.
        """
        stream = self._compressor.compressobj(self._level, wbits=_GZIP)
        header = stream.compress(self._start(index))
        # A view of the array: bytes of it would be one more copy of each volume.
        part = voxels[0][self._part]
        body = stream.compress(np.ascontiguousarray(part, self._dtype).data)
        content = b"".join((header, body, stream.flush()))
        replace_file(path, content, writer)
        return len(content)

    def is_whole(self, path: Path, index: int) -> bool:
        """Whether ``path`` begins as volume ``index`` and has its size; voxels are not read."""
        try:
            with path.open("rb") as file:
                start = gzip.GzipFile(fileobj=file).read(_HEADER)
                file.seek(-4, os.SEEK_END)
                size = int.from_bytes(file.read(4), "little")
        except (OSError, EOFError, zlib.error):
            return False
        return start == self._start(index) and size == self._size % 2**32

    def _start(self, index: int) -> bytes:
        header = self._header.copy()
        header["descrip"] = f"{self._description} volume {index}".encode()
        return bytes(header.binaryblock) + bytes(4)


def _compressor(level: int) -> ModuleType:
    """ISA-L's at level 1: five times as fast as zlib's there, and files are smaller."""
    if level != 1:
        return zlib
    try:
        from isal import isal_zlib
    except ImportError:
        raise ImportError(_NEEDS.format("isal")) from None
    return isal_zlib


def _header(dtype: np.dtype[Any], shape: Sequence[int], affine: npt.NDArray[Any]) -> Any:
    """The header of volumes.

    Args:
        shape: (D, H, W), or (C, D, H, W) or (T, D, H, W), of which the first is NIfTI's fourth
            axis.
        affine: from voxel indices (x, y, z, 1) to mm, RAS.
    """
    try:
        import nibabel
        from nibabel.spatialimages import HeaderDataError
    except ImportError:
        raise ImportError(_NEEDS.format("nibabel")) from None

    untyped: Any = nibabel.nifti1
    header = untyped.Nifti1Header(endianness="<")
    try:
        header.set_data_dtype(dtype)
        header.set_data_shape(tuple(shape)[::-1])
    except HeaderDataError as error:
        raise ExportError(f"NIfTI cannot hold the volumes: {error}") from None
    header.set_qform(affine, code=_SCANNER)
    header.set_sform(affine, code=_SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["vox_offset"] = _HEADER
    return header

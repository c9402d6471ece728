"""NIfTI-1 files: compressed volumes whose header says which volume they are."""

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.export.errors import ExportError

ENDING = ".nii.gz"

_HEADER = 352  # bytes before the voxels: the header, and four that say that nothing extends it
_SCANNER = 1  # the code of an affine to a patient's own axes


class NiftiFile:
    """How one array of a store becomes files: all differ in their voxels and description alone."""

    def __init__(self, dtype: Any, shape: Sequence[int], affine: Any, description: str) -> None:
        """Make the header.

        Args:
            shape: (D, H, W).
            affine: from voxel indices (x, y, z, 1) to mm, RAS.
            description: of all volumes; its index is added.

        Raises:
            ExportError: NIfTI has no such type, or no such long sides.
        """
        from nibabel.spatialimages import HeaderDataError

        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._description = description
        self._size = _HEADER + int(np.prod(shape)) * self._dtype.itemsize
        try:
            self._header = _header(self._dtype, shape, np.array(affine))
        except HeaderDataError as error:
            raise ExportError(f"NIfTI cannot hold the volumes: {error}") from None

    def encoded(self, voxels: npt.NDArray[Any], index: int, level: int) -> bytes:
        """The file of volume ``index``, the same bytes each time.

        Args:
            voxels: (z, y, x) in C order, which is NIfTI's x, y, z in Fortran's: nothing moves.
        """
        data = np.ascontiguousarray(voxels, self._dtype).tobytes()
        return gzip.compress(self._start(index) + data, level, mtime=0)

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


def require_nibabel() -> None:
    """Raise ImportError, naming the extra to install, unless nibabel is there."""
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise ImportError("exports need nibabel: pip install 'synthgen[bank]'") from None


def _header(dtype: np.dtype[Any], shape: Sequence[int], affine: npt.NDArray[Any]) -> Any:
    import nibabel

    untyped: Any = nibabel.nifti1
    header = untyped.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(tuple(shape)[::-1])
    header.set_qform(affine, code=_SCANNER)
    header.set_sform(affine, code=_SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["vox_offset"] = _HEADER
    return header

"""Stores as the files that other tools read: NIfTI, Decathlon, nnU-Net and OME-Zarr folders."""

from synthgen.export.errors import ExportError
from synthgen.export.folder import Exported
from synthgen.export.formats import decathlon, nifti, nnunet, ome_zarr

__all__ = ["ExportError", "Exported", "decathlon", "nifti", "nnunet", "ome_zarr"]

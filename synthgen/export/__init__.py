"""Stores as the files that other tools read: NIfTI, Decathlon and nnU-Net folders."""

from synthgen.export.errors import ExportError
from synthgen.export.folder import Exported
from synthgen.export.formats import decathlon, nifti, nnunet

__all__ = ["ExportError", "Exported", "decathlon", "nifti", "nnunet"]

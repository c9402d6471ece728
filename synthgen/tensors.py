"""Volumes as torch tensors: intensities and axes as networks and other tools take them."""

from math import prod
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Normalize = Literal["unit", "zscore"] | None
Axes = Literal["zyx", "xyz"]

_VOXELS = (-3, -2, -1)


def check_options(normalize: Normalize, axes: Axes) -> None:
    """Raise ValueError unless both are known."""
    if normalize not in ("unit", "zscore", None):
        raise ValueError(f"normalize: must be unit, zscore or None, got {normalize!r}")
    if axes not in get_args(Axes):
        raise ValueError(f"axes: must be zyx or xyz, got {axes!r}")


def require_torch() -> None:
    """Raise ImportError, which says what to install, unless torch is there."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"needs the extra train: pip install 'synthgen[train]' ({error})"
        ) from None


def normalized(image: "Tensor", normalize: Normalize, intensity_high: float) -> "Tensor":
    """Intensities as float32; the same on every device for whole numbers below 4096.

    Args:
        image: (..., D, H, W) of any type.
        normalize: ``unit`` divides by the largest intensity that the recipe can make, so that 0
            stays 0 and images lie in 0 .. 1; ``zscore`` gives each (D, H, W) mean 0 and standard
            deviation 1, as nnU-Net and MONAI's NormalizeIntensity do; None changes nothing.
        intensity_high: the recipe's.
    """
    import torch

    if normalize is None:
        return image
    values = image.to(torch.float32)
    if normalize == "unit":
        # Not a division: by a number it is a product with the reciprocal on some devices only.
        return values * float(np.float32(1 / intensity_high))
    # Sums of whole numbers are exact in float64, whatever their order.
    voxels = prod(values.shape[-3:])
    mean = values.sum(_VOXELS, keepdim=True, dtype=torch.float64) / voxels
    square = (values * values).sum(_VOXELS, keepdim=True, dtype=torch.float64) / voxels
    std = (square - mean * mean).clamp_min(0).sqrt()
    scale = torch.where(std > 0, 1 / std, torch.ones_like(std))
    return (values - mean.float()) * scale.float()


def class_indices(label: "Tensor") -> "Tensor":
    """Labels in a type that torch computes with: uint16 becomes int32."""
    import torch

    return label.to(torch.int32) if label.dtype == torch.uint16 else label


def ordered(volume: "Tensor", axes: Axes) -> "Tensor":
    """(..., z, y, x) with its last three axes in the order ``axes``, contiguous."""
    return volume if axes == "zyx" else volume.transpose(-1, -3).contiguous()


def affine_of(spacing: tuple[float, float, float], axes: Axes) -> npt.NDArray[np.float64]:
    """(4, 4): from voxel indices in the order ``axes`` to mm, x right, y anterior, z superior.

    Args:
        spacing: (z, y, x), mm.
    """
    z, y, x = spacing
    affine = np.diag([x, y, z, 1.0])
    return affine if axes == "xyz" else affine[:, [2, 1, 0, 3]]

"""Volumes as torch tensors: intensities and axes as networks and other tools take them."""

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from synthgen.kernels.prompt_records import PromptRow

if TYPE_CHECKING:
    from torch import Tensor

Normalize = Literal["unit", "zscore"] | None
Axes = Literal["zyx", "xyz"]
Floats = npt.NDArray[np.float32]

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


def normalized(
    image: "Tensor", normalize: Normalize, intensity_high: float, out: "Tensor | None" = None
) -> "Tensor":
    """Intensities as float32; the same on every device for whole numbers up to 4096.

    Args:
        image: (..., D, H, W) of any type.
        normalize: ``unit`` divides by the largest intensity that the recipe can make, so that 0
            stays 0 and images lie in 0 .. 1; ``zscore`` gives each (D, H, W), a volume's channel,
            mean 0 and standard deviation 1, as nnU-Net does and MONAI's NormalizeIntensity if it is
            channel_wise; None changes nothing.
        intensity_high: the recipe's.
        out: float32 memory for the result, on the CPU.
    """
    import torch

    if normalize is None:
        return image
    if image.device.type == "cpu":
        # NumPy, as threads of torch's own would take cores from a network that trains meanwhile.
        made = np.empty(image.shape, np.float32) if out is None else out.numpy()
        return torch.from_numpy(_normalized_host(image.numpy(), normalize, intensity_high, made))
    values = image.to(torch.float32)
    if normalize == "unit":
        return values * _reciprocal(intensity_high)
    total = values.sum(_VOXELS, keepdim=True, dtype=torch.float64)
    squares = (values * values).sum(_VOXELS, keepdim=True, dtype=torch.float64)
    mean, scale = _mean_and_scale(total, squares, prod(image.shape[-3:]))
    scaled: Tensor = (values - mean.float()) * scale.float()
    return scaled


def _normalized_host(
    image: npt.NDArray[Any], normalize: Normalize, intensity_high: float, out: Floats
) -> Floats:
    if normalize == "unit":
        np.multiply(image, np.float32(_reciprocal(intensity_high)), out=out)
        return out
    np.copyto(out, image)
    for volume in out.reshape(-1, *image.shape[-3:]):
        total, squares = (np.sum(part, dtype=np.float64) for part in (volume, volume * volume))
        mean, scale = _mean_and_scale(total, squares, volume.size)
        volume -= mean.astype(np.float32)
        volume *= scale.astype(np.float32)
    return out


def _reciprocal(intensity_high: float) -> float:
    """A factor, as some devices divide by a number otherwise than others."""
    return float(np.float32(1 / intensity_high))


def _mean_and_scale(total: Any, squares: Any, voxels: int) -> tuple[Any, Any]:
    """From float64 sums, exact for whole numbers in whatever order; constant volumes keep 1."""
    mean = total / voxels
    std = (squares / voxels - mean * mean).clip(0) ** 0.5
    return mean, 1 / (std + (std == 0))


def targets(label: "Tensor", axes: Axes) -> "Tensor":
    """Labels in a type that torch computes with.

    Args:
        label: (..., T, D, H, W): uint16 becomes int32, and the last axes come in the order
            ``axes``; (T,) or (B, T) of whole volumes: int64, as cross entropy takes it.
    """
    import torch

    if label.ndim < 4:
        return label.to(torch.int64)
    return ordered(label.to(torch.int32) if label.dtype == torch.uint16 else label, axes)


def ordered(volume: "Tensor", axes: Axes) -> "Tensor":
    """(..., z, y, x) with its last three axes in the order ``axes``, contiguous."""
    return volume if axes == "zyx" else volume.transpose(-1, -3).contiguous()


def ordered_prompts(prompts: "Tensor", axes: Axes) -> "Tensor":
    """Prompts whose voxels come in the order ``axes``; the slice that they are of stays one of z.

    Args:
        prompts: (..., PromptRow.SIZE): from BOX on each three columns are a voxel z, y, x.
    """
    if axes == "zyx":
        return prompts
    turned = prompts.clone()
    voxels = prompts[..., PromptRow.BOX :]
    triples = voxels.reshape(*prompts.shape[:-1], -1, 3)
    turned[..., PromptRow.BOX :] = triples.flip(-1).flatten(-2)
    return turned


def prompts_of_patch(
    prompts: npt.NDArray[np.int32], first: Sequence[int], label: npt.NDArray[np.unsignedinteger]
) -> npt.NDArray[np.int32]:
    """What is left of a volume's prompts in a patch, counted from its first voxel.

    Voxels are counted anew. A box is cut to the patch, clicks outside are gone; where the patch
    shows nothing of the label, or has nothing of its box or its slice, all is.

    Args:
        prompts: (K, PromptRow.SIZE), of the volume.
        first: z, y, x of the patch's first voxel in the volume.
        label: (D, H, W), of the patch.

    Returns:
        New rows of the same form, -1 for what there is not.
    """
    rows, sides = len(prompts), np.array(label.shape)
    counts = np.bincount(label.reshape(-1), minlength=rows + 1)[1 : rows + 1]
    voxels = prompts[:, PromptRow.BOX :].reshape(rows, -1, 3) - np.array(first)
    voxels[:, 0], voxels[:, 1] = voxels[:, 0].clip(0), voxels[:, 1].clip(None, sides - 1)
    boxed = (prompts[:, PromptRow.BOX] >= 0) & (voxels[:, 0] <= voxels[:, 1]).all(-1)
    asked = boxed & (counts > 0)
    inside = ((voxels >= 0) & (voxels < sides)).all(-1) & asked[:, None]
    of_slice = asked & (prompts[:, PromptRow.SLICE] >= 0)
    left = np.empty_like(prompts)
    left[:, PromptRow.VOXELS] = counts
    left[:, PromptRow.SLICE] = np.where(of_slice, prompts[:, PromptRow.SLICE] - first[0], -1)
    left[:, PromptRow.BOX :] = np.where(inside[..., None], voxels, -1).reshape(rows, -1)
    return left


def affine_of(spacing: tuple[float, float, float], axes: Axes) -> npt.NDArray[np.float64]:
    """(4, 4): from voxel indices in the order ``axes`` to mm, x right, y anterior, z superior.

    Args:
        spacing: (z, y, x), mm.
    """
    z, y, x = spacing
    affine = np.diag([x, y, z, 1.0])
    return affine if axes == "xyz" else affine[:, [2, 1, 0, 3]]

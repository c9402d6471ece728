"""The networks that can be pre-trained: MONAI's, at their published size or tiny for CPUs.

Volumes of several slices train networks of three dimensions, planes (1, H, W) those of two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True)
class NetworkKind:
    """A class of networks, and what is known of it before one is built.

    Attributes:
        module, class_name: where the class is.
        divisor: of every side of the input but an only slice, voxels.
        one_voxel: whether the deepest map may be a single voxel; instance norm refuses it.
        sized: whether the constructor is told the input's shape, which then never changes.
        common, presets: constructor arguments of all presets, and those of each.
        input_key: of the weights (features, channels, side, ...) that see the input.
        head_prefixes: of the keys that depend on the number of classes.
        encoder_prefixes: of the keys of the encoder and of the blocks that its maps pass on the
            way to the decoder.
    """

    module: str
    class_name: str
    divisor: int
    one_voxel: bool
    sized: bool
    common: Mapping[str, Any] = field(repr=False)
    presets: Mapping[str, Mapping[str, Any]] = field(repr=False)
    input_key: str
    head_prefixes: tuple[str, ...]
    encoder_prefixes: tuple[str, ...]


# "published" is what PrimGeoSeg trained, from MONAI's scripts for BTCV. What decides the weights is
# spelt out, so that another default in another MONAI changes nothing. A window of 7 costs four
# times the step of a window of 4 on a CPU.
NETWORKS: dict[str, NetworkKind] = {
    "swinunetr": NetworkKind(
        module="monai.networks.nets.swin_unetr",
        class_name="SwinUNETR",
        divisor=32,
        one_voxel=False,
        sized=False,
        common={
            "patch_size": 2,
            "depths": [2, 2, 2, 2],
            "num_heads": [3, 6, 12, 24],
            "qkv_bias": True,
            "mlp_ratio": 4.0,
            "norm_name": "instance",
            "drop_rate": 0.0,
            "attn_drop_rate": 0.0,
            "dropout_path_rate": 0.0,
            "normalize": True,
            "patch_norm": False,
            "downsample": "merging",
            "use_v2": False,
        },
        presets={
            "published": {"feature_size": 48, "window_size": 7},
            "tiny": {"feature_size": 12, "window_size": 4},
        },
        input_key="swinViT.patch_embed.proj.weight",
        head_prefixes=("out.",),
        encoder_prefixes=(
            "swinViT.", "encoder1.", "encoder2.", "encoder3.", "encoder4.", "encoder10.",
        ),
    ),
    "unetr": NetworkKind(
        module="monai.networks.nets.unetr",
        class_name="UNETR",
        divisor=16,
        one_voxel=True,
        sized=True,
        common={
            "proj_type": "conv",
            "norm_name": "instance",
            "conv_block": True,
            "res_block": True,
            "dropout_rate": 0.0,
            "qkv_bias": False,
        },
        presets={
            "published": {
                "feature_size": 16, "hidden_size": 768, "mlp_dim": 3072, "num_heads": 12,
            },
            "tiny": {"feature_size": 8, "hidden_size": 96, "mlp_dim": 192, "num_heads": 4},
        },
        input_key="vit.patch_embedding.patch_embeddings.weight",
        head_prefixes=("out.",),
        encoder_prefixes=("vit.", "encoder1.", "encoder2.", "encoder3.", "encoder4."),
    ),
}  # fmt: skip


def network_kind(name: str) -> NetworkKind:
    """The entry of ``NETWORKS``; raises ValueError when there is none."""
    if name not in NETWORKS:
        raise ValueError(f"network: must be one of {', '.join(NETWORKS)}, got {name!r}")
    return NETWORKS[name]


def network_arguments(
    name: str, preset: str, *, classes: int, shape: Sequence[int], channels: int = 1
) -> dict[str, Any]:
    """Constructor arguments of a network, as JSON holds them.

    Args:
        preset: ``published`` or ``tiny``.
        classes: label values, background included; at least 2.
        shape: (D, H, W) of the input, voxels; of planes (1, H, W), for a network of two dimensions,
            whose own input is (B, C, H, W).
        channels: of the input; at least 1.

    Raises:
        ValueError: an unknown name or preset, too few classes or channels, or a shape that does not
            fit.
    """
    kind = network_kind(name)
    if preset not in kind.presets:
        raise ValueError(f"preset: must be one of {', '.join(kind.presets)}, got {preset!r}")
    if classes < 2:
        raise ValueError(f"classes: must be at least 2, background included, got {classes}")
    if channels < 1:
        raise ValueError(f"channels: must be at least 1, got {channels}")
    check_shape(name, shape)
    sides = list(shape)[is_planar(shape) :]
    return {
        "in_channels": channels,
        "out_channels": classes,
        "spatial_dims": len(sides),
        **({"img_size": sides} if kind.sized else {}),
        **kind.presets[preset],
        **kind.common,
    }


def is_planar(shape: Sequence[int]) -> bool:
    """Whether volumes of ``shape`` (D, H, W) are planes, which networks of two dimensions take."""
    return shape[0] == 1


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Raise ValueError, with the nearest shape that fits, unless the network takes ``shape``.

    The networks themselves fail late and unclearly.

    Args:
        shape: (D, H, W) of the input, voxels; of planes (1, H, W).
    """
    kind = network_kind(name)
    if len(shape) != 3:
        raise ValueError(f"shape: needs 3 sides (D, H, W), got {list(shape)}")
    nearest = _nearest(kind, shape)
    if list(shape) != nearest:
        but = "" if kind.one_voxel else f", and not all {kind.divisor}"
        sides = "sides (1, H, W) with H and W" if is_planar(shape) else "sides"
        raise ValueError(
            f"shape: {name} needs {sides} divisible by {kind.divisor}{but}, got {list(shape)}; "
            f"the nearest is {nearest}"
        )


def _nearest(kind: NetworkKind, shape: Sequence[int]) -> list[int]:
    """The shape with the least sum of changes that fits; planes stay planes."""
    divisor, slices = kind.divisor, [1] if is_planar(shape) else []
    given = list(shape)[len(slices) :]
    sides = [max(1, (side + divisor // 2) // divisor) * divisor for side in given]
    if not kind.one_voxel and set(sides) == {divisor}:
        largest = max(range(len(given)), key=lambda axis: given[axis])
        sides[largest] = 2 * divisor
    return slices + sides


def build_network(name: str, arguments: Mapping[str, Any]) -> "Module":
    """A new network, its weights drawn from torch's global generator.

    Args:
        arguments: of ``network_arguments``, or of a checkpoint's card.

    Raises:
        ValueError: an unknown name, or arguments that the constructor refuses.
        ImportError: MONAI, or einops that it needs, is not installed.
    """
    kind = network_kind(name)
    try:
        constructor = getattr(import_module(kind.module), kind.class_name)
        network: Module = constructor(**arguments)
    except ImportError as error:
        raise ImportError(
            f"{name} needs the extra train: pip install 'synthgen[train]' ({error})"
        ) from None
    except Exception as error:  # of any kind: arguments of a card may be anything
        raise ValueError(
            f"arguments: {kind.class_name} refuses them: {' '.join(str(error).split())}"
        ) from None
    return network

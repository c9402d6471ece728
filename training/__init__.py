"""Pre-training of MONAI's segmentation networks on synthgen's volumes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.training.checkpoint import Card, Loaded, latest, load, prune, save
    from synthgen.training.errors import CheckpointError
    from synthgen.training.networks import (
        NETWORKS,
        build_network,
        check_shape,
        network_arguments,
    )
    from synthgen.training.transfer import Transfer, load_pretrained

_CHECKPOINT = "synthgen.training.checkpoint"
_NETWORKS = "synthgen.training.networks"
_TRANSFER = "synthgen.training.transfer"
_MODULES = {
    "NETWORKS": _NETWORKS,
    "Card": _CHECKPOINT,
    "CheckpointError": "synthgen.training.errors",
    "Loaded": _CHECKPOINT,
    "Transfer": _TRANSFER,
    "build_network": _NETWORKS,
    "check_shape": _NETWORKS,
    "latest": _CHECKPOINT,
    "load": _CHECKPOINT,
    "load_pretrained": _TRANSFER,
    "network_arguments": _NETWORKS,
    "prune": _CHECKPOINT,
    "save": _CHECKPOINT,
}

__all__ = [
    "NETWORKS",
    "Card",
    "CheckpointError",
    "Loaded",
    "Transfer",
    "build_network",
    "check_shape",
    "latest",
    "load",
    "load_pretrained",
    "network_arguments",
    "prune",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line loads no torch before it needs it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

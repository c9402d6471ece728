"""Pre-training of MONAI's segmentation networks on synthgen's volumes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.training.checkpoint import Card, Loaded, latest, load, prune, save
    from synthgen.training.errors import CheckpointError, TrainingError
    from synthgen.training.networks import (
        NETWORKS,
        build_network,
        check_shape,
        network_arguments,
    )
    from synthgen.training.observer import Observer, Pretrained
    from synthgen.training.run import pretrain
    from synthgen.training.settings import PretrainSettings
    from synthgen.training.transfer import Transfer, load_pretrained

_CHECKPOINT = "synthgen.training.checkpoint"
_ERRORS = "synthgen.training.errors"
_NETWORKS = "synthgen.training.networks"
_OBSERVER = "synthgen.training.observer"
_TRANSFER = "synthgen.training.transfer"
_MODULES = {
    "NETWORKS": _NETWORKS,
    "Card": _CHECKPOINT,
    "CheckpointError": _ERRORS,
    "Loaded": _CHECKPOINT,
    "Observer": _OBSERVER,
    "PretrainSettings": "synthgen.training.settings",
    "Pretrained": _OBSERVER,
    "TrainingError": _ERRORS,
    "Transfer": _TRANSFER,
    "build_network": _NETWORKS,
    "check_shape": _NETWORKS,
    "latest": _CHECKPOINT,
    "load": _CHECKPOINT,
    "load_pretrained": _TRANSFER,
    "network_arguments": _NETWORKS,
    "pretrain": "synthgen.training.run",
    "prune": _CHECKPOINT,
    "save": _CHECKPOINT,
}

__all__ = [
    "NETWORKS",
    "Card",
    "CheckpointError",
    "Loaded",
    "Observer",
    "PretrainSettings",
    "Pretrained",
    "TrainingError",
    "Transfer",
    "build_network",
    "check_shape",
    "latest",
    "load",
    "load_pretrained",
    "network_arguments",
    "pretrain",
    "prune",
    "save",
]


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line loads no torch before it needs it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)

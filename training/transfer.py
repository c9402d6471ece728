"""Pre-trained weights into a network of one's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from synthgen.training.checkpoint import CARD, FOLDER, WEIGHTS, latest, load_weights
from synthgen.training.errors import CheckpointError
from synthgen.training.networks import NetworkKind, network_kind

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

What = Literal["all", "encoder", "all_but_head"]

# What DistributedDataParallel and torch.compile put before the keys of what they wrap.
_WRAPPERS = ("module.", "_orig_mod.")
_SHOWN = 12


@dataclass(frozen=True)
class Transfer:
    """What became of a checkpoint's tensors, by keys without the prefixes of wrappers.

    Attributes:
        loaded: keys whose tensors were copied.
        skipped: keys that were asked for and did not fit, and why.
        missing: keys of the network whose tensors are as they were.
        share: of the network's parameters, by number, that were loaded; 0 .. 1.
    """

    loaded: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    share: float

    def __str__(self) -> str:
        skipped = [f"{key}: {reason}" for key, reason in self.skipped]
        lines = [
            f"loaded   {len(self.loaded):4} tensors, {self.share:.1%} of the network's parameters",
            f"skipped  {len(skipped):4} tensors of the checkpoint that did not fit",
            *_listed(skipped),
            f"missing  {len(self.missing):4} tensors of the network, which are as they were",
            *_listed(self.missing),
        ]
        return "\n".join(lines)


def _listed(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - _SHOWN
    return [f"  {line}" for line in lines[:_SHOWN]] + ([f"  and {rest} more"] if rest > 0 else [])


def load_pretrained(
    net: "Module", path: str | Path, transfer: What = "all", min_share: float = 0.5
) -> Transfer:
    """Copy a checkpoint's tensors into ``net``, by key and shape.

    Args:
        net: may be wrapped by DistributedDataParallel or torch.compile.
        path: a checkpoint's folder; a run's, whose latest is taken; or a .safetensors file that has
            its ``card.json`` beside it.
        transfer: ``all``; ``encoder`` for the encoder alone; ``all_but_head`` for other classes,
            also where there happen to be as many of them.
        min_share: of the parameters of ``net``, or with ``encoder`` of its encoder's, by number,
            that have to fit; 0 .. 1.

    Raises:
        ValueError: an unknown ``transfer``, or ``min_share`` is out of bounds.
        CheckpointError: the checkpoint is missing or damaged; it is of a network of other
            dimensions or input channels, and ``min_share`` is not 0; or too little fits. ``net`` is
            as it was.
    """
    if transfer not in get_args(What):
        raise ValueError(f"transfer: must be one of {', '.join(get_args(What))}, got {transfer!r}")
    if not 0 <= min_share <= 1:
        raise ValueError(f"min_share: must lie in 0..1, got {min_share}")
    file = _weights_file(Path(path))
    card, weights = load_weights(file)
    kind = network_kind(card.network)
    theirs = _chosen(_plain(weights), transfer, kind)
    ours = _plain(net.state_dict(keep_vars=True))
    other = _other_input(weights, ours, kind) if min_share else None
    if other:
        raise CheckpointError(
            f"{file}: a {card.network} {other}; min_share: needs {min_share:.1%} of the network, "
            "and 0 loads what fits"
        )
    reasons = {key: _misfit(tensor, ours.get(key)) for key, tensor in theirs.items()}
    fitting = {key: theirs[key] for key, reason in reasons.items() if reason is None}
    part = _chosen(ours, "encoder", kind) if transfer == "encoder" else ours
    share = _share(part, fitting)
    if share < min_share:
        of = "its encoder's" if transfer == "encoder" else "its"
        raise CheckpointError(
            f"{file}: of a {card.network}, fits the given network in {len(fitting)} of "
            f"{len(theirs)} tensors and {share:.1%} of {of} parameters{_example(reasons)}; "
            f"min_share: needs {min_share:.1%}, and 0 loads what fits"
        )
    for key, tensor in fitting.items():
        ours[key].detach().copy_(tensor)
    return Transfer(
        loaded=tuple(fitting),
        skipped=tuple((key, reason) for key, reason in reasons.items() if reason is not None),
        missing=tuple(key for key in ours if key not in fitting),
        share=_share(ours, fitting),
    )


def _weights_file(path: Path) -> Path:
    if path.is_file():
        if not path.with_name(CARD).is_file():
            raise CheckpointError(
                f"{path}: needs its {CARD} beside it, which says what network it is of"
            )
        return path
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such file or folder")
    if not (path / FOLDER).is_dir():
        return path / WEIGHTS
    newest = latest(path)
    if newest is None:
        raise CheckpointError(f"{path}: has no whole checkpoint")
    return newest / WEIGHTS


def _plain(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The same tensors by the keys that they have without wrappers."""
    return {_unwrapped(key): tensor for key, tensor in tensors.items()}


def _unwrapped(key: str) -> str:
    for prefix in _WRAPPERS:
        if key.startswith(prefix):
            return _unwrapped(key.removeprefix(prefix))
    return key


def _chosen(tensors: "dict[str, Tensor]", transfer: What, kind: NetworkKind) -> "dict[str, Tensor]":
    def wanted(key: str) -> bool:
        if transfer == "encoder":
            return key.startswith(kind.encoder_prefixes)
        return transfer == "all" or not key.startswith(kind.head_prefixes)

    return {key: tensor for key, tensor in tensors.items() if wanted(key)}


def _other_input(
    theirs: "Mapping[str, Tensor]", ours: "Mapping[str, Tensor]", kind: NetworkKind
) -> str | None:
    """In what the inputs of a checkpoint's network and of another one differ; None: in nothing.

    Args:
        theirs, ours: tensors by key.
    """
    found = [_plain(tensors).get(kind.input_key) for tensors in (theirs, ours)]
    there, here = (None if weights is None else tuple(weights.shape) for weights in found)
    if not there or not here:
        return None
    if len(there) != len(here):
        return f"of {len(there) - 2} dimensions, and the given network has {len(here) - 2}"
    if there[1] != here[1]:
        return f"of input channels {there[1]}, and the given network has {here[1]}"
    return None


def _misfit(theirs: "Tensor", ours: "Tensor | None") -> str | None:
    """Why a tensor cannot be copied; None: it can."""
    if ours is None:
        return "not in the network"
    if theirs.shape != ours.shape:
        return f"{tuple(theirs.shape)} in the checkpoint, {tuple(ours.shape)} in the network"
    return None


def _example(reasons: Mapping[str, str | None]) -> str:
    misfits = (f" ({key}: {reason})" for key, reason in reasons.items() if reason is not None)
    return next(misfits, "")


def _share(tensors: "dict[str, Tensor]", loaded: "Mapping[str, Tensor]") -> float:
    """Share of the parameters among ``tensors`` that are ``loaded``; buffers do not count."""
    # By identity, because one parameter may have several keys.
    sizes = {id(tensor): tensor.numel() for tensor in tensors.values() if _is_parameter(tensor)}
    got = {id(tensor) for key, tensor in tensors.items() if key in loaded}
    total = sum(sizes.values())
    return sum(size for key, size in sizes.items() if key in got) / total if total else 0.0


def _is_parameter(tensor: "Tensor") -> bool:
    from torch.nn import Parameter

    return isinstance(tensor, Parameter)

"""States of optimizers, schedulers and scalers as named tensors and JSON, and back, exactly.

What JSON lacks is an object with one key: ``$tensor`` (its name), ``$tuple``, ``$items`` (a mapping
whose keys are not all text) and ``$float`` (inf, -inf, nan).
"""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from synthgen.training.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor


def pack(state: Any, name: str) -> "tuple[Any, dict[str, Tensor]]":
    """JSON values and tensors by name; ``name`` begins the names.

    Raises:
        CheckpointError: a value is of a type that cannot be kept.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(state, name, tensors), tensors


def _pack(value: Any, name: str, tensors: "dict[str, Tensor]") -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {"$tensor": name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else {"$float": str(float(value))}
    if isinstance(value, Mapping):
        return _pack_mapping(value, name, tensors)
    if isinstance(value, list | tuple):
        entries = [_pack(entry, f"{name}.{place}", tensors) for place, entry in enumerate(value)]
        return entries if isinstance(value, list) else {"$tuple": entries}
    raise CheckpointError(
        f"{name}: must be a tensor, number, text, list, tuple or mapping, "
        f"got {type(value).__name__}"
    )


def _pack_mapping(value: Mapping[Any, Any], name: str, tensors: "dict[str, Tensor]") -> Any:
    items = [(key, _pack(entry, f"{name}.{key}", tensors)) for key, entry in value.items()]
    if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
        return dict(items)
    return {"$items": [[_pack(key, name, tensors), entry] for key, entry in items]}


def unpack(packed: Any, tensors: "Mapping[str, Tensor]") -> Any:
    """The state that ``pack`` was given, its mappings as plain ones.

    Raises:
        CheckpointError: a tensor is not there, or an object is none of this module's.
    """
    if isinstance(packed, list):
        return [unpack(entry, tensors) for entry in packed]
    if not isinstance(packed, dict):
        return packed
    if not any(key.startswith("$") for key in packed):
        return {key: unpack(entry, tensors) for key, entry in packed.items()}
    match packed:
        case {"$tensor": str(name)} if name in tensors:
            return tensors[name]
        case {"$tuple": list(entries)}:
            return tuple(unpack(entries, tensors))
        case {"$float": ("inf" | "-inf" | "nan") as text}:
            return float(text)
        case {"$items": list(items)}:
            return {unpack(key, tensors): unpack(entry, tensors) for key, entry in items}
    raise CheckpointError(f"scalars: neither a value nor a tensor that is there, got {packed}")

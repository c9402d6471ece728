"""One file of tensors: safetensors, durable, with a checksum, and never a pickle."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from synthgen.training.errors import CheckpointError

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file
    from torch import Tensor
except ImportError as error:
    raise ImportError(f"needs the extra train: pip install 'synthgen[train]' ({error})") from None


class FileSum(BaseModel):
    """What a file must be: its size in bytes and its SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> FileSum:
    """Write a new file, durable on return but for its name.

    Names of one tensor share its bytes; the file's metadata then says ``{other name: name}``, as
    ``safetensors.torch.save_model`` has it, so that ``load_model`` reads the file too.

    Raises:
        CheckpointError, OSError: the disk refuses it.
    """
    aliases = _aliases(tensors)
    # Copies, because safetensors refuses views of one storage.
    own = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
        if name not in aliases
    }
    try:
        # Of no tensors and empty metadata, safetensors 0.8 writes a file that it cannot read.
        save_file(own, path, metadata=aliases or None)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: cannot be written ({error})") from None
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return sum_of(path)


def _aliases(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The first name of each tensor that has several, by its other names."""
    first: dict[object, str] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        known = first.setdefault(place if tensor.numel() else name, name)
        if known != name:
            aliases[name] = known
    return aliases


def sum_of(path: Path) -> FileSum:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileSum(bytes=path.stat().st_size, sha256=digest)


def check_size(path: Path, wanted: FileSum) -> None:
    """Raise CheckpointError unless the file is there and as long as it was."""
    if not path.is_file():
        raise CheckpointError(f"{path}: missing")
    size = path.stat().st_size
    if size != wanted.bytes:
        raise CheckpointError(f"{path}: damaged, has {size} bytes of {wanted.bytes}")


def check_file(path: Path, wanted: FileSum) -> None:
    """Raise CheckpointError unless the file is what was written, and no pickle."""
    if path.is_file():
        _refuse_pickle(path)
    check_size(path, wanted)
    found = sum_of(path).sha256
    if found != wanted.sha256:
        raise CheckpointError(f"{path}: damaged, its SHA-256 is {found}, not {wanted.sha256}")


def _refuse_pickle(path: Path) -> None:
    """A pickle runs code when it is read; ``torch.save`` makes one, since 1.6 inside a ZIP."""
    with path.open("rb") as file:
        start = file.read(9)
    # Eight bytes of length, which may look like anything, then JSON: safetensors.
    if start[8:] != b"{" and start.startswith((b"PK\x03\x04", b"\x80")):
        raise CheckpointError(
            f"{path}: is a pickle, as torch.save writes it, not safetensors; pickles are never read"
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor by each of its names, on the CPU.

    Raises:
        CheckpointError: the file is no safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors: dict[str, Tensor] = {
                name: file.get_tensor(name) for name in sorted(file.keys())
            }
            aliases: dict[str, str] = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is not safetensors ({error})") from None
    return tensors | {name: tensors[first] for name, first in aliases.items() if first in tensors}

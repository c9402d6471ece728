"""Checkpoints: folders of safetensors and JSON, there whole or not at all; nothing unpickles.

``RUN/checkpoints/step_00001000/`` holds ``weights.safetensors`` (the network's, what one shares),
``state.safetensors`` (tensors of the optimizer and of what else a run resumes from) and
``card.json``. Folders whose names begin with a dot are not yet checkpoints, or no longer. One
process writes at a time.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from synthgen.settings import Shape, one_line
from synthgen.store.commit import make_folders, sync_folder, write_file
from synthgen.tensors import Normalize
from synthgen.training.errors import CheckpointError
from synthgen.training.packing import pack, unpack
from synthgen.training.tensor_file import (
    FileSum,
    check_file,
    check_size,
    read_tensors,
    write_tensors,
)

if TYPE_CHECKING:
    from torch import Tensor

FOLDER, CARD = "checkpoints", "card.json"
WEIGHTS, STATE = "weights.safetensors", "state.safetensors"
FORMAT: Final = 1
_STATES = ("optimizer", "scheduler", "scaler")

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=0)]
_Json = dict[str, JsonValue]


class CardTask(BaseModel):
    """One of several tasks: its name, and the names of its classes by label value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    class_names: tuple[str, ...]


class Card(BaseModel):
    """What a checkpoint is of: enough to resume its run, and to use its weights elsewhere.

    Attributes:
        format: version of the meaning of checkpoints.
        recipe, recipe_digest, seed: which determine the volumes; the recipe as plain values.
        source: whether volumes were generated or read from a store, and which of them.
        step: optimizer steps done.
        next_sample: number of the first sample that no step has seen.
        network, arguments: of ``build_network``.
        class_names: by channel of the output; of label maps, the first is the background.
        tasks: whose channels follow each other in the output, of label maps each with a background
            of its own; empty where there is one.
        normalize, axes: how voxels came to the network.
        spacing: (z, y, x) of a voxel, mm.
        shape: (D, H, W) of the input, voxels.
        settings: of the run.
        metrics: by name; may be nan.
        versions: of the packages that trained it.
        scalars: what of the optimizer's, scheduler's and scaler's states are no tensors; ``save``
            fills it in.
        files: size and checksum of each; ``save`` fills them in.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    format: Literal[1] = FORMAT
    recipe: _Json
    recipe_digest: str
    seed: _Count
    source: _Json
    step: _Count
    next_sample: _Count
    network: str
    arguments: _Json
    class_names: tuple[str, ...]
    tasks: tuple[CardTask, ...] = ()
    normalize: Normalize
    axes: Literal["zyx"] = "zyx"
    spacing: tuple[_Positive, _Positive, _Positive]
    shape: Shape
    settings: _Json
    metrics: dict[str, float]
    versions: dict[str, str]
    scalars: _Json = {}
    files: dict[str, FileSum] = {}


@dataclass(frozen=True)
class Loaded:
    """A checkpoint, tensors on the CPU. The states are as they were saved."""

    card: Card
    weights: "dict[str, Tensor]"
    optimizer_state: dict[str, Any]
    scheduler_state: dict[str, Any] | None
    scaler_state: dict[str, Any] | None


def save(
    run: Path,
    card: Card,
    weights: "Mapping[str, Tensor]",
    optimizer_state: Mapping[str, Any],
    scheduler_state: Mapping[str, Any] | None = None,
    scaler_state: Mapping[str, Any] | None = None,
) -> Path:
    """Write the checkpoint of ``card.step``, durable on return; one of that step is replaced.

    Args:
        run: folder of the run; made if it is not there.
        weights: the network's ``state_dict()``.
        optimizer_state: its ``state_dict()``, as are the next two.

    Returns:
        The checkpoint's folder.

    Raises:
        CheckpointError: the disk refuses it, or a state holds what cannot be kept. The checkpoints
            that were there are as they were.
    """
    folder = run / FOLDER
    final = folder / f"step_{card.step:08d}"
    temp = folder / f".{final.name}.tmp"
    states = dict(zip(_STATES, (optimizer_state, scheduler_state, scaler_state), strict=True))
    with _disk_errors_explained(folder):
        make_folders(folder)
        _tidy(folder)
        try:
            _write(temp, card, weights, states)
            _put(temp, final)
        except BaseException:
            rmtree(temp, ignore_errors=True)
            raise
    return final


def _write(
    temp: Path, card: Card, weights: "Mapping[str, Tensor]", states: Mapping[str, Any]
) -> None:
    """A whole checkpoint in the new folder ``temp``, durable but for the folder's name."""
    packed = {name: pack(state, name) for name, state in states.items()}
    tensors = {key: tensor for _, named in packed.values() for key, tensor in named.items()}
    temp.mkdir()
    files = {
        WEIGHTS: write_tensors(temp / WEIGHTS, weights),
        STATE: write_tensors(temp / STATE, tensors),
    }
    scalars = {name: values for name, (values, _) in packed.items()}
    whole = card.model_copy(update={"scalars": scalars, "files": files})
    # Makes the names of the other files durable, too.
    write_file(temp / CARD, _card_text(whole), "save")


def _put(temp: Path, final: Path) -> None:
    """Rename ``temp``; what had its name is put aside until then, where ``latest`` finds it."""
    aside = _aside(final)
    if final.exists():
        final.rename(aside)
    temp.rename(final)
    sync_folder(final.parent)
    rmtree(aside, ignore_errors=True)


def _aside(final: Path) -> Path:
    return final.with_name(f".{final.name}.old")


def _tidy(folder: Path) -> None:
    """Put right what a killed process left in ``folder``."""
    for aside in folder.glob(".step_*.old"):
        final = folder / aside.stem.removeprefix(".")
        if final.exists():
            rmtree(aside)
        else:
            aside.rename(final)
    for temp in folder.glob(".step_*.tmp"):
        rmtree(temp)


def prune(run: Path, keep: int) -> None:
    """Remove the oldest checkpoints of ``run``: all before the last ``keep`` complete ones.

    Raises:
        ValueError: ``keep`` is less than 1.
        CheckpointError: the disk refuses it.
    """
    if keep < 1:
        raise ValueError(f"keep: must be at least 1, got {keep}")
    folder = run / FOLDER
    with _disk_errors_explained(folder):
        _tidy(folder)
        kept = 0
        for path in _newest_first(folder):
            if kept == keep:
                # No longer a checkpoint once its first file is gone.
                gone = path.rename(folder / f".{path.name}.tmp")
                rmtree(gone)
            elif _has_its_sizes(path):
                kept += 1


def _has_its_sizes(path: Path) -> bool:
    """Whether nothing is missing or cut; checksums would read all of it again at each save."""
    try:
        for name, wanted in read_card(path / CARD).files.items():
            check_size(path / name, wanted)
    except CheckpointError:
        return False
    return True


def latest(run: Path) -> Path | None:
    """The newest checkpoint of ``run`` that is whole by its checksums; None: there is none.

    A warning names every newer one, and says what is wrong with it.
    """
    for path in _newest_first(run / FOLDER):
        try:
            _verified_card(path)
        except CheckpointError as error:
            warnings.warn(f"checkpoint skipped: {error}", stacklevel=2)
        else:
            return path
    return None


def _newest_first(folder: Path) -> list[Path]:
    """By step; one that was put aside counts while nothing has its name."""
    steps: dict[int, Path] = {}
    for path in folder.glob("*step_*"):
        found = re.fullmatch(r"step_(\d{8,})|\.step_(\d{8,})\.old", path.name)
        if found and (found[1] or not (folder / f"step_{found[2]}").exists()):
            steps[int(found[1] or found[2])] = path
    return [steps[step] for step in sorted(steps, reverse=True)]


def load(folder: Path) -> Loaded:
    """Read a checkpoint, once its files have proved to be what was written.

    Raises:
        CheckpointError: naming the file that is missing, damaged, a pickle or of another format.
    """
    card = _verified_card(folder)
    tensors = read_tensors(folder / STATE)
    states = {name: unpack(card.scalars.get(name), tensors) for name in _STATES}
    return Loaded(card, read_tensors(folder / WEIGHTS), *states.values())


def load_weights(path: Path) -> "tuple[Card, dict[str, Tensor]]":
    """Read a file of weights, whatever its name, and the ``card.json`` beside it.

    Raises:
        CheckpointError: as ``load`` does; the state need not be there.
    """
    card = read_card(path.with_name(CARD))
    check_file(path, card.files[WEIGHTS])
    return card, read_tensors(path)


def _verified_card(folder: Path) -> Card:
    card = read_card(folder / CARD)
    for name, wanted in card.files.items():
        check_file(folder / name, wanted)
    return card


def _card_text(card: Card) -> bytes:
    """JSON closed by a check of itself: a flipped bit in the card is seen too."""
    # Cards of one label map are as they were before there were several.
    values = json.loads(card.model_dump_json(exclude=None if card.tasks else {"tasks"}))
    return json.dumps({**values, "check": _check(values)}, indent=1).encode() + b"\n"


def _check(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def read_card(path: Path) -> Card:
    """Read a ``card.json`` alone.

    Raises:
        CheckpointError: it is missing, damaged or of another format.
    """
    values = _card_values(path)
    check = values.pop("check", None)
    if values.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format: this version of synthgen reads {FORMAT}, got {values.get('format')!r}"
        )
    if check != _check(values):
        raise CheckpointError(f"{path}: damaged, its check does not match")
    try:
        card = Card.model_validate(values)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {one_line(error, values)}") from None
    if set(card.files) != {WEIGHTS, STATE}:
        raise CheckpointError(
            f"{path}: files: must be {WEIGHTS} and {STATE}, got {', '.join(card.files)}"
        )
    return card


def _card_values(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged, is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: damaged, is not a JSON object")
    return values


@contextmanager
def _disk_errors_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"{error.filename or folder}: {error.strerror}; the checkpoints that were there are "
            "as they were"
        ) from error

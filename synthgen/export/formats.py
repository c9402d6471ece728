"""The folders that other tools expect: names of files, and what ``dataset.json`` says.

References:
    https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
    http://medicaldecathlon.com
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthgen.export.errors import ExportError
from synthgen.export.folder import Export, Exported
from synthgen.export.nifti_file import ENDING, require_nibabel
from synthgen.export.source import Volumes
from synthgen.store.watcher import Watcher

LEVEL = 1
VALIDATION = 0.1
MODALITY = "synthetic"
DATASET_ID_HIGH = 999

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def nifti(
    store: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as NIfTI files: ``images``, ``labels``, and ``dataset.json`` that lists them.

    Args:
        store: its folder, or the YAML file of one whose volumes are made when they are read.
        out: new folder, or one begun before with the same arguments.
        name: that files begin with; by default the recipe's.
        level: of gzip, 0 (none) .. 9; beyond 1 it costs time for few bytes.
        watcher: told of each shard; may ask to stop.

    Raises:
        ImportError: nibabel is not installed.
        ExportError: an argument is out of bounds; the store is incomplete or damaged; something
            else is in ``out``. Files that are there are whole, and the same call resumes.
        StoreError: there is no store; another process writes ``out``; the disk refuses.
        Stopped: the watcher asked for it; the same call resumes.
    """
    source, name = _opened(store, name, level)
    cases = Cases(name, source.plan.count, "images", "labels", "")
    document = {
        "name": name,
        "labels": _by_value(source),
        "spacing": source.attributes["spacing"][::-1],
        "cases": [cases.paths(index) for index in range(cases.count)],
    }
    settings = {"format": "nifti", "name": name}
    export = Export(source, Path(out), cases.paths, settings, document, level)
    return export.write(watcher or Watcher())


def decathlon(
    store: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    validation: float = VALIDATION,
    modality: str = MODALITY,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as a Medical Segmentation Decathlon task, as MONAI's loader reads it.

    Args:
        validation: share of the volumes in the list "validation", 0 <= share < 1: the last ones,
            as no volume depends on its index; at least one, and at least one is left to train on.
        modality: what ``dataset.json`` says of the images.

    Other arguments and errors are those of ``nifti``.
    """
    if not 0 <= validation < 1:
        raise ExportError(f"validation: must lie in 0 <= share < 1, got {validation}")
    source, name = _opened(store, name, level)
    cases = Cases(name, source.plan.count, "imagesTr", "labelsTr", "")
    items = [
        {array: f"./{path}" for array, path in cases.paths(index).items()}
        for index in range(cases.count)
    ]
    split = cases.count - _validation_count(cases.count, validation)
    document = {
        "name": name,
        "description": _description(source),
        "tensorImageSize": "3D",
        "modality": {"0": modality},
        "labels": _by_value(source),
        "numTraining": split,
        "numTest": 0,
        "training": items[:split],
        "validation": items[split:],
        "test": [],
    }
    settings: dict[str, Any] = {
        "format": "decathlon",
        "name": name,
        "validation": validation,
        "modality": modality,
    }
    export = Export(source, Path(out), cases.paths, settings, document, level)
    return export.write(watcher or Watcher())


def nnunet(
    store: str | Path,
    out: str | Path,
    *,
    dataset_id: int,
    name: str | None = None,
    modality: str = MODALITY,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as a raw data set of nnU-Net v2.

    Args:
        out: nnU-Net's raw folder (``nnUNet_raw``), in which ``DatasetXXX_NAME`` is made.
        dataset_id: XXX, 1 .. 999.
        modality: the channel's name; nnU-Net normalises "CT" its own way, and others by z-score.

    Other arguments and errors are those of ``nifti``.
    """
    if not 1 <= dataset_id <= DATASET_ID_HIGH:
        raise ExportError(f"dataset id: must lie in 1..{DATASET_ID_HIGH}, got {dataset_id}")
    source, name = _opened(store, name, level)
    folder = Path(out) / f"Dataset{dataset_id:03d}_{name}"
    for other in Path(out).glob(f"Dataset{dataset_id:03d}_*"):
        if other.name != folder.name:
            raise ExportError(f"dataset id: nnU-Net wants one data set of each, {other} is there")
    cases = Cases(name, source.plan.count, "imagesTr", "labelsTr", "_0000")
    document = {
        "name": name,
        "description": _description(source),
        "channel_names": {"0": modality},
        "labels": {text: int(value) for value, text in _by_value(source).items()},
        "numTraining": cases.count,
        "file_ending": ENDING,
    }
    settings = {"format": "nnunet", "name": name, "modality": modality}
    export = Export(source, folder, cases.paths, settings, document, level)
    return export.write(watcher or Watcher())


class Cases:
    """Names of files: numbers are the store's indices, of one width so that they sort."""

    def __init__(self, name: str, count: int, images: str, labels: str, channel: str) -> None:
        self.count = count
        self._name, self._images, self._labels = name, images, labels
        self._channel = channel
        self._width = max(4, len(str(count - 1)))

    def paths(self, index: int) -> Mapping[str, str]:
        """By the store's array, relative to the export's folder."""
        case = f"{self._name}_{index:0{self._width}d}"
        return {
            "image": f"{self._images}/{case}{self._channel}{ENDING}",
            "label": f"{self._labels}/{case}{ENDING}",
        }


def _opened(store: str | Path, name: str | None, level: int) -> tuple[Volumes, str]:
    """The store, and the checked name of its export."""
    require_nibabel()
    if not 0 <= level <= 9:
        raise ExportError(f"level: must lie in 0..9, got {level}")
    if name is not None and not _NAME.fullmatch(name):
        raise ExportError(f"name: needs letters, digits, - or _, got {name!r}")
    source = Volumes.open(store)
    recipe = str(source.plan.recipe["name"])
    return source, name or re.sub(r"[^A-Za-z0-9]+", "-", recipe).strip("-") or "synthgen"


def _by_value(source: Volumes) -> dict[str, Any]:
    """Class names by label value, which are 0, 1, 2 and so on, as text.

    Raises:
        ExportError: two classes share a name; formats look values up by it.
    """
    names = source.attributes["class_names"]
    for name in names:
        if names.count(name) > 1:
            raise ExportError(f"class names: must differ, got {name!r} twice")
    return {str(value): name for value, name in enumerate(names)}


def _validation_count(count: int, share: float) -> int:
    if not share:
        return 0
    return min(max(1, round(count * share)), count - 1)


def _description(source: Volumes) -> str:
    plan = source.plan
    return f"synthgen, recipe {plan.recipe['name']} {plan.recipe_digest}, seed {plan.seed}"

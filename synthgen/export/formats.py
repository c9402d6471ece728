"""The folders that other tools expect: names of files, and what ``dataset.json`` says.

References:
    https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md
    http://medicaldecathlon.com
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from synthgen.export import nifti_file, ome_zarr_folder
from synthgen.export.errors import ExportError
from synthgen.export.folder import DOCUMENT, Export, Exported, Part
from synthgen.export.nifti_file import NiftiFile
from synthgen.export.ome_zarr_folder import OmeZarrFolder
from synthgen.export.source import Volumes
from synthgen.labels.tasks import Task
from synthgen.store.watcher import Watcher

LEVEL = 1
MODALITY = "synthetic"
DATASET_ID_HIGH = 999
CLASSES = "labelsTr.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def nifti(
    store: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    task: str | None = None,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as NIfTI files: ``images``, ``labels``, and ``dataset.json`` that lists them.

    Images of several channels are one file of four axes, x, y, z and channel, as label maps of
    several tasks are, which MONAI's ``LoadImaged`` with ``ensure_channel_first`` reads as
    (C, X, Y, Z) and (T, X, Y, Z). Of whole volumes the classes are in ``labelsTr.json``, by case: a
    number, or of several tasks a list. Prompts are left out, here and in the other formats.

    Args:
        store: its folder, or the YAML file of one whose volumes are made when they are read.
        out: new folder, or one begun before with the same arguments.
        name: that files begin with; by default the recipe's.
        task: whose labels are written; by default all.
        level: of gzip, 0 (none) .. 9; beyond 1 it costs time for few bytes.
        watcher: told of each shard; may ask to stop.

    Raises:
        ImportError: nibabel is not installed.
        ExportError: an argument is out of bounds; the store is incomplete or damaged; something
            else is in ``out``; the format does not take such labels. Files that are there are
            whole, and the same call resumes.
        StoreError: there is no store; another process writes ``out``; the disk refuses.
        Stopped: the watcher asked for it; the same call resumes.
        ValueError: there is no such task.
    """
    source, name = _opened(store, name, task)
    label = {} if source.whole_volumes else {"label": "labels/{}.nii.gz"}
    cases = Cases(name, source.plan.count, image="images/{}.nii.gz", **label)
    document = {
        **_listed(source, name, cases),
        "spacing": source.attributes["spacing"][::-1],
    }
    classes = dict.fromkeys(map(cases.name, range(cases.count)))

    def note(index: int) -> None:
        classes[cases.name(index)] = source.read("label", index).tolist()

    documents = {CLASSES: classes} if source.whole_volumes else {}
    settings = {"format": "nifti", "name": name, "task": task, "level": level}
    parts = _nifti_parts(source, cases, level)
    return Export(
        source, Path(out), parts, settings, {**documents, DOCUMENT: document},
        note if source.whole_volumes else None,
    ).write(watcher or Watcher())  # fmt: skip


def ome_zarr(
    store: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    task: str | None = None,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as OME-Zarr 0.5 images with labels, and ``dataset.json`` that lists them.

    Sides beyond 256 voxels get further resolution levels, each of every second voxel. An image has
    a label map of each task and an axis of channels, also of one; labels of whole volumes are
    refused.

    Arguments and errors are those of ``nifti``, which alone needs nibabel.
    """
    source, name = _opened(store, name, task)
    _require_maps(source, "OME-Zarr labels are")
    image = f"{{}}{ome_zarr_folder.ENDING}"
    names = ome_zarr_folder.label_names(source)
    keys = ["label"] if len(names) == 1 else names
    labels = {key: f"{image}/labels/{label}" for key, label in zip(keys, names, strict=True)}
    cases = Cases(name, source.plan.count, image=image, **labels)
    settings = {"format": "ome-zarr", "name": name, "task": task}
    parts = [Part(OmeZarrFolder(source), partial(cases.path, "image"))]
    documents = {DOCUMENT: _listed(source, name, cases)}
    return Export(source, Path(out), parts, settings, documents).write(watcher or Watcher())


def decathlon(
    store: str | Path,
    out: str | Path,
    *,
    name: str | None = None,
    task: str | None = None,
    modality: str | Sequence[str] = MODALITY,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as a Medical Segmentation Decathlon task, as MONAI's loader reads it.

    The store's validation volumes are the list "validation". Images of several channels and label
    maps of several tasks are files of four axes, as ``nifti`` has them; labels of whole volumes are
    refused.

    Args:
        modality: what ``dataset.json`` says of the images: a name for all channels, or one for
            each.

    Other arguments and errors are those of ``nifti``.
    """
    source, name = _opened(store, name, task)
    _require_maps(source, "a Decathlon task's labels are")
    cases = Cases(name, source.plan.count, image="imagesTr/{}.nii.gz", label="labelsTr/{}.nii.gz")
    items = [
        {array: f"./{path}" for array, path in cases.paths(index).items()}
        for index in range(cases.count)
    ]
    split = source.plan.splits["training"][1]
    document = {
        "name": name,
        "description": _description(source),
        "tensorImageSize": _image_size(source),
        "modality": _by_channel(source, modality),
        **_labels(source),
        "numTraining": split,
        "numTest": 0,
        "training": items[:split],
        "validation": items[split:],
        "test": [],
    }
    settings = {
        "format": "decathlon", "name": name, "task": task, "modality": _plain(modality),
        "level": level,
    }  # fmt: skip
    parts = _nifti_parts(source, cases, level)
    export = Export(source, Path(out), parts, settings, {DOCUMENT: document})
    return export.write(watcher or Watcher())


def nnunet(
    store: str | Path,
    out: str | Path,
    *,
    dataset_id: int,
    name: str | None = None,
    task: str | None = None,
    modality: str | Sequence[str] = MODALITY,
    level: int = LEVEL,
    watcher: Watcher | None = None,
) -> Exported:
    """Export a store as a raw data set of nnU-Net v2.

    Each channel is a file. The store's split is fold 0, the only one of ``splits_final.json``,
    which nnU-Net's planner copies to where training reads it; nnU-Net draws five folds where
    nothing is held out.

    Args:
        out: nnU-Net's raw folder (``nnUNet_raw``), in which ``DatasetXXX_NAME`` is made.
        dataset_id: XXX, 1 .. 999.
        task: has to be given where the store has several, as nnU-Net takes one label map.
        modality: a name for all channels, or one for each; nnU-Net normalises "CT" its own way, and
            others by z-score.

    Other arguments and errors are those of ``nifti``.
    """
    if not 1 <= dataset_id <= DATASET_ID_HIGH:
        raise ExportError(f"dataset id: must lie in 1..{DATASET_ID_HIGH}, got {dataset_id}")
    source, name = _opened(store, name, task)
    _require_maps(source, "nnU-Net's labels are")
    if len(source.tasks) > 1:
        names = ", ".join(each.name for each in source.tasks)
        raise ExportError(f"task: nnU-Net takes one label map, choose one of {names}")
    folder = Path(out) / f"Dataset{dataset_id:03d}_{name}"
    for other in Path(out).glob(f"Dataset{dataset_id:03d}_*"):
        if other.name != folder.name:
            raise ExportError(f"dataset id: nnU-Net wants one data set of each, {other} is there")
    images = {f"image_{c:04d}": f"imagesTr/{{}}_{c:04d}.nii.gz" for c in range(source.channels)}
    cases = Cases(name, source.plan.count, **images, label="labelsTr/{}.nii.gz")
    document = {
        "name": name,
        "description": _description(source),
        "channel_names": _by_channel(source, modality),
        "labels": {text: int(value) for value, text in _by_value(source.tasks[0]).items()},
        "numTraining": cases.count,
        "file_ending": nifti_file.ENDING,
    }
    settings = {
        "format": "nnunet", "name": name, "task": task, "modality": _plain(modality),
        "level": level,
    }  # fmt: skip
    several = source.channels > 1
    parts = [
        Part(
            NiftiFile(source, "image", level, channel if several else None),
            partial(cases.path, held),
        )
        for channel, held in enumerate(images)
    ]
    parts.append(Part(NiftiFile(source, "label", level), partial(cases.path, "label")))
    splits = {"splits_final.json": [_fold(source, cases)]} if source.plan.validation else {}
    return Export(source, folder, parts, settings, {**splits, DOCUMENT: document}).write(
        watcher or Watcher()
    )


class Cases:
    """Names of files: numbers are the store's indices, of one width so that they sort."""

    def __init__(self, name: str, count: int, **paths: str) -> None:
        """Take the paths by what they hold, relative to the export's folder, {} for the case."""
        self.count = count
        self._name, self._paths = name, paths
        self._width = max(4, len(str(count - 1)))

    def name(self, index: int) -> str:
        return f"{self._name}_{index:0{self._width}d}"

    def path(self, held: str, index: int) -> str:
        return self._paths[held].format(self.name(index))

    def paths(self, index: int) -> Mapping[str, str]:
        """By what they hold."""
        return {held: self.path(held, index) for held in self._paths}


def _opened(store: str | Path, name: str | None, task: str | None) -> tuple[Volumes, str]:
    """The store with the labels that are asked for, and the checked name of its export."""
    if name is not None and not _NAME.fullmatch(name):
        raise ExportError(f"name: needs letters, digits, - or _, got {name!r}")
    source = Volumes.open(store).of_task(task)
    recipe = str(source.plan.recipe["name"])
    return source, name or re.sub(r"[^A-Za-z0-9]+", "-", recipe).strip("-") or "synthgen"


def _require_maps(source: Volumes, labels_are: str) -> None:
    """Raise ExportError unless the store has label maps."""
    if source.whole_volumes:
        raise ExportError(
            f"labels: {labels_are} label maps, and {source.path} has classes of whole volumes; "
            "export it as nifti"
        )


def _nifti_parts(source: Volumes, cases: Cases, level: int) -> Sequence[Part]:
    return [
        Part(NiftiFile(source, name, level), partial(cases.path, name)) for name in cases.paths(0)
    ]


def _by_channel(source: Volumes, modality: str | Sequence[str]) -> dict[str, str]:
    """Names of the channels, by their numbers as text.

    Raises:
        ExportError: there are others than channels.
    """
    channels = source.channels
    names = [modality] * channels if isinstance(modality, str) else list(modality)
    if len(names) != channels:
        rule = f"one name, or one for each of {channels} channels"
        raise ExportError(f"modality: needs {rule}, got {', '.join(names)}")
    return {str(channel): name for channel, name in enumerate(names)}


def _plain(modality: str | Sequence[str]) -> str | list[str]:
    """As JSON gives it back."""
    return modality if isinstance(modality, str) else list(modality)


def _image_size(source: Volumes) -> str:
    """Decathlon's word for the axes of an image; a plane is one whatever its channels are."""
    if source.plan.shape[0] == 1:
        return "2D"
    return "4D" if source.channels > 1 else "3D"


def _fold(source: Volumes, cases: Cases) -> dict[str, list[str]]:
    """The split of the store as nnU-Net writes it."""
    splits = source.plan.splits
    return {
        "train": [cases.name(index) for index in range(*splits["training"])],
        "val": [cases.name(index) for index in range(*splits["validation"])],
    }


def _listed(source: Volumes, name: str, cases: Cases) -> dict[str, Any]:
    """What a format without a document of its own says; splits are ranges of the cases."""
    return {
        "name": name,
        **_labels(source),
        "splits": source.plan.splits,
        "cases": [cases.paths(index) for index in range(cases.count)],
    }


def _labels(source: Volumes) -> dict[str, Any]:
    """What label values mean: of the first task, and of each where there are several."""
    tasks = [{"name": task.name, "labels": _by_value(task)} for task in source.tasks]
    return {"labels": tasks[0]["labels"], **({"tasks": tasks} if len(tasks) > 1 else {})}


def _by_value(task: Task) -> dict[str, str]:
    """Class names by label value, which are 0, 1, 2 and so on, as text.

    Raises:
        ExportError: two classes share a name; formats look values up by it.
    """
    names = task.class_names
    for name in names:
        if names.count(name) > 1:
            raise ExportError(f"class names: must differ, got {name!r} twice")
    return {str(value): name for value, name in enumerate(names)}


def _description(source: Volumes) -> str:
    plan = source.plan
    return f"synthgen, recipe {plan.recipe['name']} {plan.recipe_digest}, seed {plan.seed}"

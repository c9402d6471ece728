"""OME-Zarr 0.5 images: one zarr group a volume, its label maps inside.

References:
    https://ngff.openmicroscopy.org/0.5/
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import zarr

from synthgen.drawing import PALETTE
from synthgen.export.source import Volumes
from synthgen.store.codecs import CODECS, zarr_codecs
from synthgen.store.commit import replaced_folder

ENDING = ".ome.zarr"
LABELS = "segmentation"  # name of the only label map; of several, each has that of its task

_SIDE_HIGH = 256  # voxels; where a side is longer, there is a next level of half the size
_CHUNK_SIDE = 128
_CHANNEL = {"name": "c", "type": "channel"}
_SPACE = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]


class OmeZarrFolder:
    """How a volume becomes a group: the image, and under ``labels`` its label maps."""

    arrays: tuple[str, ...] = ("image", "label")

    def __init__(self, source: Volumes) -> None:
        plan = source.plan
        self._origin = {"recipe": plan.recipe_digest, "seed": plan.seed}
        self._spacing = source.attributes["spacing"]
        self._classes = dict(zip(label_names(source), source.tasks, strict=True))

    def write(self, path: Path, index: int, voxels: Sequence[npt.NDArray[Any]], writer: str) -> int:
        """Write the group of volume ``index``; returns the bytes of its files."""
        image, label = voxels
        name = path.name.removesuffix(ENDING)
        with replaced_folder(path, writer) as folder:
            group = zarr.create_group(folder)
            names = list(self._classes)
            labels = group.create_group("labels", attributes=_ome(labels=names))
            sides = image.shape[-3:]
            for label_name, part in zip(names, label.reshape(-1, *sides), strict=True):
                self._write_label(labels, label_name, part)
            channels = image.reshape(-1, *sides)
            described = {"multiscales": self._levels(group, channels, name)}
            origin = self._origin | {"volume": index, "bytes": _size(folder)}
            group.attrs.update(_ome(**described) | {"synthgen": origin})
            return _size(folder)

    def _write_label(self, labels: zarr.Group, name: str, voxels: npt.NDArray[Any]) -> None:
        segmentation = labels.create_group(name)
        described = {"multiscales": self._levels(segmentation, voxels, name)}
        image_label = _image_label(self._classes[name].class_names)
        segmentation.attrs.update(_ome(**described, **{"image-label": image_label}))

    def is_whole(self, path: Path, index: int) -> bool:
        """Whether ``path`` says that it is volume ``index`` and its arrays have their size."""
        try:
            found = json.loads((path / "zarr.json").read_bytes())["attributes"]["synthgen"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return bool(found == self._origin | {"volume": index, "bytes": _size(path)})

    def _levels(self, group: zarr.Group, voxels: npt.NDArray[Any], name: str) -> list[Any]:
        """Write the arrays of an image, largest first; returns what OME-Zarr says of them."""
        datasets = []
        for level, array in enumerate(_halved(voxels)):
            _write_array(group, str(level), array)
            scale = [1.0] * (array.ndim - 3) + [side * 2**level for side in self._spacing]
            transformations = [{"type": "scale", "scale": scale}]
            datasets.append({"path": str(level), "coordinateTransformations": transformations})
        axes = [_CHANNEL, *_SPACE] if voxels.ndim == 4 else _SPACE
        return [{"name": name, "axes": axes, "datasets": datasets}]


def label_names(source: Volumes) -> list[str]:
    """Names of the label maps in each group, in the order of tasks."""
    return [LABELS] if len(source.tasks) == 1 else [task.name for task in source.tasks]


def _image_label(names: Sequence[str]) -> dict[str, Any]:
    classes = enumerate(names)
    properties = [{"label-value": value, "class": name} for value, name in classes]
    colors = [{"label-value": value, "rgba": _rgba(value)} for value in range(len(names))]
    return {"colors": colors, "properties": properties, "source": {"image": "../../"}}


def _rgba(value: int) -> list[int]:
    """The colour of a class in previews; the background is transparent."""
    return [*PALETTE[(value - 1) % len(PALETTE)].tolist(), 255] if value else [0, 0, 0, 0]


def _ome(**values: Any) -> dict[str, Any]:
    return {"ome": {"version": "0.5", **values}}


def _halved(voxels: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """``voxels`` and, by every second one, smaller arrays: first voxels stay where they are."""
    yield voxels
    while max(voxels.shape[-3:]) > _SIDE_HIGH:
        voxels = voxels[..., ::2, ::2, ::2]
        yield voxels


def _write_array(group: zarr.Group, name: str, voxels: npt.NDArray[Any]) -> None:
    sides = voxels.shape[-3:]
    array = group.create_array(
        name,
        shape=voxels.shape,
        dtype=voxels.dtype,
        chunks=(*([1] * (voxels.ndim - 3)), *(min(side, _CHUNK_SIDE) for side in sides)),
        compressors=zarr_codecs(CODECS["zstd"]["image"], voxels.itemsize),
        dimension_names="czyx"[-voxels.ndim :],
        # An absent file means a loss, never zeros.
        config={"write_empty_chunks": True},
    )
    array[...] = voxels


def _size(folder: Path) -> int:
    """Bytes of a group's files, less its own document, which states them."""
    own = folder / "zarr.json"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path != own)

"""A montage of volumes: three planes of the image, and of the image under its labels.

A volume of a single slice has one plane, and an image of several channels a row for each. Labels of
whole volumes are written beside the planes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from synthgen.drawing import PALETTE, font
from synthgen.labels.tasks import Task
from synthgen.store.tasks import place_of, tasks_of

ROWS_MAX = 32

# Pixels.
_TILE, _TILE_MAX = 256, 2048  # length of the longest side
_MARGIN, _HEADER = 28, 78
_GAP, _PLANE_GAP, _ROW_GAP = 4, 24, 20
_SWATCH, _NAME_GAP, _ENTRY_GAP, _LEGEND_LINE = 16, 8, 28, 26
_LARGE, _TEXT, _SMALL = 24, 20, 17
_LEGEND_MAX = 64

_PAPER, _INK, _GREY = (255, 255, 255), (32, 32, 36), (112, 112, 120)
_FILL = 0.5  # opacity of a label; its outline is opaque

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Volume:
    """One volume to draw, or one of its channels.

    Attributes:
        image, label: (D, H, W); there is no label map where labels are of whole volumes.
        index: its index in the data set.
        classes: names of those of the whole volume.
        channel: which of several.
    """

    image: npt.NDArray[Any]
    label: npt.NDArray[np.unsignedinteger] | None
    index: int
    classes: Sequence[str] = ()
    channel: int | None = None


@dataclass(frozen=True)
class Volumes:
    """What a montage shows.

    Attributes:
        spacing: (z, y, x), mm.
        class_names: by label value.
    """

    title: str
    spacing: Sequence[float]
    class_names: Sequence[str]
    volumes: Sequence[Volume]


class _Plane(NamedTuple):
    """A plane of (z, y, x): the axis across it, the one up the page, and the one to the right."""

    name: str
    across: int
    up: int
    right: int


# The axes grow toward the right, anterior and superior (RAS), so superior and anterior are up.
_PLANES = (
    _Plane("axial", across=0, up=1, right=2),
    _Plane("coronal", across=1, up=0, right=2),
    _Plane("sagittal", across=2, up=0, right=1),
)


def from_recipe(
    recipe: Any,
    indices: Sequence[int] | None = None,
    *,
    seed: int = 0,
    task: str | None = None,
) -> Volumes:
    """Make the volumes ``indices`` of a recipe, on the CPU: for a few it is the quicker start.

    Each of several channels is a volume of the montage.

    Args:
        task: which to show of several label maps, by default the first; of whole volumes, by
            default all.

    Raises:
        ValueError: there is no such task.
    """
    from synthgen.engine import generate
    from synthgen.recipe import load_recipe

    recipe = load_recipe(recipe)
    chosen = _checked(range(3) if indices is None else indices)
    labels = _Labels.of(recipe.tasks, task)
    volumes = [
        volume
        for batch in generate(recipe, seed=seed, indices=chosen, device="cpu")
        for image, label, index in zip(batch.image, batch.label, batch.index, strict=True)
        for volume in labels.volumes(image, label, int(index))
    ]
    title = _title(recipe.name, recipe.reference_shape, seed)
    return labels.montage(title, recipe.spacing, volumes)


def from_store(
    path: str | Path, indices: Sequence[int] | None = None, *, task: str | None = None
) -> Volumes:
    """Read the volumes ``indices`` of a store; each of several channels is one of the montage.

    Args:
        task: as in ``from_recipe``.

    Raises:
        ValueError: it is no store, has no such volume or task, or synthgen made it and its files
            are not as they were committed: zarr reads a lost one as zeros.
    """
    import zarr

    from synthgen.store.check import require_intact
    from synthgen.store.layout import is_store

    ours = is_store(Path(path))
    if ours:
        require_intact(Path(path), ())
    try:
        group: Any = zarr.open_group(path, mode="r")  # of arrays, as stores are
        images, maps = group["image"], group["label"]
        tasks, spacing = tasks_of(group.attrs), group.attrs["spacing"]
        recipe, seed = group.attrs["recipe"]["name"], group.attrs["seed"]
    except (KeyError, FileNotFoundError):
        raise ValueError(f"{path}: not a store of labelled volumes") from None
    count = images.shape[0]
    chosen = _checked(range(min(3, count)) if indices is None else indices)
    for index in chosen:
        if index >= count:
            raise ValueError(f"index: the store has volumes 0..{count - 1}, got {index}")
    if ours:
        require_intact(Path(path), chosen)
    labels = _Labels.of(tasks, task)
    axes = slice(None) if maps.ndim in (2, 5) else None  # of tasks; else there is one
    volumes = [
        volume
        for index in chosen
        for volume in labels.volumes(
            np.asarray(images[index]), np.asarray(maps[index])[axes], index
        )
    ]
    return labels.montage(_title(recipe, images.shape[2:], seed), spacing, volumes)


class _Labels(NamedTuple):
    """What to show of labels: of maps (T, D, H, W) one task, of whole volumes (T,) one or all.

    Attributes:
        place: of the task that was asked for.
    """

    tasks: Sequence[Task]
    place: int | None

    @classmethod
    def of(cls, tasks: Sequence[Task], name: str | None) -> "_Labels":
        """Those of the task ``name``; raises ValueError where there is none."""
        return cls(tasks, None if name is None else place_of(tasks, name))

    def volumes(self, image: Any, label: Any, index: int) -> Iterator[Volume]:
        """A volume for each channel of ``image`` (C, D, H, W)."""
        channels: Sequence[int | None] = range(len(image)) if len(image) > 1 else [None]
        maps = label.ndim > 1
        shown, names = (label[self.place or 0], ()) if maps else (None, self._classes(label))
        for channel, values in zip(channels, image, strict=True):
            yield Volume(values, shown, index, names, channel)

    def _classes(self, label: Any) -> Sequence[str]:
        """Of a whole volume (T,)."""
        values = zip(self.tasks, label.tolist(), strict=True)
        names = [task.class_names[value] for task, value in values]
        return names if self.place is None else [names[self.place]]

    def montage(self, title: str, spacing: Sequence[float], volumes: Sequence[Volume]) -> Volumes:
        """With the task in the title, where one of several is shown."""
        maps = any(volume.label is not None for volume in volumes)
        place = 0 if self.place is None and maps else self.place
        if place is not None and len(self.tasks) > 1:
            title = f"{title}, {self.tasks[place].name}"
        return Volumes(title, spacing, self.tasks[place or 0].class_names, volumes)


def draw(content: Volumes) -> Image.Image:
    """Draw a row for each volume, and below them the classes that occur in it."""
    layout = _Layout.of(content)
    planes = [_cut(volume, layout.planes) for volume in content.volumes]
    legend = _legend(planes, content.class_names)
    step, lines = _legend_grid(legend, layout.width - layout.lefts[0] - _MARGIN)
    bottom = layout.top(len(planes))
    page = Image.new("RGB", (layout.width, bottom + lines * _LEGEND_LINE + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((layout.lefts[0], _MARGIN), content.title, _INK, font(_LARGE))
    for plane, left in zip(layout.planes, layout.lefts, strict=True):
        pen.text((left, layout.top(0) - 8), plane.name, _INK, font(_TEXT), anchor="ls")
    for row, volume in enumerate(content.volumes):
        middle = layout.top(row) + layout.height // 2
        pen.text((_MARGIN, middle), _caption(volume), _GREY, font(_TEXT), anchor="lm")
        for cut, left, size in zip(planes[row], layout.lefts, layout.sizes, strict=True):
            top = middle - size[0] // 2
            for place, picture in enumerate(_pictures(cut, size)):
                page.paste(Image.fromarray(picture), (left + place * (size[1] + _GAP), top))
    for place, entry in enumerate(legend):
        column, line = divmod(place, lines)
        _draw_entry(pen, layout.lefts[0] + column * step, bottom + line * _LEGEND_LINE, entry)
    return page


class _Layout(NamedTuple):
    """Where the planes stand, in pixels: sizes are (rows, columns)."""

    planes: Sequence[_Plane]
    sizes: list[tuple[int, int]]
    lefts: list[int]
    height: int
    width: int

    @classmethod
    def of(cls, content: Volumes) -> "_Layout":
        shape, spacing = content.volumes[0].image.shape, np.array(content.spacing)
        planes = _planes(shape)
        drawn = sorted({axis for plane in planes for axis in (plane.up, plane.right)})
        extent = np.array(shape) * spacing
        # A whole number of pixels for the finest axis, unless that fills no page.
        unit = -(-_TILE // max(shape)) / spacing[drawn].min()
        scale = min(unit, _TILE_MAX / extent[drawn].max())
        sides = np.maximum(1, np.rint(extent * scale)).astype(int)
        sizes = [(int(sides[plane.up]), int(sides[plane.right])) for plane in planes]
        lines = [line for v in content.volumes for line in _caption(v).splitlines()]
        left = 2 * _MARGIN + max(_text_width(line, _TEXT) for line in lines)
        pictures = 1 if content.volumes[0].label is None else 2
        lefts = []
        for _, columns in sizes:
            lefts.append(left)
            left += pictures * (columns + _GAP) - _GAP + _PLANE_GAP
        right = max(left - _PLANE_GAP, lefts[0] + _text_width(content.title, _LARGE))
        return cls(planes, sizes, lefts, max(rows for rows, _ in sizes), right + _MARGIN)

    def top(self, row: int) -> int:
        return _MARGIN + _HEADER + row * (self.height + _ROW_GAP)


class _Cut(NamedTuple):
    """One plane of a volume: grey values and label values, if there are any."""

    grey: Pixels
    label: npt.NDArray[np.unsignedinteger] | None


class _Entry(NamedTuple):
    """One class of the legend."""

    colour: tuple[int, int, int]
    name: str


def _planes(shape: Sequence[int]) -> Sequence[_Plane]:
    """Those of a volume of ``shape`` (D, H, W): of a single slice it is the only one."""
    return _PLANES[:1] if shape[0] == 1 else _PLANES


def _cut(volume: Volume, planes: Sequence[_Plane]) -> list[_Cut]:
    """The slices with most labelled, or bright, voxels, in grey values that share one window."""
    label = volume.label
    shown = volume.image > volume.image.mean() if label is None else label
    at = [_fullest(shown, plane.across) for plane in planes]
    labels = [
        None if label is None else _slice(label, plane, i)
        for plane, i in zip(planes, at, strict=True)
    ]
    images = [
        np.nan_to_num(_slice(volume.image, plane, i).astype(np.float32))
        for plane, i in zip(planes, at, strict=True)
    ]
    values = np.concatenate([image.ravel() for image in images])
    low, high = np.percentile(values, (0.5, 99.5))
    if low == high:  # fewer lines than one voxel in 200, or a flat image
        low, high = values.min(), values.max()
    scale = 255 / (high - low) if high > low else 0.0
    greys = [np.rint(np.clip((image - low) * scale, 0, 255)).astype(np.uint8) for image in images]
    return [_Cut(grey, label) for grey, label in zip(greys, labels, strict=True)]


def _fullest(label: npt.NDArray[Any], axis: int) -> int:
    """The slice with most voxels other than 0; of equals, the one nearest to the middle."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(label, axis=others)
    best = np.flatnonzero(counts == counts.max())
    return int(best[np.abs(best - len(counts) // 2).argmin()])


def _slice(array: npt.NDArray[Any], plane: _Plane, index: int) -> npt.NDArray[Any]:
    upward: npt.NDArray[Any] = array.take(index, axis=plane.across)
    return upward[::-1]


def _pictures(cut: _Cut, size: tuple[int, int]) -> list[Pixels]:
    """The plane in grey, and under coloured labels with opaque outlines, at ``size``."""
    grey = np.repeat(_enlarged(cut.grey, size)[..., None], 3, axis=-1)
    if cut.label is None:
        return [grey]
    label = _enlarged(cut.label, size)
    colour = PALETTE[(label.astype(np.int64) - 1) % len(PALETTE)]
    mixed = (grey * (1 - _FILL) + colour * _FILL).astype(np.uint8)
    overlay = np.where(_outline(label)[..., None], colour, mixed)
    return [grey, np.where(label[..., None] == 0, grey, overlay)]


def _enlarged(plane: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Repeat voxels, so that their edges stay crisp."""
    rows, columns = (
        np.arange(new) * old // new for new, old in zip(size, plane.shape, strict=True)
    )
    enlarged: npt.NDArray[Any] = plane[np.ix_(rows, columns)]
    return enlarged


def _outline(label: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Pixels whose right, left, lower or upper neighbour has another label."""
    edge = np.zeros(label.shape, bool)
    for edges, values in ((edge, label), (edge.T, label.T)):
        change = values[1:] != values[:-1]
        edges[1:] |= change
        edges[:-1] |= change
    return edge


def _legend(rows: Sequence[Sequence[_Cut]], names: Sequence[str]) -> list[_Entry]:
    """The classes drawn; what is too much for a legend is counted."""
    labels = [cut.label for row in rows for cut in row if cut.label is not None]
    drawn = {int(value) for label in labels for value in np.unique(label)}
    classes = sorted(drawn - {0})
    shown = [_Entry(_colour(value), names[value]) for value in classes[:_LEGEND_MAX]]
    hidden = len(classes) - len(shown)
    return [*shown, _Entry(_PAPER, f"and {hidden} more")] if hidden else shown


def _legend_grid(legend: Sequence[_Entry], width: int) -> tuple[int, int]:
    """The width of a column, and how many lines are needed."""
    names = max((_text_width(entry.name, _SMALL) for entry in legend), default=0)
    step = _SWATCH + _NAME_GAP + names + _ENTRY_GAP
    columns = max(1, (width + _ENTRY_GAP) // step)
    return step, -(-len(legend) // columns)


def _draw_entry(pen: ImageDraw.ImageDraw, left: int, top: int, entry: _Entry) -> None:
    middle = top + _LEGEND_LINE // 2
    box = (left, middle - _SWATCH // 2, left + _SWATCH, middle + _SWATCH // 2)
    pen.rounded_rectangle(box, radius=3, fill=entry.colour)
    pen.text((left + _SWATCH + _NAME_GAP, middle), entry.name, _INK, font(_SMALL), anchor="lm")


def _colour(value: int) -> tuple[int, int, int]:
    red, green, blue = PALETTE[(value - 1) % len(PALETTE)].tolist()
    return red, green, blue


def _caption(volume: Volume) -> str:
    channel = [] if volume.channel is None else [f"channel {volume.channel}"]
    return "\n".join([f"#{volume.index}", *channel, *volume.classes])


def _text_width(text: str, size: int) -> int:
    return math.ceil(font(size).getlength(text))


def _checked(indices: Sequence[int]) -> list[int]:
    if not 1 <= len(indices) <= ROWS_MAX:
        raise ValueError(f"index: a montage has 1..{ROWS_MAX} volumes, got {len(indices)}")
    return list(indices)


def _title(recipe: str, shape: Sequence[int], seed: int) -> str:
    return f"{recipe}, {'x'.join(map(str, shape))}, seed {seed}"

"""A real label map beside volumes of a bank: organs where relations want them, and anywhere.

    python -m benchmarks.anatomy_pictures BANK LABELMAP OUT [--names FILE] [--seed 0]

BANK is a shape bank, LABELMAP a NIfTI label map with the same structures, OUT the PNG to write. All
are drawn at 3 mm in RAS, from the front and from the patient's right: silhouettes, large ones
first.
"""

import argparse
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, find_objects

import synthgen
from synthgen.bank import Bank, open_bank
from synthgen.bank.names import Naming, load_naming, naming_beside
from synthgen.drawing import PALETTE, font

Labels = npt.NDArray[np.int64]  # (z, y, x): up, front, right; 0 or a structure's place, from 1

_SPACING = 3.0  # mm
_PIXELS = 3  # of a voxel
_MARGIN, _GAP, _TITLE, _TEXT, _LEGEND_LINE = 28, 20, 24, 17, 26
_PAPER, _INK, _GREY = (255, 255, 255), (32, 32, 36), (112, 112, 120)
_FILL, _EDGE = 0.62, 0.95  # opacity


def real(path: Path, names: list[str], naming: Naming) -> Labels:
    """A label map at 3 mm, nearest neighbour, with the classes of ``names``."""
    image = nibabel.as_closest_canonical(nibabel.load(path))  # type: ignore[no-untyped-call]
    values = np.asarray(image.dataobj).round().astype(np.int64)
    places = np.zeros(values.max() + 1, np.int64)
    for value in np.unique(values[values > 0]):
        name = naming.name_of(int(value))
        places[value] = names.index(name) + 1 if name in names else 0
    step = _SPACING / np.linalg.norm(image.affine[:3, :3], axis=0)
    at = [
        np.arange(s / 2, length, s).astype(int)
        for s, length in zip(step, values.shape, strict=True)
    ]
    return cropped(places[values][np.ix_(*at)].T)


def made(bank: str, positions: str, sides: npt.NDArray[np.float64], seed: int) -> Labels:
    """The labels of a volume of a bank: every structure, in a view of these sides, mm."""
    shape = tuple(int(side) for side in np.ceil(sides / _SPACING))
    recipe = synthgen.load_recipe("fake-it-right").replace(
        reference_shape=shape, spacing=(_SPACING,) * 3, placement__positions=positions,
        shapes__bank=bank, shapes__digest=None, shapes__structures=(), shapes__keep=1.0,
        shapes__wander=0.0, shapes__zoom=(1.0, 1.0),
    )  # fmt: skip
    if positions == "uniform":
        off = dict.fromkeys(("order", "overlap", "gap", "inside"), 0.0)
        recipe = recipe.replace(
            placement__weights=off, placement__limits=None, placement__proposals=1
        )
    volume = synthgen.generate_one(recipe.resolved(), seed=seed, index=0)
    return cropped(volume.label.reshape(shape).astype(np.int64))


def cropped(labels: Labels) -> Labels:
    (box,) = find_objects((labels > 0).astype(np.uint8))
    inner: Labels = labels[box]
    return inner


def projection(labels: Labels, axis: int, flip: bool) -> Image.Image:
    """Silhouettes along an axis, head up."""
    order = np.argsort(-np.bincount(labels.ravel(), minlength=2)[1:], kind="stable") + 1
    shape = tuple(np.delete(labels.shape, axis) * _PIXELS)
    page = np.full((*shape, 3), 255.0)
    for place in order:
        outline = (labels == place).any(axis)[::-1]
        outline = outline[:, ::-1] if flip else outline
        outline = outline.repeat(_PIXELS, 0).repeat(_PIXELS, 1)
        edge = outline & ~binary_erosion(outline)
        colour = PALETTE[(place - 1) % len(PALETTE)].astype(float)
        page[outline] = (1 - _FILL) * page[outline] + _FILL * colour
        page[edge] = (1 - _EDGE) * page[edge] + _EDGE * 0.6 * colour
    return Image.fromarray(page.round().astype(np.uint8))


def draw(panels: dict[str, Labels], bank: Bank) -> Image.Image:
    """All side by side at one scale, and what the colours are."""
    views = {
        title: (projection(labels, 1, True), projection(labels, 2, False))
        for title, labels in panels.items()
    }
    widths = {
        title: max(sum(view.width for view in pair) + _GAP, round(font(_TITLE).getlength(title)))
        for title, pair in views.items()
    }
    height = max(view.height for pair in views.values() for view in pair)
    width = sum(widths.values()) + 2 * _GAP * (len(views) - 1)
    columns = width // (36 + round(max(font(_TEXT).getlength(name) for name in bank.names)))
    lines = -(-len(bank.names) // columns)
    top = _MARGIN + 72
    size = (width + 2 * _MARGIN, top + height + 2 * _GAP + lines * _LEGEND_LINE + _MARGIN)
    page = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(page)
    left = _MARGIN
    for title, pair in views.items():
        pen.text((left, _MARGIN), title, _INK, font(_TITLE))
        x = left
        for view, words in zip(pair, ("from the front", "from the right"), strict=True):
            pen.text((x, _MARGIN + 36), words, _GREY, font(_TEXT))
            page.paste(view, (x, top + (height - view.height) // 2))
            x += view.width + _GAP
        left += widths[title] + 2 * _GAP
    for place, name in enumerate(bank.names):
        column, line = divmod(place, lines)
        x = _MARGIN + column * (width // columns)
        y = top + height + 2 * _GAP + line * _LEGEND_LINE
        pen.rectangle((x, y + 3, x + 15, y + 18), tuple(PALETTE[place % len(PALETTE)].tolist()))
        pen.text((x + 24, y), name, _INK, font(_TEXT))
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bank")
    parser.add_argument("labelmap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--names", type=Path, help="default: a labels.json beside the label map")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bank = open_bank(options.bank)
    beside = naming_beside(options.labelmap.parent)
    naming = load_naming(options.names) if options.names else beside or Naming()
    panels = {
        "a person": real(options.labelmap, list(bank.names), naming),
        "placed by relations": made(options.bank, "anchors", 2 * bank.body, options.seed),
        "placed uniformly": made(options.bank, "uniform", bank.body, options.seed),
    }
    draw(panels, bank).save(options.out, format="PNG", optimize=True)


if __name__ == "__main__":
    main()

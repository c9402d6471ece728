"""Pictures of what signed distance functions are made of: primitives, displacements, mappers.

Each tile is a volume of one object, made as any recipe makes it: primitives and displacements are
seen from above under a lamp, mappers as the middle slice of one solid.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from synthgen.appearance.mappers import MAPPERS
from synthgen.drawing import font
from synthgen.engine import generate_one
from synthgen.recipe import load_recipe
from synthgen.shapes.displacements import DISPLACEMENTS
from synthgen.shapes.sdf_classes import CLASSES

Tile = npt.NDArray[np.uint8]

_SIDE = 96  # voxels of a volume
_TILE, _CAPTION, _GAP = 132, 14, 6  # pixels
_NEAR = 0.6  # grid scale at which one solid fills its tile
_PAPER, _INK = (255, 255, 255), (40, 44, 52)
_LAMP = np.array([-0.70, -0.55, -0.45]) / np.linalg.norm([0.70, 0.55, 0.45])  # z, y, x
_SHOWN = "FiveStarConvexPrism"  # what displacements and mappers are shown on


def catalogue(folder: Path) -> Iterator[Path]:
    """Draw the three pages, and yield the path of each as it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    pages: dict[str, tuple[list[str], Callable[[str], Tile], int]] = {
        "primitives": ([f"{row.id} {row.name}" for row in CLASSES], _primitive, 10),
        "displacements": ([row.name for row in DISPLACEMENTS], _displacement, 6),
        "mappers": ([row.name for row in MAPPERS], _mapper, 6),
    }
    for name, (captions, draw, columns) in pages.items():
        path = folder / f"{name}.png"
        page = _page(captions, [draw(caption) for caption in captions], columns)
        page.quantize(64).save(path, optimize=True)
        yield path


def _primitive(caption: str) -> Tile:
    return _lit(_volume(caption.partition(" ")[2]).label[0, 0] > 0)


def _displacement(name: str) -> Tile:
    return _lit(_volume("Sphere", displacements=(name,), scale=_NEAR).label[0, 0] > 0)


def _mapper(name: str) -> Tile:
    image = _volume(_SHOWN, mappers=(name,), rotation="none", scale=_NEAR).image[0, 0]
    grey = 255 - np.minimum(image[_SIDE // 2].astype(np.uint16) * 2, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _volume(
    primitive: str,
    *,
    displacements: tuple[str, ...] = ("none",),
    mappers: tuple[str, ...] = ("linear_slope_10.0",),
    rotation: str = "uniform",
    scale: float = 1.0,
) -> Any:
    """Volume 0 of one object in the middle."""
    recipe = load_recipe("fdif-classification").replace(
        reference_shape=(_SIDE, _SIDE, _SIDE),
        shapes__primitives=(primitive,),
        shapes__displacements=displacements,
        shapes__rotation=rotation,
        shapes__grid_scale=scale,
        appearance__mappers=mappers,
        labels={"kind": "by_volume"},
    )
    return generate_one(recipe, seed=3, index=0, device="cpu")


def _lit(solid: npt.NDArray[np.bool_]) -> Tile:
    """A solid seen along z; its normals are the slopes of the blurred occupancy."""
    blurred: npt.NDArray[Any] = solid.astype(np.float32)
    for axis in (0, 1, 2) * 2:
        blurred = (np.roll(blurred, 1, axis) + blurred + np.roll(blurred, -1, axis)) / 3
    normals = -np.stack(np.gradient(blurred), axis=-1)
    first = solid.argmax(axis=0)
    at = (first, *np.indices(first.shape))
    normal = normals[at] / np.maximum(np.linalg.norm(normals[at], axis=-1, keepdims=True), 1e-6)
    light = 0.25 + 0.75 * np.clip(normal @ _LAMP, 0, 1)
    colour = light[..., None] * np.array([110, 160, 230])
    seen = np.asarray(solid.any(axis=0))
    return np.where(seen[..., None], colour, 255).astype(np.uint8)


def _page(captions: list[str], tiles: list[Tile], columns: int) -> Image.Image:
    step_x, step_y = _TILE + _GAP, _TILE + _CAPTION + _GAP
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _PAPER)
    pen = ImageDraw.Draw(page)
    for place, (caption, tile) in enumerate(zip(captions, tiles, strict=True)):
        row, column = divmod(place, columns)
        left, top = _GAP + column * step_x, _GAP + row * step_y
        enlarged = Image.fromarray(tile).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
        page.paste(enlarged, (left, top))
        size = 10
        while size > 6 and font(size).getlength(caption) > _TILE + _GAP - 2:
            size -= 1
        pen.text((left, top + _TILE + 1), caption, _INK, font(size))
    return page

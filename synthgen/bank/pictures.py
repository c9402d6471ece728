"""Pages of a bank: the shapes that it holds, and the graph of their relations."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from synthgen.bank.bank import Bank
from synthgen.bank.relations import SIDES, Relations
from synthgen.drawing import PALETTE, font

Colour = tuple[int, int, int]
Ink = tuple[int, ...]  # with or without opacity
Point = tuple[float, float]
Frame = tuple[float, float, float, float]

_PAPER, _INK, _GREY, _PALE = (255, 255, 255), (32, 32, 36), (112, 112, 120), (222, 222, 228)
# Pixels.
_MARGIN, _TITLE, _TEXT, _SMALL = 28, 24, 17, 15
_CELL, _CELL_PAD, _NAME_LINE, _STRIP_GAP = 92, 5, 24, 22
_ASPECT = 1.3  # of a page of shapes, width by height
_LIGHT = np.array([0.52, -0.74, -0.42])  # up, toward the viewer, left
_AMBIENT, _LIFT, _GLOSS = 0.35, 0.12, 0.3
_PANEL, _LABEL_LINE, _LABEL_GAP, _LEADER = 760, 21, 10, 46
_NODE_LEAST = 3.0  # radius
_FINE = 2  # graphs are drawn larger by this, and reduced: lines get smooth
_INSIDE, _TOUCHING = (0, 92, 175), (213, 94, 0)
_ORDERS = {"above": (60, 150, 70), "in_front_of": (150, 80, 175), "right_of": (95, 110, 160)}
_FAINT = 130  # opacity of lines that are many, of 255


def draw_bank(bank: Bank) -> Image.Image:
    """A page with every structure of every person, seen from the front, lit from above."""
    present = bank.present
    captions = [_caption(bank, place) for place in range(len(bank.names))]
    strip = max(bank.subjects * _CELL, *(_width(line, _TEXT) for line in captions))
    columns = _columns(len(captions), strip)
    lines = -(-len(captions) // columns)
    title = f"{_count(len(bank.names), 'structure')} of {_count(bank.subjects, 'subject')}"
    remark = "From the front: the patient's right is on the left. Each structure to its own scale."
    width = max(columns * (strip + _STRIP_GAP) - _STRIP_GAP, _width(remark, _SMALL))
    top, step = _MARGIN + 70, _NAME_LINE + _CELL + _STRIP_GAP
    page = Image.new("RGB", (width + 2 * _MARGIN, top + lines * step), _PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((_MARGIN, _MARGIN), title, _INK, font(_TITLE))
    pen.text((_MARGIN, _MARGIN + 34), remark, _GREY, font(_SMALL))
    for place, caption in enumerate(captions):
        column, line = divmod(place, lines)
        left, y = _MARGIN + column * (strip + _STRIP_GAP), top + line * step
        pen.text((left, y), bank.names[place], _INK, font(_TEXT))
        rest = caption.removeprefix(bank.names[place])
        pen.text((left + _width(bank.names[place], _TEXT), y), rest, _GREY, font(_TEXT))
        unit = _unit(bank, place)
        for subject in range(bank.subjects):
            corner = (left + subject * _CELL, y + _NAME_LINE)
            if present[subject, place]:
                page.paste(_portrait(bank, subject, place, unit), corner)
            else:
                middle = (corner[0] + _CELL // 2, corner[1] + _CELL // 2)
                pen.text(middle, "none", _PALE, font(_SMALL), anchor="mm")
    return page


def _caption(bank: Bank, place: int) -> str:
    volumes = bank.volumes[bank.present[:, place], place]
    missing = bank.subjects - len(volumes)
    of = f", {len(volumes)} of {bank.subjects}" if missing else ""
    return f"{bank.names[place]}  {_millilitres(float(np.median(volumes)))}{of}"


def _millilitres(volume: float) -> str:
    """Of mm^3: two digits that count, or all that stand before the point."""
    value = volume / 1000
    return f"{value:.0f} ml" if value >= 10 else f"{value:.2g} ml"


def _columns(count: int, strip: int) -> int:
    """Strips side by side, for a page of a pleasant shape."""

    def error(columns: int) -> float:
        height = -(-count // columns) * (_NAME_LINE + _CELL + _STRIP_GAP)
        return abs(math.log(columns * strip / height / _ASPECT))

    return min(range(1, count + 1), key=error)


def _unit(bank: Bank, place: int) -> float:
    """mm of a pixel, so that the largest shape of a structure fills its cell."""
    boxes = bank.boxes[bank.present[:, place], place].astype(np.float64)
    sides = boxes[:, 3:] - boxes[:, :3]
    return float(sides[:, [0, 2]].max()) / (_CELL - 2 * _CELL_PAD)


def _portrait(bank: Bank, subject: int, place: int, unit: float) -> Image.Image:
    """A cell with one shape."""
    away, shade = _front(bank.grid(subject, place))
    size = [max(1, round(side * bank.spacing / unit)) for side in away.shape]
    away, shade = (_resized(plane, size) for plane in (away * (bank.spacing / unit), shade))
    cover = np.clip(0.5 - away, 0, 1)[..., None]
    shade = np.clip(shade, 0, 1)[..., None]
    colour = _LIFT * 255 + (1 - _LIFT) * PALETTE[place % len(PALETTE)]
    paint = shade * colour + _GLOSS * shade**12 * (255 - colour)
    cell = np.full((_CELL, _CELL, 3), 255.0)
    own, its = zip(*(_centred(_CELL, length) for length in away.shape), strict=True)
    cell[own] = (1 - cover[its]) * cell[own] + cover[its] * paint[its]
    return Image.fromarray(np.rint(cell).astype(np.uint8))


def _front(grid: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A solid from the front, up and toward the patient's left: lattice steps.

    Returns:
        How far lines of sight pass it by, negative where they meet it; and how bright it is.
    """
    solid = grid[::-1, ::-1, ::-1].astype(np.float32) / 16
    nearest = solid.min(axis=1)
    where = np.argwhere(nearest < 1)
    box = tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0), strict=True))
    solid = solid[box[0], :, box[1]]
    first = np.where(solid.min(1) < 0, (solid < 0).argmax(1), solid.argmin(1))
    up, across = np.indices(first.shape)
    middle = (up, first, across)
    slopes = []
    for axis in range(3):
        ahead, behind = ([*middle], [*middle])
        ahead[axis] = np.minimum(middle[axis] + 1, solid.shape[axis] - 1)
        behind[axis] = np.maximum(middle[axis] - 1, 0)
        slopes.append(solid[tuple(ahead)] - solid[tuple(behind)])
    normal = np.stack(slopes) / np.maximum(np.sqrt(sum(s * s for s in slopes)), 1e-6)
    lit = np.tensordot(_LIGHT * [-1, 1, 1], normal, 1).clip(0, 1)  # rows grow downward
    return nearest[box], (_AMBIENT + (1 - _AMBIENT) * lit).astype(np.float32)


def _resized(plane: NDArray[np.float32], size: Sequence[int]) -> NDArray[np.float32]:
    picture = Image.fromarray(plane.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _centred(room: int, length: int) -> tuple[slice, slice]:
    """The middle of ``length`` in the middle of ``room``: places in either."""
    used = min(room, length)
    own, its = (room - used) // 2, (length - used) // 2
    return slice(own, own + used), slice(its, its + used)


class _View(NamedTuple):
    """A view of the body: axis across the page and its sign, orders shown, words on the sides."""

    title: str
    axis: int
    sign: int
    orders: tuple[str, ...]
    words: tuple[str, str]


_VIEWS = (
    _View("from the front", 2, -1, ("right_of",), ("right", "left")),
    _View("from the patient's right", 1, 1, ("above", "in_front_of"), ("back", "front")),
)


class _Panel(NamedTuple):
    """Where a view is on the page, in pixels.

    Attributes:
        nodes: (C, 2) x, y of structures.
        radii: (C,).
        frame: left, top, right, bottom of the mean body.
        labels: (C, 2) x, y of the names, at their ends toward the body.
        left: (C,) bool, whose names stand on the left.
    """

    nodes: NDArray[np.float64]
    radii: NDArray[np.float64]
    frame: Frame
    labels: NDArray[np.float64]
    left: NDArray[np.bool_]


def draw_graph(bank: Bank) -> Image.Image:
    """The graph in two views of the mean body: structures as balls of their median volume."""
    count = len(bank.names)
    names = max(_width(name, _SMALL) for name in bank.names)
    height = max(_PANEL, -(-count // 2) * _LABEL_LINE)
    unit = height / float(bank.body[0])  # pixels a mm
    sides = [float(bank.body[view.axis]) * unit for view in _VIEWS]
    beside = names + _LABEL_GAP + _LEADER
    heights, radii = bank.means[:, 0] * unit, _radii(bank, unit)
    over, under = (max(0, round(out.max())) for out in (heights + radii - height, radii - heights))
    top = _MARGIN + 76 + over
    bottom = top + height + under + 34
    width = round(sum(sides) + 4 * beside + 2 * _MARGIN + _STRIP_GAP)
    page = Image.new("RGB", (width * _FINE, (bottom + _MARGIN) * _FINE), _PAPER)
    pen = ImageDraw.Draw(page, "RGBA")
    _write(pen, (_MARGIN, _MARGIN), _graph_title(bank), _INK, _TITLE)
    left = float(_MARGIN)
    for view, side in zip(_VIEWS, sides, strict=True):
        frame = (left + beside, float(top), left + beside + side, float(top + height))
        _draw_panel(pen, bank, view, _panel(bank, view, frame, unit))
        left = frame[2] + beside + _STRIP_GAP
    _draw_legend(pen, bottom)
    return page.resize((page.width // _FINE, page.height // _FINE), Image.Resampling.LANCZOS)


def _graph_title(bank: Bank) -> str:
    relations = bank.relations
    kinds = [contact.kind for contact in relations.contacts]
    return (
        f"{_count(len(bank.names), 'structure')}: {kinds.count('inside')} inside another, "
        f"{kinds.count('touching')} touching pairs, {_count(len(relations.orders), 'order')}"
    )


def _panel(bank: Bank, view: _View, frame: Frame, unit: float) -> _Panel:
    """Places of all structures; ``unit`` is pixels a mm."""
    across = bank.means[:, view.axis] * unit
    x = frame[0] + across if view.sign > 0 else frame[2] - across
    y = frame[3] - bank.means[:, 0] * unit
    left = np.zeros(len(x), bool)
    left[np.lexsort((y, x))[: -(-len(x) // 2)]] = True
    labels = np.zeros((len(x), 2))
    for side, edge in ((left, frame[0] - _LEADER), (~left, frame[2] + _LEADER)):
        labels[side, 0] = edge
        labels[side, 1] = _spread_out(y[side], frame[1], frame[3])
    return _Panel(np.stack([x, y], 1), _radii(bank, unit), frame, labels, left)


def _radii(bank: Bank, unit: float) -> NDArray[np.float64]:
    """Of balls of the median volumes, in pixels."""
    present = bank.present
    columns = range(len(bank.names))
    volumes = np.array([np.median(bank.volumes[present[:, c], c]) for c in columns])
    return np.maximum(_NODE_LEAST, np.cbrt(volumes * 3 / 4 / math.pi) * unit)


def _spread_out(wanted: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Heights of lines of text, near those wanted, in their order, apart and within the panel."""
    order = np.argsort(wanted, kind="stable")
    heights = wanted[order]
    # In turns: apart by pushing down, then by pushing up from the bottom.
    for i in range(len(heights)):
        heights[i] = max(heights[i], heights[i - 1] + _LABEL_LINE if i else low)
    for i in reversed(range(len(heights))):
        last = i + 1 == len(heights)
        heights[i] = min(heights[i], high if last else heights[i + 1] - _LABEL_LINE)
    placed = np.empty_like(heights)
    placed[order] = heights
    return placed


def _draw_panel(pen: ImageDraw.ImageDraw, bank: Bank, view: _View, panel: _Panel) -> None:
    left, top, right, _ = panel.frame
    highest = min(top, float((panel.nodes[:, 1] - panel.radii).min()))
    pen.rectangle([v * _FINE for v in panel.frame], outline=_PALE, width=_FINE)
    middle = (left + right) / 2
    _write(pen, (middle, highest - 12), view.title, _GREY, _TEXT, "ms")
    _write(pen, (left, highest - 12), view.words[0], _INK, _SMALL, "ls")
    _write(pen, (right, highest - 12), view.words[1], _INK, _SMALL, "rs")
    for place in np.argsort(-panel.radii, kind="stable"):
        _ball(pen, panel, place)
    nodes = {name: (x, y) for name, (x, y) in zip(bank.names, panel.nodes.tolist(), strict=True)}
    for side in view.orders:
        for one, other in reduced_orders(bank.relations, side):
            _arrow(pen, nodes[other], nodes[one], (*_ORDERS[side], _FAINT))
    for contact in bank.relations.contacts:
        if contact.kind == "touching":
            _line(pen, nodes[contact.of], nodes[contact.to], (*_TOUCHING, 190), 1.5)
    for contact in bank.relations.contacts:
        if contact.kind == "inside":
            _line(pen, nodes[contact.of], nodes[contact.to], _INSIDE, 4.0)
    for place, name in enumerate(bank.names):
        _label(pen, panel, place, name)


def reduced_orders(relations: Relations, side: str) -> list[tuple[str, str]]:
    """Orders along an axis without those that follow from others."""
    after: dict[str, set[str]] = {}
    for order in relations.orders:
        if order.side == side:
            after.setdefault(order.of, set()).add(order.than)
    return [
        (one, other)
        for one, others in sorted(after.items())
        for other in sorted(others)
        if not any(other in after.get(between, ()) for between in others)
    ]


def _ball(pen: ImageDraw.ImageDraw, panel: _Panel, place: int) -> None:
    x, y = panel.nodes[place] * _FINE
    radius = panel.radii[place] * _FINE
    colour = _colour(place)
    box = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse(box, fill=(*colour, 44), outline=(*colour, 230), width=_FINE)


def _label(pen: ImageDraw.ImageDraw, panel: _Panel, place: int, name: str) -> None:
    (x, y), (node_x, node_y) = panel.labels[place], panel.nodes[place]
    inward = 1 if panel.left[place] else -1
    edge = panel.frame[0] if panel.left[place] else panel.frame[2]
    # Level beside the body, then aslant to the structure.
    path = [(x + inward * 8, y), ((x + edge) / 2, y), (node_x, node_y)]
    _lines(pen, path, (*_GREY, 110), 1.0)
    for at in ((x + inward * 8, y), (node_x, node_y)):
        _dot(pen, at, 3.6, _colour(place))
    anchor = "rm" if panel.left[place] else "lm"
    _write(pen, (x, y), name, _INK, _SMALL, anchor)


def _draw_legend(pen: ImageDraw.ImageDraw, y: float) -> None:
    x = float(_MARGIN)
    for text, colour, width in (
        ("inside", _INSIDE, 4.0),
        ("touching", _TOUCHING, 1.6),
        *((side.replace("_", " "), _ORDERS[side], 0.0) for side in reversed(SIDES)),
    ):
        if width:
            _line(pen, (x, y), (x + 34, y), colour, width)
        else:
            _arrow(pen, (x, y), (x + 34, y), (*colour, _FAINT))
        _write(pen, (x + 42, y), text, _INK, _SMALL, "lm")
        x += 42 + _width(text, _SMALL) + 28
    text = "Balls have the median volumes. Orders that follow from others are not drawn."
    _write(pen, (x, y), text, _GREY, _SMALL, "lm")


def _arrow(pen: ImageDraw.ImageDraw, start: Point, end: Point, colour: Ink) -> None:
    """A thin line with a head in its middle."""
    _line(pen, start, end, colour, 1.0)
    length = math.dist(start, end)
    if length < 12:
        return
    x, y = ((b - a) / length for a, b in zip(start, end, strict=True))
    tip = (start[0] + x * (length / 2 + 4), start[1] + y * (length / 2 + 4))
    back = (tip[0] - 8 * x, tip[1] - 8 * y)
    corners = [tip, (back[0] - 3 * y, back[1] + 3 * x), (back[0] + 3 * y, back[1] - 3 * x)]
    pen.polygon([(a * _FINE, b * _FINE) for a, b in corners], fill=colour)


def _line(pen: ImageDraw.ImageDraw, start: Point, end: Point, colour: Ink, width: float) -> None:
    _lines(pen, (start, end), colour, width)


def _lines(pen: ImageDraw.ImageDraw, path: Iterable[Point], colour: Ink, width: float) -> None:
    points = [(x * _FINE, y * _FINE) for x, y in path]
    pen.line(points, fill=colour, width=round(width * _FINE), joint="curve")


def _dot(pen: ImageDraw.ImageDraw, at: Point, radius: float, colour: Colour) -> None:
    x, y = at
    box = [v * _FINE for v in (x - radius, y - radius, x + radius, y + radius)]
    pen.ellipse(box, fill=colour, outline=_PAPER, width=1)


def _write(
    pen: ImageDraw.ImageDraw, at: Point, text: str, colour: Colour, size: int, anchor: str = "la"
) -> None:
    pen.text((at[0] * _FINE, at[1] * _FINE), text, colour, font(size * _FINE), anchor=anchor)


def _width(text: str, size: int) -> int:
    return math.ceil(font(size).getlength(text))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _colour(place: int) -> Colour:
    red, green, blue = PALETTE[place % len(PALETTE)].tolist()
    return red, green, blue

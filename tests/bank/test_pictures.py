"""Pages of a bank: what is drawn where; the eye judges the rest."""

import numpy as np
import pytest
from numpy.typing import NDArray

from synthgen.bank.bank import Bank
from synthgen.bank.pictures import draw_bank, draw_graph, reduced_orders
from synthgen.bank.relations import Contact, Order, Relations
from synthgen.kernels.anatomy_records import BANK_POINTS, BankShape

SPACING = 2.0
RELATIONS = Relations(
    orders=(
        Order(of="a", side="above", than="b"),
        Order(of="b", side="above", than="c"),
        Order(of="a", side="above", than="c"),
        Order(of="c", side="right_of", than="a"),
    ),
    contacts=(
        Contact(of="c", kind="inside", to="b"),
        Contact(of="a", kind="touching", to="b"),
    ),
)


def ball(radius: float, middle: tuple[float, float, float]) -> NDArray[np.int16]:
    """Distances, 1/16 lattice step, on a grid of 40^3."""
    square = sum((p - c) ** 2 for p, c in zip(np.ogrid[:40, :40, :40], middle, strict=True))
    return np.rint((np.sqrt(square) - radius) * 16).astype(np.int16)


def bank_of(
    names: tuple[str, ...],
    grids: list[list[NDArray[np.int16] | None]],
    relations: Relations = RELATIONS,
) -> Bank:
    """A bank of grids (S, C)."""
    subjects, count = len(grids), len(names)
    shapes = np.zeros((subjects, count, BankShape.SIZE), np.int64)
    boxes = np.zeros((subjects, count, 6), np.float32)
    volumes, values = np.zeros((subjects, count)), [np.zeros(0, np.int16)]
    for s, row in enumerate(grids):
        for c, grid in enumerate(row):
            if grid is None:
                continue
            where = np.argwhere(grid < 0)
            shapes[s, c, :4] = [sum(value.size for value in values), *grid.shape]
            boxes[s, c] = [*(where.min(0) * SPACING), *((where.max(0) + 1) * SPACING)]
            volumes[s, c] = len(where) * SPACING**3
            values.append(grid.ravel())
    generator = np.linspace(0.2, 0.8, count)
    return Bank(
        spacing=SPACING,
        names=names,
        mirrors=np.arange(count),
        body=np.array([300.0, 150.0, 200.0]),
        distances=np.concatenate(values),
        shapes=shapes,
        firsts=np.zeros((subjects, count, 3), np.int64),
        boxes=boxes,
        points=np.zeros((subjects, count, BANK_POINTS, 3), np.float32),
        volumes=volumes,
        centroids=np.zeros((subjects, count, 3)),
        axes=np.zeros((subjects, count, 3, 3)),
        means=np.stack([generator * 300, generator * 150, generator * 200], 1),
        factors=np.zeros((count, 3, 3)),
        log_volumes=np.zeros((count, 2)),
        relations=relations,
    )


@pytest.fixture
def bank() -> Bank:
    one, other = ball(8, (20, 20, 20)), ball(11, (20, 20, 20))
    return bank_of(("a", "b", "c"), [[one, other, one], [other, None, one]])


def coloured(page: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels of shapes; text is grey."""
    return page.max(-1).astype(int) - page.min(-1) > 30


def inside_lines(page: NDArray[np.uint8]) -> int:
    """How many pixels have the colour of the relation."""
    return int((np.abs(page.astype(int) - (0, 92, 175)).max(-1) < 40).sum())


def test_every_structure_of_every_subject_is_drawn(bank):
    page = np.asarray(draw_bank(bank))
    assert page.dtype == np.uint8
    full = np.pi * (92 / 2 - 5) ** 2  # pixels of the largest of a structure
    areas = [full, full * (8 / 11) ** 2, full, full, full]
    assert coloured(page).sum() == pytest.approx(sum(areas), rel=0.15)


def test_shapes_are_seen_from_the_front():
    """What lies to the patient's right and above is drawn on the left and at the top."""
    grid = np.minimum(ball(4, (29, 20, 29)), ball(2, (11, 20, 11)))
    page = np.asarray(draw_bank(bank_of(("a",), [[grid]])))
    where = np.argwhere(coloured(page))
    middle = (where.min(0) + where.max(0)) / 2
    assert (where < middle).all(1).sum() > 0.7 * len(where)


def test_nearer_parts_hide_others():
    """The front is where y grows to: a ball there is seen on a large one, at the back it is not."""
    large, near, far = ball(10, (20, 20, 20)), ball(4, (20, 29, 20)), ball(4, (20, 11, 20))
    alone, front, back = (
        np.asarray(draw_bank(bank_of(("a",), [[grid]])))[122:]  # below the caption
        for grid in (large, np.minimum(large, near), np.minimum(large, far))
    )
    np.testing.assert_array_equal(alone, back)
    assert (alone != front).any()


def test_graph_is_drawn(bank):
    plain = bank_of(bank.names, [[ball(8, (20, 20, 20))] * 3], Relations())
    legend, drawn = (inside_lines(np.asarray(draw_graph(b))) for b in (plain, bank))
    assert 0 < 2 * legend < drawn  # and the line in both views


@pytest.mark.parametrize("count", [1, 2, 60])
def test_graphs_of_any_size(count):
    names = tuple(f"structure number {i:02}" for i in range(count))
    crowded = bank_of(names, [[ball(3, (20, 20, 20))] * count], Relations())
    for picture in (draw_graph(crowded), draw_bank(crowded)):
        assert picture.mode == "RGB"
        pixels = np.asarray(picture)
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 255).all(), "nothing is cut off"


def test_orders_that_follow_from_others_are_left_out():
    assert reduced_orders(RELATIONS, "above") == [("a", "b"), ("b", "c")]
    assert reduced_orders(RELATIONS, "right_of") == [("c", "a")]
    assert reduced_orders(RELATIONS, "in_front_of") == []


def test_pictures_are_the_same_each_time(bank):
    assert draw_bank(bank).tobytes() == draw_bank(bank).tobytes()
    assert draw_graph(bank).tobytes() == draw_graph(bank).tobytes()

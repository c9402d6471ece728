"""Learned relations against slow ones by SciPy, on made-up solids and on people."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from synthgen.bank.grids import structure_grid
from synthgen.bank.learning import CLOSING, contained_in, learn
from synthgen.bank.relations import Contact, Order, Relations
from synthgen.bank.subject import Grid, Mask

SPACING = 1.5
SIDE = 64  # lattice points of a scene
BODY = np.array([[0.0, 0.0, 0.0], [100.0, 100.0, 100.0]])
HEAD_NECK = Path(__file__).parents[3] / "shared" / "data" / "shape_bank" / "head_neck"


class Ball(NamedTuple):
    """A ball, or the shell between two: lattice points, z y x."""

    middle: tuple[float, float, float]
    radius: float
    hollow: float = 0.0

    def field(self) -> NDArray[np.float32]:
        """Distances over a scene, mm."""
        away = [p - c for p, c in zip(np.ogrid[:SIDE, :SIDE, :SIDE], self.middle, strict=True)]
        radius = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
        return (np.maximum(radius - self.radius, self.hollow - radius) * SPACING).astype("f4")

    def grid(self) -> Grid:
        return cut(self.field())


def cut(field: NDArray[np.float32]) -> Grid:
    """What of a scene lies within the margin of a solid; scenes end far enough from all solids."""
    where = np.argwhere(field < 0)
    first, last = where.min(0) - 8, where.max(0) + 8
    assert first.min() >= 0
    assert last.max() < SIDE
    box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
    z, y, x = first.tolist()
    return Grid(np.ascontiguousarray(field[box]), (z, y, x))


def contacts_of(relations: Relations) -> dict[tuple[str, str], Contact]:
    return {(contact.of, contact.to): contact for contact in relations.contacts}


def orders_of(relations: Relations) -> set[tuple[str, str, str]]:
    return {(order.of, order.side, order.than) for order in relations.orders}


def closed_share(part: NDArray[np.float32], container: NDArray[np.float32]) -> float:
    """How much of a part lies in the closing of a container, by SciPy."""
    reach = np.arange(-CLOSING, CLOSING + 1)
    ball = (reach[:, None, None] ** 2 + reach[:, None] ** 2 + reach**2) <= CLOSING**2
    dilated = container <= CLOSING * SPACING
    closed = ndimage.binary_erosion(dilated, ball)
    return float((closed & (part < 0)).sum() / (part < 0).sum())


def touching_share(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How much of the smaller one's surface lies within 3 mm of the other."""
    small, large = sorted((one, other), key=lambda field: (field < 0).sum())
    surface = (small < 0) & ~ndimage.binary_erosion(small < 0)
    return float((large[surface] <= 3.0).mean())


@pytest.mark.parametrize("hollow", [0.0, 2.0, 4.5, 6.5, 9.0])
@pytest.mark.parametrize("shift", [0.0, 3.0, 7.0, 11.0])
def test_containment_is_that_of_the_closing(hollow, shift):
    """A ball in a shell: in its hollow or across its wall, where the closing reaches or not."""
    container = Ball((31.3, 31.8, 32.1), 13.0, hollow)
    part = Ball((31.5, 32.0 + shift, 32.0), 3.0)
    share = closed_share(part.field(), container.field())
    subject = {"part": part.grid(), "container": container.grid()}
    expected = {"part": "container"} if share >= 0.9 else {}
    assert contained_in([subject], SPACING) == expected


def test_containment_must_hold_in_all_subjects_that_have_both():
    orbit = Ball((32, 32, 32), 10, 5).grid()
    within, without = Ball((32, 32, 32), 4).grid(), Ball((32, 32, 48), 4).grid()
    subjects = [{"lens": within, "orbit": orbit}, {"orbit": orbit}, {"lens": without}]
    assert contained_in(subjects, SPACING) == {"lens": "orbit"}
    assert contained_in([*subjects, {"lens": without, "orbit": orbit}], SPACING) == {}


def test_the_innermost_container_counts():
    subject = {
        "core": Ball((32, 32, 32), 3).grid(),
        "middle": Ball((32, 32, 32), 8).grid(),
        "outer": Ball((32, 32, 32), 16).grid(),
    }
    assert contained_in([subject], SPACING) == {"core": "middle", "middle": "outer"}
    relations = learn([subject], [BODY], SPACING)
    assert [(c.of, c.kind, c.to) for c in relations.contacts] == [
        ("core", "inside", "middle"),
        ("middle", "inside", "outer"),
    ]


def test_neither_of_two_equal_solids_contains_both_ways():
    ball = Ball((32, 32, 32), 8).grid()
    assert contained_in([{"a": ball, "b": ball, "c": ball}], SPACING) in (
        {"a": "b", "b": "c"}, {"a": "b", "c": "b"}, {"a": "b", "c": "a"}, {"a": "c", "b": "c"},
    )  # fmt: skip


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.5, 3.5, 6.0, 9.5, 13.0, 17.0, 19.5, 21.0, 26.0])
def test_gaps(gap):
    """Between balls, aslant: to a tenth of a millimetre where surfaces are near, and 20 at most."""
    toward = np.array([0.6, 0.48, 0.64])
    near = np.array([18.2, 18.4, 18.1])
    far = near + toward * (9 + 7 + gap / SPACING)
    one, other = Ball(tuple(near), 9), Ball(tuple(far), 7)
    (contact,) = learn([{"a": one.grid(), "b": other.grid()}], [BODY], SPACING).contacts
    assert contact.least == pytest.approx(min(gap, 20.0), abs=0.12)
    share = touching_share(one.field(), other.field())
    assert (contact.kind == "touching") == (share >= 0.05)
    if contact.kind == "apart":
        assert contact.gap == pytest.approx(min(10.0, gap / 2), abs=0.06)
    else:
        assert contact.gap == 3.0


def test_grids_that_do_not_meet_are_far_apart():
    one, other = Ball((12, 12, 12), 3).grid(), Ball((50, 50, 50), 3).grid()
    (contact,) = learn([{"a": one, "b": other}], [BODY], SPACING).contacts
    assert (contact.kind, contact.gap, contact.mean, contact.sd) == ("apart", 10.0, 20.0, 0.0)


def test_gaps_are_seen_as_far_as_grids_reach():
    one, other = Ball((12, 12, 12), 3).grid(), Ball((50, 50, 50), 3).grid()
    grids = {name: Grid(grid.distance / SPACING, grid.first) for name, grid in
             (("a", one), ("b", other))}  # fmt: skip
    (contact,) = learn([grids], [BODY], 1.0).contacts  # in lattice steps
    assert (contact.kind, contact.gap, contact.least) == ("apart", 7.0, 14.0)


@pytest.mark.parametrize(("touching", "kind"), [(4, "touching"), (3, "touching"), (2, "apart")])
def test_touching_may_fail_in_one_subject(touching, kind):
    near, far = Ball((32, 32, 28), 6).grid(), Ball((32, 32, 32), 6).grid()
    ball = Ball((32, 32, 16), 6).grid()
    subjects = [{"a": ball, "b": near if s < touching else far} for s in range(4)]
    (contact,) = learn(subjects, [BODY] * 4, SPACING).contacts
    assert contact.kind == kind
    share = touching / 4
    assert contact.frequency == (share if kind == "touching" else 1 - share)
    assert contact.strength == (share if kind == "touching" else 1.0)
    gaps = np.array([0.0] * touching + [6.0] * (4 - touching))
    assert contact.mean == pytest.approx(gaps.mean(), abs=0.01)
    assert contact.sd == pytest.approx(gaps.std(ddof=1), abs=0.01)


def test_orders_hold_in_all_subjects():
    a = Ball((30, 30, 30), 5).grid()
    b1, b2 = Ball((30, 34, 20), 5).grid(), Ball((31, 27, 24), 5).grid()
    relations = learn([{"a": a, "b": b1}, {"a": a, "b": b2}], [BODY, BODY], SPACING)
    # y changes sides, z moves by 1.5 % of the body at most.
    assert relations.orders == (
        Order(of="a", side="right_of", than="b", margin=0.045, frequency=1.0,
              mean=0.12, sd=0.0424, least=0.09),
    )  # fmt: skip
    assert Relations.from_yaml(relations.to_yaml()) == relations


def test_orders_of_subjects_that_lack_structures_make_no_cycle():
    places = {name: Ball((32, 32, x), 4).grid() for name, x in (("low", 18), ("high", 44))}
    subjects = [
        {"a": places["high"], "b": places["low"]},
        {"b": places["high"], "c": places["low"]},
        {"c": places["high"], "a": places["low"]},
    ]
    relations = learn(subjects, [BODY] * 3, SPACING)
    assert orders_of(relations) < {("a", "right_of", "b"), ("b", "right_of", "c"),
                                   ("c", "right_of", "a")}  # fmt: skip


def test_containment_of_subjects_that_lack_structures_makes_no_cycle():
    small, large = Ball((32, 32, 32), 4).grid(), Ball((32, 32, 32), 10).grid()
    subjects = [
        {"a": small, "b": large},
        {"b": small, "c": large},
        {"c": small, "a": large},
    ]
    assert len(contained_in(subjects, SPACING)) == 2
    learn(subjects, [BODY] * 3, SPACING)


def test_a_solid_between_lattice_points_counts():
    speck = Grid(Ball((32, 32, 32), 3).field()[21:44, 21:44, 21:44] + np.float32(5), (21, 21, 21))
    assert speck.distance.min() > 0
    ball = Ball((32, 32, 44), 6)
    subject = {"ball": ball.grid(), "speck": speck}
    relations = learn([subject], [BODY], SPACING)
    assert orders_of(relations) == {("ball", "right_of", "speck")}
    assert contacts_of(relations)["ball", "speck"].least > 0


def test_containers_may_be_given():
    ball, other = Ball((32, 32, 20), 5).grid(), Ball((32, 32, 44), 5).grid()
    relations = learn([{"a": ball, "b": other}], [BODY], SPACING, {"a": "b"})
    assert [contact.kind for contact in relations.contacts] == ["inside"]


class People(NamedTuple):
    """Those of head-and-neck maps, with the corners of all voxels of each structure, mm."""

    subjects: list[dict[str, Grid]]
    bodies: list[NDArray[np.float64]]
    corners: list[dict[str, NDArray[np.float64]]]


@pytest.fixture(scope="module")
def people() -> People:
    if not HEAD_NECK.is_dir():
        pytest.skip("no label maps here")
    import nibabel

    names = json.loads((HEAD_NECK / "labels.json").read_text())
    found = People([], [], [])
    for path in sorted(HEAD_NECK.glob("*.nii.gz"))[:2]:
        image = nibabel.load(path)
        labels, affine = np.asarray(image.dataobj).astype(int), image.affine
        grids, corners = {}, {}
        for value, box in enumerate(ndimage.find_objects(labels), 1):
            moved, mask = affine.copy(), labels[box] == value
            start = [side.start for side in box]
            moved[:3, 3] = (affine @ [*start, 1])[:3]
            grids[names[str(value)]] = structure_grid(Mask(mask, moved), SPACING)
            touched = ndimage.maximum_filter(np.pad(mask, 1), 2, origin=-1)
            corners[names[str(value)]] = (np.argwhere(touched) + start) * np.diag(affine)[:3]
        ends = np.array([affine @ [*corner, 1] for corner in ((-0.5,) * 3, labels.shape)])
        found.subjects.append(grids)
        found.bodies.append(np.sort(ends[:, 2::-1], axis=0))
        found.corners.append(corners)
    return found


@pytest.mark.slow
def test_people(people: People):
    """What anyone would say of a head: the patient's right is where x grows to."""
    inside = contained_in(people.subjects, SPACING)
    assert inside == {"Lens-Lt": "Orbit-Lt", "Lens-Rt": "Orbit-Rt", "Spinal-Cord": "Spinal-Canal"}
    relations = learn(people.subjects, people.bodies, SPACING)
    orders, contacts = orders_of(relations), contacts_of(relations)
    for paired in ("Lung", "Orbit", "Parotid", "Submandibular", "Lens", "Cochlea", "Lacrimal"):
        assert (f"{paired}-Rt", "right_of", f"{paired}-Lt") in orders
    for side in ("Lt", "Rt"):
        assert ("Brain", "above", f"Lung-{side}") in orders
        assert (f"Lens-{side}", "in_front_of", f"Optic-Nerve-{side}") in orders
        assert (f"Orbit-{side}", "in_front_of", "Brainstem") in orders
        assert contacts[f"Optic-Nerve-{side}", f"Orbit-{side}"].kind == "touching"
        assert contacts[f"Lacrimal-{side}", f"Orbit-{side}"].kind == "touching"
    assert contacts["Brain", "Brainstem"].kind == "touching"
    assert contacts["Brain", "Lung-Lt"].gap == 10.0


@pytest.mark.slow
def test_gaps_of_people(people: People):
    """Against the nearest corners of voxels, which are exact: all stand on one raster."""
    from scipy.spatial import cKDTree

    relations = learn(people.subjects[:1], people.bodies[:1], SPACING)
    corners = people.corners[0]
    trees = {name: cKDTree(points) for name, points in corners.items()}
    for (one, other), contact in contacts_of(relations).items():
        if contact.kind != "inside":
            away, _ = trees[other].query(corners[one], distance_upper_bound=20.0)
            gap = min(20.0, float(away.min()))
            # Corners that stick out are blunt on the lattice: half a diagonal of a voxel each.
            assert gap - 0.1 <= contact.least <= gap + 1.9, (one, other)

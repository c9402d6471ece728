"""Whole label maps put together from a bank, against those that it was built from."""

from pathlib import Path

import numpy as np
import pytest

from synthgen.bank import Bank, BankError, Mask, Subject, build_bank, open_bank
from synthgen.bank import whole as whole_module
from synthgen.bank.reading import read_subjects
from synthgen.bank.torso import torso_subjects
from synthgen.bank.whole import WholeMaps, whole_maps

DATA = Path(__file__).parents[3] / "shared" / "data" / "shape_bank"
LARGE = 500  # voxels


def sampled(part: Mask, first, shape, spacing) -> np.ndarray:
    """(D, H, W) bool: a mask at lattice points, each that of the nearest voxel."""
    inverse = np.linalg.inv(part.affine)
    z, y, x = np.meshgrid(
        *[(a + np.arange(n)) * spacing for a, n in zip(first, shape, strict=True)], indexing="ij"
    )
    at = [np.floor(row[0] * x + row[1] * y + row[2] * z + row[3] + 0.5) for row in inverse[:3]]
    index = np.stack(at).astype(int)
    within = ((index >= 0) & (index < np.array(part.voxels.shape)[:, None, None, None])).all(0)
    found = np.zeros(shape, bool)
    found[within] = part.voxels[tuple(index[:, within])]
    return found


def dice(one, other) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def firsts(subject: Subject, middle, spacing):
    """Lattice points that the first one of a map can be."""
    near = np.round(subject.body.mean(0) / spacing - middle).astype(int)
    return near + np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)


def scores(subject: Subject, whole: WholeMaps, names, spacing) -> list[float]:
    """Dice of each large structure against its voxels, the smaller ones painted over the larger."""
    shape = whole.maps.shape[1:]
    s = int(np.abs(whole.sides - (subject.body[1] - subject.body[0]) / spacing).sum(1).argmin())
    largest_first = sorted(subject.parts, key=lambda name: -subject.parts[name].voxels.sum())
    near = np.round(subject.body.mean(0) / spacing - whole.middles[s]).astype(int)
    mask = sampled(subject.parts[largest_first[-1]], near, shape, spacing)
    own = whole.maps[s] == names.index(largest_first[-1]) + 1
    first = near + np.argwhere(mask).min(0) - np.argwhere(own).min(0)
    expected = np.zeros(shape, np.uint8)
    for name in largest_first:
        expected[sampled(subject.parts[name], first, shape, spacing)] = names.index(name) + 1
    return [
        dice(expected == value, whole.maps[s] == value)
        for value, count in enumerate(np.bincount(expected.ravel()))
        if value > 0 and count > LARGE
    ]


def test_the_torsos_are_as_they_were():
    bank, spacing = open_bank("builtin"), 4.0
    whole = whole_maps(bank, bank.names)
    for subject in torso_subjects(spacing)[:2]:
        found = scores(subject, whole, bank.names, spacing)
        assert len(found) > 10
        assert min(found) >= 0.99


@pytest.mark.parametrize(
    ("folder", "spacing", "people", "most"),
    [
        ("mouse_brain", 0.15, ["mouse_1", "mouse_4"], None),
        pytest.param("brain", 1.0, ["brain_01", "brain_02"], 14, marks=pytest.mark.slow),
    ],
)
def test_real_label_maps_are_as_they_were(folder, spacing, people, most):
    """All structures of mice, the largest ones of heads."""
    files = [DATA / folder / f"{name}.nii.gz" for name in people]
    if not all(file.exists() for file in files):
        pytest.skip("the shared label maps are not there")
    subjects = []
    for one in read_subjects(files):
        largest = sorted(one.parts, key=lambda name: -one.parts[name].voxels.sum())[:most]
        subjects.append(Subject({name: one.parts[name] for name in largest}, one.body))
    bank = build_bank(subjects, spacing=spacing)
    whole = whole_maps(bank, bank.names)
    for subject in subjects:
        found = scores(subject, whole, bank.names, spacing)
        assert len(found) > 10
        assert min(found) >= 0.99


# ------------------------------------------------------------------------------------- made up


def block(low, sides, side=2.0, shift=0.0) -> Mask:
    """A block of voxels; x y z, low in voxels, shift in mm."""
    affine = np.diag([side, side, side, 1.0])
    affine[:3, 3] = np.array(low) * side + shift
    return Mask(np.ones(sides, bool), affine)


def person(number: int, shift: float = 0.0, **more: Mask) -> Subject:
    """A liver with a nodule, a spine and two kidneys, a little different in each person."""
    blocks = {
        "liver": ((20, 10, 20), (12 + number, 10, 12)), "nodule": ((24, 14, 24), (4, 3, 4)),
        "spine": ((12, 2, 2 + number), (6, 6, 40)),
        "kidney left": ((2, 4, 18), (6, 7, 9)), "kidney right": ((36, 4, 16), (6, 7 + number, 9)),
    }  # fmt: skip
    parts = {name: block(*place, shift=shift) for name, place in blocks.items()} | more
    corners = np.array([
        [part.affine[:3, 3] - 1, part.affine[:3, 3] + 2 * np.array(part.voxels.shape) - 1]
        for part in parts.values()
    ])  # fmt: skip
    return Subject(parts, np.stack([corners[:, 0].min(0), corners[:, 1].max(0)])[:, ::-1])


@pytest.fixture(scope="module")
def bank() -> Bank:
    return build_bank([person(n) for n in range(3)], spacing=2.0)


def test_blocks(bank):
    whole = whole_maps(bank, bank.names)
    assert whole.maps.dtype == np.uint8
    for number in range(3):
        subject = person(number)
        found = {
            name: max(
                dice(sampled(part, first, whole.maps.shape[1:], 2.0), whole.maps[s] == c + 1)
                for s in range(3) for first in firsts(subject, whole.middles[s], 2.0)
            )
            for c, name in enumerate(bank.names)
            if name != "liver"
            for part in [subject.parts[name]]
        }  # fmt: skip
        assert found == dict.fromkeys(found, 1.0)


def test_what_is_inside_is_over_its_container(bank):
    whole = whole_maps(bank, bank.names)
    nodule, liver = (bank.names.index(name) + 1 for name in ("nodule", "liver"))
    for one in whole.maps:
        inside = np.argwhere(one == nodule)
        assert len(inside) == 4 * 3 * 4
        box = tuple(slice(a - 1, b + 2) for a, b in zip(inside.min(0), inside.max(0), strict=True))
        assert set(np.unique(one[box])) == {nodule, liver}


def test_what_is_left_out_goes_to_its_container_or_to_the_background(bank):
    names = [name for name in bank.names if name not in ("nodule", "spine")]
    whole, every = whole_maps(bank, names), whole_maps(bank, bank.names)
    assert whole.maps.shape == every.maps.shape
    np.testing.assert_array_equal(whole.middles, every.middles)
    liver = names.index("liver") + 1
    left = np.isin(every.maps, [bank.names.index(n) + 1 for n in ("nodule",)])
    assert (whole.maps[left] == liver).all()
    assert (whole.maps[every.maps == bank.names.index("spine") + 1] == 0).all()


def test_maps_have_a_border_and_their_bodies_in_the_middle(bank):
    whole = whole_maps(bank, bank.names)
    for one, middle, sides in zip(whole.maps, whole.middles, whole.sides, strict=True):
        places = np.argwhere(one)
        np.testing.assert_array_equal((places.min(0) + places.max(0)) / 2, middle)
        np.testing.assert_array_equal(places.max(0) - places.min(0) + 1, sides)
        assert (np.abs(middle - (np.array(one.shape) - 1) / 2) <= 0.5).all()
        for axis in range(3):
            assert not np.moveaxis(one, axis, 0)[[0, -1]].any()


def test_structures_that_were_skipped_count_as_body():
    """Their bank's bodies are larger than its structures."""
    people = [person(n) for n in range(3)]
    full = build_bank(people, spacing=2.0)
    parts = [{k: v for k, v in one.parts.items() if k != "spine"} for one in people]
    fewer = build_bank(
        [Subject(own, one.body) for own, one in zip(parts, people, strict=True)], spacing=2.0
    )
    names = [name for name in full.names if name != "spine"]
    a, b = whole_maps(full, names).maps, whole_maps(fewer, names).maps
    for one in a:
        assert any(np.array_equal(one[_within(one)], other[_within(other)]) for other in b)


def _within(values):
    """The box of all that is labelled."""
    return tuple(slice(low, high + 1) for low, high in zip(*_ends(values), strict=True))


def _ends(values):
    places = np.argwhere(values)
    return places.min(0), places.max(0)


def test_a_single_person():
    whole = whole_maps(build_bank([person(1)], spacing=2.0), ("liver", "spine"))
    assert whole.maps.shape[0] == 1
    assert set(np.unique(whole.maps)) == {0, 1, 2}


@pytest.mark.parametrize("names", [("spine",), ("kidney left", "kidney right")])
def test_a_bank_of_few_structures(names):
    """They lie to each other as in the masks, in each person."""
    people = [person(n) for n in range(3)]
    parts = [{name: one.parts[name] for name in names} for one in people]
    bank = build_bank(
        [Subject(own, one.body) for own, one in zip(parts, people, strict=True)], spacing=2.0
    )
    found = [one[_within(one)] for one in whole_maps(bank, names).maps]
    for own in parts:
        corners = np.array([part.affine[:3, 3][::-1] for part in own.values()]) / 2
        places = np.rint(corners - corners.min(0)).astype(int)
        sides = [np.array(part.voxels.shape[::-1]) for part in own.values()]
        expected = np.zeros(np.max(places + sides, axis=0), np.uint8)
        for value, (place, side) in enumerate(zip(places, sides, strict=True), 1):
            expected[tuple(slice(a, a + n) for a, n in zip(place, side, strict=True))] = value
        assert any(np.array_equal(expected, one) for one in found)


def test_gaps_that_another_lattice_leaves_are_closed():
    """Voxels in the middle between lattice points: structures that touch leave no gap."""
    parts = {
        "a": block((0, 0, 0), (10, 10, 10), shift=0.7),
        "b": block((10, 0, 0), (10, 10, 10), shift=0.7),
        "c": block((0, 10, 0), (20, 10, 10), shift=0.7),
    }  # fmt: skip
    body = np.array([[-0.3] * 3, [19.7, 39.7, 39.7]])
    bank = build_bank([Subject(parts, body), person(0, 0.7)], spacing=2.6)
    for one in whole_maps(bank, ("a", "b", "c")).maps:
        if one.any():
            low, high = _ends(one)
            # But for the outermost, where corners are rounded.
            assert one[tuple(slice(x + 1, y) for x, y in zip(low, high, strict=True))].all()


def test_maps_that_are_too_large_are_refused(bank, monkeypatch):
    monkeypatch.setattr(whole_module, "MAPS_MAX", 1000)
    with pytest.raises(BankError, match="must have at most 1000 lattice points, got"):
        whole_maps(bank, bank.names)

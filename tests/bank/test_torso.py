"""The stylised torsos: the same everywhere, and with organs where they belong."""

import hashlib

import numpy as np
import pytest

from synthgen.bank.solids import box_of, without_specks
from synthgen.bank.torso import MIRRORS, SUBJECTS, torso_subjects

SPACING = 5.0


@pytest.fixture(scope="module")
def subjects():
    return torso_subjects(SPACING)


def volume(mask):
    return np.count_nonzero(mask.voxels) * SPACING**3


def middle(mask):
    places = np.argwhere(mask.voxels) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    return places.mean(0)


def painted(subject):
    """Number of structures at each voxel of the body, and a structure's own mask in it."""
    first = np.min([part.affine[:3, 3] for part in subject.parts.values()], 0)
    shape = np.ceil((subject.body[1] - subject.body[0])[::-1] / SPACING).astype(int) + 1
    whole = {}
    for name, part in subject.parts.items():
        start = np.rint((part.affine[:3, 3] - first) / SPACING).astype(int)
        whole[name] = np.zeros(shape, bool)
        box = tuple(slice(a, a + n) for a, n in zip(start, part.voxels.shape, strict=True))
        whole[name][box] = part.voxels
    return whole


def test_they_are_the_same_on_every_machine(subjects):
    digest = hashlib.sha256()
    for subject in subjects:
        for name, part in subject.parts.items():
            digest.update(f"{name} {part.voxels.shape}".encode())
            digest.update(np.packbits(part.voxels).tobytes())
            digest.update(part.affine.astype("<f8").tobytes())
        digest.update(subject.body.astype("<f8").tobytes())
    assert digest.hexdigest() == (
        "173131e1d0e2af7bcd6530addb1af6521193df06adf0db22273c14e88dce2fee"
    )


def test_every_subject_has_every_structure_in_one_piece(subjects):
    assert len(subjects) == SUBJECTS
    names = set(subjects[0].parts)
    assert len(names) == 16
    assert {name for pair in MIRRORS for name in pair} < names
    for subject in subjects:
        assert set(subject.parts) == names
        for part in subject.parts.values():
            assert part.voxels.dtype == bool
            assert volume(part) > 10_000
            assert np.array_equal(without_specks(part.voxels), part.voxels)
            assert all(
                part.voxels.any(tuple({0, 1, 2} - {axis}))[[0, -1]].all() for axis in range(3)
            )


def test_subjects_differ(subjects):
    for name in subjects[0].parts:
        assert len({np.packbits(subject.parts[name].voxels).tobytes() for subject in subjects}) == 5


def test_the_body_is_the_box_of_all(subjects):
    for subject in subjects:
        boxes = np.stack([box_of(part) for part in subject.parts.values()])
        assert np.array_equal(subject.body, [boxes[:, 0].min(0), boxes[:, 1].max(0)])
        sides = subject.body[1] - subject.body[0]
        assert (sides > [450, 180, 250]).all()
        assert (sides < [650, 260, 350]).all()


def test_right_front_and_up(subjects):
    for subject in subjects:
        at = {name: middle(part) for name, part in subject.parts.items()}
        for left, right in MIRRORS:
            assert at[left][0] < at[right][0]
        assert at["spleen"][0] < at["stomach"][0] < at["liver"][0]
        assert at["spine"][1] < at["aorta"][1] < at["heart"][1]
        assert at["urinary_bladder"][2] < at["kidney_left"][2] < at["heart"][2] < at["trachea"][2]


def test_structures_share_no_voxel_but_a_part_with_its_whole(subjects):
    for subject in subjects:
        whole = painted(subject)
        assert not (whole["spinal_canal"] & ~whole["spine"]).any()
        del whole["spinal_canal"]
        assert sum(mask.astype(int) for mask in whole.values()).max() == 1


def test_another_spacing_gives_the_same_people(subjects):
    for coarse, fine in zip(torso_subjects(8.0), subjects, strict=True):
        for name, part in coarse.parts.items():
            size = np.count_nonzero(part.voxels) * 8.0**3
            assert size == pytest.approx(volume(fine.parts[name]), rel=0.25)
            assert np.allclose(middle(part), middle(fine.parts[name]), atol=8)


@pytest.mark.parametrize("spacing", [0.5, 9.0, float("nan")])
def test_a_spacing_out_of_range_is_refused(spacing):
    with pytest.raises(ValueError, match=r"spacing: must be 1.0 to 8.0 mm, got"):
        torso_subjects(spacing)

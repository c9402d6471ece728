"""Components of many labels at once, against SciPy's of one after the other."""

import numpy as np
import pytest
from scipy import ndimage

from synthgen.bank import components
from synthgen.bank.components import SPECK_SHARE, SPECK_VOXELS, drop_specks
from synthgen.bank.volume_file import FileError


def one_by_one(labels, count):
    """The plain reference."""
    kept, lost = labels.copy(), np.zeros((count + 1, 2), int)
    for label in range(1, count + 1):
        found, _ = ndimage.label(labels == label, np.ones((3, 3, 3)))
        sizes = np.bincount(found.ravel())
        sizes[0] = 0
        specks = (sizes > 0) & (sizes < SPECK_VOXELS) & (sizes < SPECK_SHARE * sizes.max(initial=0))
        kept[specks[found] & (found > 0)] = 0
        lost[label] = specks.sum(), sizes[specks].sum()
    return kept, lost


@pytest.mark.parametrize("shape", [(9, 31, 20), (30, 2, 17), (2, 40, 2), (16, 16, 16), (2, 2, 70)])
@pytest.mark.parametrize("filled", [0.02, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("smooth", [0, 1.2])
def test_random_maps(shape, filled, smooth):
    generator = np.random.default_rng(sum(shape))
    for count in (1, 3, 7):
        noise = ndimage.gaussian_filter(generator.random(shape), smooth)
        labels = generator.integers(1, count + 1, shape).astype(np.uint16)
        if smooth:
            labels = (1 + np.argsort(noise.ravel()).argsort() * count // noise.size).reshape(shape)
        labels = np.where(noise < np.quantile(noise, filled), labels, 0).astype(np.uint16)
        kept, lost = one_by_one(labels, count)
        assert np.array_equal(drop_specks(labels, count), lost)
        assert np.array_equal(labels, kept)


def test_none_and_all():
    labels = np.zeros((3, 4, 5), np.uint16)
    assert drop_specks(labels, 2).tolist() == [[0, 0]] * 3
    labels[:] = 2
    assert drop_specks(labels, 2).tolist() == [[0, 0]] * 3
    assert labels.all()


@pytest.mark.parametrize(
    "step", [(0, 0, 1), (0, 1, -1), (1, -1, 0), (1, 1, 1), (1, -1, 1), (1, 1, -1)]
)
def test_voxels_that_share_a_corner_are_of_one(step):
    labels = np.zeros((14, 14, 14), np.uint16)
    labels[2:8, 2:8, 2:8] = 1
    corner = np.array([2 if s < 0 else 7 if s else 4 for s in step]) + step
    labels[tuple(corner)] = 1
    labels[12, 12, 12] = 1
    assert drop_specks(labels, 1).tolist() == [[0, 0], [1, 1]]
    assert labels[tuple(corner)] == 1


@pytest.mark.parametrize("slab", [1, 60, 10**6])
def test_runs_are_counted_before_they_are_listed(monkeypatch, slab):
    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint16)
    runs = len(components._runs(labels)[0])
    monkeypatch.setattr(components, "_SLAB", slab)
    monkeypatch.setattr(components, "RUNS_MAX", runs)
    drop_specks(labels.copy(), 2)
    monkeypatch.setattr(components, "RUNS_MAX", runs - 1)
    monkeypatch.setattr(components, "_runs", None)
    with pytest.raises(FileError, match=f"is an image, not a label map: {runs} runs"):
        drop_specks(labels, 2)

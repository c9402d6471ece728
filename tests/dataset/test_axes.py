"""One voxel, one place in the patient: in the store, in NIfTI, and in either order of axes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd

from synthgen.dataset import VolumeDataset
from synthgen.export import nifti
from synthgen.recipe import Recipe
from synthgen.store import build
from tests.dataset.conftest import SHAPE, SPACING
from tests.export.conftest import MarkedGenerator

KEYS = ("image", "label")
INDEX = 2
RIGHT, ANTERIOR, SUPERIOR = 1, 2, 3  # classes of the marked voxels
RAS = {"axcodes": "RAS", "labels": (("L", "R"), ("P", "A"), ("I", "S"))}


class LopsidedGenerator(MarkedGenerator):
    """With an image, too, that no turn or mirror leaves as it is."""

    def fill(self, batch: Any) -> Any:
        super().fill(batch)
        batch.image[:] = np.random.default_rng(0).integers(0, 129, batch.image.shape)
        return batch


@pytest.fixture(scope="module")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("marked") / "store"
    build(recipe, out, count=3, generator=LopsidedGenerator(recipe))
    return out


@pytest.fixture(scope="module")
def exported(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The volume as MONAI loads it from the NIfTI files of the store."""
    out = tmp_path_factory.mktemp("nifti")
    nifti(store, out, name="case")
    load = Compose([LoadImaged(KEYS), EnsureChannelFirstd(KEYS), Orientationd(KEYS, **RAS)])
    return load({name: out / f"{name}s" / f"case_{INDEX:04d}.nii.gz" for name in KEYS})


@pytest.fixture(params=[None, (9, 20, 7)], ids=["whole", "patch"])
def both(request: pytest.FixtureRequest, store: Path) -> tuple[Any, Any]:
    """The same item in the orders zyx and xyz."""
    settings: Any = {"normalize": None, "patch_size": request.param}
    zyx, xyz = (VolumeDataset(store, axes=axes, **settings) for axes in ("zyx", "xyz"))
    return zyx[INDEX, 5], xyz[INDEX, 5]


def place(label: Any, value: int) -> Any:
    """Where the one voxel of ``value`` is, mm: to the right, to anterior, to superior."""
    (voxel,) = np.argwhere(label.numpy()[0] == value)
    return (label.affine.numpy() @ [*voxel, 1])[:3]


def test_xyz_is_what_monai_loads_from_the_exported_files(store: Path, exported: Any) -> None:
    item = VolumeDataset(store, axes="xyz", normalize=None)[INDEX]
    for name in KEYS:
        np.testing.assert_array_equal(item[name].numpy(), exported[name].numpy())
        np.testing.assert_array_equal(item[name].affine.numpy(), exported[name].affine.numpy())
        assert item[name].shape == (1, *SHAPE[::-1])


def test_marks_are_on_their_sides(store: Path, exported: Any) -> None:
    centre = np.array(SHAPE[::-1]) // 2 * SPACING[::-1]
    last = (np.array(SHAPE[::-1]) - 1) * SPACING[::-1]
    items = [VolumeDataset(store, axes=axes)[INDEX] for axes in ("zyx", "xyz")]
    for item in [*items, exported]:
        for axis, value in enumerate((RIGHT, ANTERIOR, SUPERIOR)):
            expected = np.where(np.arange(3) == axis, last, centre)
            np.testing.assert_allclose(place(item["label"], value), expected)


def test_zyx_is_the_store(store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    zyx, xyz = (VolumeDataset(store, axes=axes, normalize=None)[INDEX] for axes in ("zyx", "xyz"))
    for item, back in ((zyx, (1, 2, 3)), (xyz, (3, 2, 1))):
        image = item["image"].numpy().transpose(0, *back)
        np.testing.assert_array_equal(image, group["image"][INDEX])
        label = item["label"].numpy().transpose(0, *back)
        np.testing.assert_array_equal(label[0], group["label"][INDEX])


def test_monai_turns_zyx_to_xyz(both: tuple[Any, Any]) -> None:
    zyx, xyz = both
    turned = Orientationd(KEYS, **RAS)(zyx)
    for name in KEYS:
        assert torch.equal(turned[name].as_tensor(), xyz[name].as_tensor())
        np.testing.assert_allclose(turned[name].affine.numpy(), xyz[name].affine.numpy())

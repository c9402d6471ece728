"""A voxel of the store is at the same place, on the same side and of the same class in NIfTI."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from synthgen.export import ExportError, nifti
from synthgen.export.nifti_file import NiftiFile
from synthgen.export.source import Volumes
from synthgen.recipe import Recipe
from tests.export.conftest import COUNT, SHAPE, SPACING, build_marked
from tests.store.conftest import FakeGenerator, decoded

GEOMETRY = (
    "dim pixdim qform_code sform_code quatern_b quatern_c quatern_d qoffset_x qoffset_y qoffset_z "
    "srow_x srow_y srow_z xyzt_units"
).split()


def world(file: Any, value: int) -> np.ndarray[Any, Any]:
    """Where the one voxel of ``value`` is, mm."""
    (voxel,) = np.argwhere(np.asarray(file.dataobj) == value)
    return np.asarray(nibabel.affines.apply_affine(file.affine, voxel))


def test_marks_are_at_their_places(recipe: Recipe, tmp_path: Path) -> None:
    nifti(build_marked(recipe, tmp_path / "store"), tmp_path / "out", name="case")
    label = nibabel.load(tmp_path / "out" / "labels" / "case_0002.nii.gz")
    image = nibabel.load(tmp_path / "out" / "images" / "case_0002.nii.gz")
    assert nibabel.aff2axcodes(label.affine) == ("R", "A", "S")
    last = (np.array(SHAPE[::-1]) - 1) * SPACING[::-1]  # x, y, z
    middle = np.array(SHAPE[::-1]) // 2 * SPACING[::-1]
    for axis, value in enumerate((1, 2, 3)):
        expected = np.where(np.arange(3) == axis, last, middle)
        np.testing.assert_allclose(world(label, value), expected)
    np.testing.assert_allclose(world(image, 200), world(label, 1))


def test_every_voxel_is_there(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path / "out")
    arrays = decoded(store)
    for index in range(COUNT):
        image = nibabel.load(tmp_path / "out" / "images" / f"avs-db_{index:04d}.nii.gz")
        label = nibabel.load(tmp_path / "out" / "labels" / f"avs-db_{index:04d}.nii.gz")
        assert image.get_data_dtype() == label.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, arrays["image"][index, 0])
        np.testing.assert_array_equal(np.asarray(label.dataobj).T, arrays["label"][index])


def test_image_and_label_have_the_same_geometry(store: Path, tmp_path: Path) -> None:
    nifti(store, tmp_path / "out")
    files = [
        nibabel.load(tmp_path / "out" / folder / "avs-db_0000.nii.gz")
        for folder in ("images", "labels")
    ]
    assert all((file.dataobj.slope, file.dataobj.inter) == (1, 0) for file in files)
    image, label = (file.header for file in files)
    for field in GEOMETRY:
        assert image[field].tobytes() == label[field].tobytes(), field
    for header in (image, label):
        assert header["qform_code"] == header["sform_code"] == 1
        assert header.get_zooms() == SPACING[::-1]
        assert header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(header.get_qform(), header.get_sform())
        assert header["descrip"].item().endswith(b"seed 5 volume 0")


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_wider_voxels(store: Path, tmp_path: Path, dtype: str) -> None:
    """Of a file, whatever the machine's order of bytes."""
    source = replace(Volumes.open(store), dtypes={"image": np.dtype(dtype)})
    voxels = np.random.default_rng(0).integers(0, 65536, SHAPE).astype(dtype)
    path = tmp_path / "image.nii.gz"
    file = NiftiFile(source, "image", 1)
    assert file.write(path, 3, [voxels.astype(f">{voxels.dtype.str[1:]}")], "w") == len(
        path.read_bytes()
    )
    assert file.is_whole(path, 3)
    found = nibabel.load(path)
    assert found.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(found.dataobj).T, voxels)


def test_a_side_that_nifti_cannot_hold(store: Path) -> None:
    source = Volumes.open(store)
    source = replace(source, shapes={"image": (40000, 1, 1), "label": (40000, 1, 1)})
    with pytest.raises(ExportError, match="NIfTI cannot hold the volumes"):
        NiftiFile(source, "image", 1)


def test_half_precision_is_written_as_single(recipe: Recipe, tmp_path: Path) -> None:
    store = build_marked(recipe, tmp_path / "store", FakeGenerator(recipe, dtype="float16"))
    nifti(store, tmp_path / "out")
    image: Any = nibabel.load(tmp_path / "out" / "images" / "avs-db_0000.nii.gz")
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, decoded(store)["image"][0, 0])


def test_level(store: Path, tmp_path: Path) -> None:
    sizes = []
    for level in (0, 1, 9):
        sizes.append(nifti(store, tmp_path / str(level), level=level).bytes)
        packed = (tmp_path / str(level) / "images" / "avs-db_0000.nii.gz").read_bytes()
        plain = zlib.decompress(packed, wbits=31)
        assert len(plain) == 352 + np.prod(SHAPE)
    assert sizes[0] > sizes[1] > sizes[2]

"""Label maps, masks and meshes as people: where their voxels lie, and what is left out."""

import gzip
import json
import struct
import tracemalloc
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
import trimesh

from synthgen.bank.label_map import _whole_numbers
from synthgen.bank.names import Naming, NamingError, preset
from synthgen.bank.reading import read_subjects
from synthgen.bank.subject import Mask
from synthgen.bank.volume_file import FileError, Volume, read_volume, stem_of

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")

SHAPE = (23, 30, 19)
OBLIQUE = np.array(
    [[0.9, -0.3, 0.1, -10.0], [0.2, 1.4, 0.3, 20.0], [-0.1, 0.2, 2.1, 5.0], [0, 0, 0, 1.0]]
)


def a_map(kind=np.uint8, shape=SHAPE):
    """Three blocks, of values 1, 2 and 7."""
    labels = np.zeros(shape, kind)
    labels[3:9, 4:12, 2:14] = 1
    labels[10:20, 15:25, 5:17] = 2
    labels[12:16, 18:22, 8:12] = 7
    return labels


def nifti(path, labels, affine=OBLIQUE, kind=nibabel.Nifti1Image, **header):
    image = kind(labels, affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def read(inputs, naming=None, **how):
    """The people of files, and the remarks on them."""
    remarks = []
    inputs = [inputs] if isinstance(inputs, Path) else inputs
    people = list(read_subjects(inputs, naming, on_remark=remarks.append, **how))
    assert all("\n" not in line for line in remarks)
    return people, remarks


def places(mask):
    """Points x y z of a mask's voxels, sorted, a micrometre apart at least."""
    found = np.argwhere(mask.voxels) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    return sorted(map(tuple, np.round(found, 3) + 0.0))


def wanted(labels, value, affine=OBLIQUE):
    found = np.argwhere(labels == value) @ affine[:3, :3].T + affine[:3, 3]
    return sorted(map(tuple, np.round(found, 3) + 0.0))


def middle(mask):
    return np.argwhere(mask.voxels).mean(0) @ mask.affine[:3, :3].T + mask.affine[:3, 3]


def is_cut(mask):
    others = ((1, 2), (0, 2), (0, 1))
    return all(mask.voxels.any(axes)[[0, -1]].all() for axes in others)


# -------------------------------------------------------------------------------------- label maps


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".hdr", ".nrrd"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_structures_lie_where_the_file_says(tmp_path, ending, kind):
    labels, path = a_map(kind), tmp_path / f"one{ending}"
    if ending == ".nrrd":
        write_nrrd(path, labels)
    else:
        nifti(path, labels, kind=nibabel.Nifti1Pair if ending == ".hdr" else nibabel.Nifti1Image)
    (person,), remarks = read(path, Naming(labels={1: "liver"}, skip=[7]))
    assert remarks == ["one" + ending + ": labels without a name: 2, 7"]
    assert set(person.parts) == {"liver", "label_2"}
    for value, name in ((1, "liver"), (2, "label_2")):
        part = person.parts[name]
        assert part.voxels.dtype == bool
        assert is_cut(part)
        assert places(part) == wanted(labels, value)


def write_nrrd(path, labels, affine=OBLIQUE, **header):
    """In LPS, as 3D Slicer writes them."""
    turned = np.diag([-1.0, -1, 1, 1]) @ affine
    header = {
        "space": "left-posterior-superior", "space directions": turned[:3, :3].T,
        "space origin": turned[:3, 3], "kinds": ["domain"] * 3, "encoding": "gzip", **header,
    }  # fmt: skip
    nrrd.write(str(path), labels, header)
    return path


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "AIL", "PIR", "SRA", "ILP"])
@pytest.mark.parametrize("affine", [np.diag([1.0, 2, 3, 1]), OBLIQUE], ids=["straight", "oblique"])
def test_any_orientation_is_the_same_person(tmp_path, orientation, affine):
    image = nibabel.Nifti1Image(a_map(), affine)
    given = nibabel.orientations.axcodes2ornt(orientation)
    there = nibabel.orientations.io_orientation(affine)
    nibabel.save(
        image.as_reoriented(nibabel.orientations.ornt_transform(there, given)), tmp_path / "a.nii"
    )
    (person,), _ = read(tmp_path / "a.nii")
    for value in (1, 2, 7):
        assert places(person.parts[f"label_{value}"]) == wanted(a_map(), value, affine)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS", "left-anterior-superior"])
def test_nrrd_spaces_and_encodings(tmp_path, encoding, space):
    signs = {"l": [-1, -1, 1], "R": [1, 1, 1]}[space[0]] if "ant" not in space else [-1, 1, 1]
    turned = np.diag([*signs, 1.0]) @ OBLIQUE
    write_nrrd(
        tmp_path / "a.nrrd", a_map(np.int16), encoding=encoding, space=space,
        **{"space directions": turned[:3, :3].T, "space origin": turned[:3, 3]},
    )  # fmt: skip
    (person,), remarks = read(tmp_path / "a.nrrd")
    assert remarks == []
    assert places(person.parts["label_1"]) == wanted(a_map(), 1)


def test_a_segmentation_of_slicer(tmp_path):
    """Its segments' names and other text go nowhere."""
    path = tmp_path / "a.seg.nrrd"
    write_nrrd(path, a_map(), Segment0_Name="of John Doe", Segment0_LabelValue="1")
    (person,), remarks = read(path)
    assert set(person.parts) == {"label_1", "label_2", "label_7"}
    assert "Doe" not in f"{person}{remarks}"


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_orders_and_nifti_2(tmp_path, order):
    header = nibabel.Nifti2Header(endianness=order)
    nibabel.save(nibabel.Nifti2Image(a_map(np.int16), OBLIQUE, header), tmp_path / "a.nii.gz")
    (person,), _ = read(tmp_path / "a.nii.gz")
    assert places(person.parts["label_2"]) == wanted(a_map(), 2)


def test_scaled_values_are_labels_if_they_are_whole(tmp_path):
    path = nifti(tmp_path / "a.nii", a_map(np.int16) * 2 + 3)
    content = bytearray(path.read_bytes())
    content[112:120] = struct.pack("<2f", 0.5, -1.5)
    path.write_bytes(content)
    (person,), _ = read(path)
    assert places(person.parts["label_7"]) == wanted(a_map(), 7)


def test_units_of_a_header(tmp_path):
    nifti(tmp_path / "a.nii", a_map(), OBLIQUE / 1000, xyzt_units=1)
    (person,), _ = read(tmp_path / "a.nii")
    assert np.allclose(person.parts["label_1"].affine[:3, :3], OBLIQUE[:3, :3])


@pytest.mark.parametrize("ending", [".nii", ".nrrd"])
def test_a_file_without_orientation(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    if ending == ".nii":
        image = nibabel.Nifti1Image(a_map(), None)
        image.header.set_zooms([1, 2, 3])
        nibabel.save(image, path)
    else:
        nrrd.write(str(path), a_map(), {"spacings": [1.0, 2.0, 3.0]})
    (person,), (remark,) = read(path)
    assert "its axes are taken for right, front, up" in remark
    assert np.allclose(person.parts["label_1"].affine[:3, :3], np.diag([1.0, 2, 3]))


def test_the_body_is_the_box_of_all_that_is_labelled(tmp_path):
    nifti(tmp_path / "a.nii", a_map(), np.diag([-1.0, 2, 3, 1]))
    (person,), _ = read(tmp_path / "a.nii", Naming(skip=["label_2", "label_7"]))
    assert set(person.parts) == {"label_1"}
    assert person.body.tolist() == [[4.5, 7, -19.5], [49.5, 49, -2.5]]


def test_an_oblique_body_holds_every_corner_of_every_voxel(tmp_path):
    nifti(tmp_path / "a.nii", a_map())
    (person,), _ = read(tmp_path / "a.nii")
    indices = np.argwhere(a_map())[:, None] + np.array(list(np.ndindex(2, 2, 2))) - 0.5
    corners = (indices @ OBLIQUE[:3, :3].T + OBLIQUE[:3, 3]).reshape(-1, 3)
    assert np.allclose(person.body, [corners.min(0)[::-1], corners.max(0)[::-1]])


def test_values_of_one_name_are_one_structure(tmp_path):
    nifti(tmp_path / "a.nii", a_map(), np.eye(4))
    (person,), _ = read(tmp_path / "a.nii", Naming(labels={0: "air", 1: "a", 2: "b", 7: "b"}))
    assert set(person.parts) == {"a", "b"}
    both = np.isin(a_map(), [2, 7])
    assert places(person.parts["b"]) == wanted(both, True, np.eye(4))


@pytest.mark.parametrize("values", [(-5, 2**30), (70000, 3), (-2, -1)])
def test_values_of_any_size(tmp_path, values):
    labels = np.zeros(SHAPE, np.int32)
    labels[a_map() == 1], labels[a_map() == 2] = values
    nifti(tmp_path / "a.nii", labels)
    (person,), _ = read(tmp_path / "a.nii")
    assert set(person.parts) == {f"label_{value}" for value in values}
    assert places(person.parts[f"label_{values[1]}"]) == wanted(labels, values[1])


def test_small_components_are_left_out(tmp_path):
    labels = a_map()
    labels[0, 0, 0] = labels[22, 29, 18] = labels[20, 2, 1] = 1
    labels[0, 28, 0] = 2
    labels[9, 12, 14] = 1  # shares a corner with the block
    nifti(tmp_path / "a.nii", labels, np.eye(4))
    (person,), (remark,) = read(tmp_path / "a.nii")
    assert remark == "a.nii: specks are left out, 4 voxels: 3 of label_1, 1 of label_2"
    labels[0, 0, 0] = labels[22, 29, 18] = labels[20, 2, 1] = labels[0, 28, 0] = 0
    assert places(person.parts["label_1"]) == wanted(labels, 1, np.eye(4))
    assert is_cut(person.parts["label_1"])
    assert person.body.tolist() == [[1.5, 3.5, 2.5], [16.5, 24.5, 19.5]]


def test_large_or_equal_components_are_kept(tmp_path):
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[1:11, 1:11, 1:11] = 1  # 1000 voxels, and 64: a share of 0.064
    labels[20:24, 20:24, 20:24] = 1
    labels[30, 30, 30] = labels[35, 35, 35] = 2
    nifti(tmp_path / "a.nii", labels, np.eye(4))
    (person,), remarks = read(tmp_path / "a.nii")
    assert remarks == []
    assert np.count_nonzero(person.parts["label_1"].voxels) == 1064
    assert np.count_nonzero(person.parts["label_2"].voxels) == 2


# ------------------------------------------------------------------------------- folders and names


def test_a_folder_of_label_maps_with_its_names(tmp_path):
    for number in (2, 1):
        nifti(tmp_path / f"{number}.nii", a_map()[number:])
    (tmp_path / "labels.json").write_text(json.dumps({"0": "background", "1": "liver", "2": "b"}))
    (tmp_path / ".hidden.nii").write_text("")
    (tmp_path / "notes.txt").write_text("")
    people, remarks = read([tmp_path, tmp_path / "1.nii"])
    assert [set(person.parts) for person in people] == [{"liver", "b", "label_7"}] * 2
    assert remarks == ["1.nii: labels without a name: 7", "2.nii: labels without a name: 7"]
    people, _ = read(tmp_path, Naming(labels={1: "other"}))
    assert "other" in people[0].parts


def test_broken_names_are_refused_before_anything_is_read(tmp_path):
    nifti(tmp_path / "a.nii", a_map())
    (tmp_path / "labels.json").write_text('{"1": "../../x"}')
    with pytest.raises(NamingError, match=r"labels.json: labels.1: a name has"):
        read_subjects([tmp_path])


def test_inputs_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"inputs: must be there, got .*nowhere"):
        read_subjects([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="inputs: a folder must hold NIfTI or NRRD files, got"):
        read_subjects([tmp_path])
    with pytest.raises(ValueError, match="inputs: a folder must hold masks or meshes, got"):
        read_subjects([tmp_path], one_file_per_structure=True)
    nifti(tmp_path / "a.nii", a_map())
    with pytest.raises(ValueError, match="inputs: must be folders, one file per structure"):
        read_subjects([tmp_path / "a.nii"], one_file_per_structure=True)


def test_all_skipped(tmp_path):
    nifti(tmp_path / "a.nii", a_map())
    with pytest.raises(ValueError, match=r"a.nii: has no structure, all are skipped"):
        read(tmp_path / "a.nii", Naming(skip=[1, 2, 7]))


# -------------------------------------------------------------------------- one file per structure


def a_person(folder):
    """As TotalSegmentator writes one, and a mesh."""
    masks = folder / "segmentations"
    masks.mkdir(parents=True)
    nifti(masks / "liver.nii.gz", (a_map() == 1).astype(np.uint8))
    nifti(masks / "spleen.nii.gz", 9.0 * (a_map() == 2))
    nifti(masks / "colon.nii.gz", np.zeros(SHAPE, np.uint8))
    nifti(masks / "heart.nii.gz", np.zeros(SHAPE, np.uint8))
    write_nrrd(masks / "eye.seg.nrrd", (a_map() == 7).astype(np.uint8))
    trimesh.creation.icosphere(2, radius=20.0).export(masks / "tumour.stl")
    nifti(folder / "ct.nii.gz", np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE))
    return folder


def test_one_file_per_structure(tmp_path):
    a_person(tmp_path / "s1")
    (person,), (remark,) = read(tmp_path / "s1", one_file_per_structure=True)
    assert remark == "s1: 2 masks are empty, colon for one"
    assert set(person.parts) == {"liver", "spleen", "eye", "tumour"}
    assert places(person.parts["spleen"]) == wanted(a_map(), 2)
    assert places(person.parts["eye"]) == wanted(a_map(), 7)
    assert np.ptp(person.parts["tumour"].vertices, axis=0).max() == pytest.approx(40)
    assert np.allclose(person.body.min(0), [-20, -20, -20], atol=0.3)
    assert not isinstance(person.parts["tumour"], Mask)


def test_a_folder_of_people(tmp_path):
    for name in ("b", "a"):
        a_person(tmp_path / name)
    people, remarks = read(tmp_path, Naming(skip=["liver"]), one_file_per_structure=True)
    assert [set(person.parts) for person in people] == [{"spleen", "eye", "tumour"}] * 2
    assert [line[:2] for line in remarks] == ["a:", "b:"]


def test_bad_files_of_a_person_are_left_out(tmp_path):
    folder = a_person(tmp_path / "s1") / "segmentations"
    nifti(folder / "two.nii.gz", a_map())
    (folder / "cut.nii").write_bytes(b"no image")
    (folder / "b\N{LATIN SMALL LETTER O WITH DIAERESIS}se.stl").write_bytes(
        (folder / "tumour.stl").read_bytes()
    )
    (folder / "liver.nii").write_bytes(gzip.decompress((folder / "liver.nii.gz").read_bytes()))
    (person,), remarks = read(tmp_path / "s1", one_file_per_structure=True)
    assert set(person.parts) == {"liver", "spleen", "eye", "tumour"}
    text = "\n".join(remarks)
    assert "s1: two.nii.gz: left out: must hold one structure, got 3 values other than 0" in text
    assert "s1: cut.nii: left out: cannot be read (cut, or not NIfTI)" in text
    assert "se.stl: left out: a name has" in text
    assert "s1: liver.nii.gz: left out: is a second liver" in text


def test_stems():
    names = ["a.nii.gz", "a.NII", "a.seg.nrrd", "a.stl", "a.b.nii", "nii.nii"]
    assert [stem_of(Path(name)) for name in names] == ["a", "a", "a", "a", "a.b", "nii"]


# ---------------------------------------------------------------------------------- the shared data


@needs_data
@pytest.mark.parametrize(
    ("folder", "people", "names"),
    [("head_neck", 12, 21), ("torso", 1, 61), ("spine", 1, 9), ("mouse_brain", 8, 37)],
)
def test_shape_banks(folder, people, names):
    found, _ = read(DATA / "shape_bank" / folder)
    assert len(found) == people
    assert {len(person.parts) for person in found} == {names}
    for person in found:
        for left, right in Naming().mirror_pairs(person.parts):
            assert middle(person.parts[left])[0] < middle(person.parts[right])[0]


@needs_data
def test_a_brain_with_the_preset():
    (person,), _ = read(DATA / "shape_bank/brain/brain_01.nii.gz", preset("freesurfer"))
    assert {"Left-Hippocampus", "Right-Hippocampus", "Brain-Stem", "label_507"} <= set(person.parts)
    assert "Left-vessel" not in person.parts
    size = np.count_nonzero(person.parts["Left-Hippocampus"].voxels)
    assert 2000 < size < 6000


AWKWARD = {
    "bigendian_las.nii": "is an image, not a label map: 9,842 values, at most 1,024",
    "complex64.nii.gz": "type: must be whole numbers, got complex64",
    "head_RAS.nii.gz": "labels: must be whole numbers, got",
    "int16_slope_4d.nii": "shape: must have 3 axes of 2 voxels or more, got 17 x 21 x 3 x 20",
    "metaimage.mha": "must be NIfTI or NRRD",
    "nifti2_4d.nii.gz": "shape: must have 3 axes",
    "oblique9_4d.nii.gz": "shape: must have 3 axes",
    "oblique19_flair.nii.gz": "is an image, not a label map: 97% of neighbouring labels differ",
    "pair_ras.hdr": "is an image, not a label map",
    "rgb_ct_perfusion.nii.gz": "type: must be whole numbers, got colours",
    "sheared_ct_slope.nii.gz": "labels: must be whole numbers, got",
    "broken_brain.obj": "a mesh is one structure",
}
FIT = {
    "float32_label_hippocampus_003.nii.gz": 2,
    "float64_label_oblique_PIR.nii.gz": 9,
    "float_mask_hippo.nii.gz": 1,
    "noform_minimal.nii.gz": 63,
    "oblique19_lesion_label.nii.gz": 3,
    "thick5mm_torso_label.nii.gz": 11,
    "tiny_4x5x7.nii.gz": 1,
}


@needs_data
def test_awkward_files():
    people, remarks = read([DATA / "awkward" / name for name in [*AWKWARD, *FIT]])
    assert [len(person.parts) for person in people] == list(FIT.values())
    left_out = [line for line in remarks if ": left out: " in line]
    assert len(left_out) == len(AWKWARD)
    for line, (name, reason) in zip(left_out, AWKWARD.items(), strict=True):
        assert line.startswith(f"{name}: left out: {reason}")


@needs_data
def test_awkward_meshes(tmp_path):
    for name in (
        "broken_brain.obj",
        "derived_hippocampus_open.ply",
        "derived_liver_watertight.stl",
    ):
        (tmp_path / name).write_bytes((DATA / "awkward" / name).read_bytes())
    (person,), remarks = read(tmp_path, one_file_per_structure=True)
    assert set(person.parts) == {"derived_liver_watertight"}
    assert sum("left out: is open: " in line for line in remarks) == 2


def test_an_image_is_no_label_map(tmp_path):
    generator = np.random.default_rng(0)
    nifti(tmp_path / "ct.nii", generator.integers(-1000, 1000, (40, 40, 40)).astype(np.int16))
    nifti(tmp_path / "mr.nii", generator.integers(0, 250, (40, 40, 40)).astype(np.uint8))
    nifti(tmp_path / "wide.nii", generator.integers(0, 2**30, (40, 40, 40)).astype(np.int32))
    nifti(tmp_path / "good.nii", a_map())
    people, remarks = read(tmp_path)
    assert len(people) == 1
    assert [line.partition(":")[0] for line in remarks] == ["ct.nii", "mr.nii", "wide.nii"]
    assert all("left out: is an image, not a label map" in line for line in remarks)


def test_a_volume_keeps_no_text_of_its_header(tmp_path):
    nifti(tmp_path / "a.nii", a_map(), descrip=b"John Doe", intent_name=b"1970-01-01")
    assert set(vars(read_volume(tmp_path / "a.nii"))) == set(Volume.__dataclass_fields__)
    assert "Doe" not in str(vars(read_volume(tmp_path / "a.nii")))


def test_floats_are_converted_some_at_a_time(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    labels = np.zeros((64, 64, 64))
    labels[8:-8, 8:-8, 8:-8] = generator.integers(1, 4, (48, 48, 6)).repeat(8, 2)
    monkeypatch.setattr("synthgen.bank.label_map._SLAB", 2**14)
    volume = read_volume(nifti(tmp_path / "a.nii", labels))
    tracemalloc.start()
    try:
        whole = _whole_numbers(volume)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * whole.nbytes
    finally:
        tracemalloc.stop()
    assert whole.dtype == np.int32
    assert np.array_equal(whole, labels.T)
    labels[40, 50, 60] = 2.0**31
    volume = read_volume(nifti(tmp_path / "a.nii", labels))
    with pytest.raises(FileError, match=r"labels: must be below 2\^31, got 2147483648"):
        _whole_numbers(volume)

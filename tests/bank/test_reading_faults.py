"""Broken files: each is left out with a line that says why, the rest goes on; none costs memory."""

import gzip
import struct
import tracemalloc
import zlib

import nibabel
import numpy as np
import pytest
import trimesh

from synthgen.bank.mesh_part import read_solid, unmatched_edges
from synthgen.bank.volume_file import FileError, read_volume
from synthgen.meshes import Mesh
from tests.bank.test_reading import OBLIQUE, a_map, nifti, read, write_nrrd


def header(shape, kind=2, bits=8, affine=OBLIQUE, offset=352.0):
    """The first 352 bytes of a NIfTI-1 file that says whatever it likes."""
    made = nibabel.Nifti1Header()
    made.set_sform(affine, 1)
    content = bytearray(made.binaryblock)
    sides = [len(shape), *shape, *[1] * (7 - len(shape))]
    content[40:56] = struct.pack("<8h", *sides)
    content[70:74] = struct.pack("<2h", kind, bits)
    content[108:112] = struct.pack("<f", offset)
    content[344:348] = b"n+1\0"
    return bytes(content) + bytes(4)


def small(**how):
    return header((23, 30, 19), **how) + a_map().tobytes("F")


def nan_labels():
    labels = a_map(np.float32)
    labels[5, 5, 5] = np.nan
    return header((23, 30, 19), kind=16, bits=32) + labels.tobytes("F")


def float_labels():
    return header((23, 30, 19), kind=16, bits=32) + (a_map(np.float32) / 3).tobytes("F")


def flat(row):
    affine = OBLIQUE.copy()
    affine[row] = affine[(row + 1) % 3]
    return affine


SIZE = 23 * 30 * 19
FAULTS = {
    "labels that are no whole numbers": (float_labels, "labels: must be whole numbers, got"),
    "labels that are no numbers": (nan_labels, "labels: must be whole numbers, got nan"),
    "4D": (lambda: header((23, 30, 19, 2)) + bytes(2 * SIZE), "shape: must have 3 axes of 2"),
    "2D": (lambda: header((230, 57)) + bytes(230 * 57), "shape: must have 3 axes of 2"),
    "a single slice": (lambda: header((230, 57, 1)) + bytes(13110), "shape: must have 3 axes of 2"),
    "no axes": (lambda: header(()) + bytes(100), "shape: must have 3 axes of 2"),
    "a side of 0": (lambda: header((23, 0, 19)) + bytes(SIZE), "shape: must have 3 axes of 2"),
    "a side below 0": (lambda: header((23, -30, 19)) + bytes(SIZE), ""),
    "colours": (
        lambda: header((23, 30, 19), 128, 24) + bytes(3 * SIZE),
        "type: must be whole numbers",
    ),
    "complex": (
        lambda: header((23, 30, 19), 32, 64) + bytes(8 * SIZE),
        "type: must be whole numbers",
    ),
    "no such type": (lambda: header((23, 30, 19), 999, 8) + bytes(SIZE), "cannot be read"),
    "an affine of 0": (lambda: small(affine=np.diag([0.0, 0, 0, 1])), "affine: must have a determ"),
    "a flat affine": (lambda: small(affine=flat(1)), "affine: must have a determinant, got"),
    "an affine with NaN": (lambda: small(affine=OBLIQUE * np.nan), "affine: must be finite"),
    "an affine with inf": (lambda: small(affine=OBLIQUE / 0.0), "affine: must be finite"),
    "huge voxels": (
        lambda: small(affine=OBLIQUE * 1e6),
        r"affine: voxels must be 0.001 to 100.0 mm",
    ),
    "tiny voxels": (
        lambda: small(affine=OBLIQUE * 1e-6),
        r"affine: voxels must be 0.001 to 100.0 mm",
    ),
    "an origin far off": (
        lambda: small(affine=OBLIQUE + np.array([[0.0, 0, 0, 3e6]] + [[0.0] * 4] * 3)),
        "affine: its origin must be within 1000000 mm, got 3e+06, 20, 5",
    ),
    "all 0": (lambda: header((23, 30, 19)) + bytes(SIZE), "labels: must not all be 0"),
    "cut in the header": (lambda: small()[:200], "cannot be read"),
    "cut after the header": (lambda: small()[:352], "is too short for its shape"),
    "cut in the voxels": (lambda: small()[:5000], "is too short for its shape|must hold 13,110"),
    "too long": (
        lambda: small() + b"\0",
        "must hold 13,110 bytes of voxels, as its header says, got more",
    ),
    "empty": (lambda: b"", "cannot be read"),
    "no NIfTI": (lambda: b"no image" * 1000, "cannot be read"),
    "noise": (lambda: np.random.default_rng(0).bytes(9000), "cannot be read"),
    "voxels from afar": (lambda: small(offset=3e9), "vox_offset: must be 0 to"),
    "voxels from before": (lambda: small(offset=-1e9), "must hold 13,110"),
    "voxels from nowhere": (lambda: small(offset=np.nan), "cannot be read"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.filterwarnings(
    "ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning"
)
def test_a_broken_label_map_is_left_out(tmp_path, name, packed):
    make, reason = FAULTS[name]
    with np.errstate(all="ignore"):
        content = make()
    path = tmp_path / ("broken.nii" + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(ValueError, match="inputs: must hold a usable person, got none of 1"):
        read(path)
    nifti(tmp_path / "good.nii", a_map())
    people, (remark,) = read(tmp_path)
    assert len(people) == 1
    assert remark.startswith(f"{path.name}: left out: ")
    assert any(
        choice in remark or (packed and "must hold" in remark) for choice in reason.split("|")
    )


GZIP_FAULTS = {
    "cut": lambda: gzip.compress(small())[:-30],
    "cut before its check": lambda: gzip.compress(small())[:-6],
    "a wrong check": lambda: gzip.compress(small())[:-8] + bytes(8),
    "no gzip after two bytes": lambda: b"\x1f\x8b" + small(),
    "unpacks to less": lambda: gzip.compress(small()[:-1000]),
    "unpacks to more": lambda: gzip.compress(small() + bytes(1000)),
    "a second part": lambda: gzip.compress(small()) + gzip.compress(bytes(100)),
    "followed by others": lambda: gzip.compress(small()) + b"others",
}


@pytest.mark.parametrize("name", GZIP_FAULTS)
def test_broken_packing(tmp_path, name):
    (tmp_path / "a.nii.gz").write_bytes(GZIP_FAULTS[name]())
    with pytest.raises(FileError, match=r"must hold 13,110 bytes|cannot be read|too short"):
        read_volume(tmp_path / "a.nii.gz")


def a_bomb(head: bytes, megabytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(head)] + [packer.compress(bytes(2**20)) for _ in range(megabytes)]
    return b"".join(parts) + packer.flush()


BOMBS = {
    "more than the header says": lambda: a_bomb(small(), 128),
    "dimensions of gigabytes, few bytes": lambda: gzip.compress(
        header((640, 640, 640)) + bytes(99)
    ),
    "dimensions beyond the cap": lambda: a_bomb(header((32767, 32767, 32767)), 1),
    "dimensions that overflow": lambda: gzip.compress(header((32767,) * 7) + bytes(99)),
    "bytes beyond the cap": lambda: gzip.compress(header((1000, 1000, 1000), kind=64, bits=64)),
    "nothing but zeros": lambda: a_bomb(b"", 128),
    "voxels that begin late": lambda: a_bomb(small(offset=2.0**30), 2),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_lies_costs_no_memory(tmp_path, name):
    (tmp_path / "a.nii.gz").write_bytes(BOMBS[name]())
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read_volume(tmp_path / "a.nii.gz")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_plain_file_with_dimensions_of_gigabytes(tmp_path):
    (tmp_path / "a.nii").write_bytes(header((640, 640, 640)) + bytes(99))
    with pytest.raises(FileError, match="is too short for its shape: must hold 262,144,000 bytes"):
        read_volume(tmp_path / "a.nii")
    (tmp_path / "a.nii").write_bytes(header((2000, 2000, 2000)))
    with pytest.raises(FileError, match="shape: must have 268,435,456 voxels and"):
        read_volume(tmp_path / "a.nii")


def test_a_header_without_its_image(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(a_map(), OBLIQUE), tmp_path / "a.hdr")
    (tmp_path / "a.img").unlink()
    with pytest.raises(FileError, match=r"has no .img file beside it"):
        read_volume(tmp_path / "a.hdr")


# ------------------------------------------------------------------------------------------- NRRD


NRRD = """NRRD0004
type: uint8
dimension: 3
space: left-posterior-superior
sizes: 23 30 19
space directions: (1,0,0) (0,2,0) (0,0,3)
space origin: (0,0,0)
encoding: raw
"""
NRRD_FAULTS = {
    "another file": (
        "encoding: raw",
        "encoding: raw\ndata file: ../secret",
        "voxels in another file",
    ),
    "another file's list": (
        "encoding: raw",
        "encoding: raw\ndatafile: /etc/passwd",
        "another file",
    ),
    "4D": ("sizes: 23 30 19", "sizes: 23 10 3 19", "shape: must have 3 axes"),
    "a vector axis": ("(1,0,0) (0,2,0)", "none (0,2,0)", "affine: must be finite"),
    "no determinant": ("(1,0,0) (0,2,0)", "(0,2,0) (0,2,0)", "affine: must have a determinant"),
    "NaN": ("(1,0,0)", "(nan,0,0)", "affine: must be finite"),
    "no such space": ("left-posterior-superior", "3D-right-handed", "space: must be of a patient"),
    "no sides": (
        "space: left-posterior-superior\nsizes: 23 30 19\nspace directions: (1,0,0) (0,2,0) (0,0,3)"
        "\nspace origin: (0,0,0)\n",
        "sizes: 23 30 19\n",
        "spacings: must be there, or space directions",
    ),
    "a block": ("uint8", "block", "type: must be one of numbers, got 'block'"),
    "hex": ("raw", "hex", "encoding: must be raw, gzip or bzip2, got 'hex'"),
    "bytes to skip": (
        "encoding: raw",
        "encoding: raw\nbyte skip: 9",
        "byte skip: must be 0, got 9",
    ),
    "gigabytes": ("23 30 19", "640 640 640", "is too short for its shape"),
    "beyond the cap": ("23 30 19", "9999 9999 9999", "shape: must have 268,435,456 voxels"),
    "no sizes": ("sizes: 23 30 19\n", "", "cannot be read"),
    "no gzip": ("raw", "gzip", "cannot be read"),
    "no bzip2": ("raw", "bzip2", "cannot be read"),
    "no NRRD": ("NRRD0004", "DRRN0004", "cannot be read"),
    "twice": ("sizes:", "sizes: 1 2 3\nsizes:", "cannot be read"),
    "too short": ("23 30 19", "23 30 20", "must hold 13,800|too short"),
    "too long": ("23 30 19", "23 30 18", "must hold 12,420 bytes of voxels, .* got more"),
}


@pytest.mark.parametrize("name", NRRD_FAULTS)
def test_a_broken_nrrd_is_left_out(tmp_path, name, monkeypatch):
    before, after, reason = NRRD_FAULTS[name]
    assert NRRD.count(before) == 1
    content = NRRD.replace(before, after).encode() + b"\n" + a_map().tobytes("F")
    (tmp_path / "a.nrrd").write_bytes(content)
    with pytest.raises(FileError, match=reason):
        read_volume(tmp_path / "a.nrrd")


def test_an_nrrd_without_a_space_keeps_its_sides(tmp_path):
    turned = "(0,1,0) (2,0,0) (0,0,3)"
    for old, new in (
        ("space: left-posterior-superior", "space dimension: 3"),
        ("space: left-posterior-superior", 'space dimension: 3\nspace units: "mm" "mm" "mm"'),
    ):
        content = NRRD.replace(old, new).replace("(1,0,0) (0,2,0) (0,0,3)", turned)
        (tmp_path / "a.nrrd").write_bytes(content.encode() + b"\n" + a_map().tobytes("F"))
        volume = read_volume(tmp_path / "a.nrrd")
        assert volume.affine.tolist() == np.diag([1.0, 2, 3, 1]).tolist()
        assert "says nothing of its orientation" in volume.remark


def test_that_nrrd_is_fit_otherwise(tmp_path):
    (tmp_path / "a.nrrd").write_bytes(NRRD.encode() + b"\n" + a_map().tobytes("F"))
    assert np.array_equal(read_volume(tmp_path / "a.nrrd").values, a_map().T)
    assert (
        read_volume(tmp_path / "a.nrrd").affine[:3, :3].tolist() == np.diag([-1.0, -2, 3]).tolist()
    )


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_an_nrrd_that_unpacks_to_more(tmp_path, encoding):
    large = np.zeros((256, 256, 256), np.uint8)
    path = write_nrrd(tmp_path / "a.nrrd", large, encoding=encoding)
    path.write_bytes(path.read_bytes().replace(b"sizes: 256 256 256", b"sizes: 16 16 16"))
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=r"must hold 4,096 bytes of voxels, .* got more"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------------------------------ meshes


def sphere(radius=20.0):
    return trimesh.creation.icosphere(3, radius=radius)


def written(mesh, kind):
    content = mesh.export(file_type=kind)
    return content if isinstance(content, bytes) else content.encode()


def with_vertex(value):
    lines = written(sphere(), "obj").decode().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("v "))
    lines[first] = f"v {value} 0 0"
    return "\n".join(lines).encode()


def opened(share):
    mesh = sphere()
    keep = mesh.triangles_center[:, 2] < 20 - 40 * share
    return trimesh.Trimesh(mesh.vertices, mesh.faces[keep], process=False)


MESH_FAULTS = {
    "open.ply": (lambda: written(opened(0.15), "ply"), "is open: "),
    "half.stl": (lambda: written(opened(0.5), "stl"), "is open: "),
    "nan.obj": (lambda: with_vertex("nan"), "is open: "),
    "inf.obj": (lambda: with_vertex("inf"), "is open: "),
    "nothing.obj": (lambda: b"v nan nan nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "no triangle"),
    "no_faces.ply": (
        lambda: b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\n"
        b"property float z\nelement face 0\nproperty list uchar int vertex_indices\n"
        b"end_header\n0 0 0\n",
        "no triangle",
    ),
    "range.obj": (lambda: written(sphere(), "obj").replace(b"f 1 ", b"f 99999 "), "is open: "),
    "all_range.obj": (lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 7\n", "no triangle"),
    "cut.stl": (lambda: written(sphere(), "stl")[:500], "cannot be read"),
    "empty.stl": (lambda: b"", ""),
    "text.ply": (lambda: b"no mesh", "cannot be read"),
    "plane.stl": (
        lambda: written(trimesh.Trimesh(9 * np.eye(3), [[0, 1, 2], [0, 2, 1]]), "stl"),
        "encloses no volume",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESH_FAULTS)
def test_a_broken_mesh_is_left_out(tmp_path, name):
    make, reason = MESH_FAULTS[name]
    (tmp_path / name).write_bytes(make())
    (tmp_path / "good.stl").write_bytes(written(sphere(), "stl"))
    (person,), remarks = read(tmp_path, one_file_per_structure=True)
    assert set(person.parts) == {"good"}
    assert f"{tmp_path.name}: {name}: left out: {reason}" in remarks[-1]
    (tmp_path / "good.stl").unlink()
    with pytest.raises(ValueError, match="inputs: must hold a usable person, got none of 1"):
        read(tmp_path, one_file_per_structure=True)


def test_a_body_too_large(tmp_path):
    (tmp_path / "a.stl").write_bytes(written(sphere(2001.0), "stl"))
    with pytest.raises(ValueError, match=r"extent: must be 4000 mm or less, got 4\d\d\d x"):
        read(tmp_path, one_file_per_structure=True)


def ball_at(x, radius=20.0):
    mesh = sphere(radius)
    mesh.apply_translation([x, 0.0, 0.0])
    return written(mesh, "stl")


def test_a_stray_part_costs_no_person(tmp_path):
    for name, content in {
        "a": ball_at(0.0), "b": ball_at(50.0), "c": ball_at(100.0), "stray": ball_at(9000.0),
        "huge": ball_at(0.0, 2001.0),
    }.items():  # fmt: skip
        (tmp_path / f"{name}.stl").write_bytes(content)
    (person,), remarks = read(tmp_path, one_file_per_structure=True)
    assert set(person.parts) == {"a", "b", "c"}
    assert (person.body[1] - person.body[0]).max() == pytest.approx(140.0, abs=0.1)
    assert len(remarks) == 2
    assert any("huge: left out: extent: must be 4000 mm or less, got 4002 x" in r for r in remarks)
    assert f"{tmp_path.name}: stray: left out: lies far from the others" in remarks


def test_which_of_two_is_stray_cannot_be_told(tmp_path):
    (tmp_path / "a.stl").write_bytes(ball_at(0.0))
    (tmp_path / "b.stl").write_bytes(ball_at(9000.0))
    with pytest.raises(ValueError, match="extent: must be 4000 mm or less, got 40 x 40 x 9040"):
        read(tmp_path, one_file_per_structure=True)


def test_a_person_far_off(tmp_path):
    (tmp_path / "a.stl").write_bytes(ball_at(2e6))
    with pytest.raises(ValueError, match="place: must be within 1000000 mm, got 2e"):
        read(tmp_path, one_file_per_structure=True)


def test_too_many_structures_cost_one_person(tmp_path):
    many = np.arange(1, 289, dtype=np.uint16).reshape(2, 12, 12).repeat(20, 0)
    nifti(tmp_path / "many.nii", many)
    nifti(tmp_path / "good.nii", a_map())
    people, (remark,) = read(tmp_path)
    assert len(people) == 1
    assert remark == "many.nii: left out: structures: must be 255 or fewer, got 288"


def test_a_mesh_among_label_maps(tmp_path):
    nifti(tmp_path / "a.nii", a_map())
    (tmp_path / "liver.stl").write_bytes(written(sphere(), "stl"))
    _, (remark,) = read([tmp_path / "a.nii", tmp_path / "liver.stl"])
    assert remark.startswith("liver.stl: left out: a mesh is one structure: give its folder")


def saved(tmp_path, mesh, kind="ply"):
    path = tmp_path / f"mesh.{kind}"
    path.write_bytes(written(mesh, kind))
    return path


def volume(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume


def test_what_can_be_repaired_is(tmp_path):
    """Faces that look inward, some of them or all; and a hole of one triangle, or of two."""
    whole = sphere()
    turned, holed, inward = sphere(), sphere(), sphere()
    turned.faces[::7] = turned.faces[::7, ::-1]
    holed = trimesh.Trimesh(whole.vertices, np.delete(whole.faces, [3, 500], 0), process=False)
    inward.invert()
    for mesh, told in ((whole, 0), (turned, 1), (holed, 1), (inward, 0)):
        remarks = []
        found = read_solid(saved(tmp_path, mesh), remarks.append)
        assert len(remarks) == told
        assert unmatched_edges(found.faces) == 0
        assert volume(found) == pytest.approx(whole.volume)


def test_a_hollow_stays_and_bodies_may_touch(tmp_path):
    inner = sphere(10.0)
    inner.invert()
    remarks = []
    found = read_solid(saved(tmp_path, trimesh.util.concatenate([sphere(), inner])), remarks.append)
    assert volume(found) == pytest.approx(sphere().volume - sphere(10).volume)
    boxes = [trimesh.creation.box([10, 10, 10]), trimesh.creation.box([10, 10, 10])]
    boxes[1].apply_translation([10, 10, 0])  # an edge in common, of four faces
    found = read_solid(saved(tmp_path, trimesh.util.concatenate(boxes)), remarks.append)
    assert volume(found) == pytest.approx(2000)
    assert remarks == []


def test_unmatched_edges():
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    assert unmatched_edges(faces) == 0
    assert unmatched_edges(faces[1:]) == 3
    assert unmatched_edges(np.concatenate([faces[1:], faces[:1, ::-1]])) == 3


def test_a_mesh_that_says_it_is_lps(tmp_path):
    mesh = sphere()
    mesh.apply_translation([100, 50, 10])
    content = written(mesh, "stl")
    middles = []
    for text in (b"", b"SPACE=RAS", b"SPACE=LPS"):
        (tmp_path / "a.stl").write_bytes(text.ljust(80) + content[80:])
        found = read_solid(tmp_path / "a.stl", lambda line: None)
        middles.append(found.vertices.mean(0).round().tolist())
        assert isinstance(found, Mesh)
        assert volume(found) > 0
    assert middles == [[100, 50, 10], [100, 50, 10], [-100, -50, 10]]


def test_a_mesh_too_large_to_read_or_repair(tmp_path, monkeypatch):
    path = saved(tmp_path, opened(0.1))
    monkeypatch.setattr("synthgen.bank.mesh_part._REPAIRED_MAX", 100)
    with pytest.raises(FileError, match=r"is open: .* \(too large to be repaired"):
        read_solid(path, lambda line: None)
    monkeypatch.setattr("synthgen.bank.mesh_part.BYTES_MAX", 100)
    with pytest.raises(FileError, match="must have 100 bytes or fewer"):
        read_solid(path, lambda line: None)


def test_packages_that_are_missing_are_named(tmp_path, monkeypatch):
    nifti(tmp_path / "a.nii", a_map())
    write_nrrd(tmp_path / "a.nrrd", a_map())
    for name, ending in (("nibabel", "nii"), ("nrrd", "nrrd")):
        monkeypatch.setitem(__import__("sys").modules, name, None)
        with pytest.raises(RuntimeError, match=r"pip install 'synthgen\[bank\]'"):
            read(tmp_path / f"a.{ending}")

"""Meshes as grids: distances and signs against shapes known exactly, and files of all kinds."""

import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from synthgen.kernels.sdf_records import GRID_EXTENT
from synthgen.meshes import (
    MeshError,
    mesh_grids,
    normalised,
    signed_distance_grid,
)
from synthgen.meshes import files as mesh_files
from synthgen.meshes import folder as mesh_folder
from synthgen.meshes.files import open_edges, read_mesh, sanitised
from synthgen.meshes.grid import SIDE_MIN
from synthgen.meshes.tree import build_tree, solid_angle, triangle_square, winding

trimesh = pytest.importorskip("trimesh")
SIDE = 16
STEP = 2 / (SIDE - 1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty folder instead of the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(mesh_folder, "user_cache_path", lambda name: folder / name)
    return folder / "synthgen" / "meshes"


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "meshes"
    made.mkdir()
    return made


def sphere():
    return trimesh.creation.icosphere(4)


def cup():
    """A sphere without its top; vertices up there stay."""
    mesh = sphere()
    kept = mesh.triangles_center[:, 2] < 0.7
    return trimesh.Trimesh(mesh.vertices, mesh.faces[kept], process=False)


def grid_of(mesh, side: int = SIDE) -> np.ndarray:
    return signed_distance_grid(mesh.vertices, np.asarray(mesh.faces), side)


def lattice(side: int = SIDE) -> np.ndarray:
    """(side, side, side, 3) points x, y, z of the cube -1 .. 1 in the order z, y, x."""
    axis = np.linspace(-1, 1, side)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([x, y, z], -1)


def written(mesh, suffix: str) -> bytes:
    content = mesh.export(file_type=suffix.removeprefix("."))
    return content.encode() if isinstance(content, str) else content


# ---------------------------------------------------------------------------- distances and signs


def test_a_sphere():
    right = np.linalg.norm(lattice(), axis=-1) - GRID_EXTENT
    assert np.abs(grid_of(sphere()) - right).max() < 2e-3  # the facets' depth


@pytest.mark.parametrize("sides", [(2, 2, 2), (1, 3, 2)])
def test_a_box(sides):
    mesh = trimesh.creation.box(sides)
    mesh.apply_translation([40, -3, 7])
    half = GRID_EXTENT * np.array(sides) / max(sides)
    past = np.abs(lattice()) - half
    right = np.linalg.norm(past.clip(0), axis=-1) + past.max(-1).clip(max=0)
    assert np.abs(grid_of(mesh) - right).max() < 1e-6


def test_axes_are_z_y_x():
    grid = grid_of(trimesh.creation.box((4, 2, 1)))
    inside = [np.flatnonzero((grid < 0).any(axes)).size for axes in ((1, 2), (0, 2), (0, 1))]
    assert inside == sorted(inside)
    assert inside[0] < inside[1] < inside[2]


def test_the_sense_of_triangles_does_not_matter():
    mesh = sphere()
    turned = signed_distance_grid(mesh.vertices, np.asarray(mesh.faces)[:, ::-1], SIDE)
    assert np.array_equal(turned, grid_of(mesh))


def test_a_hole_in_a_sphere():
    """Inside is what lies under the hole, but not beyond what is closed by half a turn."""
    mesh = cup()
    assert open_edges(np.asarray(mesh.faces)) > 0
    grid, points = grid_of(mesh), lattice()
    low, high = mesh.bounds  # of the vertices in use
    unit = (high - low).max() / 2 / GRID_EXTENT
    there = points * unit + (low + high) / 2
    radius = np.linalg.norm(there, axis=-1)
    assert (grid[(radius < 0.95) & (there[..., 2] < 0.4)] < 0).all()
    assert (grid[(radius > 1) | (there[..., 2] > 0.75)] > 0).all()


def test_a_hollow_stays_hollow():
    inner = trimesh.creation.icosphere(3, radius=0.5)
    inner.invert()
    grid = grid_of(trimesh.util.concatenate([sphere(), inner]))
    radius = np.linalg.norm(lattice(), axis=-1) / GRID_EXTENT
    assert ((grid < 0) == ((radius < 0.998) & (radius > 0.499))).all()


def test_distances_are_not_below_those_to_the_box():
    """What bounds of objects rely on."""
    grid = grid_of(cup())
    past = (np.abs(lattice()) - GRID_EXTENT).clip(0)
    assert (grid >= np.linalg.norm(past, axis=-1) - 1e-7)[past.any(-1)].all()


def test_a_grid_is_the_same_every_time():
    mesh = sphere()
    first = grid_of(mesh, SIDE_MIN)
    assert first.dtype == np.float32
    assert first.shape == (SIDE_MIN,) * 3
    assert np.array_equal(first, grid_of(mesh, SIDE_MIN))
    assert np.array_equal(first * 2.0**24, np.round(first * 2.0**24))
    assert not np.signbit(first[first == 0]).any()


def test_triangles_too_small_for_the_box_change_nothing():
    """Their corners are distinct in the file, and one place once the mesh is normalised."""
    mesh, specks = sphere(), 1e-25 * np.eye(3)
    vertices = np.concatenate([mesh.vertices, specks])
    count = len(mesh.vertices)
    faces = np.concatenate([mesh.faces, [[count, count + 1, count + 2]] * 20])
    hub = np.linalg.norm(lattice(), axis=-1)
    grid = signed_distance_grid(vertices, faces, SIDE)
    assert np.isfinite(grid).all()
    far = hub > 0.5  # nearer to the sphere than to the specks in its middle
    assert np.array_equal(grid[far], grid_of(mesh)[far])


def test_normalised():
    vertices = normalised(np.array([[3.0, 5, 7], [5, 9, 8]]))
    assert np.allclose(vertices, [[-0.4, -0.8, -0.2], [0.4, 0.8, 0.2]])
    with pytest.raises(ValueError, match="vertices: must not all lie in one point"):
        normalised(np.ones((3, 3)))


@pytest.mark.parametrize("resolution", [7, 257])
def test_a_resolution_out_of_range_is_refused(resolution):
    with pytest.raises(ValueError, match=f"resolution: must be 8 to 256, got {resolution}"):
        grid_of(sphere(), resolution)


def test_the_tree_against_every_triangle():
    """On a rough surface: the nearest triangle exactly, the winding number nearly."""
    generator = np.random.default_rng(0)
    mesh = trimesh.creation.torus(1, 0.4, major_sections=40, minor_sections=20)
    vertices = normalised(mesh.vertices + 0.02 * generator.standard_normal(mesh.vertices.shape))
    tree = build_tree(vertices[mesh.faces])
    grid = signed_distance_grid(vertices, np.asarray(mesh.faces), SIDE)
    points = lattice()
    for place in generator.integers(0, SIDE, (60, 3)):
        point = tuple(points[tuple(place)])
        square = min(triangle_square(corners, point) for corners in tree.corners)
        turns = sum(solid_angle(corners, point) for corners in tree.corners)
        assert abs(grid[tuple(place)]) == pytest.approx(square**0.5, abs=1e-7)
        assert abs(winding(tree, point) - turns) < 0.03


def test_a_triangle_against_many_of_its_points():
    generator = np.random.default_rng(0)
    a, b = np.sort(generator.random((2, 40_000)), axis=0)
    shares = np.stack([a, b - a, 1 - b], 1)
    for _ in range(20):
        corners, point = generator.standard_normal((3, 3)), generator.standard_normal(3) * 2
        near = np.concatenate([shares, np.eye(3)]) @ corners
        best = np.linalg.norm(near - point, axis=1).min()
        assert triangle_square(corners, tuple(point)) ** 0.5 == pytest.approx(best, abs=0.02)
        assert triangle_square(corners, tuple(point)) ** 0.5 <= best + 1e-9


# ------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
def test_formats(suffix):
    mesh, dropped = read_mesh(written(sphere(), suffix), suffix)
    assert dropped == {}
    assert mesh.faces.shape == sphere().faces.shape
    assert mesh.vertices.shape == sphere().vertices.shape  # an STL's corners are welded
    assert open_edges(mesh.faces) == 0


def test_sanitising():
    """One broken triangle of each kind beside those of a tetrahedron."""
    nan = np.nan
    vertices = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [nan, 0, 0], [0, 0, np.inf], [-0.0, 0, 0],
         [2, 0, 0], [9, 9, 9]], float,
    )  # fmt: skip
    faces = np.array(
        [[6, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3],  # vertex 6 lies where 0 does
         [0, 1, 9], [-1, 1, 2], [0, 1, 4], [5, 1, 2], [0, 1, 7], [1, 1, 2], [3, 0, 1]],
    )  # fmt: skip
    mesh, dropped = sanitised(vertices, faces)
    assert dropped == {"vertex out of range": 2, "vertex not finite": 2, "no area": 2, "twice": 1}
    assert (len(mesh.vertices), len(mesh.faces)) == (4, 4)
    assert open_edges(mesh.faces) == 0
    assert mesh.vertices.max() == 1  # vertices 7 and 8 do not count


def test_every_triangle_broken():
    with pytest.raises(MeshError, match=r"no triangle \(1 dropped: vertex out of range\)"):
        sanitised(np.eye(3), np.array([[0, 1, 3]]))


def test_too_many_triangles(monkeypatch):
    monkeypatch.setattr(mesh_files, "FACES_MAX", 100)
    with pytest.raises(MeshError, match="5,120 triangles, at most 100 are read"):
        read_mesh(written(sphere(), ".stl"), ".stl")


def a_plane() -> bytes:
    return written(trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]]), ".stl")


BROKEN = {
    "empty.stl": lambda: b"",
    "empty.obj": lambda: b"",
    "empty.ply": lambda: b"",
    "text.stl": lambda: b"This is not a mesh, but a line of text that stands in its file.\n" * 9,
    "text.obj": lambda: b"This is not a mesh.\n",
    "text.ply": lambda: b"This is not a mesh.\n",
    "words.obj": lambda: b"v 0 0 zero\n",
    "noise.ply": lambda: np.random.default_rng(0).bytes(3000),
    "noise.stl": lambda: np.random.default_rng(0).bytes(3000),
    "noise.obj": lambda: np.random.default_rng(0).bytes(3000),
    "cut.stl": lambda: written(sphere(), ".stl")[:5000],
    "cut.ply": lambda: written(sphere(), ".ply")[:5000],
    "claims.stl": lambda: bytes(80) + struct.pack("<I", 2**32 - 1) + bytes(50),
    "claims.ply": lambda: b"ply\nformat ascii 1.0\nelement vertex 999999999999\nend_header\n",
    "claims_binary.ply": lambda: (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 999999999999\n"
        b"property float x\nproperty float y\nproperty float z\nend_header\n"
    ),
    "points.obj": lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
    "nan.obj": lambda: b"v nan nan nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
    "range.obj": lambda: b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 7\n",
    "plane.stl": a_plane,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_left_out_with_the_reason(folder, name):
    (folder / name).write_bytes(BROKEN[name]())
    with pytest.raises(
        ValueError, match=f"folder: must hold a usable mesh, got none of 1 .*{name}"
    ):
        mesh_grids(folder, SIDE_MIN)
    (folder / "good.stl").write_bytes(written(sphere(), ".stl"))
    found = mesh_grids(folder, SIDE_MIN)
    assert found.names == ("good.stl",)
    report = {report.file: report for report in found.reports}
    assert len(report[name].refused) > 10
    assert report["good.stl"].refused == ""


def test_half_a_mesh_is_used_and_reported(folder):
    """An OBJ with a triangle that names no vertex, and one with a vertex that is no number."""
    text = written(sphere(), ".obj").decode()
    lines = text.rstrip().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("v "))
    lines[first] = "v nan 0 0"
    (folder / "hurt.obj").write_text("\n".join([*lines, "f 1 2 99999", ""]))
    (report,) = mesh_grids(folder, SIDE_MIN).reports
    assert report.dropped["vertex not finite"] >= 5
    assert report.dropped["vertex out of range"] == 1
    assert report.open_edges >= 5
    assert report.faces + sum(report.dropped.values()) == 5121


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_an_index_out_of_range_costs_its_triangle(suffix):
    mesh = sphere()
    mesh.faces[7, 1] = 99999
    found, dropped = read_mesh(indexed(mesh, suffix), suffix)
    assert dropped == {"vertex out of range": 1}
    assert len(found.faces) == len(mesh.faces) - 1
    assert open_edges(found.faces) == 3


def indexed(mesh, suffix: str) -> bytes:
    """A file in text, of whatever indices."""
    if suffix == ".obj":
        lines = [f"v {x} {y} {z}" for x, y, z in mesh.vertices]
        lines += [f"f {a + 1}/1 {b + 1}/1/1 {c + 1}//1" for a, b, c in mesh.faces]
        return "\n".join(lines).encode()
    lines = ["ply", "format ascii 1.0", f"element vertex {len(mesh.vertices)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    lines += ["end_header", *(f"{x} {y} {z}" for x, y, z in mesh.vertices)]
    return "\n".join([*lines, *(f"3 {a} {b} {c}" for a, b, c in mesh.faces), ""]).encode()


def test_polygons_and_indices_from_the_end_in_an_obj():
    text = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\nf -4 -2 \\\n-1\nf 0 1 2\nf 1 2\n"
    mesh, dropped = read_mesh(text, ".obj")
    assert mesh.vertices[mesh.faces].tolist()[0] == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert mesh.vertices[mesh.faces].tolist()[1] == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert dropped == {"vertex out of range": 1, "twice": 1}


def test_an_obj_opens_no_other_file(folder, tmp_path, monkeypatch):
    (folder / "mesh.obj").write_bytes(b"mtllib ../secret.mtl\n" + written(sphere(), ".obj"))
    (tmp_path / "secret.mtl").write_text("newmtl a\nmap_Kd /etc/hostname\n")
    opened = []
    original = io.open
    monkeypatch.setattr(
        "builtins.open", lambda f, *a, **k: opened.append(f) or original(f, *a, **k)
    )
    assert mesh_grids(folder, SIDE_MIN).names == ("mesh.obj",)
    assert not any("secret" in str(file) for file in opened)


# ----------------------------------------------------------------------------- folders and caches


def spheres(folder: Path) -> None:
    (folder / "liver").mkdir()
    for name in ("b.stl", "liver/2.PLY", "liver/1.obj"):
        mesh = trimesh.creation.icosphere(2)
        mesh.apply_scale([1, 1 + len(name) / 10, 1])
        (folder / name).write_bytes(written(mesh, Path(name).suffix.lower()))
    (folder / "notes.txt").write_text("no mesh")


def test_names_grids_and_classes(folder):
    spheres(folder)
    found = mesh_grids(folder, SIDE_MIN)
    assert found.names == ("b.stl", "liver/1.obj", "liver/2.PLY")
    assert found.grids.shape == (3, SIDE_MIN, SIDE_MIN, SIDE_MIN)
    assert found.grids.dtype == np.float32
    assert found.classes == {"b": (0,), "liver": (1, 2)}
    mesh, _ = read_mesh((folder / "b.stl").read_bytes(), ".stl")
    assert np.array_equal(found.grids[0], signed_distance_grid(mesh.vertices, mesh.faces, SIDE_MIN))


def test_the_cache_is_used(folder, cache, monkeypatch):
    spheres(folder)
    first = mesh_grids(folder, SIDE_MIN)
    assert len(list(cache.iterdir())) == 3
    monkeypatch.setattr(mesh_folder, "read_mesh", None)
    again = mesh_grids(folder, SIDE_MIN)
    assert np.array_equal(first.grids, again.grids)
    assert (first.names, first.digest, first.reports) == (again.names, again.digest, again.reports)


def test_a_renamed_file_keeps_its_grid(folder, monkeypatch):
    spheres(folder)
    mesh_grids(folder, SIDE_MIN)
    (folder / "b.stl").rename(folder / "c.stl")
    monkeypatch.setattr(mesh_folder, "read_mesh", None)
    again = mesh_grids(folder, SIDE_MIN)
    assert again.names[0] == again.reports[0].file == "c.stl"


@pytest.mark.parametrize("damage", ["cut", "empty", "shape", "report", "pickle", "method"])
def test_a_damaged_cache_is_made_anew(folder, cache, damage):
    spheres(folder)
    first = mesh_grids(folder, SIDE_MIN)
    path = next(cache.iterdir())
    content = path.read_bytes()
    if damage == "method":  # of compression, in zip's own directory
        at = content.rindex(b"PK\x01\x02") + 10
        path.write_bytes(content[:at] + b"\x63" + content[at + 1 :])
    elif damage in ("cut", "empty"):
        path.write_bytes(content[: 1000 * (damage == "cut")])
    else:
        kinds = {
            "shape": {"grid": np.zeros((2, 2), np.float32), "report": np.array("{}")},
            "report": {"grid": first.grids[0] + 1, "report": np.array(json.dumps({"who": 1}))},
            "pickle": {"grid": np.array([None]), "report": np.array("{}")},
        }
        np.savez(path, **kinds[damage])
    assert np.array_equal(mesh_grids(folder, SIDE_MIN).grids, first.grids)


def test_a_cache_that_cannot_be_written_does_no_harm(folder, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the folder's place")
    spheres(folder)
    assert len(mesh_grids(folder, SIDE_MIN).names) == 3


def test_the_digest_tells_of_names_and_grids(folder):
    spheres(folder)
    digests = {mesh_grids(folder, SIDE_MIN).digest, mesh_grids(folder, SIDE_MIN + 1).digest}
    (folder / "b.stl").rename(folder / "a.stl")
    digests.add(mesh_grids(folder, SIDE_MIN).digest)
    (folder / "d.stl").write_bytes((folder / "a.stl").read_bytes())
    digests.add(mesh_grids(folder, SIDE_MIN).digest)
    assert len(digests) == 4
    (folder / "d.stl").unlink()
    (folder / "broken.stl").write_text("no mesh")
    assert mesh_grids(folder, SIDE_MIN).digest in digests


def test_a_file_that_changes_while_it_is_read_spoils_no_cache(folder, monkeypatch):
    """What is kept is kept under the digest of the very bytes that it was made of."""
    spheres(folder)
    path, other = folder / "b.stl", (folder / "liver/1.obj").read_bytes()
    content, made = path.read_bytes(), mesh_folder._made

    def swapping(read, *rest):
        path.write_bytes(other)
        return made(read, *rest)

    monkeypatch.setattr(mesh_folder, "_made", swapping)
    first = mesh_grids(folder, SIDE_MIN)
    path.write_bytes(content)
    monkeypatch.setattr(mesh_folder, "read_mesh", None)
    assert np.array_equal(mesh_grids(folder, SIDE_MIN).grids, first.grids)


@pytest.mark.parametrize(("first", "second"), [("b.stl", "b.obj"), ("liver.stl", "liver/1.obj")])
def test_classes_of_one_name_are_refused(folder, first, second):
    spheres(folder)
    for name in (first, second):
        if not (folder / name).exists():
            mesh = trimesh.creation.icosphere(1)
            (folder / name).write_bytes(written(mesh, Path(name).suffix))
    with pytest.raises(ValueError, match="folder: names of classes must differ, got"):
        mesh_grids(folder, SIDE_MIN)


def test_obj_files_may_have_comments_and_indices_of_any_size():
    lines = ["v 0 0 0 # a corner", "v 1 0 0", "v 0 1 0", "v 0 0 1", "f 1 3 2 # a face", "f 1 2 4"]
    lines += ["f 1 4 3", "f 2 3 4", "f 1 2 99999999999999999999", "f -99999999999999999999 1 2"]
    mesh, dropped = read_mesh("\n".join(lines).encode(), ".obj")
    assert len(mesh.faces) == 4
    assert dropped == {"vertex out of range": 2}


def test_obj_files_are_cut_short_when_they_are_too_large(monkeypatch):
    monkeypatch.setattr("synthgen.meshes.files._OBJ_MAX", 100)
    for line in ("v 0 0 0\n" * 101, "f " + "1 " * 101):
        with pytest.raises(MeshError, match="has more than 100 vertices and triangles"):
            read_mesh(line.encode(), ".obj")


def test_what_is_not_used_is_told(folder, capsys):
    from synthgen.cli import app

    open_ball = trimesh.creation.icosphere(2)
    open_ball.update_faces(np.arange(len(open_ball.faces)) > 2)
    (folder / "open.stl").write_bytes(written(open_ball, ".stl"))
    (folder / "text.stl").write_text("no mesh")
    recipe = folder / "mine.yaml"
    recipe.write_text(f"name: mine\nshapes: {{kind: sdf, meshes: {{folder: '{folder}'}}}}\n"
                      "placement: {kind: free}\nappearance: {kind: mapper}\n")  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        app(["recipes", "validate", str(recipe)])
    told = capsys.readouterr().err
    assert stopped.value.code == 0
    assert "note: open.stl: 9 open edges" in told
    assert "note: text.stl: not used: no triangle" in told


def test_folders_without_meshes_are_refused(folder):
    with pytest.raises(ValueError, match=r"folder: must be a folder that exists, got '.*nowhere'"):
        mesh_grids(folder / "nowhere")
    with pytest.raises(
        ValueError, match=r"folder: must hold meshes \(.obj, .ply, .stl\), got none"
    ):
        mesh_grids(folder)


def test_too_much_is_refused(folder, monkeypatch):
    spheres(folder)
    with pytest.raises(ValueError, match="resolution: must be 8 to 256, got 4"):
        mesh_grids(folder, 4)
    monkeypatch.setattr(mesh_folder, "VALUES_MAX", 1000)
    with pytest.raises(
        ValueError, match=r"resolution: 3 meshes must hold at most 1000 .* 3 x 8\^3"
    ):
        mesh_grids(folder, 8)
    monkeypatch.setattr(mesh_folder, "FILES_MAX", 2)
    with pytest.raises(ValueError, match="folder: must hold at most 2 meshes, got 3"):
        mesh_grids(folder, 8)


def test_a_large_file_is_left_out(folder, monkeypatch):
    spheres(folder)
    size = (folder / "b.stl").stat().st_size
    monkeypatch.setattr(mesh_folder, "BYTES_MAX", size - 1)
    found = mesh_grids(folder, SIDE_MIN)
    assert "b.stl" not in found.names
    assert f"{size:,} bytes, at most" in found.reports[0].refused


def test_without_trimesh_the_extra_is_named(folder, monkeypatch):
    spheres(folder)
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(RuntimeError, match=r"pip install 'synthgen\[bank\]'"):
        mesh_grids(folder, SIDE_MIN)

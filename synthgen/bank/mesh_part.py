"""Meshes as solids: closed, with their faces outward, in RAS mm; or refused with the reason."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.volume_file import FileError
from synthgen.meshes import Mesh, MeshError
from synthgen.meshes.files import BYTES_MAX, SUFFIXES, read_mesh, sanitised

MESH_SUFFIXES = SUFFIXES

_REPAIRED_MAX = 100_000  # faces; repairing takes some 0.1 ms for each
_TEXT = 1024  # bytes in which a file may say that it is LPS
_LPS = b"SPACE=LPS"  # as 3D Slicer writes it
_THINNEST = 1e-9  # volume, in parts of the box's


def read_solid(path: Path, on_remark: Callable[[str], None]) -> Mesh:
    """The solid in a mesh file, RAS mm.

    Args:
        on_remark: is told of repairs.

    Raises:
        FileError: it has none.
        RuntimeError: trimesh is not installed.
    """
    if path.stat().st_size > BYTES_MAX:
        raise FileError(f"must have {BYTES_MAX:,} bytes or fewer")
    content = path.read_bytes()
    try:
        mesh, dropped = read_mesh(content, path.suffix.lower())
    except MeshError as error:
        raise FileError(str(error)) from None
    if dropped:
        told = ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())
        on_remark(f"triangles are left out: {told}")
    if _LPS in content[:_TEXT].replace(b" ", b""):
        mesh = Mesh(mesh.vertices * [-1.0, -1.0, 1.0], mesh.faces)
    return solid(mesh, on_remark)


def solid(mesh: Mesh, on_remark: Callable[[str], None]) -> Mesh:
    """A closed mesh with its faces outward; small holes are filled.

    Raises:
        FileError: it is open beyond repair, or holds nothing.
    """
    edges = unmatched_edges(mesh.faces)
    if edges:
        mesh = _repaired(mesh, edges)
        on_remark(f"holes are filled, or faces turned: {edges:,} edges did not match")
    volume = _volume(mesh)
    if abs(volume) <= _THINNEST * float(np.prod(np.ptp(mesh.vertices, axis=0))):
        raise FileError("encloses no volume")
    return mesh if volume > 0 else Mesh(mesh.vertices, mesh.faces[:, ::-1].copy())


def unmatched_edges(faces: NDArray[np.int64]) -> int:
    """Edges that are not run through as often one way as the other.

    Of a closed surface there are none, nor where closed surfaces share an edge.
    """
    starts, ends = faces.ravel(), np.roll(faces, -1, 1).ravel()
    keys = np.minimum(starts, ends) * (int(faces.max()) + 1) + np.maximum(starts, ends)
    _, places = np.unique(keys, return_inverse=True)
    return int(np.count_nonzero(np.bincount(places, np.where(starts < ends, 1, -1))))


def _repaired(mesh: Mesh, edges: int) -> Mesh:
    if len(mesh.faces) > _REPAIRED_MAX:
        raise FileError(f"is open: {edges:,} edges do not match (too large to be repaired)")
    try:
        trimesh, repair = import_module("trimesh"), import_module("trimesh.repair")
        trial = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
        repair.fix_winding(trial)
        repair.fill_holes(trial)
        repair.fix_normals(trial, multibody=False)
    except ImportError as error:
        raise RuntimeError(
            f"repair needs trimesh, networkx: pip install 'synthgen[bank]' ({error})"
        ) from None
    except Exception as error:  # trimesh's own, of any kind, on meshes beyond it
        raise FileError(f"is open: {edges:,} edges do not match ({type(error).__name__})") from None
    found, _ = sanitised(np.asarray(trial.vertices, np.float64), np.asarray(trial.faces, np.int64))
    left = unmatched_edges(found.faces)
    if left:
        raise FileError(f"is open: {left:,} edges do not match, and could not be repaired")
    return found


def _volume(mesh: Mesh) -> float:
    corners = mesh.vertices[mesh.faces] - mesh.vertices[0]
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6

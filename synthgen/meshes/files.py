"""Triangle meshes from files, made fit for use: what is broken is dropped and reported."""

import importlib
import io
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".obj", ".ply", ".stl")
BYTES_MAX = 2**28  # of a file
FACES_MAX = 2_000_000
_OBJ_MAX = 2 * FACES_MAX
_REACH = 1e30  # of coordinates, so that no square overflows
_LEAST_AREA = 1e-14  # of a triangle, in squares of its longest edge


class MeshError(ValueError):
    """A file holds no mesh that can be used."""


@dataclass(frozen=True)
class Mesh:
    """Closed or open surface.

    Attributes:
        vertices: (V, 3) float64 x, y, z, all of them finite, distinct and used.
        faces: (F, 3) int64 indices of vertices; triangles with an area, no two of them equal.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]


@dataclass(frozen=True)
class MeshReport:
    """What became of a file.

    Attributes:
        file: path within its folder, with "/".
        faces: triangles in use.
        dropped: number of triangles left out, by reason.
        open_edges: edges that do not join two triangles; 0 for a closed mesh.
        refused: why nothing of the file is used, or "".
    """

    file: str
    faces: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    open_edges: int = 0
    refused: str = ""


def read_mesh(content: bytes, suffix: str) -> tuple[Mesh, dict[str, int]]:
    """The mesh of a file, and how many of its triangles were dropped, by reason.

    Args:
        content: of the file.
        suffix: one of SUFFIXES.

    Raises:
        MeshError: nothing can be used; the message is the reason.
        RuntimeError: trimesh is not installed.
    """
    vertices, faces = _parsed(content, suffix)
    if len(faces) > FACES_MAX:
        raise MeshError(f"{len(faces):,} triangles, at most {FACES_MAX:,} are read")
    return sanitised(vertices, faces)


def _parsed(content: bytes, suffix: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices and faces as they stand in a file; neither is checked."""
    parse = _of_obj if suffix == ".obj" else partial(_by_trimesh, _trimesh(), suffix)
    try:
        vertices, faces = parse(content)
        return _columns(vertices, np.float64), _columns(faces, np.int64)
    except ImportError:  # of a guess at the encoding, for what should be text
        raise MeshError("cannot be read (cut, or not of its format)") from None
    except MeshError:
        raise
    except Exception as error:  # the parser's own, of any kind, as it checks little
        reason = " ".join(str(error).split())[:100]
        raise MeshError(f"cannot be read ({type(error).__name__}: {reason})") from None


def _by_trimesh(trimesh: Any, suffix: str, content: bytes) -> tuple[Any, Any]:
    # From memory and without a resolver: no other file is opened, whatever this one names.
    kind = suffix.removeprefix(".")
    found = trimesh.load_mesh(io.BytesIO(content), file_type=kind, process=False)
    return found.vertices, getattr(found, "faces", [])  # a cloud of points has none


def _of_obj(content: bytes) -> tuple[Any, Any]:
    """Lines ``v x y z`` and ``f 1/2/3 ...``, polygons as fans.

    Not by trimesh, to which one index out of range spoils the file.
    """
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in content.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        kind, *words = line.partition("#")[0].split() or [""]
        if len(vertices) + len(faces) + len(words) > _OBJ_MAX:
            raise MeshError(f"has more than {_OBJ_MAX:,} vertices and triangles")
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "f":
            numbers = [int(word.partition("/")[0]) for word in words]
            # From 1 on, or back from the last one so far; 0, or what no int64 holds, is none.
            places = [n - 1 if n >= 0 else len(vertices) + n for n in numbers]
            places = [place if abs(place) < 2**62 else -1 for place in places]
            faces += [(places[0], b, c) for b, c in pairwise(places[1:])]
    return vertices, faces


def _columns(given: Any, kind: Any) -> NDArray[Any]:
    """(n, 3) numbers; nothing at all may have any shape."""
    values = np.asarray(given, kind)
    if values.size == 0:
        return values.reshape(0, 3)
    if values.ndim != 2 or values.shape[1] != 3:
        raise ValueError(f"must be rows of 3 numbers, got {values.shape}")
    return values


def _trimesh() -> Any:
    try:
        return importlib.import_module("trimesh")
    except ImportError as error:
        raise RuntimeError(f"meshes need trimesh: pip install 'synthgen[bank]' ({error})") from None


def sanitised(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[Mesh, dict[str, int]]:
    """Drop what cannot be used, weld vertices in one place, and forget unused ones.

    Args:
        vertices: (V, 3), of any value.
        faces: (F, 3), of any value.

    Returns:
        The mesh, and the number of triangles dropped, by reason.

    Raises:
        MeshError: no triangle is left.
    """
    dropped: dict[str, int] = {}

    def keep(fit: Any, reason: str) -> None:
        nonlocal faces
        lost = int(fit.size - np.count_nonzero(fit))
        if lost:
            dropped[reason] = lost
        faces = faces[fit]

    keep(np.all((faces >= 0) & (faces < len(vertices)), axis=1), "vertex out of range")
    usable = np.all(np.abs(vertices) < _REACH, axis=1)  # false for NaN
    keep(np.all(usable[faces], axis=1), "vertex not finite")
    vertices, faces = _welded(vertices, faces)
    keep(_has_area(vertices[faces]), "no area")
    keep(_first_of_equals(faces), "twice")
    if len(faces) == 0:
        told = ", ".join(f"{count:,} dropped: {reason}" for reason, count in dropped.items())
        raise MeshError(f"no triangle ({told or 'none in the file'})")
    used, packed = np.unique(faces, return_inverse=True)
    return Mesh(vertices[used], packed.reshape(-1, 3).astype(np.int64)), dropped


def _welded(
    vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """One vertex for all of a place, of those in use."""
    used, packed = np.unique(faces, return_inverse=True)
    places, place = np.unique(vertices[used] + 0.0, axis=0, return_inverse=True)
    return places, place.reshape(-1)[packed].reshape(-1, 3)


def _has_area(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    edges = np.roll(corners, -1, 1) - corners
    normals = np.cross(edges[:, 0], edges[:, 1])
    longest = (edges**2).sum(2).max(1, initial=0.0)
    return np.asarray(np.linalg.norm(normals, axis=1) > _LEAST_AREA * longest)


def _first_of_equals(faces: NDArray[np.int64]) -> NDArray[np.bool_]:
    """False for a triangle that is there already, in the same sense."""
    start = faces.argmin(1)[:, None]
    turned = np.take_along_axis(faces, (start + np.arange(3)) % 3, 1)
    _, first = np.unique(turned, axis=0, return_index=True)
    fit = np.zeros(len(faces), bool)
    fit[first] = True
    return fit


def open_edges(faces: NDArray[np.int64]) -> int:
    """Edges that do not join two triangles, one to and one fro."""
    starts, ends = faces.ravel(), np.roll(faces, -1, 1).ravel()
    count = int(faces.max()) + 1
    keys, places = np.unique(
        np.minimum(starts, ends) * count + np.maximum(starts, ends), return_inverse=True
    )
    sense = np.where(starts < ends, 1, -1)
    uses = np.bincount(places, minlength=len(keys))
    balance = np.bincount(places, sense, minlength=len(keys))
    return int(np.count_nonzero((uses != 2) | (balance != 0)))

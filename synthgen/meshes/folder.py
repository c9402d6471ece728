"""A folder of meshes as one array of grids, kept in the user's cache folder."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from synthgen.meshes.files import (
    BYTES_MAX,
    SUFFIXES,
    MeshError,
    MeshReport,
    open_edges,
    read_mesh,
)
from synthgen.meshes.grid import VERSION, check_resolution, signed_distance_grid

FILES_MAX = 4096
VALUES_MAX = 2**30  # of all grids of a folder: 4 GiB


@dataclass(frozen=True)
class MeshGrids:
    """All usable meshes of a folder.

    Attributes:
        names: of the files in use, paths within the folder with "/", in order.
        grids: (G, R, R, R) float32, see ``signed_distance_grid``.
        reports: on every file, those that are not used too.
    """

    names: tuple[str, ...]
    grids: NDArray[np.float32]
    reports: tuple[MeshReport, ...]

    @property
    def digest(self) -> str:
        """SHA-256 over names and grids, which are all that volumes depend on."""
        total = hashlib.sha256("\n".join(self.names).encode("utf-8", "surrogateescape"))
        total.update(np.ascontiguousarray(self.grids, "<f4").data)
        return total.hexdigest()

    @property
    def classes(self) -> dict[str, tuple[int, ...]]:
        """Numbers of grids by class: the folder within the folder, or a file's own name."""
        found: dict[str, list[int]] = {}
        for number, name in enumerate(self.names):
            path = PurePosixPath(name)
            found.setdefault(path.parts[0] if len(path.parts) > 1 else path.stem, []).append(number)
        return {name: tuple(numbers) for name, numbers in found.items()}


def mesh_grids(folder: str | Path, resolution: int = 64) -> MeshGrids:
    """Read all STL, OBJ and PLY files of a folder and of those in it.

    A file of which nothing can be used is left out, and its report says why. A grid that was made
    before is taken from the user's cache folder.

    Args:
        folder: searched to its end.
        resolution: lattice points along an axis, 8 to 256.

    Raises:
        ValueError: the folder is missing, holds no mesh, or none that is usable; or there are too
            many. The message names field, rule and value.
        RuntimeError: trimesh is not installed.
    """
    check_resolution(resolution)
    files = _files(folder)
    if len(files) * resolution**3 > VALUES_MAX:
        raise ValueError(
            f"resolution: {len(files)} meshes must hold at most {VALUES_MAX} values, "
            f"got {len(files)} x {resolution}^3"
        )
    names, grids, reports = [], [], []
    for name, path in files.items():
        grid, report = _grid_of(name, path, resolution)
        reports.append(report)
        if grid is not None:
            names.append(name)
            grids.append(grid)
    if not grids:
        first = reports[0]
        raise ValueError(
            f"folder: must hold a usable mesh, got none of {len(files)} in {str(folder)!r}; "
            f"{first.file}: {first.refused}"
        )
    return MeshGrids(tuple(names), np.stack(grids), tuple(reports))


def _files(folder: str | Path) -> dict[str, Path]:
    """Meshes by their path within the folder, in order."""
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"folder: must be a folder that exists, got {str(folder)!r}")
    found = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise ValueError(f"folder: must hold meshes ({kinds}), got none in {str(folder)!r}")
    if len(found) > FILES_MAX:
        raise ValueError(f"folder: must hold at most {FILES_MAX} meshes, got {len(found)}")
    _check_classes(found)
    return dict(sorted(found.items()))


def _check_classes(names: Iterable[str]) -> None:
    """Refuse files that stand beside a folder, or another file, of their own name."""
    seen: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count("/") == 0, name)):
        path = PurePosixPath(name)
        alone = len(path.parts) == 1
        other = seen.setdefault(path.stem if alone else path.parts[0], name)
        if alone and other != name:
            raise ValueError(f"folder: names of classes must differ, got {other!r} and {name!r}")


def _grid_of(
    name: str, path: Path, resolution: int
) -> tuple[NDArray[np.float32] | None, MeshReport]:
    """A file's grid, from the cache where it is there, and a report; or no grid."""
    size = path.stat().st_size
    if size > BYTES_MAX:
        return None, MeshReport(name, refused=f"{size:,} bytes, at most {BYTES_MAX:,} are read")
    suffix = path.suffix.lower()
    content = path.read_bytes()
    cached = _cache_file(hashlib.sha256(content).hexdigest(), suffix, resolution)
    found = _cached(cached, name, resolution)
    if found is None:
        try:
            found = _made(content, suffix, name, resolution)
        except MeshError as error:
            return None, MeshReport(name, refused=str(error))
        _keep(cached, *found)
    return found


def _made(
    content: bytes, suffix: str, name: str, resolution: int
) -> tuple[NDArray[np.float32], MeshReport]:
    mesh, dropped = read_mesh(content, suffix)
    grid = signed_distance_grid(mesh.vertices, mesh.faces, resolution)
    if grid.min() >= 0:
        raise MeshError(f"encloses none of the {resolution}^3 lattice points")
    return grid, MeshReport(name, len(mesh.faces), dropped, open_edges(mesh.faces))


# The cache: one file for each mesh and resolution, its name the digest of all that it follows from.


def _cache_file(digest: str, suffix: str, resolution: int) -> Path:
    key = hashlib.sha256(f"grid {VERSION} {resolution} {suffix} {digest}".encode()).hexdigest()
    return user_cache_path("synthgen") / "meshes" / f"{key}.npz"


def _cached(
    path: Path, name: str, resolution: int
) -> tuple[NDArray[np.float32], MeshReport] | None:
    """What is kept under a path; nothing where it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            grid, told = kept["grid"], json.loads(str(kept["report"]))
        report = MeshReport(**{**told, "file": name})
    except (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, BadZipFile):
        return None
    fits = grid.shape == (resolution,) * 3 and grid.dtype == np.float32
    return (grid, report) if fits else None


def _keep(path: Path, grid: NDArray[np.float32], report: MeshReport) -> None:
    """Write a grid under its final name only when it is whole; without room it is not kept."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, grid=grid, report=np.array(json.dumps(asdict(report))))
            os.replace(part, path)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(part)

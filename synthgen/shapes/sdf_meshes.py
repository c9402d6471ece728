"""Meshes in a folder as classes of primitives."""

from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from synthgen.kernels.sdf_records import GRID_SIDE_MAX, SdfLift, SdfProfile, SdfTaper
from synthgen.meshes import MeshGrids, MeshReport, mesh_grids
from synthgen.settings import FloatRange, Int, Settings
from synthgen.shapes.sdf_part import LENGTH_HIGH, LENGTH_LOW, Draw, SdfPart

BUILTIN = "builtin"


class MeshClass(Settings):
    """One class.

    Attributes:
        name: of the folder within the folder, or of the file.
        meshes: how many; an object is one of them.
    """

    name: str
    meshes: Annotated[Int, Field(ge=1)]


class Meshes(Settings):
    """STL, OBJ and PLY files as primitives; each folder in the folder is a class, or each file.

    Attributes:
        folder: or ``builtin``: a few that are made by formula. No part of a recipe's digest.
        resolution: lattice points along an axis of a mesh's grid of distances.
        radius: half the longest side of an object is 0.8 times this, in parts of the volume's
            smallest side.
        digest: of what the files hold; filled in when a recipe is loaded, and checked before
            volumes are made.
        classes: likewise.
    """

    folder: str = BUILTIN
    resolution: Annotated[Int, Field(ge=8, le=GRID_SIDE_MAX)] = 64
    radius: FloatRange = (0.20, 0.40)
    digest: str | None = None
    classes: tuple[MeshClass, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.radius
        if not LENGTH_LOW <= low <= high <= LENGTH_HIGH:
            raise ValueError(
                f"radius: must lie in {LENGTH_LOW:g}..{LENGTH_HIGH:g}, got {list(self.radius)}"
            )
        if self.digest is not None and not self.classes:
            raise ValueError("classes: needs 1 or more entries beside a digest, got []")
        return self

    def resolved(self) -> Self:
        if self.digest is not None:
            return self
        found = mesh_grids(self._path, self.resolution)
        classes = _classes_of(found)
        folder = self.folder if self.folder == BUILTIN else str(self._path.resolve())
        changes = {"folder": folder, "digest": found.digest, "classes": classes}
        return self.model_copy(update=changes)

    @property
    def _path(self) -> Path:
        builtin = Path(__file__).parents[1] / "meshes" / BUILTIN
        return builtin if self.folder == BUILTIN else Path(self.folder)

    @property
    def parts(self) -> list[SdfPart]:
        """The classes, in the order of their ids."""
        first, parts = 0, []
        low, high = self.radius
        for found in self.classes:
            parts.append(
                SdfPart(
                    found.name, SdfLift.GRID, SdfProfile.CIRCLE, first, SdfTaper.CONST, False,
                    {"radius": Draw(low, high)}, found.meshes,
                )
            )  # fmt: skip
            first += found.meshes
        return parts

    def grids(self) -> NDArray[np.float32]:
        """(G, R, R, R) distances, class after class.

        Raises:
            ValueError: the files are not those of the digest, or the classes not theirs.
        """
        found = self._found()
        order = [number for _, numbers in sorted(found.classes.items()) for number in numbers]
        return found.grids if order == sorted(order) else found.grids[order]

    def remarks(self) -> list[str]:
        """A line for each file of which not everything is used, or whose surface is open."""
        return [line for report in self._found().reports if (line := _remark(report))]

    def _found(self) -> MeshGrids:
        """The meshes; raises ValueError if they are not those of the digest and classes."""
        try:
            found = mesh_grids(self._path, self.resolution)
        except ValueError as error:
            raise ValueError(f"shapes.meshes.{error}") from None
        if found.digest != self.digest:
            raise ValueError(
                f"shapes.meshes.digest: must be that of the meshes in {self.folder!r}, "
                f"{found.digest}, got {self.digest}; leave digest and classes out to take the "
                "folder as it is"
            )
        if _classes_of(found) != self.classes:
            raise ValueError(
                f"shapes.meshes.classes: must be those of the meshes in {self.folder!r}, "
                f"{_shown(_classes_of(found))}, got {_shown(self.classes)}"
            )
        return found


def _classes_of(found: MeshGrids) -> tuple[MeshClass, ...]:
    return tuple(
        MeshClass(name=name, meshes=len(numbers)) for name, numbers in sorted(found.classes.items())
    )


def _remark(report: MeshReport) -> str:
    if report.refused:
        return f"{report.file}: not used: {report.refused}"
    parts = [f"{count} triangles dropped: {reason}" for reason, count in report.dropped.items()]
    if report.open_edges:
        parts.append(f"{report.open_edges} open edges")
    return f"{report.file}: {', '.join(parts)}" if parts else ""


def _shown(classes: tuple[MeshClass, ...]) -> str:
    return ", ".join(f"{row.name} ({row.meshes})" for row in classes)

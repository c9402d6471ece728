"""Signed distance functions of FDIF: random solids, turned, sheared, displaced, and their unions.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199; classes and ranges as in its public code.
"""

from collections.abc import Callable
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from synthgen.backend.plan import SdfTables
from synthgen.kernels.records import OBJECTS_MAX
from synthgen.kernels.scene_records import SdfRotation, SdfSampling
from synthgen.named import named
from synthgen.settings import FloatRange, Int, Settings, Shape, distinct
from synthgen.shapes.displacements import (
    DISPLACEMENTS,
    Displacement,
    axis_tables,
    displacement_named,
    zero_tables,
)
from synthgen.shapes.sdf_classes import CLASSES, classes_named
from synthgen.shapes.sdf_custom import TAKEN, CustomPrimitive
from synthgen.shapes.sdf_meshes import Meshes
from synthgen.shapes.sdf_part import SdfPart

Pair = tuple[str, str]

_NONE = "none"
_SLOPES = {"published": 0.35773502691896257, "exact": 0.57735026918962576}


class SdfShapes(Settings):
    """Settings of the objects; ranges inclusive.

    The class of an object is drawn uniformly over primitives, custom, meshes and unions. Ids follow
    the published ones, then the names of custom primitives, of meshes and of unions, whatever the
    order in which a recipe names them.

    Attributes:
        objects: objects sampled for each volume.
        primitives: names of published classes, or of groups of them: ``all`` (109), ``solids``,
            ``tori``, ``polygon_tori``, ``star_tori``, ``star_revolutions``, ``polygon_prisms``,
            ``star_prisms``, ``onion_polygon_prisms``, ``onion_star_prisms``; the four of prisms
            for one taper too, as ``convex_star_prisms``.
        custom: further primitives.
        meshes: meshes in files as further primitives.
        unions: pairs of primitives, blended into one object.
        displacements: names; each object draws one.
        displacement_frame: displacements are fixed in the volume, as in the public code, or in each
            object, as in the paper. Gradient noise is always in each object.
        rotation: by three uniform angles, uniform over rotations, or none.
        shear: largest off-diagonal element of the shear.
        grid_scale: lengths that a voxel stands for: objects are drawn that many times smaller.
        octahedron_slope: of its field. The published one is too small by a digit slip.
        onion_minimum: an onion's wall is measured by the least distance in the whole volume, or
            between the ends of the object.
        blend: width over which a union's parts are blended, in parts of the smallest side.
    """

    kind: Literal["sdf"] = "sdf"
    objects: Annotated[Int, Field(ge=1, le=OBJECTS_MAX)] = 20
    primitives: Annotated[tuple[str, ...], AfterValidator(distinct)] = ("all",)
    custom: tuple[CustomPrimitive, ...] = ()
    meshes: Meshes | None = None
    unions: tuple[Pair, ...] = ()
    displacements: Annotated[
        tuple[str, ...], Field(min_length=1), AfterValidator(distinct)
    ] = (_NONE, *(found.name for found in DISPLACEMENTS if found.published))  # fmt: skip
    displacement_frame: Literal["volume", "object"] = "volume"
    rotation: Literal["euler", "uniform", "none"] = "euler"
    # From 1/2 on, three of them can make the shear singular: its least eigenvalue is 1 - 2 shear.
    shear: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    grid_scale: Annotated[float, Field(ge=0.05, le=4)] = 1.0
    octahedron_slope: Literal["published", "exact"] = "published"
    onion_minimum: Literal["volume", "slab"] = "volume"
    blend: FloatRange = (0.01, 0.15)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.primitives:
            _checked("primitives", classes_named, name)
        for name in self.displacements:
            _checked("displacements", displacement_named, name)
        names = [part.name for part in [*self._customs, *self._meshes]]
        if len(set(names)) < len(names):
            raise ValueError(f"custom: names, also those of meshes, must be distinct, got {names}")
        taken = sorted(TAKEN.intersection(part.name for part in self._meshes))
        if taken:
            raise ValueError(
                f"meshes.classes: must not be published classes or groups, got {taken[0]!r}; "
                "rename the file or folder"
            )
        for name in (name for pair in self.unions for name in pair) if self.pinned else ():
            _checked("unions", lambda name: named(self._known, name, "primitive"), name)
        if len(self._pairs) < len(self.unions):
            raise ValueError(
                "unions: pairs must be distinct, in whatever order, "
                f"got {[list(pair) for pair in self.unions]}"
            )
        if self.pinned and not self.class_names:
            raise ValueError("primitives: needs 1 or more entries, got []")
        if self.blend[0] < 0.001 or self.blend[1] > 1:
            raise ValueError(f"blend: must lie in 0.001..1, got {list(self.blend)}")
        return self

    def resolved(self) -> Self:
        """Settings in which files are pinned by their digest."""
        try:
            meshes = self.meshes and self.meshes.resolved()
        except ValueError as error:
            raise ValueError(f"meshes.{error}") from None
        if meshes is None or meshes is self.meshes:
            return self
        return self.model_validate(self.model_dump() | {"meshes": meshes.model_dump()})

    @property
    def pinned(self) -> bool:
        return self.meshes is None or self.meshes.digest is not None

    def remarks(self) -> list[str]:
        return self.meshes.remarks() if self.meshes else []

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of their ids."""
        return [part.name for part in self._singles] + [" + ".join(pair) for pair in self._pairs]

    @property
    def displacement_names(self) -> list[str]:
        """Names by row: none first, the others sorted, whatever order a recipe names them in."""
        return sorted(self.displacements, key=lambda name: (name != _NONE, name))

    @property
    def why_a_bound(self) -> str | None:
        """Why distances to an object would only be bounds, or None if they are exact."""
        if self.shear > 0:
            return "of sheared objects"
        displaced = [name for name in self.displacement_names if name != _NONE]
        if displaced:
            return f"displaced by {displaced[0]}"
        if self._pairs:
            return f"of the union {' + '.join(self._pairs[0])}"
        found = (part.why_a_bound for part in self._singles)
        return next((reason for reason in found if reason), None)

    def check_fits(self, shape: Shape) -> None:
        """Objects scale with ``shape`` and may hang out of it, so any will do."""

    def tables(self, shape: Shape) -> SdfTables:
        """What the kernels read."""
        parts = self._parts
        rows = {part.name: row for row, part in enumerate(parts)}
        entries = [(rows[part.name], -1) for part in self._singles]
        entries += [(rows[a], rows[b]) for a, b in self._pairs]
        chosen: list[Displacement] = [displacement_named(name) for name in self.displacement_names]
        own_frame = self.displacement_frame == "object"
        return SdfTables(
            objects=self.objects,
            parts=2 if self._pairs else 1,
            settings=self._settings(shape),
            entries=np.array(entries, np.int64),
            classes=np.stack([part.row for part in parts]),
            displacements=np.stack([which.row(shape, self.grid_scale) for which in chosen]),
            depths=np.array([which.reach(shape, self.grid_scale) for which in chosen], np.float32),
            axis_tables=zero_tables(len(chosen), shape)
            if own_frame
            else axis_tables(chosen, shape),
            object_frame=own_frame,
            slab=self.onion_minimum == "slab",
            grids=self.meshes.grids() if self.meshes else np.zeros((1, 1, 1, 1), np.float32),
        )

    def _settings(self, shape: Shape) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        row = np.zeros(SdfSampling.SIZE, np.float32)
        row[[SdfSampling.DEPTH, SdfSampling.HEIGHT, SdfSampling.WIDTH]] = shape
        row[SdfSampling.SHEAR] = self.shear
        row[SdfSampling.ROTATION] = SdfRotation[self.rotation.upper()]
        row[SdfSampling.GRID_SCALE] = self.grid_scale
        row[SdfSampling.SLOPE] = _SLOPES[self.octahedron_slope]
        row[[SdfSampling.BLEND_LOW, SdfSampling.BLEND_HIGH]] = self.blend
        return row

    @property
    def _customs(self) -> list[SdfPart]:
        return [custom.part for custom in sorted(self.custom, key=lambda custom: custom.name)]

    @property
    def _meshes(self) -> list[SdfPart]:
        return self.meshes.parts if self.meshes else []

    @property
    def _known(self) -> dict[str, SdfPart]:
        """All primitives that a union can name, in the order of their ids."""
        known = [which.part for which in CLASSES] + self._customs + self._meshes
        return {part.name: part for part in known}

    @property
    def _singles(self) -> list[SdfPart]:
        """The classes that are no unions, in the order of their ids."""
        found = {which for name in self.primitives for which in classes_named(name)}
        published = [which.part for which in CLASSES if which in found]
        return published + self._customs + self._meshes

    @property
    def _pairs(self) -> list[Pair]:
        """The unions, each with its names sorted, in the order of their ids."""
        return sorted({(min(pair), max(pair)) for pair in self.unions})

    @property
    def _parts(self) -> list[SdfPart]:
        """Whatever is a class or a part of a union, in the order of ids."""
        used = {part.name for part in self._singles}.union(*self._pairs)
        return [part for name, part in self._known.items() if name in used]


def _checked(field: str, find: Callable[[str], object], name: str) -> None:
    """Raise ValueError, with the field, where a name is unknown."""
    try:
        find(name)
    except ValueError as error:
        raise ValueError(f"{field}: {str(error).split(': ', 1)[1]}") from None

"""Stacked polygons of AVS-DB / PrimGeoSeg: a section with few vertices, scaled along z by a rule.

References:
    Tadokoro, Yamada, Kataoka, "Pre-training Auto-generated Volumetric Shapes for 3D Medical Image
    Segmentation", CVPR Workshops 2023; ranges as in its public generator.
"""

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from synthgen.appearance.contour import Contour
from synthgen.backend.plan import PolygonStackTables, SceneTables
from synthgen.kernels.records import OBJECTS_MAX, VERTICES_MAX, Object, Orientation, Sampling, ZRule
from synthgen.settings import (
    FloatRange,
    Int,
    IntRange,
    Settings,
    Shape,
    distinct,
    scale_length,
    scale_range,
)
from synthgen.shapes.displacements import displacement_named, zero_tables

Section = Literal["ellipse"] | Annotated[int, Field(strict=True, ge=3, le=VERTICES_MAX)]
Rule = Literal["prism", "hourglass", "pyramid", "rhombus"]
Turn = Literal["stay", "upside_down", "side_1", "side_2", "side_3", "side_4"]

_POLYGONS = {
    3: "triangle", 4: "quadrilateral", 5: "pentagon", 6: "hexagon",
    7: "heptagon", 8: "octagon", 9: "nonagon",
}  # fmt: skip


class PolygonStack(Settings):
    """Settings of the objects; lengths in voxels, ranges inclusive.

    Attributes:
        objects: objects sampled for each volume.
        sections: section classes: an ellipse, or a number of vertices.
        z_rules: how the section scales along z. The class of an object is drawn uniformly over
            sections x z_rules; its id is ``len(z_rules) * section + z_rule + 1``.
        depth: slices of an object.
        polygon_box: height and width of a polygon's box.
        polygon_radius_low: least distance of a vertex from the centre; the most is half the box.
        ellipse_axis: bounds of an ellipse's semi-axes.
        ellipse_margin: added to the box of an hourglass or rhombus of ellipses.
        turn_margin: least distance of an hourglass's waist or a rhombus's belly from either end.
        wide_scale: scale at an hourglass's ends and a rhombus's belly.
        narrow_scale: scale at an hourglass's waist and a rhombus's ends.
        orientations: turns drawn for each proposal of a place; the first is ``stay``.
    """

    kind: Literal["polygon_stack"] = "polygon_stack"
    objects: Annotated[Int, Field(ge=1, le=OBJECTS_MAX)] = 20
    sections: Annotated[tuple[Section, ...], Field(min_length=1), AfterValidator(distinct)]
    z_rules: Annotated[tuple[Rule, ...], Field(min_length=1), AfterValidator(distinct)]
    depth: IntRange = (10, 50)
    polygon_box: IntRange = (30, 80)
    polygon_radius_low: Annotated[Int, Field(ge=0)] = 15
    ellipse_axis: IntRange = (15, 40)
    ellipse_margin: Annotated[Int, Field(ge=0)] = 10
    turn_margin: Annotated[Int, Field(ge=0)] = 3
    wide_scale: FloatRange = (0.8, 1.0)
    narrow_scale: FloatRange = (0.3, 0.5)
    orientations: Annotated[tuple[Turn, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "stay",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("depth", "polygon_box", "ellipse_axis"):
            low = getattr(self, name)[0]
            if low < 1:
                raise ValueError(f"{name}: must be at least 1 voxel, got {low}")
        if self.orientations[0] != "stay":
            raise ValueError(
                "orientations: must begin with stay, which the others are turned from, "
                f"got {list(self.orientations)}"
            )
        for name in ("wide_scale", "narrow_scale"):
            low, high = getattr(self, name)
            if low < 0 or high > 1:
                raise ValueError(f"{name}: must lie in 0..1, got {[low, high]}")
        if self.polygon_radius_low > self.polygon_box[0] // 2:
            raise ValueError(
                "polygon_radius_low: must be at most half the smallest polygon_box "
                f"({self.polygon_box[0] // 2} voxels), got {self.polygon_radius_low}"
            )
        return self

    def scaled(self, factor: Fraction) -> Self:
        depth, box, axis = (
            tuple(max(1, side) for side in scale_range(value, factor))
            for value in (self.depth, self.polygon_box, self.ellipse_axis)
        )
        return self.model_copy(
            update={
                "depth": depth,
                "polygon_box": box,
                "ellipse_axis": axis,
                "polygon_radius_low": scale_length(self.polygon_radius_low, factor),
                "ellipse_margin": scale_length(self.ellipse_margin, factor),
                "turn_margin": scale_length(self.turn_margin, factor),
            }
        )

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of their ids."""
        names = [
            section if isinstance(section, str) else _POLYGONS.get(section, f"{section}-gon")
            for section in self.sections
        ]
        return [f"{name} {rule}" for name in names for rule in self.z_rules]

    @property
    def box_high(self) -> Shape:
        """Largest (depth, height, width) of an object before it is turned, in voxels."""
        polygons = self.polygon_box[1] if any(s != "ellipse" for s in self.sections) else 0
        turned = any(rule in ("hourglass", "rhombus") for rule in self.z_rules)
        margin = self.ellipse_margin if turned else 0
        ellipses = 2 * self.ellipse_axis[1] + margin if "ellipse" in self.sections else 0
        side = max(polygons, ellipses)
        return self.depth[1], side, side

    def check_fits(self, shape: Shape) -> None:
        """Raise ValueError unless the largest object fits into ``shape`` in each orientation."""
        depth, side, _ = self.box_high
        for turn in self.orientations:
            box = _TURNED_BOX[turn](depth, side)
            if any(length > room for length, room in zip(box, shape, strict=True)):
                raise ValueError(
                    f"shapes: the largest object ({box[0]}x{box[1]}x{box[2]} voxels, {turn}) "
                    f"must fit into the volume, got shape {list(shape)}"
                )

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        return min(self.box_high) / 2

    @property
    def vertices_high(self) -> int:
        """Most vertices of a section, ellipses left out."""
        return max((int(section) for section in self.sections if section != "ellipse"), default=0)

    @property
    def why_a_bound(self) -> str | None:
        """Why distances to an object would only be bounds, or None if they are exact."""
        if "ellipse" in self.sections:
            return "of an ellipse"
        tapered = [rule for rule in self.z_rules if rule != "prism"]
        return f"within the slice, of a {tapered[0]}" if tapered else None

    def tables(self, shape: Shape) -> PolygonStackTables:
        """What the kernels read.

        Args:
            shape: of the volume, for what mappers draw the stacks with.
        """
        settings = np.zeros(Sampling.SIZE, np.int64)
        settings[Sampling.XY_CLASSES] = len(self.sections)
        settings[Sampling.Z_CLASSES] = len(self.z_rules)
        settings[Sampling.DEPTH_LOW : Sampling.DEPTH_HIGH + 1] = self.depth
        settings[Sampling.BOX_LOW : Sampling.BOX_HIGH + 1] = self.polygon_box
        settings[Sampling.AXIS_LOW : Sampling.AXIS_HIGH + 1] = self.ellipse_axis
        settings[Sampling.RADIUS_LOW] = self.polygon_radius_low
        settings[Sampling.ELLIPSE_MARGIN] = self.ellipse_margin
        settings[Sampling.TURN_MARGIN] = self.turn_margin
        settings[Sampling.WIDE_LOW : Sampling.WIDE_HIGH + 1] = _fixed(self.wide_scale)
        settings[Sampling.NARROW_LOW : Sampling.NARROW_HIGH + 1] = _fixed(self.narrow_scale)
        vertices = [0 if section == "ellipse" else int(section) for section in self.sections]
        depth, side, _ = self.box_high
        boxes = [_TURNED_BOX[turn](depth, side) for turn in self.orientations]
        return PolygonStackTables(
            objects=self.objects,
            settings=settings,
            xy_vertices=np.array(vertices, np.int64),
            z_rules=np.array([ZRule[rule.upper()] for rule in self.z_rules], np.int64),
            orientations=np.array([Orientation[t.upper()] for t in self.orientations], np.int64),
            columns=int(Object.POLAR) + 2 * max(vertices),
            slices=max(box[0] for box in boxes),
            rows=max(d * h * ((w + 63) // 64) for d, h, w in boxes) + 8,
            depth=depth,
            side=side,
            outline=Contour().tables("uint8"),
            scene=self._scene(shape),
        )

    def _scene(self, shape: Shape) -> SceneTables:
        """Undisplaced prisms."""
        none = displacement_named("none")
        return SceneTables(
            objects=self.objects,
            parts=1,
            displacements=none.row(shape)[None],
            depths=np.zeros(1, np.float32),
            axis_tables=zero_tables(1, shape),
            object_frame=False,
            grids=np.zeros((1, 1, 1, 1), np.float32),
        )


def _fixed(scale: tuple[float, float]) -> tuple[int, int]:
    return round(scale[0] * 65536), round(scale[1] * 65536)


_TURNED_BOX = {
    "stay": lambda depth, side: (depth, side, side),
    "upside_down": lambda depth, side: (depth, side, side),
    "side_1": lambda depth, side: (side, depth, side),
    "side_2": lambda depth, side: (side, depth, side),
    "side_3": lambda depth, side: (side, side, depth),
    "side_4": lambda depth, side: (side, side, depth),
}

"""Star-shaped structures, in one plane or evolved from slice to slice.

A structure's contour in a slice is ``r(t) = R (1 + sum_k a_k cos(k t + f_k))``, k = 2 .. 7, about
its centre, in a frame that may be turned and stretched. In a volume the radius R grows to the
widest slice and shrinks after it, as an organ does in a scan that is read slice by slice; the
centre wanders and the phases f_k drift. ``synthgen/kernels/sample_masks.py`` has the rules, and
bounds on how far a structure changes from a slice to the next.

References:
    Sengupta et al., "SynthFM: Training Modality-agnostic Foundation Models for Medical Image
    Segmentation without Real Medical Data", arXiv 2504.08177: structures of varied shape that touch
    one another. Chakrabarty et al., "SynthFM-3D", arXiv 2601.12297: masks that grow and shrink from
    slice to slice. Neither gives formulas; those here, and all ranges, are our own choice.
"""

import math
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from synthgen.backend.plan import MaskTables
from synthgen.kernels.mask_records import WALK_WINDOW, MaskSetting
from synthgen.kernels.records import OBJECTS_MAX
from synthgen.settings import FloatRange, Int, IntRange, Settings, Shape

Share = Annotated[float, Field(ge=0, le=1)]

_STEEPEST = 16.0  # voxels a slice, by which a radius may change
_LONGEST = 16.0  # length by width
_STEP_ONE = 65536  # of a walk's largest step
_NORMAL_ONE = 4096  # of the normal numbers that amplitudes are made of


def check_range(name: str, value: tuple[float, float], low: float, high: float) -> None:
    """Raise ValueError unless ``value`` lies in low .. high."""
    if value[0] < low or value[1] > high:
        raise ValueError(f"{name}: must lie in {low:g}..{high:g}, got {list(value)}")


class Evolution(Settings):
    """How sections change with z; a planar volume has one section, at which nothing changes.

    Attributes:
        widest: slice at which a structure is widest, in parts of the depth.
        grow: of the radius before it, voxels a slice.
        shrink: of the radius after it, likewise.
        born: probability that a structure begins in the volume; others may be there from slice 0.
        birth: slice at which it begins, in parts of the depth.
        birth_radius: its radius there, from which it grows by ``grow[1]`` a slice until it is as
            wide as it would be otherwise, and before which it is as much smaller a slice; voxels.
            So a structure with a birth is seen before it where ``grow[1]`` is small.
        wander: standard deviation of the centre's random walk, voxels a slice and axis; its uniform
            steps are averaged over 8 slices.
        drift: of the contour's phases likewise, radians a slice.
    """

    widest: FloatRange = (0.3, 0.8)
    grow: FloatRange = (0.0, 1.5)
    shrink: FloatRange = (0.0, 1.5)
    born: Share = 0.5
    birth: FloatRange = (0.0, 0.5)
    birth_radius: Annotated[float, Field(gt=0, le=64)] = 2.0
    wander: Annotated[float, Field(ge=0, le=8)] = 0.5
    drift: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("widest", "birth"):
            check_range(name, getattr(self, name), 0, 1)
        for name in ("grow", "shrink"):
            check_range(name, getattr(self, name), 0, _STEEPEST)
        return self


class Masks(Settings):
    """Settings of the structures.

    Attributes:
        objects: most structures of a volume, satellites included; those drawn beyond are left out.
        structures: how many are drawn, satellites not counted.
        radius: R at the widest section, in parts of the lesser of height and width; log-uniform.
        roughness: standard deviation of ``k a_k``.
        least_radius: least distance of the contour from the centre, of R, before it is stretched;
            waves that would go below are flattened.
        elongated: probability that a structure is longer than it is wide.
        elongation: length by width of those; their area stays.
        lumen: probability that a structure is a ring.
        lumen_size: of the ring's hole, in parts of the contour.
        least_voxels: a structure that would show fewer in a slice is not in that slice.
        evolution: how sections change with z; null: all are alike.
    """

    least_depth: ClassVar[int] = 1

    kind: Literal["masks"] = "masks"
    objects: Annotated[Int, Field(ge=1, le=OBJECTS_MAX)] = 32
    structures: IntRange = (1, 8)
    radius: FloatRange = (0.04, 0.25)
    roughness: Annotated[float, Field(ge=0, le=1)] = 0.35
    least_radius: Annotated[float, Field(ge=0.05, le=1)] = 0.3
    elongated: Share = 0.25
    elongation: FloatRange = (1.5, 4.0)
    lumen: Share = 0.15
    lumen_size: FloatRange = (0.4, 0.7)
    least_voxels: Annotated[Int, Field(ge=1, le=4096)] = 12
    evolution: Evolution | None = Evolution()

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_range("structures", self.structures, 1, self.objects)
        check_range("radius", self.radius, 0.005, 0.5)
        check_range("elongation", self.elongation, 1, _LONGEST)
        check_range("lumen_size", self.lumen_size, 0.05, 0.95)
        return self

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of structures."""
        return [f"structure_{number}" for number in range(1, self.objects + 1)]

    def check_fits(self, shape: Shape) -> None:
        """Raise ValueError unless a slice of ``shape`` can show a structure."""
        most = math.pi * (self.radius[1] * min(shape[1:])) ** 2
        if most < self.least_voxels:
            raise ValueError(
                f"shapes.least_voxels: the largest structure must have that many in a slice, "
                f"got {self.least_voxels} and {most:.1f} at shape {list(shape)}"
            )

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        # A rough contour bulges by less than its radius nearly always.
        return 2 * self.radius[1] * min(shape[1:])

    def tables(self, shape: Shape) -> MaskTables:
        """What the kernels read."""
        depth, side = shape[0], min(shape[1:])
        row = np.zeros(MaskSetting.SIZE, np.float32)
        row[[MaskSetting.STRUCTURES_LOW, MaskSetting.STRUCTURES_HIGH]] = self.structures
        radii = [side * radius for radius in self.radius]
        row[[MaskSetting.RADIUS_LOW, MaskSetting.RADIUS_HIGH]] = np.log2(radii)
        row[MaskSetting.RADIUS_LEAST] = radii[0]
        row[MaskSetting.ROUGHNESS] = self.roughness / _NORMAL_ONE
        row[MaskSetting.WAVINESS] = 1 - self.least_radius
        row[MaskSetting.ELONGATED] = self.elongated
        row[[MaskSetting.ELONGATION_LOW, MaskSetting.ELONGATION_HIGH]] = self.elongation
        row[MaskSetting.LUMEN] = self.lumen
        row[[MaskSetting.LUMEN_LOW, MaskSetting.LUMEN_HIGH]] = self.lumen_size
        row[[MaskSetting.WIDEST_LOW, MaskSetting.WIDEST_HIGH]] = (depth - 1) / 2
        if self.evolution is not None and depth > 1:
            _evolve(row, self.evolution, depth)
        return MaskTables(self.objects, row, self.least_voxels)


def _evolve(row: npt.NDArray[np.float32], evolution: Evolution, depth: int) -> None:
    """The columns of ``MaskSetting`` for sections that change."""
    for name in ("widest", "birth"):
        low, high = getattr(evolution, name)
        first = MaskSetting[f"{name.upper()}_LOW"]
        row[first : first + 2] = low * (depth - 1), high * (depth - 1)
    for name in ("grow", "shrink"):
        first = MaskSetting[f"{name.upper()}_LOW"]
        row[first : first + 2] = getattr(evolution, name)
    row[MaskSetting.EVOLVES], row[MaskSetting.BORN] = 1, evolution.born
    row[MaskSetting.BIRTH_RADIUS] = evolution.birth_radius
    # The largest step of a uniform one of standard deviation 1 is the root of 3.
    step = math.sqrt(3) / (_STEP_ONE * WALK_WINDOW)
    row[MaskSetting.WANDER] = evolution.wander * step
    row[MaskSetting.DRIFT] = evolution.drift / (2 * math.pi) * step

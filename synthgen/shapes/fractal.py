"""Fractals of affine maps as sets of voxels: the V-PCF that AVS-DB is compared with.

References:
    Tadokoro, Yamada, Kataoka, "Pre-training Auto-generated Volumetric Shapes for 3D Medical Image
    Segmentation", CVPR Workshops 2023: V-PCF, the voxels of PC-FractalDB, as a baseline. It gives
    no numbers: those of AVS-DB stand for what neither text tells.
    Yamada et al., "Point Cloud Pre-training with Natural 3D Structures", CVPR 2022 (PC-FractalDB),
    and its public code: categories, 10,000 points an object, a fifth of them another category's
    (FractalNoiseMix), some 20 objects a scene. Changed coefficients as variety within a category
    are those of MV-FractalDB in the same code; their range here is our own.
"""

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from synthgen.backend.plan import FractalTables
from synthgen.kernels.fractal_records import (
    FRACTAL_CHAINS_MAX,
    FRACTAL_MAPS_MAX,
    FRACTAL_POINTS,
    FRACTAL_VOXEL_BITS,
    FractalSampling,
)
from synthgen.kernels.records import OBJECTS_MAX
from synthgen.settings import Int, IntRange, Settings, Shape, scale_range
from synthgen.shapes.fractal_systems import systems

POINTS_MAX = 1_000_000
SIDE_MAX = 512
_SHARE = 65536


class Fractal(Settings):
    """Settings of the objects; lengths in voxels, ranges inclusive.

    The class of an object is drawn uniformly. Objects are sparse: where two of them have a voxel,
    the labels' rule decides.

    Attributes:
        objects: objects sampled for each volume.
        classes: categories.
        family: seed of the search for categories; a larger number of them begins with the same.
        maps: affine maps of a category's system.
        variance: least variance along each axis of a category's points, scaled to -1 .. 1.
        size: largest side of the box of an object's points.
        points: of an object, in chains of 96. They do not scale with the volume's shape.
        mixed: share of an object's points that are of another category.
        jitter: largest change of a coefficient from object to object, in parts of it.
        rotation: uniform over rotations, or none.
    """

    kind: Literal["fractal"] = "fractal"
    objects: Annotated[Int, Field(ge=1, le=OBJECTS_MAX)] = 20
    classes: Annotated[Int, Field(ge=1, le=1000)] = 32
    family: Annotated[Int, Field(ge=0, lt=2**63)] = 0
    maps: IntRange = (2, 7)
    variance: Annotated[float, Field(ge=0, le=0.15)] = 0.05
    size: IntRange = (30, 80)
    points: Annotated[Int, Field(ge=1, le=POINTS_MAX)] = 10_000
    mixed: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    jitter: Annotated[float, Field(ge=0, le=0.2)] = 0.1
    rotation: Literal["uniform", "none"] = "uniform"

    @model_validator(mode="after")
    def _check(self) -> Self:
        low, high = self.maps
        if low < 2 or high > FRACTAL_MAPS_MAX:
            raise ValueError(f"maps: must lie in 2..{FRACTAL_MAPS_MAX}, got {[low, high]}")
        low, high = self.size
        if low < 1 or high > SIDE_MAX:
            raise ValueError(f"size: must lie in 1..{SIDE_MAX} voxels, got {[low, high]}")
        return self

    def scaled(self, factor: Fraction) -> Self:
        size = tuple(min(max(1, side), SIDE_MAX) for side in scale_range(self.size, factor))
        return self.model_copy(update={"size": size})

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of their ids."""
        return [f"fractal {number}" for number in range(1, self.classes + 1)]

    def check_fits(self, shape: Shape) -> None:
        """Objects may hang out of a volume, so any shape will do."""

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        return self.size[1] / 2

    def tables(self, shape: Shape) -> FractalTables:
        """What the kernels read, but for the placement's.

        Raises:
            RecipeError: too few categories vary as much as is asked.
        """
        found = systems(self.family, self.classes, self.maps, self.variance, self.jitter)
        chains = -(-self.points // FRACTAL_POINTS)
        assert chains <= FRACTAL_CHAINS_MAX, "draws of an object"
        row = np.zeros(FractalSampling.SIZE, np.int32)
        row[[FractalSampling.DEPTH, FractalSampling.HEIGHT, FractalSampling.WIDTH]] = shape
        row[FractalSampling.SIDE_LOW] = self.size[0] << FRACTAL_VOXEL_BITS
        row[FractalSampling.SIDE_HIGH] = self.size[1] << FRACTAL_VOXEL_BITS
        row[FractalSampling.JITTER] = round(self.jitter * _SHARE)
        row[FractalSampling.TURNED] = self.rotation == "uniform"
        return FractalTables(
            objects=self.objects,
            settings=row,
            systems=found.maps,
            slots=found.slots,
            chains=chains,
            mixed=round(chains * self.mixed),
        )

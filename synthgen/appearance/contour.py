"""Contour lines of one value on zero: the image of AVS-DB / PrimGeoSeg."""

import math
from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from synthgen.backend.plan import ContourTables
from synthgen.settings import Int, IntRange, Settings

ImageType = Literal["uint8", "float16", "float32"]

# A label includes voxels this near to a section's edge, in 1/64 voxel: OpenCV's filled polygons
# include their boundary pixels, and 0.45 reproduces their mean area.
LABEL_RADIUS = 29

# A line is this much narrower than its pen, in 1/64 voxel. Over 28,755 sections, weighted as in
# AVS-DB, lines then cover 1.002 times and labels 1.0005 times the pixels that OpenCV 5.0 draws;
# without it lines would cover 1.031 times as many.
LINE_LOSS = 3


class Contour(Settings):
    """Settings of the image.

    Attributes:
        line_width: pen width in voxels, as OpenCV counts it: a line covers what lies within
            (line_width + 1) / 2 of an edge, less 3/64.
        value: intensity of lines; everything else is 0.
        noise: bounds of a volume's noise amplitude L; each voxel gains an integer of 0 .. L - 1.
    """

    kind: Literal["contour"] = "contour"
    line_width: Annotated[float, Field(ge=0, le=31)] = 2.0
    value: Annotated[Int, Field(ge=1, le=1024)] = 128
    noise: IntRange | None = None

    def scaled(self, factor: Fraction) -> Self:
        width = self.line_width * factor.numerator / factor.denominator
        return self.model_copy(update={"line_width": width})

    @property
    def value_high(self) -> int:
        """Largest intensity an image can have."""
        return self.value + (self.noise[1] - 1 if self.noise else 0)

    def check_type(self, dtype: ImageType) -> None:
        """Raise ValueError unless ``dtype`` holds every intensity."""
        if self.noise and not 1 <= self.noise[0] <= self.noise[1] <= 1024:
            raise ValueError(f"appearance.noise: must lie in 1..1024, got {list(self.noise)}")
        if dtype == "uint8" and self.value_high > 255:
            raise ValueError(
                f"image_dtype: uint8 holds 0..255, but appearance reaches {self.value_high}; "
                "use float16 or float32"
            )

    def tables(self, dtype: ImageType) -> ContourTables:
        """What the kernels read."""
        radius = int(32 * (self.line_width + 1)) - LINE_LOSS
        levels = np.arange(self.value_high + 1).astype(dtype)
        return ContourTables(
            label_radius=LABEL_RADIUS,
            line_radius=radius,
            label_discs=_discs(LABEL_RADIUS),
            line_discs=_discs(radius),
            value=self.value,
            noise=self.noise or (0, 0),
            levels=levels.view(f"uint{8 * levels.itemsize}"),
        )


def _discs(radius: int) -> npt.NDArray[np.int64]:
    """Half-widths by row of a disc, for each fraction of its centre's row; negative outside."""
    margin = (radius + 63) // 64
    table = np.full((64, -(-(2 * margin + 2) // 8) * 8), -(2**40), np.int64)
    for phase in range(64):
        for k in range(2 * margin + 2):
            distance = 64 * (k - margin) - phase
            if abs(distance) <= radius:
                table[phase, k] = math.isqrt(radius**2 - distance**2)
    return table.ravel()

"""Shells about the surfaces of organs, dark elsewhere: the image of Fake It Right.

References:
    Tang et al., "Fake It Right", arXiv 2603.00979. Width and value of the shells are not stated
    there: the defaults are those of PrimGeoSeg's contours, two voxels of one value.
"""

import math
from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field

from synthgen.appearance.contour import ImageType
from synthgen.backend.plan import ShellTables
from synthgen.kernels.anatomy_records import SHELLS_MAX
from synthgen.settings import IntRange, Settings

_UNIT = 256  # of half widths and of weights
_SIGMAS = 2.0  # of a Gaussian fall-off, at the outermost shell

Width = Annotated[float, Field(ge=0, le=64)]


class Shell(Settings):
    """Settings of the image.

    Attributes:
        outside, inside: how far a shell reaches from an organ's surface to either side, in voxels
            before the organ is displaced or scaled along single axes. To the outside it ends with
            the bank's grids, 8 of the bank's voxels (coarser ones of zoomed-out views: 4 or 2).
        falloff: ``constant``; or towards both sides in eight steps, ``linear`` down to 0, or
            ``gaussian`` to two standard deviations.
        value: bounds of an organ's intensity; everything else is 0.
        hidden_lines: shells that lie inside other organs are drawn too.
    """

    kind: Literal["shell"] = "shell"
    outside: Width = 1.0
    inside: Width = 1.0
    falloff: Literal["constant", "linear", "gaussian"] = "constant"
    value: IntRange = (128, 128)
    hidden_lines: bool = True

    def scaled(self, factor: Fraction) -> Self:
        share = factor.numerator / factor.denominator
        return self.model_copy(
            update={"outside": self.outside * share, "inside": self.inside * share}
        )

    @property
    def value_high(self) -> int:
        """Largest intensity an image can have."""
        return self.value[1]

    def check_type(self, dtype: ImageType) -> None:
        """Raise ValueError unless intensities are of 1 .. 255, which all types hold."""
        if not 1 <= self.value[0] <= self.value[1] <= 255:
            raise ValueError(f"appearance.value: must lie in 1..255, got {list(self.value)}")

    def tables(self, dtype: ImageType) -> ShellTables:
        """What the kernels read."""
        shares, weights = self._falloff
        widths = np.array([[self.outside, self.inside]]) * np.array(shares)[:, None]
        levels = np.arange(256).astype(dtype)
        return ShellTables(
            steps=np.round(widths * _UNIT).astype(np.int32),
            weights=np.array([round(weight * _UNIT) for weight in weights], np.int32),
            values=self.value,
            levels=levels.view(f"uint{8 * levels.itemsize}"),
            keep=self.hidden_lines,
        )

    @property
    def _falloff(self) -> tuple[list[float], list[float]]:
        """Width and weight of each nested shell, in parts of the widest and of the most."""
        if self.falloff == "constant":
            return [1.0], [1.0]
        shares = [1 - step / SHELLS_MAX for step in range(SHELLS_MAX)]
        middles = [share - 0.5 / SHELLS_MAX for share in shares]
        if self.falloff == "linear":
            return shares, [1 - middle for middle in middles]
        return shares, [math.exp(-0.5 * (_SIGMAS * middle) ** 2) for middle in middles]

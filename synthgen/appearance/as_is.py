"""No appearance of its own: images are those that come with the label maps."""

from typing import Literal

from synthgen.appearance.contour import ImageType
from synthgen.backend.plan import AsIsTables
from synthgen.settings import Settings


class AsIsImage(Settings):
    """There is nothing to set; intensities are 0 .. 1, and uint8 images hold 255 times as much."""

    kind: Literal["as_is"] = "as_is"

    @property
    def value_high(self) -> float:
        """Largest intensity of an image that is not of bytes."""
        return 1.0

    def check_type(self, dtype: ImageType) -> None:
        """Any will do."""

    def tables(self, dtype: ImageType) -> AsIsTables:
        """What the kernels read, whatever the type."""
        return AsIsTables()

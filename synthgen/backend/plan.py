"""What a backend needs to know of a recipe: kernel tables and sizes."""

from dataclasses import dataclass

import numpy as np

from synthgen.appearance.contour import ContourTables
from synthgen.recipe import Recipe
from synthgen.settings import Shape
from synthgen.shapes.polygon_stack import PolygonStackTables


@dataclass(frozen=True)
class Plan:
    """Kernel arguments of each stage.

    Attributes:
        shape: (D, H, W) in voxels.
        image_dtype, label_dtype: NumPy names.
        shapes: tables of the objects.
        contour: tables of the image.
        ratio: largest overlap ratio, millionths.
        tries: proposals an object.
        legacy: divide overlaps as the published script does.
    """

    shape: Shape
    image_dtype: str
    label_dtype: str
    shapes: PolygonStackTables
    contour: ContourTables
    ratio: int
    tries: int
    legacy: bool

    @classmethod
    def of(cls, recipe: Recipe) -> "Plan":
        return cls(
            shape=recipe.reference_shape,
            image_dtype=recipe.image_dtype,
            label_dtype=recipe.label_dtype,
            shapes=recipe.shapes.tables(),
            contour=recipe.appearance.tables(recipe.image_dtype),
            ratio=recipe.placement.ratio_millionths,
            tries=recipe.placement.tries,
            legacy=recipe.placement.denominator == "legacy",
        )

    @property
    def variants(self) -> int:
        """Objects times orientations."""
        return self.shapes.objects * len(self.shapes.orientations)

    @property
    def row_words(self) -> int:
        """Words of an occupancy row: those of a volume's row and a spare one."""
        return (self.shape[2] + 63) // 64 + 1

    @property
    def noisy(self) -> bool:
        return self.contour.noise[1] > 0

    @property
    def workspace_bytes(self) -> int:
        """Scratch memory of one volume."""
        arena = 2 * self.variants * self.shapes.rows
        occupied = self.shape[0] * self.shape[1] * self.row_words
        return 8 * (arena + occupied)

    @property
    def volume_bytes(self) -> int:
        """Image and label of one volume."""
        sizes = np.dtype(self.image_dtype).itemsize + np.dtype(self.label_dtype).itemsize
        return int(np.prod(self.shape, dtype=np.int64)) * sizes

"""What a backend needs to know of a recipe: kernel tables and sizes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PolygonStackTables:
    """Kernel arguments and sizes.

    Attributes:
        objects: N.
        settings: (Sampling.SIZE,) int64.
        xy_vertices: (sections,) int64, 0 for an ellipse.
        z_rules: (z rules,) int64.
        orientations: (K,) int64 ``Orientation`` codes.
        columns: columns of the object table.
        slices: most slices of a variant.
        rows: most words of a variant's rows.
        depth: most slices before turning.
        side: most rows of a slice before turning.
    """

    objects: int
    settings: npt.NDArray[np.int64]
    xy_vertices: npt.NDArray[np.int64]
    z_rules: npt.NDArray[np.int64]
    orientations: npt.NDArray[np.int64]
    columns: int
    slices: int
    rows: int
    depth: int
    side: int


@dataclass(frozen=True)
class ContourTables:
    """Kernel arguments; radii in 1/64 voxel.

    Attributes:
        label_discs, line_discs: (64 * multiple of 8,) int64, see ``rasterize_polygon_stack``.
        levels: (value_high + 1,) bit patterns of the image's intensities.
    """

    label_radius: int
    line_radius: int
    label_discs: npt.NDArray[np.int64]
    line_discs: npt.NDArray[np.int64]
    value: int
    noise: tuple[int, int]
    levels: npt.NDArray[np.unsignedinteger]


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

    shape: tuple[int, int, int]
    image_dtype: str
    label_dtype: str
    shapes: PolygonStackTables
    contour: ContourTables
    ratio: int
    tries: int
    legacy: bool

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

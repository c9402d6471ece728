"""Whole label maps of a shape bank's people, deformed as one: the shapes of SynthSeg and SAP.

References:
    Billot et al., "SynthSeg", Medical Image Analysis 86, 2023, doi:10.1016/j.media.2023.102789, and
    its public code (BBillot/SynthSeg): ranges of flips, affine maps, crops.
    "Supervised anatomical pre-training", arXiv 2506.19590: whole people in place of parts.
"""

import functools
from fractions import Fraction
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from synthgen.backend.plan import LabelMapTables
from synthgen.bank import Bank
from synthgen.bank.whole import WholeMaps, whole_maps
from synthgen.kernels.anatomy_records import SubjectSampling
from synthgen.settings import FloatRange, Shape, distinct
from synthgen.shapes.of_bank import BENT, OfBank

ZOOM_LOW, ZOOM_HIGH = 0.05, 20.0
TURNS = 360.0  # degrees
_VALUES = 256

Share = Annotated[float, Field(ge=0, le=1)]


class LabelMapShapes(OfBank):
    """Settings of the shapes. Ranges are uniform; there is a draw for each axis and volume.

    A voxel at v, from the middle of the volume, shows what the person has at diag(scale) S R v,
    with S of ones and six shears and R = Rx Ry Rz: scales above 1 show more of the person.

    Attributes:
        targets: names of the structures that are labelled; the others are drawn all the same and
            labelled as the background. By default all.
        zoom: a volume's voxels are this times the recipe's spacing.
        flip: probability that the person is seen in a mirror, left and right labels exchanged.
        scale: factors along each axis.
        rotation: angles about each axis, degrees.
        shear: six of them.
        displacement: bounds of the standard deviation of the control points of a smooth
            displacement, mm; it is kept injective.
        wander: where a person is larger than the volume, the volume's middle lies anywhere within
            this share of the room that there is: 0 is the middle of the person, 1 any crop.
        shift: most that the middle is off besides, along each axis, mm.
    """

    least_depth: ClassVar[int] = 1

    kind: Literal["label_map"] = "label_map"
    targets: Annotated[tuple[str, ...], AfterValidator(distinct)] = ()
    zoom: FloatRange = (1.0, 1.0)
    flip: Share = 0.5
    scale: FloatRange = (0.8, 1.2)
    rotation: FloatRange = (-15.0, 15.0)
    shear: FloatRange = (-0.012, 0.012)
    displacement: FloatRange = (0.0, 4.0)
    wander: Share = 1.0
    shift: Annotated[float, Field(ge=0, le=1000)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, low, high in (
            ("zoom", ZOOM_LOW, ZOOM_HIGH), ("scale", 0.25, 4.0), ("rotation", -180.0, 180.0),
            ("shear", -0.3, 0.3), ("displacement", 0.0, 60.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value[0] <= value[1] <= high:
                raise ValueError(f"{name}: must lie in {low:g}..{high:g}, got {list(value)}")
        self.check_structures()
        unknown = [name for name in self.targets if name not in self.structures]
        if self.structures and unknown:
            raise ValueError(f"targets: must be of the structures, got {unknown[0]!r}")
        return self

    def scaled(self, factor: Fraction) -> Self:
        """A volume of more voxels shows the same of the body."""
        low, high = (value * factor.denominator / factor.numerator for value in self.zoom)
        return self.model_copy(update={"zoom": (low, high)})

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of their ids."""
        return sorted(self.targets or self.structures)

    @property
    def drawn_names(self) -> list[str]:
        """Names of the structures by the value that the kernels give them, from 1."""
        return sorted(self.structures)

    @property
    def label_values(self) -> NDArray[np.int64]:
        """The label of each value that the kernels give."""
        place = {name: value for value, name in enumerate(self.class_names, 1)}
        return np.array([0, *(place.get(name, 0) for name in self.drawn_names)], np.int64)

    @property
    def objects(self) -> int:
        """Rows of ``placed``: the person is one."""
        return 1

    def check_fits(self, shape: Shape) -> None:
        """A volume shows what of the body falls into it, so any will do."""

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        return BENT * self._deepest() / (self.scale[0] * self.zoom[0] * min(spacing))

    def tables(self, shape: Shape) -> LabelMapTables:
        """What the kernels read.

        Raises:
            ValueError: the bank is not that of the digest, or its people cannot be put together.
        """
        found = self.found()
        try:
            whole = _whole(found, tuple(self.drawn_names))
        except ValueError as error:
            raise ValueError(f"shapes.bank: {error}") from None
        bodies = np.concatenate([whole.middles, whole.sides], axis=1)
        shown = whole.maps.any((1, 2, 3))  # people with a structure that was chosen
        return LabelMapTables(
            settings=self._settings(found),
            maps=whole.maps if shown.all() else whole.maps[shown],
            bodies=np.ascontiguousarray(bodies[shown], np.float32),
            other_sides=self._other_sides(found),
            reach=self._reach(found, whole),
        )

    def _settings(self, found: Bank) -> NDArray[np.float32]:
        row = np.zeros(SubjectSampling.SIZE, np.float32)
        row[[SubjectSampling.ZOOM_LOW, SubjectSampling.ZOOM_HIGH]] = self.zoom
        row[SubjectSampling.BANK_SPACING] = found.spacing
        row[SubjectSampling.FLIP] = self.flip
        row[[SubjectSampling.SCALE_LOW, SubjectSampling.SCALE_HIGH]] = self.scale
        row[[SubjectSampling.TURN_LOW, SubjectSampling.TURN_HIGH]] = np.array(self.rotation) / TURNS
        row[[SubjectSampling.SHEAR_LOW, SubjectSampling.SHEAR_HIGH]] = self.shear
        row[[SubjectSampling.DISPLACEMENT_LOW, SubjectSampling.DISPLACEMENT_HIGH]] = (
            self.displacement
        )
        row[SubjectSampling.WANDER] = self.wander
        row[SubjectSampling.SHIFT] = self.shift
        return row

    def _other_sides(self, found: Bank) -> NDArray[np.uint8]:
        """(256,) the label value of each one's other side, if chosen; else its own."""
        names = self.drawn_names
        table = np.arange(_VALUES, dtype=np.uint8)
        for number, name in enumerate(names, 1):
            other = found.names[found.mirrors[found.names.index(name)]]
            if other in names:
                table[number] = names.index(other) + 1
        return table

    def _reach(self, found: Bank, whole: WholeMaps) -> float:
        """Source voxels from a map's first one, along an axis, that a volume's middle may be."""
        return float(whole.middles.max() + whole.sides.max() / 2) + self.shift / found.spacing


@functools.lru_cache(maxsize=2)
def _whole(found: Bank, names: tuple[str, ...]) -> WholeMaps:
    """The people of a bank, put together once."""
    return whole_maps(found, names)

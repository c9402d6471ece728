"""Structures of a shape bank, in poses of their own: the shapes of Fake It Right.

References:
    Tang et al., "Fake It Right", arXiv 2603.00979. What it does not state (ranges of deformations,
    the view, the anchors' covariances) is our own choice.
"""

import math
from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from synthgen.backend.plan import BankTables
from synthgen.bank import Bank, level
from synthgen.bank.relations import Kind, PairTable, painting_order, pair_table, placement_order
from synthgen.kernels.anatomy_records import AnatomySampling, BankShape, BankStructure
from synthgen.settings import FloatRange, Shape
from synthgen.shapes.of_bank import BENT, OfBank

LEVELS = 3  # of resolution: once, twice and four times the bank's spacing
ZOOM_LOW, ZOOM_HIGH = 0.05, 20.0
_CLIP = 3.0  # standard deviations, of every normal deviate of a pose
_SPARE = 64  # elements that a vector may read beyond the last distance

Share = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=0, le=0.5)]


class BankShapes(OfBank):
    """Settings of the shapes; each structure is there once at most.

    Attributes:
        zoom: a volume's voxels are this times the recipe's spacing, uniform.
        wander: standard deviation of a volume's middle about a structure's anchor, in parts of the
            body.
        keep: probability that a structure within view is there.
        scale: standard deviation of the logarithm of a structure's size.
        scale_limits: bounds of its size.
        axis_scale: standard deviation of the logarithm of its size along each axis.
        rotation: standard deviation of its angle about each axis, degrees.
        displacement: bounds of the standard deviation of its smooth displacement, mm; it is kept
            injective.
        mirror: probability that one of a left and a right structure has the shape of the other.
        jitter: standard deviation along each axis of a contained structure from where its person
            has it in its container, mm; it shares the container's pose.
    """

    kind: Literal["bank"] = "bank"
    zoom: FloatRange = (0.8, 1.25)
    wander: Share = 0.08
    keep: Share = 0.9
    scale: Deviation = 0.10
    scale_limits: FloatRange = (0.8, 1.25)
    axis_scale: Deviation = 0.05
    rotation: Annotated[float, Field(ge=0, le=60)] = 8.0
    displacement: FloatRange = (0.0, 3.0)
    mirror: Share = 0.5
    jitter: Annotated[float, Field(ge=0, le=100)] = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, low, high in (
            ("zoom", ZOOM_LOW, ZOOM_HIGH), ("scale_limits", 0.25, 4.0), ("displacement", 0.0, 30.0),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value[0] <= value[1] <= high:
                raise ValueError(f"{name}: must lie in {low:g}..{high:g}, got {list(value)}")
        self.check_structures()
        return self

    def scaled(self, factor: Fraction) -> Self:
        """A volume of more voxels shows the same of the body."""
        low, high = (value * factor.denominator / factor.numerator for value in self.zoom)
        return self.model_copy(update={"zoom": (low, high)})

    @property
    def objects(self) -> int:
        return len(self.structures)

    def check_fits(self, shape: Shape) -> None:
        """A volume shows what of the body falls into it, so any will do."""

    def pair_table(self) -> PairTable:
        """What binds each structure to each other one; raises ValueError, see ``tables``."""
        return pair_table(self.found().relations, self.class_names)

    def placement_order(self) -> NDArray[np.int32]:
        """(C,) structures, in the order in which they are placed."""
        found = self.found()
        return np.array(
            placement_order(found.relations, self.class_names, self._median_volumes(found)),
            np.int32,
        )

    def tables(self, shape: Shape) -> BankTables:
        """What the kernels read.

        Raises:
            ValueError: the bank is not that of the digest.
        """
        found = self.found()
        chosen = [found.names.index(name) for name in self.class_names]
        levels = [level(found, k) for k in range(LEVELS)]
        firsts = np.cumsum([0, *(len(distances) for distances, _ in levels)])
        shapes = [rows[:, chosen].copy() for _, rows in levels]
        for rows, first in zip(shapes, firsts, strict=False):
            rows[..., BankShape.OFFSET] += first
        distances = np.concatenate([*(values for values, _ in levels), np.zeros(_SPARE, np.int16)])
        boxes = found.boxes[:, chosen]
        containers = _outermost(pair_table(found.relations, self.class_names)["kind"])
        painting = painting_order(found.relations, self.class_names, self._median_volumes(found))
        return BankTables(
            settings=self._settings(found),
            distances=distances,
            shapes=np.concatenate(shapes).reshape(-1, BankShape.SIZE).astype(np.int32),
            structures=self._structures(found, chosen, containers),
            choices=_choices(found, chosen),
            boxes=boxes.reshape(-1, 6),
            offsets=_offsets(found, chosen, containers),
            surface=found.points[:, chosen].reshape(-1, *found.points.shape[2:]),
            sides=self._sides(found, chosen),
            ranks=np.argsort(painting).astype(np.int32),
        )

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        size = self.scale_limits[1] * math.exp(_CLIP * self.axis_scale)
        return BENT * size * self._deepest() / (self.zoom[0] * min(spacing))

    def _median_volumes(self, found: Bank) -> list[float]:
        """Of each structure over the subjects that have it, mm^3."""
        chosen = [found.names.index(name) for name in self.class_names]
        return [float(np.median(column[column > 0])) for column in found.volumes[:, chosen].T]

    def _settings(self, found: Bank) -> NDArray[np.float32]:
        row = np.zeros(AnatomySampling.SIZE, np.float32)
        row[[AnatomySampling.ZOOM_LOW, AnatomySampling.ZOOM_HIGH]] = self.zoom
        row[AnatomySampling.BODY : AnatomySampling.BODY + 3] = found.body
        row[AnatomySampling.BANK_SPACING] = found.spacing
        row[AnatomySampling.LEVELS] = LEVELS
        row[AnatomySampling.WANDER] = self.wander
        row[AnatomySampling.KEEP] = self.keep
        row[AnatomySampling.SCALE_SD] = self.scale
        row[[AnatomySampling.SCALE_LOW, AnatomySampling.SCALE_HIGH]] = self.scale_limits
        row[AnatomySampling.AXIS_SD] = self.axis_scale
        row[AnatomySampling.TURN_SD] = self.rotation / 360
        row[[AnatomySampling.DISPLACEMENT_LOW, AnatomySampling.DISPLACEMENT_HIGH]] = (
            self.displacement
        )
        row[AnatomySampling.MIRROR] = self.mirror
        row[AnatomySampling.JITTER] = self.jitter
        return row

    def _structures(
        self, found: Bank, chosen: list[int], containers: list[int]
    ) -> NDArray[np.float32]:
        rows = np.zeros((len(chosen), BankStructure.SIZE), np.float32)
        factors = found.factors[chosen]
        low, high = _widest(found, chosen)
        rows[:, BankStructure.MEAN : BankStructure.MEAN + 3] = found.means[chosen]
        rows[:, BankStructure.FACTOR : BankStructure.FACTOR + 6] = factors[:, *np.tril_indices(3)]
        spread = np.sqrt((factors**2).sum(2))
        rows[:, BankStructure.REACH : BankStructure.REACH + 3] = 3 * spread + np.maximum(-low, high)
        rows[:, BankStructure.MIRROR] = [
            chosen.index(other) if other in chosen else n
            for n, other in enumerate(found.mirrors[chosen])
        ]
        rows[:, BankStructure.SUBJECTS] = found.present[:, chosen].sum(0)
        rows[:, BankStructure.CONTAINER] = containers
        return rows

    def _sides(self, found: Bank, chosen: list[int]) -> NDArray[np.float64]:
        """An upper bound of a posed box's sides: of a turned box, and of its displacement."""
        low, high = _widest(found, chosen)
        partners = [
            chosen.index(m) if m in chosen else n for n, m in enumerate(found.mirrors[chosen])
        ]
        sides = np.maximum(high - low, (high - low)[partners])
        size = self.scale_limits[1] * math.exp(_CLIP * self.axis_scale)
        angle = math.radians(min(90.0, _CLIP * self.rotation))
        tilt = min(1.0, math.sin(angle) + math.sin(angle) ** 2)  # of an element off the diagonal
        turned = (1 - tilt) * sides + tilt * sides.sum(1, keepdims=True)
        turned = np.minimum(turned, np.sqrt((sides**2).sum(1, keepdims=True)))
        return np.asarray(size * (turned + 2 * _CLIP * self.displacement[1] * (1 + 2 * tilt)))


def _outermost(kind: NDArray[np.int8]) -> list[int]:
    """By structure, the one that contains it and is in none itself; itself where there is none."""
    inside = kind == Kind.INSIDE
    free = ~inside.any(1)
    return [int(np.flatnonzero(row & free)[0]) if row.any() else n for n, row in enumerate(inside)]


def _offsets(found: Bank, chosen: list[int], containers: list[int]) -> NDArray[np.float32]:
    """(S * C, 3) of each centroid from its container's, mm; 0 where a person lacks one of them."""
    centroids, there = found.centroids[:, chosen], found.present[:, chosen][..., None]
    both = there & there[:, containers]
    away = np.where(both, (centroids - centroids[:, containers]) * found.body, 0)
    return np.asarray(away.reshape(-1, 3), np.float32)


def _choices(found: Bank, chosen: list[int]) -> NDArray[np.int32]:
    """(C, S) subjects that have each structure, then zeros."""
    table = np.zeros((len(chosen), found.subjects), np.int32)
    for row, structure in zip(table, chosen, strict=True):
        subjects = np.flatnonzero(found.present[:, structure])
        row[: len(subjects)] = subjects
    return table


def _widest(found: Bank, chosen: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(C, 3) first and last corners about the centroids, mm, of the widest of all subjects."""
    boxes = found.boxes[:, chosen].astype(np.float64)
    return boxes[..., :3].min(0), boxes[..., 3:].max(0)

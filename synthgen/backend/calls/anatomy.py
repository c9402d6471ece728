"""Calls of the kernels that place structures of a bank and draw their shells."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import BankTables, GibbsTables, Plan, ShellTables
from synthgen.kernels.anatomy_records import (
    BANK_POINTS,
    CONTROLS,
    PROPOSAL_REACH,
    TILE,
    AnatomySampling,
    BankStructure,
    Pose,
    Proposal,
)
from synthgen.kernels.paint_shell import paint_shell
from synthgen.kernels.place_gibbs import place_gibbs
from synthgen.kernels.pose_lattice import pose_lattice
from synthgen.kernels.rasterize_bank import rasterize_bank
from synthgen.kernels.sample_anatomy import sample_anatomy

_WIDEN = 2.0  # standard deviations of the second round of proposals by those of the first
MEMORY_MAX = 16 * 2**30  # bytes of a volume's rows and lattices
BOX_MAX = 2**31 - 1  # voxels, which are counted in 32 bits
SOURCE_MAX = 8000  # source voxels that a box may span: positions stay within 8192
_DEVIATIONS = 3.0  # most, of what shapes a structure
_SPARE = 64  # elements that a vector may reach beyond the last
_LATTICE_BLOCKS, _RASTER_BLOCKS = 8, 32  # that share an object
_RASTERIZED = (
    "poses", "bank_shapes", "distances", "steps", "lattice", "lattice_offsets", "row_offsets",
    "rows", "shells", "counts",
)  # fmt: skip
_PAINTED = ("placed", "poses", "row_offsets", "rows", "shells", "weights", "levels")

# Draws nothing, where labels alone are asked for.
BLACK_SHELLS = ShellTables(
    steps=np.zeros((1, 2), np.int32),
    weights=np.zeros(1, np.int32),
    values=(0, 0),
    levels=np.arange(256, dtype=np.uint8),
    keep=True,
)


@dataclass(frozen=True)
class Anatomy:
    """What the calls share.

    Attributes:
        shape: (D, H, W) in voxels.
        spacing: mm of a voxel.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    shapes: BankTables
    placement: GibbsTables
    appearance: ShellTables

    @property
    def rounds(self) -> int:
        """Proposals of an object: two rounds, and one a sweep."""
        return 2 * self.placement.proposals + self.placement.sweeps

    def check(self) -> None:
        """Raise ValueError where kernels would not hold what is asked for."""
        settings = self.shapes.settings
        low, high = (
            float(settings[which])
            for which in (AnatomySampling.ZOOM_LOW, AnatomySampling.ZOOM_HIGH)
        )
        box = int(np.prod(self.caps.astype(np.int64), axis=1).max())
        memory = 8 * (1 + len(self.appearance.steps)) * self.row_size + 4 * self.lattice_size
        if memory > MEMORY_MAX or box > BOX_MAX:
            raise ValueError(
                f"shapes.zoom: boxes must hold at most {MEMORY_MAX / 2**30:g} GiB a volume and "
                f"{BOX_MAX} voxels each, got {memory / 2**30:.1f} GiB and {box} at zoom {low:g}, "
                f"spacing {list(self.spacing)} and shape {list(self.shape)}; zoom out, or take "
                "fewer structures or a constant falloff"
            )
        thinnest = float(settings[AnatomySampling.SCALE_LOW]) * math.exp(
            -_DEVIATIONS * float(settings[AnatomySampling.AXIS_SD])
        )
        source = float(settings[AnatomySampling.BANK_SPACING]) * thinnest
        reach = int(self.caps.max()) * max(self.spacing) * high / source
        if reach > SOURCE_MAX:
            raise ValueError(
                f"shapes.zoom: a box must span at most {SOURCE_MAX} of the bank's voxels, got "
                f"{reach:.0f} at zoom {high:g} and spacing {list(self.spacing)}; zoom in"
            )

    @cached_property
    def settings(self) -> npt.NDArray[np.float32]:
        row = self.shapes.settings.copy()
        row[AnatomySampling.SHAPE : AnatomySampling.SHAPE + 3] = self.shape
        row[AnatomySampling.SPACING : AnatomySampling.SPACING + 3] = self.spacing
        row[AnatomySampling.UNIFORM] = self.placement.uniform
        row[AnatomySampling.WIDEN] = _WIDEN
        row[AnatomySampling.MARGIN] = self.margin
        row[AnatomySampling.JITTER] *= self.placement.spread
        row[[AnatomySampling.VALUE_LOW, AnatomySampling.VALUE_HIGH]] = self.appearance.values
        return row

    @cached_property
    def structures(self) -> npt.NDArray[np.float32]:
        """With the temperature's spread; structures are looked for three deviations away."""
        rows, spread = self.shapes.structures.copy(), self.placement.spread
        deviation = np.sqrt((_triangles(rows) ** 2).sum(2))
        rows[:, BankStructure.REACH : BankStructure.REACH + 3] += 3 * (spread - 1) * deviation
        rows[:, BankStructure.FACTOR : BankStructure.FACTOR + 6] *= spread
        return rows

    @property
    def margin(self) -> int:
        """Voxels by which shells may stand out."""
        return math.ceil(int(self.appearance.steps[:, 0].max()) / 256)

    @cached_property
    def caps(self) -> npt.NDArray[np.int32]:
        """(C, 3) most sides of a box: the whole object's, or what proposals bring into view."""
        settings = self.shapes.settings
        voxel = np.array(self.spacing) * float(settings[AnatomySampling.ZOOM_LOW])
        thin = voxel.max() / voxel.min()  # shells are of one width in mm
        slack = float(settings[AnatomySampling.BANK_SPACING]) / voxel
        whole = self.shapes.sides / voxel + 2 * (self.margin * thin + slack + 3)
        view = np.array(self.shape) * (2 if self.placement.uniform else 1)
        if not self.placement.uniform:
            deviations = np.abs(_triangles(self.structures)).sum(2)
            reach = np.ceil(PROPOSAL_REACH * deviations / voxel) + 1
            # What is contained goes where its container goes, and a little about.
            container = self.structures[:, BankStructure.CONTAINER].astype(np.int64)
            jitter = PROPOSAL_REACH * self.settings[AnatomySampling.JITTER] / voxel
            reach = np.maximum(reach, reach[container] + np.ceil(jitter) + 1)
            view = view + 2 * reach + 1
        sides = np.ceil(np.minimum(whole, view) / TILE) * TILE + TILE
        return np.asarray(sides, np.int32)

    @cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """(C,) first word of each object's rows."""
        return _before(self._row_words)

    @cached_property
    def lattice_offsets(self) -> npt.NDArray[np.int64]:
        """(C,) first element of each object's lattice."""
        return _before(self._lattice_points)

    @property
    def row_size(self) -> int:
        """Words of all rows."""
        return int(self._row_words.sum()) + _SPARE

    @property
    def lattice_size(self) -> int:
        """Elements of all lattices."""
        return int(self._lattice_points.sum()) + _SPARE

    @property
    def _row_words(self) -> npt.NDArray[np.int64]:
        depth, height, width = self.caps.T.astype(np.int64)
        return np.asarray(depth * height * ((width + 63) // 64))

    @property
    def _lattice_points(self) -> npt.NDArray[np.int64]:
        return np.asarray(3 * np.prod(self.caps.astype(np.int64) // TILE + 1, axis=1))


@dataclass(frozen=True)
class SampleAnatomy(Call):
    """``sample_anatomy``: shapes, poses and proposals."""

    anatomy: Anatomy
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        anatomy, shapes = self.anatomy, self.anatomy.shapes
        return {
            "settings": anatomy.settings,
            "structures": anatomy.structures,
            "choices": shapes.choices,
            "bank_boxes": shapes.boxes,
            "bank_offsets": shapes.offsets,
            "surface": shapes.surface,
            "bank_shapes": shapes.shapes,
            "caps": anatomy.caps,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.anatomy.shapes.objects
        return {
            "poses": Scratch((objects, int(Pose.SIZE)), "int32"),
            "controls": Scratch((objects, 3, CONTROLS, CONTROLS, CONTROLS), "int32"),
            "points": Scratch((objects, BANK_POINTS, 3), "int32"),
            "proposals": Scratch((objects, self.anatomy.rounds, int(Proposal.SIZE)), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        placement = self.anatomy.placement
        return partial(
            sample_anatomy, *_named(volume, *self.constants()), placement.proposals,
            placement.sweeps, volume.seed, volume.indices[0], *_named(volume, *self.scratch()),
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        placement, shapes, count = self.anatomy.placement, self.anatomy.shapes, len(batch)
        return partial(
            start.launch, "sample_anatomy", (-(-count * shapes.objects * 32 // 128), 1, 1), 128,
            (
                *_named(batch, *self.constants()), np.int32(placement.proposals),
                np.int32(placement.sweeps), batch.seed, batch.indices,
                *_named(batch, *self.scratch(), "counts"), np.int32(count),
                np.int32(shapes.objects), np.int32(shapes.choices.shape[1]),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class PoseLattice(Call):
    """``pose_lattice``: source positions at the corners of tiles."""

    anatomy: Anatomy
    name = "lattice"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"lattice_offsets": self.anatomy.lattice_offsets}

    def scratch(self) -> Mapping[str, Scratch]:
        return {"lattice": Scratch((self.anatomy.lattice_size,), "int32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            pose_lattice, *_named(volume, "poses", "controls", "lattice_offsets", "lattice")
        )

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        objects = self.anatomy.shapes.objects
        return partial(
            start.launch, "pose_lattice", (_LATTICE_BLOCKS, objects, len(batch)), 128,
            (
                *_named(batch, "poses", "controls", "lattice_offsets", "lattice"),
                np.int32(objects), np.int64(self.anatomy.lattice_size),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class RasterizeBank(Call):
    """``rasterize_bank``: rows of bits of insides and of shells."""

    anatomy: Anatomy
    name = "rasterize"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {
            "distances": self.anatomy.shapes.distances,
            "steps": self.anatomy.appearance.steps,
            "row_offsets": self.anatomy.row_offsets,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        words = self.anatomy.row_size
        return {
            "rows": Scratch((words,), "uint64"),
            "shells": Scratch((len(self.anatomy.appearance.steps), words), "uint64"),
            "counts": Scratch((self.anatomy.shapes.objects,), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(rasterize_bank, *_named(volume, *_RASTERIZED))

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        anatomy = self.anatomy
        objects = anatomy.shapes.objects
        return partial(
            start.launch, "rasterize_bank", (_RASTER_BLOCKS, objects, len(batch)), 128,
            (
                *_named(batch, *_RASTERIZED), np.int32(objects),
                np.int32(len(anatomy.appearance.steps)), np.int64(anatomy.lattice_size),
                np.int64(anatomy.row_size),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class PlaceGibbs(Call):
    """``place_gibbs``, of objects that were rasterized into bit rows.

    Attributes:
        full: compute the energies of proposals that cannot win too.
    """

    anatomy: Anatomy
    full: bool = False
    name = "place"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        anatomy = self.anatomy
        return {
            "order": anatomy.placement.order,
            "ranks": anatomy.shapes.ranks,
            "pairs": anatomy.placement.pairs,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        objects = self.anatomy.shapes.objects
        return {
            "visible": Scratch((objects,), "int32"),
            "chosen": Scratch((objects,), "int32"),
            "energies": Scratch((objects, self.anatomy.rounds), "int64"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(place_gibbs, *self._arguments(volume, self.anatomy.shape))

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.numba, "place_gibbs", len(batch), self._arguments(batch, *self.anatomy.shape)
        )

    def _arguments(self, buffers: Buffers, *shape: Any) -> tuple[Any, ...]:
        placement = self.anatomy.placement
        return (
            *_named(
                buffers, "order", "ranks", "pairs", "poses", "counts", "points", "proposals",
                "row_offsets", "rows", "bank_shapes", "distances",
            ),
            placement.proposals, placement.sweeps, self.full, *shape,
            *_named(buffers, "visible", "chosen", "energies", "placed"),
        )  # fmt: skip


@dataclass(frozen=True)
class PaintShell(Call):
    """``paint_shell``: image and label map."""

    anatomy: Anatomy
    label_dtype: str
    name = "paint"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        appearance = self.anatomy.appearance
        return {"weights": appearance.weights, "levels": appearance.levels}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            paint_shell, *_named(volume, *_PAINTED), int(self.anatomy.appearance.keep),
            volume["image"].reshape(-1), volume["label"].reshape(-1), self.anatomy.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        anatomy, appearance = self.anatomy, self.anatomy.appearance
        depth, height, width = anatomy.shape
        return partial(
            start.launch, "paint_shell", (depth, len(batch), 1), 256,
            (
                *_named(batch, *_PAINTED), np.int32(appearance.keep), batch["image"],
                batch["label"], np.int32(anatomy.shapes.objects),
                np.int32(len(appearance.steps)), np.int64(anatomy.row_size), np.int32(depth),
                np.int32(height), np.int32(width),
            ),
            IMAGE_TYPE=C_TYPES[appearance.levels.dtype.name],
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


def anatomy_calls(
    plan: Plan, shapes: BankTables, placement: GibbsTables, appearance: ShellTables
) -> list[Call]:
    """The calls in order."""
    anatomy = Anatomy(plan.shape, plan.spacing, shapes, placement, appearance)
    anatomy.check()
    return [
        SampleAnatomy(anatomy),
        PoseLattice(anatomy),
        RasterizeBank(anatomy),
        PlaceGibbs(anatomy),
        PaintShell(anatomy, plan.label_dtype),
    ]


def _triangles(structures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(C, 3, 3) factors of the covariances."""
    rows = np.zeros((len(structures), 3, 3))
    rows[:, *np.tril_indices(3)] = structures[:, BankStructure.FACTOR : BankStructure.FACTOR + 6]
    return rows


def _before(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sums of all that come before."""
    return np.asarray(np.cumsum(sizes) - sizes)


def _named(buffers: Buffers, *names: str) -> list[Any]:
    return [buffers[name] for name in names]

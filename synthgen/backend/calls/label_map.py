"""Calls of the kernels that deform whole label maps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import LabelMapTables, Plan
from synthgen.kernels.anatomy_records import CONTROLS, TILE, Pose, SubjectSampling
from synthgen.kernels.draw_label_map import draw_label_map
from synthgen.kernels.pose_lattice import pose_lattice
from synthgen.kernels.sample_subject import sample_subject

SOURCE_MAX = 8000  # source voxels; positions stay within 8192
_DISPLACED = 120  # source voxels, at most
_SPARE = 64  # elements that a vector may reach beyond the last
_LATTICE_BLOCKS = 8


@dataclass(frozen=True)
class LabelMap:
    """What the calls share.

    Attributes:
        shape: (D, H, W) in voxels.
        spacing: mm of a voxel.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    shapes: LabelMapTables

    def check(self) -> None:
        """Raise ValueError where positions would be too large for the kernels."""
        settings = self.shapes.settings
        zoom, scale, bank = (
            float(settings[column])
            for column in (
                SubjectSampling.ZOOM_HIGH, SubjectSampling.SCALE_HIGH,
                SubjectSampling.BANK_SPACING,
            )
        )  # fmt: skip
        shear = float(
            np.abs(settings[[SubjectSampling.SHEAR_LOW, SubjectSampling.SHEAR_HIGH]]).max()
        )
        view = float(np.linalg.norm(np.multiply(self.shape, self.spacing))) * zoom / bank
        reach = self.shapes.reach + scale * (1 + 2 * shear) * view + _DISPLACED
        if reach > SOURCE_MAX:
            raise ValueError(
                f"shapes.zoom: a volume must span at most {SOURCE_MAX} of the bank's voxels, got "
                f"{reach:.0f} at zoom {zoom:g}, spacing {list(self.spacing)} and shape "
                f"{list(self.shape)}; zoom in"
            )

    @cached_property
    def settings(self) -> npt.NDArray[np.float32]:
        row = self.shapes.settings.copy()
        row[SubjectSampling.SHAPE : SubjectSampling.SHAPE + 3] = self.shape
        row[SubjectSampling.SPACING : SubjectSampling.SPACING + 3] = self.spacing
        return row

    @property
    def lattice_size(self) -> int:
        """Elements of a volume's lattice."""
        return 3 * int(np.prod([-(-side // TILE) + 1 for side in self.shape])) + _SPARE


@dataclass(frozen=True)
class SampleSubject(Call):
    """``sample_subject``: who is shown, and how."""

    maps: LabelMap
    name = "sample"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"settings": self.maps.settings, "bodies": self.maps.shapes.bodies}

    def scratch(self) -> Mapping[str, Scratch]:
        return {
            "poses": Scratch((1, int(Pose.SIZE)), "int32"),
            "controls": Scratch((1, 3, CONTROLS, CONTROLS, CONTROLS), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_subject, volume["settings"], volume["bodies"], volume.seed, volume.indices[0],
            volume["poses"], volume["controls"], volume["placed"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "sample_subject", (len(batch), 1, 1), 32,
            (
                batch["settings"], batch["bodies"], batch.seed, batch.indices, batch["poses"],
                batch["controls"], batch["placed"], np.int32(len(self.maps.shapes.bodies)),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class SubjectLattice(Call):
    """``pose_lattice``, of one box that is the volume."""

    maps: LabelMap
    name = "lattice"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"lattice_offsets": np.zeros(1, np.int64)}

    def scratch(self) -> Mapping[str, Scratch]:
        return {"lattice": Scratch((self.maps.lattice_size,), "int32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(pose_lattice, *self._arrays(volume))

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "pose_lattice", (_LATTICE_BLOCKS, 1, len(batch)), 128,
            (*self._arrays(batch), np.int32(1), np.int64(self.maps.lattice_size)),
        )  # fmt: skip

    def _arrays(self, buffers: Buffers) -> list[Any]:
        return [buffers[name] for name in ("poses", "controls", "lattice_offsets", "lattice")]


@dataclass(frozen=True)
class DrawLabelMap(Call):
    """``draw_label_map``."""

    maps: LabelMap
    label_dtype: str
    name = "draw"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"maps": self.maps.shapes.maps, "other_sides": self.maps.shapes.other_sides}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            draw_label_map, volume["poses"], volume["lattice"], volume["maps"],
            volume["other_sides"], volume["label"].reshape(-1), self.maps.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        depth, height, width = self.maps.shape
        pieces = depth * height * -(-width // TILE)
        return partial(
            start.launch, "draw_label_map", (-(-pieces // 256), len(batch), 1), 256,
            (
                batch["poses"], batch["lattice"], batch["maps"], batch["other_sides"],
                batch["label"], np.int64(self.maps.lattice_size),
                *(np.int32(side) for side in self.maps.shapes.maps.shape[1:]),
                np.int32(depth), np.int32(height), np.int32(width),
            ),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


def label_map_calls(plan: Plan, shapes: LabelMapTables) -> list[Call]:
    """The calls that make a volume's label map, in order."""
    maps = LabelMap(plan.shape, plan.spacing, shapes)
    maps.check()
    return [SampleSubject(maps), SubjectLattice(maps), DrawLabelMap(maps, plan.label_dtype)]

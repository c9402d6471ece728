"""What the calls of a chain share: its sizes, and how its steps are gathered into passes."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Scratch
from synthgen.backend.plan import ChainTables
from synthgen.kernels.appearance_records import ShadeOp, StepKind, StepSetting

FILTERS = (StepKind.BLUR, StepKind.RESOLUTION)
_SPARE = 64  # elements that a vector may reach beyond the last


@dataclass(frozen=True)
class Chain:
    """What the calls of a chain share.

    Attributes:
        shape: (D, H, W) in voxels.
        spacing: mm of a voxel.
        alike: (L,) int32, the label value whose tones each label value has.
        image_dtype, label_dtype: NumPy names.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    alike: npt.NDArray[np.int32]
    image_dtype: str
    label_dtype: str
    tables: ChainTables

    @property
    def values(self) -> int:
        """L, label values."""
        return len(self.alike)

    @property
    def steps(self) -> int:
        """S."""
        return len(self.tables.settings)

    @property
    def kinds(self) -> list[StepKind]:
        return [StepKind(int(kind)) for kind in self.tables.settings[:, StepSetting.KIND]]

    @property
    def toned(self) -> int:
        """T, tables of tones."""
        return int(self.tables.settings[:, StepSetting.TONE].max()) + 1

    @property
    def voxels(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def near_boundaries(self) -> bool:
        """Whether any step asks for distances to boundaries."""
        settings = self.tables.settings
        textures = np.isin(settings[:, StepSetting.KIND], (StepKind.TEXTURE, StepKind.WAVES))
        buffers = textures & (settings[:, StepSetting.C_LOW] > 0)
        return StepKind.OUTLINE in self.kinds or bool(buffers.any())

    @cached_property
    def passes(self) -> list["npt.NDArray[np.int32] | int"]:
        """In order: programs of ``shade``, (P, 2), and between them the numbers of filters."""
        found: list[npt.NDArray[np.int32] | int] = []
        operations: list[tuple[int, int]] = []
        if self.tables.base is not None:
            operations.append((ShadeOp.GREY, 0))

        def stored(*last: tuple[int, int]) -> None:
            found.append(np.array([*operations, *last], np.int32))
            operations[:] = [(ShadeOp.LOAD, 0)]

        for step, kind in enumerate(self.kinds):
            if kind in FILTERS:
                stored((ShadeOp.STORE, 0))
                found.append(step)
            else:
                if kind == StepKind.NORMALIZE:
                    stored((ShadeOp.EXTREMES, step), (ShadeOp.STORE, 0))
                operations.append((ShadeOp[kind.name], step))
        stored((ShadeOp.CAST, 0))
        return found

    @property
    def programs(self) -> list[npt.NDArray[np.int32]]:
        return [program for program in self.passes if not isinstance(program, int)]

    @property
    def shared(self) -> dict[str, Scratch]:
        """Scratch arrays of ``shade``: the canvas, and those that no other call of this chain has.

        The canvas is not in use where all steps are one program.
        """
        used = self.voxels if len(self.passes) > 1 else 0
        idle = {
            "distance": not self.near_boundaries,
            "nodes": not self.tables.fields,
            "waves": not len(self.tables.bands),
        }
        kinds = {
            "distance": Scratch((1,), "uint8"),
            "nodes": Scratch((1,), "float32"),
            "waves": Scratch((1, 1, 2), "float32"),
        }
        return {
            "canvas": Scratch((used + _SPARE,), "float32"),
            **{name: kinds[name] for name in kinds if idle[name]},
        }

"""The call that gives labels the values that they have in a mixture of recipes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import Plan
from synthgen.kernels.relabel import relabel

_BLOCK = 4096  # labels of a block of relabel.cu


def relabel_calls(plan: Plan) -> list[Call]:
    """None where the labels are right as they are."""
    if plan.relabel is None or np.array_equal(plan.relabel, np.arange(len(plan.relabel))):
        return []
    return [Relabel(plan.relabel, math.prod(plan.shape), plan.label_dtype)]


@dataclass(frozen=True)
class Relabel(Call):
    """``relabel``.

    Attributes:
        values: (L,) the new value of each label value.
        voxels: of a label map.
    """

    values: npt.NDArray[np.int64]
    voxels: int
    label_dtype: str
    name = "relabel"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"new_values": self.values.astype(self.label_dtype)}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(relabel, volume["new_values"], volume["label"].reshape(-1))

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "relabel", (-(-self.voxels // _BLOCK), len(batch), 1), 256,
            (batch["new_values"], batch["label"], np.int64(self.voxels)),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip

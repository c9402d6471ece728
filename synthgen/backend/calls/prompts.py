"""Calls of the kernels that ask for the structures of a label map."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import Plan, PromptTables
from synthgen.kernels.measure_labels import measure_labels
from synthgen.kernels.prompt_records import LabelSlice
from synthgen.kernels.sample_prompts import sample_prompts

_MEASURE_THREADS, _SAMPLE_THREADS = 256, 128


@dataclass(frozen=True)
class MeasureLabels(Call):
    """``measure_labels``, of the first task.

    Attributes:
        shape: (D, H, W) in voxels.
        tasks: label maps of a volume.
        values: K, but for the background.
    """

    shape: tuple[int, int, int]
    label_dtype: str
    tasks: int
    values: int
    name = "measure"

    def scratch(self) -> Mapping[str, Scratch]:
        return {"shown": Scratch((self.values, self.shape[0], int(LabelSlice.SIZE)), "int32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(measure_labels, volume["label"][0], volume["shown"])

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "measure_labels", (self.shape[0], len(batch), 1), _MEASURE_THREADS,
            (batch["label"], batch["shown"], *_sizes(self)),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


@dataclass(frozen=True)
class SamplePrompts(Call):
    """``sample_prompts``, of the first task; attributes as of ``MeasureLabels``."""

    tables: PromptTables
    shape: tuple[int, int, int]
    label_dtype: str
    tasks: int
    name = "ask"

    @property
    def values(self) -> int:
        return self.tables.shape[0]

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"prompt_settings": self.tables.settings}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_prompts, volume["prompt_settings"], volume["label"][0], volume["shown"],
            volume.seed, volume.indices[0], volume["prompts"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.launch, "sample_prompts", (self.values, len(batch), 1), _SAMPLE_THREADS,
            (
                batch["prompt_settings"], batch["label"], batch["shown"], batch.seed,
                batch.indices, batch["prompts"], *_sizes(self),
            ),
            LABEL_TYPE=C_TYPES[self.label_dtype],
        )  # fmt: skip


def _sizes(call: MeasureLabels | SamplePrompts) -> tuple[Any, ...]:
    """K, D, H, W, and elements from a volume's first task to the next volume's."""
    stride = call.tasks * int(np.prod(call.shape, dtype=np.int64))
    return np.int32(call.values), *map(np.int32, call.shape), np.int64(stride)


def prompts_calls(plan: Plan, tables: PromptTables) -> list[Call]:
    """The calls that ask for each label value of the first task."""
    values, tasks = tables.shape[0], plan.label_shape[0]
    return [
        MeasureLabels(plan.shape, plan.label_dtype, tasks, values),
        SamplePrompts(tables, plan.shape, plan.label_dtype, tasks),
    ]

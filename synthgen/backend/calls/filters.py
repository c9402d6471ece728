"""Calls of the kernels that draw a chain's steps, and of those that filter lines of voxels."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.chain import FILTERS, Chain
from synthgen.kernels.appearance_records import (
    FILTER_SD_MAX,
    FilterLine,
    Step,
    StepKind,
    StepSetting,
    Tone,
)
from synthgen.kernels.filter_lines import filter_lines
from synthgen.kernels.sample_chain import sample_chain
from synthgen.kernels.sample_filters import FACTOR_HIGH, sample_filters

_LANES = 16
_PAD = 2  # voxels beyond a filter's radius that a tile holds
_SHARED = 48 * 1024  # bytes of a block
_LINES, _ROWS = 32, 16  # of a block, at most, along z and y, and along x
_THREADS = 128


@dataclass(frozen=True)
class SampleChain(Call):
    """``sample_chain``: parameters of each step and each label value."""

    chain: Chain
    channel: int
    name = "sample_chain"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"chain_settings": self.chain.tables.settings, "alike": self.chain.alike}

    def scratch(self) -> Mapping[str, Scratch]:
        chain = self.chain
        return {
            "drawn": Scratch((chain.steps, int(Step.SIZE)), "float32"),
            "tones": Scratch((max(1, chain.toned), chain.values, int(Tone.SIZE)), "float32"),
            "extremes": Scratch((chain.steps, 2), "int32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_chain, volume["chain_settings"], volume["alike"], volume.seed,
            volume.indices[0], self.channel, volume["drawn"], volume["tones"], volume["extremes"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        chain, blocks = self.chain, -(-max(self.chain.values, self.chain.steps) // _THREADS)
        return partial(
            start.launch, "sample_chain", (blocks, chain.toned + 1, len(batch)), _THREADS,
            (
                batch["chain_settings"], batch["alike"], batch.seed, batch.indices,
                np.int32(self.channel), batch["drawn"], batch["tones"], batch["extremes"],
                np.int32(chain.steps), np.int32(chain.toned), np.int64(chain.values),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Filters:
    """What the filters of a chain have in common."""

    chain: Chain

    @cached_property
    def steps(self) -> list[int]:
        """Their numbers."""
        return [step for step, kind in enumerate(self.chain.kinds) if kind in FILTERS]

    def radius(self, step: int, axis: int) -> int:
        """Most that a filter reaches along an axis, voxels."""
        row, voxel = self.chain.tables.settings[step], self.chain.spacing[axis]
        if self.chain.kinds[step] == StepKind.BLUR:
            column = StepSetting.B_HIGH if axis == 0 and row[StepSetting.B_HIGH] >= 0 else None
            sd = float(row[StepSetting.A_HIGH if column is None else column])
        else:
            thickness = float(max(row[StepSetting.A_HIGH], row[StepSetting.B_HIGH], voxel))
            sd = 0.75 * thickness / voxel * float(FACTOR_HIGH)
        return math.ceil(3 * min(sd, FILTER_SD_MAX)) + 1  # one for its rounding

    def samples(self, step: int, axis: int) -> int:
        """Most samples of a line."""
        return self.chain.shape[axis] if self.chain.kinds[step] == StepKind.RESOLUTION else 0

    @cached_property
    def table(self) -> npt.NDArray[np.int32]:
        """(F, FilterSteps.SIZE)."""
        starts = np.cumsum([0, *self._sizes])[:-1].reshape(len(self.steps), 3)
        return np.column_stack([self.steps, starts]).astype(np.int32)

    @property
    def size(self) -> int:
        """Weights of all filters, and what a vector may reach beyond them."""
        return sum(self._sizes) + _LANES

    @property
    def _sizes(self) -> Iterator[int]:
        for step in self.steps:
            for axis in range(3):
                radius, samples = self.radius(step, axis), self.samples(step, axis)
                lanes = -(-samples // _LANES) * _LANES
                yield max((2 * radius + 2) * lanes, radius + 1)

    def lines(self, step: int, axis: int) -> tuple[int, int]:
        """Lines of a block, and the bytes of its tile."""
        line = self.chain.shape[axis] + 2 * (self.radius(step, axis) + _PAD)
        line += self.samples(step, axis)
        lines = _ROWS if axis == 2 else _LINES
        while lines > 1 and 4 * lines * line > _SHARED:
            lines //= 2
        return lines, 4 * lines * line


@dataclass(frozen=True)
class SampleFilters(Call):
    """``sample_filters``: weights of each filter."""

    chain: Chain
    channel: int
    name = "sample_filters"

    @cached_property
    def filters(self) -> Filters:
        return Filters(self.chain)

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {
            "filter_steps": self.filters.table,
            "filter_spacing": np.array(self.chain.spacing, np.float32),
        }

    def scratch(self) -> Mapping[str, Scratch]:
        count = len(self.filters.steps)
        return {
            "filters": Scratch((count, 3, int(FilterLine.SIZE)), "float32"),
            "filter_weights": Scratch((self.filters.size,), "float32"),
        }

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_filters, volume["chain_settings"], volume["filter_steps"],
            volume["filter_spacing"], volume["drawn"], volume.seed, volume.indices[0],
            self.channel, self.chain.shape, volume["filters"], volume["filter_weights"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        count = len(self.filters.steps)
        return partial(
            start.launch, "sample_filters", (3 * count, len(batch), 1), _THREADS,
            (
                batch["chain_settings"], batch["filter_steps"], batch["filter_spacing"],
                batch["drawn"], batch.seed, batch.indices, np.int32(self.channel),
                batch["filters"], batch["filter_weights"], np.int32(self.chain.steps),
                np.int32(count), np.int64(self.filters.size), *map(np.int32, self.chain.shape),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class FilterLines(Call):
    """``filter_lines``: one filter, in place, along x, then y, then z.

    Attributes:
        step: of the chain.
    """

    chain: Chain
    channel: int
    step: int
    name = "filter"

    @cached_property
    def filters(self) -> Filters:
        return Filters(self.chain)

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            filter_lines, self.filters.steps.index(self.step), volume["filters"],
            volume["filter_steps"], volume["filter_weights"], volume["canvas"], self.chain.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        def run() -> None:
            for axis in (2, 1, 0):
                if self.chain.shape[axis] > 1:
                    self._launch(axis, batch, start)

        return run

    def _launch(self, axis: int, batch: Buffers, start: Launcher) -> None:
        depth, height, width = self.chain.shape
        lines, shared = self.filters.lines(self.step, axis)
        blocks = -(-depth * height // lines)
        if axis != 2:
            blocks = (depth if axis == 1 else height) * -(-width // lines)
        canvas = batch["canvas"]
        start.launch(
            "filter_lines", (blocks, len(batch), 1), 2 * _THREADS,
            (
                np.int32(self.filters.steps.index(self.step)), np.int32(axis), np.int32(lines),
                batch["filters"], batch["filter_steps"], batch["filter_weights"], canvas,
                np.int32(len(self.filters.steps)), np.int64(self.filters.size),
                np.int64(canvas.shape[1]), np.int32(depth), np.int32(height), np.int32(width),
            ),
            shared=shared,
        )  # fmt: skip

"""The calls that turn a label map into an image, step by step."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.chain import FILTERS, Chain
from synthgen.backend.calls.fields import LabelDistance, LayNodes, SampleWaves
from synthgen.backend.calls.filters import FilterLines, SampleChain, SampleFilters
from synthgen.backend.calls.shading import Shade
from synthgen.backend.plan import BankTables, ChainTables, LabelMapTables, Plan


@dataclass(frozen=True)
class Redirected(Call):
    """A call whose image, of bytes, goes into the scratch array ``grey``.

    Attributes:
        shape: (D, H, W) of it, in voxels; or of a single one where it is not drawn.
    """

    call: Call
    shape: tuple[int, ...]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.call.name)

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return self.call.constants()

    def scratch(self) -> Mapping[str, Scratch]:
        return {**self.call.scratch(), "grey": Scratch(self.shape, "uint8")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return self.call.on_cpu(_redirected(volume))

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return self.call.on_cuda(_redirected(batch), start)


def _redirected(buffers: Buffers) -> Buffers:
    return replace(buffers, arrays={**buffers.arrays, "image": buffers["grey"]})


def chain_calls(plan: Plan, tables: ChainTables) -> Iterator[Call]:
    """The calls that follow those that make the label map, and ``grey`` where there is a base."""
    chain = Chain(
        plan.shape, plan.spacing, _alike(plan, tables), plan.image_dtype, plan.label_dtype, tables
    )
    if chain.near_boundaries:
        yield LabelDistance(chain)
    for channel in range(tables.channels):
        yield SampleChain(chain, channel)
        if any(kind in FILTERS for kind in chain.kinds):
            yield SampleFilters(chain, channel)
        if tables.fields:
            yield LayNodes(chain, channel)
        if len(tables.bands):
            yield SampleWaves(chain, channel)
        number = 0
        for step in chain.passes:
            if isinstance(step, int):
                yield FilterLines(chain, channel, step)
            else:
                yield Shade(chain, channel, number)
                number += 1


def _alike(plan: Plan, tables: ChainTables) -> npt.NDArray[np.int32]:
    """(L,) the label value whose tones each has: the lower one of two sides that are alike."""
    values = np.arange(plan.labels.values, dtype=np.int32)
    if not tables.sides_alike:
        return values
    assert isinstance(plan.shapes, BankTables | LabelMapTables)  # no others have sides
    return np.minimum(values, plan.shapes.other_sides[: len(values)])

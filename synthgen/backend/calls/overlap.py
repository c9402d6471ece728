"""Call of the placement by overlap ratio."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.plan import OverlapTables
from synthgen.kernels.place_overlap import place_overlap


@dataclass(frozen=True)
class PlaceOverlap(Call):
    """``place_overlap``, of objects that were rasterized into bit rows."""

    placement: OverlapTables
    shape: tuple[int, int, int]
    orientations: int
    name = "place"

    def scratch(self) -> Mapping[str, Scratch]:
        depth, height, width = self.shape
        words = (width + 63) // 64 + 1  # of a volume's row, and a spare one
        return {"occupied": Scratch((depth, words, height), "uint64")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            place_overlap, *self._arguments(volume), volume.seed, volume.indices[0],
            volume["placed"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        return partial(
            start.numba, "place_overlap", len(batch),
            (*self._arguments(batch), batch.seed, batch.indices, batch["placed"]),
        )  # fmt: skip

    def _arguments(self, buffers: Buffers) -> tuple[Any, ...]:
        placement = self.placement
        return (
            buffers["boxes"], buffers["slices"], buffers["labels"], buffers["occupied"],
            self.orientations, self.shape[2], placement.ratio, placement.tries, placement.legacy,
        )  # fmt: skip

"""Call of the kernel that runs a chain's voxelwise programs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.chain import Chain
from synthgen.backend.calls.fields import field_tables
from synthgen.backend.calls.types import C_TYPES
from synthgen.kernels.shade import shade

_THREADS, _RUN = 256, 8  # of a block; voxels of a thread
_TABLES = (
    "chain_settings", "drawn", "tones", "fields", "field_starts", "field_weights", "nodes", "waves",
)  # fmt: skip
_SIZED = ("nodes", "waves", "grey", "label", "distance", "canvas")


@dataclass(frozen=True)
class Shade(Call):
    """``shade``: one program of a channel.

    Attributes:
        channel: of the image.
        number: of the program.
    """

    chain: Chain
    channel: int
    number: int
    name = "shade"

    @property
    def program(self) -> str:
        """The program's name among the constants."""
        return f"program_{self.number}"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        tables = field_tables(self.chain.tables.fields, self.chain.shape)
        return {
            self.program: self.chain.programs[self.number],
            "chain_settings": self.chain.tables.settings,
            "fields": tables.rows,
            "field_starts": tables.starts,
            "field_weights": tables.weights,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        idle = {"grey": Scratch((1,), "uint8")} if self.chain.tables.base is None else {}
        return {**self.chain.shared, **idle}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        chain = self.chain
        return partial(
            shade, volume[self.program], *(volume[name] for name in _TABLES),
            volume["grey"].reshape(-1), volume["label"].reshape(-1)[: chain.voxels],
            volume["distance"].reshape(-1), volume["canvas"], volume["extremes"], volume.seed,
            volume.indices[0], self.channel, volume["image"][self.channel].reshape(-1), chain.shape,
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        chain = self.chain
        blocks = -(-chain.voxels // (_RUN * _THREADS))
        counts = (
            len(batch[self.program]), chain.steps, *batch["tones"].shape[1:3],
            chain.tables.channels,
        )  # fmt: skip
        return partial(
            start.launch, "shade", (blocks, len(batch), 1), _THREADS,
            (
                *(batch[name] for name in (self.program, *_TABLES, "grey", "label", "distance")),
                batch["canvas"], batch["extremes"], batch.seed, batch.indices,
                np.int32(self.channel), batch["image"], *map(np.int32, counts),
                *(np.int64(math.prod(batch[name].shape[1:])) for name in _SIZED),
                *map(np.int32, chain.shape),
            ),
            IMAGE_TYPE=C_TYPES[f"uint{8 * np.dtype(chain.image_dtype).itemsize}"],
            LABEL_TYPE=C_TYPES[chain.label_dtype],
        )  # fmt: skip

"""Calls of the kernels that lay down random fields, plane waves and distances to boundaries."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Buffers, Call, Launcher, Scratch
from synthgen.backend.calls.chain import Chain
from synthgen.backend.calls.types import C_TYPES
from synthgen.backend.plan import FieldSpec
from synthgen.kernels.appearance_records import (
    FIELD_TAPS,
    NORMALS_GROUP,
    Band,
    FieldRow,
)
from synthgen.kernels.label_distance import label_distance
from synthgen.kernels.lay_nodes import lay_nodes
from synthgen.kernels.sample_waves import sample_waves

_LANES = 16  # positions along x whose weights are laid together
_SPARE = 64  # bytes that a vector may reach beyond the last
_NODE_BLOCKS = 16  # that share a field
_THREADS = 128

Floats = npt.NDArray[np.float64]
Axis = tuple[npt.NDArray[np.int64], Floats, int]  # first nodes, four weights each, how many nodes


class FieldTables(NamedTuple):
    """What the kernels read of fields, see ``kernels/field.py``; of length 1 where there are none.

    Attributes:
        rows: (F, FieldRow.SIZE) int32.
        starts: (T,) int32.
        weights: (T, FIELD_TAPS) float32.
        nodes: of all fields.
    """

    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    nodes: int


@functools.lru_cache(maxsize=64)
def field_tables(specs: tuple[FieldSpec, ...], shape: tuple[int, int, int]) -> FieldTables:
    """Lattices of fields, and where each voxel lies in them.

    A field with ``spacing`` is a cubic B-spline: I. J. Schoenberg, Quarterly of Applied Mathematics
    4 (1946), doi:10.1090/qam/15914. The weights of each axis are divided by the root of the sum of
    their squares, so that the value has variance 1 at every voxel. A field with ``share`` is
    linear, from its first node at the first voxel to its last at the last, as lab2im's.

    Args:
        specs: fields in their order.
        shape: (D, H, W) of the volume.
    """
    rows: list[list[int]] = []
    starts: list[npt.NDArray[np.int64]] = []
    weights: list[Floats] = []
    numbers: dict[int, int] = {}
    offset = table = 0
    for spec in specs:
        axes = [_axis(spec, side, least=1 if place == 0 else FIELD_TAPS)
                for place, side in enumerate(shape)]  # fmt: skip
        nodes = math.prod(count for _, _, count in axes)
        number = numbers.get(spec.step, 0)
        rows.append(
            [
                spec.step,
                offset,
                number,
                *(count for _, _, count in axes),
                table,
                FIELD_TAPS if spec.share is None else 2,
            ]
        )
        axes[2] = _grouped(axes[2])
        starts += [first for first, _, _ in axes]
        weights += [shares for _, shares, _ in axes]
        table += sum(len(first) for first, _, _ in axes)
        groups = -(-nodes // NORMALS_GROUP)
        numbers[spec.step] = number + groups * NORMALS_GROUP
        offset += groups * NORMALS_GROUP
    return FieldTables(
        np.array(rows or [[0] * FieldRow.SIZE], np.int32),
        np.concatenate(starts or [np.zeros(1, np.int64)]).astype(np.int32),
        np.concatenate(weights or [np.zeros((1, FIELD_TAPS))]).astype(np.float32),
        offset,
    )


def _axis(spec: FieldSpec, side: int, least: int) -> Axis:
    """Where each of ``side`` voxels lies among the nodes of an axis, ``least`` of them or more."""
    if side == 1:
        first, shares = np.zeros(1, np.int64), np.eye(1, FIELD_TAPS)
        return first, shares, least
    if spec.spacing is not None:
        first, shares = _spline(np.arange(side) / spec.spacing)
        return first, shares, int(first[-1]) + FIELD_TAPS
    assert spec.share is not None
    nodes = max(2, math.ceil(spec.share * side))
    at = np.arange(side) * (nodes - 1) / (side - 1)
    first = np.minimum(at.astype(np.int64), nodes - 2)
    shares = np.zeros((side, FIELD_TAPS))
    shares[:, 0], shares[:, 1] = 1 - (at - first), at - first
    return first, shares, nodes + FIELD_TAPS - 2


def _spline(at: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """First node and weights at places of 0 or more, of which whole numbers are nodes."""
    first = np.floor(at).astype(np.int64)
    f = at - first
    g = 1 - f
    a, b, c, d = g * g * g, 4 - 3 * f * f * (1 + g), 4 - 3 * g * g * (1 + f), f * f * f
    length = np.sqrt(a * a + b * b + c * c + d * d)
    return first, np.stack([a, b, c, d], 1) / length[:, None]


def _grouped(axis: Axis) -> Axis:
    """The tables of x: padded to whole groups, a group's first weights first."""
    first, shares, nodes = axis
    pad = -len(first) % _LANES
    first = np.pad(first, (0, pad), mode="edge")
    shares = np.pad(shares, ((0, pad), (0, 0)), mode="edge")
    turned = shares.reshape(-1, _LANES, FIELD_TAPS).swapaxes(1, 2)
    return first, turned.reshape(-1, FIELD_TAPS), nodes


@dataclass(frozen=True)
class LayNodes(Call):
    """``lay_nodes``: the nodes of a channel's random fields."""

    chain: Chain
    channel: int
    name = "nodes"

    @property
    def tables(self) -> FieldTables:
        return field_tables(self.chain.tables.fields, self.chain.shape)

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        rows, starts, weights, _ = self.tables
        return {
            "fields": rows,
            "field_starts": starts,
            "field_weights": weights,
            "chain_settings": self.chain.tables.settings,
        }

    def scratch(self) -> Mapping[str, Scratch]:
        return {"nodes": Scratch((self.tables.nodes + NORMALS_GROUP,), "float32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            lay_nodes, volume["fields"], volume["chain_settings"], volume["drawn"], volume.seed,
            volume.indices[0], self.channel, volume["nodes"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        grid = _NODE_BLOCKS, len(self.chain.tables.fields), len(batch)
        return partial(
            start.launch, "lay_nodes", grid, _THREADS,
            (
                batch["fields"], batch["chain_settings"], batch["drawn"], batch.seed,
                batch.indices, np.int32(self.channel), batch["nodes"],
                np.int32(self.chain.steps), np.int64(self.tables.nodes + NORMALS_GROUP),
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class SampleWaves(Call):
    """``sample_waves``: the tables of a channel's plane waves."""

    chain: Chain
    channel: int
    name = "waves"

    def constants(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"bands": self.chain.tables.bands}

    def scratch(self) -> Mapping[str, Scratch]:
        depth, height, width = self.chain.shape
        stride = depth + height + -(-width // _LANES) * _LANES
        return {"waves": Scratch((self._waves, 2, stride), "float32")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(
            sample_waves, volume["bands"], volume["drawn"], volume.seed, volume.indices[0],
            self.channel, self.chain.shape, volume["waves"],
        )  # fmt: skip

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        bands = len(self.chain.tables.bands)
        sizes = (bands, self.chain.steps, self._waves, *self.chain.shape)
        return partial(
            start.launch, "sample_waves", (bands, len(batch), 1), _THREADS,
            (
                batch["bands"], batch["drawn"], batch.seed, batch.indices,
                np.int32(self.channel), batch["waves"], *map(np.int32, sizes),
            ),
        )  # fmt: skip

    @property
    def _waves(self) -> int:
        """Of all bands."""
        return int(self.chain.tables.bands[:, Band.COUNT].sum())


@dataclass(frozen=True)
class LabelDistance(Call):
    """``label_distance``: squared distances to boundaries between labels."""

    chain: Chain
    name = "distance"

    def scratch(self) -> Mapping[str, Scratch]:
        return {"distance": Scratch((self.chain.voxels + _SPARE,), "uint8")}

    def on_cpu(self, volume: Buffers) -> Callable[[], None]:
        return partial(label_distance, volume["label"], volume["distance"])

    def on_cuda(self, batch: Buffers, start: Launcher) -> Callable[[], None]:
        depth, height, width = self.chain.shape
        grids = (
            (depth * height, _blocks(width), len(batch)), (_blocks(depth * width), 1, len(batch)),
            (_blocks(height * width), 1, len(batch)),
        )  # fmt: skip
        tasks = batch["label"].shape[1]

        def launch() -> None:
            for axis, grid in enumerate(grids if depth > 1 else grids[:2]):
                start.launch(
                    "label_distance", grid, _THREADS,
                    (
                        batch["label"], batch["distance"],
                        *map(np.int32, (axis, tasks, depth, height, width)),
                        np.int64(self.chain.voxels + _SPARE),
                    ),
                    LABEL_TYPE=C_TYPES[self.chain.label_dtype],
                )  # fmt: skip

        return launch


def _blocks(items: int) -> int:
    """Of _THREADS that hold one thread for each item."""
    return -(-items // _THREADS)

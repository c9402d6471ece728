"""Bytes of a shard, as zarr's sharding codec lays them out: chunks, index, CRC-32C of the index.

Written here rather than by zarr, so that volumes are compressed one by one as they are made: zarr
wants the whole shard in memory and copies it three times on one thread. Tests read it with zarr.

References:
    https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from synthgen.store.codecs import Encoder

_ABSENT = 2**64 - 1


@dataclass(frozen=True)
class Chunk:
    """One volume of one array.

    Attributes:
        encoded: compressed bytes, closed by their CRC-32C.
        content: CRC-32C of the voxels, little-endian in C order, as 8 hexadecimal digits.
    """

    encoded: bytes
    content: str


def encode_chunk(volume: npt.NDArray[Any], encode: Encoder) -> Chunk:
    """Compress a contiguous volume."""
    payload = bytes(encode(volume))
    return Chunk(payload + crc32c(payload).to_bytes(4, "little"), content_digest(volume))


def content_digest(volume: npt.NDArray[Any]) -> str:
    """CRC-32C of a contiguous volume's voxels; SHA-256 would cost as much as making them."""
    return f"{crc32c(volume):08x}"


def crc32c(data: Any) -> int:
    return int(google_crc32c.value(data))


def shard_bytes(chunks: Sequence[Chunk], size: int) -> bytes:
    """The file of a shard of ``size`` chunks, of which the first are there."""
    index = np.full((size, 2), _ABSENT, "<u8")
    lengths = [len(chunk.encoded) for chunk in chunks]
    index[: len(chunks), 0] = np.cumsum([0, *lengths[:-1]])
    index[: len(chunks), 1] = lengths
    closing = index.tobytes()
    checksum = crc32c(closing).to_bytes(4, "little")
    return b"".join([*(chunk.encoded for chunk in chunks), closing, checksum])

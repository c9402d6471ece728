"""Bytes of a shard, as zarr's sharding codec lays them out: chunks, index, CRC-32C of the index.

Written here rather than by zarr, so that volumes are compressed one by one as they are made: zarr
wants the whole shard in memory and copies it three times on one thread. Tests read it with zarr,
which takes milliseconds a chunk; exports and data sets read it through ``synthgen.store.reading``.

References:
    https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from synthgen.store.codecs import Encoder

_ABSENT = 2**64 - 1
_CHECKSUM = 4  # bytes of a CRC-32C


@dataclass(frozen=True)
class Chunk:
    """One volume of one array: its voxels, or the label of all of it.

    Attributes:
        encoded: compressed bytes, closed by their CRC-32C.
        content: CRC-32C of the values, little-endian in C order, as 8 hexadecimal digits.
    """

    encoded: bytes
    content: str


def encode_chunk(volume: npt.NDArray[Any], encode: Encoder) -> Chunk:
    """Compress a contiguous volume."""
    payload = bytes(encode(volume))
    return Chunk(_closed(payload), content_digest(volume))


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
    return b"".join([*(chunk.encoded for chunk in chunks), _closed(index.tobytes())])


def read_payload(path: Path, place: int, size: int) -> bytes:
    """Compressed bytes of one chunk, read from a shard of ``size`` chunks.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is damaged, or has no such chunk.
    """
    with path.open("rb") as file:
        length = file.seek(0, 2)
        start = max(0, length - 16 * size - _CHECKSUM)
        file.seek(start)
        index = np.frombuffer(_opened(file.read(), "its index"), "<u8").reshape(-1, 2)
        offset, count = map(int, index[place])
        if offset + count > start:
            raise ValueError("the chunk is absent")
        file.seek(offset)
        return _opened(file.read(count), "the chunk")


def _closed(content: bytes) -> bytes:
    return content + crc32c(content).to_bytes(_CHECKSUM, "little")


def _opened(content: bytes, what: str) -> bytes:
    payload, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if crc32c(payload).to_bytes(_CHECKSUM, "little") != checksum:
        raise ValueError(f"{what} differs from its checksum")
    return payload

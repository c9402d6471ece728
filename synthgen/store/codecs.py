"""The choice of compression: one table, as zarr's metadata and as the encoder that it names."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt

Encoder = Callable[[npt.NDArray[Any]], bytes]
Decoder = Callable[[bytes], Any]
Codec = dict[str, Any] | None


def _blosc(cname: str, clevel: int) -> dict[str, Any]:
    settings = {"cname": cname, "clevel": clevel, "shuffle": "bitshuffle", "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


_ZSTD = {"name": "zstd", "configuration": {"level": 1, "checksum": False}}
_GZIP = {"name": "gzip", "configuration": {"level": 1}}

# Name -> codec of each array, as in zarr's metadata less what depends on the type; the first is
# the default. Measured by benchmarks/bench_codecs.py: an image of few levels packs best with its
# bits shuffled, a label map without.
CODECS: dict[str, dict[str, Codec]] = {
    "fast": {"image": _blosc("lz4", 5), "label": _ZSTD},
    "small": {"image": _blosc("zstd", 3), "label": _ZSTD},
    "zstd": {"image": _ZSTD, "label": _ZSTD},
    "gzip": {"image": _GZIP, "label": _GZIP},
    "none": {"image": None, "label": None},
}
DEFAULT_CODEC = next(iter(CODECS))

_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


def codec_of(codec: str, array: str) -> Codec:
    """Of one array, by the name of the choice; rows of prompts pack as labels do."""
    choice = CODECS[codec]
    return choice.get(array, choice["label"])


def zarr_codecs(codec: Codec, item_size: int) -> list[dict[str, Any]]:
    """Metadata of the codecs of a chunk after its bytes: compression, then CRC-32C.

    Args:
        item_size: bytes of a voxel.
    """
    checksum = {"name": "crc32c"}
    if codec is None:
        return [checksum]
    sizes = {"typesize": item_size} if codec["name"] == "blosc" else {}
    return [{**codec, "configuration": {**codec["configuration"], **sizes}}, checksum]


def encoder(codec: Codec) -> Encoder:
    """The compression as a function of a contiguous array; it releases the GIL."""
    if codec is None:
        return lambda volume: volume.tobytes()
    encode: Encoder = _numcodec(codec).encode
    return encode


def decoder(codec: Codec) -> Decoder:
    """The way back, to a buffer of the array's bytes; it releases the GIL."""
    if codec is None:
        return lambda payload: payload
    decode: Decoder = _numcodec(codec).decode
    return decode


def _numcodec(codec: dict[str, Any]) -> Any:
    import numcodecs  # type: ignore[import-untyped]

    settings = dict(codec["configuration"])
    if codec["name"] == "blosc":
        settings["shuffle"] = _SHUFFLES[settings["shuffle"]]
    return numcodecs.get_codec({"id": codec["name"], **settings})

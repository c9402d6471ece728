"""A table of codecs on AVS-DB volumes: size, and speed of writing and reading.

    python benchmarks/bench_codecs.py [--volumes 24] [--shape 96 96 96] [--repeats 9]

One thread; the median of its CPU times, all codecs in turn in each repeat, so that other processes
and the clock's moods fall on all alike. Chunks are whole volumes, as in a store; MB are of voxels.
"""

import argparse
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numcodecs  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from synthgen.engine import generate
from synthgen.recipe import load_recipe
from synthgen.store import CODECS
from synthgen.store.codecs import Codec, Encoder, encoder

Volumes = npt.NDArray[Any]


def candidates() -> dict[str, Codec]:
    """Codecs of zarr's metadata, by what they are; bytes need no byte shuffle."""
    found: dict[str, Codec] = {"none": None}
    for level in (1, 3, 6, 9):
        found[f"zstd {level}"] = _codec("zstd", level=level, checksum=False)
    for cname, level in (("lz4", 1), ("lz4", 5), ("zstd", 1), ("zstd", 3), ("zstd", 6)):
        for shuffle in ("noshuffle", "bitshuffle"):
            found[f"blosc {cname} {level} {shuffle}"] = _codec(
                "blosc", cname=cname, clevel=level, shuffle=shuffle, blocksize=0
            )
    for level in (1, 5):
        found[f"gzip {level}"] = _codec("gzip", level=level)
    return found


def _codec(name: str, **configuration: Any) -> dict[str, Any]:
    return {"name": name, "configuration": configuration}


@dataclass
class Measured:
    """One codec on one array's volumes."""

    volumes: Volumes
    encode: Encoder
    decode: Callable[[bytes], Any]
    chunks: list[bytes]
    writing: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, codec: Codec, volumes: Volumes) -> "Measured":
        encode = encoder(codec)
        return cls(volumes, encode, _decoder(codec), [bytes(encode(one)) for one in volumes])

    def repeat(self) -> None:
        self.writing.append(_seconds(self.encode, self.volumes))
        self.reading.append(_seconds(self.decode, self.chunks))

    @property
    def kilobytes(self) -> float:
        """Of a volume."""
        return sum(map(len, self.chunks)) / len(self.chunks) / 1e3

    def costs(self) -> tuple[float, float, float]:
        """Of a volume: KB, ms to encode, ms to decode."""
        writing, reading = (median(times) * 1e3 for times in (self.writing, self.reading))
        return self.kilobytes, writing / len(self.chunks), reading / len(self.chunks)

    def cells(self) -> list[str]:
        megabytes = self.volumes.nbytes / 1e6
        ratio = megabytes / len(self.chunks) * 1e3 / self.kilobytes
        rates = (megabytes / median(times) for times in (self.writing, self.reading))
        return [f"{self.kilobytes:.1f}", f"{ratio:.1f}", *(f"{rate:.0f}" for rate in rates)]


def _decoder(codec: Codec) -> Callable[[bytes], Any]:
    if codec is None:
        return lambda data: np.frombuffer(data, np.uint8).copy()
    decode: Callable[[bytes], Any] = numcodecs.get_codec({"id": codec["name"]}).decode
    return decode


def _seconds(work: Callable[[Any], object], items: Any) -> float:
    start = time.thread_time()
    for item in items:
        work(item)
    return time.thread_time() - start


def make(count: int, shape: tuple[int, int, int]) -> tuple[Volumes, Volumes]:
    """Images and labels of the first volumes of seed 0."""
    recipe = load_recipe("avs-db").at_shape(shape)
    batches = generate(recipe, indices=range(count), device="cpu", batch_size=8)
    made = [(batch.image, batch.label) for batch in batches]
    image, label = (np.concatenate(arrays) for arrays in zip(*made, strict=True))
    return image, label


def print_table(measured: dict[str, tuple[Measured, Measured]]) -> None:
    columns = ["KB", "ratio", "write MB/s", "read MB/s"]
    titles = [f"{array} {column}" for array in ("image", "label") for column in columns]
    print("|", " | ".join(["codec", *titles]), "|")
    print("|---|" + "---:|" * len(titles))
    for name, pair in measured.items():
        print("|", " | ".join([name, *(cell for one in pair for cell in one.cells())]), "|")


def print_choices(measured: dict[str, tuple[Measured, Measured]]) -> None:
    """What ``--codec`` offers, the default first."""
    names = {str(codec): name for name, codec in candidates().items()}
    print("\n| --codec | image | label | KB a volume | ms to write | ms to read |")
    print("|---|---|---|---:|---:|---:|")
    for option, codecs in CODECS.items():
        image, label = (names[str(codecs[array])] for array in ("image", "label"))
        pair = measured[image][0], measured[label][1]
        size, *spent = (sum(values) for values in zip(*(one.costs() for one in pair), strict=True))
        print(f"| {option} | {image} | {label} | {size:.1f} | {spent[0]:.2f} | {spent[1]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=24)
    parser.add_argument("--shape", type=int, nargs=3, default=(96, 96, 96))
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    numcodecs.blosc.use_threads = False
    image, label = make(options.volumes, options.shape)
    measured = {
        name: (Measured.of(codec, image), Measured.of(codec, label))
        for name, codec in candidates().items()
    }
    for _ in range(options.repeats):
        for pair in measured.values():
            for one in pair:
                one.repeat()
    shape = "x".join(map(str, options.shape))
    print(f"{options.volumes} volumes of avs-db, {shape}, {np.mean(image > 0):.3f} lines,", end=" ")
    print(f"{np.mean(label > 0):.3f} foreground; {platform.machine()}, one thread,", end=" ")
    print(f"median of {options.repeats} CPU times; numcodecs {numcodecs.__version__}\n")
    print_table(measured)
    print_choices(measured)


if __name__ == "__main__":
    main()

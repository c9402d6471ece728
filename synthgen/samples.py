"""Which volume each sample of a training run is: one sequence, whatever ranks take part in it.

Samples are numbered from 0. A step of ``world_size`` ranks takes the next ``batch_size x
world_size`` of them, a consecutive share each, so that one integer, the next sample, is all there
is to resume from, with as many ranks as there then are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from synthgen.kernels.streams import Stream
from synthgen.rng import random_words

Indices = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Samples:
    """The sequence of volumes that samples 0, 1, 2 and so on are.

    Attributes:
        indices: the finite set that is gone through again and again; None: sample n is volume n,
            and none comes twice.
        shuffle: goes through the set in another order at each pass, which depends on the seed.
        seed: of the orders, 0 .. 2^64 - 1.

    Raises:
        ValueError: the set is empty, or shuffling was asked without a set.
    """

    indices: Sequence[int] | None = None
    shuffle: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.indices is None and self.shuffle:
            raise ValueError("shuffle: needs a finite set, give indices; samples without end "
                             "differ anyway")  # fmt: skip
        if self.indices is not None and not len(self.indices):
            raise ValueError("indices: must not be empty")

    @property
    def count(self) -> int | None:
        """Volumes of the set; None without end."""
        return None if self.indices is None else len(self.indices)

    def volumes(self, first: int, stop: int) -> Indices:
        """Volume indices of the samples first .. stop - 1."""
        numbers = np.arange(first, stop, dtype=np.uint64)
        if self.indices is None:
            return numbers
        count = np.uint64(len(self.indices))
        passes, places = numbers // count, (numbers % count).astype(np.int64)
        if self.shuffle:
            for number in np.unique(passes):
                here = passes == number
                places[here] = _order(self.seed, int(number), int(count))[places[here]]
        return np.array([self.indices[place] for place in places.tolist()], np.uint64)


@dataclass(frozen=True)
class Share:
    """What one rank takes of each step.

    Attributes:
        batch_size: samples of a rank at a step, at least 1.
        rank: 0 .. world_size - 1.

    Raises:
        ValueError: a number is out of bounds.
    """

    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "world_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank: must lie in 0..{self.world_size - 1}, got {self.rank}")

    @property
    def step(self) -> int:
        """Samples that all ranks together take at a step."""
        return self.batch_size * self.world_size

    def of_step(self, first: int, stop: int) -> tuple[int, int]:
        """The samples of this rank in a step of the samples first .. stop - 1."""
        start = first + self.rank * self.batch_size
        return min(start, stop), min(start + self.batch_size, stop)


def steps(
    first: int, count: int | None, share: Share, drop_last: bool
) -> Iterator[tuple[int, int]]:
    """Samples (first, stop) of each step: to the end of the pass that ``first`` lies in, or on.

    Args:
        first: the next sample.
        count: samples of a pass; None: steps never end.
        drop_last: skips what is left of a pass and makes no full step.
    """
    end = None if count is None else (first // count + 1) * count
    while end is None or first < end:
        stop = first + share.step
        if end is not None and stop > end:
            if drop_last:
                return
            stop = end
        yield first, stop
        first = stop


@lru_cache(maxsize=4)
def _order(seed: int, number: int, count: int) -> npt.NDArray[np.int64]:
    """The places 0 .. count - 1 in the order of pass ``number``."""
    words = random_words(seed, number, Stream.ORDER, np.arange(count)).astype(np.uint64)
    return np.argsort(words[:, 0] << np.uint64(32) | words[:, 1], kind="stable")

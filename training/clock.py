"""How long steps take, and how much of that the network waits for data."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import torch


class Clock:
    """Seconds since it was last read; on CUDA as its stream spends them, which nothing waits for.

    Args:
        cuda: whether steps run on CUDA.
    """

    def __init__(self, cuda: bool) -> None:
        self._cuda = cuda
        self._begin()

    def _begin(self) -> None:
        self._start = perf_counter()
        self._waits: list[tuple[Any, Any]] = []

    def _now(self) -> Any:
        if not self._cuda:
            return perf_counter()
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what the network waits for."""
        begun = self._now()
        yield
        self._waits.append((begun, self._now()))

    def read(self) -> tuple[float, float]:
        """Seconds since the last reading, and the share of them that was waited for data."""
        if self._cuda:
            torch.cuda.synchronize()
            waited = sum(begun.elapsed_time(ended) for begun, ended in self._waits) / 1000
        else:
            waited = sum(ended - begun for begun, ended in self._waits)
        seconds = perf_counter() - self._start
        self._begin()
        return seconds, waited / seconds

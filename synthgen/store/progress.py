"""A progress bar that Ctrl-C and SIGTERM stop at the next whole shard."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from synthgen.store.manifest import Entry
from synthgen.store.plan import StorePlan
from synthgen.store.watcher import Watcher

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Bar(Watcher):
    """Draws progress on standard error.

    Attributes:
        signal: what asked to stop, if anything did.
    """

    def __init__(self, progress: Progress, doing: str) -> None:
        self.signal: signal.Signals | None = None
        self._progress = progress
        self._doing = doing
        self._task = progress.add_task("checking", total=None, done="")
        self._voxels = 0
        self._volumes = 0
        self._size = 0
        self._started = monotonic()

    def start(self, plan: StorePlan, volumes: int) -> None:
        self._voxels = plan.voxels
        self._started = monotonic()
        self._progress.reset(self._task, total=volumes, description=self._doing)

    def advance(self, entry: Entry) -> None:
        self._size += entry.size
        self._volumes += entry.stop - entry.first
        self._progress.update(self._task, completed=self._volumes, done=self._done())

    def stopped(self) -> bool:
        return self.signal is not None

    def _done(self) -> str:
        rate = self._volumes / (monotonic() - self._started)
        voxels, size = rate * self._voxels / 1e6, self._size / 1e6
        return f"{rate:,.0f} volumes/s  {voxels:,.0f} Mvoxels/s  {size:,.1f} MB"


@contextmanager
def progress_bar(doing: str) -> Iterator[Bar]:
    """A bar; the first signal is its ``signal``, a second one acts as it always did."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[done]}  ETA"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        bar = Bar(progress, doing)
        with _signals(bar):
            yield bar


@contextmanager
def _signals(bar: Bar) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def asked(number: int, _frame: Any) -> None:
        bar.signal = signal.Signals(number)
        restore()

    for number in _SIGNALS:
        signal.signal(number, asked)
    try:
        yield
    finally:
        restore()

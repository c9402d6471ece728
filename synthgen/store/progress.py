"""Progress that Ctrl-C and SIGTERM stop at the next whole shard: a bar, or lines in a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from synthgen.signals import Asked, stop_signals
from synthgen.store.manifest import Entry
from synthgen.store.plan import StorePlan
from synthgen.store.watcher import Watcher

LOG_SECONDS = 10.0


class Bar(Watcher, Asked):
    """Shows progress on standard error, from the first start on."""

    def __init__(self, console: Console) -> None:
        self._progress = _drawn(self, console) if console.is_terminal else None
        self._logged = monotonic()
        self._begin("", 0, 0)

    def start(self, doing: str, plan: StorePlan, volumes: int) -> None:
        self._begin(doing, volumes, plan.voxels)
        if self._progress:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(doing, total=volumes)
            self._progress.start()

    def advance(self, entry: Entry) -> None:
        self._size += entry.size
        self._volumes += entry.stop - entry.first
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=self._volumes)
        elif monotonic() - self._logged >= LOG_SECONDS:
            self._logged = monotonic()
            print(f"{self._doing} {self.line()}", file=sys.stderr, flush=True)

    def stopped(self) -> bool:
        return self.signal is not None

    def line(self) -> str:
        """How far it is, and how fast: rates once there is something to tell them by."""
        far = f"{self._volumes}/{self._total}"
        seconds = monotonic() - self._started
        if not self._volumes or not seconds:
            return f"{far} volumes"
        rate = self._volumes / seconds
        left = timedelta(seconds=round((self._total - self._volumes) / rate))
        voxels = f"{_rounded(rate * self._voxels / 1e6)} Mvoxels/s"
        return f"{far} {_rounded(rate)} volumes/s {voxels} {size_text(self._size)} ETA {left}"

    def close(self) -> None:
        if self._progress:
            self._progress.stop()

    def _begin(self, doing: str, volumes: int, voxels: int) -> None:
        self._doing, self._total, self._voxels = doing, volumes, voxels
        self._volumes = self._size = 0
        self._started = monotonic()


class _Line(ProgressColumn):
    """The bar's own line, told anew at each refresh."""

    def __init__(self, bar: Bar) -> None:
        super().__init__(Column(no_wrap=True))
        self._bar = bar

    def render(self, task: Task) -> Text:
        return Text(self._bar.line())


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A bar; the first signal is its ``signal``, a second one acts as it always did."""
    bar = Bar(Console(stderr=True))
    try:
        with stop_signals(bar):
            yield bar
    finally:
        bar.close()


def size_text(count: int) -> str:
    """Bytes, in a unit that suits them."""
    for power, unit in ((12, "TB"), (9, "GB")):
        if count >= 10**power:
            return f"{_rounded(count / 10**power)} {unit}"
    return f"{_rounded(count / 1e6)} MB"


def _rounded(value: float) -> str:
    """Three digits, or all before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _drawn(bar: Bar, console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), _Line(bar))
    return Progress(*columns, console=console, transient=True, expand=True)

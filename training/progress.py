"""The progress of a run: a bar, or lines in a log; Ctrl-C and SIGTERM save and stop it."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from time import monotonic
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synthgen.signals import Asked, stop_signals
from synthgen.training.observer import Observer

LOG_SECONDS = 10.0


class TrainingBar(Observer, Asked):
    """Shows progress on standard error; a context, in which the first signal stops the run."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )  # fmt: skip
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("", total=None)
        self._shown = console.is_terminal
        self._told: dict[str, str] = {}
        self._printed = 0.0

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.enter_context(stop_signals(self))
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar.live.is_started:
            self._bar.stop()
        self._stack.close()

    def started(self, steps: int, first: int, seconds: float) -> None:
        left, hours = steps - first, seconds / 3600
        after = f" after step {first}" if first else ""
        text = f"{hours:.1f} hours" if hours >= 1 else str(timedelta(seconds=round(seconds)))
        self._bar.console.print(f"about {text} for {left:,} steps{after}", highlight=False)
        self._bar.update(self._task, total=steps, completed=first)
        if self._shown:
            self._bar.start()

    def recorded(self, record: Mapping[str, Any]) -> None:
        for name, text in (
            ("loss", "loss {:.3f}"),
            ("dice", "Dice {:.3f}"),
            ("accuracy", "accuracy {:.3f}"),
            ("data_wait", "data wait {:.1%}"),
        ):
            if record.get(name) is not None:
                self._told[name] = text.format(record[name])
        line = ", ".join(self._told.values())
        self._bar.update(self._task, completed=record["step"], description=line)
        if not self._shown and monotonic() - self._printed >= LOG_SECONDS:
            self._printed = monotonic()
            total = self._bar.tasks[0].total
            print(f"step {record['step']}/{total:.0f}: {line}", file=sys.stderr, flush=True)

    def stopped(self) -> bool:
        return self.signal is not None

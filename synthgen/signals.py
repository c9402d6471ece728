"""Ctrl-C and SIGTERM as a wish to stop, which work in progress hears when it can."""

from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGINT, SIGTERM, Signals, getsignal, signal
from typing import Any

_SIGNALS = (SIGINT, SIGTERM)


class Asked:
    """What asked to stop, if anything did."""

    signal: Signals | None = None


@contextmanager
def stop_signals(asked: Asked) -> Iterator[None]:
    """The first signal becomes ``asked.signal``; a second one acts as it always did."""
    before = {number: getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal(number, handler)

    def heard(number: int, _frame: Any) -> None:
        asked.signal = Signals(number)
        restore()

    for number in _SIGNALS:
        signal(number, heard)
    try:
        yield
    finally:
        restore()

"""What a build shows while it runs: a bar that fits a terminal, or lines in a log."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from synthgen.recipe import Recipe
from synthgen.store import Store
from synthgen.store import progress as module
from synthgen.store.progress import Bar, size_text
from tests.store.conftest import build_small


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def terminal() -> Console:
    return Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)


def shown(bar: Bar) -> str:
    """What the bar draws on a terminal of 80 columns."""
    assert bar._progress is not None
    console = terminal()
    with console.capture() as captured:
        console.print(bar._progress.get_renderable())
    return captured.get().rstrip("\n")


@pytest.mark.parametrize(("count", "seconds"), [(128, 0.1), (5000, 4.0), (50_000, 3000.0)])
def test_the_bar_fits_80_columns(
    recipe: Recipe, reference: Path, clock: list[float], count: int, seconds: float
) -> None:
    store = Store.open(reference)
    plan = replace(store.plan, recipe=recipe.at_shape((96, 96, 96)).to_dict(), count=count)
    bar = Bar(terminal())
    bar.start("checking", plan, count)
    assert f"0/{count} volumes" in shown(bar)
    assert "volumes/s" not in shown(bar), "no rate of nothing"
    clock[0] += seconds
    entry = replace(store.entries()[0][0], first=0, stop=count // 2)
    bar.advance(replace(entry, image=replace(entry.image, size=count * 1000)))
    text = shown(bar)
    bar.close()
    assert len(text) <= 80
    assert "\n" not in text
    assert "…" not in text
    assert f" {count // 2}/{count} " in text
    for unit in ("volumes/s", "Mvoxels/s", "MB", "ETA 0:"):
        assert unit in text


def test_rates_have_three_digits(reference: Path, clock: list[float]) -> None:
    store = Store.open(reference)
    bar = Bar(Console(file=io.StringIO()))
    bar.start("making", store.plan, 6)
    clock[0] += 8
    bar.advance(store.entries()[0][0])
    size = size_text(store.entries()[0][0].size)
    assert bar.line() == f"3/6 0.38 volumes/s 0.00 Mvoxels/s {size} ETA 0:00:08"
    assert size_text(12_300_000) == "12.3 MB"
    assert size_text(1_230_000_000) == "1.23 GB"


def test_a_log_gets_a_line_every_ten_seconds(
    reference: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(reference)
    bar = Bar(Console(file=io.StringIO()))
    bar.start("making", store.plan, 7)
    for shard in range(3):
        clock[0] += 6
        bar.advance(store.entries()[shard][0])
    bar.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("making 6/7 0.50 volumes/s ")


def test_a_resumed_build_shows_its_check(recipe: Recipe, tmp_path: Path) -> None:
    class Phases(module.Watcher):
        def __init__(self) -> None:
            self.seen: list[tuple[str, int]] = []

        def start(self, doing, plan, volumes):  # type: ignore[no-untyped-def]
            self.seen.append((doing, volumes))

    build_small(recipe, tmp_path, part=(1, 3))
    watcher = Phases()
    build_small(recipe, tmp_path, watcher=watcher)
    assert watcher.seen == [("checking", 3), ("making", 4)]

"""The log of a run: a line of JSON for each record, and curves drawn from them."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from synthgen.store.commit import make_folders, write_file

LOG, CURVES = "log.jsonl", "curves.png"
_FIGURES = {"dice": "mean foreground Dice", "accuracy": "accuracy"}  # of label maps, of volumes


class Journal:
    """Records of a run in its folder.

    Args:
        run: the folder; made if it is not there.
        step: the run goes on after it: records of later steps are dropped.
    """

    def __init__(self, run: Path, step: int) -> None:
        make_folders(run)
        self._run, self._path = run, run / LOG
        self._records = [record for record in _records(self._path) if record["step"] <= step]
        write_file(self._path, b"".join(map(_line, self._records)), "journal")

    def add(self, **record: Any) -> None:
        """Add a record; ``step`` is among its keys."""
        self._records.append(record)
        with self._path.open("ab") as file:
            file.write(_line(record))

    def draw(self) -> None:
        """Draw the loss, and what validation told, to ``curves.png``; of several tasks, each."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        keys = {key for record in self._records for key in record}
        told = "accuracy" if "accuracy" in keys else "dice"
        for axes, name, label in zip(
            figure.subplots(1, 2), ("loss", told), ("training loss", _FIGURES[told]), strict=True
        ):
            self._plot(axes, name, "mean")
            axes.set(xlabel="step", ylabel=label)
            axes.grid(alpha=0.3)
        right = figure.axes[1]
        right.set_ylim(0, 1)
        of_tasks = [key for key in sorted(keys) if key.startswith(f"{told}_")]
        for key in of_tasks:
            self._plot(right, key, key.removeprefix(f"{told}_"))
        if of_tasks:
            right.legend()
        picture = BytesIO()
        figure.savefig(picture, format="png", dpi=120)
        write_file(self._run / CURVES, picture.getvalue(), "journal")

    def _plot(self, axes: Any, name: str, label: str) -> None:
        """A curve of the records that have ``name``."""
        points = [(r["step"], r[name]) for r in self._records if r.get(name) is not None]
        axes.plot(*zip(*points, strict=True) if points else ((), ()), linewidth=1, label=label)


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _records(path: Path) -> list[dict[str, Any]]:
    """What was recorded, less lines that a crash tore."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [record for record in map(_record, lines) if record]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return None

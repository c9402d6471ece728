"""Runs of seconds: the least network on the least volumes."""

import json
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric

from synthgen.recipe import Recipe, load_recipe
from synthgen.training.data import Generated
from synthgen.training.journal import LOG
from synthgen.training.loop import train
from synthgen.training.observer import Observer, Pretrained
from synthgen.training.settings import PretrainSettings

SHAPE = (16, 32, 16)


def small_recipe() -> Recipe:
    return load_recipe("avs-db-16").replace(shapes__sections=[3, 4], shapes__objects=5)


def settings_of(**changes: Any) -> PretrainSettings:
    values: dict[str, Any] = {
        "shape": SHAPE, "steps": 8, "batch_size": 2, "validation": 3, "validate_every": 4,
        "checkpoint_every": 3, "warmup": 2,
    }  # fmt: skip
    return PretrainSettings.of("unetr", "tiny", **values | changes)


def trained(
    run: Any, settings: PretrainSettings, observer: Observer | None = None, volumes: Any = None
) -> Pretrained:
    fabric = Fabric(accelerator="cpu", devices=1, precision=settings.precision)
    fabric.launch()
    return train(run, volumes or Generated(small_recipe(), settings), settings, fabric, observer)


def records(run: Path) -> list[dict[str, Any]]:
    """The log of a run."""
    return [json.loads(line) for line in (run / LOG).read_text().splitlines()]


def told_after_a_step(tmp_path: Path, capsys: Any, recipe: Recipe) -> str:
    """What the command line prints when it has trained one step on a recipe."""
    from synthgen.cli import app

    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    with pytest.raises(SystemExit) as stopped:
        app([
            "pretrain", str(tmp_path / "run"), "--recipe", str(path), "--network", "unetr",
            "--shape", "16", "32", "16", "--validation", "2", "--device", "cpu", "--steps", "1",
        ])  # fmt: skip
    assert stopped.value.code in (0, None)
    told: str = capsys.readouterr().out
    return told


class StopsAt(Observer):
    """Asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stopped(self) -> bool:
        self.left -= 1
        return self.left <= 0

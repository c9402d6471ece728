"""Runs of seconds: the least network on the least volumes."""

from typing import Any

from lightning_fabric import Fabric

from synthgen.recipe import Recipe, load_recipe
from synthgen.training.data import Generated
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


class StopsAt(Observer):
    """Asks to stop after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stopped(self) -> bool:
        self.left -= 1
        return self.left <= 0

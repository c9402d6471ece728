"""Whether a network can learn a recipe by heart: eight volumes, on which it is also validated.

    python benchmarks/overfit.py RUN [--recipe avs-db] [--network unetr] [--steps 3000]

Prints the log; a recipe whose images do not tell its labels stays below a Dice (of whole
volumes: an accuracy) of 0.9.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from lightning_fabric import Fabric

from synthgen.recipe import load_recipe
from synthgen.training.data import Generated, Ranks, Tensors
from synthgen.training.loop import train
from synthgen.training.observer import Observer
from synthgen.training.settings import PretrainSettings

VOLUMES = 8


class Same(Generated):
    """Validates on the volumes that train."""

    def validation(self, ranks: Ranks) -> Iterator[Tensors]:
        batches = self.training(self.first, ranks)
        return (next(batches)[0] for _ in range(VOLUMES // self._settings.batch_size))


class Print(Observer):
    def recorded(self, record: Mapping[str, Any]) -> None:
        print(dict(record), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--recipe", default="avs-db")
    parser.add_argument("--network", default="unetr")
    parser.add_argument("--shape", type=int, nargs=3, default=(32, 32, 32))
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, choices=(1, 2, 4, 8), default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    settings = PretrainSettings.of(
        arguments.network, "tiny", shape=tuple(arguments.shape), steps=arguments.steps,
        volumes=VOLUMES, validation=1, batch_size=arguments.batch_size, validate_every=100,
        learning_rate=arguments.learning_rate, whole=not recipe.per_voxel,
    )  # fmt: skip
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    volumes = Same(recipe, settings)
    print(train(arguments.run, volumes, settings, fabric, Print()))


if __name__ == "__main__":
    main()

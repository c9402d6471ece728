"""``synthgen gallery``: pictures of all recipes, and pages that list them."""

from pathlib import Path
from typing import Annotated

import typer

from synthgen.cli.common import examples

_STATES = {"drawn": "drawn", "kept": "kept as it was", "left_out": "left out"}


def gallery(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the gallery, made if need be.")
    ] = Path("gallery"),
    recipes: Annotated[
        list[str] | None,
        typer.Option(
            "--recipes",
            "-r",
            help="A built-in recipe, or a YAML file; repeat for more. Default: all built in.",
        ),
    ] = None,
    shape: Annotated[
        tuple[int, int, int] | None,
        typer.Option(
            metavar="D H W",
            help="Sides in voxels of all volumes; lengths scale. Default: each recipe's.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the volumes.")] = 0,
) -> None:
    """Draw three volumes of each recipe, and write the pages index.html and README.md.

    Pictures that are there already are kept, so the same command resumes one that was stopped.
    """
    from synthgen.gallery import gallery as draw
    from synthgen.recipe import builtin_names

    if output.exists() and not output.is_dir():
        raise ValueError(f"--output: must be a folder, got {str(output)!r}")
    count = len(recipes or builtin_names())
    for number, picture in enumerate(draw(output, recipes or None, shape=shape, seed=seed), 1):
        reason = f": {picture.reason}" if picture.reason else ""
        print(f"[{number}/{count}] {picture.name}: {_STATES[picture.state]}{reason}", flush=True)
    print(f"wrote {output / 'index.html'} and {output / 'README.md'}")


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "synthgen gallery -o gallery",
            "synthgen gallery -o few -r avs-db -r mine.yaml --shape 64 64 64 --seed 3",
        )
    )(gallery)

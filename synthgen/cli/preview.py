"""``synthgen preview``: a montage of volumes as PNG."""

from pathlib import Path
from typing import Annotated

import typer

from synthgen.cli.common import ScaleOption, ShapeOption, examples, sized_recipe


def preview(
    source: Annotated[str, typer.Argument(help="A built-in recipe, a YAML file, or a store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")],
    index: Annotated[
        list[int] | None,
        typer.Option(
            "--index", "-i", min=0, help="A volume to draw; repeat for more. Default: 0 1 2."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of a recipe's volumes. Default: 0.")
    ] = None,
    shape: ShapeOption = None,
    scale: ScaleOption = True,
    task: Annotated[
        str | None, typer.Option(help="Which of several label maps to draw. Default: the first.")
    ] = None,
) -> None:
    """Draw volumes in three planes, with their labels, as a montage PNG."""
    from synthgen.preview import draw, from_recipe, from_store

    if output.suffix.lower() != ".png":
        raise ValueError(f"--output: must end in .png, got {str(output)!r}")
    if not output.parent.is_dir():
        raise ValueError(f"--output: there is no folder {str(output.parent)!r}")
    if Path(source).is_dir():
        if seed is not None or shape is not None:
            raise ValueError("--seed and --shape are for recipes; a store has its own")
        volumes = from_store(source, index, task=task)
    else:
        recipe = sized_recipe(source, shape, scale)
        volumes = from_recipe(recipe, index, seed=seed or 0, task=task)
    draw(volumes).save(output, format="PNG", optimize=True)
    print(f"wrote {output}")


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "synthgen preview avs-db -o avs-db.png",
            "synthgen preview avs-db -o one.png -i 7 --seed 3 --shape 64 96 80",
            "synthgen preview avs-db.zarr -o store.png -i 0 -i 31",
        )
    )(preview)

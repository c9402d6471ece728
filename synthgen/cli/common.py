"""What several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from synthgen.recipe import Recipe

ShapeOption = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        metavar="D H W",
        help="Sides in voxels; lengths scale with the least. Default: the recipe's.",
    ),
]
ScaleOption = Annotated[
    bool, typer.Option("--scale/--no-scale", help="With --shape: scale lengths, or keep them.")
]


def sized_recipe(source: str, shape: tuple[int, int, int] | None, scale: bool) -> "Recipe":
    """The recipe that a command was given, for the shape that it was given."""
    from synthgen.recipe import load_recipe

    recipe = load_recipe(source)
    return recipe.at_shape(shape, scale=scale) if shape else recipe


def examples(*commands: str) -> str:
    """The epilog of a command's help: one example a line."""
    return "\n\n".join(["[bold]Examples[/]", *(f"  [cyan]$ {command}[/]" for command in commands)])

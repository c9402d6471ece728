"""What several commands share."""

from typing import Annotated

import typer

ShapeOption = Annotated[
    tuple[int, int, int] | None,
    typer.Option(
        metavar="D H W",
        help="Sides in voxels; lengths scale with the least. Default: the recipe's.",
    ),
]


def examples(*commands: str) -> str:
    """The epilog of a command's help: one example a line."""
    return "\n\n".join(["[bold]Examples[/]", *(f"  [cyan]$ {command}[/]" for command in commands)])

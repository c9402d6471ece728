"""What several commands share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from signal import Signals

    from synthgen.recipe import AnyRecipe
    from synthgen.store.progress import Bar

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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


def sized_recipe(source: str, shape: tuple[int, int, int] | None, scale: bool) -> "AnyRecipe":
    """The recipe that a command was given, for the shape that it was given."""
    from synthgen.recipe import load_recipe

    recipe = load_recipe(source)
    return recipe.at_shape(shape, scale=scale) if shape else recipe


def tell_remarks(recipe: "AnyRecipe") -> None:
    """Say on stderr what is wrong with a recipe, or with files that it names, yet can be used."""
    for line in recipe.remarks():
        print(f"note: {line}", file=sys.stderr)


def examples(*commands: str) -> str:
    """The epilog of a command's help: one example a line."""
    return "\n\n".join(["[bold]Examples[/]", *(f"  [cyan]$ {command}[/]" for command in commands)])


@contextmanager
def watched() -> "Iterator[Bar]":
    """A progress bar; a signal ends the command in one line."""
    from synthgen.store.progress import progress_bar
    from synthgen.store.watcher import Stopped

    try:
        with progress_bar() as bar:
            yield bar
    except Stopped:
        exit_stopped(bar.signal, "nothing is lost")


def exit_stopped(number: "Signals | None", left: str) -> NoReturn:
    """Say what stopped the command and what is left, and exit as a shell expects."""
    assert number is not None, "only a signal stops a command"
    message = f"stopped by {number.name}: {left}; run the same command again to resume"
    print(message, file=sys.stderr)
    raise typer.Exit(128 + number)

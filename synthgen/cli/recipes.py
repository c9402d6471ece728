"""``synthgen recipes``: list, show and check recipes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthgen.cli.common import ScaleOption, ShapeOption, examples, sized_recipe, tell_remarks

if TYPE_CHECKING:
    from synthgen.recipe import AnyRecipe

recipes = typer.Typer(help="List, show and check recipes.", invoke_without_command=True)


@recipes.callback(
    epilog=examples(
        "synthgen recipes",
        "synthgen recipes --json",
        "synthgen recipes show avs-db",
        "synthgen recipes validate mine.yaml",
    )
)
def list_recipes(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the built-in recipes; the subcommands show and check one."""
    if context.invoked_subcommand is not None:
        return
    from synthgen.recipe import builtin_names, load_recipe

    found = [load_recipe(name) for name in builtin_names()]
    if as_json:
        rows = [
            {
                "name": recipe.name,
                "description": recipe.description,
                "shape": recipe.reference_shape,
                "num_classes": recipe.num_classes,
                "digest": recipe.digest(),
            }
            for recipe in found
        ]
        print(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("recipe", "shape", "classes", "digest", "description"):
        table.add_column(title, no_wrap=title != "description", justify="left")
    for recipe in found:
        shape = "x".join(map(str, recipe.reference_shape))
        classes, digest = _classes(recipe), recipe.digest()[:12]
        table.add_row(recipe.name, shape, classes, digest, recipe.description)
    Console().print(table)


@recipes.command(
    epilog=examples(
        "synthgen recipes show avs-db > mine.yaml",
        "synthgen recipes show avs-db --shape 64 96 80",
    )
)
def show(
    name: Annotated[str, typer.Argument(help="A built-in recipe, or a YAML file.")],
    shape: ShapeOption = None,
    scale: ScaleOption = True,
) -> None:
    """Print a recipe as YAML: something to copy and change."""
    print(sized_recipe(name, shape, scale).to_yaml(), end="")


@recipes.command(epilog=examples("synthgen recipes validate mine.yaml"))
def validate(file: Annotated[Path, typer.Argument(help="A recipe's YAML file.")]) -> None:
    """Check a YAML file: one line, and exit code 0 if it is a recipe, 2 if not."""
    from synthgen.recipe import load_recipe

    recipe = load_recipe(str(file))
    tell_remarks(recipe)
    shape = "x".join(map(str, recipe.reference_shape))
    print(f"{file}: valid; {shape}, {_classes(recipe)} classes, digest {recipe.digest()}")


def _classes(recipe: "AnyRecipe") -> str:
    """How many each task tells apart, without the background."""
    return " + ".join(str(len(task.class_names) - recipe.per_voxel) for task in recipe.tasks)


def register(app: typer.Typer) -> None:
    app.add_typer(recipes, name="recipes")

"""Recipes: the models, and the built-in ones as YAML files of ``builtin/``."""

from importlib import resources
from pathlib import Path

from synthgen.recipe.models import Recipe
from synthgen.settings import RecipeError

__all__ = ["Recipe", "RecipeError", "builtin_names", "load_recipe"]

_BUILTIN = resources.files("synthgen.recipe.builtin")


def builtin_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _BUILTIN.iterdir()
        if entry.name.endswith(".yaml")
    )


def load_recipe(source: "Recipe | str | Path") -> Recipe:
    """Return a recipe from a built-in name or the path of a YAML file; recipes pass through.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
    """
    if isinstance(source, Recipe):
        return source.resolved()
    name = str(source)
    if name in builtin_names():
        return Recipe.from_yaml((_BUILTIN / f"{name}.yaml").read_text()).resolved()
    if not name.endswith((".yaml", ".yml")):
        known = ", ".join(builtin_names())
        raise RecipeError(
            f"recipe: unknown name {name!r}; built in are {known}; or give a .yaml file"
        )
    recipe = Recipe.from_file(name)
    try:
        return recipe.resolved()
    except RecipeError as error:
        raise RecipeError(f"{name}: {error}") from None

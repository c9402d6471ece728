"""Recipes and mixtures from names, files and plain values."""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from synthgen.recipe.mixture import AnyRecipe, Mixture
from synthgen.recipe.models import Recipe, read_document
from synthgen.settings import RecipeError, parse_yaml

_BUILTIN = resources.files("synthgen.recipe.builtin")


def builtin_names() -> list[str]:
    """Names of the recipes inside the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _BUILTIN.iterdir()
        if entry.name.endswith(".yaml")
    )


def load_recipe(source: "AnyRecipe | str | Path") -> AnyRecipe:
    """Return a recipe from a built-in name or the path of a YAML file; recipes pass through.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
    """
    if isinstance(source, Recipe | Mixture):
        return source.resolved()
    name = str(source)
    if name in builtin_names():
        return recipe_from_yaml((_BUILTIN / f"{name}.yaml").read_text()).resolved()
    if not name.endswith((".yaml", ".yml")):
        known = ", ".join(builtin_names())
        raise RecipeError(
            f"recipe: unknown name {name!r}; built in are {known}; or give a .yaml file"
        )
    recipe = read_document(name, recipe_from_yaml)
    try:
        return recipe.resolved()
    except RecipeError as error:
        raise RecipeError(f"{name}: {error}") from None


def recipe_from_yaml(text: str) -> AnyRecipe:
    """Read the text of a recipe or a mixture; raises RecipeError."""
    try:
        values = parse_yaml(text)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    return recipe_from_dict(values)


def recipe_from_dict(values: Any) -> AnyRecipe:
    """Read a mapping: a recipe, or a mixture, which may name its recipes instead of giving them.

    Raises:
        RecipeError: naming the field, the rule and the value.
    """
    if not isinstance(values, dict) or "kind" not in values:
        return Recipe.from_dict(values)
    if values["kind"] != "mixture":
        raise RecipeError(
            f"kind: must be mixture, or left out of a single recipe, got {values['kind']!r}"
        )
    recipes = values.get("recipes")
    if isinstance(recipes, list | tuple):
        given = [_given(number, entry) for number, entry in enumerate(recipes)]
        values = values | {"recipes": given}
    return Mixture.from_dict(values)


def mix(
    recipes: "Mapping[str, float] | Iterable[tuple[Recipe | str | Path, float]]",
    *,
    name: str = "mixture",
    description: str = "",
) -> Mixture:
    """A mixture of recipes.

    Args:
        recipes: each with its weight: recipes, names of built-in ones or paths of YAML files.
        name, description: for people.

    Raises:
        RecipeError: there is no such recipe, they do not go together, or weights are negative or
            all 0.
    """
    pairs = recipes.items() if isinstance(recipes, Mapping) else recipes
    given = []
    for number, pair in enumerate(pairs):
        source, weight = _pair(pair, number)
        given.append(_given(number, {"recipe": source, "weight": _weight(weight, number)}))
    values = {"name": name, "description": description, "recipes": given}
    return Mixture.from_dict(values).resolved()


def _given(number: int, entry: Any) -> Any:
    """An entry of a mixture's recipes, with the recipe in full where it is named."""
    if not isinstance(entry, dict):
        return entry
    source = entry.get("recipe")
    if isinstance(source, dict) and source.get("kind") == "mixture":
        raise RecipeError(_nested(number, source.get("name")))
    if not isinstance(source, Recipe | Mixture | str | Path):
        return entry
    try:
        recipe = load_recipe(source)
    except RecipeError as error:
        raise RecipeError(f"recipes.{number}.recipe: {error}") from None
    if isinstance(recipe, Mixture):
        raise RecipeError(_nested(number, recipe.name))
    return entry | {"recipe": recipe.model_dump()}


def _nested(number: int, name: Any) -> str:
    return f"recipes.{number}.recipe: must be no mixture itself, got {name}"


def _pair(pair: Any, number: int) -> tuple[Any, Any]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise RecipeError(f"recipes.{number}: must be a recipe and its weight, got {pair!r}")
    return pair[0], pair[1]


def _weight(weight: Any, number: int) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise RecipeError(f"recipes.{number}.weight: must be a number, got {weight!r}")
    return float(weight)

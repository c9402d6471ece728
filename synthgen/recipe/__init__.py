"""Recipes: the models, mixtures of them, and the built-in ones as YAML files of ``builtin/``."""

from synthgen.recipe.loading import builtin_names, load_recipe, mix, recipe_from_dict
from synthgen.recipe.mixture import AnyRecipe, Mixture
from synthgen.recipe.models import Recipe
from synthgen.settings import RecipeError

__all__ = [
    "AnyRecipe",
    "Mixture",
    "Recipe",
    "RecipeError",
    "builtin_names",
    "load_recipe",
    "mix",
    "recipe_from_dict",
]

"""Synthetic labelled 3D volumes for pre-training medical segmentation networks."""

from synthgen.engine import Batch, Generator, generate, generate_one
from synthgen.recipe import Recipe, RecipeError, builtin_names, load_recipe

__all__ = [
    "Batch",
    "Generator",
    "Recipe",
    "RecipeError",
    "builtin_names",
    "generate",
    "generate_one",
    "load_recipe",
]
__version__ = "0.1.0"

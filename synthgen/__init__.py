"""Synthetic labelled 3D volumes for pre-training medical segmentation networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_ENGINE = {"Batch", "Generator", "generate", "generate_one"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``synthgen --help`` loads neither Numba nor Zarr."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("synthgen.engine" if name in _ENGINE else "synthgen.recipe"), name)

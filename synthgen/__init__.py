"""Synthetic labelled 3D volumes for pre-training medical segmentation networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.dataset import VolumeDataset
    from synthgen.engine import Batch, Generator, generate, generate_one
    from synthgen.feeding import Feed, feed
    from synthgen.recipe import Mixture, Recipe, RecipeError, builtin_names, load_recipe, mix
    from synthgen.store.opening import open

__all__ = [
    "Batch",
    "Feed",
    "Generator",
    "Mixture",
    "Recipe",
    "RecipeError",
    "VolumeDataset",
    "builtin_names",
    "feed",
    "generate",
    "generate_one",
    "load_recipe",
    "mix",
    "open",
]
__version__ = "0.1.0"

_ENGINE = "synthgen.engine"
_MODULES = {
    "Batch": _ENGINE,
    "Feed": "synthgen.feeding",
    "Generator": _ENGINE,
    "VolumeDataset": "synthgen.dataset",
    "feed": "synthgen.feeding",
    "generate": _ENGINE,
    "generate_one": _ENGINE,
    "open": "synthgen.store.opening",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``synthgen --help`` loads neither Numba nor Zarr."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "synthgen.recipe")), name)

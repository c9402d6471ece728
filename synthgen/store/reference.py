"""A data set as a small YAML file: recipe, seed and count determine every voxel."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from synthgen.recipe import (
    AnyRecipe,
    RecipeError,
    builtin_names,
    load_recipe,
    recipe_from_dict,
)
from synthgen.settings import parse_yaml
from synthgen.store.errors import StoreError
from synthgen.store.plan import VALIDATION, StorePlan, held_out

_KEYS = ("recipe", "recipe_digest", "seed", "count")


@dataclass(frozen=True)
class Reference:
    """What determines a data set.

    Attributes:
        validation: volumes held out of training, the last ones.
    """

    recipe: AnyRecipe
    seed: int
    count: int
    validation: int

    @classmethod
    def read(cls, path: str | Path) -> Self | None:
        """The reference in a YAML file; None if the file is something else, as a recipe.

        Raises:
            StoreError: it or its recipe breaks a rule, or this version gives the recipe another
                meaning.
        """
        try:
            values = parse_yaml(Path(path).read_text())
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        except ValueError:
            return None
        if not isinstance(values, dict) or "recipe" not in values:
            return None
        return cls._of(path, values)

    @classmethod
    def _of(cls, path: str | Path, values: dict[str, Any]) -> Self:
        if {*values, "validation"} != {*_KEYS, "validation"}:
            raise StoreError(f"{path}: needs the keys {', '.join(_KEYS)}, got {', '.join(values)}")
        for name in ("seed", "count", "validation"):
            if type(values.get(name, 0)) is not int:
                raise StoreError(f"{path}: {name}: must be a whole number, got {values[name]!r}")
        recipe = _recipe(path, values["recipe"])
        if recipe.digest() != values["recipe_digest"]:
            raise StoreError(
                f"{path}: recipe_digest: this version of synthgen reads the recipe otherwise, "
                f"got {values['recipe_digest']!r:.20}"
            )
        seed, count = values["seed"], values["count"]
        validation = values.get("validation", held_out(count, VALIDATION))
        return cls(recipe, seed, count, validation)


def _recipe(path: str | Path, known: Any) -> AnyRecipe:
    if isinstance(known, str) and known not in builtin_names():
        raise StoreError(f"{path}: recipe: must be built in or a mapping, got {known!r}")
    try:
        return load_recipe(known) if isinstance(known, str) else recipe_from_dict(known)
    except RecipeError as error:
        raise StoreError(f"{path}: recipe: {error}") from None


def write_reference(
    path: str | Path,
    recipe: AnyRecipe | str | Path,
    *,
    seed: int = 0,
    count: int,
    validation: float = VALIDATION,
) -> None:
    """Write a data set as a file that ``synthgen.open`` reads; built-in recipes by name.

    Args:
        validation: share of the volumes that are for validation, as ``build`` takes it.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
        StoreError: seed, count or validation is out of bounds, or the path does not end in .yaml
            or .yml.
    """
    if not str(path).endswith((".yaml", ".yml")):
        raise StoreError(f"path: must end in .yaml or .yml, got {str(path)!r}")
    name = recipe if isinstance(recipe, str) and recipe in builtin_names() else None
    plan = StorePlan.of(
        load_recipe(recipe),
        seed=seed,
        count=count,
        shard_size=1,
        codec="none",
        validation=held_out(count, validation),
    )
    values = {
        "recipe": name or plan.recipe,
        "recipe_digest": plan.recipe_digest,
        "seed": plan.seed,
        "count": plan.count,
        "validation": plan.validation,
    }
    Path(path).write_text(yaml.safe_dump(values, sort_keys=False, default_flow_style=None))

"""A mixture: several recipes, one of which makes each volume of a data set."""

import hashlib
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from synthgen.labels.prompts import Prompts
from synthgen.labels.tasks import Task
from synthgen.recipe.models import LABEL_HIGH, Document, Recipe
from synthgen.settings import RecipeError, Settings, Shape

_WORDS = 2**32
_TOLD = ("reference_shape", "spacing")  # written for those who read a store without synthgen


class Component(Settings):
    """One recipe of a mixture.

    Attributes:
        recipe: in full.
        weight: volumes fall to it in proportion.
    """

    recipe: Recipe
    weight: Annotated[float, Field(ge=0)] = 1.0


class Mixture(Document):
    """Recipes of which a volume's index and the seed choose one; that one makes the volume.

    A volume's image is the one that its recipe makes of the same seed and index. Label values are
    those of the united list of classes: all names, in the order in which they first appear. Classes
    of one name are one class.

    Attributes:
        format: version of the meaning of mixtures; volumes change only with it.
        name, description: for people; not part of the digest.
        recipes: of one shape, spacing, type of images and of labels, and as many channels, with one
            label map each, and with equal prompts or none.
    """

    format: Literal[1] = 1
    kind: Literal["mixture"] = "mixture"
    name: str
    description: str = ""
    recipes: Annotated[tuple[Component, ...], Field(min_length=1, max_length=255)]

    @model_validator(mode="before")
    @classmethod
    def _take_what_is_told(cls, values: Any) -> Any:
        """Leave out what is written beside the recipes and follows from them."""
        if not isinstance(values, dict):
            return values
        try:
            first = values["recipes"][0]["recipe"]
            own = {
                name: first[name] if name in first else Recipe.model_fields[name].default
                for name in _TOLD
            }
        except (KeyError, IndexError, TypeError):
            return values
        for name in _TOLD:
            if name in values and list(values[name]) != list(own[name]):
                raise ValueError(
                    f"{name}: must be that of the recipes, {list(own[name])}, got {values[name]}"
                )
        return {name: value for name, value in values.items() if name not in _TOLD}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(component.weight for component in self.recipes) <= 0:
            raise ValueError("recipes: weights must not all be 0")
        for name, value in _AGREED.items():
            self._check_agree(name, value)
        for number, recipe in enumerate(self._parts):
            if not recipe.per_voxel or len(recipe.labels.task_names) > 1:
                kind = getattr(recipe.labels, "kind", "")
                raise ValueError(
                    f"recipes.{number}.recipe.labels.kind: a mixture needs one label map of each "
                    f"volume, got {kind}"
                )
        if self.pinned and self.num_classes - 1 > LABEL_HIGH[self.label_dtype]:
            raise ValueError(
                f"recipes: label_dtype {self.label_dtype} holds {LABEL_HIGH[self.label_dtype]} "
                f"classes, and together they have {self.num_classes - 1}; use uint16 in all"
            )
        prompts = self._parts[0].prompts
        if self.pinned and prompts is not None:
            prompts.check_values(self.num_classes)
        return self

    def _check_agree(self, name: str, value: Callable[[Recipe], Any]) -> None:
        first = self._parts[0]
        for number, other in enumerate(self._parts):
            if value(other) != value(first):
                raise ValueError(
                    f"recipes.{number}.recipe.{name}: must be that of recipe 0 ({first.name}), "
                    f"{_plain(value(first))}, got {_plain(value(other))} ({other.name})"
                )

    @property
    def _parts(self) -> list[Recipe]:
        return [component.recipe for component in self.recipes]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a data set's attributes, with the shape and spacing told."""
        told = {"reference_shape": list(self.reference_shape), "spacing": list(self.spacing)}
        recipes = [
            {"recipe": component.recipe.to_dict(), "weight": component.weight}
            for component in self.recipes
        ]
        return {**self.model_dump(mode="json", exclude={"recipes"}), **told, "recipes": recipes}

    def resolved(self) -> Self:
        """The mixture with files that its recipes name pinned by what they hold."""
        parts = []
        for number, component in enumerate(self.recipes):
            try:
                parts.append(component.recipe.resolved())
            except RecipeError as error:
                raise RecipeError(f"recipes.{number}.recipe.{error}") from None
        if all(part is own for part, own in zip(parts, self._parts, strict=True)):
            return self
        return self._with(parts)

    def remarks(self) -> list[str]:
        """What is wrong with its recipes, or with files that they name, though they can be used."""
        return [f"{recipe.name}: {line}" for recipe in self._parts for line in recipe.remarks()]

    @property
    def pinned(self) -> bool:
        """Whether all classes are known."""
        return all(recipe.shapes.pinned for recipe in self._parts)

    def digest(self) -> str:
        """SHA-256 of what determines the volumes: the recipes' own digests, and their shares."""
        values = {
            "format": self.format,
            "kind": self.kind,
            "recipes": [recipe.digest() for recipe in self._parts],
            "bounds": self.bounds,
        }
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def at_shape(self, shape: Sequence[int], *, scale: bool = True) -> Self:
        """The mixture for volumes of ``shape`` (D, H, W); see ``Recipe.at_shape``."""
        parts = []
        for number, recipe in enumerate(self._parts):
            try:
                parts.append(recipe.at_shape(shape, scale=scale))
            except RecipeError as error:
                raise RecipeError(f"{error} (recipe {number}, {recipe.name})") from None
        return self._with(parts)

    def _with(self, parts: Sequence[Recipe]) -> Self:
        recipes = [
            {"recipe": part.model_dump(), "weight": component.weight}
            for part, component in zip(parts, self.recipes, strict=True)
        ]
        return self.replace(recipes=recipes)

    @property
    def bounds(self) -> tuple[int, ...]:
        """Of each recipe, one more than the largest random word of 32 bits that falls to it."""
        weights = [Fraction(component.weight) for component in self.recipes]
        return tuple(int(_WORDS * end / sum(weights)) for end in accumulate(weights))

    @property
    def label_values(self) -> list[npt.NDArray[np.int64]]:
        """Of each recipe, the mixture's value of each of its label values."""
        place = {name: value for value, name in enumerate(self.class_names)}
        return [
            np.array([0, *(place[name] for name in recipe.class_names[1:])], np.int64)[
                recipe.label_values
            ]
            for recipe in self._parts
        ]

    @property
    def reference_shape(self) -> Shape:
        """(D, H, W) of a volume, voxels."""
        return self._parts[0].reference_shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) of a voxel, mm."""
        return self._parts[0].spacing

    @property
    def image_dtype(self) -> str:
        return self._parts[0].image_dtype

    @property
    def label_dtype(self) -> str:
        return self._parts[0].label_dtype

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of one volume's label: (1, D, H, W)."""
        return self._parts[0].label_shape

    @property
    def channels(self) -> int:
        """Of the image."""
        return self._parts[0].channels

    @property
    def prompts(self) -> Prompts | None:
        """Clicks and boxes that come with the labels."""
        return self._parts[0].prompts

    @property
    def per_voxel(self) -> bool:
        """There is a label map of each volume."""
        return True

    @property
    def intensity_high(self) -> float:
        """Largest intensity that an image of any recipe can have; the least is 0."""
        return max(recipe.intensity_high for recipe in self._parts)

    @property
    def tasks(self) -> list[Task]:
        """What the label map tells."""
        return [Task("shape", self.class_names)]

    @property
    def class_names(self) -> list[str]:
        """Names by label value; the first is the background."""
        names = (name for recipe in self._parts for name in recipe.class_names[1:])
        return ["background", *dict.fromkeys(names)]

    @property
    def num_classes(self) -> int:
        """Label values: the channels of a segmentation network."""
        return len(self.class_names)


AnyRecipe = Recipe | Mixture

_AGREED: dict[str, Callable[[Recipe], Any]] = {
    "reference_shape": lambda recipe: recipe.reference_shape,
    "spacing": lambda recipe: recipe.spacing,
    "image_dtype": lambda recipe: recipe.image_dtype,
    "label_dtype": lambda recipe: recipe.label_dtype,
    "appearance.channels": lambda recipe: recipe.channels,
    "prompts": lambda recipe: recipe.prompts,
}


def _plain(value: Any) -> str:
    """As YAML would show it."""
    if isinstance(value, Settings):
        return str(value.model_dump(mode="json"))
    return str(list(value) if isinstance(value, tuple) else "null" if value is None else value)

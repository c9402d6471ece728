"""What all recipe settings have in common: strict types, ranges, lengths that scale, one-line errors."""

from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Strict, ValidationError

Int = Annotated[int, Strict()]
Shape = tuple[Int, Int, Int]


def _ordered(value: tuple[Any, Any]) -> tuple[Any, Any]:
    if value[0] > value[1]:
        raise ValueError("a range needs low <= high")
    return value


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("entries must be distinct")
    return values


IntRange = Annotated[tuple[Int, Int], AfterValidator(_ordered)]
FloatRange = Annotated[tuple[float, float], AfterValidator(_ordered)]


class RecipeError(ValueError):
    """A recipe, or a change to one, that breaks a rule: one line with the field, the rule, the value."""


class Settings(BaseModel):
    """Frozen settings of one stage, read from a recipe's YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def scaled(self, factor: Fraction) -> Self:
        """Settings with every length (voxels) multiplied by ``factor``; whole lengths are cut down."""
        return self


def scale_length(value: int, factor: Fraction) -> int:
    """Whole length times ``factor``, cut down: so bounds that nest still nest after scaling."""
    return value * factor.numerator // factor.denominator


def scale_range(value: tuple[int, int], factor: Fraction) -> tuple[int, int]:
    return scale_length(value[0], factor), scale_length(value[1], factor)


def one_line(error: ValidationError) -> str:
    """The first broken rule of a validation as ``field: rule, got value``."""
    details = error.errors(include_url=False)
    first = details[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "unknown key"
    got = "" if first["type"] == "missing" or not field else f", got {first['input']!r}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{field}: {message}{got}{more}" if field else f"{message}{more}"

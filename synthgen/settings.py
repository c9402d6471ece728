"""What all recipe settings share: strict types, ranges, lengths that scale, one-line errors."""

import json
import math
import reprlib
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Strict, ValidationError
from pydantic_core import ErrorDetails

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
    """A recipe, or a change to one, breaks a rule: one line with field, rule and value."""


class Settings(BaseModel):
    """Frozen settings of one stage, read from a recipe's YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    least_depth: ClassVar[int] = 16  # voxels, of volumes that shapes of this kind fill

    def scaled(self, factor: Fraction) -> Self:
        """Settings with every length (voxels) times ``factor``; whole lengths are cut down."""
        return self

    def resolved(self) -> Self:
        """Settings in which files that are named are pinned by what they hold.

        Raises:
            ValueError: they are not there, or of no use.
        """
        return self

    @property
    def pinned(self) -> bool:
        """Whether files that are named are pinned, so that all classes are known."""
        return True

    def largest_ball(self, shape: Shape, spacing: tuple[float, float, float]) -> float:
        """A radius, voxels, that no ball in an object of these shapes exceeds, if one is known.

        Objects that touch and have one label may have larger ones together.

        Args:
            shape: (D, H, W) of the volume, voxels.
            spacing: (z, y, x) of a voxel, mm.
        """
        return math.inf

    def remarks(self) -> list[str]:
        """What is worth telling of files that are named, a line each.

        Raises:
            ValueError: they are not what the settings were pinned to.
        """
        return []


def read_text(path: Path, most: int) -> str:
    """The text of a file of settings.

    Args:
        most: bytes.

    Raises:
        ValueError: it has more, or is no UTF-8.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"must have {most:,} bytes or fewer")
    return content.decode("utf-8")


class _Loader(yaml.SafeLoader):
    """Keys are there once; also in mappings merged (``<<``) from several that share some."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    line = key.start_mark.line + 1
                    raise ValueError(f"line {line}: {key.value!r} is there twice")
                seen.add((key.tag, key.value))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        last = {id(pair): pair for pair in reversed(node.value)}
        node.value = list(reversed(last.values()))


def parse_yaml(text: str) -> Any:
    """Plain values; raises ValueError, one line."""
    try:
        return yaml.load(text, _Loader)  # a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:300]}") from None


def parse_json(text: str) -> Any:
    """Plain values; raises ValueError, one line, also where a key is there twice."""
    try:
        return json.loads(text, object_pairs_hook=_distinct_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {' '.join(str(error).split())[:300]}") from None


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"{key!r} is there twice")
        values[key] = value
    return values


def scale_length(value: int, factor: Fraction) -> int:
    """Whole length times ``factor``, cut down: so bounds that nest still nest after scaling."""
    return value * factor.numerator // factor.denominator


def scale_range(value: tuple[int, int], factor: Fraction) -> tuple[int, int]:
    return scale_length(value[0], factor), scale_length(value[1], factor)


_SHOULD_BE = "Input should be "
_SHOWN = 80


class _Brief(reprlib.Repr):
    """``repr`` that goes no farther than what is shown of it; YAML's aliases nest without end."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = _SHOWN // 3
        self.maxstring = self.maxlong = self.maxother = 2 * _SHOWN + 3  # their first part is shown

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write long ones."""
        bits = x.bit_length()
        return super().repr_int(x, level) if bits < 1024 else f"a number of {bits} bits"


_BRIEF = _Brief()
_RULES = {
    "extra_forbidden": "unknown key",
    "invalid_key": "keys must be text",
    "model_type": "must be a mapping of settings",
    "model_attributes_type": "must be a mapping of settings",
    "tuple_type": "must be a list",
    "too_short": "needs {min_length} or more entries",
    "too_long": "needs {max_length} or fewer entries",
}


def one_line(error: ValidationError, values: Any) -> str:
    """The first broken rule of a validation of ``values`` as ``field: rule, got value``."""
    found: dict[tuple[int | str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        found.setdefault(_path(detail, values), []).append(detail)
    # A list that has too few entries because others are broken is no fault of its own.
    short = [path for path, details in found.items() if details[0]["type"] == "too_short"]
    for path in short:
        if any(len(other) > len(path) and other[: len(path)] == path for other in found):
            del found[path]
    path, details = next(iter(found.items()))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return _describe(".".join(map(str, path)), details) + more


def _path(detail: ErrorDetails, values: Any) -> tuple[int | str, ...]:
    """Where the value stands in the recipe: pydantic's location without the names of types."""
    path: list[int | str] = []
    for part in detail["loc"]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        path.append(part)
    if detail["type"] == "missing":
        path.append(detail["loc"][-1])
    return tuple(path)


def _describe(field: str, details: list[ErrorDetails]) -> str:
    """One broken field; the choices of a union are broken together."""
    first = details[0]
    kind, value, message = first["type"], first["input"], first["msg"]
    if kind == "missing":
        return f"{field}: missing"
    if kind == "union_tag_not_found":
        return f"{field}.kind: missing"
    if kind == "union_tag_invalid":
        rule = first["ctx"]["expected_tags"].replace(", ", " or ")
        return f"{field}.kind: must be {rule}, got {_show(first['ctx']['tag'])}"
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
        if isinstance(value, dict):  # a check of a whole stage, which names its field and value
            return f"{field}.{message}" if field else message
    elif kind in _RULES:
        message = _RULES[kind].format(**first.get("ctx", {}))
    elif message.startswith(_SHOULD_BE):
        rules = dict.fromkeys(detail["msg"].removeprefix(_SHOULD_BE) for detail in details)
        message = "must be " + " or ".join(rules)
    return f"{field}: {message}, got {_show(value)}"


def _show(value: Any) -> str:
    """A value as YAML would show it: tuples as lists, long ones cut."""
    shown = _BRIEF.repr(list(value) if isinstance(value, tuple) else value)
    text = " ".join(shown.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."

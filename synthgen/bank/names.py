"""Names of structures: which label value is called what, what mirrors what, what is left out."""

import re
from collections import Counter
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from synthgen.settings import Int, Settings, one_line, parse_json, parse_yaml, read_text

LABELS_FILE = "labels.json"  # beside label maps: value -> name

_PRESETS = resources.files("synthgen.bank.presets")
_BYTES_MAX = 2**20  # of a file
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+,()-]{0,79}")
_UNNAMED = re.compile(r"label_-?[0-9]+")
_LEFT_RIGHT = (("left", "right"), ("lt", "rt"), ("lh", "rh"), ("l", "r"))
_SIDES = {
    case(left): case(right)
    for left, right in _LEFT_RIGHT
    for case in (str.lower, str.title, str.upper)
}
# A word of its own, or the whole of one in CamelCase.
_LEFT = re.compile(
    rf"(?<![A-Za-z0-9])({'|'.join(_SIDES)})(?![A-Za-z0-9])"
    r"|(?:(?<![A-Za-z0-9])|(?<=[a-z]))Left(?=[A-Z]|(?![A-Za-z]))"
)


class NamingError(ValueError):
    """Names break a rule: one line with field, rule and value."""


def checked_name(name: str) -> str:
    """A structure's name, which is safe to print and as a file's name.

    Raises:
        ValueError: it is not.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a name has 1 to 80 of A-Z a-z 0-9 space . _ + - , ( ), a letter or digit first"
        )
    return name


Name = Annotated[str, AfterValidator(checked_name)]


class Naming(Settings):
    """What the values of label maps mean.

    Attributes:
        labels: name by value; values of one name are one structure, others are ``label_17``.
        mirrors: pairs of structures that are mirror images (left and right); guessed from the names
            where it is not given.
        skip: names, or values, of structures to leave out; they still count for the body's box.
    """

    labels: dict[int, Name] = Field(default_factory=dict)
    mirrors: tuple[tuple[Name, Name], ...] | None = None
    skip: tuple[Annotated[Int | Name, Field(union_mode="left_to_right")], ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        named = [name for pair in self.mirrors or () for name in pair]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"mirrors: a structure has one mirror image at most, got {twice[0]}")
        texts = [name for name in self.skip if isinstance(name, str)]
        for field, names in (("mirrors", named), ("skip", texts)):
            known = set(self.labels.values())
            lost = [n for n in names if known and n not in known and not _UNNAMED.fullmatch(n)]
            if lost:
                raise ValueError(f"{field}: must name structures of labels, got {lost[0]}")
        return self

    def name_of(self, value: int) -> str:
        """The name of a label's value."""
        return self.labels.get(value, f"label_{value}")

    def can_name(self, name: str) -> bool:
        """Whether a label may be called so."""
        return name in self.labels.values() or _UNNAMED.fullmatch(name) is not None

    def skips(self, name: str) -> bool:
        """Whether a structure is left out."""
        return any(name == (s if isinstance(s, str) else self.name_of(s)) for s in self.skip)

    def mirror_pairs(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """The pairs of mirror images among these names; (left, right) where they are guessed."""
        there = set(names)
        pairs = guess_mirrors(there) if self.mirrors is None else self.mirrors
        return [(one, other) for one, other in pairs if {one, other} <= there]


def guess_mirrors(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs (left, right) of names that differ in a word for the side alone, sorted.

    Such words are left, right; Lt, Rt; lh, rh; L, R, and Left, Right within CamelCase. A name with
    two partners is in no pair.
    """
    there = set(names)
    other = {name: _LEFT.sub(lambda found: _SIDES[found[0]], name) for name in there}
    pairs = [(left, right) for left, right in other.items() if left != right and right in there]
    uses = Counter(name for pair in pairs for name in pair)
    return sorted((left, right) for left, right in pairs if uses[left] == uses[right] == 1)


def preset_names() -> list[str]:
    """Names of the tools whose labels are known."""
    files = (Path(file.name) for file in _PRESETS.iterdir())
    return sorted(file.stem for file in files if file.suffix == ".yaml")


def preset(name: str) -> Naming:
    """The naming of a tool's labels.

    Raises:
        NamingError: it is not known.
    """
    if name not in preset_names():
        raise NamingError(f"preset: must be {' or '.join(preset_names())}, got {name!r}")
    return _parsed(yaml.safe_load(_PRESETS.joinpath(f"{name}.yaml").read_text()))


def load_naming(path: Path) -> Naming:
    """The naming in a YAML or JSON file: that of the model, or value -> name alone.

    Raises:
        NamingError: it breaks a rule; the message begins with the file's name.
    """
    try:
        text = read_text(path, _BYTES_MAX)
        return _parsed(parse_json(text) if path.suffix == ".json" else parse_yaml(text))
    except OSError as error:
        raise NamingError(f"{path.name}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise NamingError(f"{path.name}: {' '.join(str(error).split())[:300]}") from None


def naming_beside(folder: Path) -> Naming | None:
    """The naming of a folder's ``labels.json``, if it has one.

    Raises:
        NamingError: it breaks a rule.
    """
    path = folder / LABELS_FILE
    return load_naming(path) if path.is_file() else None


def _parsed(values: Any) -> Naming:
    if not isinstance(values, dict):
        raise NamingError(f"must be a mapping, got {type(values).__name__}")
    if values and not any(key in Naming.model_fields for key in values):
        values = {"labels": values}
    try:
        return Naming.model_validate(values)
    except ValidationError as error:
        raise NamingError(one_line(error, values)) from None

"""A store's folder: zarr's metadata, where its files are, what it says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from synthgen.recipe import AnyRecipe, recipe_from_dict
from synthgen.store.codecs import CODECS
from synthgen.store.commit import make_folders, write_file
from synthgen.store.documents import COPIES, DIGESTS, RECORDS, Documents, arrays_of, recorded
from synthgen.store.errors import StoreError
from synthgen.store.lock import CREATING, creating
from synthgen.store.manifest import Entry, read_entries
from synthgen.store.metadata import FORMAT, FORMAT_VERSION, PROMPTS, PROMPTS_VERSION
from synthgen.store.plan import SEED_HIGH, StorePlan

_CREATOR = "create"
_FIRST_FOLDERS = ("image", RECORDS, "label", PROMPTS)
_FIRST_FILES = (f"{RECORDS}/{CREATING}", COPIES)
DIFFERENCES_TOLD = 8  # of another store, in a line


@dataclass(frozen=True)
class Store:
    """A store on disk.

    Attributes:
        shapes: of one volume, by array.
        documents: zarr's metadata files, and what is wrong with them; the plan, the attributes and
            the shapes are those that it was created with, whatever the files say now.
    """

    path: Path
    plan: StorePlan
    attributes: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    documents: Documents

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing store.

        Raises:
            StoreError: there is none, or it is something else.
        """
        path = Path(path)
        if not is_store(path):
            raise StoreError(f"{path}: {_what_else(path)}")
        if _is_free(path):
            raise StoreError(f"{path}: no store yet: its build was stopped early; run it again")
        documents = Documents.read(path)
        arrays = arrays_of(documents.zarr)
        version = PROMPTS_VERSION if PROMPTS in arrays else FORMAT_VERSION
        attributes = _attributes(path, documents.zarr["zarr.json"], version)
        plan = StorePlan.of_attributes(attributes)
        shapes = {}
        for name in arrays:
            file = path / name / "zarr.json"
            values = _json(file, documents.zarr[f"{name}/zarr.json"])
            shapes[name] = _volume(file, _checked(_Array, file, values).shape, plan)
        return cls(path, plan, attributes, shapes, documents)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.shapes)

    @property
    def records(self) -> Path:
        """Folder of manifests and locks."""
        return self.path / RECORDS

    def shard_path(self, array: str, shard: int) -> Path:
        zeros = ".0" * len(self.shapes[array])
        return self.path / array / f"c.{shard}{zeros}"

    def restore(self) -> list[Path]:
        """Write the files of the metadata and of its record that are damaged; returns them."""
        files = recorded(self.documents.zarr)
        restored = []
        with creating(self.records):
            for name in self.documents.problems:
                make_folders((self.path / name).parent)
                write_file(self.path / name, files[name], _CREATOR)
                restored.append(self.path / name)
        return restored

    def entries(self) -> dict[int, list[Entry]]:
        """Committed shards; a shard built twice has several entries."""
        found: dict[int, list[Entry]] = {}
        for entry in read_entries(self.records):
            ours = entry.recipe == self.plan.recipe_digest and entry.shard in self.plan.shards
            if ours and set(entry.files) == set(self.arrays):
                found.setdefault(entry.shard, []).append(entry)
        return found

    def recipe(self) -> AnyRecipe:
        """The recipe, as this version of synthgen reads it.

        Raises:
            StoreError: this version gives it another meaning.
        """
        recipe = recipe_from_dict(self.plan.recipe)
        if recipe.digest() != self.plan.recipe_digest:
            made_by = self.attributes["versions"]["synthgen"]
            raise StoreError(
                f"{self.path}: made by synthgen {made_by}, whose recipe this version reads "
                "otherwise; use that version"
            )
        return recipe

    def check_same(self, plan: StorePlan) -> None:
        """Raise StoreError, naming the difference, unless the store is of ``plan``."""
        differences = self.plan.differences(plan)
        if differences:
            told = "; ".join(differences[:DIFFERENCES_TOLD])
            more = len(differences) - DIFFERENCES_TOLD
            told += f"; and {more} more" if more > 0 else ""
            raise StoreError(f"{self.path}: another store is there: {told}")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Recipe(_Strict):
    """What is read of a recipe without giving it a meaning."""

    name: str
    reference_shape: list[PositiveInt] = Field(min_length=3, max_length=3)


class _Versions(_Strict):
    synthgen: str


class _Splits(_Strict):
    training: list[int]
    validation: list[int] = Field(min_length=2, max_length=2)


class _Task(_Strict):
    name: str
    class_names: list[str]


class _Attributes(_Strict):
    """What is read of the group's attributes."""

    recipe: _Recipe
    recipe_digest: str
    seed: int = Field(ge=0, lt=SEED_HIGH)
    count: PositiveInt
    shard_size: PositiveInt
    codec: str
    splits: _Splits
    spacing: list[float]
    class_names: list[str]
    tasks: list[_Task] = []
    versions: _Versions


class _Array(_Strict):
    """What is read of an array's metadata."""

    shape: list[PositiveInt]


_Model = TypeVar("_Model", bound=_Strict)


def is_store(path: Path) -> bool:
    """Whether synthgen made, or began, what is at ``path``."""
    return (path / RECORDS).is_dir()


def existing(path: Path, plan: StorePlan) -> Store | None:
    """The store of ``plan`` at ``path``, or None where one can be made.

    Raises:
        StoreError: what is there is something else, or a store of another plan.
    """
    if _is_free(path):
        return None
    store = Store.open(path)
    store.check_same(plan)
    return store


def create(path: Path, plan: StorePlan, documents: Mapping[str, bytes]) -> Store:
    """Make an empty store, or return the one of the same plan that is there.

    Args:
        documents: zarr's metadata files of the store, by path.

    Raises:
        StoreError: a store of another plan was there first.
    """
    make_folders(path / RECORDS)
    for array in arrays_of(documents):
        make_folders(path / array)
    with creating(path / RECORDS):
        if not (path / DIGESTS).exists():
            for name, content in recorded(documents).items():
                write_file(path / name, content, _CREATOR)
        store = Store.open(path)
    store.check_same(plan)
    return store


def _is_free(path: Path) -> bool:
    """Whether nothing is at ``path``, or an empty folder, or the first steps of a creation."""
    if not path.exists():
        return True
    return path.is_dir() and all(_is_first_step(path, entry) for entry in path.rglob("*"))


def _is_first_step(path: Path, entry: Path) -> bool:
    """Whether ``entry`` may come before the record of the metadata is whole."""
    if entry.is_dir():
        return entry.relative_to(path).as_posix() in _FIRST_FOLDERS
    temporary = entry.name.endswith(f".{_CREATOR}.tmp") and entry.parent == path / RECORDS
    return temporary or entry.relative_to(path).as_posix() in _FIRST_FILES


def _what_else(path: Path) -> str:
    if not path.exists():
        return "no such folder"
    document = path / "zarr.json"
    if not document.is_file():
        return "no store: not made by synthgen"
    if FORMAT.encode() not in document.read_bytes():
        return "a zarr group, but not made by synthgen"
    return f"its records, {RECORDS}, are missing: nothing in it can be checked; build it elsewhere"


def _attributes(path: Path, content: bytes, version: int) -> dict[str, Any]:
    document = path / "zarr.json"
    attributes = _json(document, content).get("attributes")
    if not isinstance(attributes, dict) or attributes.get("format") != FORMAT:
        raise StoreError(f"{path}: a zarr group, but not made by synthgen")
    found = attributes.get("format_version")
    if found != version:
        raise StoreError(
            f"{path}: a store of format {found}; this version of synthgen reads format {version}"
        )
    codec = _checked(_Attributes, document, attributes).codec
    if codec not in CODECS:
        raise StoreError(f"{document}: codec: must be one of {', '.join(CODECS)}, got {codec!r}")
    splits, plan = attributes["splits"], StorePlan.of_attributes(attributes)
    if splits != plan.splits or not 0 <= plan.validation < plan.count:
        rule = f"must be two ranges that cut {plan.count} volumes, training first"
        raise StoreError(f"{document}: splits: {rule}, got {splits}")
    return attributes


def _volume(path: Path, shape: list[int], plan: StorePlan) -> tuple[int, ...]:
    """The shape of one volume in an array of the plan's, or of a number or rows for each."""
    array = path.parent.name
    others = {"label": (1, 2), PROMPTS: (3,)}.get(array, ())
    volumes = len(shape) in others or (array != PROMPTS and shape[-3:] == list(plan.shape))
    if shape[:1] != [plan.count] or not volumes:
        rule = f"{plan.count} volumes of {list(plan.shape)}"
        raise StoreError(f"{path}: shape: must be of {rule}, got {shape}")
    return tuple(shape[1:])


def _json(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise StoreError(f"{path}: unreadable metadata: {error}") from None
    if not isinstance(document, dict):
        raise StoreError(f"{path}: unreadable metadata: needs an object, got {document!r:.40}")
    return document


def _checked(model: type[_Model], path: Path, values: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        rule = first["msg"].removeprefix("Input ")
        raise StoreError(f"{path}: {field}: {rule}, got {first['input']!r:.40}") from None

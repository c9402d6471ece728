"""A store's folder: zarr's metadata, where its files are, what it says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from synthgen.recipe import Recipe
from synthgen.store.commit import make_folders, write_file
from synthgen.store.errors import StoreError
from synthgen.store.lock import creating
from synthgen.store.manifest import Entry, read_entries
from synthgen.store.metadata import ARRAYS, FORMAT, FORMAT_VERSION
from synthgen.store.plan import StorePlan

# Manifests and locks live inside the image array's folder: zarr warns of every entry that it does
# not know in a group's folder, but never lists an array's.
_RECORDS = "image/.synthgen"


@dataclass(frozen=True)
class Store:
    """A store on disk.

    Attributes:
        axes: number of axes of each array.
    """

    path: Path
    plan: StorePlan
    attributes: dict[str, Any]
    axes: dict[str, int]

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an existing store.

        Raises:
            StoreError: there is none, or it is something else.
        """
        path = Path(path)
        attributes = _attributes(path)
        try:
            plan = StorePlan(**{key.name: attributes[key.name] for key in fields(StorePlan)})
            axes = {name: len(_read_json(path / name / "zarr.json")["shape"]) for name in ARRAYS}
        except KeyError as error:
            raise StoreError(f"{path}: damaged metadata: {error} is missing") from None
        return cls(path, plan, attributes, axes)

    @property
    def records(self) -> Path:
        """Folder of manifests and locks."""
        return self.path / _RECORDS

    def shard_path(self, array: str, shard: int) -> Path:
        zeros = ".0" * (self.axes[array] - 1)
        return self.path / array / f"c.{shard}{zeros}"

    def documents(self) -> dict[str, bytes]:
        """Zarr's metadata files, by path."""
        names = ("zarr.json", *(f"{array}/zarr.json" for array in ARRAYS))
        return {name: (self.path / name).read_bytes() for name in names}

    def entries(self) -> dict[int, list[Entry]]:
        """Committed shards; a shard built twice has several entries."""
        found: dict[int, list[Entry]] = {}
        for entry in read_entries(self.records):
            if entry.recipe == self.plan.recipe_digest and entry.shard in self.plan.shards:
                found.setdefault(entry.shard, []).append(entry)
        return found

    def recipe(self) -> Recipe:
        """The recipe, as this version of synthgen reads it.

        Raises:
            StoreError: this version gives it another meaning.
        """
        recipe = Recipe.from_dict(self.plan.recipe)
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
            raise StoreError(f"{self.path}: another store is there: {'; '.join(differences)}")


def existing(path: Path, plan: StorePlan) -> Store | None:
    """The store of ``plan`` at ``path``, or None where one can be made.

    Raises:
        StoreError: what is there is something else, or a store of another plan.
    """
    if not (path / "zarr.json").exists() and _is_free(path):
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
    make_folders(path / _RECORDS)
    make_folders(path / "label")
    with creating(path / _RECORDS):
        if not (path / "zarr.json").exists():
            # The group's file is the last one: with it, the store is there.
            for name in sorted(documents, key=len, reverse=True):
                write_file(path / name, documents[name], "create")
        store = Store.open(path)
    store.check_same(plan)
    return store


def _is_free(path: Path) -> bool:
    """Whether nothing is at ``path``, or folders without a file, or the beginning of a store."""
    if not path.exists() or (path / _RECORDS).is_dir():
        return True
    return path.is_dir() and all(entry.is_dir() for entry in path.rglob("*"))


def _attributes(path: Path) -> dict[str, Any]:
    document = path / "zarr.json"
    if not document.is_file():
        what = "no such folder" if not path.exists() else "no store: not made by synthgen"
        raise StoreError(f"{path}: {what}")
    attributes: dict[str, Any] = _read_json(document).get("attributes", {})
    if attributes.get("format") != FORMAT:
        raise StoreError(f"{path}: a zarr group, but not made by synthgen")
    found = attributes.get("format_version")
    if found != FORMAT_VERSION:
        raise StoreError(
            f"{path}: a store of format {found}; "
            f"this version of synthgen reads format {FORMAT_VERSION}"
        )
    return attributes


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: unreadable metadata: {error}") from None
    return document

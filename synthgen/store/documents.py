"""Zarr's metadata files, and the record of them by which damage is seen and undone.

Each file is there three times: itself, its copy and its digest. Any two of them settle what it was,
so that no single damaged file, not even of the record, loses anything.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from synthgen.store.errors import StoreError
from synthgen.store.metadata import ALL_ARRAYS, ARRAYS

# Records, manifests and locks live inside the image array's folder: zarr warns of every entry that
# it does not know in a group's folder, but never lists an array's.
RECORDS = "image/.synthgen"
COPIES, DIGESTS = f"{RECORDS}/metadata.json", f"{RECORDS}/metadata.sha256"
# The group's file is the last one: with it, a store is there for zarr.
_GROUP = "zarr.json"
DOCUMENTS = (*(f"{array}/zarr.json" for array in ARRAYS), _GROUP)


@dataclass(frozen=True)
class Documents:
    """The metadata of a store on disk.

    Attributes:
        zarr: content of zarr's files as they were created, by path in the store.
        problems: what is wrong with files of the metadata and of its record, by path.
    """

    zarr: dict[str, bytes]
    problems: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read those of the store at ``path``.

        Raises:
            StoreError: too much is damaged to say what a file was.
        """
        copies, digests = _copies(path / COPIES), _digests(path / DIGESTS)
        zarr = {}
        # Of prompts, the record says whether there are any: of its two files, one is whole.
        for name in _in_order({*DOCUMENTS, *copies, *digests}):
            known = _settled(_content(path / name), copies.get(name), digests.get(name))
            if known is None:
                raise StoreError(
                    f"{path / name}: damaged metadata: neither the file nor its copy in "
                    f"{path / RECORDS} is as it was created"
                )
            zarr[name] = known
        problems = {}
        for name, known in recorded(zarr).items():
            found = _content(path / name)
            if found != known:
                problems[name] = "is missing" if found is None else "differs from what was created"
        return cls(zarr, problems)


def recorded(documents: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a new store, in the order of writing: the record first, then zarr's.

    Args:
        documents: zarr's metadata files, by path.
    """
    names = _in_order(documents)
    copies = {name: documents[name].decode() for name in names}
    digests = "".join(f"{_digest(documents[name])}  {name}\n" for name in names)
    record = {COPIES: json.dumps(copies).encode(), DIGESTS: digests.encode()}
    return record | {name: documents[name] for name in names}


def arrays_of(documents: Mapping[str, bytes]) -> tuple[str, ...]:
    """Names of the arrays that zarr's metadata files, by path, are of."""
    return tuple(name for name in ALL_ARRAYS if f"{name}/zarr.json" in documents)


def _in_order(names: Collection[str]) -> list[str]:
    """Those of ``names`` that are zarr's metadata files, the group's last."""
    return [
        name for name in (*(f"{array}/zarr.json" for array in ALL_ARRAYS), _GROUP) if name in names
    ]


def _settled(found: bytes | None, copy: bytes | None, digest: str | None) -> bytes | None:
    """What two of a file, its copy and its digest agree on."""
    if found is not None and found == copy:
        return found
    for content in (found, copy):
        if content is not None and _digest(content) == digest:
            return content
    return None


def _copies(path: Path) -> dict[str, bytes]:
    try:
        values = json.loads(_content(path) or b"{}")
        return {name: text.encode() for name, text in values.items()}
    except (ValueError, AttributeError):
        return {}


def _digests(path: Path) -> dict[str, str]:
    lines = (_content(path) or b"").decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None

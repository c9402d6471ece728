"""The manifest: one line of JSON for each committed shard, one file for each writer."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from synthgen.store.commit import append, write_file
from synthgen.store.metadata import ALL_ARRAYS


@dataclass(frozen=True)
class ShardFile:
    """What was committed of one array.

    Attributes:
        size: of the file, bytes.
        sha256: checksum of the file.
        content: CRC-32C of each decoded volume, 8 hexadecimal digits each.
    """

    size: int
    sha256: str
    content: str


@dataclass(frozen=True)
class Entry:
    """A committed shard: volumes ``first .. stop - 1``, made by ``version`` of synthgen.

    Attributes:
        prompts: None in a store without.
    """

    shard: int
    first: int
    stop: int
    image: ShardFile
    label: ShardFile
    recipe: str
    version: str
    prompts: ShardFile | None = None

    @property
    def files(self) -> dict[str, ShardFile]:
        """By array."""
        prompts = {} if self.prompts is None else {"prompts": self.prompts}
        return {"image": self.image, "label": self.label, **prompts}

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    def line(self) -> bytes:
        """JSON closed by a check of itself: a flipped bit in the manifest is seen too."""
        values = self._values()
        return json.dumps({**values, "check": _check(values)}).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self | None:
        """Read a line; None when it is torn or damaged."""
        try:
            values = json.loads(line)
            check = values.pop("check")
            files: dict[str, Any] = {
                name: ShardFile(**values.pop(name)) for name in ALL_ARRAYS if name in values
            }
            entry = cls(**values, **files)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return entry if check == _check(entry._values()) else None

    def _values(self) -> dict[str, Any]:
        """Plain values; without prompts, those of a time before there were any."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _check(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def read_entries(folder: Path) -> Iterator[Entry]:
    """Every whole line of every manifest in ``folder``."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from _entries(path)


def _entries(path: Path) -> Iterator[Entry]:
    for line in path.read_bytes().splitlines():
        entry = Entry.from_line(line)
        if entry is not None:
            yield entry


class Manifest:
    """The manifest of one writer, which holds its lock."""

    def __init__(self, folder: Path, writer: str) -> None:
        """Open it, dropping what a crash left of a line."""
        self._path = folder / f"{writer}.jsonl"
        entries = _entries(self._path) if self._path.exists() else ()
        whole = b"".join(entry.line() for entry in entries)
        if not self._path.exists() or self._path.read_bytes() != whole:
            write_file(self._path, whole, writer)

    def append(self, entry: Entry) -> None:
        """Commit a shard: from the return on, it is there."""
        append(self._path, entry.line())

"""One writer per part: locks that the kernel drops when their process dies."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthgen.store.errors import StoreError

CREATING = "creating"


def part_name(part: tuple[int, int]) -> str:
    """The writer of part i of n."""
    return f"part-{part[0]}-of-{part[1]}"


@contextmanager
def writing(folder: Path, writer: str) -> Iterator[None]:
    """Be the one ``writer`` with its lock in ``folder``.

    Different parts of one partition may write together; any other two writers may not.

    Raises:
        StoreError: another writer is at work.
    """
    with _held(folder / f"{writer}.lock"):
        for other in sorted(folder.glob("*.lock")):
            if not _together(writer, other.stem):
                with _held(other):
                    pass
        yield


@contextmanager
def creating(folder: Path) -> Iterator[None]:
    """Wait for, and hold, the right to write the metadata of the store."""
    with (folder / CREATING).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _together(writer: str, other: str) -> bool:
    if writer == other:
        return True
    parts = [name.rpartition("-of-") for name in (writer, other)]
    return all(name.startswith("part-") for name in (writer, other)) and parts[0][2] == parts[1][2]


@contextmanager
def _held(path: Path) -> Iterator[None]:
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise StoreError(f"{path.stem} is being written by {owner}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield

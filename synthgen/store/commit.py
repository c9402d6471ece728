"""Writing that survives a crash: a file is there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMP_PATTERN = ".*.tmp"


def write_file(path: Path, data: bytes, writer: str) -> None:
    """Make or replace ``path`` with ``data``; durable on return.

    Args:
        writer: name of the writer, so that two never share a temporary file, and the next run
            of a killed one takes its file over.

    Raises:
        OSError: ``path`` is as it was, or whole.
    """
    temp = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        with _opened(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as handle:
            _write(handle, data)
            os.fsync(handle)
        os.replace(temp, path)
    except BaseException:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def append(path: Path, data: bytes) -> None:
    """Add ``data`` to an existing file; durable on return, perhaps torn after an error."""
    with _opened(path, os.O_WRONLY | os.O_APPEND) as handle:
        _write(handle, data)
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    with _opened(folder, os.O_RDONLY) as handle:
        os.fsync(handle)


def make_folders(folder: Path) -> None:
    """Make ``folder`` and its parents, durably."""
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    handle = os.open(path, flags, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]

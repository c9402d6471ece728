"""Writing that survives a crash: a file is there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMP_PATTERN = ".*.tmp"


def write_file(path: Path, data: bytes, writer: str) -> None:
    """Make or replace ``path`` with ``data``; durable on return.

    Arguments and errors are those of ``replace_file``.
    """
    replace_file(path, data, writer)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes, writer: str) -> None:
    """Make or replace ``path`` with ``data``; its name is durable once its folder was synced.

    Args:
        writer: name of the writer, so that two never share a temporary file, and the next run
            of a killed one takes its file over.

    Raises:
        OSError: ``path`` is as it was, or whole.
    """
    temp = _temporary(path, writer)
    try:
        with _opened(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as handle:
            _write(handle, data)
            os.fsync(handle)
        os.replace(temp, path)
    except BaseException:
        with suppress(OSError):
            temp.unlink(missing_ok=True)
        raise


@contextmanager
def replaced_folder(path: Path, writer: str) -> Iterator[Path]:
    """A temporary folder to fill; in the end it is ``path``, in place of what was there.

    Its name is durable once the folder around it was synced.

    Args:
        writer: as in ``replace_file``.

    Raises:
        OSError: ``path`` is as it was, or whole, or not there.
    """
    temp = _temporary(path, writer)
    remove(temp)
    temp.mkdir()
    try:
        yield temp
        for entry in (*temp.rglob("*"), temp):
            _sync(entry)
        remove(path)
        os.replace(temp, path)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def append(path: Path, data: bytes) -> None:
    """Add ``data`` to an existing file; durable on return, perhaps torn after an error."""
    with _opened(path, os.O_WRONLY | os.O_APPEND) as handle:
        _write(handle, data)
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    _sync(folder)


def make_folders(folder: Path) -> None:
    """Make ``folder`` and its parents, durably."""
    if not folder.is_dir():
        make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def _temporary(path: Path, writer: str) -> Path:
    return path.with_name(f".{path.name}.{writer}.tmp")


def _sync(path: Path) -> None:
    with _opened(path, os.O_RDONLY) as handle:
        os.fsync(handle)


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

"""What a store refuses, and what the disk refuses to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(ValueError):
    """A store, or a request about one, that breaks a rule: one line with the rule and the value."""


@contextmanager
def disk_errors_explained(folder: Path, meaning: str) -> Iterator[None]:
    """Say what an error of the disk in ``folder`` means, in one line.

    Args:
        meaning: what holds in spite of it.

    Raises:
        StoreError: in place of OSError.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise StoreError(
            f"{where}: {error.strerror}; {meaning}: mend this and run the same command again"
        ) from error

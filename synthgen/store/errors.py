"""What a store refuses, and what the disk refuses to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StoreError(ValueError):
    """A store, or a request about one, that breaks a rule: one line with the rule and the value."""


@contextmanager
def disk_errors_explained(store: Path) -> Iterator[None]:
    """Say what an error of the disk means for ``store``, in one line.

    Raises:
        StoreError: in place of OSError.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or store
        raise StoreError(
            f"{where}: {error.strerror}; what was committed to {store} is whole: "
            "mend this and run the same command again"
        ) from error

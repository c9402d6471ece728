"""Watching, and stopping, what goes through a store shard by shard."""

from synthgen.store.manifest import Entry
from synthgen.store.plan import StorePlan


class Stopped(Exception):  # noqa: N818, it is no error
    """A watcher asked to stop before there was a result; nothing was lost."""


class Watcher:
    """Override what is of interest; methods may be called from other threads."""

    def start(self, doing: str, plan: StorePlan, volumes: int) -> None:
        """``volumes`` of the store of ``plan`` are to be gone through, ``doing`` this to them."""

    def advance(self, entry: Entry) -> None:
        """A shard was committed, or checked."""

    def stopped(self) -> bool:
        """Asked at each shard; once true, those being made are finished, and nothing else is."""
        return False

"""Watching, and stopping, what goes through a store shard by shard."""

from synthgen.store.manifest import Entry
from synthgen.store.plan import StorePlan


class Watcher:
    """Override what is of interest; methods may be called from other threads."""

    def start(self, plan: StorePlan, volumes: int) -> None:
        """``volumes`` of the store of ``plan`` are to be gone through."""

    def advance(self, entry: Entry) -> None:
        """A shard was committed, or checked."""

    def stopped(self) -> bool:
        """Asked before each shard is made; once true, those in hand are finished."""
        return False

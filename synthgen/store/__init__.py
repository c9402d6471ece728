"""Data sets on disk: zarr groups that are whole, checksummed, resumable and repairable."""

from synthgen.store.build import Built, build, clean, repair
from synthgen.store.check import Check, Damage, verify
from synthgen.store.codecs import CODECS, DEFAULT_CODEC
from synthgen.store.errors import StoreError
from synthgen.store.info import info
from synthgen.store.layout import Store
from synthgen.store.merge import Merged, merge
from synthgen.store.watcher import Stopped, Watcher
from synthgen.store.writer import Source

__all__ = [
    "CODECS",
    "DEFAULT_CODEC",
    "Built",
    "Check",
    "Damage",
    "Merged",
    "Source",
    "Stopped",
    "Store",
    "StoreError",
    "Watcher",
    "build",
    "clean",
    "info",
    "merge",
    "repair",
    "verify",
]

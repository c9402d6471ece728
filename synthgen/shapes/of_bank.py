"""What all shapes have that come from a shape bank."""

import functools
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator

from synthgen.bank import BUILTIN, Bank, open_bank
from synthgen.kernels.anatomy_records import STRUCTURES_MAX
from synthgen.settings import Settings, distinct

BENT = 2.0  # more than shear and displacement thicken a structure nearly always


class OfBank(Settings):
    """Structures of a bank, pinned by its digest.

    Attributes:
        bank: path of a shape bank, or ``builtin``: a stylised torso made by formula. No part of a
            recipe's digest.
        structures: names; by default all of the bank's.
        digest: of the bank; filled in when a recipe is loaded, as ``structures`` is, and checked
            before volumes are made.
    """

    kind: str
    bank: str = BUILTIN
    structures: Annotated[tuple[str, ...], AfterValidator(distinct)] = ()
    digest: str | None = None

    def check_structures(self) -> None:
        """Raise ValueError, naming a field, where they break a rule."""
        if len(self.structures) > STRUCTURES_MAX:
            raise ValueError(
                f"structures: needs {STRUCTURES_MAX} or fewer entries, got {len(self.structures)}"
            )
        if self.digest is not None and not self.structures:
            raise ValueError("structures: needs 1 or more entries beside a digest, got []")

    def resolved(self) -> Self:
        if self.digest is not None:
            return self
        found = self._opened()
        self._check_known(found)
        names = self.structures or found.names
        path = self.bank if self.bank == BUILTIN else str(Path(self.bank).resolve())
        changes = {"bank": path, "digest": found.digest, "structures": tuple(sorted(names))}
        return self.model_validate(self.model_dump() | changes)

    @property
    def pinned(self) -> bool:
        return self.digest is not None

    def remarks(self) -> list[str]:
        self.found()
        told = "the built-in bank is made by formula: a demonstration, not anatomy"
        return [told] if self.bank == BUILTIN else []

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..., in the order of their ids."""
        return sorted(self.structures)

    def _deepest(self) -> float:
        """Radius that no ball in any structure of any person exceeds, mm."""
        found = self.found()
        deepest = max(found.deepest(found.names.index(name)) for name in self.structures)
        return deepest + found.spacing  # what lies between lattice points may be deeper

    def _opened(self) -> Bank:
        try:
            return _opened(self.bank)
        except ValueError as error:
            raise ValueError(f"bank: {error}") from None

    def found(self) -> Bank:
        """The bank; raises ValueError if it is not that of the digest, or lacks a structure."""
        found = self._opened()
        if found.digest != self.digest:
            raise ValueError(
                f"shapes.digest: must be that of the bank {self.bank!r}, {found.digest}, "
                f"got {self.digest}; leave digest and structures out to take the bank as it is"
            )
        try:
            self._check_known(found)
        except ValueError as error:
            raise ValueError(f"shapes.{error}") from None
        return found

    def _check_known(self, bank: Bank) -> None:
        """Raise ValueError, naming a field, unless the bank has all structures that are named."""
        unknown = [name for name in self.structures if name not in bank.names]
        if unknown:
            raise ValueError(
                f"structures: must be of the bank ({', '.join(bank.names)}), got {unknown[0]!r}; "
                "leave them out to take all"
            )


@functools.lru_cache(maxsize=4)
def _cached(path: str, changed: int) -> Bank:
    return open_bank(path)


def _opened(path: str) -> Bank:
    """A bank, opened once while its folder stays as it is."""
    stamp = 0 if path == BUILTIN or not Path(path).exists() else _stamp(Path(path))
    return _cached(path, stamp)


def _stamp(path: Path) -> int:
    return max(entry.stat().st_mtime_ns for entry in (path, *path.glob("*")))

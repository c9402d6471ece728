"""Shape banks: masks of several people, and how their structures lie to each other."""

from synthgen.bank.bank import Bank, BankError, level
from synthgen.bank.build import build_bank
from synthgen.bank.relations import Relations, RelationsError
from synthgen.bank.store import BUILTIN, open_bank, relate, save_bank
from synthgen.bank.subject import Grid, Mask, Subject

__all__ = [
    "BUILTIN",
    "Bank",
    "BankError",
    "Grid",
    "Mask",
    "Relations",
    "RelationsError",
    "Subject",
    "build_bank",
    "level",
    "open_bank",
    "relate",
    "save_bank",
]

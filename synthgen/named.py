"""Looking a name up in a table, with the nearest ones where there is none."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

Row = TypeVar("Row")


def named(known: Mapping[str, Row], name: str, kind: str) -> Row:
    """The row of ``name``.

    Args:
        kind: what the table holds, for the message.

    Raises:
        ValueError: there is none; the message lists the nearest names, whatever their case.
    """
    if name not in known:
        folded = {key.lower(): key for key in known}
        close = difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.5)
        nearest = ", ".join(folded[key] for key in close) or "none is near"
        raise ValueError(f"{kind}: must be a known {kind}, got {name!r}; nearest: {nearest}")
    return known[name]

"""Means of our volumes beside published ones, in standard errors."""

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Row = dict[str, Any]


def compare(
    what: str,
    ours: npt.NDArray[np.float64],
    published: float,
    published_error: float | int,
    tolerance: float = 3,
) -> Row:
    """One row: means, their distance in joint standard errors, and whether they agree.

    Args:
        what: the quantity.
        ours: a value of each volume.
        published: mean.
        published_error: its standard error, or the number of volumes that it is the mean of, whose
            spread then is taken to be ours.
        tolerance: largest distance that agrees.
    """
    own_error = ours.std(ddof=1) / np.sqrt(len(ours))
    if isinstance(published_error, int):
        published_error = ours.std(ddof=1) / np.sqrt(published_error)
    distance = (ours.mean() - published) / np.hypot(own_error, published_error)
    return {
        "quantity": what,
        "ours": float(ours.mean()),
        "standard error": float(own_error),
        "published": published,
        "distance": float(distance),
        "agrees": bool(abs(distance) <= tolerance),
    }


def run(description: str, tables: Callable[[int, int], dict[str, list[Row]]]) -> None:
    """Command line: print what ``tables(volumes, seed)`` finds; exit code 1 on a disagreement."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = tables(options.volumes, options.seed)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, rows in found.items():
            print(f"{name}: {options.volumes} volumes, seed {options.seed}")
            for row in rows:
                verdict = "" if row["agrees"] else "  DISAGREES"
                print(
                    f"  {row['quantity']:34}{row['ours']:12.4f} +- {row['standard error']:.4f}"
                    f"  published {row['published']:10.4f}  {row['distance']:+.1f} s.e.{verdict}"
                )
    sys.exit(not all(row["agrees"] for rows in found.values() for row in rows))

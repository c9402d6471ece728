"""The bank that ships with synthgen: stylised torsos of our own formulas, a demo and no anatomy.

``python -m synthgen.bank.builtin FILE`` makes it anew.
"""

import sys
from pathlib import Path

from synthgen.bank.bank import Bank
from synthgen.bank.build import build_bank
from synthgen.bank.store import builtin_path, save_bank
from synthgen.bank.torso import torso_subjects

SPACING = 4.0  # mm, of masks and lattice


def builtin_bank() -> Bank:
    """The bank as its formulas give it; that in the package is the same."""
    return build_bank(torso_subjects(SPACING), spacing=SPACING)


def main() -> None:
    """Write it to the file that is named, or over the one of the package."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else builtin_path()
    save_bank(builtin_bank(), path, overwrite=True)


if __name__ == "__main__":
    main()

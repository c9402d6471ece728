"""``synthgen catalogue``: pictures of what signed distance functions are made of."""

from pathlib import Path
from typing import Annotated

import typer

from synthgen.cli.common import examples


def catalogue(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the pages, made if need be.")
    ] = Path("catalogue"),
) -> None:
    """Draw all primitives, displacements and mappers: three PNG pages."""
    from synthgen.catalogue import catalogue as draw

    for path in draw(output):
        print(path)


def register(app: typer.Typer) -> None:
    app.command(epilog=examples("synthgen catalogue -o catalogue"))(catalogue)

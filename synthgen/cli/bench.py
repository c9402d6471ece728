"""``synthgen bench``: rates of every stage on this machine."""

import typer


def register(app: typer.Typer) -> None:
    """No command yet."""

"""``python -m synthgen``: the command line without its script."""

from synthgen.cli import app

app(prog_name="synthgen")

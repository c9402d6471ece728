"""The command ``synthgen``. Modules here stay light: what computes is imported inside a command."""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from synthgen.cli import bench, preview, recipes, store
from synthgen.cli.common import examples

# RecipeError and StoreError are among these; anything else is a bug and shows its traceback.
_EXPECTED = (ValueError, RuntimeError, OSError, ImportError)


class _OneLineErrors(TyperGroup):
    """A group whose commands report what the user can mend in one line, with exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except _EXPECTED as error:
            message = " ".join(str(error).split()) or type(error).__name__
            print(f"error: {message}", file=sys.stderr)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="synthgen",
    cls=_OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"synthgen {version('synthgen')}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "synthgen recipes",
        "synthgen preview avs-db -o avs-db.png",
        "synthgen build avs-db avs-db.zarr --count 5000",
    )
)
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Synthetic labelled 3D volumes for pre-training segmentation networks."""


for _commands in (recipes, preview, store, bench):
    _commands.register(app)

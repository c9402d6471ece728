"""The command ``synthgen``. Modules here stay light: what computes is imported inside a command."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from synthgen.cli import (
    bank,
    bench,
    catalogue,
    export,
    gallery,
    pretrain,
    preview,
    recipes,
    store,
)
from synthgen.cli.common import examples

# RecipeError and StoreError are among these; anything else is a bug and shows its traceback.
_EXPECTED = (ValueError, RuntimeError, OSError, ImportError)
# Typer's own Click, or the one it depends on: which, is a matter of its version.
_UsageError: Any = typer.BadParameter.__base__
MISUSE, BUG = 2, 70  # 1 means damage; 70 is EX_SOFTWARE of sysexits.h


class _OneLineErrors(TyperGroup):
    """A group whose commands report what the user can mend in one line."""

    def make_context(self, info_name: Any, args: list[str], *rest: Any, **extra: Any) -> Any:
        given = list(args)  # parsing empties it
        try:
            context = super().make_context(info_name, args, *rest, **extra)
        except _UsageError as error:
            if not given:  # then the help is shown
                raise
            _refuse(_usage_line(error, given))
        context.obj = given
        return context

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except _UsageError as error:
            _refuse(_usage_line(error, ctx.obj))
        except _EXPECTED as error:
            _refuse(str(error) or type(error).__name__)
        except Exception:
            traceback.print_exc()
            raise typer.Exit(BUG) from None


def _refuse(message: str) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise typer.Exit(MISUSE) from None


def _usage_line(error: Any, given: Sequence[str]) -> str:
    """The option or argument, the rule that it breaks, and its value."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        message = str(error.format_message()).rstrip(".")
        known = hasattr(error, "option_name") and not hasattr(error, "possibilities")
        return message + (_got(given, [error.option_name], len(given)) if known else "")
    names = [name for name in parameter.opts if name.startswith("-")]
    name = max(names, key=len, default=str(parameter.name).upper())
    rule = error.message.removeprefix("Input ").removeprefix("Value error, ").rstrip(".")
    return (
        f"{name}: {rule}{_got(given, names, parameter.nargs)}" if rule else f"{name}: is required"
    )


def _got(given: Sequence[str], names: Sequence[str], count: int) -> str:
    """The values of an option, of all its mentions, among the arguments that were given."""
    values: list[str] = []
    for place, word in enumerate(given):
        name, equals, value = word.partition("=")
        if name in names:
            following = given[place + 1 : place + 1 + count]
            values += [value] if equals else following
    return f", got {' '.join(values) or 'nothing'}" if names else ""


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


for _commands in (recipes, preview, gallery, store, export, pretrain, bench, catalogue, bank):
    _commands.register(app)

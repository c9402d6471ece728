"""``synthgen build`` and the verbs on stores: info, verify, repair, clean, merge."""

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from synthgen.cli.common import ScaleOption, ShapeOption, examples, sized_recipe

if TYPE_CHECKING:
    from synthgen.store import Built
    from synthgen.store.progress import Bar

DAMAGED, INCOMPLETE = 1, 3

StoreArgument = Annotated[Path, typer.Argument(help="The store's folder.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where to make volumes.")
]


def build(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe, or a YAML file.")],
    out: Annotated[Path, typer.Argument(help="The store's folder: new, or begun before.")],
    count: Annotated[int, typer.Option(help="Volumes of the whole store.", show_default=False)],
    seed: Annotated[int, typer.Option(help="With the recipe, determines every voxel.")] = 0,
    shape: ShapeOption = None,
    scale: ScaleOption = True,
    device: DeviceOption = "auto",
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="K", help="Volumes in a file. Default: 64, fewer when they are large."
        ),
    ] = None,
    codec: Annotated[
        str | None, typer.Option(help="fast, small, zstd, gzip or none. Default: fast.")
    ] = None,
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Build the I-th of N parts, I = 1 .. N.")
    ] = "1/1",
) -> None:
    """Build a store of volumes; run it again to resume what was interrupted."""
    from synthgen.store import DEFAULT_CODEC
    from synthgen.store import build as build_store

    chosen = sized_recipe(recipe, shape, scale)
    with _bar("building") as bar:
        built = build_store(
            chosen,
            out,
            count=count,
            seed=seed,
            device=device,
            shard_size=shard_size,
            codec=codec or DEFAULT_CODEC,
            part=_part(part),
            watcher=bar,
        )
    _report(out, built, bar)


def repair(store: StoreArgument, device: DeviceOption = "auto") -> None:
    """Make again what is damaged, and make what is missing, voxel for voxel."""
    from synthgen.store import repair as repair_store

    with _bar("repairing") as bar:
        built = repair_store(store, device=device, watcher=bar)
    _report(store, built, bar)


def info(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Say what a store is and whether it is complete; no file is checked."""
    from synthgen.store import info as describe

    values = describe(store)
    if as_json:
        print(json.dumps(values, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        print(f"{name:{width}}  {_text(value)}")


def verify(
    store: StoreArgument,
    deep: Annotated[bool, typer.Option("--deep", help="Also decode every volume.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a store. Exit code 0: complete and intact; 1: damaged; 3: intact, but incomplete."""
    from synthgen.store import verify as check

    with _bar("verifying") as bar:
        found = check(store, deep=deep, watcher=bar)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        for damage in found.damages:
            print(damage)
        print(f"{store}: {_verdict(len(found.damages), found.absent_volumes)}")
    if found.damages:
        raise typer.Exit(DAMAGED)
    if found.absent:
        raise typer.Exit(INCOMPLETE)


def clean(store: StoreArgument) -> None:
    """Remove the temporary files that killed builds left."""
    from synthgen.store import clean as clean_store

    print(f"{store}: removed {len(clean_store(store))} temporary files")


def merge(
    stores: Annotated[list[Path], typer.Argument(help="Parts of one store.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to join them. Default: the first store."),
    ] = None,
) -> None:
    """Join parts of one store that were built in folders of their own."""
    from synthgen.store import merge as merge_stores

    out = output or stores[0]
    with _bar("merging") as bar:
        lacking = merge_stores(stores, out, watcher=bar)
    print(f"{out}: {f'lacks {len(lacking)} shards' if lacking else 'complete'}")


def _part(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal()):
        raise ValueError(f"--part: needs I/N, for instance 2/8, got {text!r}")
    return int(i), int(n)


def _bar(doing: str) -> "AbstractContextManager[Bar]":
    from synthgen.store.progress import progress_bar

    return progress_bar(doing)


def _report(out: Path, built: "Built", bar: "Bar") -> None:
    if bar.signal is not None:
        print(
            f"stopped by {bar.signal.name}: {built.absent} volumes are still to be made; "
            "run the same command again to resume",
            file=sys.stderr,
        )
        raise typer.Exit(128 + bar.signal)
    if not built.volumes:
        print(f"{out}: complete before, nothing to do")
        return
    spent = built.timings
    print(
        f"{out}: {built.volumes} volumes, {_size(built.bytes)} in {built.seconds:.1f} s "
        f"(generator {spent.generator:.1f} s, encoder {spent.encoder:.1f} s of CPU, "
        f"disk {spent.disk:.1f} s)"
    )


def _verdict(damages: int, absent: int) -> str:
    if damages:
        return f"{damages} damaged files; synthgen repair makes them again"
    if absent:
        return f"intact, {absent} volumes still to be made"
    return "complete and intact"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {text}" for name, text in value.items())
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


_EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    build: (
        "synthgen build avs-db avs-db.zarr --count 5000",
        "synthgen build avs-db small.zarr --count 100 --seed 7 --shape 64 96 80 --device cpu",
        "synthgen build avs-db shared.zarr --count 5000 --part 2/8",
    ),
    info: ("synthgen info avs-db.zarr", "synthgen info avs-db.zarr --json"),
    verify: ("synthgen verify avs-db.zarr", "synthgen verify avs-db.zarr --deep --json"),
    repair: ("synthgen repair avs-db.zarr",),
    clean: ("synthgen clean avs-db.zarr",),
    merge: ("synthgen merge part1.zarr part2.zarr -o avs-db.zarr",),
}


def register(app: typer.Typer) -> None:
    for command, commands in _EXAMPLES.items():
        app.command(epilog=examples(*commands))(command)

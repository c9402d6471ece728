"""``synthgen build`` and the verbs on stores: info, verify, repair, clean, merge."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from synthgen.cli.common import (
    JsonOption,
    ScaleOption,
    ShapeOption,
    examples,
    exit_stopped,
    sized_recipe,
    tell_remarks,
    watched,
)

if TYPE_CHECKING:
    from synthgen.store import Built, Check, Merged
    from synthgen.store.progress import Bar

DAMAGED, INCOMPLETE = 1, 3

StoreArgument = Annotated[Path, typer.Argument(help="The store's folder.", show_default=False)]
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
    validation: Annotated[
        float, typer.Option(help="Share of volumes, the last ones, listed for validation.")
    ] = 0.1,
    part: Annotated[
        str, typer.Option(metavar="I/N", help="Build the I-th of N parts, I = 1 .. N.")
    ] = "1/1",
) -> None:
    """Build a store of volumes; run it again to resume what was interrupted."""
    from synthgen.store import DEFAULT_CODEC
    from synthgen.store import build as build_store

    chosen = sized_recipe(recipe, shape, scale)
    tell_remarks(chosen)
    with watched() as bar:
        built = build_store(
            chosen,
            out,
            count=count,
            seed=seed,
            device=device,
            shard_size=shard_size,
            codec=codec or DEFAULT_CODEC,
            validation=validation,
            part=_part(part),
            watcher=bar,
        )
    _report(out, built, bar)


def repair(
    store: StoreArgument, device: DeviceOption = "auto", as_json: JsonOption = False
) -> None:
    """Make again what is damaged, and make what is absent, voxel for voxel."""
    from synthgen.store import repair as repair_store

    with watched() as bar:
        built = repair_store(store, device=device, watcher=bar)
    _report(store, built, bar, as_json)


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

    with watched() as bar:
        found = check(store, deep=deep, watcher=bar)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        for damage in found.damages:
            print(damage)
        print(f"{store}: {_verdict(len(found.damages), found.absent_volumes)}")
    _exit_as(found)


def clean(store: StoreArgument, as_json: JsonOption = False) -> None:
    """Remove the temporary files that killed builds left."""
    from synthgen.store import clean as clean_store

    removed = clean_store(store)
    if as_json:
        print(json.dumps({"removed": [str(path) for path in removed]}, indent=2))
    else:
        print(f"{store}: removed {len(removed)} temporary files")


def merge(
    stores: Annotated[list[Path], typer.Argument(help="Parts of one store.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to join them. Default: the first store."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Join parts of one store. Exit code 0: complete; 1: a part is damaged; 3: incomplete."""
    from synthgen.store import merge as merge_stores

    out = output or stores[0]
    with watched() as bar:
        merged = merge_stores(stores, out, watcher=bar)
    if as_json:
        print(json.dumps(merged.to_dict(), indent=2))
    else:
        for damage in merged.damages:
            print(damage)
        lacking = f"lacks {len(merged.absent)} shards, {merged.absent_volumes} volumes"
        print(f"{out}: {lacking if merged.absent else 'complete'}")
    _exit_as(merged)


def _part(text: str) -> tuple[int, int]:
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal()):
        raise ValueError(f"--part: needs I/N, for instance 2/8, got {text!r}")
    return int(i), int(n)


def _exit_as(found: "Check | Merged") -> None:
    if found.damages:
        raise typer.Exit(DAMAGED)
    if found.absent:
        raise typer.Exit(INCOMPLETE)


def _report(out: Path, built: "Built", bar: "Bar", as_json: bool = False) -> None:
    if as_json:
        print(json.dumps(built.to_dict(), indent=2))
    else:
        _tell(out, built)
    if bar.signal is not None:
        exit_stopped(bar.signal, f"{built.absent} volumes are still to be made")


def _tell(out: Path, built: "Built") -> None:
    from synthgen.store.progress import size_text

    for path in built.restored:
        print(f"metadata: {path} restored")
    if not built.volumes:
        if not built.absent:
            print(f"{out}: no shard was damaged or absent, none was made")
        return
    spent = built.timings
    print(
        f"{out}: {built.volumes} volumes, {size_text(built.bytes)} in {built.seconds:.1f} s "
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
    if not isinstance(value, list):
        return str(value)
    return (", " if all(isinstance(entry, str) for entry in value) else "x").join(map(str, value))


_EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    build: (
        "synthgen build avs-db avs-db.zarr --count 5000",
        "synthgen build avs-db small.zarr --count 100 --seed 7 --shape 64 96 80 --device cpu",
        "synthgen build avs-db shared.zarr --count 5000 --part 2/8",
    ),
    info: ("synthgen info avs-db.zarr", "synthgen info avs-db.zarr --json"),
    verify: ("synthgen verify avs-db.zarr", "synthgen verify avs-db.zarr --deep --json"),
    repair: ("synthgen repair avs-db.zarr", "synthgen repair avs-db.zarr --json"),
    clean: ("synthgen clean avs-db.zarr",),
    merge: ("synthgen merge part1.zarr part2.zarr -o avs-db.zarr",),
}


def register(app: typer.Typer) -> None:
    for command, commands in _EXAMPLES.items():
        app.command(epilog=examples(*commands))(command)

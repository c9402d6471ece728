"""``synthgen bench``."""

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from synthgen.cli.common import ScaleOption, ShapeOption, examples, sized_recipe

if TYPE_CHECKING:
    from synthgen.bench import Report


def bench(
    recipe: Annotated[str, typer.Option(help="A built-in recipe, or a YAML file.")] = "avs-db",
    shape: ShapeOption = None,
    scale: ScaleOption = True,
    batch: Annotated[int, typer.Option(help="Volumes of a batch.")] = 64,
    volumes: Annotated[int, typer.Option(help="Consecutive volumes that are timed.")] = 200,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where to make volumes.")
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time each stage in voxels a second, beside what was made."""
    from synthgen.bench import bench as measure

    report = measure(
        sized_recipe(recipe, shape, scale),
        device=device,
        batch_size=batch,
        volumes=volumes,
    )
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        _show(report)


def _show(report: "Report") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    settings = report.settings
    shape = "x".join(map(str, settings["shape"]))
    table = Table(
        title=f"{settings['recipe']} {shape}, seed {settings['seed']}, {settings['device']}, "
        f"batch {settings['batch']}",
        box=SIMPLE,
    )
    heads = ("stage", "threads", "volumes", "us/volume", "IQR", "Mvoxel/s", "floor", "fg", "placed")
    for name in heads:
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
    for row in report.rows:
        low, high = (f"{1e6 * value:,.0f}" for value in row.iqr)
        table.add_row(
            row.name,
            str(row.threads or "GPU"),
            str(row.volumes),
            f"{1e6 * row.median:,.1f}",
            f"{low}..{high}",
            f"{row.voxels_per_second / 1e6:,.0f}",
            "" if row.floor_share is None else f"{100 * row.floor_share:.1f} %",
            f"{row.made.foreground:.4f}",
            f"{row.made.objects_placed:.2f}",
        )
    console = Console(width=max(110, Console().width))
    console.print(table)
    console.print(
        "floor: time of writing the same buffers over this time; fg: share of labelled voxels; "
        "placed: objects a volume"
    )
    dropped = max(row.made.objects_dropped for row in report.rows)
    if dropped:
        console.print(f"{dropped:.3f} objects a volume dropped")
    evaluations = max(row.made.evaluations for row in report.rows)
    if evaluations:
        console.print(f"{evaluations:.2f} signed distances evaluated a voxel")
    console.print(", ".join(f"{key} {value}" for key, value in report.machine.items()))
    console.print(", ".join(f"{key} {value}" for key, value in report.versions.items()))


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "synthgen bench", "synthgen bench --shape 64 96 80 --device cpu --json > bench.json"
        )
    )(bench)

"""``synthgen export``: a store as the files that other tools read."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthgen.cli.common import JsonOption, examples, watched

if TYPE_CHECKING:
    from synthgen.export import Exported

export = typer.Typer(
    no_args_is_help=True,
    help="Write a store as NIfTI files, plain, for MONAI or for nnU-Net, or as OME-Zarr images.",
    epilog=examples(
        "synthgen export nifti avs-db.zarr avs-db-nifti",
        "synthgen export nnunet avs-db.zarr nnUNet_raw --id 501",
    ),
)

StoreArgument = Annotated[
    Path, typer.Argument(help="A store's folder, or its YAML file.", show_default=False)
]
OutArgument = Annotated[
    Path, typer.Argument(help="The folder to write: new, or begun before.", show_default=False)
]
NameOption = Annotated[
    str | None, typer.Option(help="What files begin with. Default: the recipe's name.")
]
TaskOption = Annotated[str | None, typer.Option(help="Whose labels. Default: all tasks'.")]
LevelOption = Annotated[int, typer.Option(help="Of gzip, 0 .. 9; higher is slower, and smaller.")]
ModalityOption = Annotated[
    str,
    typer.Option(help="What dataset.json calls the image's channels; several names by commas."),
]


@export.command(
    epilog=examples(
        "synthgen export nifti avs-db.zarr avs-db-nifti",
        "synthgen export nifti avs-db.zarr avs-db-nifti --level 6 --json",
    )
)
def nifti(
    store: StoreArgument,
    out: OutArgument,
    name: NameOption = None,
    task: TaskOption = None,
    level: LevelOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write images/, labels/ and dataset.json; run it again to resume."""
    from synthgen.export import nifti as write

    _run(partial(write, store, out, name=name, task=task, level=level), as_json)


@export.command(
    epilog=examples(
        "synthgen export decathlon avs-db.zarr Task90_Synthetic",
        "synthgen export decathlon avs-db.zarr Task90_Synthetic --modality CT",
    )
)
def decathlon(
    store: StoreArgument,
    out: OutArgument,
    name: NameOption = None,
    task: TaskOption = None,
    modality: ModalityOption = "synthetic",
    level: LevelOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write a Decathlon task, which MONAI's load_decathlon_datalist reads; run again to resume.

    Training and validation are those of the store.
    """
    from synthgen.export import decathlon as write

    chosen = partial(write, store, out, name=name, task=task)
    _run(partial(chosen, modality=_names(modality), level=level), as_json)


@export.command(
    epilog=examples(
        'synthgen export nnunet avs-db.zarr "$nnUNet_raw" --id 501',
        "synthgen export nnunet avs-db.zarr nnUNet_raw --id 501 --name Vessels --modality CT",
    )
)
def nnunet(
    store: StoreArgument,
    out: Annotated[
        Path,
        typer.Argument(help="nnU-Net's raw folder; DatasetXXX_NAME is in it.", show_default=False),
    ],
    dataset_id: Annotated[
        int, typer.Option("--id", help="XXX of DatasetXXX_NAME, 1 .. 999.", show_default=False)
    ],
    name: NameOption = None,
    task: Annotated[
        str | None, typer.Option(help="Whose labels, where there are several tasks.")
    ] = None,
    modality: ModalityOption = "synthetic",
    level: LevelOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write a raw data set of nnU-Net v2; run it again to resume.

    Fold 0 is the store's own split: nnU-Net takes it over when it plans.
    """
    from synthgen.export import nnunet as write

    chosen = partial(write, store, out, dataset_id=dataset_id, name=name, task=task)
    _run(partial(chosen, modality=_names(modality), level=level), as_json)


@export.command(
    "ome-zarr",
    epilog=examples(
        "synthgen export ome-zarr avs-db.zarr avs-db-ome",
        "synthgen export ome-zarr avs-db.zarr avs-db-ome --name vessels --json",
    ),
)
def ome_zarr(
    store: StoreArgument,
    out: OutArgument,
    name: NameOption = None,
    task: TaskOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write NAME_0000.ome.zarr and so on, OME-Zarr 0.5 with labels; run it again to resume."""
    from synthgen.export import ome_zarr as write

    _run(partial(write, store, out, name=name, task=task), as_json)


def _names(modality: str) -> str | list[str]:
    """One name, or those between commas."""
    return modality.split(",") if "," in modality else modality


def _run(write: "Callable[..., Exported]", as_json: bool) -> None:
    """Export under a progress bar, and say what was written."""
    from synthgen.store.progress import size_text

    with watched() as bar:
        exported = write(watcher=bar)
    if as_json:
        print(json.dumps(exported.to_dict(), indent=2))
        return
    print(
        f"{exported.folder}: {exported.volumes} volumes, {exported.written} written now, "
        f"{size_text(exported.bytes)} in {exported.seconds:.1f} s"
    )


def register(app: typer.Typer) -> None:
    app.add_typer(export, name="export")

"""``synthgen pretrain``: a network trained on volumes made as it goes, or on a store."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from synthgen.cli.common import JsonOption, examples, exit_stopped

_RUN = "Run"
_DATA = "Volumes"
_OPTIMISER = "Optimisation"
_DICE = "mean foreground Dice"


def _option(help: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


def register(app: typer.Typer) -> None:
    app.command(
        epilog=examples(
            "synthgen pretrain runs/first",
            "synthgen pretrain runs/unetr --network unetr --recipe avs-db-16 --steps 50000",
            "synthgen pretrain runs/stored --store avs-db.zarr --loss dice",
            "torchrun --nproc-per-node 4 -m synthgen pretrain runs/four --precision bf16-mixed",
        )
    )(pretrain)


def pretrain(
    run: Annotated[
        Path, typer.Argument(help="The run's folder: new, or begun before.", show_default=False)
    ],
    recipe: Annotated[
        str | None, _option("Recipe's name or YAML file. Default: avs-db, or the store's.", _DATA)
    ] = None,
    store: Annotated[
        Path | None, _option("Read this store, instead of making volumes as it goes.", _DATA)
    ] = None,
    shape: Annotated[
        tuple[int, int, int] | None,
        _option("Sides of the input in voxels. Default: the preset's.", _DATA, metavar="D H W"),
    ] = None,
    volumes: Annotated[
        int | None, _option("Make so many, again and again. Default: each only once.", _DATA)
    ] = None,
    validation: Annotated[int | None, _option("Volumes held out.", _DATA)] = None,
    normalize: Annotated[str | None, _option("unit (default) or zscore.", _DATA)] = None,
    augment: Annotated[
        bool, _option("Flip, turn, change intensities.", _DATA, "--augment")
    ] = False,
    network: Annotated[str, _option("swinunetr (default) or unetr.", _RUN)] = "swinunetr",
    preset: Annotated[
        str | None, _option("published, or tiny: the default on a CPU.", _RUN)
    ] = None,
    steps: Annotated[int | None, _option("Of the optimizer.", _RUN)] = None,
    validate_every: Annotated[int | None, _option("Steps.", _RUN)] = None,
    checkpoint_every: Annotated[int | None, _option("Steps.", _RUN)] = None,
    seed: Annotated[int, _option("Of volumes, weights and all else. Default: 0.", _RUN)] = 0,
    device: Annotated[str, _option("auto (default), cpu or cuda.", _RUN)] = "auto",
    devices: Annotated[
        int | None, _option("Processes of a node, one a device. Default: torchrun's, or 1.", _RUN)
    ] = None,
    nodes: Annotated[int | None, _option("Default: torchrun's, or 1.", _RUN)] = None,
    precision: Annotated[
        str | None, _option("32-true (default), bf16-mixed or 16-mixed.", _RUN)
    ] = None,
    batch_size: Annotated[int | None, _option("Volumes a device.", _OPTIMISER)] = None,
    accumulate: Annotated[int | None, _option("Batches a step. Default: 1.", _OPTIMISER)] = None,
    loss: Annotated[
        str | None, _option("dicece (default), dice or ce; of whole volumes ce.", _OPTIMISER)
    ] = None,
    learning_rate: Annotated[float | None, _option("The highest.", _OPTIMISER)] = None,
    weight_decay: Annotated[float | None, _option("Of AdamW. Default: 1e-5.", _OPTIMISER)] = None,
    warmup: Annotated[int | None, _option("Steps to the highest rate.", _OPTIMISER)] = None,
    clip: Annotated[
        float | None, _option("Norm of gradients, 0 for none. Default: 1.", _OPTIMISER)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pre-train a segmentation network; run it again to resume.

    Presets: published is 96x96x96 (of planes 1x256x256), batches of 8, learning rate 1e-4 and
    25,000 steps of the networks of PrimGeoSeg; tiny is what fits a CPU. The folder gets
    checkpoints, log.jsonl and curves.png.
    """
    # OpenMP's threads would else spin while they wait, on cores that make volumes.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from synthgen.training.progress import TrainingBar
    from synthgen.training.run import pretrain as train

    settings = {
        name: value
        for name, value in {
            "shape": shape, "volumes": volumes, "validation": validation, "normalize": normalize,
            "augment": augment, "steps": steps, "validate_every": validate_every,
            "checkpoint_every": checkpoint_every, "seed": seed, "precision": precision,
            "batch_size": batch_size, "accumulate": accumulate, "loss": loss,
            "learning_rate": learning_rate, "weight_decay": weight_decay, "warmup": warmup,
            "clip": clip,
        }.items()
        if value is not None
    }  # fmt: skip
    with TrainingBar() as bar:
        done = train(
            run, recipe=recipe, store=store, network=network, preset=preset, device=device,
            devices=devices, nodes=nodes, observer=bar, **settings,
        )  # fmt: skip
    if done.first_rank:
        print(json.dumps(done.to_dict(), indent=2) if as_json else _line(done))
    if not done.finished:
        exit_stopped(bar.signal, f"{done.checkpoint} has step {done.step}")


def _line(done: Any) -> str:
    figure, text = ("accuracy", "accuracy") if done.dice is None else ("dice", _DICE)
    mean = done.metrics.get(figure)
    tasks = ", ".join(
        f"{name.removeprefix(f'{figure}_')} {value:.3f}"
        for name, value in done.metrics.items()
        if name.startswith(f"{figure}_")
    )
    told = "" if mean is None else f", {text} {mean:.3f}" + (f" ({tasks})" if tasks else "")
    return f"{done.checkpoint}: step {done.step}{told}, {done.seconds:.0f} s"

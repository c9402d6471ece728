"""``synthgen bank``: label maps and meshes as a shape bank, and how its structures lie."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from synthgen.cli.common import JsonOption, examples
from synthgen.signals import Asked, stop_signals

if TYPE_CHECKING:
    from rich.progress import Progress

    from synthgen.bank import Bank, Subject
    from synthgen.bank.names import Naming

LOG_SECONDS = 10.0

bank = typer.Typer(
    no_args_is_help=True,
    help="Make a shape bank of label maps or meshes, look at it, and edit its relations.",
    epilog=examples(
        "synthgen bank build labels/*.nii.gz -o organs.zarr",
        "synthgen bank preview organs.zarr -o organs.png",
    ),
)

BankArgument = Annotated[
    str, typer.Argument(metavar="BANK", help='A bank, or "builtin".', show_default=False)
]


@bank.command(
    epilog=examples(
        "synthgen bank build labels/*.nii.gz -o organs.zarr",
        "synthgen bank build labels/ -o brain.zarr --preset freesurfer --spacing 1",
        "synthgen bank build people/ -o organs.zarr --one-file-per-structure --only liver",
    )
)
def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="Label maps, NIfTI or NRRD, one a person; or folders of them.", metavar="INPUT..."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The bank to write: a folder, or a file that ends in .zip.",
            show_default=False,
        ),
    ],
    names: Annotated[
        Path | None,
        typer.Option(help="YAML or JSON: names of labels, pairs of mirror images, what to skip."),
    ] = None,
    preset: Annotated[
        Literal["freesurfer", "totalsegmentator"] | None,
        typer.Option(help="Whose labels they are. Default: a labels.json beside them."),
    ] = None,
    one_file_per_structure: Annotated[
        bool,
        typer.Option(
            "--one-file-per-structure",
            help="Inputs are folders, one a person, of masks or meshes (STL, OBJ, PLY).",
        ),
    ] = False,
    spacing: Annotated[float, typer.Option(help="Of the distances, mm.")] = 1.5,
    only: Annotated[
        list[str] | None, typer.Option(help="A structure to take; repeat for more. Default: all.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="A structure to leave out; repeat for more.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a bank that is there.")
    ] = False,
) -> None:
    """Build a bank; what cannot be used is named in a line, and the rest goes on."""
    from synthgen.bank import build_bank, save_bank
    from synthgen.bank.names import guess_mirrors
    from synthgen.bank.reading import read_subjects
    from synthgen.bank.store import check_free, is_bank

    if not overwrite and is_bank(output):
        raise ValueError(f"--output: {output} exists already; --overwrite replaces it")
    check_free(output, overwrite=overwrite)
    naming = _naming(inputs, names, preset)
    started = monotonic()
    with _stages(inputs, one_file_per_structure) as stages:
        subjects = read_subjects(
            inputs,
            naming,
            one_file_per_structure=one_file_per_structure,
            on_remark=stages.remark,
        )
        built = build_bank(
            _chosen(subjects, only or (), without or ()),
            spacing=spacing,
            mirrors=naming.mirror_pairs if naming else guess_mirrors,
            on_stage=stages.next,
            on_remark=stages.remark,
        )
        stages.next("writing")
        save_bank(built, output, overwrite=overwrite)
    print(f"{output}: {_size(built)} in {monotonic() - started:.1f} s")


@bank.command(
    epilog=examples("synthgen bank info organs.zarr", "synthgen bank info builtin --json")
)
def info(source: BankArgument, as_json: JsonOption = False) -> None:
    """Say what a bank holds."""
    from synthgen.bank import open_bank

    opened = open_bank(source)
    if as_json:
        print(json.dumps(_values(opened), indent=2))
    else:
        print(f"{source}: {_size(opened)}, digest {opened.digest[:16]}")
        _show(opened)


@bank.command(epilog=examples("synthgen bank preview organs.zarr -o organs.png"))
def preview(
    source: BankArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The PNG to write.", show_default=False)
    ],
) -> None:
    """Draw every structure of every subject on a page."""
    from synthgen.bank import open_bank
    from synthgen.bank.pictures import draw_bank

    _check_png(output)
    draw_bank(open_bank(source)).save(output, format="PNG", optimize=True)
    print(f"wrote {output}")


@bank.command(
    epilog=examples(
        "synthgen bank graph organs.zarr -o graph.png",
        "synthgen bank graph organs.zarr --yaml relations.yaml",
    )
)
def graph(
    source: BankArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The PNG to write.", show_default=False)
    ] = None,
    yaml: Annotated[
        Path | None, typer.Option(help="The YAML to write, to edit it.", show_default=False)
    ] = None,
) -> None:
    """Draw the relations of a bank's structures, or write them as YAML."""
    from synthgen.bank import open_bank

    if output is None and yaml is None:
        raise ValueError("--output: a picture, or --yaml, or both, must be asked for, got neither")
    if output is not None:
        _check_png(output)
    if yaml is not None:
        _check_folder("--yaml", yaml)
    opened = open_bank(source)
    if output is not None:
        from synthgen.bank.pictures import draw_graph

        draw_graph(opened).save(output, format="PNG", optimize=True)
        print(f"wrote {output}")
    if yaml is not None:
        yaml.write_text(opened.relations.to_yaml(), encoding="utf-8")
        print(f"wrote {yaml}")


@bank.command(epilog=examples("synthgen bank relate organs.zarr relations.yaml"))
def relate(
    source: Annotated[Path, typer.Argument(metavar="BANK", help="A bank.", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="RELATIONS", help="YAML, as bank graph --yaml writes it.", show_default=False
        ),
    ],
) -> None:
    """Replace a bank's relations by those of a file."""
    from synthgen.bank import Relations
    from synthgen.bank import relate as replace
    from synthgen.bank.relations import RelationsError

    relations = Relations.from_file(file)
    try:
        changed = replace(source, relations)
    except RelationsError as error:
        raise ValueError(f"{file.name}: {error}") from None
    print(f"{source}: {_relations(changed)}, digest {changed.digest[:16]}")


class _Stopped(Exception):  # noqa: N818, it is no error
    """A signal asked to stop; nothing was written."""


class _Stages(Asked):
    """Tells on standard error how far a build is; a signal stops it before the next stage."""

    def __init__(self, progress: "Progress | None", people: int | None) -> None:
        self._progress, self._people, self._begun = progress, people, 0
        self._logged = monotonic()
        self._task = progress.add_task("reading", total=people) if progress else None

    def next(self, stage: str) -> None:
        """``stage`` begins: "distances" is that of each person."""
        if self.signal is not None:
            raise _Stopped
        if stage == "distances":
            self._begun += 1
            of = f" of {self._people}" if self._people else ""
            stage = f"subject {self._begun}{of}"
            done, total = self._begun - 1, self._people
        else:
            done = total = self._begun
        if self._progress and self._task is not None:
            self._progress.update(self._task, description=stage, completed=done, total=total)
        elif monotonic() - self._logged >= LOG_SECONDS:
            self._logged = monotonic()
            print(stage, file=sys.stderr, flush=True)

    def remark(self, line: str) -> None:
        """A line on what is left out, or worth telling."""
        if self._progress:
            self._progress.console.print(f"note: {line}", markup=False, highlight=False)
        else:
            print(f"note: {line}", file=sys.stderr, flush=True)


@contextmanager
def _stages(inputs: Sequence[Path], folders: bool) -> Iterator[_Stages]:
    """What tells of a build; a signal ends the command in one line, with nothing written."""
    one_each = all(path.is_file() for path in inputs) and not folders
    with _drawn() as progress:
        stages = _Stages(progress, len(inputs) if one_each else None)
        try:
            with stop_signals(stages):
                yield stages
            return
        except _Stopped:
            pass
    assert stages.signal is not None, "only a signal stops a build"
    print(f"stopped by {stages.signal.name}: nothing was written", file=sys.stderr)
    raise typer.Exit(128 + stages.signal)


@contextmanager
def _drawn() -> "Iterator[Progress | None]":
    """A bar on a terminal; elsewhere there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, expand=True) as progress:
        yield progress


def _naming(inputs: Sequence[Path], names: Path | None, preset: str | None) -> "Naming | None":
    """Names as asked for, or those that all inputs share; None where folders have their own."""
    from synthgen.bank.names import load_naming, naming_beside
    from synthgen.bank.names import preset as preset_naming

    if names is not None and preset is not None:
        raise ValueError(f"--names: is not for --preset, which has its own, got {names}")
    if names is not None:
        return load_naming(names)
    if preset is not None:
        return preset_naming(preset)
    folders = {path if path.is_dir() else path.parent for path in inputs}
    return naming_beside(folders.pop()) if len(folders) == 1 else None


def _chosen(
    subjects: "Iterable[Subject]", only: Sequence[str], without: Sequence[str]
) -> "Iterator[Subject]":
    """The subjects with the structures that were asked for; in the end, all of these were seen."""
    from dataclasses import replace

    seen: set[str] = set()
    for subject in subjects:
        seen |= subject.parts.keys()
        kept = {
            name: part
            for name, part in subject.parts.items()
            if name not in without and (name in only or not only)
        }
        yield replace(subject, parts=kept)
    for option, asked in (("--only", only), ("--without", without)):
        for name in asked:
            if name not in seen:
                known = ", ".join(sorted(seen))
                raise ValueError(f"{option}: must be a structure ({known}), got {name!r}")


def _check_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output: must end in .png, got {str(path)!r}")
    _check_folder("--output", path)


def _check_folder(option: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"{option}: there is no folder {str(path.parent)!r}")


def _size(opened: "Bank") -> str:
    megabytes = opened.distances.nbytes / 1e6
    return (
        f"{_count(opened.subjects, 'subject')}, {_count(len(opened.names), 'structure')}, "
        f"{opened.spacing:g} mm, {megabytes:.1f} MB; {_relations(opened)}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _relations(opened: "Bank") -> str:
    relations = opened.relations
    kinds = [contact.kind for contact in relations.contacts]
    return (
        f"{_count(len(relations.orders), 'order')}, {kinds.count('touching')} touching, "
        f"{kinds.count('inside')} inside"
    )


def _values(opened: "Bank") -> dict[str, Any]:
    """What ``info --json`` prints."""
    return {
        "spacing": opened.spacing,
        "subjects": opened.subjects,
        "body": opened.body.tolist(),
        "bytes": opened.distances.nbytes,
        "digest": opened.digest,
        "structures": _structures(opened),
        "relations": opened.relations.to_dict(),
    }


def _structures(opened: "Bank") -> list[dict[str, Any]]:
    """A row for each structure; volumes in ml, positions in parts of the body."""
    rows = []
    for c, name in enumerate(opened.names):
        volumes = opened.volumes[opened.present[:, c], c] / 1000
        mirror = int(opened.mirrors[c])
        rows.append(
            {
                "name": name,
                "subjects": len(volumes),
                "volume": float(volumes.mean()),
                "volume_range": [float(volumes.min()), float(volumes.max())],
                "mean": (opened.means[c] / opened.body).tolist(),
                "mirror": opened.names[mirror] if mirror != c else None,
            }
        )
    return rows


def _show(opened: "Bank") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for head in ("structure", "subjects", "ml", "range", "up", "front", "right", "mirror"):
        left = head in ("structure", "mirror")
        table.add_column(head, justify="left" if left else "right", no_wrap=True)
    for row in _structures(opened):
        low, high = row["volume_range"]
        table.add_row(
            row["name"],
            str(row["subjects"]),
            _millilitres(row["volume"]),
            f"{_millilitres(low)} .. {_millilitres(high)}",
            *(f"{share:.2f}" for share in row["mean"]),
            row["mirror"] or "",
        )
    wide = Console(width=1000)  # a table takes what it needs, and nothing of it is cut off
    wide.print(table)


def _millilitres(volume: float) -> str:
    return f"{volume:.1f}" if volume >= 1 else f"{volume:.2g}"


def register(app: typer.Typer) -> None:
    app.add_typer(bank, name="bank")

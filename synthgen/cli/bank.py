"""``synthgen bank``: label maps and meshes as a shape bank, and how its structures lie."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from synthgen.cli.common import JsonOption, examples
from synthgen.signals import Asked, stop_signals

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.progress import Progress

    from synthgen.bank import Bank, Subject
    from synthgen.bank.names import Naming

LOG_SECONDS = 10.0
NAMES_TOLD = 40  # at most, in a line

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
            help="Inputs are folders, one a person, of masks or meshes (STL, OBJ, PLY); a file's "
            "name without its endings becomes its structure's, and is kept in the bank.",
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
    from synthgen.bank.reading import find_people, read_subjects
    from synthgen.bank.store import check_free, is_bank

    if not overwrite and is_bank(output):
        raise ValueError(f"--output: {output} exists already; --overwrite replaces it")
    check_free(output, overwrite=overwrite)
    found = find_people(inputs, one_file_per_structure=one_file_per_structure)
    namings = _namings(inputs, names, preset)
    mirrors = _shared_mirrors(namings, one_file_per_structure)
    naming = namings[0] if len(namings) == 1 else None
    _check_asked(only or (), without or (), namings, found if one_file_per_structure else None)
    started = monotonic()
    with _stages(len(found)) as stages:
        subjects = read_subjects(
            inputs,
            naming,
            one_file_per_structure=one_file_per_structure,
            on_remark=stages.remark,
        )
        built = build_bank(
            _chosen(subjects, only or (), without or (), stages.remark),
            spacing=spacing,
            mirrors=mirrors,
            on_stage=stages.next,
            on_remark=stages.remark,
        )
        stages.next("writing")
        save_bank(built, output, overwrite=overwrite)
    print(f"{output}: {_size(built)} in {monotonic() - started:.1f} s")
    if len(built.names) <= NAMES_TOLD:
        print(f"structures: {', '.join(built.names)}")


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
    _write_png(output, draw_bank(open_bank(source)))
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a YAML file that is there.")
    ] = False,
) -> None:
    """Draw the relations of a bank's structures, or write them as YAML."""
    from synthgen.bank import open_bank

    if output is None and yaml is None:
        raise ValueError("--output: a picture, or --yaml, or both, must be asked for, got neither")
    if output is not None:
        _check_png(output)
    if yaml is not None:
        _check_folder("--yaml", yaml)
        if yaml.exists() and not overwrite:
            raise ValueError(f"--yaml: {yaml} exists already; --overwrite replaces it")
    opened = open_bank(source)
    if output is not None:
        from synthgen.bank.pictures import draw_graph

        _write_png(output, draw_graph(opened))
        print(f"wrote {output}")
    if yaml is not None:
        _write(yaml, opened.relations.to_yaml().encode())
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

    def __init__(self, progress: "Progress | None", people: int) -> None:
        self._progress, self._people, self._begun = progress, people, 0
        self._logged = monotonic()
        self._task = progress.add_task("reading", total=people) if progress else None

    def next(self, stage: str) -> None:
        """``stage`` begins: "distances" is that of each person."""
        if self.signal is not None:
            raise _Stopped
        if stage == "distances":
            self._begun += 1
            stage = f"subject {self._begun} of {self._people}"
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
def _stages(people: int) -> Iterator[_Stages]:
    """What tells of a build; a signal ends the command in one line, with nothing written."""
    with _drawn() as progress:
        stages = _Stages(progress, people)
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


def _namings(
    inputs: Sequence[Path], names: Path | None, preset: str | None
) -> "list[Naming | None]":
    """The naming that was asked for, or those of the folders of the inputs, each once."""
    from synthgen.bank.names import load_naming, naming_beside
    from synthgen.bank.names import preset as preset_naming

    if names is not None and preset is not None:
        raise ValueError(f"--names: is not for --preset, which has its own, got {names}")
    if names is not None:
        return [load_naming(names)]
    if preset is not None:
        return [preset_naming(preset)]
    found: list[Naming | None] = []
    for path in inputs:
        naming = naming_beside(path if path.is_dir() else path.parent)
        if naming not in found:
            found.append(naming)
    return found


def _shared_mirrors(
    namings: "Sequence[Naming | None]", one_file_per_structure: bool
) -> "Callable[[Iterable[str]], Sequence[tuple[str, str]]]":
    """How mirror images are found, which folders may not have each their own way."""
    from synthgen.bank.names import Naming

    given = [naming or Naming() for naming in namings]
    if one_file_per_structure and len(given) > 1:
        raise ValueError("--names: must be given where folders differ in their labels.json")
    if any(naming.mirrors != given[0].mirrors for naming in given):
        raise ValueError("--names: must be given where folders differ in their mirrors")
    return given[0].mirror_pairs


def _check_asked(
    only: Sequence[str],
    without: Sequence[str],
    namings: "Sequence[Naming | None]",
    folders: Sequence[Path] | None,
) -> None:
    """Refuse names that no structure can have: with folders, those of their files are known."""
    from synthgen.bank.names import Naming
    from synthgen.bank.reading import structures_named

    given = [naming or Naming() for naming in namings]
    if folders is None:
        known = {name for naming in given for name in naming.labels.values()}
    else:
        known = structures_named(folders)
    for option, asked in (("--only", only), ("--without", without)):
        for name in asked:
            label = folders is None and any(naming.can_name(name) for naming in given)
            if name not in known and not label:
                raise _unknown(option, name, known)


def _unknown(option: str, name: str, known: set[str]) -> ValueError:
    told = ", ".join(sorted(known)[:NAMES_TOLD]) or "label_1, label_2, ..."
    more = ", ..." if len(known) > NAMES_TOLD else ""
    return ValueError(f"{option}: must be a structure ({told}{more}), got {name!r}")


def _chosen(
    subjects: "Iterable[Subject]",
    only: Sequence[str],
    without: Sequence[str],
    on_remark: Callable[[str], None],
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
        if not kept:
            on_remark("a subject has none of the structures that were asked for; left out")
        yield replace(subject, parts=kept)
    for option, asked in (("--only", only), ("--without", without)):
        for name in asked:
            if name not in seen:
                raise _unknown(option, name, seen)


def _write_png(path: Path, picture: "Image") -> None:
    content = BytesIO()
    picture.save(content, format="PNG", optimize=True)
    _write(path, content.getvalue())


def _write(path: Path, content: bytes) -> None:
    """All of it, or nothing."""
    from synthgen.store.commit import write_file

    write_file(path, content, "bank")


def _check_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output: must end in .png, got {str(path)!r}")
    _check_folder("--output", path)


def _check_folder(option: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"{option}: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise ValueError(f"{option}: must be a file, got the folder {str(path)!r}")


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

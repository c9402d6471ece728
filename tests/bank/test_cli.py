"""``synthgen bank``."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from synthgen.bank import open_bank
from synthgen.cli import app

SECRET = "DOE JANE 1970"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["bank", *(str(argument) for argument in arguments)])


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("error: ")


def write_maps(folder: Path, count: int = 2) -> Path:
    folder.mkdir()
    for n in range(count):
        label = np.zeros((40, 30, 26), np.uint8)
        label[3 : 12 + n, 10:20, 5:15] = 1
        label[28:37, 10 : 20 - n, 5:15] = 2
        label[17:23, 2:8, 1:25] = 3
        image = nib.nifti1.Nifti1Image(label, np.diag([2.0, 2.0, 2.0, 1.0]))
        image.header["descrip"] = SECRET
        nib.save(image, folder / f"patient_{SECRET.replace(' ', '_')}_{n}.nii.gz")
    names = {"1": "organ left", "2": "organ right", "3": "spine"}
    (folder / "labels.json").write_text(json.dumps(names))
    return folder


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_maps(tmp_path_factory.mktemp("inputs") / "maps")


@pytest.fixture(scope="module")
def built(maps: Path) -> Path:
    path = maps.parent / "bank.zarr"
    result = run("build", maps, "-o", path, "--spacing", "2")
    assert result.exit_code == 0, result.output
    assert "bank.zarr: 2 subjects, 3 structures, 2 mm" in result.stdout
    assert result.stdout.splitlines()[1] == "structures: organ left, organ right, spine"
    return path


def test_build(built: Path) -> None:
    bank = open_bank(built)
    assert bank.names == ("organ left", "organ right", "spine")
    assert bank.mirrors.tolist() == [1, 0, 2]
    assert sorted(path.name for path in built.parent.iterdir()) == ["bank.zarr", "maps"]


def test_a_bank_tells_nothing_of_its_files(built: Path) -> None:
    for path in built.rglob("*"):
        for secret in ("DOE", "JANE", "1970", "patient", "nii", "maps"):
            assert secret not in path.name
            if path.name == "zarr.json":
                assert secret not in path.read_text()
    # Chunks are compressed numbers: without compression they would be nothing but these.
    assert {path.name for path in built.iterdir() if path.is_dir()} == {
        "mirrors", "body", "distances", "shapes", "firsts", "boxes", "points", "volumes",
        "centroids", "axes", "means", "factors", "log_volumes",
    }  # fmt: skip


def test_only_and_without(maps: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.zarr"
    assert run("build", maps, "-o", out, "--spacing", "3", "--only", "spine").exit_code == 0
    assert open_bank(out).names == ("spine",)
    more = ("--without", "spine", "--overwrite")
    assert run("build", maps, "-o", out, "--spacing", "3", *more).exit_code == 0
    assert open_bank(out).names == ("organ left", "organ right")
    assert (
        refused("build", maps, "-o", tmp_path / "b.zarr", "--spacing", "3", "--only", "tail")
        == "--only: must be a structure (organ left, organ right, spine), got 'tail'"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_names(maps: Path, tmp_path: Path) -> None:
    naming = tmp_path / "names.yaml"
    naming.write_text("labels: {1: a, 2: b, 3: c}\nmirrors: [[a, c]]\nskip: [b]\n")
    out = tmp_path / "bank.zip"
    assert run("build", maps, "-o", out, "--spacing", "3", "--names", naming).exit_code == 0
    assert open_bank(out).names == ("a", "c")
    assert open_bank(out).mirrors.tolist() == [1, 0]
    assert "--names: is not for --preset" in refused(
        "build", maps, "-o", tmp_path / "b.zarr", "--names", naming, "--preset", "freesurfer"
    )
    naming.write_text("labels: {1: ../../etc/passwd}\n")
    line = refused("build", maps, "-o", tmp_path / "b.zarr", "--names", naming)
    assert line.startswith("names.yaml: labels.1: ")
    assert "../../etc/passwd" in line


def test_what_is_broken_is_a_line_and_the_rest_goes_on(maps: Path, tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "maps")
    (folder / "cut.nii.gz").write_bytes(next(maps.glob("*.gz")).read_bytes()[:300])
    flat = nib.nifti1.Nifti1Image(np.zeros((4, 4), np.uint8), np.eye(4))
    nib.save(flat, folder / "flat.nii.gz")
    result = run("build", folder, "-o", tmp_path / "bank.zarr", "--spacing", "3")
    assert result.exit_code == 0, result.output
    assert open_bank(tmp_path / "bank.zarr").subjects == 2
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert len([line for line in notes if "left out" in line]) == 2
    assert any("cut.nii.gz" in line for line in notes)
    assert any("flat.nii.gz" in line for line in notes)


def test_refusals(maps: Path, built: Path, tmp_path: Path) -> None:
    assert "exists already" in refused("build", maps, "-o", built)
    assert "there is no folder" in refused("build", maps, "-o", tmp_path / "no" / "bank.zarr")
    assert "inputs: must be there" in refused("build", tmp_path / "no", "-o", tmp_path / "b.zarr")
    assert "spacing: must be" in refused("build", maps, "-o", tmp_path / "b.zarr", "--spacing", "0")
    assert "no such bank" in refused("info", tmp_path / "no")
    assert "--output: must end in .png" in refused("preview", built, "-o", tmp_path / "a.jpg")
    assert "--output: a picture, or --yaml" in refused("graph", built)
    assert list(tmp_path.iterdir()) == []


def test_info(built: Path) -> None:
    text = run("info", built).stdout
    assert "2 subjects, 3 structures" in text
    assert "organ right" in text
    values = json.loads(run("info", built, "--json").stdout)
    assert values["digest"] == open_bank(built).digest
    assert values["structures"][0]["mirror"] == "organ right"
    assert json.loads(run("info", "builtin", "--json").stdout)["subjects"] == 5


def test_relations_go_out_and_in(built: Path, maps: Path, tmp_path: Path) -> None:
    out, text = tmp_path / "bank.zarr", tmp_path / "relations.yaml"
    assert run("build", maps, "-o", out, "--spacing", "3").exit_code == 0
    assert run("graph", out, "--yaml", text).exit_code == 0
    before = open_bank(out)
    assert run("relate", out, text).exit_code == 0
    assert open_bank(out).digest == before.digest
    text.write_text("contacts:\n- {of: a, kind: inside, to: b}\n- {of: b, kind: inside, to: a}\n")
    assert "must have no cycle, got a > b > a" in refused("relate", out, text)
    text.write_text("over: [[spine, tail]]\n")
    assert "must be a structure of the bank, got 'tail'" in refused("relate", out, text)
    assert open_bank(out).digest == before.digest


def test_pictures(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("synthgen.bank.pictures")
    for verb in ("preview", "graph"):
        out = tmp_path / f"{verb}.png"
        assert run(verb, built, "-o", out).exit_code == 0
        assert out.read_bytes().startswith(b"\x89PNG")


def test_pictures_and_relations_are_written_whole(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "relations.yaml"
    assert run("graph", built, "--yaml", text).exit_code == 0
    first = text.read_text()
    text.write_text("edited")
    line = refused("graph", built, "--yaml", text)
    assert line == f"--yaml: {text} exists already; --overwrite replaces it"
    assert text.read_text() == "edited"
    assert run("graph", built, "--yaml", text, "--overwrite").exit_code == 0
    assert text.read_text() == first
    assert "--yaml: there is no folder" in refused("graph", built, "--yaml", tmp_path / "no/a.yaml")
    (tmp_path / "a.png").mkdir()
    assert "must be a file" in refused("preview", built, "-o", tmp_path / "a.png")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("synthgen.store.commit._write", full)
    assert run("graph", built, "-o", tmp_path / "b.png").exit_code != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "relations.yaml"]


def test_folders_with_their_own_names(tmp_path: Path) -> None:
    one, other = write_maps(tmp_path / "one", 1), write_maps(tmp_path / "other", 1)
    labels = {"1": "spleen", "2": "liver", "3": "spine"}
    naming: dict[str, object] = {"labels": labels, "mirrors": [["liver", "spleen"]]}
    (one / "labels.json").write_text(json.dumps(naming))
    out, more = tmp_path / "bank.zarr", ("-o", tmp_path / "bank.zarr", "--spacing", "3")
    line = refused("build", one, other, *more)
    assert line == "--names: must be given where folders differ in their mirrors"
    naming["labels"] = {"1": "liver", "2": "spleen", "3": "spine"}
    (other / "labels.json").write_text(json.dumps(naming))
    assert run("build", one, other, *more).exit_code == 0
    assert open_bank(out).names == ("liver", "spine", "spleen")
    assert open_bank(out).mirrors.tolist() == [2, 1, 0]


def test_a_person_who_has_nothing_that_was_asked_for(maps: Path, tmp_path: Path) -> None:
    folder = write_maps(tmp_path / "maps", 1)
    label = np.zeros((20, 20, 20), np.uint8)
    label[5:15, 5:15, 5:15] = 1
    nib.save(nib.nifti1.Nifti1Image(label, np.eye(4)), folder / "other.nii")
    result = run(
        "build", folder, "-o", tmp_path / "b.zarr", "--spacing", "3", "--only", "spine"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "note: a subject has none of the structures that were asked for" in result.stderr
    assert open_bank(tmp_path / "b.zarr").subjects == 1


def test_names_are_checked_before_work(
    maps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthgen.bank.reading.read_volume", None)  # which nothing may call
    out = tmp_path / "b.zarr"
    assert "got 'tail'" in refused("build", maps, "-o", out, "--without", "tail")
    folder = tmp_path / "people" / "one"
    folder.mkdir(parents=True)
    (folder / "liver.nii.gz").write_bytes(b"")
    line = refused(
        "build", folder.parent, "-o", out, "--one-file-per-structure", "--only", "label_1"
    )
    assert line == "--only: must be a structure (liver), got 'label_1'"


def test_names_of_files_are_told_and_kept(tmp_path: Path) -> None:
    people = tmp_path / "people"
    for n in range(2):
        (people / str(n)).mkdir(parents=True)
        for name in ("liver", "heart_Jane"):
            mask = np.zeros((20, 20, 20), np.uint8)
            mask[5 : 15 + n, 5:15, 5:15] = 1
            affine = np.diag([2.0, 2.0, 2.0, 1.0])
            affine[0, 3] = 50.0 * (name == "liver")
            nib.save(nib.nifti1.Nifti1Image(mask, affine), people / str(n) / f"{name}.nii.gz")
    out = tmp_path / "bank.zarr"
    result = run("build", people, "-o", out, "--spacing", "3", "--one-file-per-structure")
    assert result.exit_code == 0, result.output
    assert "structures: heart_Jane, liver" in result.stdout.splitlines()
    assert open_bank(out).names == ("heart_Jane", "liver")
    assert "is kept in the bank" in " ".join(
        run("build", "--help").stdout.replace("│", " ").split()
    )


def test_stages_count_the_people_of_folders(maps: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from synthgen.bank.reading import find_people
    from synthgen.cli import bank as command

    assert len(find_people([maps])) == 2
    with command._stages(2) as stages:
        stages._logged = -1e9
        stages.next("distances")
    assert capsys.readouterr().err == "subject 1 of 2\n"


STOPPED = """
import os, signal, sys
from synthgen.cli import app
import synthgen.bank.build as build
made, asked = build.structure_grid, []
def grid(*arguments):
    if not asked:
        asked.append(1)
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return made(*arguments)
build.structure_grid = grid
app(["bank", "build", *sys.argv[2:]])
"""


@pytest.mark.parametrize(("name", "number"), [("SIGINT", 2), ("SIGTERM", 15)])
def test_a_signal_stops_it(maps: Path, tmp_path: Path, name: str, number: int) -> None:
    command = [sys.executable, "-c", STOPPED, name, maps, "-o", tmp_path / "b.zarr"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr == f"stopped by {name}: nothing was written\n"
    assert list(tmp_path.iterdir()) == []

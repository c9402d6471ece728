"""``synthgen export``: what it prints, and its exit codes."""

import json
from pathlib import Path

from typer.testing import CliRunner

from synthgen.cli import app
from tests.export.conftest import COUNT


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_nifti(store: Path, tmp_path: Path) -> None:
    assert "4 volumes, 4 written now" in run("nifti", store, tmp_path, "--level", 2)
    found = json.loads(run("nifti", store, tmp_path, "--level", 2, "--json"))
    assert (found["folder"], found["volumes"], found["written"]) == (str(tmp_path), COUNT, 0)


def test_decathlon(store: Path, tmp_path: Path) -> None:
    run("decathlon", store, tmp_path, "--name", "T", "--modality", "CT")
    found = json.loads((tmp_path / "dataset.json").read_text())
    assert (found["name"], found["modality"], len(found["validation"])) == ("T", {"0": "CT"}, 1)


def test_nnunet(store: Path, tmp_path: Path) -> None:
    assert "Dataset012_V: 4 volumes" in run("nnunet", store, tmp_path, "--id", 12, "--name", "V")
    assert (tmp_path / "Dataset012_V" / "dataset.json").is_file()


def test_ome_zarr(store: Path, tmp_path: Path) -> None:
    assert "4 volumes, 4 written now" in run("ome-zarr", store, tmp_path, "--name", "V")
    assert (tmp_path / "V_0003.ome.zarr" / "zarr.json").is_file()
    assert json.loads(run("ome-zarr", store, tmp_path, "--name", "V", "--json"))["written"] == 0


def test_refusals_are_one_line(store: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    for arguments in (
        ("nifti", store, tmp_path),
        ("ome-zarr", store, tmp_path),
        ("nnunet", store, tmp_path),
        ("nifti", tmp_path),
    ):
        message = run(*arguments, code=2)
        assert message.startswith("error: ")
        assert message.count("\n") == 1

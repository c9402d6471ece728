"""The wheel, installed elsewhere: everything is inside, and it works away from the sources."""

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
SOURCES = {"synthgen": ROOT / "synthgen", "synthgen/kernels": ROOT / "kernels"}
SOURCES["synthgen/training"] = ROOT / "training"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy of what is installed, so that building leaves nothing in the sources.
    copy = folder / "source"
    ignored = ignore_patterns("__pycache__", "*.egg-info")
    for name in ("synthgen", "kernels", "training"):
        copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fresh environment's programs; dependencies come from the running one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    theirs = [path for path in sys.path if path.endswith("site-packages")]
    # Plain lines, so that the .pth files over there, the editable install's above all, stay unread.
    (packages / "dependencies.pth").write_text("\n".join(theirs))
    return programs


def run(cwd: Path, *command: str | Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["XDG_CACHE_HOME"] = str(cwd / "cache")
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_every_source_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    for prefix, folder in SOURCES.items():
        for path in folder.rglob("*"):
            documented = path.suffix in (".md", ".png")
            if path.is_file() and "__pycache__" not in path.parts and not documented:
                assert f"{prefix}/{path.relative_to(folder).as_posix()}" in inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
    assert not any(name.startswith(("tests", "benchmarks", "kernels")) for name in inside)


def test_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert {"cuda12", "cuda13", "bank", "train", "nnunet", "cluster", "dev"} <= set(extras)
    core = " ".join(project["dependencies"])
    for heavy in ("torch", "cupy", "scipy", "dask", "nibabel", "matplotlib"):
        assert heavy not in core


def test_constraints_hold_the_core_and_dev_sets() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {*project["dependencies"], *extras["dev"], *extras["train"]} - {"synthgen[train]"}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [Requirement(line) for line in lines if "==" in line]
    for requirement in map(Requirement, wanted):
        named = [pin for pin in pinned if normal(pin.name) == normal(requirement.name)]
        assert named, requirement
        for pin in named:
            (version,) = pin.specifier
            assert version.version in requirement.specifier, (pin, requirement)


def test_works_from_another_folder(installed: Path, tmp_path: Path) -> None:
    code = """
import json, synthgen
from importlib import resources
batch = synthgen.generate_one("avs-db", 3, 5)
kernels = [entry.name for entry in resources.files("synthgen.kernels").iterdir()]
print(json.dumps([synthgen.__file__, kernels, list(batch.image.shape), int(batch.label.max())]))
"""
    file, kernels, shape, label = json.loads(run(tmp_path, installed / "python", "-c", code))
    assert Path(file).is_relative_to(installed.parent)
    assert {path.name for path in (ROOT / "kernels").glob("*.cu*")} <= set(kernels)
    assert shape == [1, 1, 96, 96, 96]
    assert 1 <= label <= 32


def test_the_script_runs(installed: Path, tmp_path: Path) -> None:
    rows = json.loads(run(tmp_path, installed / "synthgen", "recipes", "--json"))
    builtin = {path.stem for path in (ROOT / "synthgen/recipe/builtin").glob("*.yaml")}
    assert {row["name"] for row in rows} == builtin


def normal(name: str) -> str:
    return name.strip().lower().replace("_", "-")

"""The command line: what it prints, how it fails, how soon it answers."""

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from synthgen.cli import app
from synthgen.recipe import Recipe, builtin_names, load_recipe

COMMANDS = [
    [],
    ["recipes"],
    ["recipes", "show"],
    ["recipes", "validate"],
    ["preview"],
    ["bench"],
    ["catalogue"],
    ["gallery"],
    ["build"],
    ["info"],
    ["verify"],
    ["repair"],
    ["clean"],
    ["merge"],
    ["export"],
    ["export", "nifti"],
    ["export", "decathlon"],
    ["export", "nnunet"],
    ["pretrain"],
    ["bank"],
    ["bank", "build"],
    ["bank", "info"],
    ["bank", "preview"],
    ["bank", "graph"],
    ["bank", "relate"],
]


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_examples(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert f"$ synthgen {' '.join(command)}".rstrip() in result.stdout


HELP = """
import sys
from synthgen.cli import app
try:
    app(["--help"])
except SystemExit:
    heavy = {"numba", "numpy", "zarr", "PIL", "cupy", "torch", "rich.progress", "synthgen.store"}
    print(*heavy & set(sys.modules))
"""


def test_help_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "", "loaded for a help text"


@pytest.mark.slow
def test_help_is_quick() -> None:
    """In CPU time, which other processes lengthen less: 0.3 s on an idle core, 0.5 s allowed."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "synthgen", "--help"], capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("synthgen ")


def test_recipes_lists() -> None:
    result = run("recipes")
    assert result.exit_code == 0
    for name in builtin_names():
        assert name in result.stdout


def test_recipes_as_json() -> None:
    rows = json.loads(run("recipes", "--json").stdout)
    assert [row["name"] for row in rows] == builtin_names()
    for row in rows:
        recipe = load_recipe(row["name"])
        assert row["digest"] == recipe.digest()
        assert row["num_classes"] == recipe.num_classes
        assert row["shape"] == list(recipe.reference_shape)
        assert row["description"] == recipe.description


def test_show_prints_the_recipe() -> None:
    result = run("recipes", "show", "avs-db")
    assert Recipe.from_yaml(result.stdout) == load_recipe("avs-db")


def test_show_at_a_shape() -> None:
    result = run("recipes", "show", "avs-db", "--shape", "64", "96", "80")
    assert Recipe.from_yaml(result.stdout) == load_recipe("avs-db").at_shape((64, 96, 80))


def test_validate(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(load_recipe("avs-db").to_yaml())
    result = run("recipes", "validate", path)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == 1
    assert load_recipe("avs-db").digest() in result.stdout


def test_validate_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    values = load_recipe("avs-db").to_dict()
    path.write_text(yaml.safe_dump(values | {"colour": 1}))
    assert refused("recipes", "validate", path) == f"{path}: colour: unknown key, got 1"
    assert "No such file" in refused("recipes", "validate", tmp_path / "none.yaml")


def test_unknown_recipe() -> None:
    assert "unknown name 'avs'" in refused("recipes", "show", "avs")
    assert "unknown name 'avs'" in refused("preview", "avs", "-o", "x.png")


@pytest.mark.parametrize("shape", [("0", "96", "96"), ("600", "96", "96"), ("-1", "96", "96")])
def test_bad_shape(shape: tuple[str, ...]) -> None:
    assert "needs 3 sides (D, H, W) of 16..512 voxels" in refused(
        "recipes", "show", "avs-db", "--shape", *shape
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a rule\nover two lines"),
        RuntimeError("device"),
        OSError(28, "No space left on device", "x"),
        ImportError("install synthgen[cuda12]"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_expected_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("synthgen.recipe.load_recipe", fail)
    assert refused("recipes", "show", "avs-db") == " ".join(str(error).split())


def test_a_bug_is_no_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("synthgen.recipe.load_recipe", fail)
    result = run("recipes", "show", "avs-db")
    assert result.exit_code == 70, "not 1, which says that a store is damaged"
    assert "AssertionError: a bug" in result.stderr
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--count x", "--count: should be a valid integer, .*, got x"),
        ("--count=x", "--count: should be a valid integer, .*, got x"),
        ("--count 3 --shape 96 96", "Option '--shape' requires 3 arguments, got 96 96"),
        ("--count 3 --device tpu", "--device: .*is not one of 'auto', 'cpu', 'cuda', got tpu"),
        ("--count", "Option '--count' requires an argument, got nothing"),
        ("", "--count: is required"),
        ("--count 3 --bogus 4", "No such option: --bogus.*"),
    ],
)
def test_misuse_is_one_line_with_the_value(tmp_path: Path, arguments: str, line: str) -> None:
    said = refused("build", "avs-db", tmp_path / "x", *arguments.split())
    assert re.fullmatch(line, said), said


def test_misuse_of_a_group_is_one_line() -> None:
    assert "--bogus" in refused("--bogus")
    assert "'bild'" in refused("bild")
    assert "'shw'" in refused("recipes", "shw")
    assert refused("recipes", "validate") == "FILE: is required"
    assert "got 1 -1" in refused("preview", "avs-db", "-o", "x.png", "-i", "1", "-i", "-1")


def test_no_arguments_show_the_help() -> None:
    result = run()
    assert "Usage" in result.output
    assert "error:" not in result.output


def test_preview_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    result = run("preview", "avs-db", "-o", path, "-i", "3", "--seed", "5", "--shape", *["32"] * 3)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"wrote {path}\n"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 6 * 256


def test_preview_refuses(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    assert "not a store" in refused("preview", tmp_path, "-o", path)
    assert "have their own" not in refused("preview", tmp_path, "-o", path)
    assert "--seed and --shape are for recipes" in refused(
        "preview", tmp_path, "-o", path, "--seed", "1"
    )
    assert "there is no folder" in refused("preview", "avs-db", "-o", tmp_path / "no" / "x.png")
    refusal = f"--output: must end in .png, got '{tmp_path / 'x.jpg'}'"
    assert refused("preview", "avs-db", "-o", tmp_path / "x.jpg") == refusal
    many = [word for index in range(33) for word in ("-i", str(index))]
    assert "1..32 volumes, got 33" in refused("preview", "avs-db", "-o", path, *many)
    assert not path.exists()


@pytest.mark.slow
def test_build_then_preview_of_the_store(tmp_path: Path) -> None:
    store, picture = tmp_path / "a.zarr", tmp_path / "a.png"
    shape = ["--shape", "16", "20", "24", "--device", "cpu"]
    built = run("build", "avs-db", store, "--count", "3", "--seed", "1", *shape)
    assert built.exit_code == 0, built.output
    assert run("preview", store, "-o", picture, "-i", "2").exit_code == 0
    drawn = run("preview", "avs-db", "-o", tmp_path / "b.png", "-i", "2", "--seed", "1", *shape[:4])
    assert drawn.exit_code == 0
    with Image.open(picture) as one, Image.open(tmp_path / "b.png") as other:
        assert one.tobytes() == other.tobytes()


@pytest.mark.slow
def test_preview_is_soon_there_from_cold(tmp_path: Path) -> None:
    """Compilation included: a cache folder of its own."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "synthgen", "preview", "avs-db", "-o", tmp_path / "x.png"],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert time.perf_counter() - start < 60  # 20 s on idle cores


def test_lengths_can_be_kept_when_the_shape_changes():
    scaled = run("recipes", "show", "avs-db", "--shape", "128", "128", "128")
    kept = run("recipes", "show", "avs-db", "--shape", "128", "128", "128", "--no-scale")
    assert "depth: [13, 66]" in scaled.stdout
    assert "depth: [10, 50]" in kept.stdout
    assert "reference_shape: [128, 128, 128]" in kept.stdout

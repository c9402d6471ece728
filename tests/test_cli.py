"""The command line: what it prints, how it fails, how soon it answers."""

import json
import os
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
    ["build"],
    ["info"],
    ["verify"],
    ["repair"],
    ["clean"],
    ["merge"],
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


@pytest.mark.slow
def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = "import sys; from synthgen.cli import app; sys.argv[1:] = ['--help']\n"
    code += "try: app()\nexcept SystemExit: pass\n"
    code += "print(*{'numba', 'numpy', 'zarr', 'PIL', 'pydantic', 'cupy'} & set(sys.modules))"
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        seconds.append(time.perf_counter() - start)
    assert done.stdout.splitlines()[-1] == "", "loaded for a help text"
    # 0.4 s on an idle core; the bound leaves room for a busy one.
    assert min(seconds) < 1.5


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
    assert isinstance(result.exception, AssertionError)
    assert result.exit_code == 1


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

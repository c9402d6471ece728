"""The commands: what they print, and their exit codes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from synthgen.cli.store import register
from synthgen.recipe import Recipe
from synthgen.store import StoreError, info, verify
from tests.store.conftest import assert_same_voxels, build_small

app = typer.Typer()
register(app)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_build_through_the_engine_and_every_verb(tmp_path: Path) -> None:
    small = ("--count", 4, "--seed", 3, "--shape", 16, 17, 18, "--shard-size", 3)
    out, part = tmp_path / "store", tmp_path / "part"
    assert "4 volumes" in run("build", "avs-db", out, *small, "--device", "cpu")
    assert "none was made" in run("build", "avs-db", out, *small)
    assert json.loads(run("info", out, "--json"))["complete"]
    assert "shape          16x17x18" in run("info", out)
    assert "splits         training [0, 3], validation [3, 4]" in run("info", out)
    with pytest.raises(StoreError, match="validation is 1 there, 2 asked"):
        CliRunner().invoke(
            app,
            ["build", "avs-db", str(out), *map(str, small), "--validation", "0.5"],
            catch_exceptions=False,
        )
    assert "complete and intact" in run("verify", out, "--deep")
    assert "removed 0" in run("clean", out)
    (out / "image" / ".c.1.0.0.0.0.repair.tmp").write_bytes(b"")
    removed = [str(out / "image" / ".c.1.0.0.0.0.repair.tmp")]
    assert json.loads(run("clean", out, "--json")) == {"removed": removed}

    (out / "image" / "c.1.0.0.0.0").write_bytes(b"")
    assert "c.1.0.0.0.0 has 0 bytes of" in run("verify", out, code=1)
    report = json.loads(run("verify", out, "--json", code=1))
    assert [damage["shard"] for damage in report["damages"]] == [1]
    repaired = json.loads(run("repair", out, "--json"))
    assert (repaired["volumes"], repaired["absent_volumes"], repaired["restored"]) == (1, 0, [])
    assert "complete and intact" in run("verify", out)

    run("build", "avs-db", part, *small, "--part", "2/2")
    assert "intact, 3 volumes still to be made" in run("verify", part, code=3)
    assert "complete" in run("merge", out, part, "-o", tmp_path / "all")
    assert_same_voxels(tmp_path / "all", out)


def test_merge_exits_by_what_is_lacking(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1", part=(1, 3))
    build_small(recipe, tmp_path / "2", part=(2, 3))
    out = ("-o", tmp_path / "all")
    said = run("merge", tmp_path / "1", tmp_path / "2", *out, code=3)
    assert said == f"{tmp_path / 'all'}: lacks 1 shards, 1 volumes\n"
    report = json.loads(run("merge", tmp_path / "1", tmp_path / "2", *out, "--json", code=3))
    assert (report["absent_shards"], report["absent_volumes"], report["damages"]) == ([2], 1, [])


def test_merge_names_a_damaged_part(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path / "1")
    (tmp_path / "1" / "image" / "c.1.0.0.0.0").write_bytes(b"")
    said = run("merge", tmp_path / "1", "-o", tmp_path / "all", code=1)
    assert f"shard 1: {tmp_path / '1' / 'image' / 'c.1.0.0.0.0'} has 0 bytes" in said
    assert "lacks 1 shards, 3 volumes" in said
    report = json.loads(run("merge", tmp_path / "1", "-o", tmp_path / "all", "--json", code=1))
    assert [damage["shard"] for damage in report["damages"]] == [1]


@pytest.mark.parametrize("verb", [["build", "avs-db"], ["verify"], ["repair"], ["merge"]])
def test_a_refusal_draws_no_bar(tmp_path: Path, verb: list[str]) -> None:
    (tmp_path / "file").write_text("text")
    count = ["--count", "1"] if verb[0] == "build" else []
    result = CliRunner().invoke(app, [*verb, str(tmp_path / "file"), *count])
    assert isinstance(result.exception, StoreError)
    assert result.output == ""


@pytest.mark.parametrize("text", ["2", "a/b", "1/2/3", "-1/2", "/"])
def test_part_needs_two_numbers(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="--part: needs I/N"):
        CliRunner().invoke(
            app,
            ["build", "avs-db", str(tmp_path), "--count", "1", f"--part={text}"],
            catch_exceptions=False,
        )


def test_another_seed_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    build_small(recipe, tmp_path)
    options = "--count 7 --seed 6 --shape 16 16 16 --shard-size 3".split()
    with pytest.raises(StoreError, match="seed is 5 there, 6 asked"):
        CliRunner().invoke(
            app, ["build", "avs-db", str(tmp_path), *options], catch_exceptions=False
        )


BUILD = """
import time, typer
from synthgen import engine
from synthgen.cli.store import register
from tests.store.conftest import FakeGenerator
class Slow(FakeGenerator):
    def fill(self, batch):
        time.sleep(0.02)
        return super().fill(batch)
engine.Generator = lambda recipe, seed, device: Slow(recipe, seed)
app = typer.Typer()
register(app)
app()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_finish_the_shard_and_say_how_to_resume(
    recipe: Recipe, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "store"
    arguments = "--count 200 --seed 5 --shape 16 16 16 --shard-size 2".split()
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD, "build", "avs-db", str(out), *arguments],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out / "image" / "c.3.0.0.0.0").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert f"stopped by {number.name}" in errors
    assert "run the same command again to resume" in errors
    assert not list(out.rglob("*.tmp"))
    assert not verify(out, deep=True).damages
    assert 0 < info(out)["absent"] < 200
    build_small(recipe, out, count=200, shard_size=2)
    assert not verify(out, deep=True).wanting


STOP = """
import os, sys, time, typer
from synthgen.cli.store import register
from synthgen.store import check
examine = check._examine
signals = [int(sys.argv.pop(1))]
def slow(*arguments):
    if signals:
        os.kill(os.getpid(), signals.pop())
    time.sleep(0.1)
    return examine(*arguments)
check._examine = slow
app = typer.Typer()
register(app)
app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "verb",
    [
        ("verify", "STORE"),
        ("merge", "STORE", "-o", "OTHER"),
        ("repair", "STORE"),
        ("build", "avs-db", "STORE", "--count", "40", "--seed", "5", "--shard-size", "2"),
    ],
    ids=lambda verb: verb[0],
)
def test_signals_stop_a_check(
    recipe: Recipe, tmp_path: Path, verb: tuple[str, ...], number: signal.Signals
) -> None:
    store = tmp_path / "store"
    build_small(recipe, store, count=40, shard_size=2)
    places = {"STORE": str(store), "OTHER": str(tmp_path / "other")}
    arguments = [places.get(word, word) for word in verb]
    shape = "--shape 16 16 16".split() if verb[0] == "build" else []
    done = subprocess.run(
        [sys.executable, "-c", STOP, str(int(number)), *arguments, *shape],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 128 + number, done.stderr
    assert done.stderr.strip() == (
        f"stopped by {number.name}: nothing is lost; run the same command again to resume"
    )
    assert not verify(store).wanting

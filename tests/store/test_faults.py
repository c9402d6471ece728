"""A store is never wrong: a fault at every step of every write, and kill -9."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from synthgen.recipe import Recipe
from synthgen.store import StoreError, clean, info, verify
from synthgen.store import commit as commit_module
from tests.store.conftest import assert_same_voxels, build_small

STEPS = ("open", "write", "fsync", "replace")


class FaultyOs:
    """``os`` whose k-th call of one function fails, and with ``crash`` everything after it."""

    def __init__(self, step: str, k: int, *, crash: bool = False, code: int = errno.EIO) -> None:
        self.step, self.left, self.crash, self.code = step, k, crash, code
        self.calls = 0
        self.dead = False
        self.log: list[str] = []

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        return (lambda *args: self._call(name, function, args)) if name in STEPS else function

    def _call(self, name: str, function: Any, args: tuple[Any, ...]) -> Any:
        self.log.append(name)
        if name == self.step:
            self.calls += 1
            if self.left == self.calls:
                self.dead = self.crash
                if name == "write":
                    function(args[0], args[1][: len(args[1]) // 2])
                raise OSError(self.code, os.strerror(self.code))
        if self.dead:
            raise OSError(self.code, os.strerror(self.code))
        return function(*args)


def refuse(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def calls_of(step: str, recipe: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    counter = FaultyOs(step, 0)
    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "os", counter)
        build_small(recipe, out, count=4)
    return counter.calls


def test_a_shard_is_durable_before_its_line_is(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_small(recipe, tmp_path, part=(1, 3))
    build_small(recipe, tmp_path, part=(2, 3))
    watched = FaultyOs("write", 0)
    monkeypatch.setattr(commit_module, "os", watched)
    build_small(recipe, tmp_path, part=(3, 3))
    whole_file = ["open", "write", "fsync", "replace", "open", "fsync"]
    empty_manifest = [step for step in whole_file if step != "write"]
    line = ["open", "write", "fsync"]
    assert watched.log == [*empty_manifest, *whole_file, *whole_file, *line]


@pytest.mark.parametrize("crash", [False, True], ids=["error", "crash"])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_every_step_then_resume(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    crash: bool,
) -> None:
    calls = calls_of(step, recipe, tmp_path / "whole", monkeypatch)
    assert calls >= 8
    for k in range(1, calls + 1):
        out = tmp_path / str(k)
        faulty = FaultyOs(step, k, crash=crash)
        with monkeypatch.context() as patch:
            patch.setattr(commit_module, "os", faulty)
            if crash:  # a dead process removes nothing
                patch.setattr(Path, "unlink", refuse)
            with pytest.raises(StoreError, match="Input/output error"):
                build_small(recipe, out, count=4)
        if (out / "zarr.json").exists():
            assert not verify(out, deep=True).damages, k
        build_small(recipe, out, count=4)
        assert not verify(out).wanting, k
        assert_same_voxels(out, tmp_path / "whole")
        assert not list(out.rglob("*.tmp")), k


def test_a_full_disk_is_said_in_one_line(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(commit_module, "os", FaultyOs("write", 8, code=errno.ENOSPC))
        with pytest.raises(
            StoreError, match="No space left on device; what was committed"
        ) as error:
            build_small(recipe, tmp_path)
    assert "\n" not in str(error.value)
    check = verify(tmp_path, deep=True)
    assert not check.damages
    assert check.absent_volumes == info(tmp_path)["absent"] > 0
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_read_only_disk_is_said_in_one_line(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match="Read-only file system; there is no store yet: mend this"):
        build_small(recipe, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_clean_of_a_read_only_disk_promises_nothing_of_a_build(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_small(recipe, tmp_path)
    (tmp_path / "image" / ".c.1.0.0.0.0.part-1-of-1.tmp").write_bytes(b"half")
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StoreError, match="Read-only file system; no volume was touched: mend this"):
        clean(tmp_path)


BUILD = """
import sys, time
from pathlib import Path
from synthgen.recipe import load_recipe
from tests.store.conftest import FakeGenerator, build_small
class Slow(FakeGenerator):
    def fill(self, batch):
        time.sleep(0.004)
        return super().fill(batch)
recipe = load_recipe("avs-db").at_shape((16, 16, 16))
build_small(recipe, Path(sys.argv[1]), count=60, shard_size=2, generator=Slow(recipe, 5))
"""


def start_build(out: Path) -> "subprocess.Popen[bytes]":
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-c", BUILD, str(out)], cwd=root)


def kill_in_the_middle(out: Path, committed: int, delay: float) -> None:
    """Kill -9 a build ``delay`` seconds after it has committed that many volumes."""
    process = start_build(out)
    manifest = out / "image/.synthgen/part-1-of-1.jsonl"
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if manifest.exists() and manifest.read_bytes().count(b"\n") * 2 >= committed:
            break
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def check_kills(recipe: Recipe, tmp_path: Path, kills: int) -> None:
    build_small(recipe, tmp_path / "whole", count=60, shard_size=2)
    out = tmp_path / "killed"
    step = 48 // kills
    for kill in range(kills):
        kill_in_the_middle(out, committed=step * kill, delay=0.0007 * (kill % 7))
        assert not verify(out, deep=True).damages
        assert 0 < info(out)["absent"]
    assert build_small(recipe, out, count=60, shard_size=2).volumes < 60
    assert not verify(out, deep=True).wanting
    assert_same_voxels(out, tmp_path / "whole")
    assert not list(out.rglob("*.tmp"))


def test_kill_9_three_times(recipe: Recipe, tmp_path: Path) -> None:
    check_kills(recipe, tmp_path, kills=3)


@pytest.mark.slow
def test_kill_9_twenty_times(recipe: Recipe, tmp_path: Path) -> None:
    check_kills(recipe, tmp_path, kills=20)


def test_two_builders_in_two_processes(recipe: Recipe, tmp_path: Path) -> None:
    """The second is refused while the first lives; the lock of a killed one is no obstacle."""
    out = tmp_path / "store"
    kill_in_the_middle(out, committed=2, delay=0.0)
    process = start_build(out)
    try:
        lock = out / "image/.synthgen/part-1-of-1.lock"
        while f"process {process.pid} " not in lock.read_text():
            assert process.poll() is None
            time.sleep(0.001)
        with pytest.raises(StoreError, match=f"being written by process {process.pid}"):
            build_small(recipe, out, count=60, shard_size=2)
    finally:
        process.kill()
        process.wait()
    build_small(recipe, out, count=60, shard_size=2)
    assert not verify(out, deep=True).wanting

"""Checkpoints are whole or not there: resumed to the bit, kill -9, damage, pickles in disguise."""

import errno
import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copy, rmtree
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, load_model
from torch import Tensor
from torch.nn import Conv3d, GroupNorm, Module, Sequential

from synthgen.training import checkpoint
from synthgen.training.checkpoint import (
    CARD,
    STATE,
    WEIGHTS,
    Card,
    latest,
    load,
    load_weights,
    prune,
    save,
)
from synthgen.training.errors import CheckpointError
from synthgen.training.tensor_file import sum_of
from tests.training.conftest import card_of


class Run:
    """A training run of a few small steps; everything of it comes from a seed."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.net = Sequential(Conv3d(1, 4, 3), GroupNorm(2, 4), Conv3d(4, 2, 1))
        decayed = [p for p in self.net.parameters() if p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.ndim == 1]
        groups = [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.85, 0.98), amsgrad=True)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: 0.5 * (1 + math.cos(step / 10))
        )

    def steps(self, first: int, stop: int) -> "Run":
        for step in range(first, stop):
            volume = torch.randn(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(step))
            self.optimizer.zero_grad()
            self.net(volume).square().mean().backward()
            self.optimizer.step()
            self.schedule.step()
        return self

    def save(self, run: Path, step: int, **changes: Any) -> Path:
        return save(
            run,
            card_of(step, **changes),
            self.net.state_dict(),
            self.optimizer.state_dict(),
            self.schedule.state_dict(),
        )

    def load(self, folder: Path) -> "Run":
        loaded = load(folder)
        self.net.load_state_dict(loaded.weights)
        self.optimizer.load_state_dict(loaded.optimizer_state)
        self.schedule.load_state_dict(loaded.scheduler_state)
        return self


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert set(one) == set(other)
    for key in one:
        assert one[key].dtype == other[key].dtype
        assert torch.equal(one[key], other[key]), key


def names(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


def test_a_resumed_run_is_the_same_to_the_bit(tmp_path: Path) -> None:
    straight = Run().steps(0, 9)
    folder = Run().steps(0, 4).save(tmp_path, 4)
    resumed = Run(seed=1).load(folder).steps(4, 9)
    assert_same(straight.net.state_dict(), resumed.net.state_dict())
    assert straight.schedule.get_last_lr() == resumed.schedule.get_last_lr()
    forgetful = Run(seed=1)
    forgetful.net.load_state_dict(load(folder).weights)
    forgetful.steps(4, 9)
    key = "0.weight"
    assert not torch.equal(straight.net.state_dict()[key], forgetful.net.state_dict()[key])


def test_everything_comes_back_as_it_was(tmp_path: Path) -> None:
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.randn(2, 3).bfloat16()}},
        "param_groups": [{"betas": (0.9, 0.1 + 0.2), "fused": None, "params": [0], "name": "$x"}],
    }
    scheduler = {"best": math.inf, "worst": -math.inf, "last": [1e-4], "modes": {"$odd": True}}
    weights = {"bias": torch.arange(3), "empty": torch.zeros(0, 2), "one": torch.tensor(2.5)}
    folder = save(tmp_path, card_of(3), weights, optimizer, scheduler, {"scale": 65536.0})
    assert folder == tmp_path / "checkpoints" / "step_00000003"
    loaded = load(folder)
    assert_same(weights, loaded.weights)
    moments, expected = loaded.optimizer_state["state"][0], optimizer["state"][0]
    assert_same(expected, moments)
    assert loaded.optimizer_state["param_groups"] == optimizer["param_groups"]
    assert loaded.scheduler_state == scheduler
    assert loaded.scaler_state == {"scale": 65536.0}
    assert math.isnan(loaded.card.metrics["dice"])
    changed = {"scalars", "files", "metrics"}
    assert loaded.card.model_dump(exclude=changed) == card_of(3).model_dump(exclude=changed)


def test_what_cannot_be_kept_is_named_and_nothing_is_left(tmp_path: Path, card: Card) -> None:
    message = r"^optimizer\.groups\.0\.hook: must be a tensor, number, .* got function$"
    with pytest.raises(CheckpointError, match=message):
        save(tmp_path, card, {}, {"groups": [{"hook": assert_same}]})
    assert names(tmp_path) == set()


class Tied(Module):
    """One tensor by two names, and one that is no block of memory."""

    def __init__(self) -> None:
        super().__init__()
        self.one = Conv3d(2, 3, 1)
        self.other = self.one
        self.turned = torch.nn.Parameter(torch.randn(4, 5).t())


def test_shared_turned_and_overlapping_tensors(tmp_path: Path, card: Card) -> None:
    state = Tied().state_dict()
    folder = save(tmp_path, card, {**state, "row": state["turned"][:, 0]}, {})
    weights = load(folder).weights
    assert torch.equal(weights.pop("row"), state["turned"][:, 0])
    assert_same(state, weights)
    stored = load_file(folder / WEIGHTS)
    assert len(stored) == len(state) + 1 - 2
    net = Tied()
    load_model(net, folder / WEIGHTS, strict=False)
    assert_same(state, net.state_dict())


def test_weights_are_read_without_the_state(tmp_path: Path) -> None:
    folder = Run().save(tmp_path / "run", 1)
    shared = tmp_path / "shared"
    shared.mkdir()
    copy(folder / CARD, shared)
    copy(folder / WEIGHTS, shared / "mine.safetensors")
    card, weights = load_weights(shared / "mine.safetensors")
    assert card.step == 1
    assert_same(load(folder).weights, weights)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: missing"):
        load(shared)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)


def disguise(path: Path) -> None:
    torch.save({"0.weight": torch.zeros(3)}, path)


def disguise_old(path: Path) -> None:
    torch.save({"0.weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)


def disguise_text(path: Path) -> None:
    path.write_bytes(pickle.dumps({"0.weight": [0.0]}, protocol=4))


def remove(path: Path) -> None:
    path.unlink()


PICKLES = [disguise, disguise_old, disguise_text]
DAMAGES: list[tuple[str, Callable[[Path], None], str]] = [
    *((name, cut, "damaged, has .* bytes of") for name in (WEIGHTS, STATE)),
    *((name, flip, "damaged, its SHA-256 is") for name in (WEIGHTS, STATE)),
    *((name, remove, "missing") for name in (WEIGHTS, STATE)),
    *((name, change, "is a pickle") for name in (WEIGHTS, STATE) for change in PICKLES),
    (CARD, cut, "damaged, is not JSON"),
    (CARD, remove, "No such file"),
]


@pytest.mark.parametrize(("name", "damage", "message"), DAMAGES)
def test_damage_is_refused_and_the_one_before_is_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    damage: Callable[[Path], None],
    message: str,
) -> None:
    before, newest = Run().save(tmp_path, 1), Run().save(tmp_path, 2)
    assert latest(tmp_path) == newest
    damage(newest / name)
    never_unpickle(monkeypatch)
    with pytest.raises(CheckpointError, match=f"{name}: {message}"):
        load(newest)
    with pytest.warns(UserWarning, match=f"checkpoint skipped: .*2/{name}: {message}"):
        assert latest(tmp_path) == before
    load(before)


def never_unpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpickled")

    for module, function in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, function, refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)


@pytest.mark.parametrize("change", PICKLES)
def test_a_pickle_is_refused_though_the_card_vouches_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    folder = Run().save(tmp_path, 1)
    change(folder / WEIGHTS)
    rewrite(folder, files={name: sum_of(folder / name).model_dump() for name in (WEIGHTS, STATE)})
    never_unpickle(monkeypatch)
    with pytest.raises(CheckpointError, match=r"is a pickle, as torch\.save writes it"):
        load(folder)


def rewrite(folder: Path, **changes: Any) -> None:
    """Change the card as someone would who knows how its check is made."""
    values = json.loads((folder / CARD).read_bytes()) | changes
    del values["check"]
    check = checkpoint._check(values)
    (folder / CARD).write_text(json.dumps(values | {"check": check}))


def test_text_that_is_no_safetensors_is_refused(tmp_path: Path) -> None:
    folder = Run().save(tmp_path, 1)
    (folder / WEIGHTS).write_bytes(b"no tensors in here")
    rewrite(folder, files={name: sum_of(folder / name).model_dump() for name in (WEIGHTS, STATE)})
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: is not safetensors"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format: this version of synthgen reads 1, got 2"),
        ({"format": None}, "format: this version of synthgen reads 1, got None"),
        ({"step": -1}, "step: must be greater than or equal to 0, got -1"),
        ({"owner": "me"}, "owner: unknown key, got 'me'"),
        ({"files": {}}, "files: must be weights.safetensors and state.safetensors, got "),
        ({"scalars": {"optimizer": {"$tensor": "none"}}}, "scalars: neither a value nor a tensor"),
        ({"scalars": {"optimizer": {"$code": "x()"}}}, "scalars: neither a value nor a tensor"),
    ],
)
def test_cards_that_break_a_rule(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    folder = Run().save(tmp_path, 1)
    rewrite(folder, **changes)
    with pytest.raises(CheckpointError) as error:
        load(folder)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_changed_value_in_the_card_is_seen(tmp_path: Path) -> None:
    path = Run().save(tmp_path, 1) / CARD
    text = path.read_text()
    assert '"next_sample": 8,' in text
    path.write_text(text.replace('"next_sample": 8,', '"next_sample": 9,'))
    with pytest.raises(CheckpointError, match=r"card\.json: damaged, its check does not match"):
        load(path.parent)


def test_latest_is_by_number_and_none_without_checkpoints(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    for step in (3, 100_000_000, 20):
        newest = Run().save(tmp_path, step)
        assert latest(tmp_path) == (newest if step != 20 else newest.with_name("step_100000000"))
    rmtree(tmp_path / "checkpoints" / "step_100000000")
    (tmp_path / "checkpoints" / "step_00000099x").mkdir()
    assert latest(tmp_path) == tmp_path / "checkpoints" / "step_00000020"


def test_prune_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        Run().save(tmp_path, step)
    prune(tmp_path, 2)
    assert names(tmp_path) == {"step_00000003", "step_00000010"}
    prune(tmp_path, 9)
    assert names(tmp_path) == {"step_00000003", "step_00000010"}
    with pytest.raises(ValueError, match=r"^keep: must be at least 1, got 0$"):
        prune(tmp_path, 0)


def test_prune_does_not_count_what_is_cut(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        Run().save(tmp_path, step)
    cut(tmp_path / "checkpoints" / "step_00000003" / STATE)
    prune(tmp_path, 1)
    with pytest.warns(UserWarning, match="skipped"):
        assert latest(tmp_path) == tmp_path / "checkpoints" / "step_00000002"
    assert names(tmp_path) == {"step_00000002", "step_00000003"}


def test_a_full_disk_is_named_in_one_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = Run().save(tmp_path, 1)
    weights = load(before).weights
    monkeypatch.setattr(checkpoint, "write_file", refuse)
    message = "^.*checkpoints: No space left on device; the checkpoints that were there are as they"
    for step in (1, 2):
        with pytest.raises(CheckpointError, match=message):
            Run(seed=1).save(tmp_path, step)
        assert names(tmp_path) == {"step_00000001"}
        assert_same(weights, load(before).weights)


def test_files_are_durable_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run().save(tmp_path, 1)
    log: list[str] = []
    fsync, rename = os.fsync, os.rename

    def logged_fsync(handle: int) -> None:
        log.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def logged_rename(source: Path, target: Path) -> None:
        log.append(f"-> {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "rename", logged_rename)
    Run().save(tmp_path, 2)
    files = [WEIGHTS, STATE, ".card.json.save.tmp", ".step_00000002.tmp"]
    assert log == [*files, "-> step_00000002", "checkpoints"]


# Each child kills itself before its k-th call of what changes the disk, until one comes to the end.
KILLED = """
import os, signal, sys
from pathlib import Path
from shutil import copytree
import torch
torch.set_num_threads(1)
from synthgen.training import tensor_file
from synthgen.training.checkpoint import prune
from tests.training.test_checkpoint import Run

other = Run(seed=9)
actions = {
    "next": lambda run: other.save(run, 3),
    "same": lambda run: other.save(run, 2),
    "prune": lambda run: prune(run, 1),
}
calls = {"left": 0}

def mortal(function, half=False):
    def wrapper(*args, **kwargs):
        calls["left"] -= 1
        if calls["left"] == 0:
            if half:
                function(*args, **kwargs)
                os.truncate(args[1], os.path.getsize(args[1]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return wrapper

def child(run, action, k):
    calls["left"] = k
    for name in ("mkdir", "fsync", "rename", "replace", "rmdir", "unlink"):
        setattr(os, name, mortal(getattr(os, name)))
    tensor_file.save_file = mortal(tensor_file.save_file, half=True)
    action(run)
    os._exit(0)

def killed(run, action, k):
    pid = os.fork()
    if pid == 0:
        try:
            child(run, action, k)
        finally:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
    return status != 0

root = Path(sys.argv[1])
for name, action in actions.items():
    for k in range(1, 100):
        run = root / name / f"{k:02d}"
        copytree(root / "start", run)
        if not killed(run, action, k):
            break
"""


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By action, runs with checkpoints 1 and 2 in which it was killed ever later, then ended."""
    root = tmp_path_factory.mktemp("killed")
    for step in (1, 2):
        Run(seed=step).save(root / "start", step)
    command = [sys.executable, "-c", KILLED, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("action", ["next", "same", "prune"])
def test_kill_at_every_point(killed_runs: Path, action: str) -> None:
    *killed, ended = sorted((killed_runs / action).iterdir())
    # Two tensor files of a write and a sync each, the card's sync and rename, and the folder's.
    assert len(killed) >= (5 if action == "prune" else 9)
    old, new = Run(seed=2).net.state_dict(), Run(seed=9).net.state_dict()
    is_new = []
    for run in [*killed, ended]:
        weights = load(latest_of(run)).weights
        is_new.append(not torch.equal(weights["0.weight"], old["0.weight"]))
        assert_same(new if is_new[-1] else old, weights)
        for path in (run / "checkpoints").glob("step_*"):
            load(path)
        assert_the_next_save_works(run)
    # Up to some point the old one, from there on the new one.
    assert is_new == sorted(is_new)
    assert {is_new[0], is_new[-1]} == ({False} if action == "prune" else {False, True})


def latest_of(run: Path) -> Path:
    newest = latest(run)
    assert newest is not None
    return newest


def assert_the_next_save_works(run: Path) -> None:
    assert latest_of(Run(seed=5).save(run, 4).parents[1]).name == "step_00000004"
    load(run / "checkpoints" / "step_00000002")
    assert not [name for name in names(run) if name.startswith(".")]

"""The training loop: what it does at each step, and that nothing stops it for good."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from synthgen.recipe import load_recipe
from synthgen.training.checkpoint import load
from synthgen.training.data import Generated
from synthgen.training.errors import TrainingError
from synthgen.training.journal import CURVES, LOG, Journal
from synthgen.training.loop import _Loop, learning_rate
from synthgen.training.networks import build_network
from synthgen.training.observer import Observer
from tests.training.runs import StopsAt, records, settings_of, small_recipe, trained

# All that could differ after a resume: passes of a shuffled set, augmentation, accumulation.
RICH = {"volumes": 5, "augment": True, "accumulate": 2}


def weights(checkpoint):
    return load(checkpoint).weights


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, trained(run, settings_of(**RICH))


def test_a_run_leaves_checkpoints_log_and_curves(whole):
    run, done = whole
    assert (done.step, done.finished) == (8, True)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "step_00000003", "step_00000006", "step_00000008",
    ]  # fmt: skip
    assert (run / CURVES).read_bytes().startswith(b"\x89PNG")
    log = records(run)
    assert [r["step"] for r in log if "loss" in r] == [3, 4, 6, 8]
    assert [r["step"] for r in log if "dice" in r] == [4, 8]
    assert all(0 <= r["data_wait"] <= 1 for r in log if "loss" in r)
    card = load(done.checkpoint).card
    # Five volumes make two batches of two a pass; what is left is passed over.
    assert card.next_sample == log[-1]["next_sample"] == 7 * 5 + 4
    assert card.metrics == {"dice": done.dice}
    assert card.recipe_digest == small_recipe().at_shape(card.shape).digest()


def test_weights_of_a_checkpoint_fit_the_network_of_its_card(whole):
    loaded = load(whole[1].checkpoint)
    net = build_network(loaded.card.network, loaded.card.arguments)
    net.load_state_dict(loaded.weights, strict=True)
    assert net(torch.rand(1, 1, *loaded.card.shape)).shape[1] == len(loaded.card.class_names)


def test_the_run_learns_and_repeats(whole, tmp_path):
    again = trained(tmp_path / "again", settings_of(**RICH))
    assert_same(weights(again.checkpoint), weights(whole[1].checkpoint))
    losses = [r["loss"] for r in records(whole[0]) if "loss" in r]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_tiny_network_learns_four_volumes_of_a_bank(tmp_path):
    anatomy = load_recipe("fake-it-right").replace(shapes__digest=None).resolved()
    settings = settings_of(
        volumes=4, batch_size=4, validation=1, steps=24, warmup=2, validate_every=24,
        checkpoint_every=12, learning_rate=5e-3,
    )  # fmt: skip
    trained(tmp_path / "run", settings, volumes=Generated(anatomy, settings))
    losses = [r["loss"] for r in records(tmp_path / "run") if "loss" in r]
    assert losses[-1] < 0.9 * losses[0]


def test_a_stopped_run_goes_on_to_the_same_weights(whole, tmp_path):
    stopped = trained(tmp_path / "run", settings_of(**RICH), StopsAt(5))
    assert (stopped.step, stopped.finished) == (5, False)
    done = trained(tmp_path / "run", settings_of(**RICH))
    assert_same(weights(done.checkpoint), weights(whole[1].checkpoint))
    steps = [r["step"] for r in records(tmp_path / "run") if "loss" in r]
    assert steps == [3, 4, 5, 6, 8]


def test_a_killed_run_goes_on_to_the_same_weights(whole, tmp_path):
    script = """
import os, signal, sys
from synthgen.training.observer import Observer
from tests.training.runs import settings_of, trained

class Killer(Observer):
    def recorded(self, record):
        if record["step"] == 4 and "dice" in record:
            os.kill(os.getpid(), signal.SIGKILL)

trained(sys.argv[1], settings_of(volumes=5, augment=True, accumulate=2), Killer())
"""
    run = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", script, str(run)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [r["step"] for r in records(run)][-1] == 4, "logged, but after the last checkpoint"
    done = trained(run, settings_of(**RICH))
    assert_same(weights(done.checkpoint), weights(whole[1].checkpoint))
    assert [r["step"] for r in records(run) if "dice" in r] == [4, 8]


def test_a_finished_run_is_left_alone(whole):
    class Silent(Observer):
        def started(self, *values):
            raise AssertionError("nothing is to be started")

    again = trained(whole[0], settings_of(**RICH), Silent())
    assert (again.checkpoint, again.step, again.dice) == (
        whole[1].checkpoint, 8, whole[1].dice,
    )  # fmt: skip


def test_resuming_with_other_arguments_is_refused(whole):
    other = settings_of(**RICH | {"learning_rate": 0.5, "accumulate": 1})
    with pytest.raises(TrainingError, match="another run is there") as error:
        trained(whole[0], other)
    assert "accumulate is 2 there, 1 asked" in str(error.value)
    assert "learning_rate is 0.001 there, 0.5 asked" in str(error.value)


def test_resuming_with_another_recipe_is_refused(whole):
    settings = settings_of(**RICH)
    other = Generated(small_recipe().replace(placement__ratio=0.2), settings)
    with pytest.raises(TrainingError, match="the recipe differs in placement"):
        trained(whole[0], settings, volumes=other)


def test_no_whole_checkpoint_is_no_new_run(tmp_path):
    run = tmp_path / "run"
    trained(run, settings_of(steps=3))
    for path in (run / "checkpoints").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with (
        pytest.warns(UserWarning, match="checkpoint skipped"),
        pytest.raises(TrainingError, match="none of its checkpoints is whole"),
    ):
        trained(run, settings_of(steps=3))
    assert records(run), "the log is as it was"


def test_a_log_that_a_crash_damaged_is_mended(tmp_path):
    (tmp_path / LOG).write_bytes(b'{"step": 1, "loss": 2}\n\0\0\0\n{"step": 3, "loss": 1}\n{"step')
    Journal(tmp_path, 3).add(step=4, loss=0.5)
    assert [record["step"] for record in records(tmp_path)] == [1, 3, 4]


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(TrainingError, match="is not empty, and no run"):
        trained(tmp_path, settings_of())


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    class Poisoned(Generated):
        """Its images are nan from step 5 on."""

        def training(self, first, ranks):
            for number, (batch, following) in enumerate(super().training(first, ranks)):
                if number >= 4:
                    batch["image"].fill_(torch.nan)
                yield batch, following

    settings = settings_of()
    with pytest.raises(TrainingError, match="loss: is nan at step 5") as error:
        trained(tmp_path / "run", settings, volumes=Poisoned(small_recipe(), settings))
    good = tmp_path / "run" / "checkpoints" / "step_00000003"
    assert f"the last good checkpoint is {good}" in str(error.value)
    assert all(tensor.isfinite().all() for tensor in weights(good).values())
    assert trained(tmp_path / "run", settings).finished


def test_a_gradient_that_is_no_number_is_not_saved(tmp_path, monkeypatch):
    backward = _Loop._backward

    def poisoned(loop, image, label):
        loss = backward(loop, image, label)
        if loop.step == 5:  # the sixth step, after which there is a checkpoint
            next(loop._net.parameters()).grad[:] = torch.nan
        return loss

    monkeypatch.setattr(_Loop, "_backward", poisoned)
    with pytest.raises(TrainingError, match="weights: not finite after step 6") as error:
        trained(tmp_path / "run", settings_of())
    assert str(error.value).endswith("step_00000003")
    monkeypatch.undo()
    assert trained(tmp_path / "run", settings_of()).finished


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    MemoryError(),
])  # fmt: skip
def test_lack_of_memory_names_the_option(tmp_path, monkeypatch, error):
    def backward(*arguments):
        raise error

    monkeypatch.setattr("synthgen.training.loop._Loop._backward", backward)
    with pytest.raises(TrainingError, match="out of memory at step 0: lower --batch-size"):
        trained(tmp_path / "run", settings_of())
    monkeypatch.undo()
    assert trained(tmp_path / "run", settings_of(batch_size=1, accumulate=2, steps=1)).finished


def test_other_runtime_errors_are_as_they_were(tmp_path, monkeypatch):
    def backward(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr("synthgen.training.loop._Loop._backward", backward)
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        trained(tmp_path / "run", settings_of())


def test_a_label_without_a_channel_is_refused(tmp_path):
    class Wrong(Generated):
        def training(self, first, ranks):
            for batch, following in super().training(first, ranks):
                batch["label"][0, 0, 0, 0, 0] = 200
                yield batch, following

        def validation(self, ranks):
            for batch in super().validation(ranks):
                batch["label"][0, 0, 0, 0, :3] = 200
                yield batch

    class WrongLater(Wrong):
        training = Generated.training

    settings = settings_of()
    with pytest.raises(TrainingError, match=r"6 voxels have others"):
        trained(tmp_path / "later", settings, volumes=WrongLater(small_recipe(), settings))
    with pytest.raises(TrainingError, match=r"label: the recipe has classes 0\.\.4, 1 voxels"):
        trained(tmp_path / "run", settings, volumes=Wrong(small_recipe(), settings))


def test_the_learning_rate_rises_and_falls():
    settings = settings_of(steps=12, warmup=4, learning_rate=0.8)
    rates = [learning_rate(step, settings) for step in range(13)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[8] == pytest.approx(0.4)
    assert rates[12] == pytest.approx(0)
    assert learning_rate(0, settings_of(warmup=0)) == 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed"])
def test_mixed_precision_trains(tmp_path, precision):
    done = trained(tmp_path / "run", settings_of(precision=precision, steps=3))
    assert all(tensor.dtype == torch.float32 for tensor in weights(done.checkpoint).values())

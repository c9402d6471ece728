"""``synthgen pretrain`` as its users run it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import synthgen.training
from synthgen.store import build
from synthgen.training.checkpoint import load
from tests.training.runs import StopsAt, small_recipe

SMALL = ["--network", "unetr", "--shape", "16", "32", "16", "--validation", "2", "--warmup", "2",
         "--device", "cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(small_recipe().to_yaml())
    return str(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    out = tmp_path_factory.mktemp("store") / "store"
    build(small_recipe().at_shape((16, 32, 16)), out, count=6, validation=0.4, seed=3,
          device="cpu")  # fmt: skip
    return str(out)


def start(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "synthgen", "pretrain", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **options,
    )


def wait_for_log(run):
    until = time.monotonic() + 120
    while not ((run / "log.jsonl").exists() and (run / "log.jsonl").read_text()):
        assert time.monotonic() < until, "no step was logged"
        time.sleep(0.05)


def pretrain(*arguments):
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def assert_close(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[key], rtol=1e-3, atol=1e-4)


def test_a_run_from_the_command_line(recipe, tmp_path):
    code, out, err = pretrain(tmp_path / "run", "--recipe", recipe, *SMALL, "--steps", 3, "--json")
    assert code == 0, err
    done = json.loads(out)
    assert (done["step"], done["finished"]) == (3, True)
    assert err.startswith("about ")
    assert "for 3 steps" in err
    card = load(tmp_path / "run" / "checkpoints" / "step_00000003").card
    assert card.settings["preset"] == "tiny"
    assert card.seed == 0


def test_a_signal_saves_and_the_same_command_goes_on(recipe, tmp_path):
    arguments = [tmp_path / "run", "--recipe", recipe, *SMALL, "--steps", 60]
    process = start(*arguments)
    wait_for_log(tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in err
    assert "run the same command again to resume" in err
    code, out, err = pretrain(*arguments)
    assert code == 0, err
    assert " after step " in err
    assert "step 60, mean foreground Dice" in out


def test_two_ranks_train_as_one_with_batches_twice_as_large(recipe, tmp_path):
    common = ["--recipe", recipe, *SMALL, "--steps", 3]
    code, out, err = pretrain(tmp_path / "two", *common, "--devices", 2, "--batch-size", 1)
    assert code == 0, err
    assert out.count("step 3, mean foreground Dice") == 1, "only the first rank tells"
    code, _, err = pretrain(tmp_path / "one", *common, "--batch-size", 2)
    assert code == 0, err
    two, one = (load(tmp_path / name / "checkpoints" / "step_00000003") for name in ("two", "one"))
    assert two.card.next_sample == one.card.next_sample == 2 + 3 * 2
    assert two.card.metrics["dice"] == pytest.approx(one.card.metrics["dice"], abs=0.02)
    assert_close(two.weights, one.weights)


def on_store(run, store, observer=None, **changes):
    return synthgen.training.pretrain(
        run, store=store, network="unetr", device="cpu", shape=(16, 32, 16), steps=4,
        validation=2, observer=observer, **changes,
    )  # fmt: skip


def test_a_run_on_a_store_goes_on_to_the_same_weights(store, tmp_path):
    whole = load(on_store(tmp_path / "whole", store).checkpoint)
    assert not on_store(tmp_path / "run", store, StopsAt(2)).finished
    resumed = load(on_store(tmp_path / "run", store).checkpoint)
    assert all(torch.equal(resumed.weights[key], whole.weights[key]) for key in whole.weights)
    assert resumed.card.seed == 3
    assert resumed.card.source == {
        "kind": "store", "count": 6, "splits": {"training": [0, 4], "validation": [4, 6]},
    }  # fmt: skip


def test_other_volumes_are_refused(store, recipe, tmp_path):
    on_store(tmp_path / "run", store, StopsAt(1))
    other = tmp_path / "other"
    build(small_recipe().at_shape((16, 32, 16)), other, count=6, validation=0.4, seed=4,
          device="cpu")  # fmt: skip
    with pytest.raises(synthgen.training.TrainingError, match=r"seed 3 there, .* seed 4 asked"):
        on_store(tmp_path / "run", str(other))
    with pytest.raises(synthgen.training.TrainingError, match="there, generated, seed 0 asked"):
        on_store(tmp_path / "run", None, recipe=recipe)


def test_ctrl_c_on_a_terminal_saves_though_workers_hear_it_too(store, tmp_path):
    arguments = [tmp_path / "run", "--store", store, *SMALL, "--steps", 10_000]
    process = start(*arguments, start_new_session=True)
    wait_for_log(tmp_path / "run")
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT, err
    assert "stopped by SIGINT" in err


@pytest.mark.slow
def test_ranks_without_volumes_to_validate_with_wait_for_none(recipe, tmp_path):
    """SwinUNETR has buffers, which DDP's wrapper would synchronise at each forward pass."""
    code, out, err = pretrain(
        tmp_path / "run", "--recipe", recipe, "--network", "swinunetr", "--shape", 64, 32, 32,
        "--validation", 1, "--validate-every", 1, "--steps", 2, "--batch-size", 1,
        "--accumulate", 2, "--device", "cpu", "--devices", 2,
    )  # fmt: skip
    assert code == 0, err
    assert "step 2, mean foreground Dice" in out


@pytest.mark.parametrize(("arguments", "rule"), [
    (["--network", "vnet"], "network: must be one of swinunetr, unetr, got 'vnet'"),
    (["--preset", "huge"], "preset: must be 'published' or 'tiny', got 'huge'"),
    (["--shape", "48", "48", "40"], "the nearest is [64, 64, 32]"),
    (["--steps", "0"], "steps: must be greater than or equal to 1, got 0"),
    (["--learning-rate", "-1"], "learning_rate: must be greater than 0, got -1.0"),
    (["--loss", "focal"], "loss: must be 'dice', 'dicece' or 'ce', got 'focal'"),
    (["--recipe", "nothing"], "nothing"),
    (["--device", "tpu"], "device: must be auto, cpu or cuda, got 'tpu'"),
    (["--store", "nowhere"], "nowhere"),
    (["--precision", "64"], "precision: must be"),
])  # fmt: skip
def test_bad_options_are_refused_before_anything_starts(tmp_path, capsys, arguments, rule):
    from synthgen.cli import app

    with pytest.raises(SystemExit) as stopped:
        app(["pretrain", str(tmp_path / "run"), "--device", "cpu", *arguments])
    err = capsys.readouterr().err
    assert stopped.value.code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert rule in err
    assert not (tmp_path / "run").exists()


def test_a_store_of_another_recipe_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"the store .* is of 'avs-db-16' .* not of 'avs-db'"):
        synthgen.training.pretrain(
            tmp_path / "run", store=store, recipe="avs-db", network="unetr", device="cpu",
            shape=(16, 32, 16), validation=2,
        )  # fmt: skip


def test_the_store_s_own_recipe_may_be_asked_for(store, recipe, tmp_path):
    done = synthgen.training.pretrain(
        tmp_path / "run", store=store, recipe=recipe, network="unetr", device="cpu",
        shape=(16, 32, 16), steps=1, validation=2,
    )  # fmt: skip
    assert done.finished


@pytest.mark.parametrize("package", ["torch", "monai", "lightning_fabric", "safetensors"])
def test_a_missing_extra_is_named(tmp_path, package):
    script = f"""
import sys
sys.modules[{package!r}] = None
sys.argv = ["synthgen", "pretrain", {str(tmp_path / "run")!r}]
from synthgen.cli import app
app()
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "pip install 'synthgen[train]'" in run.stderr
    assert run.stderr.count("\n") == 1

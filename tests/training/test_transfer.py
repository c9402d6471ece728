"""Pre-trained weights into other networks: by key and shape, told plainly, or not at all."""

import math
import subprocess
import sys
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Module

from synthgen import training
from synthgen.training.checkpoint import CARD, WEIGHTS, save
from synthgen.training.errors import CheckpointError
from synthgen.training.networks import NETWORKS, build_network, network_arguments
from synthgen.training.transfer import load_pretrained
from tests.training.conftest import card_of

HEAD = {"out.conv.conv.weight", "out.conv.conv.bias"}


def network(name: str = "swinunetr", classes: int = 33, **changes: Any) -> Module:
    arguments = network_arguments(name, "tiny", classes=classes, shape=(64, 32, 32))
    return build_network(name, arguments | changes)


def state_of(net: Module) -> dict[str, Tensor]:
    """A copy."""
    return {key: tensor.detach().clone() for key, tensor in net.state_dict().items()}


def saved(run: Path, net: Module, name: str = "swinunetr", step: int = 1) -> Path:
    return save(run, card_of(step, network=name), net.state_dict(), {})


def share_of(net: Module, keys: set[str]) -> float:
    sizes = {key: parameter.numel() for key, parameter in net.named_parameters()}
    return sum(size for key, size in sizes.items() if key in keys) / sum(sizes.values())


def same_keys(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {key for key in one if key in other and torch.equal(one[key], other[key])}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Tensor]]:
    """A checkpoint of a SwinUNETR with 33 classes whose values no new network has; its tensors."""
    net = network()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.5)
    return saved(tmp_path_factory.mktemp("run"), net), state_of(net)


Source = tuple[Path, dict[str, Tensor]]


@pytest.mark.parametrize("transfer", ["all", "all_but_head"])
def test_everything_but_a_head_of_other_classes(source: Source, transfer: Any) -> None:
    folder, weights = source
    net = network(classes=14)
    before = state_of(net)
    result = load_pretrained(net, folder, transfer)
    after = state_of(net)
    assert set(result.loaded) == set(weights) - HEAD
    assert set(result.missing) == HEAD
    assert same_keys(after, before) >= HEAD
    assert same_keys(after, weights) >= set(weights) - HEAD
    assert math.isclose(result.share, share_of(net, set(result.loaded)))
    assert result.share > 0.99
    reason = "(33, 12, 1, 1, 1) in the checkpoint, (14, 12, 1, 1, 1) in the network"
    assert dict(result.skipped).get("out.conv.conv.weight") == (
        reason if transfer == "all" else None
    )


def test_a_head_of_as_many_classes(source: Source) -> None:
    folder, weights = source
    net = network()
    result = load_pretrained(net, folder)
    assert (result.skipped, result.missing, result.share) == ((), (), 1.0)
    assert same_keys(state_of(net), weights) == set(weights)
    net = network()
    before = state_of(net)
    assert set(load_pretrained(net, folder, "all_but_head").missing) == HEAD
    assert same_keys(state_of(net), before) >= HEAD


def test_encoder_only(source: Source) -> None:
    folder, weights = source
    net = network(classes=14)
    before = state_of(net)
    result = load_pretrained(net, folder, "encoder", min_share=1.0)
    after = state_of(net)
    encoder = {key for key in weights if key.startswith(NETWORKS["swinunetr"].encoder_prefixes)}
    assert set(result.loaded) == encoder
    assert result.skipped == ()
    assert same_keys(after, weights) >= encoder
    assert same_keys(after, before) >= set(weights) - encoder
    assert 0 < result.share < 1
    assert math.isclose(result.share, share_of(net, encoder))


def test_another_window_skips_the_tables_of_positions(source: Source) -> None:
    folder, weights = source
    net = network(window_size=2)
    result = load_pretrained(net, folder)
    skipped = dict(result.skipped)
    assert skipped
    assert all("relative_position" in key for key in skipped)
    assert set(skipped) == set(result.missing) == set(weights) - set(result.loaded)
    table = "swinViT.layers1.0.blocks.0.attn.relative_position_bias_table"
    assert skipped[table] == "(343, 3) in the checkpoint, (27, 3) in the network"


def test_too_little_that_fits_is_refused_before_anything_changes(source: Source) -> None:
    folder, _ = source
    net = network(feature_size=24)
    before = state_of(net)
    with pytest.raises(CheckpointError) as error:
        load_pretrained(net, folder)
    message = str(error.value)
    assert str(folder) in message
    assert "% of its parameters (decoder1." in message
    assert "in the checkpoint, (" in message
    assert message.endswith("min_share: needs 50.0%, and 0 loads what fits")
    assert "\n" not in message
    assert same_keys(state_of(net), before) == set(before)
    result = load_pretrained(net, folder, min_share=0)
    assert 0 < result.share < 0.5
    assert same_keys(state_of(net), before) < set(before)


@pytest.mark.parametrize("transfer", ["all", "all_but_head", "encoder"])
def test_another_kind_of_network_is_refused(tmp_path: Path, transfer: Any) -> None:
    saved(tmp_path, network("unetr"), "unetr")
    net = network()
    before = state_of(net)
    with pytest.raises(CheckpointError, match="of a unetr, fits the given network in"):
        load_pretrained(net, tmp_path, transfer)
    assert same_keys(state_of(net), before) == set(before)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("transfer", ["all", "encoder", "all_but_head"])
@pytest.mark.parametrize(
    ("there", "here", "rule"),
    [
        ({"channels": 1}, {"channels": 4}, "of input channels 1, and the given network has 4"),
        ({"channels": 3}, {"channels": 2}, "of input channels 3, and the given network has 2"),
        ({}, {"shape": (1, 64, 32)}, "of 3 dimensions, and the given network has 2"),
        ({"shape": (1, 64, 32)}, {}, "of 2 dimensions, and the given network has 3"),
    ],
)
def test_another_input_is_refused_before_anything_changes(
    tmp_path: Path, name: str, transfer: Any, there: Any, here: Any, rule: str
) -> None:
    theirs, ours = (
        build_network(
            name,
            network_arguments(name, "tiny", **{"classes": 3, "shape": (64, 32, 32), **changes}),
        )
        for changes in (there, here)
    )
    folder, before = saved(tmp_path, theirs, name), state_of(ours)
    with pytest.raises(CheckpointError, match=f"a {name} {rule}; min_share: needs 50.0%"):
        load_pretrained(ours, folder, transfer)
    assert same_keys(state_of(ours), before) == set(before)
    result = load_pretrained(ours, folder, transfer, min_share=0)
    stem = NETWORKS[name].input_key
    assert stem in dict(result.skipped)
    assert stem in result.missing
    if "channels" in there:
        assert result.share > 0.3


def test_an_encoder_that_the_network_has_not_is_refused(source: Source) -> None:
    net = torch.nn.Linear(3, 3)
    message = r"fits the given network in 0 of \d+ tensors and 0\.0% of its encoder's parameters"
    with pytest.raises(CheckpointError, match=message):
        load_pretrained(net, source[0], "encoder")


class Wrapped(Module):
    """As DistributedDataParallel holds its module."""

    def __init__(self, module: Module) -> None:
        super().__init__()
        self.module = module


@pytest.mark.parametrize("there", [False, True], ids=["plain source", "wrapped source"])
@pytest.mark.parametrize("here", [False, True], ids=["plain target", "wrapped target"])
def test_wrappers_do_not_matter(tmp_path: Path, there: bool, here: bool) -> None:
    theirs, ours = network(), network()
    # Not run, so that nothing is compiled; it puts _orig_mod before the keys.
    saved(tmp_path, Wrapped(torch.compile(theirs, backend="eager")) if there else theirs)
    target = torch.compile(Wrapped(ours), backend="eager") if here else ours
    result = load_pretrained(target, tmp_path)
    assert set(result.loaded) == set(ours.state_dict())
    assert same_keys(state_of(ours), state_of(theirs)) == set(ours.state_dict())


def test_a_run_stands_for_its_latest_checkpoint(tmp_path: Path) -> None:
    nets = [network(), network()]
    for step, net in enumerate(nets):
        saved(tmp_path, net, step=step)
    target = network()
    load_pretrained(target, str(tmp_path))
    assert same_keys(state_of(target), state_of(nets[1])) == set(target.state_dict())


def test_a_file_needs_its_card(source: Source, tmp_path: Path) -> None:
    folder, weights = source
    file = tmp_path / "mine.safetensors"
    copy(folder / WEIGHTS, file)
    net = network()
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: needs its card\.json beside it"):
        load_pretrained(net, file)
    copy(folder / CARD, tmp_path)
    load_pretrained(net, file)
    assert same_keys(state_of(net), weights) == set(weights)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"mine\.safetensors: damaged"):
        load_pretrained(net, file)


def test_folders_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"card\.json: No such file"):
        load_pretrained(network(), tmp_path)
    with pytest.raises(CheckpointError, match=r"none: no such file or folder"):
        load_pretrained(network(), tmp_path / "none")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="has no whole checkpoint"):
        load_pretrained(network(), tmp_path)


def test_arguments_are_checked(source: Source) -> None:
    wrong: Any = "decoder"
    message = r"^transfer: must be one of all, encoder, all_but_head, got 'decoder'$"
    with pytest.raises(ValueError, match=message):
        load_pretrained(network(), source[0], wrong)
    with pytest.raises(ValueError, match=r"^min_share: must lie in 0\.\.1, got 50$"):
        load_pretrained(network(), source[0], min_share=50)


def test_the_report_reads_as_a_short_table(source: Source) -> None:
    lines = str(load_pretrained(network(classes=14), source[0])).splitlines()
    assert lines[0].split()[0] == "loaded"
    assert lines[0].endswith("100.0% of the network's parameters")
    assert lines[1] == "skipped     2 tensors of the checkpoint that did not fit"
    assert lines[2] == "  out.conv.conv.bias: (33,) in the checkpoint, (14,) in the network"
    assert lines[4] == "missing     2 tensors of the network, which are as they were"
    assert set(map(str.strip, lines[5:])) == HEAD
    many = str(load_pretrained(network(feature_size=24), source[0], min_share=0)).splitlines()
    assert len(many) < 40
    assert many[-1].startswith("  and ")


def test_exports_are_there_and_load_torch_only_on_use() -> None:
    assert all(hasattr(training, name) for name in training.__all__)
    script = "import sys, synthgen.training; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"

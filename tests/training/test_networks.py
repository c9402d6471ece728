"""The published networks, and shapes: what is refused is what the networks cannot take."""

import itertools
import json
import random
import sys

import pytest
import torch

from synthgen.training.networks import (
    NETWORKS,
    build_network,
    check_shape,
    network_arguments,
)

FITTING = {"swinunetr": (64, 32, 32), "unetr": (16, 32, 16)}


def tiny(name: str, shape: tuple[int, ...]) -> torch.nn.Module:
    """The tiny network for ``shape``, which need not fit."""
    arguments = network_arguments(name, "tiny", classes=3, shape=FITTING[name])
    if NETWORKS[name].sized:
        arguments["img_size"] = list(shape)
    return build_network(name, arguments)


def runs(name: str, shape: tuple[int, ...]) -> bool:
    try:
        with torch.no_grad():
            out = tiny(name, shape)(torch.zeros(1, 1, *shape))
    except (ValueError, RuntimeError):
        return False
    return tuple(out.shape) == (1, 3, *shape)


def fits(name: str, shape: tuple[int, ...]) -> bool:
    try:
        check_shape(name, shape)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    # As MONAI 1.6.1 builds them for the 13 organs of BTCV.
    [("swinunetr", 14, 62_187_296), ("unetr", 14, 92_802_478)],
)
def test_published_parameter_counts(name: str, classes: int, count: int) -> None:
    arguments = network_arguments(name, "published", classes=classes, shape=(96, 96, 96))
    network = build_network(name, arguments)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("swinunetr", (64, 32, 32)),
        ("swinunetr", (32, 32, 64)),
        ("swinunetr", (32, 32, 32)),
        ("swinunetr", (48, 32, 64)),
        ("swinunetr", (64, 16, 32)),
        ("unetr", (16, 16, 16)),
        ("unetr", (16, 48, 32)),
        ("unetr", (24, 16, 16)),
        ("unetr", (16, 16, 8)),
    ],
)
def test_the_rule_is_the_network_s(name: str, shape: tuple[int, ...]) -> None:
    assert fits(name, shape) == runs(name, shape)


@pytest.mark.parametrize(
    ("name", "shape", "nearest"),
    [
        ("swinunetr", (32, 32, 32), (64, 32, 32)),
        ("swinunetr", (40, 31, 46), (32, 32, 64)),
        ("unetr", (7, 24, 30), (16, 32, 32)),
    ],
)
def test_the_shape_that_is_suggested_runs(
    name: str, shape: tuple[int, ...], nearest: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=r"^shape: ") as error:
        check_shape(name, shape)
    message = str(error.value)
    assert f"divisible by {NETWORKS[name].divisor}" in message
    assert message.endswith(f"got {list(shape)}; the nearest is {list(nearest)}")
    assert runs(name, nearest)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_other_shape_is_nearer(name: str) -> None:
    sides = range(NETWORKS[name].divisor, 161, NETWORKS[name].divisor)
    fitting = [shape for shape in itertools.product(sides, repeat=3) if fits(name, shape)]
    draw = random.Random(0)
    for _ in range(200):
        shape = tuple(draw.randint(1, 140) for _ in range(3))
        if fits(name, shape):
            continue
        with pytest.raises(ValueError, match="the nearest is") as error:
            check_shape(name, shape)
        nearest = json.loads(str(error.value).rpartition("the nearest is ")[2])
        assert tuple(nearest) in fitting
        assert distance(shape, nearest) == min(distance(shape, other) for other in fitting)


def distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
def test_arguments_survive_json_and_build_the_same_network(name: str) -> None:
    arguments = network_arguments(name, "tiny", classes=5, shape=FITTING[name])
    read = json.loads(json.dumps(arguments))
    assert read == arguments
    one, other = build_network(name, arguments), build_network(name, read)
    other.load_state_dict(one.state_dict())
    volume = torch.randn(1, 1, *FITTING[name])
    with torch.no_grad():
        assert torch.equal(one(volume), other(volume))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_prefixes_tell_head_and_encoder_apart(name: str) -> None:
    kind = NETWORKS[name]
    keys = set(tiny(name, FITTING[name]).state_dict())
    for prefix in (*kind.head_prefixes, *kind.encoder_prefixes):
        assert any(key.startswith(prefix) for key in keys), prefix
    head = {key for key in keys if key.startswith(kind.head_prefixes)}
    encoder = {key for key in keys if key.startswith(kind.encoder_prefixes)}
    assert not head & encoder
    assert all(key.startswith("decoder") for key in keys - head - encoder)


@pytest.mark.parametrize("name", NETWORKS)
def test_only_the_head_depends_on_the_classes(name: str) -> None:
    shapes = []
    for classes in (3, 5):
        arguments = network_arguments(name, "tiny", classes=classes, shape=FITTING[name])
        state = build_network(name, arguments).state_dict()
        shapes.append({key: tensor.shape for key, tensor in state.items()})
    changed = {key for key, shape in shapes[0].items() if shape != shapes[1][key]}
    assert changed == {key for key in shapes[0] if key.startswith(NETWORKS[name].head_prefixes)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "vnet"}, "network: must be one of swinunetr, unetr, got 'vnet'"),
        ({"preset": "huge"}, "preset: must be one of published, tiny, got 'huge'"),
        ({"classes": 1}, "classes: must be at least 2, background included, got 1"),
        ({"shape": (64, 64)}, r"shape: needs 3 sides \(D, H, W\), got \[64, 64\]"),
    ],
)
def test_refusals_name_argument_rule_and_value(changes: dict[str, object], message: str) -> None:
    given = {"name": "unetr", "preset": "tiny", "classes": 3, "shape": (32, 32, 32), **changes}
    with pytest.raises(ValueError, match=f"^{message}$"):
        network_arguments(**given)


@pytest.mark.parametrize(
    "change", [{"feature_size": 13}, {"window": 4}, {"downsample": "none"}, {"num_heads": [3]}]
)
def test_arguments_of_a_foreign_card_are_refused_in_one_line(change: dict[str, object]) -> None:
    arguments = network_arguments("swinunetr", "tiny", classes=3, shape=(64, 32, 32))
    with pytest.raises(ValueError, match=r"^arguments: SwinUNETR refuses them: ") as error:
        build_network("swinunetr", arguments | change)
    assert "\n" not in str(error.value)


def test_a_missing_monai_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets.unetr", None)
    arguments = network_arguments("unetr", "tiny", classes=3, shape=(16, 16, 16))
    with pytest.raises(ImportError, match=r"unetr needs .* pip install 'synthgen\[train\]'"):
        build_network("unetr", arguments)

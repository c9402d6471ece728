"""Planes train networks of two dimensions; nothing else in a run knows of it."""

import json
import random
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import torch

from synthgen.recipe import Recipe
from synthgen.store import build
from synthgen.training.checkpoint import load
from synthgen.training.data import Generated, Ranks, Stored
from synthgen.training.errors import CheckpointError
from synthgen.training.networks import (
    NETWORKS,
    build_network,
    check_shape,
    is_planar,
    network_arguments,
)
from synthgen.training.run import pretrain
from synthgen.training.settings import PretrainSettings
from synthgen.training.transfer import load_pretrained
from tests.planes import planar_recipe
from tests.store.conftest import FakeGenerator
from tests.training.runs import StopsAt, settings_of, small_recipe, trained

PLANE = (1, 32, 16)


def fits(name: str, shape: tuple[int, ...]) -> bool:
    try:
        check_shape(name, shape)
    except ValueError:
        return False
    return True


def runs(name: str, shape: tuple[int, ...]) -> bool:
    arguments = network_arguments(name, "tiny", classes=3, shape=(1, 64, 32), channels=2)
    if NETWORKS[name].sized:
        arguments["img_size"] = list(shape[1:])
    network = build_network(name, arguments)
    try:
        with torch.no_grad():
            out = network(torch.zeros(2, 2, *shape[1:]))
    except (ValueError, RuntimeError):
        return False
    return tuple(out.shape) == (2, 3, *shape[1:])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_rule_of_planes_is_the_network_s(name: str) -> None:
    for height, width in product((16, 24, 32, 64), repeat=2):
        assert fits(name, (1, height, width)) == runs(name, (1, height, width)), (height, width)


@pytest.mark.parametrize(
    ("name", "shape", "nearest"),
    [
        ("swinunetr", (1, 32, 32), (1, 64, 32)),
        ("swinunetr", (1, 40, 70), (1, 32, 64)),
        ("swinunetr", (2, 64, 64), (32, 64, 64)),
        ("unetr", (1, 7, 30), (1, 16, 32)),
    ],
)
def test_planes_stay_planes(name: str, shape: tuple[int, ...], nearest: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^shape: .* needs sides") as error:
        check_shape(name, shape)
    assert str(error.value).endswith(f"got {list(shape)}; the nearest is {list(nearest)}")
    assert ("(1, H, W)" in str(error.value)) == is_planar(shape)
    check_shape(name, nearest)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_other_plane_is_nearer(name: str) -> None:
    sides = range(NETWORKS[name].divisor, 161, NETWORKS[name].divisor)
    fitting = [plane for plane in product((1,), sides, sides) if fits(name, plane)]
    draw = random.Random(0)
    for _ in range(100):
        shape = (1, draw.randint(1, 140), draw.randint(1, 140))
        if fits(name, shape):
            continue
        with pytest.raises(ValueError, match="the nearest is") as error:
            check_shape(name, shape)
        nearest = json.loads(str(error.value).rpartition("the nearest is ")[2])
        assert tuple(nearest) in fitting
        assert distance(shape, nearest) == min(distance(shape, other) for other in fitting)


def distance(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_input_s_weights_are_where_they_are_said_to_be(name: str, channels: int) -> None:
    for shape in ((1, 64, 32), (64, 32, 32)):
        arguments = network_arguments(name, "tiny", classes=3, shape=shape, channels=channels)
        assert arguments["spatial_dims"] == 3 - is_planar(shape)
        weights = build_network(name, arguments).state_dict()[NETWORKS[name].input_key]
        assert (weights.ndim, weights.shape[1]) == (5 - is_planar(shape), channels)


@pytest.mark.parametrize("preset", ["published", "tiny"])
@pytest.mark.parametrize("network", NETWORKS)
def test_presets_have_a_plane(network: str, preset: str) -> None:
    settings = PretrainSettings.of(network, preset, planar=True)
    assert is_planar(settings.shape)
    assert PretrainSettings.of(network, preset, planar=True, shape=(1, 96, 64)).shape == (1, 96, 64)
    assert not is_planar(PretrainSettings.of(network, preset).shape)


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes take longer to start than these runs."""
    monkeypatch.setattr("synthgen.training.data.STORE_WORKERS_HIGH", 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Volumes of several slices, of which patches are single ones."""
    out = tmp_path_factory.mktemp("store") / "store"
    recipe = small_recipe().at_shape((24, 40, 18))
    build(recipe, out, count=8, seed=5, shard_size=4, validation=0.3, device="cpu")
    return out


@pytest.mark.parametrize("augment", [False, True])
def test_a_network_is_trained_on_slices_of_a_store(
    store: Path, tmp_path: Path, augment: bool
) -> None:
    settings = settings_of(shape=PLANE, steps=4, validate_every=2, augment=augment)
    volumes = Stored(store, settings)
    (batch, _), *_ = islice(volumes.training(0, Ranks(0, 1, torch.device("cpu"))), 1)
    assert batch["image"].shape == batch["label"].shape == (2, 1, *PLANE)
    trained(tmp_path, settings, StopsAt(2), volumes=volumes)
    done = trained(tmp_path, settings, volumes=Stored(store, settings))
    assert (done.step, done.finished) == (4, True)
    card = load(done.checkpoint).card
    assert card.arguments["spatial_dims"] == 2
    assert card.arguments["img_size"] == list(PLANE[1:])
    assert card.shape == PLANE


@pytest.fixture
def coloured() -> Recipe:
    """Planes of two channels."""
    return planar_recipe().replace(appearance__channels=2)


def test_planes_of_several_channels_in_a_store(coloured: Recipe, tmp_path: Path) -> None:
    assert coloured.channels == 2
    fake = FakeGenerator(coloured, channels=2, prompts=4)
    build(coloured, tmp_path / "store", count=6, validation=0.4, generator=fake)
    settings = settings_of(shape=PLANE, steps=2, validate_every=2, augment=True)
    done = trained(tmp_path / "run", settings, volumes=Stored(tmp_path / "store", settings))
    card = load(done.checkpoint).card
    assert card.arguments["in_channels"] == 2
    net = build_network("unetr", card.arguments)
    load_pretrained(net, done.checkpoint)
    with torch.no_grad():
        assert net(torch.zeros(1, 2, *PLANE[1:])).shape == (1, coloured.num_classes, *PLANE[1:])
    alone = network_arguments("unetr", "tiny", classes=3, shape=PLANE, channels=1)
    with pytest.raises(CheckpointError, match="of input channels 2, and the given network has 1"):
        load_pretrained(build_network("unetr", alone), done.checkpoint)


@pytest.mark.parametrize("augment", [False, True])
def test_planes_that_are_made_as_it_trains(coloured: Recipe, tmp_path: Path, augment: bool) -> None:
    settings = settings_of(shape=PLANE, steps=3, validate_every=3, augment=augment)
    done = trained(tmp_path / "run", settings, volumes=Generated(coloured, settings))
    assert done.finished
    card = load(done.checkpoint).card
    assert card.recipe["prompts"]
    assert (card.arguments["in_channels"], card.arguments["spatial_dims"]) == (2, 2)
    assert done.dice is not None


def test_a_store_that_is_not_of_its_recipe(coloured: Recipe, tmp_path: Path) -> None:
    fake = FakeGenerator(coloured, channels=3)
    build(coloured, tmp_path / "store", count=4, validation=0.4, generator=fake)
    with pytest.raises(ValueError, match=r"^store: its recipe makes images of 2 channels, .* 3;"):
        Stored(tmp_path / "store", settings_of(shape=PLANE))


def test_a_store_of_planes_has_no_slices(coloured: Recipe, tmp_path: Path) -> None:
    build(coloured, tmp_path / "store", count=4, generator=FakeGenerator(coloured, channels=2))
    rule = (
        r"^shape: synthfm has planes of \[1, 48, 40\], and needs one of \(1, H, W\); "
        r"unetr would have 3 dimensions, got \[16, 32, 16\]$"
    )
    with pytest.raises(ValueError, match=rule):
        Stored(tmp_path / "store", settings_of())
    with pytest.raises(ValueError, match=r"^shape: synthfm has planes"):
        Generated(coloured, settings_of())


def test_the_shape_is_by_default_one_of_planes(coloured: Recipe, tmp_path: Path) -> None:
    """So that nothing but the recipe or the store has to be named."""
    build(coloured, tmp_path / "store", count=4, generator=FakeGenerator(coloured, channels=2))
    asked: dict[str, Any] = {"network": "unetr", "device": "cpu", "preset": "tiny"}
    with pytest.raises(
        ValueError, match=r"^patch_size: .* \(1, 48, 40\) voxels, got \(1, 64, 64\)$"
    ):
        pretrain(tmp_path / "run", store=tmp_path / "store", **asked)
    done = pretrain(
        tmp_path / "run", store=tmp_path / "store", shape=PLANE, steps=1, batch_size=2, **asked
    )
    assert load(done.checkpoint).card.shape == PLANE


def test_volumes_and_input_have_as_many_dimensions() -> None:
    settings: Any = settings_of(shape=PLANE)
    rule = (
        r"^shape: avs-db-16 has volumes of \[96, 96, 96\], and needs D > 1; "
        r"unetr would have 2 dimensions, got \[1, 32, 16\]$"
    )
    with pytest.raises(ValueError, match=rule):
        Generated(small_recipe(), settings)

"""Volumes of a run: which train, which validate, and where a run goes on."""

from itertools import islice

import numpy as np
import pytest
import torch

from synthgen.dataset import VolumeDataset
from synthgen.engine import Generator
from synthgen.store import StoreError, build
from synthgen.training.data import Generated, Ranks, Stored
from tests.training.runs import SHAPE, settings_of, small_recipe

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, CPU)


def indices(batches):
    return [n for batch in batches for n in batch["index"].tolist()]


def taken(volumes, first, ranks, steps):
    pairs = list(islice(volumes.training(first, ranks), steps))
    return indices(batch for batch, _ in pairs), pairs[-1][1]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Ten volumes, larger than the input, of which the last three are held out."""
    out = tmp_path_factory.mktemp("store") / "store"
    recipe = small_recipe().at_shape((24, 40, 18))
    build(recipe, out, count=10, seed=5, shard_size=4, validation=0.3, device="cpu")
    return out


def test_generated_volumes_are_held_out_or_trained_on():
    settings = settings_of(validation=3, batch_size=2)
    volumes = Generated(small_recipe(), settings)
    assert indices(volumes.validation(ALONE)) == [0, 1, 2]
    assert taken(volumes, volumes.first, ALONE, 3) == ([3, 4, 5, 6, 7, 8], 9)
    (batch, _), *_ = islice(volumes.training(9, ALONE), 1)
    expected = Generator(volumes.recipe, seed=settings.seed, device="cpu").batch([9, 10])
    np.testing.assert_array_equal(batch["label"], expected.label)


def test_a_finite_set_is_gone_through_in_new_orders():
    volumes = Generated(small_recipe(), settings_of(validation=3, batch_size=2, volumes=4))
    numbers, following = taken(volumes, volumes.first, ALONE, 4)
    assert sorted(numbers[:4]) == sorted(numbers[4:]) == [3, 4, 5, 6]
    assert following == 8
    assert taken(volumes, 6, ALONE, 1)[0] == numbers[6:]


def test_ranks_share_generated_volumes():
    volumes = Generated(small_recipe(), settings_of(validation=3, batch_size=2))
    ranks = [Ranks(rank, 2, CPU) for rank in range(2)]
    assert [taken(volumes, 3, rank, 1) for rank in ranks] == [([3, 4], 7), ([5, 6], 7)]
    assert [indices(volumes.validation(rank)) for rank in ranks] == [[0, 2], [1]]
    assert indices(volumes.validation(Ranks(3, 4, CPU))) == []


def test_a_store_is_split_as_it_says(store):
    volumes = Stored(store, settings_of(validation=3, batch_size=2))
    held_out = indices(volumes.validation(ALONE))
    trained, following = taken(volumes, volumes.first, ALONE, 7)
    assert held_out == [7, 8, 9]
    assert sorted(trained[:7]) == sorted(trained[7:]) == list(range(7))
    assert following == 14


def test_a_store_may_hold_out_fewer_than_are_asked_for(store):
    volumes = Stored(store, settings_of(validation=16))
    assert indices(volumes.validation(ALONE)) == [7, 8, 9]


def test_a_store_s_patches_are_those_of_their_sample(store):
    settings = settings_of(validation=3, batch_size=2)
    volumes = Stored(store, settings)
    pairs = list(islice(volumes.training(0, ALONE), 3))
    (again, following), *_ = islice(volumes.training(pairs[1][1], ALONE), 1)
    assert following == pairs[2][1]
    for name in ("image", "label", "index"):
        assert torch.equal(again[name], pairs[2][0][name])
    assert again["image"].shape == (2, 1, *SHAPE)
    first, second = (next(iter(volumes.validation(ALONE)))["image"] for _ in range(2))
    assert torch.equal(first, second)
    plain = VolumeDataset(store, split="training", patch_size=SHAPE, seed=settings.seed)
    item = plain[(int(again["index"][0]), 4)]
    assert torch.equal(item["label"].as_subclass(torch.Tensor), again["label"][0])


def test_stores_that_do_not_do(store, tmp_path):
    with pytest.raises(ValueError, match="volumes: a store has its own, got 4"):
        Stored(store, settings_of(volumes=4))
    with pytest.raises(ValueError, match="patch_size"):
        Stored(store, settings_of(shape=(32, 32, 16)))
    with pytest.raises(StoreError, match="nowhere"):
        Stored(tmp_path / "nowhere", settings_of())

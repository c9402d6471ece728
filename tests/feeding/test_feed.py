"""The feed: what it yields are the engine's volumes, and stay so."""

import gc
import os
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

import synthgen
from synthgen.feeding.buffers import Buffers
from synthgen.recipe import load_recipe

SHAPE = (17, 40, 24)


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("avs-db").at_shape(SHAPE)


def volumes(recipe, indices, seed=0):
    return synthgen.Generator(recipe, seed=seed, device="cpu").batch(indices)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_are_the_engine_s_volumes_and_stay_valid(recipe, batch_size, device):
    feed = synthgen.feed(recipe, batch_size=batch_size, seed=5, device=device, normalize=None)
    kept = list(islice(feed, 12))
    for number, batch in enumerate(kept):
        indices = range(number * batch_size, (number + 1) * batch_size)
        expected = volumes(recipe, indices, seed=5)
        assert batch["index"].tolist() == list(indices)
        assert batch["image"].dtype == batch["label"].dtype == torch.uint8
        assert batch["image"].device.type == batch["label"].device.type == device
        np.testing.assert_array_equal(batch["image"].cpu(), expected.image)
        np.testing.assert_array_equal(batch["label"].cpu(), expected.label)


def test_volumes_of_a_bank_are_fed_as_they_are():
    anatomy = load_recipe("fake-it-right").replace(shapes__digest=None).resolved().at_shape(SHAPE)
    feed = synthgen.feed(anatomy, batch_size=2, seed=5, device="cpu", normalize=None)
    for number, batch in enumerate(islice(feed, 2)):
        expected = volumes(anatomy, [2 * number, 2 * number + 1], seed=5)
        np.testing.assert_array_equal(batch["image"], expected.image)
        np.testing.assert_array_equal(batch["label"], expected.label)
        assert batch["label"].any()


def test_memory_is_used_again_once_nobody_holds_it():
    buffers = Buffers()
    first = buffers.empty((3, 4), "float32")
    tensor = torch.from_numpy(first)[1:]
    address = first.ctypes.data
    del first
    assert buffers.empty((3, 4), "float32").ctypes.data != address, "a tensor still holds it"
    del tensor
    assert buffers.empty((6, 2), "int32").ctypes.data == address


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_two_thousand_steps_take_no_memory():
    feed = iter(synthgen.feed(load_recipe("avs-db").at_shape((16, 16, 16)), batch_size=4))

    def resident():
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    for _ in islice(feed, 200):
        pass
    before = resident()
    for _ in islice(feed, 2000):
        pass
    # A batch of 4 is 112 KiB: any one kept of 100 would show.
    assert resident() - before < 2 * 2**20


def test_unit_intensities(recipe):
    (batch,) = islice(synthgen.feed(recipe, batch_size=2, device="cpu"), 1)
    raw = volumes(recipe, range(2)).image
    assert batch["image"].dtype == torch.float32
    np.testing.assert_array_equal(batch["image"], raw.astype(np.float32) / 128)


@pytest.mark.parametrize("image_dtype", ["uint8", "float16", "float32"])
def test_zscore_is_that_of_monai(recipe, image_dtype):
    transforms = pytest.importorskip("monai.transforms")
    noisy = recipe.replace(image_dtype=image_dtype, appearance__noise=[20, 40])
    (batch,) = islice(synthgen.feed(noisy, batch_size=2, device="cpu", normalize="zscore"), 1)
    for image, raw in zip(batch["image"], volumes(noisy, range(2)).image, strict=True):
        expected = transforms.NormalizeIntensity()(torch.from_numpy(raw.astype(np.float32)))
        torch.testing.assert_close(image, expected.as_tensor(), rtol=1e-5, atol=1e-5)
        assert abs(float(image.double().mean())) < 1e-6
        assert abs(float(image.double().std(correction=0)) - 1) < 1e-6


def test_axes_xyz_are_the_same_volume_turned(recipe):
    (ours,) = islice(synthgen.feed(recipe, batch_size=2, device="cpu"), 1)
    (theirs,) = islice(synthgen.feed(recipe, batch_size=2, device="cpu", axes="xyz"), 1)
    for name in ("image", "label"):
        assert theirs[name].shape[2:] == SHAPE[::-1]
        assert theirs[name].is_contiguous()
        assert torch.equal(theirs[name].permute(0, 1, 4, 3, 2), ours[name])


def test_labels_above_255_classes_are_of_a_type_that_torch_computes_with(recipe):
    wide = recipe.replace(label_dtype="uint16")
    (batch,) = islice(synthgen.feed(wide, batch_size=1, device="cpu"), 1)
    assert batch["label"].dtype == torch.int32
    np.testing.assert_array_equal(batch["label"], volumes(wide, [0]).label)


def test_ranks_share_steps_and_any_number_of_them_resumes(recipe):
    ranks = [synthgen.feed(recipe, batch_size=2, device="cpu", rank=rank, world_size=3, start=10)
             for rank in range(3)]  # fmt: skip
    seen = []
    for batches in islice(zip(*ranks, strict=True), 2):
        seen += torch.cat([batch["index"] for batch in batches]).tolist()
    states = [feed.state_dict() for feed in ranks]
    assert states == [{"next_sample": 22}] * 3
    alone = synthgen.feed(recipe, batch_size=5, device="cpu")
    alone.load_state_dict(states[0])
    seen += next(iter(alone))["index"].tolist()
    assert seen == list(range(10, 27))


def test_a_finite_set_is_gone_through_pass_by_pass(recipe):
    feed = synthgen.feed(recipe, batch_size=2, device="cpu", indices=range(100, 105), shuffle=True)
    assert len(feed) == 2
    passes = [torch.cat([batch["index"] for batch in feed]).tolist() for _ in range(3)]
    assert feed.state_dict() == {"next_sample": 15}
    for seen in passes:
        assert len(set(seen)) == 4
        assert set(seen) <= set(range(100, 105))
    assert passes[0] != passes[1]
    resumed = synthgen.feed(recipe, batch_size=2, device="cpu", indices=range(100, 105),
                            shuffle=True, start=7)  # fmt: skip
    assert [batch["index"].tolist() for batch in resumed] == [passes[1][2:]]


def test_the_last_batch_may_be_smaller(recipe):
    feed = synthgen.feed(recipe, batch_size=3, device="cpu", indices=[4, 9, 2, 6], drop_last=False)
    assert len(feed) == 2
    assert [batch["index"].tolist() for batch in feed] == [[4, 9, 2], [6]]


@pytest.mark.parametrize(("changes", "rule"), [
    ({"batch_size": 0}, "batch_size: must be at least 1, got 0"),
    ({"rank": 1}, "rank: must lie in 0..0, got 1"),
    ({"seed": -1}, "seed: must be a whole number"),
    ({"start": -1}, "start: must lie in 0..2\\^63 - 1, got -1"),
    ({"device": "tpu"}, "device: must be auto, cpu, cuda or cuda:N, got 'tpu'"),
    ({"normalize": "max"}, "normalize: must be unit, zscore or None, got 'max'"),
    ({"axes": "zxy"}, "axes: must be zyx or xyz, got 'zxy'"),
    ({"indices": range(3), "batch_size": 4}, "3 volumes make no full step of 4"),
    ({"shuffle": True}, "shuffle: needs a finite set"),
    ({"indices": range(3), "world_size": 2, "drop_last": False}, "drop_last: must be true"),
    ({"indices": [3, -1]}, "indices: must lie in 0..2\\^63 - 1, got -1"),
    ({"indices": [2**63]}, "indices: must lie in 0..2\\^63 - 1, got 9223372036854775808"),
    ({"recipe": "nothing"}, "nothing"),
])  # fmt: skip
def test_bad_arguments_are_refused_at_once(recipe, changes, rule):
    arguments = {"recipe": recipe, "batch_size": 1, "device": "cpu", **changes}
    with pytest.raises(ValueError, match=rule):
        synthgen.feed(arguments.pop("recipe"), **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_that_is_not_there_is_refused(recipe):
    with pytest.raises(RuntimeError, match="torch sees no CUDA device"):
        synthgen.feed(recipe, batch_size=1, device="cuda")


def test_the_length_of_a_feed_without_end(recipe):
    with pytest.raises(TypeError, match="no length"):
        len(synthgen.feed(recipe, batch_size=1, device="cpu"))

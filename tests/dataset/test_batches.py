"""Batches of samples: the training loop's order, from any sample on, for any rank."""

from itertools import islice
from typing import Any

import pytest
import torch
import zarr
from torch.utils.data import DataLoader

from synthgen.dataset import Sample, SampleBatches, VolumeDataset
from synthgen.samples import Samples, Share
from tests.dataset.conftest import COUNT, PATCH

SAMPLES = Samples(range(7), shuffle=True, seed=9)


def flat(batches: Any) -> list[Sample]:
    return [sample for batch in batches for sample in batch]


def test_samples_are_those_of_the_sequence() -> None:
    batches = list(islice(SampleBatches(SAMPLES, Share(3), first=5), 6))
    assert [len(batch) for batch in batches] == [3] * 6
    assert [sample.draw for sample in flat(batches)] == list(range(5, 23))
    assert [sample.index for sample in flat(batches)] == SAMPLES.volumes(5, 23).tolist()


def test_resumes_from_one_integer() -> None:
    batches = SampleBatches(SAMPLES, Share(2))
    expected = list(islice(batches, 8))
    batches.first = 3 * batches.share.step
    assert list(islice(batches, 5)) == expected[3:]


def test_ranks_share_each_step() -> None:
    alone = list(islice(SampleBatches(SAMPLES, Share(4)), 5))
    ranks = [list(islice(SampleBatches(SAMPLES, Share(2, rank, 2)), 5)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*ranks, strict=True)] == alone


def test_a_pass() -> None:
    def draws(**settings: Any) -> list[list[int]]:
        batches = SampleBatches(SAMPLES, endless=False, **settings)
        return [[sample.draw for sample in batch] for batch in batches]

    assert draws(share=Share(3), first=7) == [[7, 8, 9], [10, 11, 12], [13]]
    # The last step has one sample, for the first of two ranks.
    assert [draws(share=Share(3, rank, 2)) for rank in (0, 1)] == [[[0, 1, 2], [6]], [[3, 4, 5]]]


@pytest.mark.parametrize("workers", [0, 2])
def test_patches_of_a_loader_are_those_of_the_samples(source: Any, workers: int) -> None:
    dataset = VolumeDataset(source, patch_size=PATCH, seed=4)
    samples = Samples(range(len(dataset)), shuffle=True, seed=4)
    order = SampleBatches(samples, Share(2), first=3)
    loader = DataLoader(dataset, batch_sampler=order, num_workers=workers, timeout=60 * workers)
    for batch, wanted in zip(islice(loader, 4), order, strict=False):
        items = [dataset[sample] for sample in wanted]
        for name in ("image", "label"):
            expected = torch.stack([item[name].as_tensor() for item in items])
            assert torch.equal(batch[name].as_tensor(), expected)
        assert batch["index"].tolist() == [sample.index for sample in wanted]


def test_places_beyond_the_data_set_are_refused(generated: zarr.Group) -> None:
    loader = DataLoader(VolumeDataset(generated), batch_sampler=SampleBatches(Samples(), Share(4)))
    with pytest.raises(IndexError, match=f"^index: .*, got {COUNT}"):
        list(loader)

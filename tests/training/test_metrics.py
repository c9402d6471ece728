"""Dice against MONAI's, and what has none."""

import pytest
import torch
from monai.metrics.meandice import DiceMetric
from monai.networks.utils import one_hot

from synthgen.training.metrics import dice_sum


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_is_monai_s(seed):
    generator = torch.Generator().manual_seed(seed)
    # Few voxels of many classes: some are in neither, in one, or in both.
    prediction, reference = torch.randint(0, 9, (2, 4, 1, 3, 2, 2), generator=generator)
    metric = DiceMetric(include_background=False, reduction="none")
    expected = metric(one_hot(prediction, 9), one_hot(reference, 9))
    sums = dice_sum(prediction, reference, 9)
    assert sums.present == expected.isfinite().sum()
    assert sums.absent == expected.isnan().sum() > 0
    assert float(sums.dice / sums.present) == pytest.approx(float(expected.nanmean()))


def test_classes_that_are_not_there():
    reference = torch.tensor([[0, 1, 1, 0]])
    sums = dice_sum(torch.tensor([[2, 1, 0, 0]]), reference, 4)
    assert [float(value) for value in sums] == [pytest.approx(2 / 3), 1, 2, 1]
    missed = dice_sum(torch.zeros(1, 4, dtype=torch.uint8), reference, 4)
    assert [float(value) for value in missed] == [0, 1, 2, 0]

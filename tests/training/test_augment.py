"""Augmentation: image and label stay together, and nothing else changes."""

import pytest
import torch

from synthgen.training.augment import augmented


def batch(shape):
    label = torch.arange(4 * shape[0] * shape[1] * shape[2]).reshape(4, 1, *shape)
    return label.float(), label


@pytest.mark.parametrize("shape", [(5, 7, 7), (4, 6, 9)], ids=str)
def test_voxels_keep_their_label(shape):
    image, label = batch(shape)
    moved = 0
    for seed in range(40):
        torch.manual_seed(seed)
        new_image, new_label = augmented(image, label)
        for image_of_one, label_of_one, old in zip(new_image, new_label, label, strict=True):
            scale = (image_of_one - image_of_one.min()).max() / (old.max() - old.min())
            assert 0.9 <= scale <= 1.1
            expected = (label_of_one - old.min()) * scale + image_of_one.min()
            torch.testing.assert_close(image_of_one, expected, rtol=1e-5, atol=1e-2)
            assert torch.equal(label_of_one.flatten().sort().values, old.flatten())
            moved += not torch.equal(label_of_one, old)
    # Flips 1 - 0.8^3, turns 0.2: about 0.59 of 160; 40 deviations of 0.04 would be a fault.
    assert 70 < moved < 120


def test_arguments_are_as_they_were_and_draws_repeat():
    image, label = batch((4, 4, 4))
    kept = image.clone(), label.clone()
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(augmented(image, label))
    assert torch.equal(image, kept[0])
    assert torch.equal(label, kept[1])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))

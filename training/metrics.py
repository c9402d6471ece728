"""Dice of label maps, with the empty cases kept apart, and their accuracy."""

from typing import NamedTuple

import torch
from torch import Tensor


class DiceSum(NamedTuple):
    """Sums over pairs of volume and foreground class; sums of ranks add up.

    Attributes:
        dice: of the pairs whose reference holds the class; a miss is 0.
        present: number of these pairs.
        absent: pairs whose reference lacks the class.
        invented: those of them whose prediction holds it; they have no Dice.
    """

    dice: Tensor
    present: Tensor
    absent: Tensor
    invented: Tensor


def dice_sum(prediction: Tensor, reference: Tensor, classes: int) -> DiceSum:
    """Dice 2 |P & R| / (|P| + |R|) of each volume and foreground class.

    The mean over present pairs is MONAI's DiceMetric without background.

    Args:
        prediction, reference: (B, ...) of label values, integers.
        classes: label values, background included.
    """
    shared, predicted, expected = (
        torch.stack([_counts(volume, classes) for volume in volumes])
        for volumes in (
            [p[p == r] for p, r in zip(prediction, reference, strict=True)],
            prediction,
            reference,
        )
    )
    present = expected > 0
    dice = 2 * shared / (predicted + expected).clamp_min(1)
    return DiceSum(
        dice=dice[present].sum(dtype=torch.float64),
        present=present.sum(),
        absent=(~present).sum(),
        invented=(~present & (predicted > 0)).sum(),
    )


class AccuracySum(NamedTuple):
    """Sums over voxels; sums of ranks add up.

    Attributes:
        right: predicted as they are labelled.
        voxels: (classes,) of each class, background included.
    """

    right: Tensor
    voxels: Tensor


def accuracy_sum(prediction: Tensor, reference: Tensor, classes: int) -> AccuracySum:
    """Voxels that are right, and those that a guess of one class would have right.

    Arguments are those of ``dice_sum``.
    """
    voxels = torch.bincount(reference.flatten().long(), minlength=classes)
    return AccuracySum((prediction == reference).sum(), voxels)


def _counts(values: Tensor, classes: int) -> Tensor:
    """Voxels of each foreground class."""
    return torch.bincount(values.flatten().long(), minlength=classes)[1:].double()

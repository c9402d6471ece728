"""Augmentation of batches, image and label alike, on the device that trains.

The kinds and their probabilities are those of MONAI's scripts for BTCV, with which PrimGeoSeg's
networks are fine-tuned: flips 0.2 an axis, turns by 90 degrees 0.2, intensity times 0.9 .. 1.1 and
plus -0.1 .. 0.1, each 0.1. Noise that is drawn by the recipe is better drawn there.
"""

from torch import Tensor, flip, rand, rot90

FLIP, TURN, SCALE, SHIFT = 0.2, 0.2, 0.1, 0.1
_AXES = (1, 2, 3)  # of one volume (C, D, H, W)


def augmented(image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """New tensors, each volume changed by torch's random numbers.

    Args:
        image: (B, C, D, H, W) float.
        label: (B, T, D, H, W).
    """
    image, label = image.clone(), label.clone()
    # Drawn on the host, so that nothing waits for the device.
    for volume, labels, draws in zip(image, label, rand(len(image), 9).tolist(), strict=True):
        turns = int(draws[4] * 3) + 1 if draws[3] < TURN else 0
        axes = [axis for axis, draw in zip(_AXES, draws, strict=False) if draw < FLIP]
        for tensor in (volume, labels):
            tensor.copy_(_turned(flip(tensor, axes), turns))
        if draws[5] < SCALE:
            volume *= 1 + 0.2 * (draws[6] - 0.5)
        if draws[7] < SHIFT:
            volume += 0.2 * (draws[8] - 0.5)
    return image, label


def _turned(volume: Tensor, turns: int) -> Tensor:
    """Turned in the plane of the slices; by 180 degrees at most where it is not square."""
    square = volume.shape[2] == volume.shape[3]
    return rot90(volume, turns if square else 2 * (turns // 2), (2, 3))

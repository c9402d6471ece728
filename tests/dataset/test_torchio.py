"""TorchIO as README.md shows it keeps image and label aligned."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthgen import VolumeDataset
from tests.dataset.conftest import COUNT, VALIDATION


def test_torchio_keeps_image_and_label_aligned(path: Path) -> None:
    tio = pytest.importorskip("torchio")

    def subject(item: dict[str, Any]) -> Any:
        image, label = item["image"], item["label"]
        return tio.Subject(
            image=tio.ScalarImage(tensor=image.as_tensor(), affine=image.affine),
            label=tio.LabelMap(tensor=label.as_tensor(), affine=label.affine),
        )

    flip = tio.RandomFlip(axes=("LR",), flip_probability=1)
    volumes = VolumeDataset(path, axes="xyz", transform=tio.Compose([subject, flip]))
    (batch,) = tio.SubjectsLoader(volumes, batch_size=COUNT)
    subjects = [subject(item) for item in VolumeDataset(path, axes="xyz", split="validation")]
    held_out = tio.SubjectsDataset(subjects, transform=flip)

    plain = VolumeDataset(path, axes="xyz")
    first = COUNT - VALIDATION
    assert len(held_out) == VALIDATION
    for name in ("image", "label"):
        for place in range(COUNT):
            flipped = plain[place][name].as_tensor().flip(1)
            assert torch.equal(batch[name]["data"][place], flipped)
            if place >= first:
                assert torch.equal(held_out[place - first][name].data, flipped)
    found = held_out[0]["image"]
    assert found.orientation == ("R", "A", "S")
    np.testing.assert_array_equal(found.affine, plain[first]["image"].affine)

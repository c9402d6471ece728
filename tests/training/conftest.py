"""Cards and tiny networks."""

import os
from typing import Any

import pytest
import torch

from synthgen.training.checkpoint import Card

# More threads than free cores slow small networks down by far.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
torch.set_num_threads(1)


def card_of(step: int, **changes: Any) -> Card:
    values: dict[str, Any] = {
        "recipe": {"name": "mine", "placement": {"kind": "overlap", "ratio": 0.1}},
        "recipe_digest": "d" * 64,
        "seed": 2**64 - 1,
        "source": {"kind": "generated"},
        "step": step,
        "next_sample": 8 * step,
        "network": "swinunetr",
        "arguments": {"in_channels": 1, "depths": [2, 2, 2, 2]},
        "class_names": ("background", "ball"),
        "normalize": "unit",
        "spacing": (2.0, 1.0, 0.1),
        "shape": (64, 32, 32),
        "settings": {"learning_rate": 1e-4, "steps": 100},
        "metrics": {"loss": 0.25, "dice": float("nan")},
        "versions": {"torch": "2.13.0"},
    }
    return Card(**values | changes)


@pytest.fixture
def card() -> Card:
    return card_of(7)

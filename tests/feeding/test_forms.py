"""What a feed yields of planes, of several channels and of prompts."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

import synthgen
from synthgen.engine import Batch
from synthgen.kernels.prompt_records import PromptRow
from synthgen.recipe import Recipe
from tests.planes import PLANE, planar_recipe
from tests.store.conftest import FakeGenerator

CHANNELS, LABELS = 3, 4


class Source(FakeGenerator):
    """Writes into memory of another library, as the engine does."""

    default_batch_size = 4

    def empty(self, indices: Any, allocate: Any = None) -> Batch:
        made = super().empty(indices)
        if allocate is None:
            return made
        names = ("image", "label", "placed", *(["prompts"] if self.prompts else []))
        arrays = {name: getattr(made, name) for name in names}
        tensors = {name: allocate(a.shape, str(a.dtype)) for name, a in arrays.items()}
        return Batch(index=made.index, **tensors)

    def fill(self, batch: Batch, stream: Any = None) -> Batch:
        made = super().fill(super().empty(batch.index))
        for name in ("image", "label", "prompts"):
            if getattr(batch, name) is not None:
                getattr(batch, name).copy_(torch.from_numpy(getattr(made, name)))
        return batch


@pytest.fixture(scope="module")
def plane() -> Recipe:
    return planar_recipe()


def fed(recipe: Recipe, prompts: int = LABELS, **arguments: Any) -> Any:
    feed = synthgen.feed(recipe, batch_size=2, device="cpu", **arguments)
    feed.generator = Source(recipe, 0, channels=CHANNELS, prompts=prompts)  # type: ignore[assignment]
    return feed


def test_batches_are_what_was_made(plane: Recipe) -> None:
    expected = FakeGenerator(plane, 0, channels=CHANNELS, prompts=LABELS).batch(range(8))
    kept = list(islice(fed(plane, normalize=None), 4))
    for name in ("image", "label", "prompts"):
        found = torch.cat([batch[name] for batch in kept])
        np.testing.assert_array_equal(found, getattr(expected, name))
    assert kept[0]["image"].shape == (2, CHANNELS, *PLANE)
    assert kept[0]["prompts"].dtype == torch.int32


def test_the_other_order_of_axes(plane: Recipe) -> None:
    expected = FakeGenerator(plane, 0, channels=CHANNELS, prompts=LABELS).batch([0, 1])
    batch = next(iter(fed(plane, normalize=None, axes="xyz")))
    assert batch["image"].shape == (2, CHANNELS, *PLANE[::-1])
    np.testing.assert_array_equal(batch["image"], expected.image.transpose(0, 1, 4, 3, 2))
    rows, turned = expected.prompts, batch["prompts"].numpy()
    assert rows is not None
    np.testing.assert_array_equal(turned[..., : PromptRow.BOX], rows[..., : PromptRow.BOX])
    for start in range(int(PromptRow.BOX), int(PromptRow.SIZE), 3):
        voxel = rows[..., start : start + 3]
        np.testing.assert_array_equal(turned[..., start : start + 3], voxel[..., ::-1])


def test_channels_are_normalised_one_by_one(plane: Recipe) -> None:
    image = FakeGenerator(plane, 0, channels=CHANNELS).batch([0, 1]).image.astype(np.float64)
    batch = next(iter(fed(plane, normalize="zscore")))
    axes = (2, 3, 4)
    expected = (image - image.mean(axes, keepdims=True)) / image.std(axes, keepdims=True)
    np.testing.assert_allclose(batch["image"], expected, atol=1e-5)


def test_without_prompts_there_is_no_such_key(plane: Recipe) -> None:
    assert next(iter(fed(plane, prompts=0))).keys() == {"image", "label", "index"}


def test_planes_of_the_engine(plane: Recipe) -> None:
    """Whole steps and what is left of a pass."""
    feed = synthgen.feed(
        plane, batch_size=2, device="cpu", normalize=None, indices=range(3), drop_last=False
    )
    made = synthgen.Generator(plane, device="cpu").batch(range(3))
    found = list(feed)
    assert [len(batch["index"]) for batch in found] == [2, 1]
    assert made.prompts is not None
    for name in ("image", "label", "prompts"):
        np.testing.assert_array_equal(
            torch.cat([batch[name] for batch in found]), getattr(made, name)
        )

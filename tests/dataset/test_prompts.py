"""Prompts of items: those of the store, in the order of axes, and what a patch leaves of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import default_collate

from synthgen.dataset import Sample, VolumeDataset
from synthgen.kernels.prompt_records import PromptRow
from synthgen.recipe import Recipe
from synthgen.store import build
from synthgen.store.generated import GeneratedStore
from synthgen.tensors import ordered_prompts, prompts_of_patch
from tests.dataset.conftest import SHAPE
from tests.store.conftest import FakeGenerator

LABELS = 4
CLICKS = (PromptRow.SIZE - PromptRow.POSITIVE) // 3


def asked_of(label: Any, rng: np.random.Generator, whole: bool) -> Any:
    """True boxes of the label values 1 .. 4 and some clicks, in one slice or in the volume."""
    rows = np.full((LABELS, PromptRow.SIZE), -1, np.int32)
    for row, value in zip(rows, range(1, LABELS + 1), strict=True):
        voxels = np.argwhere(label == value)
        row[PromptRow.VOXELS] = len(voxels)
        if not len(voxels):
            continue
        if not whole:
            row[PromptRow.SLICE] = z = rng.choice(voxels[:, 0])
            voxels = voxels[voxels[:, 0] == z]
        row[PromptRow.BOX : PromptRow.POSITIVE] = [*voxels.min(0), *voxels.max(0)]
        clicks = rng.choice(voxels, 3)
        row[PromptRow.POSITIVE : PromptRow.POSITIVE + 9] = clicks.reshape(-1)
    return rows


class AskingGenerator(FakeGenerator):
    """Of true boxes and clicks, of slices at even indices and of volumes at odd ones."""

    def fill(self, batch: Any) -> Any:
        super().fill(batch)
        for place, index in enumerate(map(int, batch.index)):
            rng = np.random.default_rng(index)
            batch.prompts[place] = asked_of(batch.label[place, 0], rng, bool(index % 2))
        return batch


@pytest.fixture(scope="module")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("asked") / "store"
    build(recipe, out, count=4, generator=AskingGenerator(recipe, 3, channels=2, prompts=LABELS))
    return out


@pytest.fixture(params=["built", "generated"])
def source(request: pytest.FixtureRequest, recipe: Recipe, store: Path) -> Any:
    if request.param == "built":
        return store
    generator: Any = AskingGenerator(recipe, 3, channels=2, prompts=LABELS)
    return zarr.open_group(GeneratedStore(generator, 4, 1), mode="r")


def test_items_have_the_prompts_of_the_store(source: Any, store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    dataset = VolumeDataset(source, normalize=None)
    for place in range(4):
        item = dataset[place]
        assert item["prompts"].dtype == torch.int32
        assert type(item["prompts"]) is torch.Tensor
        np.testing.assert_array_equal(item["prompts"], group["prompts"][place])
        np.testing.assert_array_equal(item["image"], group["image"][place])
        item["prompts"] += 1
        np.testing.assert_array_equal(dataset[place]["prompts"], group["prompts"][place])
    batch = default_collate([dataset[0], dataset[1]])
    assert batch["prompts"].shape == (2, LABELS, PromptRow.SIZE)


@pytest.mark.parametrize("patch_size", [None, (9, 16, 19), (1, 33, 19)])
def test_clicks_are_in_their_label_in_either_order(store: Path, patch_size: Any) -> None:
    found = 0
    for axes, order in (("zyx", slice(None)), ("xyz", slice(None, None, -1))):
        dataset = VolumeDataset(store, axes=axes, patch_size=patch_size)  # type: ignore[arg-type]
        for sample in (Sample(place, draw) for place in range(4) for draw in range(4)):
            item = dataset[sample]
            label = item["label"][0].numpy()
            for value, row in enumerate(item["prompts"].numpy(), 1):
                assert row[PromptRow.VOXELS] == (label == value).sum()
                low, high, *clicks = row[PromptRow.BOX :].reshape(-1, 3)
                if (low < 0).any():
                    assert (row[1:] == -1).all()
                    continue
                assert (low <= high).all()
                assert (high < label.shape).all()
                z = low[order][0]
                assert row[PromptRow.SLICE] == (z if item["index"] % 2 == 0 else -1)
                for click in (click for click in clicks if click[0] >= 0):
                    assert label[tuple(click)] == value
                    assert ((low <= click) & (click <= high)).all()
                    found += 1
    assert found > 10


def test_the_other_order_turns_voxels_alone() -> None:
    rows = torch.arange(2 * int(PromptRow.SIZE)).reshape(2, -1)
    turned = ordered_prompts(rows, "xyz")
    assert torch.equal(ordered_prompts(rows, "zyx"), rows)
    assert turned[0].tolist()[:8] == [0, 1, 4, 3, 2, 7, 6, 5]
    assert torch.equal(ordered_prompts(turned, "xyz"), rows)
    assert torch.equal(turned[:, :2], rows[:, :2])


def reference(prompts: Any, first: Any, label: Any) -> Any:
    """The same, row by row."""
    rows = []
    for value, row in enumerate(prompts.tolist(), 1):
        made = [-1] * int(PromptRow.SIZE)
        made[PromptRow.VOXELS] = int((label == value).sum())
        corners = [
            [row[PromptRow.BOX + 3 * end + axis] - first[axis] for axis in range(3)]
            for end in (0, 1)
        ]
        low = [max(0, side) for side in corners[0]]
        high = [min(s - 1, side) for s, side in zip(label.shape, corners[1], strict=True)]
        empty = any(a > b for a, b in zip(low, high, strict=True))
        if made[PromptRow.VOXELS] and row[PromptRow.BOX] >= 0 and not empty:
            made[PromptRow.BOX : PromptRow.POSITIVE] = low + high
            if row[PromptRow.SLICE] >= 0:
                made[PromptRow.SLICE] = row[PromptRow.SLICE] - first[0]
            for start in range(int(PromptRow.POSITIVE), int(PromptRow.SIZE), 3):
                click = [row[start + axis] - first[axis] for axis in range(3)]
                if row[start] >= 0 and all(
                    0 <= c < s for c, s in zip(click, label.shape, strict=True)
                ):
                    made[start : start + 3] = click
        rows.append(made)
    return np.array(rows)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), whole=st.booleans(), planar=st.booleans())
def test_what_a_patch_leaves(seed: int, whole: bool, planar: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = np.array([1 if planar else 7, 9, 5])
    label = rng.integers(0, LABELS + 1, shape) * (rng.random(shape) < rng.random()).astype(int)
    prompts = asked_of(label, rng, whole)
    size = [int(rng.integers(1, side + 1)) for side in shape]
    first = [int(rng.integers(0, side - s + 1)) for side, s in zip(shape, size, strict=True)]
    patch = label[tuple(slice(f, f + s) for f, s in zip(first, size, strict=True))]
    found = prompts_of_patch(prompts, first, patch.astype(np.uint8))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, reference(prompts, first, patch))
    whole_again = prompts_of_patch(prompts, (0, 0, 0), label.astype(np.uint8))
    np.testing.assert_array_equal(whole_again, prompts)


def test_several_channels_are_normalised_one_by_one(store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    for patch_size in (None, (9, 16, 19)):
        item = VolumeDataset(store, normalize="zscore", patch_size=patch_size)[Sample(1, 2)]
        plain = VolumeDataset(store, normalize=None, patch_size=patch_size)[Sample(1, 2)]
        voxels = group["image"][1].astype(np.float64)
        for channel in range(2):
            mean, std = voxels[channel].mean(), voxels[channel].std()
            expected = (plain["image"][channel].numpy() - mean) / std
            np.testing.assert_allclose(item["image"][channel], expected, atol=1e-5)
    assert item["image"].shape == (2, 9, 16, 19)
    assert voxels.shape == (2, *SHAPE)

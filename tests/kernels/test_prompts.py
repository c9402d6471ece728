"""Prompts: what holds for every label map, distributions, CUDA's source and its twin."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthgen.backend.calls.prompts import prompts_calls
from synthgen.kernels.prompt_records import PROMPT_CLICKS_MAX, LabelSlice, PromptRow
from synthgen.labels.prompts import Prompts
from tests.host_cuda import needs_compiler
from tests.kernels.called import by_cpu, by_cuda

SLICES = ["any", "largest", "first", "whole"]
VALUES = 6
MANY = {"positive": PROMPT_CLICKS_MAX, "negative": PROMPT_CLICKS_MAX}


def calls_for(labels, prompts, values=VALUES):
    """Calls and outputs for (B, T, D, H, W) labels."""
    plan = SimpleNamespace(
        shape=labels.shape[2:], label_shape=labels.shape[1:], label_dtype=labels.dtype.name
    )
    tables = prompts.tables(values)
    return prompts_calls(plan, tables), {"prompts": (tables.shape, "int32")}


def asked(labels, prompts, indices=None, values=VALUES):
    """(B, K, PromptRow.SIZE)."""
    indices = range(len(labels)) if indices is None else indices
    found = by_cpu(*calls_for(labels, prompts, values), indices, {"label": labels})
    return found["prompts"]


def blobs(seed, shape, tasks=1, dtype=np.uint8):
    """A label map of boxes, one over the other; not all values are there."""
    random = np.random.default_rng(seed)
    label = np.zeros((tasks, *shape), dtype)
    for task in label:
        for value in random.permutation(VALUES - 1)[: random.integers(0, VALUES)] + 1:
            low = [random.integers(0, side) for side in shape]
            high = [random.integers(a, side) + 1 for a, side in zip(low, shape, strict=True)]
            part = task[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
            part[random.random(part.shape) < random.choice([0.05, 0.5, 1])] = value
    return label


shapes = st.tuples(st.sampled_from([1, 2, 5, 16]), st.integers(16, 40), st.integers(16, 70))
all_prompts = st.builds(
    Prompts,
    positive=st.integers(0, PROMPT_CLICKS_MAX),
    negative=st.integers(0, PROMPT_CLICKS_MAX),
    margin=st.integers(0, 8),
    box_jitter=st.sampled_from([0.0, 0.05, 0.5]),
    slice=st.sampled_from(SLICES),
)


def clicks(row, first, count):
    return row[first : first + 3 * PROMPT_CLICKS_MAX].reshape(-1, 3)[:count]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), shape=shapes, prompts=all_prompts)
def test_what_holds_for_every_label_map(seed, shape, prompts):
    label = blobs(seed, shape)[None]
    (rows,) = asked(label, prompts, [seed])
    for value, row in enumerate(rows, 1):
        own = label[0, 0] == value
        assert row[PromptRow.VOXELS] == own.sum()
        if not own.any():
            assert (row[1:] == -1).all()
            continue
        z = row[PromptRow.SLICE]
        check_slice(own, prompts.slice, z)
        scope = np.zeros_like(own)
        scope[z if z >= 0 else slice(None)] = True
        low, high = (np.argwhere(own & scope).min(0), np.argwhere(own & scope).max(0))
        box_low, box_high = row[PromptRow.BOX :][:3], row[PromptRow.BOX + 3 :][:3]
        assert (box_low >= 0).all()
        assert (box_high < shape).all()
        assert (box_low <= box_high).all()
        inside_box = tuple(slice(a, b + 1) for a, b in zip(box_low, box_high, strict=True))
        assert (own & scope)[inside_box].any()
        most = np.floor((high - low + 1) * prompts.box_jitter + 1e-6)
        if z >= 0:
            most[0] = 0
        assert (np.abs(box_low - low) <= most).all()
        assert (np.abs(box_high - high) <= most).all()

        positive = clicks(row, PromptRow.POSITIVE, PROMPT_CLICKS_MAX)
        assert (positive[prompts.positive :] == -1).all()
        for click in positive[: prompts.positive]:
            assert (own & scope)[tuple(click)]
        if prompts.positive:
            assert ((box_low <= positive[0]) & (positive[0] <= box_high)).all()
        margin = np.array([prompts.margin if z < 0 else 0, prompts.margin, prompts.margin])
        first, last = np.maximum(low - margin, 0), np.minimum(high + margin, np.array(shape) - 1)
        about = np.zeros_like(own)
        about[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = True
        candidates = about & scope & ~own
        negative = clicks(row, PromptRow.NEGATIVE, PROMPT_CLICKS_MAX)
        assert (negative[prompts.negative :] == -1).all()
        for click in negative[: prompts.negative]:
            if candidates.any():
                assert candidates[tuple(click)]
            else:
                assert (click == -1).all()


def check_slice(own, which, z):
    counts = own.sum((1, 2))
    if which == "whole":
        assert z == -1
    elif which == "largest":
        assert z == counts.argmax()
    elif which == "first":
        assert z == np.flatnonzero(counts)[0]
    else:
        assert counts[z] > 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_slices_are_measured(dtype):
    labels = np.stack([blobs(seed, (5, 33, 47), dtype=dtype) for seed in range(8)])
    table = by_cpu(*calls_for(labels, Prompts()), range(8), {"label": labels})["shown"]
    for b, value, z in np.ndindex(8, VALUES - 1, 5):
        row, at = table[b, value, z], np.argwhere(labels[b, 0, z] == value + 1)
        assert row[LabelSlice.VOXELS] == len(at)
        if len(at):
            (y0, x0), (y1, x1) = at.min(0), at.max(0)
            assert row[LabelSlice.Y_LOW :].tolist() == [y0, y1, x0, x1]


def test_one_voxel():
    label = np.zeros((1, 1, 1, 20, 20), np.uint8)
    label[0, 0, 0, 3, 19] = 2
    prompts = Prompts(positive=2, negative=2, margin=0, box_jitter=0.5)
    (rows,) = asked(label, prompts, values=3)
    assert rows[0].tolist() == [0, *[-1] * 55]
    expected = [1, 0, 0, 3, 19, 0, 3, 19, *[0, 3, 19] * 2, *[-1] * 42]
    assert rows[1].tolist() == expected


def test_a_structure_that_fills_the_volume():
    label = np.ones((1, 1, 16, 17, 18), np.uint8)
    (rows,) = asked(label, Prompts(slice="whole", box_jitter=0.0), values=2)
    assert rows[0, : PromptRow.POSITIVE].tolist() == [16 * 17 * 18, -1, 0, 0, 0, 15, 16, 17]
    assert (rows[0, PromptRow.NEGATIVE :] == -1).all()


def agrees(values, count):
    """Whole numbers 0 .. count - 1 are each as likely."""
    assert stats.chisquare(np.bincount(values, minlength=count)).pvalue > 1e-4


def test_clicks_are_uniform():
    random = np.random.default_rng(5)
    label = (random.random((1, 1, 3, 16, 16)) < 0.1).astype(np.uint8)
    label = np.pad(label, ((0, 0), (0, 0), (1, 1), (9, 9), (9, 9)))
    prompts = Prompts(**MANY, margin=1, slice="whole")
    labels = np.broadcast_to(label, (700, *label.shape[1:])).copy()
    rows = asked(labels, prompts, values=2)[:, 0]
    own = label[0, 0] == 1
    low, high = np.argwhere(own).min(0) - 1, np.argwhere(own).max(0) + 2
    about = np.zeros_like(own)
    about[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    for first, candidates in (
        (PromptRow.POSITIVE, own), (PromptRow.NEGATIVE, about & ~own)
    ):  # fmt: skip
        found = rows[:, first : first + 3 * PROMPT_CLICKS_MAX].reshape(-1, 3)
        numbers = np.cumsum(candidates.ravel()) - 1
        places = numbers[np.ravel_multi_index(found.T, own.shape)]
        agrees(places, int(candidates.sum()))
    together = rows[:, PromptRow.POSITIVE :].reshape(-1, 3)[: 2 * 700 * 8].reshape(700, -1, 3)
    assert len(np.unique(together[:, 0], axis=0)) > 30  # the draws of volumes differ


def test_slices_and_jitter_are_uniform():
    label = np.zeros((1, 1, 12, 80, 90), np.uint8)
    label[0, 0, 3:9:2, 20:60, 10:70] = 1
    labels = np.broadcast_to(label, (1500, *label.shape[1:])).copy()
    rows = asked(labels, Prompts(box_jitter=0.1), values=2)[:, 0]
    agrees((rows[:, PromptRow.SLICE] - 3) // 2, 3)
    y0, x0, y1, x1 = rows[:, PromptRow.BOX :].T[[1, 2, 4, 5]]
    inner = rows[:, PromptRow.POSITIVE + 1], rows[:, PromptRow.POSITIVE + 2]
    # Where the click lies deep inside, no box had to be widened for it.
    deep = (inner[0] > 24) & (inner[0] < 55) & (inner[1] > 16) & (inner[1] < 63)
    for ends, middle, most in ((y0, 20, 4), (y1, 59, 4), (x0, 10, 6), (x1, 69, 6)):
        agrees(ends[deep] - middle + most, 2 * most + 1)


def test_only_the_first_task_is_asked_for():
    labels = np.stack([blobs(seed, (6, 20, 30), tasks=3) for seed in range(3)])
    alone = np.ascontiguousarray(labels[:, :1])
    np.testing.assert_array_equal(asked(labels, Prompts()), asked(alone, Prompts()))


def test_scaling_keeps_a_margin():
    from fractions import Fraction

    assert Prompts().scaled(Fraction(1, 100)).margin == 1
    assert Prompts(margin=0).scaled(Fraction(2)).margin == 0
    assert Prompts().scaled(Fraction(100)).margin == 64


@needs_compiler
@pytest.mark.parametrize("which", SLICES)
@pytest.mark.parametrize(("shape", "tasks"), [((5, 33, 70), 1), ((1, 40, 17), 2)])
def test_cuda_gives_the_same_prompts(which, shape, tasks):
    labels = np.stack([blobs(seed, shape, tasks) for seed in range(6)])
    check_twins(labels, Prompts(**MANY, slice=which, box_jitter=0.3), order=2)


@needs_compiler
def test_cuda_stays_within_its_arrays():
    labels = np.stack([blobs(seed, (3, 17, 35), dtype=np.uint16) for seed in range(3)])
    check_twins(labels, Prompts(slice="whole"), sanitize=True)


def check_twins(labels, prompts, **options):
    calls, indices = calls_for(labels, prompts), [*range(len(labels) - 1), 2**63 + 5]
    cpu = by_cpu(*calls, indices, {"label": labels})
    cuda = by_cuda(*calls, indices, {"label": labels}, **options)
    np.testing.assert_array_equal(cuda["shown"][..., 0], cpu["shown"][..., 0])
    np.testing.assert_array_equal(cuda["prompts"], cpu["prompts"])

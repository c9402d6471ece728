"""One sequence of samples, whatever the ranks, the resume points and the passes."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgen.kernels.streams import Stream
from synthgen.rng import random_words
from synthgen.samples import Samples, Share, steps

SIZES = st.integers(1, 5)


def taken(first, count, batch_size, world_size, drop_last, many):
    """Samples of the first steps, of each those of all ranks one after the other; and the steps."""
    shares = [Share(batch_size, rank, world_size) for rank in range(world_size)]
    made = list(islice(steps(first, count, shares[0], drop_last), many))
    return [n for step in made for share in shares for n in range(*share.of_step(*step))], len(made)


@given(first=st.integers(0, 2**40), batch_size=SIZES, world_size=SIZES, later=SIZES)
def test_any_number_of_ranks_goes_on_with_the_same_sequence(first, batch_size, world_size, later):
    before, _ = taken(first, None, batch_size, world_size, True, 3)
    after, _ = taken(before[-1] + 1, None, batch_size, later, True, 2)
    together = before + after
    assert together == list(range(first, first + len(together)))


@given(count=st.integers(1, 40), first=st.integers(0, 100), batch_size=SIZES, world_size=SIZES,
       drop_last=st.booleans())  # fmt: skip
def test_a_pass_ends_where_the_set_ends(count, first, batch_size, world_size, drop_last):
    numbers, made = taken(first, count, batch_size, world_size, drop_last, 100)
    left = (first // count + 1) * count - first
    full = left // (batch_size * world_size)
    whole = full * batch_size * world_size
    assert made == (full if drop_last or whole == left else full + 1)
    assert numbers == list(range(first, first + (whole if drop_last else left)))


@given(count=st.integers(1, 50), seed=st.integers(0, 2**64 - 1), number=st.integers(0, 2**30))
def test_shuffled_passes_take_each_volume_once(count, seed, number):
    samples = Samples(range(7, 7 + count), shuffle=True, seed=seed)
    volumes = samples.volumes(number * count, (number + 1) * count)
    assert sorted(volumes.tolist()) == list(range(7, 7 + count))
    middle = number * count + count // 2
    parts = samples.volumes(number * count, middle), samples.volumes(middle, (number + 1) * count)
    assert np.array_equal(np.concatenate(parts), volumes)


def test_orders_differ_between_passes_and_seeds_and_are_pinned():
    first, second = (Samples(range(8), True, 3).volumes(8 * n, 8 * n + 8).tolist() for n in (0, 1))
    other = Samples(range(8), True, 4).volumes(0, 8).tolist()
    assert first != second
    assert first != other
    for number, order in enumerate((first, second)):
        words = random_words(3, number, Stream.ORDER, np.arange(8)).tolist()
        assert order == sorted(range(8), key=lambda place: words[place][:2])
    # What a resumed run rests on: it never changes.
    assert first == [0, 3, 6, 5, 7, 2, 4, 1]


def test_samples_across_passes():
    assert Samples([5, 3, 9]).volumes(2, 8).tolist() == [9, 5, 3, 9, 5, 3]
    assert Samples().volumes(2**62, 2**62 + 2).tolist() == [2**62, 2**62 + 1]


@pytest.mark.parametrize(("make", "rule"), [
    (lambda: Samples(shuffle=True), "shuffle: needs a finite set"),
    (lambda: Samples([]), "indices: must not be empty"),
    (lambda: Share(0), "batch_size: must be at least 1, got 0"),
    (lambda: Share(1, 0, 0), "world_size: must be at least 1, got 0"),
    (lambda: Share(1, 2, 2), "rank: must lie in 0..1, got 2"),
])  # fmt: skip
def test_bad_numbers(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()

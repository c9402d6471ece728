"""Philox in its three forms, and that no two draws share a counter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgen.kernels.records import PROPOSALS_MAX, SAMPLE_DRAWS, VERTICES_MAX
from synthgen.kernels.scene_records import SDF_DRAWS
from synthgen.kernels.sdf_records import SDF_CORNERS_MAX
from synthgen.kernels.streams import Stream
from synthgen.recipe import RecipeError, load_recipe
from synthgen.rng import DRAWS_MAX, STREAMS_MAX, pack_counter, philox4x32, random_words
from tests.host_cuda import needs_compiler
from tests.kernels.leaves import LEAVES, Draw
from tests.kernels.test_leaf_functions import run_c, run_numba

LEAF = {leaf.name: leaf for leaf in LEAVES}

# Random123's kat_vectors for philox4x32-10: counter, key, output.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def hex_words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


def host_philox(columns: np.ndarray) -> np.ndarray:
    return np.stack([philox4x32(c[:4], c[4:]) for c in columns.T.astype(np.uint32)], -1).astype(
        np.int64
    )


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(host_philox, id="host"),
        pytest.param(lambda columns: run_numba(LEAF["philox4x32"], columns), id="numba"),
        pytest.param(lambda c: run_c(LEAF["philox4x32"], c), id="cuda", marks=needs_compiler),
    ],
)
def test_known_answers(form):
    columns = np.array([hex_words(c) + hex_words(k) for c, k, _ in KNOWN_ANSWERS], np.int64).T
    assert form(np.ascontiguousarray(columns)).T.tolist() == [
        hex_words(output) for _, _, output in KNOWN_ANSWERS
    ]


def test_host_words_equal_the_kernels_words():
    seed, stream = 0xFEDCBA9876543210, Stream.NOISE
    draw = Draw(5000)
    index, number = draw.words(64).view(np.uint64), draw.words(48).view(np.uint64)
    fixed = np.array([[seed], [stream]], np.uint64).repeat(5000, 1)
    columns = np.stack([fixed[0], index, fixed[1], number])
    expected = run_numba(LEAF["random_words"], columns.view(np.int64))
    assert np.array_equal(random_words(seed, index, stream, number).T, expected)


def test_host_words_broadcast():
    words = random_words(7, np.arange(3)[:, None], Stream.PLACEMENT, np.arange(5))
    assert words.shape == (3, 5, 4)
    assert np.array_equal(words[2, 4], random_words(7, 2, Stream.PLACEMENT, 4))


@given(
    index=st.integers(0, 2**64 - 1),
    stream=st.integers(0, STREAMS_MAX - 1),
    draw=st.integers(0, DRAWS_MAX - 1),
)
def test_a_counter_tells_index_stream_and_draw(index, stream, draw):
    """Unpacking recovers all three, so no two share a counter; Philox is a bijection of those."""
    c0, c1, c2, c3 = (int(word) for word in pack_counter(index, stream, draw))
    assert (c3 << 32 | c2, c1 >> 16, (c1 & 0xFFFF) << 32 | c0) == (index, stream, draw)


@pytest.mark.parametrize(("stream", "draw"), [(0, DRAWS_MAX), (STREAMS_MAX, 0), (-1, 0)])
def test_a_counter_that_would_alias_is_refused(stream, draw):
    with pytest.raises(ValueError, match="below 2\\^48"):
        pack_counter(0, stream, draw)


def test_streams_are_pinned_and_distinct():
    """Codes are part of the format: a stream may be added, none renumbered."""
    assert {name: int(code) for name, code in Stream.__members__.items()} == {
        "POLYGON_STACK": 0,
        "PLACEMENT": 1,
        "NOISE_AMPLITUDE": 2,
        "NOISE": 3,
        "SDF": 4,
        "ANATOMY": 5,
        "CHAIN": 6,
        "MASKS": 7,
        "PROMPTS": 8,
        "LABEL_MAP": 9,
        "FRACTAL": 10,
        "MIXTURE": 11,
        "PAIRS": 12,
        "ORDER": 0xFF00,
        "PATCH": 0xFF01,
        "AUGMENT": 0xFF02,
    }
    assert len({int(code) for code in Stream}) == len(Stream.__members__)
    assert max(Stream) < STREAMS_MAX


def test_no_two_draws_of_a_512_cube_share_a_counter():
    """Streams differ in the counter; within one, each use numbers its draws below 2^48."""
    voxels = 512**3
    assert voxels <= DRAWS_MAX  # NOISE: at most a draw a voxel
    objects = 2**31  # counted in int32
    assert objects * SAMPLE_DRAWS <= DRAWS_MAX
    assert objects * PROPOSALS_MAX <= DRAWS_MAX
    assert objects * SDF_DRAWS <= DRAWS_MAX
    # No object's draws run into those of the next one.
    header = 3
    assert header + -(-VERTICES_MAX // 2) <= SAMPLE_DRAWS
    second_part, corners = 16, 8
    assert corners + -(-SDF_CORNERS_MAX // 2) <= second_part
    assert second_part + corners + -(-SDF_CORNERS_MAX // 2) <= SDF_DRAWS
    with pytest.raises(RecipeError, match=r"placement\.tries"):
        load_recipe("avs-db").replace(placement__tries=PROPOSALS_MAX + 1)

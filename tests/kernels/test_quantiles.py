"""Tables of quantiles: the same on every machine, and the distributions that they are named for.

That CUDA's functions equal them is among the leaf functions."""

import math
from statistics import NormalDist

import numba
import numpy as np
import pytest
from scipy import stats

from synthgen.backend.source import assemble
from synthgen.kernels import quantiles

MIDDLES = (np.arange(quantiles.ENTRIES) + 0.5) / quantiles.ENTRIES
EXACT = {
    "NORMAL_QUANTILE": [quantiles.QUANTILE_ONE * NormalDist().inv_cdf(p) for p in MIDDLES],
    "GUMBEL_QUANTILE": [-quantiles.QUANTILE_ONE * math.log(-math.log(p)) for p in MIDDLES],
    "NEGATIVE_LOGARITHM": [-quantiles.LOGARITHM_ONE * math.log(0.5 + p / 2) for p in MIDDLES],
}


def called(function, words):
    """A function of every word, in 1/4096."""
    leaf = getattr(quantiles, function)

    @numba.njit
    def loop(words, out):
        for i in range(len(words)):
            out[i] = leaf(words[i])

    out = np.zeros(len(words), np.int64)
    loop(np.asarray(words, np.uint64), out)
    return out


def random_words(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2**32, count, np.uint64)


@pytest.mark.parametrize("name", EXACT)
def test_no_entry_is_near_a_rounding_tie(name):
    """So the tables do not depend on the platform's logarithm."""
    exact = EXACT[name]
    assert min(abs(abs(v - math.floor(v)) - 0.5) for v in exact) > 1e-6
    table = getattr(quantiles, name)
    assert table.dtype == np.int32
    assert table.tolist() == [round(v) for v in exact]


def test_tables_agree_with_scipy():
    assert np.allclose(EXACT["NORMAL_QUANTILE"], 4096 * stats.norm.ppf(MIDDLES), atol=1e-9)
    assert np.allclose(EXACT["GUMBEL_QUANTILE"], 4096 * stats.gumbel_r.ppf(MIDDLES), atol=1e-9)


def test_tables_reach_cuda():
    text = assemble("int f() { return NORMAL_QUANTILE[0] + GUMBEL_QUANTILE[0]; }", "f.cu")
    assert f"const int NORMAL_QUANTILE[4096] = {{{quantiles.NORMAL_QUANTILE[0]}, " in text
    assert "NEGATIVE_LOGARITHM[4096]" not in text


def test_normal_numbers():
    assert (quantiles.NORMAL_QUANTILE == -quantiles.NORMAL_QUANTILE[::-1]).all()
    values = called("normal", random_words(200_000)) / 4096
    assert stats.kstest(values, stats.norm.cdf).statistic < 1.95 / math.sqrt(200_000)
    assert (quantiles.NORMAL_QUANTILE / 4096).var() == pytest.approx(1, abs=2e-3)
    assert np.abs(values).max() < 3.67


def test_gumbel_numbers():
    values = called("gumbel", random_words(200_000)) / 4096
    assert stats.kstest(values, stats.gumbel_r.cdf).statistic < 1.95 / math.sqrt(200_000)


def test_negative_logarithms():
    words = random_words(200_000)
    values = called("negative_log", words)
    assert stats.kstest(values / 4096, stats.expon.cdf).statistic < 1.95 / math.sqrt(200_000)
    edges = np.array([1, 2, 3, 2**31 - 1, 2**31, 2**32 - 1, *(2**k for k in range(32))], np.uint64)
    for some in (words, edges):
        exact = -4096 * np.log(some / 2.0**32)
        # Half a rounding, the middle of an entry, and roundings of the entry and of log 2.
        assert np.abs(called("negative_log", some) - exact).max() < 0.5 + 0.5 + 0.1
    assert called("negative_log", [0]) == called("negative_log", [1])
    assert called("negative_log", [2**32 - 1]) == 0

"""Normal, Gumbel and exponential numbers from random words, by integer tables; twin of
``quantiles.cuh``.

Entry i of a table is the quantile of (i + 1/2) / 4096. No entry lies within 1e-9 of a rounding tie,
so any libm gives these tables.
"""

import math
from statistics import NormalDist

import numpy as np

from .jit import device

ENTRIES = 4096
QUANTILE_ONE = 4096  # of normal and Gumbel numbers and of negative logarithms
LOGARITHM_ONE = 65536  # of the table of logarithms
_LOG_TWO = np.int64(round(math.log(2) * LOGARITHM_ONE))


def _normal() -> list[int]:
    """Normal quantiles; the lower half mirrors the upper."""
    normal = NormalDist()
    upper = [
        round(QUANTILE_ONE * normal.inv_cdf((i + 0.5) / ENTRIES))
        for i in range(ENTRIES // 2, ENTRIES)
    ]
    return [*(-value for value in reversed(upper)), *upper]


def _gumbel() -> list[int]:
    return [round(-QUANTILE_ONE * math.log(-math.log((i + 0.5) / ENTRIES))) for i in range(ENTRIES)]


def _logarithm() -> list[int]:
    """Negative logarithms of numbers in 1/2 .. 1."""
    return [
        round(-LOGARITHM_ONE * math.log(0.5 + (i + 0.5) / (2 * ENTRIES))) for i in range(ENTRIES)
    ]


NORMAL_QUANTILE = np.array(_normal(), np.int32)
GUMBEL_QUANTILE = np.array(_gumbel(), np.int32)
NEGATIVE_LOGARITHM = np.array(_logarithm(), np.int32)

_LEADING_BIT, _ONE = np.uint64(1 << 31), np.uint64(1)
_ENTRY_SHIFT, _LOGARITHM_SHIFT = np.uint64(32 - 12), np.uint64(31 - 12)
_LAST_ENTRY = np.uint64(ENTRIES - 1)


@device
def normal(word):
    """Standard normal number in 1/4096, of a word's upper 12 bits; at most 3.67 in size."""
    return np.int64(NORMAL_QUANTILE[word >> _ENTRY_SHIFT])


@device
def gumbel(word):
    """Standard Gumbel number in 1/4096, of a word's upper 12 bits."""
    return np.int64(GUMBEL_QUANTILE[word >> _ENTRY_SHIFT])


@device
def negative_log(word):
    """-log(word / 2^32) in 1/4096, to 13 bits of the word; of 1 where the word is 0."""
    word = np.uint64(word | _ONE) if word == 0 else word
    zeros = np.int64(0)
    while word < _LEADING_BIT:
        word = word << _ONE
        zeros += 1
    entry = NEGATIVE_LOGARITHM[(word >> _LOGARITHM_SHIFT) & _LAST_ENTRY]
    return (zeros * _LOG_TWO + np.int64(entry) + 8) >> 4

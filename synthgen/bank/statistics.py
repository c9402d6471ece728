"""Where structures lie and how large they are, over several people."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIXED = 0.5  # share of the covariance between axes that is given up
_SLIDE = 0.10  # sd by which a structure may slide, in its own extent
_LEAST = 0.015  # sd of any position, in the body
_LOG_VOLUME_LEAST = 0.15  # sd
_ALONE = 2.0  # factor of the sd where one person shows nothing of it
_UNIT = 65536  # of a number that is kept


@dataclass(frozen=True)
class Statistics:
    """See the fields of ``Bank`` of the same names."""

    means: NDArray[np.float64]
    factors: NDArray[np.float64]
    log_volumes: NDArray[np.float64]


def statistics(
    centroids: NDArray[np.float64],
    extents: NDArray[np.float64],
    volumes: NDArray[np.float64],
    present: NDArray[np.bool_],
    body: NDArray[np.float64],
) -> Statistics:
    """Means and spreads, those of few people drawn toward what is plausible.

    Args:
        centroids: (S, C, 3), in parts of the body.
        extents: (S, C, 3), sides of the box, in parts of the body.
        volumes: (S, C), mm^3.
        present: (S, C); each structure at least once.
        body: (3,) mm.
    """
    structures = range(present.shape[1])
    spreads = [_spread(centroids[has, c], extents[has, c]) for c, has in _own(present)]
    means = np.stack([_mean(centroids[has, c]) for c, has in _own(present)])
    factors = np.stack([_factor(spreads[c]) for c in structures])
    logs = [_log_volume(volumes[has, c]) for c, has in _own(present)]
    return Statistics(
        rounded(means * body), rounded(factors * body[:, None]), rounded(np.array(logs))
    )


def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiples of 2^-16, so that the last bits of a library do not matter."""
    return np.asarray(np.rint(values * _UNIT) / _UNIT + 0.0)


def _own(present: NDArray[np.bool_]) -> list[tuple[int, NDArray[np.bool_]]]:
    """Each structure, with the people who have it."""
    return list(enumerate(present.T))


def _mean(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """One row after the other, as the order of a sum decides its last bit."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total = total + row
    return np.asarray(total / len(rows))


def _spread(centroids: NDArray[np.float64], extents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of a centroid, in parts of the body: shrunk, and widened by the extent."""
    slide = _mean(extents) * _SLIDE
    covariance = np.zeros((3, 3))
    if len(centroids) > 1:
        away = centroids - _mean(centroids)
        for row in away:
            covariance = covariance + row[:, None] * row
        covariance = covariance / (len(centroids) - 1)
        covariance = (1 - _MIXED) * covariance + _MIXED * np.diag(np.diag(covariance))
    else:
        slide = slide * _ALONE
    return np.asarray(covariance + np.diag(slide * slide) + _LEAST * _LEAST * np.eye(3))


def _factor(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower triangle L with L L^T = the covariance."""
    factor = np.zeros((3, 3))
    for i in range(3):
        for j in range(i + 1):
            left = float(covariance[i, j])
            for k in range(j):
                left -= float(factor[i, k]) * float(factor[j, k])
            factor[i, j] = math.sqrt(left) if i == j else left / float(factor[j, j])
    return factor


def _log_volume(volumes: NDArray[np.float64]) -> tuple[float, float]:
    logs = [math.log(float(volume)) for volume in volumes]
    mean = math.fsum(logs) / len(logs)
    if len(logs) == 1:
        return mean, _ALONE * _LOG_VOLUME_LEAST
    variance = math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1)
    return mean, max(math.sqrt(variance), _LOG_VOLUME_LEAST)

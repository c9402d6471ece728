"""Weights of a chain's filters, drawn for a volume and channel. Twin of ``sample_filters.cu``.

A blur has the weights of a Gaussian out to three standard deviations. A resolution takes samples
that are a random spacing apart, each the mean of a slice of random thickness, as a Gaussian about
it: its standard deviation is 0.75 times the thickness in voxels, times a random factor near 1. What
is not sampled anew is blurred by half a voxel. The samples lie symmetrically on a line.

References:
    Billot et al., "SynthSeg", doi:10.1016/j.media.2023.102789, and the public code of lab2im:
    ranges of spacing, thickness and factor, and the 0.75. There samples have no weights of their
    own: the volume is blurred, and its voxels nearest to the samples are taken.
"""

import numpy as np

from .appearance_records import (
    FILTER_SD_MAX,
    ChainPart,
    FilterLine,
    FilterSteps,
    Step,
    StepKind,
    StepSetting,
)
from .float_lanes import WIDTH, floor_of, fused, least, load, most, pointer, splat, steps, store
from .gaussian import first_draw
from .jit import apart, device, inlined, kernel
from .philox import bounded, random_words
from .real import HALF, ONE, ZERO, ceiling, power_of_two
from .scene import uniform, unit_float
from .streams import Stream

SD_LOW = np.float32(0.2)  # voxels; a blur of less leaves a line as it is
FACTOR_HIGH = np.float32(1.03)
_FACTOR_LOW = np.float32(1 / 1.03)
_SD_HIGH, _REACH = np.float32(FILTER_SD_MAX), np.float32(3)
_NATIVE, _PER_THICKNESS = np.float32(0.5), np.float32(0.75)
_HALF_LOG2_E = np.float32(0.5 / np.log(2))
_TWO = np.float32(2)

_STREAM, _PART = int(Stream.CHAIN), int(ChainPart.FILTER)
_BLUR, _KIND = int(StepKind.BLUR), int(StepSetting.KIND)
_A_LOW, _A_HIGH = int(StepSetting.A_LOW), int(StepSetting.A_HIGH)
_B_LOW, _B_HIGH = int(StepSetting.B_LOW), int(StepSetting.B_HIGH)
_SHARE, _ACTIVE, _COARSE = int(StepSetting.SHARE), int(Step.ACTIVE), int(Step.P)
_STEP, _WEIGHTS = int(FilterSteps.STEP), int(FilterSteps.WEIGHTS)
_RADIUS, _SAMPLES = int(FilterLine.RADIUS), int(FilterLine.SAMPLES)
_FIRST, _SPACING, _RATE = int(FilterLine.FIRST), int(FilterLine.SPACING), int(FilterLine.RATE)
_SIZE = int(FilterLine.SIZE)


@apart
def _words(seed, index, draw):
    return random_words(seed, index, _STREAM, draw)


@inlined
def _lay_blur(line, sd, weights):
    """A Gaussian's weights about a voxel, of one side and its middle, where ``sd`` is not small."""
    if sd < SD_LOW:
        return
    radius = int(ceiling(_REACH * sd))
    line[_RADIUS] = np.float32(radius)
    rate = -_HALF_LOG2_E / (sd * sd)
    weights[0] = ONE
    total = ONE
    for k in range(1, radius + 1):
        away = np.float32(k)
        weight = power_of_two(rate * (away * away))
        weights[k] = weight
        total = fused(_TWO, weight, total)
    for k in range(radius + 1):
        weights[k] = weights[k] / total


@inlined
def _lay_samples(line, side, spacing, sd, weights):
    """Where samples lie, and a Gaussian's weights about each.

    Args:
        line: (FilterLine.SIZE,) float32, written.
        side: voxels of a line.
        spacing: of the samples, more than 1 voxel.
        sd: voxels.
        weights: float32, written in whole lanes.
    """
    samples = int(floor_of(np.float32(side) / spacing + HALF))
    if samples < 1:
        samples = 1
    radius = int(ceiling(_REACH * sd))
    origin = fused(-HALF * np.float32(samples - 1), spacing, HALF * np.float32(side - 1))
    line[_RADIUS], line[_SAMPLES] = np.float32(radius), np.float32(samples)
    line[_FIRST], line[_SPACING], line[_RATE] = origin, spacing, ONE / spacing
    rate = -_HALF_LOG2_E / (sd * sd)
    stride, taps = (samples + WIDTH - 1) & -WIDTH, 2 * radius + 2
    for j in range(0, samples, WIDTH):
        place = fused(np.float32(j) + steps(), spacing, origin)
        first = floor_of(place) - np.float32(radius) - place
        total = splat(ZERO)
        for t in range(taps):
            away = first + np.float32(t)
            weight = power_of_two(rate * (away * away))
            store(weights, t * stride + j, weight)
            total = total + weight
        for t in range(taps):
            at = t * stride + j
            store(weights, at, load(weights, at) / total)


@device
def _blur_sd(row, axis, words):
    """Standard deviation of a blur along an axis, voxels."""
    if axis == 0 and row[_B_HIGH] >= ZERO:
        return uniform(words[1], row[_B_LOW], row[_B_HIGH])
    return uniform(words[0], row[_A_LOW], row[_A_HIGH])


@kernel
def sample_filters(
    settings, steps_of, spacing, drawn, seed, index, channel, shape, filters, weights
):
    """Draw the filters of a chain.

    Args:
        settings: (S, StepSetting.SIZE) float32.
        steps_of: (F, FilterSteps.SIZE) int32.
        spacing: (3,) float32, mm of a voxel along z, y, x.
        drawn: (S, Step.SIZE) float32.
        seed: uint64.
        index: uint64, of the volume.
        channel: of the image.
        shape: (D, H, W).
        filters: (F, 3, FilterLine.SIZE) float32, out.
        weights: float32, out; what no filter reads is left as it is.
    """
    for f in range(steps_of.shape[0]):
        step = int(steps_of[f, _STEP])
        row, own = pointer(settings, step * settings.shape[1]), drawn[step]
        draw = first_draw(channel, step, _PART)
        words = _words(seed, index, draw)
        spaced = _words(seed, index, draw + 1)
        thick = _words(seed, index, draw + 2)
        factors = _words(seed, index, draw + 3)
        blur = int(row[_KIND]) == _BLUR
        everywhere = unit_float(words[0]) < row[_SHARE]
        only = bounded(words[1], 0 if shape[0] > 1 else 1, 2)
        for axis in range(3):
            line = pointer(filters, (3 * f + axis) * _SIZE)
            for i in range(_SIZE):
                line[i] = ZERO
            side = shape[axis]
            if side == 1 or own[_ACTIVE] == ZERO:
                continue
            target = pointer(weights, np.int64(steps_of[f, _WEIGHTS + axis]))
            sd, coarser = ZERO, ONE
            if blur:
                sd = _blur_sd(row, axis, words)
            else:
                sd = _NATIVE
                if own[_COARSE] != ZERO and (everywhere or axis == only):
                    low = spacing[axis]
                    high = most(row[_A_HIGH] if everywhere else row[_B_HIGH], low)
                    found = uniform(spaced[axis], low, high)
                    coarser = found / low
                    if coarser > ONE:
                        sd = _PER_THICKNESS * (uniform(thick[axis], low, found) / low)
                sd = sd * uniform(factors[axis], _FACTOR_LOW, FACTOR_HIGH)
            sd = least(sd, _SD_HIGH)
            if coarser > ONE:
                _lay_samples(line, side, coarser, sd, target)
            else:
                _lay_blur(line, sd, target)

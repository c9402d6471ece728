"""Draws plane waves and lays their cosines and sines along the axes; twin of ``sample_waves.cu``.

A band's waves have frequencies in equal parts of its octaves, one in each, and amplitudes after its
power spectrum; directions are spread evenly over a cap of the sphere, phases over a turn. Bands of
a step share its variance of 1 by Dirichlet(1, ..., 1), which exponential numbers divided by their
sum are. So the expected variance of a step's waves is 1.

Draws of a step's waves: 2 k and 2 k + 1 of its band k, _FIRST_WAVE + i of its wave i.

References:
    L. Devroye, "Non-Uniform Random Variate Generation", Springer 1986, chapter XI.4.
    M. Shinozuka, G. Deodatis, "Simulation of stochastic processes by spectral representation",
    Applied Mechanics Reviews 44(4), 1991, doi:10.1115/1.3119501: random phases.
"""

import numpy as np

from .appearance_records import Band, ChainPart, Step
from .float_lanes import WIDTH, fused, most, pointer, root, splat, steps, store
from .gaussian import first_draw
from .jit import device, kernel
from .philox import random_words
from .real import (
    ONE,
    ZERO,
    cosine_of_turns,
    logarithm_of_two,
    power_of_two,
    sine_of_turns,
)
from .scene import uniform, unit_float
from .streams import Stream
from .waves import wave_stride

_STREAM, _PART, _ACTIVE = int(Stream.CHAIN), int(ChainPart.WAVES), int(Step.ACTIVE)
_STEP, _FIRST, _COUNT = int(Band.STEP), int(Band.FIRST), int(Band.COUNT)
_SLOPE_LOW, _SLOPE_HIGH = int(Band.SLOPE_LOW), int(Band.SLOPE_HIGH)
_CYCLES_LOW, _CYCLES_HIGH = int(Band.CYCLES_LOW), int(Band.CYCLES_HIGH)
_OCTAVES_LOW, _OCTAVES_HIGH = int(Band.OCTAVES_LOW), int(Band.OCTAVES_HIGH)
_CENTRE, _SHARPNESS, _SPREAD = int(Band.CENTRE), int(Band.SHARPNESS), int(Band.SPREAD)
_FIRST_WAVE = 64
_TWO, _THREE = np.float32(2), np.float32(3)
_LOG2_E, _HALF_STEP = np.float32(1.442695), np.float32(2.0**-25)  # of a uniform number
_LEAST = np.float32(2.0**-24)  # of an exponential number, so that no sum is 0


@device
def exponential(word):
    """Exponential number, in units of log(2)."""
    return most(-logarithm_of_two(unit_float(word) + _HALF_STEP), _LEAST)


@device
def octave_of(band, word, place):
    """log2(f / f0) of a band's wave ``place``."""
    share = (np.float32(place) + unit_float(word)) / band[_COUNT]
    return fused(band[_OCTAVES_HIGH] - band[_OCTAVES_LOW], share, band[_OCTAVES_LOW])


@device
def power_in_octave(band, slope, octave):
    """Variance of an octave of frequencies about one, to a factor."""
    off = band[_SHARPNESS] * (power_of_two(octave) - band[_CENTRE])
    return power_of_two(fused(_THREE + slope, octave, -(_LOG2_E * (off * off))))


@device
def cap_direction(axis_word, turn_word, spread, word, other):
    """A unit vector near a drawn axis.

    Args:
        axis_word: random, as ``turn_word``: of the axis.
        turn_word: see ``axis_word``.
        spread: 1 less the least cosine between the two.
        word: random, as ``other``: of the vector.
        other: see ``word``.
    """
    az = fused(_TWO, unit_float(axis_word), -ONE)
    ar = root(most(fused(-az, az, ONE), ZERO))
    turn = unit_float(turn_word)
    cosine, sine = cosine_of_turns(turn), sine_of_turns(turn)
    along = fused(-spread, unit_float(word), ONE)
    across = root(most(fused(-along, along, ONE), ZERO))
    turn = unit_float(other)
    one, two = across * cosine_of_turns(turn), across * sine_of_turns(turn)
    level = fused(along, ar, one * az)
    x = fused(level, cosine, -(two * sine))
    y = fused(level, sine, two * cosine)
    return fused(along, az, -(one * ar)), y, x


@device
def lay_axis(wave, stride, at, count, cycles, phase, amplitude):
    """Cosines and sines of a wave at positions 0, 1, ... along an axis.

    Args:
        wave: pointer to its (2, stride) tables, written; up to 15 behind each part are too.
        stride: ``wave_stride``.
        at: place of position 0.
        count: of positions.
        cycles: of the wave from one position to the next.
        phase: at position 0, turns.
        amplitude: see the tables of ``waves``.
    """
    for i in range(0, count, WIDTH):
        turns = fused(splat(cycles), steps() + np.float32(i), splat(phase))
        store(wave, at + i, amplitude * cosine_of_turns(turns))
        store(wave, stride + at + i, amplitude * sine_of_turns(turns))


@kernel
def sample_waves(bands, drawn, seed, index, channel, shape, waves):
    """Lay the tables of all waves whose step is taken.

    Args:
        bands: (K, Band.SIZE) float32.
        drawn: (S, Step.SIZE) float32.
        seed: uint64.
        index: uint64, of the volume.
        channel: int64.
        shape: (D, H, W).
        waves: (waves, 2, wave_stride) float32, out.
    """
    depth, height, width = shape
    stride = wave_stride(depth, height, width)
    start = 0  # the first band of the step
    for k in range(bands.shape[0]):
        step = int(bands[k, _STEP])
        if step != int(bands[start, _STEP]):
            start = k
        if drawn[step, _ACTIVE] == ZERO:
            continue
        band = bands[k]
        draw = first_draw(channel, step, _PART)
        head = random_words(seed, index, _STREAM, draw + 2 * (k - start))
        axis = random_words(seed, index, _STREAM, draw + 2 * (k - start) + 1)
        slope = uniform(head[0], band[_SLOPE_LOW], band[_SLOPE_HIGH])
        cycles = uniform(head[1], band[_CYCLES_LOW], band[_CYCLES_HIGH])
        first, count = int(band[_FIRST]), int(band[_COUNT])
        draw_wave = draw + _FIRST_WAVE + (first - int(bands[start, _FIRST]))
        total = ZERO
        for other in range(start, bands.shape[0]):
            if int(bands[other, _STEP]) == step:
                words = random_words(seed, index, _STREAM, draw + 2 * (other - start))
                total += exponential(words[2])
        power = ZERO
        for i in range(count):
            words = random_words(seed, index, _STREAM, draw_wave + i)
            power += power_in_octave(band, slope, octave_of(band, words[0], i))
        factor = _TWO * (exponential(head[2]) / total) / power
        for i in range(count):
            words = random_words(seed, index, _STREAM, draw_wave + i)
            octave = octave_of(band, words[0], i)
            amplitude = root(factor * power_in_octave(band, slope, octave))
            z, y, x = cap_direction(axis[0], axis[1], band[_SPREAD], words[1], words[2])
            rate = cycles * power_of_two(octave)
            wave = pointer(waves, 2 * (first + i) * stride)
            lay_axis(wave, stride, 0, depth, rate * z, unit_float(words[3]), amplitude)
            lay_axis(wave, stride, depth, height, rate * y, ZERO, ONE)
            lay_axis(wave, stride, depth + height, width, rate * x, ZERO, ONE)

"""What a chain draws for a volume's channel and for each label value; twin of ``sample_chain.cu``.

Ranges are uniform. A label's mean is drawn by itself or goes by that of the label before it, and is
kept from the background's; the octaves of a label's texture share its amplitude by a Dirichlet
distribution with all parameters 1, that is, like independent exponential numbers by their sum.
Labels that are alike, as the left and the right one of two structures, have the tones of one.
"""

import numpy as np

from .appearance_records import ChainPart, NoiseModel, Step, StepKind, StepSetting, Tone
from .float_lanes import magnitude, most, pointer
from .gaussian import first_draw, normal_pair
from .jit import apart, device, inlined, kernel
from .philox import bounded, random_words
from .real import HALF, ONE, ZERO, clamped, logarithm_of_two, power_of_two
from .scene import uniform, unit_float
from .streams import Stream

LEAST_EXTREME, LARGEST_EXTREME = np.int32(2**31 - 1), np.int32(-(2**31))
_LOG2_E = np.float32(1 / np.log(2))
_HARD = np.float32(2.0**20)  # 1 / ramp of a buffer without one
_PER_WORD, _LEAST_SHARE = np.float32(2.0**-24), np.float32(2.0**-20)
_NINE, _SIGN = np.uint64(9), np.uint64(1)

_STREAM = int(Stream.CHAIN)
_PARAMETERS, _TONES = int(ChainPart.PARAMETERS), int(ChainPart.TONES)
_KIND, _PROBABILITY = int(StepSetting.KIND), int(StepSetting.PROBABILITY)
_A_LOW, _A_HIGH = int(StepSetting.A_LOW), int(StepSetting.A_HIGH)
_B_LOW, _B_HIGH = int(StepSetting.B_LOW), int(StepSetting.B_HIGH)
_C_LOW, _C_HIGH = int(StepSetting.C_LOW), int(StepSetting.C_HIGH)
_D_LOW, _D_HIGH = int(StepSetting.D_LOW), int(StepSetting.D_HIGH)
_E_LOW, _E_HIGH = int(StepSetting.E_LOW), int(StepSetting.E_HIGH)
_F_LOW, _F_HIGH = int(StepSetting.F_LOW), int(StepSetting.F_HIGH)
_G_LOW, _G_HIGH = int(StepSetting.G_LOW), int(StepSetting.G_HIGH)
_DARK, _BLACK = int(StepSetting.DARK), int(StepSetting.BLACK)
_SHARE, _COUNT, _TONE = int(StepSetting.SHARE), int(StepSetting.COUNT), int(StepSetting.TONE)
_INTENSITY, _OUTLINE = int(StepKind.INTENSITY), int(StepKind.OUTLINE)
_TEXTURE, _WAVES, _BIAS = int(StepKind.TEXTURE), int(StepKind.WAVES), int(StepKind.BIAS)
_GAMMA, _NOISE, _CLIP = int(StepKind.GAMMA), int(StepKind.NOISE), int(StepKind.CLIP)
_RESOLUTION = int(StepKind.RESOLUTION)
_ACTIVE, _P, _Q, _MODELS = int(Step.ACTIVE), int(Step.P), int(Step.Q), len(NoiseModel)
_STEP_SIZE, _TONE_SIZE = int(Step.SIZE), int(Tone.SIZE)
_MEAN, _SD, _AMPLITUDE = int(Tone.MEAN), int(Tone.SD), int(Tone.AMPLITUDE)


@apart
def _words(seed, index, draw):
    return random_words(seed, index, _STREAM, draw)


@device
def drawn_model(word, bits):
    """One of the noise models whose bits are set, as float32."""
    count = 0
    for model in range(_MODELS):
        count += bits >> model & 1
    which, found = bounded(word, 0, count - 1), 0
    for model in range(_MODELS):
        if bits >> model & 1:
            if which == 0:
                found = model
            which -= 1
    return np.float32(found)


@inlined
def _draw_step(row, seed, index, draw, own):
    """All of a step that is not of a label; ``own`` is (Step.SIZE,), written."""
    words = _words(seed, index, draw)
    kind, taken = int(row[_KIND]), unit_float(words[0]) < row[_PROBABILITY]
    own[_ACTIVE], own[_P], own[_Q] = ONE if taken else ZERO, ZERO, ZERO
    if kind == _OUTLINE:
        half = HALF * uniform(words[2], row[_B_LOW], row[_B_HIGH])
        own[_P], own[_Q] = uniform(words[1], row[_A_LOW], row[_A_HIGH]), half * half
    elif kind == _TEXTURE or kind == _WAVES:
        ramp = uniform(words[3], row[_C_LOW], row[_C_HIGH])
        own[_P] = uniform(words[2], row[_B_LOW], row[_B_HIGH])
        if ramp > ZERO:
            own[_Q] = ONE / ramp
        elif own[_P] > ZERO:
            own[_Q] = _HARD
    elif kind == _BIAS:
        own[_P] = uniform(words[1], row[_A_LOW], row[_A_HIGH])
    elif kind == _GAMMA:
        normal, _ = normal_pair(np.int32(words[1]))
        own[_P] = power_of_two(row[_A_HIGH] * _LOG2_E * normal)
    elif kind == _NOISE:
        own[_P], own[_Q] = (
            uniform(words[1], row[_A_LOW], row[_A_HIGH]),
            drawn_model(words[2], int(row[_COUNT])),
        )
    elif kind == _CLIP:
        own[_P], own[_Q] = row[_A_LOW], row[_A_HIGH]
    elif kind == _RESOLUTION:
        own[_ACTIVE], own[_P] = ONE, own[_ACTIVE]


@device
def _within(mean, step, low, high):
    """``mean + step``, or ``mean - step`` where only that lies in ``low`` .. ``high``."""
    ahead, behind = mean + step, mean - step
    if (ahead < low or ahead > high) and low <= behind <= high:
        return behind
    return ahead


@device
def mean_after(row, before, background, word):
    """A label's mean that goes by another: on the side that is not too near the background's."""
    low, high = row[_A_LOW], row[_A_HIGH]
    step = uniform(word, row[_C_LOW], row[_C_HIGH])
    if word & _SIGN:
        step = -step
    mean = _within(before, step, low, high)
    if magnitude(mean - background) < row[_COUNT]:
        mean = _within(before, -step, low, high)
    return clamped(mean, low, high)


@device
def kept_away(row, mean, background):
    """A mean no closer to the background's than is allowed."""
    away = mean - background
    if not magnitude(away) < row[_COUNT]:
        return mean
    step = row[_COUNT] if away >= ZERO else -row[_COUNT]
    return _within(background, step, row[_A_LOW], row[_A_HIGH])


@device
def drawn_background(row, words):
    """Mean and standard deviation: of a black, of a dark, or of a background as its ranges say."""
    chance = unit_float(words[2])
    if chance < row[_BLACK]:
        return ZERO, ZERO
    if chance < row[_BLACK] + row[_DARK]:
        return uniform(words[0], row[_F_LOW], row[_F_HIGH]), uniform(
            words[1], row[_G_LOW], row[_G_HIGH]
        )
    return uniform(words[0], row[_D_LOW], row[_D_HIGH]), uniform(
        words[1], row[_E_LOW], row[_E_HIGH]
    )


@inlined
def _draw_intensities(row, seed, index, draw, tones, labels):
    """Mean and standard deviation of each label; ``tones`` is (L, Tone.SIZE), written."""
    background = ZERO
    for label in range(labels):
        words, own = _words(seed, index, draw + label), label * _TONE_SIZE
        if label == 0:
            background, tones[_SD] = drawn_background(row, words)
            tones[_MEAN] = background
            continue
        mean = uniform(words[0], row[_A_LOW], row[_A_HIGH])
        # Label 1 has none before it but the background.
        if label > 1 and unit_float(words[2]) < row[_SHARE]:
            mean = mean_after(row, tones[own - _TONE_SIZE + _MEAN], background, words[3])
        tones[own + _MEAN] = kept_away(row, mean, background)
        tones[own + _SD] = uniform(words[1], row[_B_LOW], row[_B_HIGH])


@device
def exponential(word):
    """An exponential number, up to a factor, never 0."""
    u = np.float32(2 * np.int64(word >> _NINE) + 1) * _PER_WORD
    return most(-logarithm_of_two(u), _LEAST_SHARE)


@inlined
def _draw_amplitudes(row, seed, index, draw, base, tones, labels):
    """Amplitudes of each label: of its octaves, or of its waves, which are one octave.

    Args:
        base: (L, Tone.SIZE), whose means amplitudes are in parts of.
        tones: (L, Tone.SIZE), written.
    """
    octaves = int(row[_COUNT]) if int(row[_KIND]) == _TEXTURE else 1
    for label in range(labels):
        words = _words(seed, index, draw + 2 * label)
        more = _words(seed, index, draw + 2 * label + 1)
        own = label * _TONE_SIZE + _AMPLITUDE
        amplitude = uniform(words[0], row[_A_LOW], row[_A_HIGH])
        if row[_SHARE] > ZERO:
            amplitude = amplitude * base[label * _TONE_SIZE + _MEAN]
        total = ZERO
        for octave in range(octaves):
            share = exponential(words[1 + octave] if octave < 3 else more[octave - 3])
            tones[own + octave] = share
            total = total + share
        for octave in range(octaves):
            tones[own + octave] = amplitude * (tones[own + octave] / total)


@inlined
def _share_tones(alike, tones, labels):
    """Give each label the tones of the one that it is like; ``tones`` is (L, Tone.SIZE)."""
    for label in range(labels):
        own, other = label * _TONE_SIZE, int(alike[label]) * _TONE_SIZE
        for i in range(_TONE_SIZE):
            tones[own + i] = tones[other + i]


@kernel
def sample_chain(settings, alike, seed, index, channel, drawn, tones, extremes):
    """Draw the steps of a chain.

    Args:
        settings: (S, StepSetting.SIZE) float32.
        alike: (L,) int32, the label value whose tones each has; that one has its own.
        seed: uint64.
        index: uint64, of the volume.
        channel: of the image.
        drawn: (S, Step.SIZE) float32, out.
        tones: (T, L, Tone.SIZE) float32, out; 0 where nothing is drawn. Amplitudes in parts of a
            mean go by the last intensities before.
        extremes: (S, 2) int32, out: the ends of what least and largest values may be, in their
            order as whole numbers.
    """
    count, size = settings.shape[1], tones.shape[1] * tones.shape[2]
    everything, base = pointer(tones, 0), 0
    for i in range(tones.shape[0] * size):
        everything[i] = ZERO
    for step in range(settings.shape[0]):
        row, own = pointer(settings, step * count), pointer(drawn, step * _STEP_SIZE)
        _draw_step(row, seed, index, first_draw(channel, step, _PARAMETERS), own)
        extremes[step, 0], extremes[step, 1] = LEAST_EXTREME, LARGEST_EXTREME
        table = int(row[_TONE])
        if table < 0:
            continue
        target, draw = pointer(tones, table * size), first_draw(channel, step, _TONES)
        if int(row[_KIND]) == _INTENSITY:
            _draw_intensities(row, seed, index, draw, target, tones.shape[1])
            base = table
        else:
            means = pointer(tones, base * size)
            _draw_amplitudes(row, seed, index, draw, means, target, tones.shape[1])
        _share_tones(pointer(alike, 0), target, tones.shape[1])

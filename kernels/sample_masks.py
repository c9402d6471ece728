"""Random star-shaped structures, and what each slice shows of them. Twin of ``sample_masks.cu``.

The radius of a section is that of the widest one less ``GROW`` for each slice before it and less
``SHRINK`` for each slice after it. A structure that is born at a slice has the radius BIRTH_RADIUS
there and grows from it by the most that structures grow. Centres and phases are random walks of
uniform steps, smoothed by a mean over WALK_WINDOW slices. So from a slice to the next, whatever is
drawn:

- the radius changes by at most the highest growth and the highest shrinking;
- a centre moves by at most ``sqrt(3) sd`` along each axis, sd the standard deviation of a step;
- a phase changes by at most ``sqrt(3) sd`` likewise, and with it a contour by at most the radius
  times ``sum_k |a_k|`` times that.

A contour never comes nearer to its centre than the least share of the radius, as the sum of
``|a_k|`` is kept below the rest. The area of a section is ``pi RADIUS^2 (1 + sum_k a_k^2 / 2)``,
since its frame is stretched along one axis as much as it is shrunk along the other.

A satellite lies beside its structure in every slice: on a line through the centres in a direction
that is drawn, its contour is GAP away from the structure's. Or it is nested: then its contour is
the one of the structure's lumen, GAP within it, but never beyond the structure's own.
"""

import numpy as np

from .bits import smaller
from .float_lanes import floor_of, fused, least, magnitude, most, root
from .jit import device, inlined, kernel
from .mask_records import (
    CONTOUR_WAVES,
    FAMILY_MAX,
    MASK_DRAWS,
    MASK_FORM_DRAWS,
    WALK_CHANNELS,
    WALK_WINDOW,
    WAVES_LOW,
    MaskForm,
    MaskSection,
    MaskSetting,
)
from .masks import contour_at
from .philox import bounded, random_words
from .quantiles import normal
from .real import ONE, ZERO, cosine_of_turns, power_of_two, sine_of_turns
from .records import Placed
from .scene import uniform, unit_float
from .streams import Stream

_STREAM = int(Stream.MASKS)
_NEVER = np.float32(-1e6)  # slice, long before the first
_HALF_WORD = np.uint64(0xFFFF)

# What a structure's random words are for; behind them, four a slice for its walks.
_RADIUS_WORD, _ELONGATED_WORD, _STRETCH_WORD, _TURN_WORD = 0, 1, 2, 3
_HOLLOW_WORD, _LUMEN_WORD, _X_WORD, _Y_WORD = 4, 5, 6, 7
_WIDEST_WORD, _GROW_WORD, _SHRINK_WORD, _BORN_WORD = 8, 9, 10, 11
_BIRTH_WORD, _NEAR_WORD, _COUNT_WORD, _NESTED_WORD = 12, 13, 14, 15
_AMPLITUDE_WORD, _PHASE_WORD, _SIZE_WORD, _FAMILIES_WORD = 16, 22, 28, 29
_FORM_WORDS = 4 * MASK_FORM_DRAWS

_STRUCTURES_LOW = int(MaskSetting.STRUCTURES_LOW)
_STRUCTURES_HIGH = int(MaskSetting.STRUCTURES_HIGH)
_RADIUS_LOW, _RADIUS_HIGH = int(MaskSetting.RADIUS_LOW), int(MaskSetting.RADIUS_HIGH)
_RADIUS_LEAST = int(MaskSetting.RADIUS_LEAST)
_ROUGHNESS, _WAVINESS = int(MaskSetting.ROUGHNESS), int(MaskSetting.WAVINESS)
_ELONGATED = int(MaskSetting.ELONGATED)
_ELONGATION_LOW = int(MaskSetting.ELONGATION_LOW)
_ELONGATION_HIGH = int(MaskSetting.ELONGATION_HIGH)
_LUMEN, _LUMEN_LOW = int(MaskSetting.LUMEN), int(MaskSetting.LUMEN_LOW)
_LUMEN_HIGH, _EVOLVES = int(MaskSetting.LUMEN_HIGH), int(MaskSetting.EVOLVES)
_WIDEST_LOW, _WIDEST_HIGH = int(MaskSetting.WIDEST_LOW), int(MaskSetting.WIDEST_HIGH)
_GROW_LOW, _GROW_HIGH = int(MaskSetting.GROW_LOW), int(MaskSetting.GROW_HIGH)
_SHRINK_LOW, _SHRINK_HIGH = int(MaskSetting.SHRINK_LOW), int(MaskSetting.SHRINK_HIGH)
_BORN, _BIRTH_RADIUS = int(MaskSetting.BORN), int(MaskSetting.BIRTH_RADIUS)
_BIRTH_LOW, _BIRTH_HIGH = int(MaskSetting.BIRTH_LOW), int(MaskSetting.BIRTH_HIGH)
_WANDER, _DRIFT = int(MaskSetting.WANDER), int(MaskSetting.DRIFT)
_Y_LOW, _Y_HIGH = int(MaskSetting.Y_LOW), int(MaskSetting.Y_HIGH)
_X_LOW, _X_HIGH = int(MaskSetting.X_LOW), int(MaskSetting.X_HIGH)
_NEAR, _NESTED_SHARE = int(MaskSetting.NEAR), int(MaskSetting.NESTED)
_SATELLITES_LOW = int(MaskSetting.SATELLITES_LOW)
_SATELLITES_HIGH = int(MaskSetting.SATELLITES_HIGH)
_SIZE_LOW, _SIZE_HIGH = int(MaskSetting.SIZE_LOW), int(MaskSetting.SIZE_HIGH)
_GAP_LOW, _GAP_HIGH = int(MaskSetting.GAP_LOW), int(MaskSetting.GAP_HIGH)

_FORM_FAMILY, _FORM_MEMBER = int(MaskForm.FAMILY), int(MaskForm.MEMBER)
_FORM_NESTED, _FORM_RADIUS = int(MaskForm.NESTED), int(MaskForm.RADIUS)
_FORM_LUMEN, _FORM_MATRIX = int(MaskForm.LUMEN), int(MaskForm.U_X)
_AMPLITUDE, _PHASE = int(MaskForm.AMPLITUDE), int(MaskForm.PHASE)
_WIDEST, _GROW, _SHRINK = int(MaskForm.WIDEST), int(MaskForm.GROW), int(MaskForm.SHRINK)
_BIRTH, _FORM_Y, _FORM_X = int(MaskForm.BIRTH), int(MaskForm.Y), int(MaskForm.X)
_GAP = int(MaskForm.GAP)

_REACH, _RADIUS = int(MaskSection.REACH), int(MaskSection.RADIUS)
_SECTION_LUMEN, _SECTION_Y = int(MaskSection.LUMEN), int(MaskSection.Y)
_SECTION_X, _MATRIX = int(MaskSection.X), int(MaskSection.U_X)
_WAVE = int(MaskSection.WAVE)

_OBJECT, _VARIANT = int(Placed.OBJECT), int(Placed.VARIANT)
_Z, _Y, _X = int(Placed.Z), int(Placed.Y), int(Placed.X)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)


@inlined
def draw_words(seed, index, draw, words):
    """Random words of consecutive draws, from ``draw`` on, as many as ``words`` holds."""
    for i in range(words.size // 4):
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + i)
        words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3] = w0, w1, w2, w3


@inlined
def satellites_of(settings, words):
    """Satellites of a family's structure, and whether the first one is nested."""
    if unit_float(words[_NEAR_WORD]) >= settings[_NEAR]:
        return 0, False
    low, high = int(settings[_SATELLITES_LOW]), int(settings[_SATELLITES_HIGH])
    return (
        bounded(words[_COUNT_WORD], low, high),
        unit_float(words[_NESTED_WORD]) < settings[_NESTED_SHARE],
    )


@inlined
def lay_waves(form, settings, words):
    """Amplitudes and phases of a contour's waves."""
    total = ZERO
    for i in range(CONTOUR_WAVES):
        share = np.float32(normal(words[_AMPLITUDE_WORD + i])) / np.float32(WAVES_LOW + i)
        form[_AMPLITUDE + i] = settings[_ROUGHNESS] * share
        form[_PHASE + i] = unit_float(words[_PHASE_WORD + i])
        total = total + magnitude(form[_AMPLITUDE + i])
    factor = settings[_WAVINESS] / most(total, settings[_WAVINESS])
    for i in range(CONTOUR_WAVES):
        form[_AMPLITUDE + i] = form[_AMPLITUDE + i] * factor


@inlined
def lay_turn(form, stretch, turns):
    """The frame of a section that is ``stretch`` times as long as it is wide."""
    c, s, side = cosine_of_turns(turns), sine_of_turns(turns), root(stretch)
    form[_FORM_MATRIX], form[_FORM_MATRIX + 1] = c / side, s / side
    form[_FORM_MATRIX + 2], form[_FORM_MATRIX + 3] = -(s * side), c * side


@inlined
def draw_form(settings, family, member, nested, words, form, parent):
    """Draw a structure.

    Args:
        settings: (MaskSetting.SIZE,).
        family: its number.
        member: its number in the family.
        nested: the family's first satellite is nested.
        words: random, the structure's.
        form: (MaskForm.SIZE,), written.
        parent: (MaskForm.SIZE,), of the family's structure.
    """
    form[_FORM_FAMILY], form[_FORM_MEMBER] = np.float32(family), np.float32(member)
    form[_FORM_NESTED], form[_FORM_LUMEN], form[_BIRTH] = ZERO, ZERO, _NEVER
    stretch = ONE
    if unit_float(words[_ELONGATED_WORD]) < settings[_ELONGATED]:
        stretch = uniform(
            words[_STRETCH_WORD], settings[_ELONGATION_LOW], settings[_ELONGATION_HIGH]
        )
    lay_turn(form, stretch, unit_float(words[_TURN_WORD]))
    lay_waves(form, settings, words)
    if unit_float(words[_HOLLOW_WORD]) < settings[_LUMEN] or (nested and member == 0):
        form[_FORM_LUMEN] = uniform(words[_LUMEN_WORD], settings[_LUMEN_LOW], settings[_LUMEN_HIGH])
    form[_WIDEST] = uniform(words[_WIDEST_WORD], settings[_WIDEST_LOW], settings[_WIDEST_HIGH])
    form[_GROW] = uniform(words[_GROW_WORD], settings[_GROW_LOW], settings[_GROW_HIGH])
    form[_SHRINK] = uniform(words[_SHRINK_WORD], settings[_SHRINK_LOW], settings[_SHRINK_HIGH])
    if unit_float(words[_BORN_WORD]) < settings[_BORN]:
        form[_BIRTH] = uniform(words[_BIRTH_WORD], settings[_BIRTH_LOW], settings[_BIRTH_HIGH])

    if member == 0:
        form[_FORM_RADIUS] = power_of_two(
            uniform(words[_RADIUS_WORD], settings[_RADIUS_LOW], settings[_RADIUS_HIGH])
        )
        form[_FORM_X] = uniform(words[_X_WORD], settings[_X_LOW], settings[_X_HIGH])
        form[_FORM_Y] = uniform(words[_Y_WORD], settings[_Y_LOW], settings[_Y_HIGH])
        form[_GAP] = ZERO
        return
    share = uniform(words[_SIZE_WORD], settings[_SIZE_LOW], settings[_SIZE_HIGH])
    form[_FORM_RADIUS] = most(share * parent[_FORM_RADIUS], settings[_RADIUS_LEAST])
    turns = unit_float(words[_X_WORD])
    form[_FORM_X], form[_FORM_Y] = cosine_of_turns(turns), sine_of_turns(turns)
    form[_GAP] = uniform(words[_Y_WORD], settings[_GAP_LOW], settings[_GAP_HIGH])
    form[_WIDEST] = parent[_WIDEST]
    if nested and member == 1:
        form[_FORM_NESTED] = ONE
        for i in range(_FORM_MATRIX, _WIDEST):  # frame and waves
            form[i] = parent[i]


@inlined
def lay_walks(words, walk):
    """Random walks, from 16 bits a step; steps are odd and within 2^16 of 0.

    Args:
        words: random, four a slice.
        walk: (WALK_CHANNELS, D + WALK_WINDOW - 1) int32, written.
    """
    for channel in range(WALK_CHANNELS):
        shift, total = np.uint64(16 * (channel % 2)), np.int64(0)
        for z in range(walk.shape[1]):
            bits = (words[_FORM_WORDS + 4 * z + channel // 2] >> shift) & _HALF_WORD
            total += 2 * np.int64(bits) - 65535
            walk[channel, z] = total


@device
def walked(walk, channel, z, start):
    """How far a smoothed walk is at slice z from where it was at ``start``, whole steps."""
    total = np.int64(0)
    for i in range(WALK_WINDOW):
        total += walk[channel, z + i] - walk[channel, start + i]
    return np.float32(total)


@inlined
def widest_slice(form, depth):
    return smaller(np.int64(most(form[_WIDEST], ZERO)), np.int64(depth - 1))


@inlined
def radius_at(settings, form, z):
    """Of a structure's section at slice z; may be negative."""
    if settings[_EVOLVES] == ZERO:
        return form[_FORM_RADIUS]
    at = np.float32(z)
    before, after = form[_WIDEST] - at, at - form[_WIDEST]
    radius = form[_FORM_RADIUS] - most(form[_GROW] * before, form[_SHRINK] * after)
    return least(radius, fused(settings[_GROW_HIGH], at - form[_BIRTH], settings[_BIRTH_RADIUS]))


@inlined
def lay_section(settings, form, parent, walk, z, start, section):
    """What slice z shows of a structure.

    Args:
        settings: (MaskSetting.SIZE,).
        form: (MaskForm.SIZE,).
        parent: (MaskSection.SIZE,), of the family's structure in the slice, if not its own.
        walk: of the structure, see ``draw_walk``.
        z: slice.
        start: slice at which walks begin.
        section: (MaskSection.SIZE,), written.
    """
    if form[_FORM_NESTED] != ZERO:
        for i in range(_RADIUS, section.size):
            section[i] = parent[i]
        radius = least(parent[_SECTION_LUMEN] - form[_GAP], parent[_RADIUS])
    else:
        radius = radius_at(settings, form, z)
        for i in range(4):
            section[_MATRIX + i] = form[_FORM_MATRIX + i]
        for i in range(CONTOUR_WAVES):
            turns = fused(settings[_DRIFT], walked(walk, 2 + i, z, start), form[_PHASE + i])
            section[_WAVE + 2 * i] = form[_AMPLITUDE + i] * cosine_of_turns(turns)
            section[_WAVE + 2 * i + 1] = form[_AMPLITUDE + i] * sine_of_turns(turns)
    radius = most(radius, ZERO)
    section[_RADIUS] = radius
    section[_SECTION_LUMEN] = -ONE
    if form[_FORM_LUMEN] > ZERO:
        section[_SECTION_LUMEN] = form[_FORM_LUMEN] * radius
    if form[_FORM_MEMBER] == ZERO:
        section[_SECTION_Y] = fused(settings[_WANDER], walked(walk, 0, z, start), form[_FORM_Y])
        section[_SECTION_X] = fused(settings[_WANDER], walked(walk, 1, z, start), form[_FORM_X])
    elif form[_FORM_NESTED] == ZERO:
        dy, dx, away, other = form[_FORM_Y], form[_FORM_X], form[_GAP], parent
        for _ in range(2):
            away = away + contour_at(other, dy, dx)
            dy, dx, other = -dy, -dx, section
        section[_SECTION_Y] = fused(away, dy, parent[_SECTION_Y])
        section[_SECTION_X] = fused(away, dx, parent[_SECTION_X])
    total = ONE
    for i in range(CONTOUR_WAVES):
        total = total + magnitude(form[_AMPLITUDE + i])
    section[_REACH] = radius * total


@inlined
def write_place(n, z, section, place):
    """Row of a structure; ACCEPTED is for ``draw_masks`` to set."""
    place[_OBJECT], place[_VARIANT], place[_Z] = n, n, z
    place[_Y] = np.int64(floor_of(section[_SECTION_Y]))
    place[_X] = np.int64(floor_of(section[_SECTION_X]))
    place[_ACCEPTED], place[_PROPOSALS] = 0, 1


@kernel
def sample_masks(settings, seed, index, forms, sections, placed):
    """Draw the structures of a volume.

    Args:
        settings: (MaskSetting.SIZE,) float32.
        seed: uint64.
        index: uint64, of the volume.
        forms: (N, MaskForm.SIZE) float32, out, families one after the other; rows of structures
            that are not there stay as they are.
        sections: (N, D, MaskSection.SIZE) float32, out; of those, REACH is 0.
        placed: (N, Placed.SIZE) int32, out: the centre in the widest slice.
    """
    objects, depth = sections.shape[0], sections.shape[1]
    walk = np.empty((WALK_CHANNELS, depth + WALK_WINDOW - 1), np.int32)
    words = np.empty(_FORM_WORDS + 4 * walk.shape[1], np.uint64)
    families, family, left, first, nested = 1, -1, 0, 0, False
    for n in range(objects):
        if left == 0:  # the next family
            family += 1
            first = n
        member = n - first
        if family < families:
            draw_words(seed, index, (family * FAMILY_MAX + member) * MASK_DRAWS, words)
        if n == 0:
            families = bounded(
                words[_FAMILIES_WORD], int(settings[_STRUCTURES_LOW]),
                int(settings[_STRUCTURES_HIGH]),
            )  # fmt: skip
        if family >= families:
            sections[n, :, _REACH] = ZERO
            placed[n, :] = 0
            placed[n, _OBJECT], placed[n, _VARIANT] = n, n
            continue
        if member == 0:
            left, nested = satellites_of(settings, words)
        else:
            left -= 1
        draw_form(settings, family, member, nested, words, forms[n], forms[first])
        lay_walks(words, walk)
        start = widest_slice(forms[n], depth)
        for z in range(depth):
            lay_section(settings, forms[n], sections[first, z], walk, z, start, sections[n, z])
        write_place(n, start, sections[n, start], placed[n])

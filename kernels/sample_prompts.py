"""A box and clicks for each label value. Twin of ``sample_prompts.cu``.

A click is a voxel drawn uniformly from its candidates: by its rank among them in the order z, y, x.
Each side of a box is moved, outwards or inwards, by a whole number of voxels that is drawn
uniformly, and then as little as it takes to stay in the volume and to hold the first positive
click.
"""

import numpy as np

from .bits import larger, smaller
from .jit import device, inlined, kernel
from .philox import bounded, random_words
from .prompt_records import (
    PROMPT_CLICKS_MAX,
    PROMPT_DRAWS,
    LabelSlice,
    PromptRow,
    PromptScope,
    PromptSetting,
)
from .streams import Stream

_STREAM = int(Stream.PROMPTS)
_JITTER_DRAW, _POSITIVE_DRAW = 1, 3  # of a label
_NEGATIVE_DRAW = _POSITIVE_DRAW + PROMPT_CLICKS_MAX
_DRAWS = _NEGATIVE_DRAW + PROMPT_CLICKS_MAX

_WHOLE, _ANY = int(PromptScope.WHOLE), int(PromptScope.ANY)
_LARGEST = int(PromptScope.LARGEST)
_SCOPE, _POSITIVE = int(PromptSetting.SCOPE), int(PromptSetting.POSITIVE)
_NEGATIVE, _MARGIN = int(PromptSetting.NEGATIVE), int(PromptSetting.MARGIN)
_JITTER = int(PromptSetting.JITTER)

_ROW_VOXELS, _ROW_SLICE = int(PromptRow.VOXELS), int(PromptRow.SLICE)
_ROW_BOX, _ROW_POSITIVE = int(PromptRow.BOX), int(PromptRow.POSITIVE)
_ROW_NEGATIVE = int(PromptRow.NEGATIVE)

_VOXELS = int(LabelSlice.VOXELS)
_Y_LOW, _Y_HIGH = int(LabelSlice.Y_LOW), int(LabelSlice.Y_HIGH)
_X_LOW, _X_HIGH = int(LabelSlice.X_LOW), int(LabelSlice.X_HIGH)


@inlined
def scope_of(shown, scope, word):
    """First and last slice that a label is asked for in, of those that show it.

    Args:
        shown: (D, LabelSlice.SIZE), of a label that the volume shows.
        scope: PromptScope.
        word: random.
    """
    first, last, largest, count = np.int64(-1), np.int64(0), np.int64(0), np.int64(0)
    for z in range(shown.shape[0]):
        if shown[z, _VOXELS] == 0:
            continue
        if first < 0:
            first, largest = np.int64(z), np.int64(z)
        last = np.int64(z)
        count += 1
        if shown[z, _VOXELS] > shown[largest, _VOXELS]:
            largest = np.int64(z)
    if scope == _WHOLE:
        return first, last
    if scope == _LARGEST:
        return largest, largest
    if scope == _ANY:
        left = bounded(word, 0, count - 1)
        while left > 0:
            first += 1
            if shown[first, _VOXELS] > 0:
                left -= 1
    return first, first


@inlined
def _fits(value, own, inside):
    return (value == own) == inside


@inlined
def click_in(label, shown, own, inside, z, y0, y1, x0, x1, rank):
    """The voxel of a rank among the candidates in a box that begins with slice ``z``.

    Args:
        label: (D, H, W).
        shown: (D, LabelSlice.SIZE), of the label.
        own: its value.
        inside: voxels of the label, or all others.
        z: first slice.
        y0: first row of the box; y1: last; x0: first column; x1: last.
        y1: see ``y0``.
        x0: see ``y0``.
        x1: see ``y0``.
        rank: from 0 on.
    """
    area = (y1 - y0 + 1) * (x1 - x0 + 1)
    while True:
        count = np.int64(shown[z, _VOXELS])
        if not inside:
            count = area - count
        if rank < count:
            break
        rank -= count
        z += 1
    y = y0
    while True:
        row, count = label[z, y], np.int64(0)
        for x in range(x0, x1 + 1):
            count += _fits(row[x], own, inside)
        if rank < count:
            break
        rank -= count
        y += 1
    x = x0 - 1
    while rank >= 0:
        x += 1
        rank -= _fits(label[z, y, x], own, inside)
    return z, y, x


@device
def jittered(low, high, jitter, low_word, high_word, side, held):
    """Both ends of a box along an axis, moved, in the volume, about what has to be held."""
    most = ((high - low + 1) * jitter) >> 16
    low = larger(low + bounded(low_word, -most, most), np.int64(0))
    high = smaller(high + bounded(high_word, -most, most), np.int64(side - 1))
    return smaller(low, held), larger(high, held)


@inlined
def _ask(label, shown, own, settings, seed, index, words, row):
    """Fill the row of a label that the volume shows."""
    depth, height, width = label.shape
    draw = (own - 1) * PROMPT_DRAWS
    for i in range(_DRAWS):
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + i)
        words[i, 0], words[i, 1], words[i, 2], words[i, 3] = w0, w1, w2, w3
    scope = np.int64(settings[_SCOPE])
    z0, z1 = scope_of(shown, scope, words[0, 0])
    row[_ROW_SLICE] = -1 if scope == _WHOLE else z0
    y0, y1, x0, x1 = np.int64(height), np.int64(-1), np.int64(width), np.int64(-1)
    voxels = np.int64(0)
    for z in range(z0, z1 + 1):
        if shown[z, _VOXELS] > 0:
            y0 = smaller(y0, np.int64(shown[z, _Y_LOW]))
            y1 = larger(y1, np.int64(shown[z, _Y_HIGH]))
            x0 = smaller(x0, np.int64(shown[z, _X_LOW]))
            x1 = larger(x1, np.int64(shown[z, _X_HIGH]))
            voxels += shown[z, _VOXELS]

    margin = np.int64(settings[_MARGIN])
    front = larger(z0 - margin, np.int64(0)) if scope == _WHOLE else z0
    back = smaller(z1 + margin, np.int64(depth - 1)) if scope == _WHOLE else z1
    top, bottom = larger(y0 - margin, np.int64(0)), smaller(y1 + margin, np.int64(height - 1))
    left, right = larger(x0 - margin, np.int64(0)), smaller(x1 + margin, np.int64(width - 1))
    others = (back - front + 1) * (bottom - top + 1) * (right - left + 1) - voxels

    # One click in the structure is drawn even where none is asked for: the box has to hold it.
    positive, negative = np.int64(settings[_POSITIVE]), np.int64(settings[_NEGATIVE])
    held_z, held_y, held_x = np.int64(0), np.int64(0), np.int64(0)
    for i in range(larger(positive, np.int64(1)) + negative):
        inside = i < larger(positive, np.int64(1))
        number = i if inside else i - larger(positive, np.int64(1))
        candidates = voxels if inside else others
        if candidates == 0:
            continue
        to = _POSITIVE_DRAW + number if inside else _NEGATIVE_DRAW + number
        z, y, x = click_in(
            label, shown, own, inside, z0 if inside else front, y0 if inside else top,
            y1 if inside else bottom, x0 if inside else left, x1 if inside else right,
            bounded(words[to, 0], 0, candidates - 1),
        )  # fmt: skip
        if i == 0:
            held_z, held_y, held_x = z, y, x
        if i < positive or not inside:
            at = (_ROW_POSITIVE if inside else _ROW_NEGATIVE) + 3 * number
            row[at], row[at + 1], row[at + 2] = z, y, x

    z_jitter = np.int64(settings[_JITTER]) if scope == _WHOLE else np.int64(0)
    jitter = np.int64(settings[_JITTER])
    low, high = words[_JITTER_DRAW], words[_JITTER_DRAW + 1]
    z0, z1 = jittered(z0, z1, z_jitter, low[0], low[3], depth, held_z)
    y0, y1 = jittered(y0, y1, jitter, low[1], high[0], height, held_y)
    x0, x1 = jittered(x0, x1, jitter, low[2], high[1], width, held_x)
    row[_ROW_BOX], row[_ROW_BOX + 1], row[_ROW_BOX + 2] = z0, y0, x0
    row[_ROW_BOX + 3], row[_ROW_BOX + 4], row[_ROW_BOX + 5] = z1, y1, x1


@kernel
def sample_prompts(settings, label, table, seed, index, prompts):
    """Draw the prompts of a volume.

    Args:
        settings: (PromptSetting.SIZE,) int32.
        label: (D, H, W) unsigned, values 0 .. K.
        table: (K, D, LabelSlice.SIZE) int32, what slices show of the values 1 .. K.
        seed: uint64.
        index: uint64, of the volume.
        prompts: (K, PromptRow.SIZE) int32, out.
    """
    words = np.empty((_DRAWS, 4), np.uint64)
    for k in range(prompts.shape[0]):
        row, voxels = prompts[k], np.int64(0)
        for z in range(table.shape[1]):
            voxels += table[k, z, _VOXELS]
        row[:] = -1
        row[_ROW_VOXELS] = voxels
        if voxels > 0:
            _ask(label, table[k], np.int64(k + 1), settings, seed, index, words, row)

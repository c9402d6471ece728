"""A program of voxelwise operations of a chain. Twin of ``shade.cu``.

A volume is made in blocks of consecutive rows of a plane, whose values stay near the processor
from one operation to the next. All voxels of a block are one line, so that lanes run over the ends
of rows; those behind the block's last voxel hold what does not matter.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .appearance_records import (
    NORMALS_GROUP,
    ChainPart,
    FieldRow,
    NoiseModel,
    ShadeOp,
    Step,
    StepSetting,
    Tone,
)
from .bits import larger, smaller
from .field import lay_field_plane, lay_field_rows, plane_size
from .float_lanes import (
    WIDTH,
    as_float,
    chosen,
    fused,
    gathered,
    highest_of,
    like_ends,
    load,
    load_whole,
    lower,
    lowest_of,
    packed,
    pointer,
    splat,
    store,
    store_narrow,
    upper,
)
from .gaussian import fill_groups, first_draw
from .jit import apart, device, inlined, kernel
from .real import ONE, ZERO, clamped
from .shading import (
    biased,
    byte_of,
    half_of,
    inner_weight,
    normalized,
    of_order_key,
    order_key,
    outlined,
    rician,
    single_of,
    speckled,
    with_gamma,
)
from .waves import lay_wave_rows, turning_size

_GREY, _LOAD, _STORE = int(ShadeOp.GREY), int(ShadeOp.LOAD), int(ShadeOp.STORE)
_CAST = int(ShadeOp.CAST)
_EXTREMES, _INTENSITY = int(ShadeOp.EXTREMES), int(ShadeOp.INTENSITY)
_OUTLINE, _TEXTURE, _WAVES = int(ShadeOp.OUTLINE), int(ShadeOp.TEXTURE), int(ShadeOp.WAVES)
_BIAS, _GAMMA, _NOISE = int(ShadeOp.BIAS), int(ShadeOp.GAMMA), int(ShadeOp.NOISE)
_CLIP, _NORMALIZE = int(ShadeOp.CLIP), int(ShadeOp.NORMALIZE)
_ACTIVE, _P, _Q = int(Step.ACTIVE), int(Step.P), int(Step.Q)
_COUNT, _FIRST, _TONE = int(StepSetting.COUNT), int(StepSetting.FIRST), int(StepSetting.TONE)
_SETTING, _STEP, _ROW = int(StepSetting.SIZE), int(Step.SIZE), int(FieldRow.SIZE)
_MEAN, _SD, _AMPLITUDE, _TONES = (int(Tone[n]) for n in ("MEAN", "SD", "AMPLITUDE", "SIZE"))
_RICIAN, _SPECKLE = np.float32(NoiseModel.RICIAN), np.float32(NoiseModel.SPECKLE)
_VOXELS, _VOXELS_MORE = int(ChainPart.VOXELS), int(ChainPart.VOXELS_MORE)

BLOCK = 2048  # voxels of a block, about: its values and normals stay in the first cache
_ALL = 2**WIDTH - 1
_TINY = np.float32(2.0**-100)  # range of values that is taken for none
_PER_BYTE = np.float32(1 / 255)


@intrinsic
def element_bits(typing_context, array):
    """Size of an array's elements, known when the kernel is compiled."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(ir.IntType(64), array.dtype.bitwidth)

    return types.int64(array), codegen


@intrinsic
def copy(typing_context, source, target, count):
    """Copy elements from where one pointer points to where another does."""

    def codegen(context, builder, signature, arguments):
        size = ir.Constant(ir.IntType(64), signature.args[0].dtype.bitwidth // 8)
        cgutils.raw_memcpy(builder, arguments[1], arguments[0], arguments[2], size)
        return context.get_dummy_value()

    return types.void(source, target, types.int64), codegen


@inlined
def block_of(array, start, count, spare, own):
    """Pointer to elements of a volume, or to a copy where lanes would run over the volume's end.

    Args:
        array: of the volume's voxels, or of one element.
        start: the block's first voxel.
        count: voxels of the block.
        spare: voxels behind it.
        own: as many elements as the copy has.
    """
    there = array.size >= start + count
    if there and spare < WIDTH:
        copy(pointer(array, start), pointer(own, 0), count)
    return pointer(array, start) if there and spare >= WIDTH else pointer(own, 0)


# ------------------------------------------------------------------------------------------ labels


@apart
def lay_intensities(tones, labels, normals, at, count, values):
    """Value of each voxel: its label's mean, and its sd times a normal number.

    Args:
        tones: of the label values, a pointer.
        labels: of the block, a pointer.
        normals: float32, a pointer; used if ``at`` is not negative.
        at: the block's first normal number.
        count: voxels.
        values: float32, a pointer, out.
    """
    for i in range(0, count, WIDTH):
        first, last = like_ends(labels, i)
        one = _TONES * np.int64(labels[i])
        if packed(first) == _ALL:
            mean, sd = splat(tones[one + _MEAN]), splat(tones[one + _SD])
        elif packed(first) | packed(last) == _ALL:
            two = _TONES * np.int64(labels[i + WIDTH - 1])
            mean = chosen(first, splat(tones[one + _MEAN]), splat(tones[two + _MEAN]))
            sd = chosen(first, splat(tones[one + _SD]), splat(tones[two + _SD]))
        else:
            places = load_whole(labels, i) * np.int32(_TONES)
            mean, sd = gathered(tones, _MEAN, places), gathered(tones, _SD, places)
        store(values, i, fused(sd, load(normals, at + i), mean) if at >= 0 else mean)


@device
def inner_weights(distance, i, width, ramp):
    """Sixteen ``inner_weight`` of squared distances; 1 where ``ramp`` is 0."""
    if ramp == ZERO:
        return splat(ONE)
    return inner_weight(as_float(load_whole(distance, i)), width, ramp)


@apart
def add_texture(tones, labels, distance, width, ramp, terms, stride, octaves, count, values):
    """Add a sum of fields, each times what was drawn for a voxel's label.

    Args:
        tones: of the label values, a pointer.
        labels: of the block, a pointer.
        distance: of the block, a pointer.
        width: of ``inner_weights``.
        ramp: see ``width``.
        terms: float32, a pointer, the fields' values, ``stride`` apart.
        stride: see ``terms``.
        octaves: how many.
        count: voxels.
        values: float32, a pointer, in and out.
    """
    for i in range(0, count, WIDTH):
        first, last = like_ends(labels, i)
        total = splat(ZERO)
        if packed(first) | packed(last) == _ALL:
            one = _TONES * np.int64(labels[i]) + _AMPLITUDE
            two = _TONES * np.int64(labels[i + WIDTH - 1]) + _AMPLITUDE
            for o in range(octaves):
                tone = chosen(first, splat(tones[one + o]), splat(tones[two + o]))
                total = fused(tone, load(terms, o * stride + i), total)
        else:
            places = load_whole(labels, i) * np.int32(_TONES)
            for o in range(octaves):
                tone = gathered(tones, _AMPLITUDE + o, places)
                total = fused(tone, load(terms, o * stride + i), total)
        weight = inner_weights(distance, i, width, ramp)
        store(values, i, fused(weight, total, load(values, i)))


# ------------------------------------------------------------------------------------------ voxels


@inlined
def add_noise(model, sd, normals, more, terms, stride, count, values):
    """Noise of a model: of normal numbers, of twice as many, or of two fields."""
    if model == _SPECKLE:
        for i in range(0, count, WIDTH):
            one, two = load(terms, i), load(terms, stride + i)
            store(values, i, speckled(load(values, i), sd, one, two))
    elif model == _RICIAN:
        for i in range(0, count, WIDTH):
            one, two = load(normals, i), load(more, i)
            store(values, i, rician(load(values, i), sd, one, two))
    else:
        for i in range(0, count, WIDTH):
            store(values, i, fused(sd, load(normals, i), load(values, i)))


@device
def scale_of(extremes):
    """The least value and 1 / range of those that were taken down; 0 where there is no range."""
    low = of_order_key(extremes[0])
    span = of_order_key(extremes[1]) - low
    return low, ONE / span if span > _TINY else ZERO


@inlined
def take_extremes(values, count, extremes):
    """Lower and raise the extremes of a step by the values of a block."""
    for i in range(count, (count + WIDTH - 1) // WIDTH * WIDTH):
        values[i] = values[0]
    low = order_key(load(values, 0))
    high = low
    for i in range(WIDTH, count, WIDTH):
        keys = order_key(load(values, i))
        low, high = lower(low, keys), upper(high, keys)
    extremes[0] = lower(extremes[0], lowest_of(low))
    extremes[1] = upper(extremes[1], highest_of(high))


@apart
def change_values(op, drawn, extremes, distance, normals, more, terms, stride, count, values):
    """What needs no labels; all arrays are pointers.

    Args:
        op: the operation.
        drawn: of its step.
        extremes: of its step.
        distance: of the block.
        normals: of the block, as ``more``.
        more: second normal numbers.
        terms: values of its fields, ``stride`` apart.
        stride: see ``terms``.
        count: voxels.
        values: in and out.
    """
    one, two = drawn[_P], drawn[_Q]
    if op == _OUTLINE:
        for i in range(0, count, WIDTH):
            square = as_float(load_whole(distance, i))
            store(values, i, outlined(load(values, i), square, two, one))
    elif op == _BIAS:
        for i in range(0, count, WIDTH):
            store(values, i, biased(load(values, i), one, load(terms, i)))
    elif op == _GAMMA:
        for i in range(0, count, WIDTH):
            store(values, i, with_gamma(load(values, i), one))
    elif op == _NOISE:
        add_noise(two, one, normals, more, terms, stride, count, values)
    elif op == _CLIP:
        for i in range(0, count, WIDTH):
            store(values, i, clamped(load(values, i), one, two))
    elif op == _NORMALIZE:
        lowest, per = scale_of(extremes)
        for i in range(0, count, WIDTH):
            store(values, i, normalized(load(values, i), lowest, per))
    elif op == _EXTREMES:
        take_extremes(values, count, extremes)


@device
def image_bits(bits, v):
    """Values as an image's elements of so many bits, INTS."""
    if bits == 8:
        return byte_of(v)
    if bits == 16:
        return half_of(v)
    return single_of(v)


@apart
def cast_values(values, count, spare, image, last):
    """Write a block's values to the image.

    Args:
        values: float32, a pointer.
        count: voxels.
        spare: elements of the image behind the block's.
        image: the block's, a pointer.
        last: sixteen elements, where the last ones are made; a pointer.
    """
    bits = element_bits(image)
    stop = smaller(count + spare - WIDTH + 1, count)
    i = 0
    while i < stop:
        store_narrow(image, i, image_bits(bits, load(values, i)))
        i += WIDTH
    if i < count:
        store_narrow(last, 0, image_bits(bits, load(values, i)))
        copy(last, pointer(image, i), count - i)


@inlined
def begin_values(op, grey, count, values):
    """What a program starts from: a grey image, or 0 where nothing is loaded."""
    if op == _GREY:
        for i in range(0, count, WIDTH):
            store(values, i, as_float(load_whole(grey, i)) * _PER_BYTE)
    elif op != _LOAD:
        for i in range(0, count, WIDTH):
            store(values, i, splat(ZERO))


# ---------------------------------------------------------------------------------------- programs


@inlined
def operation(program, p, settings, drawn):
    """An operation's code, and what was set and drawn for its step; all are pointers."""
    step = np.int64(program[2 * p + 1])
    return (
        np.int64(program[2 * p]),
        pointer(settings, _SETTING * step),
        pointer(drawn, _STEP * step),
    )


@device
def fields_of(op, setting, drawn):
    """The fields that an operation reads: the first, and how many."""
    first = np.int64(setting[_FIRST])
    if op == _TEXTURE:
        return first, np.int64(setting[_COUNT])
    if op == _BIAS:
        return first, np.int64(1)
    if op == _NOISE and drawn[_Q] == _SPECKLE:
        return first, np.int64(2)
    return first, np.int64(0)


@device
def passed_over(op, drawn):
    """Whether a step was drawn not to be taken, which what only moves values does not heed."""
    return op >= _EXTREMES and drawn[_ACTIVE] == ZERO


@device
def normals_of(op, drawn, tones, labels):
    """How many normal numbers an operation takes for each voxel.

    Args:
        op: the operation.
        drawn: of its step.
        tones: of its step, a pointer.
        labels: L.
    """
    if op == _NOISE and drawn[_Q] != _SPECKLE:
        return 2 if drawn[_Q] == _RICIAN else 1
    if op == _INTENSITY:
        for value in range(labels):
            if tones[_TONES * value + _SD] != ZERO:
                return 1
    return 0


@inlined
def plan_scratch(program, length, settings, drawn, fields, count, width, planes_at):
    """Where planes of fields lie, and how many terms and waves an operation has at most."""
    terms, waves = np.int64(1), np.int64(0)
    for f in range(count + 1):
        planes_at[f] = 0
    for p in range(length):
        op, setting, own = operation(program, p, settings, drawn)
        if not passed_over(op, own):
            first, octaves = fields_of(op, setting, own)
            terms = larger(terms, octaves)
            for f in range(first, first + octaves):
                planes_at[f + 1] = plane_size(pointer(fields, _ROW * f), width)
            if op == _WAVES:
                waves = larger(waves, np.int64(setting[_COUNT]))
    for f in range(count):
        planes_at[f + 1] += planes_at[f]
    return terms, waves


@kernel
def shade(
    program, settings, drawn, tones, fields, field_starts, field_weights, nodes, waves, grey, label,
    distance, canvas, extremes, seed, index, channel, image, shape
):  # fmt: skip
    """Run a program over the voxels of one channel of a volume.

    Voxel i, counted z y x, takes normal number i of a step's part VOXELS, and of VOXELS_MORE.

    Args:
        program: (P, 2) int32, ``ShadeOp`` and step.
        settings: (S, StepSetting.SIZE) float32.
        drawn: (S, Step.SIZE) float32.
        tones: (T, L, Tone.SIZE) float32.
        fields: (F, FieldRow.SIZE) int32.
        field_starts: see ``field``, as ``field_weights`` and ``nodes``.
        field_weights: see ``field_starts``.
        nodes: see ``field_starts``.
        waves: see ``waves``.
        grey: (D * H * W,) uint8, 255 being white; one element where no GREY asks for it.
        label: (D * H * W,) uint8 or uint16, below L.
        distance: (D * H * W,) uint8 squared distances to the nearest boundary, voxels; one element
            where no operation asks for it.
        canvas: (D * H * W + 64,) float32, in and out; 64 elements where no operation asks for it.
        extremes: (S, 2) int32, the ``order_key`` of the least and of the largest value that a step
            found, in and out.
        seed: uint64.
        index: uint64, of the volume.
        channel: of the image.
        image: (D * H * W,) unsigned bit patterns, out.
        shape: (D, H, W).
    """
    depth, height, width = shape
    high = smaller(larger(BLOCK // width, 1), height)
    stride = (high * width + 2 * WIDTH - 1) // WIDTH * WIDTH
    operations, length = pointer(program, 0), program.shape[0]
    all_settings, all_drawn = pointer(settings, 0), pointer(drawn, 0)
    rows_of_fields = pointer(fields, 0)
    offsets = np.empty(fields.shape[0] + 1, np.int64)
    planes_at = pointer(offsets, 0)
    terms_most, waves_most = plan_scratch(
        operations, length, all_settings, all_drawn, rows_of_fields, fields.shape[0], width,
        planes_at,
    )  # fmt: skip
    planes = np.empty(planes_at[fields.shape[0]] + WIDTH, np.float32)
    turning = np.empty(turning_size(waves_most) + 1, np.float32)
    work = np.zeros((3 + terms_most) * stride + 4 * NORMALS_GROUP, np.float32)
    ends = np.zeros(stride, label.dtype), np.zeros(stride, np.uint8), np.zeros(stride, np.uint8)
    last = np.empty(WIDTH, image.dtype)
    starts, weights = pointer(field_starts, 0), pointer(field_weights, 0)

    for z in range(depth):
        for p in range(length):
            op, setting, own = operation(operations, p, all_settings, all_drawn)
            if not passed_over(op, own):
                first, octaves = fields_of(op, setting, own)
                for f in range(first, first + octaves):
                    lay_field_plane(
                        pointer(rows_of_fields, _ROW * f), starts, weights, pointer(nodes, 0), z,
                        depth, height, width, pointer(planes, offsets[f]),
                    )  # fmt: skip
        for y in range(0, height, high):
            rows = smaller(high, height - y)
            start, count = (z * height + y) * width, rows * width
            spare = depth * height * width - start - count
            values, terms = pointer(work, 0), pointer(work, stride)
            labels = block_of(label, start, count, spare, ends[0])
            near = block_of(distance, start, count, spare, ends[1])
            light = block_of(grey, start, count, spare, ends[2])
            group = start // NORMALS_GROUP
            groups = (start + count + NORMALS_GROUP - 1) // NORMALS_GROUP - group
            skipped = start - group * NORMALS_GROUP
            numbers = pointer(work, (1 + terms_most) * stride)
            more = pointer(numbers, stride + 2 * NORMALS_GROUP)
            begin_values(operations[0], light, count, values)
            for p in range(length):
                op, setting, own = operation(operations, p, all_settings, all_drawn)
                if passed_over(op, own):
                    continue
                step = np.int64(operations[2 * p + 1])
                tone = pointer(tones, np.int64(setting[_TONE]) * tones.shape[1] * _TONES)
                first, octaves = fields_of(op, setting, own)
                for f in range(octaves):
                    lay_field_rows(
                        pointer(rows_of_fields, _ROW * (first + f)), starts, weights,
                        pointer(planes, offsets[first + f]), y, rows, depth, width, terms,
                        f * stride,
                    )  # fmt: skip
                wanted = normals_of(op, own, tone, tones.shape[1])
                for part in range(wanted):
                    fill_groups(
                        seed, index, first_draw(channel, step, _VOXELS + part), group, groups,
                        pointer(numbers, part * (stride + 2 * NORMALS_GROUP)), 0,
                    )  # fmt: skip
                if op == _LOAD:
                    copy(pointer(canvas, start), values, count)
                elif op == _STORE:
                    copy(values, pointer(canvas, start), count)
                elif op == _CAST:
                    cast_values(values, count, spare, pointer(image, start), pointer(last, 0))
                elif op == _INTENSITY:
                    at = skipped if wanted > 0 else -1
                    lay_intensities(tone, labels, numbers, at, count, values)
                elif op == _TEXTURE or op == _WAVES:
                    if op == _WAVES:
                        octaves = np.int64(1)
                        lay_wave_rows(
                            pointer(waves, 0), first, np.int64(setting[_COUNT]), z, y, rows,
                            depth, height, width, pointer(turning, 0), terms, 0,
                        )  # fmt: skip
                    add_texture(
                        tone, labels, near, own[_P], own[_Q], terms, stride, octaves, count, values
                    )
                else:
                    change_values(
                        op, own, pointer(extremes, 2 * step), near, pointer(numbers, skipped),
                        pointer(more, skipped), terms, stride, count, values,
                    )  # fmt: skip

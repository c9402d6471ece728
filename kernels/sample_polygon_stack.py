"""Random polygon stacks: classes, sizes, section vertices. Twin of ``sample_polygon_stack.cu``."""

from .bits import larger, smaller
from .jit import inlined, kernel
from .philox import bounded, random_words
from .records import SAMPLE_DRAWS, Box, Object, Sampling, ZRule
from .streams import Stream

_STREAM = int(Stream.POLYGON_STACK)

_LABEL, _VERTICES, _RULE = int(Object.LABEL), int(Object.VERTICES), int(Object.RULE)
_DEPTH, _BOX, _ANGLE = int(Object.DEPTH), int(Object.BOX), int(Object.ANGLE)
_AXIS_A, _AXIS_B, _TURN = int(Object.AXIS_A), int(Object.AXIS_B), int(Object.TURN)
_FIRST, _MIDDLE, _LAST = int(Object.SCALE_FIRST), int(Object.SCALE_TURN), int(Object.SCALE_LAST)
_POLAR = int(Object.POLAR)

_XY_CLASSES, _Z_CLASSES = int(Sampling.XY_CLASSES), int(Sampling.Z_CLASSES)
_DEPTH_LOW, _DEPTH_HIGH = int(Sampling.DEPTH_LOW), int(Sampling.DEPTH_HIGH)
_BOX_LOW, _BOX_HIGH = int(Sampling.BOX_LOW), int(Sampling.BOX_HIGH)
_AXIS_LOW, _AXIS_HIGH = int(Sampling.AXIS_LOW), int(Sampling.AXIS_HIGH)
_RADIUS_LOW, _MARGIN = int(Sampling.RADIUS_LOW), int(Sampling.ELLIPSE_MARGIN)
_TURN_MARGIN = int(Sampling.TURN_MARGIN)
_WIDE_LOW, _WIDE_HIGH = int(Sampling.WIDE_LOW), int(Sampling.WIDE_HIGH)
_NARROW_LOW, _NARROW_HIGH = int(Sampling.NARROW_LOW), int(Sampling.NARROW_HIGH)

_PRISM, _HOURGLASS, _RHOMBUS = int(ZRule.PRISM), int(ZRule.HOURGLASS), int(ZRule.RHOMBUS)
_BOX_DEPTH, _BOX_HEIGHT, _BOX_WIDTH = int(Box.DEPTH), int(Box.HEIGHT), int(Box.WIDTH)
_BOX_STEP, _BOX_VOXELS = int(Box.STEP), int(Box.VOXELS)


@inlined
def _sample_object(settings, xy_vertices, z_rules, seed, index, n, row, box):
    w0, w1, w2, w3 = random_words(seed, index, _STREAM, n * SAMPLE_DRAWS)
    w4, w5, w6, w7 = random_words(seed, index, _STREAM, n * SAMPLE_DRAWS + 1)
    w8, w9, _, _ = random_words(seed, index, _STREAM, n * SAMPLE_DRAWS + 2)

    z_classes = settings[_Z_CLASSES]
    label = bounded(w0, 0, settings[_XY_CLASSES] * z_classes - 1)
    vertices, rule = xy_vertices[label // z_classes], z_rules[label % z_classes]
    depth = bounded(w1, settings[_DEPTH_LOW], settings[_DEPTH_HIGH])
    row[_LABEL], row[_VERTICES], row[_RULE], row[_DEPTH] = label + 1, vertices, rule, depth
    row[_ANGLE] = bounded(w3, 0, 180)

    margin = smaller(settings[_TURN_MARGIN], depth // 2)
    row[_TURN] = bounded(w6, margin, depth - margin)
    ends_low, ends_high = settings[_WIDE_LOW], settings[_WIDE_HIGH]
    middle_low, middle_high = settings[_NARROW_LOW], settings[_NARROW_HIGH]
    if rule == _RHOMBUS:
        ends_low, ends_high, middle_low, middle_high = middle_low, middle_high, ends_low, ends_high
    row[_FIRST] = bounded(w7, ends_low, ends_high)
    row[_MIDDLE] = bounded(w8, middle_low, middle_high)
    row[_LAST] = bounded(w9, ends_low, ends_high)

    if vertices == 0:
        largest = bounded(w2, settings[_AXIS_LOW], settings[_AXIS_HIGH])
        a = bounded(w4, settings[_AXIS_LOW], largest)
        b = bounded(w5, settings[_AXIS_LOW], largest)
        row[_AXIS_A], row[_AXIS_B] = a, b
        side = 2 * larger(a, b)
        if rule == _HOURGLASS or rule == _RHOMBUS:
            side += settings[_MARGIN]
    else:
        side = bounded(w2, settings[_BOX_LOW], settings[_BOX_HIGH])
        row[_AXIS_A], row[_AXIS_B] = 0, 0
        _sample_vertices(settings, seed, index, n, vertices, side // 2, row)
    row[_BOX] = side
    box[_BOX_DEPTH], box[_BOX_HEIGHT], box[_BOX_WIDTH] = depth, side, side
    box[_BOX_STEP] = 0 if rule == _PRISM else 1
    box[_BOX_VOXELS] = 0


@inlined
def _sample_vertices(settings, seed, index, n, vertices, radius_high, row):
    for i in range(0, vertices, 2):
        w0, w1, w2, w3 = random_words(seed, index, _STREAM, n * SAMPLE_DRAWS + 3 + i // 2)
        row[_POLAR + 2 * i] = bounded(w0, 360 * i // vertices, 360 * (i + 1) // vertices)
        row[_POLAR + 2 * i + 1] = bounded(w1, settings[_RADIUS_LOW], radius_high)
        if i + 1 < vertices:
            low, high = 360 * (i + 1) // vertices, 360 * (i + 2) // vertices
            row[_POLAR + 2 * i + 2] = bounded(w2, low, high)
            row[_POLAR + 2 * i + 3] = bounded(w3, settings[_RADIUS_LOW], radius_high)


@kernel
def sample_polygon_stack(settings, xy_vertices, z_rules, seed, index, orientations, objects, boxes):
    """Draw the objects of a volume.

    Args:
        settings: (Sampling.SIZE,) int64.
        xy_vertices: (XY_CLASSES,) int64, vertices of each section class, 0 for an ellipse.
        z_rules: (Z_CLASSES,) int64, a ``ZRule`` each.
        seed: uint64.
        index: uint64, of the volume.
        orientations: K, variants an object.
        objects: (N, P) int32, out; columns ``Object``.
        boxes: (N * K, Box.SIZE) int32, out: the box of each object's first variant.
    """
    for n in range(objects.shape[0]):
        _sample_object(
            settings, xy_vertices, z_rules, seed, index, n, objects[n], boxes[n * orientations]
        )

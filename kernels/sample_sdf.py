"""Random objects of a scene: classes, places, parameters. Twin of ``sample_sdf.cu``."""

import numpy as np

from .float_lanes import least, most
from .jit import device, inlined, kernel
from .philox import bounded, random_words
from .real import HALF, ZERO, cosine_of_turns, sine_of_turns
from .scene import (
    lay_matrix,
    part_depth,
    turn_euler,
    turn_none,
    turn_uniform,
    uniform,
    unit_float,
    unshear,
)
from .scene_records import (
    SDF_DRAWS,
    SceneObject,
    SdfClassRow,
    SdfDraw,
    SdfParameter,
    SdfRotation,
    SdfSampling,
    SdfUnit,
)
from .sdf import (
    lay_circle,
    lay_cone,
    lay_edge,
    lay_octahedron,
    lay_prism,
    lay_revolution,
    lay_sphere,
    lay_star,
    lay_taper,
)
from .sdf_grid import lay_grid
from .sdf_records import SdfLift, SdfProfile, SdfRow
from .streams import Stream

_STREAM = int(Stream.SDF)
_PARAMETER_DRAW, _GRID_DRAW, _CORNER_DRAW, _PART_DRAWS = 4, 7, 8, 16

_CLASS, _DISPLACEMENT = int(SceneObject.CLASS), int(SceneObject.DISPLACEMENT)
_MAPPER, _PARTS = int(SceneObject.MAPPER), int(SceneObject.PARTS)
_BLEND, _SHIFT = int(SceneObject.BLEND), int(SceneObject.SHIFT)
_CENTRE, _KEY = int(SceneObject.CENTRE), int(SceneObject.KEY)

_DEPTH, _HEIGHT, _WIDTH = int(SdfSampling.DEPTH), int(SdfSampling.HEIGHT), int(SdfSampling.WIDTH)
_SPREAD, _SHEAR = int(SdfSampling.SPREAD), int(SdfSampling.SHEAR)
_ROTATION, _GRID_SCALE = int(SdfSampling.ROTATION), int(SdfSampling.GRID_SCALE)
_SLOPE = int(SdfSampling.SLOPE)
_BLEND_LOW, _BLEND_HIGH = int(SdfSampling.BLEND_LOW), int(SdfSampling.BLEND_HIGH)
_EULER, _UNIFORM = int(SdfRotation.EULER), int(SdfRotation.UNIFORM)

_LIFT, _PROFILE = int(SdfClassRow.LIFT), int(SdfClassRow.PROFILE)
_COUNT, _TAPER = int(SdfClassRow.COUNT), int(SdfClassRow.TAPER)
_ONION, _DRAW, _DRAW_SIZE = int(SdfClassRow.ONION), int(SdfClassRow.DRAW), int(SdfDraw.SIZE)
_VARIETY = int(SdfClassRow.VARIETY)
_LOW, _HIGH, _UNIT = int(SdfDraw.LOW), int(SdfDraw.HIGH), int(SdfDraw.UNIT)
_PER_SIDE, _PER_WIDTH = int(SdfUnit.SIDE), int(SdfUnit.WIDTH)
_PER_RADIUS, _PER_OFFSET = int(SdfUnit.RADIUS), int(SdfUnit.OFFSET)
_PER_HEIGHT = int(SdfUnit.HEIGHT)

_DRAWN_RADIUS, _DRAWN_OFFSET = int(SdfParameter.RADIUS), int(SdfParameter.OFFSET)
_CORNER_A, _CORNER_B = int(SdfParameter.CORNER_A), int(SdfParameter.CORNER_B)
_DRAWN_HEIGHT, _BLUNTNESS = int(SdfParameter.HEIGHT), int(SdfParameter.BLUNTNESS)
_SCALE, _KNOT, _WALL = int(SdfParameter.SCALE), int(SdfParameter.KNOT), int(SdfParameter.WALL)

_SPHERE, _OCTAHEDRON, _CONE = int(SdfLift.SPHERE), int(SdfLift.OCTAHEDRON), int(SdfLift.CONE)
_REVOLVE, _GRID = int(SdfLift.REVOLVE), int(SdfLift.GRID)
_CIRCLE, _STAR = int(SdfProfile.CIRCLE), int(SdfProfile.STAR)
_POLYGON, _PARAMETERS = int(SdfProfile.POLYGON), int(SdfParameter.SIZE)
_ROW_PROFILE, _TIPS, _EDGE = int(SdfRow.PROFILE), int(SdfRow.EDGES), int(SdfRow.EDGE)

_SHIFT_LOW, _SHIFT_HIGH = np.float32(0.1), np.float32(0.7)
_SHIFT_SHARE = np.float32(0.7)  # of the parts' depths, as in the public code


@device
def drawn(which, parameter, word, side, width):
    """A parameter of a class in voxels, or in parts of another parameter."""
    at = _DRAW + _DRAW_SIZE * parameter
    value = uniform(word, which[at + _LOW], which[at + _HIGH])
    unit = int(which[at + _UNIT])
    if unit == _PER_SIDE:
        return value * side
    if unit == _PER_WIDTH:
        return value * width
    return value


@device
def draw_parameters(values, which, side, width, seed, index, draw):
    """All parameters of a part, those in parts of others last.

    Args:
        values: (SdfParameter.SIZE,), written.
        which: (SdfClassRow.SIZE,), the part's class.
        side: the volume's smallest, voxels.
        width: the volume's.
        seed: uint64.
        index: uint64, of the volume.
        draw: the first one.
    """
    w0, w1, w2, w3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for parameter in range(_PARAMETERS):
        if parameter % 4 == 0:
            w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + parameter // 4)
        values[parameter] = drawn(which, parameter, w0, side, width)
        w0, w1, w2 = w1, w2, w3
    for parameter in range(_PARAMETERS):
        unit = int(which[_DRAW + _DRAW_SIZE * parameter + _UNIT])
        if unit == _PER_RADIUS:
            values[parameter] *= values[_DRAWN_RADIUS]
        elif unit == _PER_OFFSET:
            values[parameter] *= values[_DRAWN_OFFSET]
        elif unit == _PER_HEIGHT:
            values[parameter] *= values[_DRAWN_HEIGHT]


@device
def corner(sector, count, angle_word, radius_word, low, high):
    """A polygon's corner, in its own of ``count`` equal sectors."""
    turns = (np.float32(sector) + unit_float(angle_word)) / np.float32(count)
    radius = uniform(radius_word, low, high)
    return radius * cosine_of_turns(turns), radius * sine_of_turns(turns)


@device
def lay_corners(row, count, low, high, seed, index, draw):
    """Profile: a polygon of random corners; its edges are laid as the corners are drawn."""
    row[_ROW_PROFILE], row[_TIPS] = np.float32(_POLYGON), np.float32(count)
    first_x, first_y, last_x, last_y = ZERO, ZERO, ZERO, ZERO
    w0, w1, w2, w3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(count):
        if i % 2 == 0:
            w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw + i // 2)
        else:
            w0, w1 = w2, w3
        x, y = corner(i, count, w0, w1, low, high)
        if i == 0:
            first_x, first_y = x, y
        else:
            lay_edge(row, i - 1, last_x, last_y, x, y)
        last_x, last_y = x, y
    lay_edge(row, count - 1, last_x, last_y, first_x, first_y)


@device
def lay_part(row, which, side, width, slope, seed, index, draw):
    """Draw a part.

    Args:
        row: (SdfRow.SIZE,), zeros, written. WALL of an onion is that share.
        which: (SdfClassRow.SIZE,), the part's class.
        side: the volume's smallest, voxels.
        width: the volume's.
        slope: of an octahedron's field.
        seed: uint64.
        index: uint64, of the volume.
        draw: first draw of the part, less _PARAMETER_DRAW.
    """
    values = row[_EDGE : _EDGE + _PARAMETERS]  # no edge is laid yet
    draw_parameters(values, which, side, width, seed, index, draw + _PARAMETER_DRAW)
    radius, offset, half = (
        values[_DRAWN_RADIUS],
        values[_DRAWN_OFFSET],
        HALF * values[_DRAWN_HEIGHT],
    )
    low, high = (
        least(values[_CORNER_A], values[_CORNER_B]),
        most(values[_CORNER_A], values[_CORNER_B]),
    )
    bluntness, scale = values[_BLUNTNESS], values[_SCALE]
    knot, wall = values[_KNOT], values[_WALL]
    for parameter in range(_PARAMETERS):
        values[parameter] = ZERO

    lift, count, onion = int(which[_LIFT]), int(which[_COUNT]), int(which[_ONION])
    if lift == _SPHERE:
        lay_sphere(row, radius)
        return
    if lift == _OCTAHEDRON:
        lay_octahedron(row, radius, slope)
        return
    if lift == _CONE:
        lay_cone(row, radius, half + half)
        return
    if lift == _GRID:
        word, _, _, _ = random_words(seed, index, _STREAM, draw + _GRID_DRAW)
        lay_grid(row, count + bounded(word, 0, int(which[_VARIETY]) - 1), radius)
        return
    if lift == _REVOLVE:
        lay_revolution(row, offset)
    else:
        lay_prism(row, half, onion, wall)
        lay_taper(row, int(which[_TAPER]), half, scale, knot)
    profile = int(which[_PROFILE])
    if profile == _CIRCLE:
        lay_circle(row, radius)
    elif profile == _STAR:
        lay_star(row, count, radius, bluntness)
    else:
        lay_corners(row, count, low, high, seed, index, draw + _CORNER_DRAW)


@inlined
def _stand(settings, seed, index, draw, item):
    """TURN, CENTRE and MATRIX of an object; return the words for its two parts."""
    w0, w1, w2, blend_word = random_words(seed, index, _STREAM, draw + 1)
    w4, w5, w6, shift_word = random_words(seed, index, _STREAM, draw + 2)
    w8, w9, w10, axis_word = random_words(seed, index, _STREAM, draw + 3)

    rotation = int(settings[_ROTATION])
    if rotation == _EULER:
        turn_euler(item, unit_float(w0) - HALF, unit_float(w1) - HALF, unit_float(w2) - HALF)
    elif rotation == _UNIFORM:
        turn_uniform(item, unit_float(w0), unit_float(w1), unit_float(w2))
    else:
        turn_none(item)
    shear = settings[_SHEAR]
    unshear(
        item, uniform(w4, -shear, shear), uniform(w5, -shear, shear), uniform(w6, -shear, shear),
        settings[_GRID_SCALE],
    )  # fmt: skip

    width, height, depth = settings[_WIDTH], settings[_HEIGHT], settings[_DEPTH]
    spread = settings[_SPREAD]
    item[_CENTRE] = HALF * width + uniform(w8, -spread, spread) * width
    item[_CENTRE + 1] = HALF * height + uniform(w9, -spread, spread) * height
    item[_CENTRE + 2] = HALF * depth + uniform(w10, -spread, spread) * depth
    lay_matrix(item)
    return blend_word, shift_word, axis_word


@inlined
def _sample_object(settings, entries, classes, displacements, mappers, seed, index, n, item, parts):
    draw = n * SDF_DRAWS
    w0, w1, w2, w3 = random_words(seed, index, _STREAM, draw)
    entry = bounded(w0, 0, entries.shape[0] - 1)
    item[:] = ZERO
    item[_CLASS] = np.float32(entry)
    item[_DISPLACEMENT] = np.float32(bounded(w1, 0, displacements - 1))
    item[_MAPPER] = np.float32(bounded(w2, 0, mappers - 1))
    item[_KEY] = np.float32(w3 >> np.uint64(8))
    blend_word, shift_word, axis_word = _stand(settings, seed, index, draw, item)

    width = settings[_WIDTH]
    side = least(least(settings[_DEPTH], settings[_HEIGHT]), width)
    depths = ZERO
    count = 0
    for part in range(parts.shape[0]):
        parts[part, :] = ZERO
        which = entries[entry, part]
        if which >= 0:
            lay_part(
                parts[part], classes[which], side, width, settings[_SLOPE], seed, index,
                draw + part * _PART_DRAWS,
            )  # fmt: skip
            depths += part_depth(parts[part])
            count += 1
    item[_PARTS] = np.float32(count)
    if count > 1:
        item[_BLEND] = uniform(blend_word, settings[_BLEND_LOW], settings[_BLEND_HIGH]) * side
        way = bounded(axis_word, 0, 5)
        shift = uniform(shift_word, _SHIFT_LOW, _SHIFT_HIGH) * (_SHIFT_SHARE * depths)
        item[_SHIFT + way // 2] = shift if way % 2 == 0 else -shift


@kernel
def sample_sdf(settings, entries, classes, displacements, mappers, seed, index, objects, parts):
    """Draw the objects of a volume.

    Args:
        settings: (SdfSampling.SIZE,) float32.
        entries: (E, 2) int64, rows of ``classes`` of each label's one or two parts, else -1.
        classes: (C, SdfClassRow.SIZE) float32.
        displacements: number of displacements to choose from.
        mappers: number of mappers to choose from.
        seed: uint64.
        index: uint64, of the volume.
        objects: (N, SceneObject.SIZE) float32, out.
        parts: (N, P, SdfRow.SIZE) float32, out; P = 1 where no entry has two parts. WALL of an
            onion is its share of the least distance to its profile, see ``hollow_sdf``. The second
            part is shifted by parts of the depths of both.
    """
    for n in range(objects.shape[0]):
        _sample_object(
            settings, entries, classes, displacements, mappers, seed, index, n, objects[n], parts[n]
        )

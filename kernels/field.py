"""Smooth random fields: sums of standard normal nodes on a lattice; twin of ``field.cuh``.

A voxel's value is a sum over four nodes along each axis, along z first, then x, then y. The weights
are laid down on the host: for each position along an axis the first of its four nodes, and four
weights. Of a linear field the last two are 0, and its lattice is two nodes larger along each axis
than it needs, so that they stand for something; a volume of a single plane has one layer of nodes.

Tables of a field, from row ``FieldRow.TABLE`` on: D rows of z, H of y, and then of x, W rounded up
to a multiple of ``WIDTH``. A row of ``weights`` holds a position's four; of x, WIDTH rows hold the
first weights of WIDTH positions, then their second ones, and so on, which is how lanes read them.

Here a field is laid down plane by plane: ``lay_field_plane`` sums along z and x, ``lay_field_rows``
along y. All arrays are pointers; ``field`` is a row of ``FieldRow``.
"""

from .appearance_records import FIELD_TAPS, FieldRow
from .float_lanes import WIDTH, fours_at, fused, load, pointer, splat, store
from .jit import device, inlined

_DEPTH, _HEIGHT, _WIDTH = int(FieldRow.DEPTH), int(FieldRow.HEIGHT), int(FieldRow.WIDTH)
_OFFSET, _TABLE = int(FieldRow.OFFSET), int(FieldRow.TABLE)


@inlined
def row_stride(width):
    """Elements between rows of a plane: W rounded up to whole lanes."""
    return (width + WIDTH - 1) // WIDTH * WIDTH


@device
def plane_size(field, width):
    """Float32 that ``lay_field_plane`` writes, its own scratch included."""
    nodes = int(field[_HEIGHT]) * int(field[_WIDTH])
    return int(field[_HEIGHT]) * row_stride(width) + row_stride(nodes) + WIDTH


@device
def weighted(weights, values):
    """Sum of four values, each times a weight."""
    total = fused(weights[1], values[1], weights[0] * values[0])
    return fused(weights[3], values[3], fused(weights[2], values[2], total))


@inlined
def weights_at(weights, row):
    """The four of a position of z or y, in all lanes: loaded before a loop that stores."""
    own = pointer(weights, FIELD_TAPS * row)
    return splat(own[0]), splat(own[1]), splat(own[2]), splat(own[3])


@inlined
def loaded(array, at, step):
    """Four times sixteen elements that begin ``step`` apart."""
    return (
        load(array, at), load(array, at + step), load(array, at + 2 * step),
        load(array, at + 3 * step),
    )  # fmt: skip


@device
def blend_layers(field, starts, weights, nodes, z, blended):
    """Sum the layers of nodes about plane ``z``.

    Args:
        field: see above.
        starts: see above, as ``weights``.
        weights: see ``starts``.
        nodes: of all fields.
        z: plane of voxels.
        blended: (HEIGHT, WIDTH) float32 of the lattice, written; up to 15 behind it are too.
    """
    row = int(field[_TABLE]) + z
    layer = int(field[_HEIGHT]) * int(field[_WIDTH])
    own = weights_at(weights, row)
    at = int(field[_OFFSET]) + int(starts[row]) * layer
    if field[_DEPTH] == 1:
        for i in range(0, layer, WIDTH):
            store(blended, i, own[0] * load(nodes, at + i))
        return
    for i in range(0, layer, WIDTH):
        store(blended, i, weighted(own, loaded(nodes, at + i, layer)))


@device
def lay_field_plane(field, starts, weights, nodes, z, depth, height, width, plane):
    """Lay down what ``lay_field_rows`` needs of one plane of voxels.

    Args:
        field: see above.
        starts: see above, as ``weights``.
        weights: see ``starts``.
        nodes: of all fields; up to 15 behind them are read.
        z: plane of voxels.
        depth: D, of the volume, as ``height`` and ``width``.
        height: see ``depth``.
        width: see ``depth``.
        plane: ``plane_size`` float32, written: (HEIGHT, ``row_stride``) of lattice and volume.
    """
    stride, wide = row_stride(width), int(field[_WIDTH])
    blended = pointer(plane, int(field[_HEIGHT]) * stride)
    blend_layers(field, starts, weights, nodes, z, blended)
    table = int(field[_TABLE]) + depth + height
    own = pointer(weights, FIELD_TAPS * table)
    for x in range(0, stride, WIDTH):
        shares = loaded(own, FIELD_TAPS * x, WIDTH)
        for row in range(int(field[_HEIGHT])):
            four = fours_at(blended, row * wide, starts, table + x)
            store(plane, row * stride + x, weighted(shares, four))


@device
def lay_field_rows(field, starts, weights, plane, y, rows, depth, width, out, at):
    """Values of a field in consecutive rows of a plane.

    Args:
        field: see above.
        starts: see above, as ``weights``.
        weights: see ``starts``.
        plane: by ``lay_field_plane``.
        y: first row of voxels.
        rows: how many.
        depth: D, of the volume, as ``width``.
        width: see ``depth``.
        out: (rows, W) float32 from element ``at`` on, written; up to 15 behind them are too.
        at: see ``out``.
    """
    stride = row_stride(width)
    for row in range(rows):
        table = int(field[_TABLE]) + depth + y + row
        own = weights_at(weights, table)
        first = int(starts[table]) * stride
        for x in range(0, width, WIDTH):
            store(out, at + x, weighted(own, loaded(plane, first + x, stride)))
        at += width

"""Squared distances to the boundaries between labels; twin of ``label_distance.cu``.

A boundary voxel is one that has another label than one of the six voxels next to it in the volume;
so boundaries are two voxels wide, and the volume's border is none. The distance between centres of
voxels is exact: the least square along x of boundary voxels, then the least along y of that plus
the square of the distance along y, then likewise along z. Squares end at DISTANCE_MAX^2, so that
only DISTANCE_MAX - 1 voxels to either side matter, and sums of two stay below 256.

References:
    T. Saito, J. Toriwaki, "New algorithms for Euclidean distance transformation of an n-dimensional
    digitized picture", Pattern Recognition 27(11), 1994, doi:10.1016/0031-3203(94)90133-3.
"""

import numpy as np

from .appearance_records import DISTANCE_MAX
from .bits import smaller
from .byte_lanes import WIDTH, cleared, differing, either, load, lower, raised, store
from .float_lanes import pointer
from .jit import apart, device, kernel

_REACH = DISTANCE_MAX - 1
_FAR, _ZERO = np.uint8(DISTANCE_MAX * DISTANCE_MAX), np.uint8(0)
_COLUMNS = 256  # that are taken along z together


@device
def on_boundary(labels, at, x, width, neighbours):
    """Whether a voxel has another label than one next to it.

    Args:
        labels: pointer to the label map.
        at: element of the row's first voxel.
        x: place in the row.
        width: of the row.
        neighbours: elements of the four rows next to the row; its own where there is none.
    """
    own = labels[at + x]
    if x > 0 and labels[at + x - 1] != own:
        return True
    if x < width - 1 and labels[at + x + 1] != own:
        return True
    above, below, front, back = neighbours
    return (
        labels[above + x] != own
        or labels[below + x] != own
        or labels[front + x] != own
        or labels[back + x] != own
    )


@device
def flag_boundaries(labels, at, width, neighbours, row):
    """Write 0 for the boundary voxels of a row, _FAR for others; arguments as ``on_boundary``'s."""
    above, below, front, back = neighbours
    inside = width - 2
    if inside >= WIDTH:
        for chunk in range(0, inside, WIDTH):
            x = 1 + smaller(chunk, inside - WIDTH)
            own = at + x
            along = either(differing(labels, own, own - 1), differing(labels, own, own + 1))
            across = either(differing(labels, own, above + x), differing(labels, own, below + x))
            far = either(differing(labels, own, front + x), differing(labels, own, back + x))
            store(row, x, cleared(_FAR, either(along, either(across, far))))
    for x in range(0, width, width - 1 if inside >= WIDTH else 1):  # the ends, or all
        row[x] = _ZERO if on_boundary(labels, at, x, width, neighbours) else _FAR


@apart
def reach_along(source, step, count, target):
    """The least of each byte and of those 1 .. _REACH steps to either side plus their squares.

    Args:
        source: pointer to bytes, of which _REACH steps to either side and 31 bytes more are read.
        step: bytes from one to the next.
        count: of bytes.
        target: pointer to bytes, written; so are up to 31 behind them.
    """
    for i in range(0, count, WIDTH):
        found = load(source, i)
        for k in range(1, _REACH + 1):
            beside = lower(load(source, i - k * step), load(source, i + k * step))
            found = lower(found, raised(beside, np.uint8(k * k)))
        store(target, i, found)


@device
def lay_plane(labels, z, shape, row, rows, distance):
    """Squared distances in one plane, to its own boundary voxels alone.

    Args:
        labels: pointer to the label map.
        z: of the plane.
        shape: (D, H, W).
        row: pointer to W bytes, scratch between WIDTH of _FAR on either side.
        rows: pointer to (H, W) bytes, scratch between _REACH rows and WIDTH bytes of _FAR.
        distance: pointer to (H, W) bytes, written; so are up to 31 behind them.
    """
    depth, height, width = shape
    layer = height * width
    for y in range(height):
        at = (z * height + y) * width
        neighbours = (
            at - width if y > 0 else at, at + width if y < height - 1 else at,
            at - layer if z > 0 else at, at + layer if z < depth - 1 else at,
        )  # fmt: skip
        flag_boundaries(labels, at, width, neighbours, row)
        reach_along(row, 1, width, pointer(rows, y * width))
    for i in range(layer, layer + WIDTH):
        rows[i] = _FAR
    reach_along(rows, width, layer, distance)


@device
def reach_across(distance, depth, layer, count, columns, line):
    """Take planes next to one another into account, in up to _COLUMNS columns of voxels.

    Args:
        distance: pointer to the first plane's bytes, changed; up to 31 behind a plane's are read.
        depth: planes.
        layer: bytes between planes.
        count: columns.
        columns: pointer to (depth, _COLUMNS) bytes, scratch between _REACH rows of _FAR.
        line: pointer to _COLUMNS bytes, scratch.
    """
    for z in range(depth):
        for i in range(0, count, WIDTH):
            store(columns, z * _COLUMNS + i, load(distance, z * layer + i))
    for z in range(depth):
        reach_along(pointer(columns, z * _COLUMNS), _COLUMNS, count, line)
        for i in range(count):
            distance[z * layer + i] = line[i]


@kernel
def label_distance(label, distance):
    """Write the squared distance of each voxel to the nearest boundary voxel.

    Args:
        label: (T, D, H, W) uint8 or uint16, of which the first map counts.
        distance: (D H W + SPARE,) uint8, out: squared voxels, at most DISTANCE_MAX^2; what lies
            behind the voxels is overwritten.
    """
    shape = label.shape[1:]
    depth, height, width = shape
    layer = height * width
    row = np.full(width + 3 * WIDTH, _FAR, np.uint8)
    rows = np.full(layer + 2 * _REACH * width + 2 * WIDTH, _FAR, np.uint8)
    for z in range(depth):
        lay_plane(
            pointer(label, 0), z, shape, pointer(row, WIDTH), pointer(rows, _REACH * width),
            pointer(distance, z * layer),
        )  # fmt: skip
    if depth == 1:
        return
    columns = np.full((depth + 2 * _REACH) * _COLUMNS, _FAR, np.uint8)
    line = np.empty(_COLUMNS, np.uint8)
    for first in range(0, layer, _COLUMNS):
        reach_across(
            pointer(distance, first), depth, layer, smaller(_COLUMNS, layer - first),
            pointer(columns, _REACH * _COLUMNS), pointer(line, 0),
        )  # fmt: skip

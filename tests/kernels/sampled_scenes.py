"""Objects as ``sample_sdf`` draws them, and where each is, by looking at every voxel."""

from dataclasses import dataclass

import numba
import numpy as np

from synthgen.backend.plan import SdfTables
from synthgen.kernels import sdf
from synthgen.kernels.float_lanes import fused
from synthgen.kernels.sample_sdf import sample_sdf
from synthgen.kernels.scene_records import SceneBound, SceneObject, SdfSampling
from synthgen.kernels.sdf_records import SdfRow
from synthgen.shapes.sdf import SdfShapes

Shape = tuple[int, int, int]
Array = np.ndarray
SPREAD = 0.35

_MATRIX, _SHIFT = int(SceneObject.MATRIX), int(SceneObject.SHIFT)
_PARTS, _BLEND = int(SceneObject.PARTS), int(SceneObject.BLEND)
_WALL, _SIGN = int(SdfRow.WALL), int(SdfRow.SIGN)
_PLANE, _PLANES = int(SceneBound.PLANE), int(SceneBound.PLANES)
_RADIUS, _WEIGHT = int(SceneBound.RADIUS), int(SceneBound.WEIGHT)


@dataclass(frozen=True)
class Sampled:
    """Objects of one volume.

    Attributes:
        shape: of the volume.
        tables: what they were drawn with.
        settings: the same, with the spread of centres.
        objects: (N, SceneObject.SIZE).
        parts: (N, P, SdfRow.SIZE).
    """

    shape: Shape
    tables: SdfTables
    settings: Array
    objects: Array
    parts: Array


def settings_of(tables: SdfTables, spread: float = SPREAD) -> Array:
    settings = tables.settings.copy()
    settings[SdfSampling.SPREAD] = spread
    return settings


def sampled(
    shapes: SdfShapes, shape: Shape, *, seed: int = 0, index: int = 0, mappers: int = 10,
    count: int = 0,
) -> Sampled:  # fmt: skip
    """Draw the objects of a volume, or ``count`` of them; buffers hold NaN before."""
    tables = shapes.tables(shape)
    objects = np.full((count or tables.objects, SceneObject.SIZE), np.nan, np.float32)
    parts = np.full((len(objects), tables.parts, SdfRow.SIZE), np.nan, np.float32)
    settings = settings_of(tables)
    sample_sdf(
        settings, tables.entries, tables.classes, len(tables.displacements), mappers,
        np.uint64(seed), np.uint64(index), objects, parts,
    )  # fmt: skip
    return Sampled(shape, tables, settings, objects, parts)


@numba.njit(nogil=True, error_model="numpy")
def _point(item, x, y, z):
    x, y, z = np.float32(x), np.float32(y), np.float32(z)
    m = _MATRIX
    return (
        fused(item[m], x, fused(item[m + 1], y, fused(item[m + 2], z, item[m + 3]))),
        fused(item[m + 4], x, fused(item[m + 5], y, fused(item[m + 6], z, item[m + 7]))),
        fused(item[m + 8], x, fused(item[m + 9], y, fused(item[m + 10], z, item[m + 11]))),
    )


@numba.njit(nogil=True, error_model="numpy")
def settle_walls(item, parts, shape):
    """Make an onion's share of its least distance in the volume the thickness of its wall."""
    depth, height, width = shape
    for part in range(int(item[_PARTS])):
        row = parts[part]
        if row[_SIGN] < 0:
            least = np.float32(1e30)
            for z in range(depth):
                for y in range(height):
                    for x in range(width):
                        px, py, pz = _point(item, x, y, z)
                        if part == 1:
                            px, py = px - item[_SHIFT], py - item[_SHIFT + 1]
                            pz = pz - item[_SHIFT + 2]
                        value = sdf.profile(row, px, py, sdf.taper_scale(row, pz))
                        least = min(least, value)
            row[_WALL] *= abs(least)


@numba.njit(nogil=True, error_model="numpy")
def _distance(item, parts, px, py, pz):
    found = sdf.distance(parts[0], px, py, pz)
    if int(item[_PARTS]) == 1:
        return found
    other = sdf.distance(parts[1], px - item[_SHIFT], py - item[_SHIFT + 1], pz - item[_SHIFT + 2])
    near = max(item[_BLEND] - abs(found - other), np.float32(0))
    return min(found, other) - near * near / (np.float32(4) * item[_BLEND])


@numba.njit(nogil=True, error_model="numpy")
def _in_bound(bound, px, py, pz, x, y, z):
    square = bound[_WEIGHT] * px * px + bound[_WEIGHT + 1] * py * py + bound[_WEIGHT + 2] * pz * pz
    if square > bound[_RADIUS] * bound[_RADIUS]:
        return False
    for plane in range(int(bound[_PLANES])):
        at = _PLANE + 4 * plane
        along = bound[at] * np.float32(x) + bound[at + 1] * np.float32(y)
        if along + bound[at + 2] * np.float32(z) > bound[at + 3]:
            return False
    return True


@numba.njit(nogil=True, error_model="numpy")
def compared(item, parts, bound, margin, shape):
    """Voxels within a bound, within a margin of the object, and of these not within the bound."""
    depth, height, width = shape
    bounded, near, missed = 0, 0, 0
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                px, py, pz = _point(item, x, y, z)
                held = _in_bound(bound, px, py, pz, x, y, z)
                bounded += held
                if _distance(item, parts, px, py, pz) <= margin:
                    near += 1
                    missed += not held
    return bounded, near, missed

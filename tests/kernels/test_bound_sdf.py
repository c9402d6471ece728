"""Bounds of objects: no voxel within the margin is outside of them, and they are tight."""

import numpy as np
import pytest

from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.mapper_records import MapperRow
from synthgen.kernels.scene_records import PLANES_MAX, SceneBound, SceneObject
from synthgen.kernels.sdf_records import GRID_EXTENT, SdfLift, SdfRow
from synthgen.shapes.displacements import DISPLACEMENTS
from synthgen.shapes.sdf import SdfShapes
from synthgen.shapes.sdf_classes import CLASSES
from tests.kernels.sampled_scenes import compared, sampled, settle_walls

NAMES = tuple(row.name for row in DISPLACEMENTS)
OWN_FRAME = {"displacement_frame": "object"}  # which needs no tables
MAPPERS = np.zeros((2, MapperRow.SIZE), np.float32)
MAPPERS[:, MapperRow.REACH] = 0, 20
WIDE = {  # sizes that no published class has
    "lift": "prism", "profile": "polygon", "count": 9, "taper": "convex", "onion": True,
    "corner_a": (0.001, 0.05), "corner_b": (0.3, 0.9), "height": (0.02, 0.3), "scale": (0.0, 9.0),
    "knot": (-0.7, 0.7), "wall": (0.2, 0.5),
}  # fmt: skip
THIN_STAR = {
    "lift": "prism", "profile": "star", "count": 3, "taper": "concave", "radius": (0.2, 0.6),
    "bluntness": (0.0, 1.0), "height": (0.01, 0.6), "scale": (0.0, 0.5), "knot": (-2.0, 2.0),
}  # fmt: skip
SELF_CROSSING = {
    "lift": "revolve", "profile": "polygon", "count": 3, "offset": (0.0, 0.1),
    "corner_a": (0.001, 0.3), "corner_b": (0.1, 0.4),
}  # fmt: skip
SETTINGS = {
    "unions": {
        "primitives": (),
        "unions": [(a.name, b.name) for a, b in zip(CLASSES[::4], CLASSES[1::4], strict=False)],
        "blend": (0.01, 0.5),
    },
    "custom": {
        "primitives": (),
        "custom": [
            {"name": "wide", **WIDE},
            {"name": "thin", **THIN_STAR},
            {"name": "crossing", **SELF_CROSSING},
        ],
        "shear": 0.3,
        "octahedron_slope": "exact",
    },
    "large": {"grid_scale": 0.4, "rotation": "uniform"},
}


def bounds_of(scene, depths) -> np.ndarray:
    bounds = np.full((len(scene.objects), SceneBound.SIZE), np.nan, np.float32)
    bound_sdf(scene.objects, scene.parts, depths, MAPPERS, bounds)
    assert np.isfinite(bounds).all()
    assert (bounds[:, SceneBound.PLANES] <= PLANES_MAX).all()
    return bounds


def check_bounds(scene) -> np.ndarray:
    """Look at every voxel; return those within the bounds, and those within the margins."""
    for item, parts in zip(scene.objects, scene.parts, strict=True):
        settle_walls(item, parts, scene.shape)
    bounds = bounds_of(scene, scene.tables.depths)
    depths = scene.tables.depths[scene.objects[:, SceneObject.DISPLACEMENT].astype(int)]
    reaches = MAPPERS[scene.objects[:, SceneObject.MAPPER].astype(int), MapperRow.REACH]
    totals = np.zeros(2)
    for item, parts, bound, margin in zip(
        scene.objects, scene.parts, bounds, depths + reaches, strict=True
    ):
        bounded, near, missed = compared(item, parts, bound, margin, scene.shape)
        assert missed == 0, (item, parts)
        totals += bounded, near
    return totals


@pytest.mark.parametrize(("shape", "count"), [((48, 48, 48), 1), ((25, 41, 33), 3)])
def test_every_class(shape, count):
    """Also how tight the bounds are: no voxel beyond them is looked at."""
    totals = np.zeros(2)
    for which in CLASSES:
        shapes = SdfShapes(primitives=(which.name,), displacements=NAMES, **OWN_FRAME)
        totals += check_bounds(sampled(shapes, shape, index=which.id, mappers=2, count=count))
    assert totals[0] < 1.4 * totals[1]


@pytest.mark.parametrize("name", SETTINGS)
def test_other_settings(name):
    shapes = SdfShapes(displacements=NAMES, **OWN_FRAME, **SETTINGS[name])
    totals = check_bounds(sampled(shapes, (25, 41, 33), mappers=2, count=120))
    assert totals[0] < (3 if name == "unions" else 1.4) * totals[1]


@pytest.mark.parametrize("offset", [-1e-6, 0.0, 1e-6, 1e-3, 0.3, 3.0])
def test_knots_at_and_beyond_an_end(offset):
    """Behind such a knot a convex taper rises steeply: its line alone would leave voxels out."""
    ends = 0.5 + offset / 10
    custom = {
        "name": "steep",
        "lift": "prism",
        "profile": "polygon",
        "count": 5,
        "taper": "convex",
        "corner_a": (0.1, 0.1),
        "corner_b": (0.1, 0.1),
        "height": (10 / 48, 10 / 48),
        "scale": (2.0, 4.0),
        "knot": (ends, ends),
    }
    shapes = SdfShapes(primitives=(), custom=[custom], displacements=NAMES, **OWN_FRAME)
    check_bounds(sampled(shapes, (48, 48, 48), mappers=2, count=12))


def test_a_grid_is_bounded_by_its_box():
    shape = (24, 24, 24)
    shapes = SdfShapes(primitives=("Sphere",), displacements=("none",), objects=3)
    scene = sampled(shapes, shape, mappers=1)
    scene.parts[:, 0, [SdfRow.LIFT, SdfRow.RADIUS]] = SdfLift.GRID, 10
    (bound, *_) = bounds_of(scene, scene.tables.depths)
    z, y, x = np.indices(shape).reshape(3, -1)
    places = np.stack([x, y, z, np.ones_like(x)]).astype(float)
    matrix = scene.objects[0, SceneObject.MATRIX : SceneObject.MATRIX + 12].reshape(3, 4)
    far = np.abs(matrix.astype(float) @ places).max(0)
    planes = bound[SceneBound.PLANE :].reshape(-1, 4)[: int(bound[SceneBound.PLANES])]
    held = (planes[:, :3].astype(float) @ places[:3] <= planes[:, 3:]).all(0)
    assert held[far <= 10 * GRID_EXTENT].all()
    assert not held[far > 10 * GRID_EXTENT + 0.1].any()

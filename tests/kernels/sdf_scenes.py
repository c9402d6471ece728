"""Scenes of signed distance functions twice: as the kernels' tables, and drawn in float64 NumPy."""

from dataclasses import dataclass, replace

import numpy as np

from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.mapper_records import MapperFamily, MapperRow, NoiseRow
from synthgen.kernels.scene_records import SceneBound, SceneObject
from synthgen.kernels.sdf_records import SdfRow
from synthgen.shapes.displacements import DISPLACEMENTS, axis_tables
from synthgen.shapes.sdf_classes import CLASSES, SdfClass
from tests import sdf_reference as reference
from tests.kernels.test_sdf import SIDE, Arguments, drawn
from tests.sdf_reference import Solid

Shape = tuple[int, int, int]
Array = np.ndarray
EVERYTHING = np.float32(1e6)
SURFACE = 2.0**-20
HALO = 20.0  # voxels, where the kernels' inverse cube ends

# The fields that the reference knows.
FIELDS = [d for d in DISPLACEMENTS if d.name == "none" or d.name in reference.DISPLACEMENTS]

# Name in the reference, and the row's columns.
_F = MapperFamily
MAPPERS: list[tuple[str, tuple[float, ...]]] = [
    ("inverse_cube", (_F.INVERSE_CUBE, HALO, 0, 0, 0, 0)),
    ("exponential_base_1.5", (_F.EXPONENTIAL, SURFACE, np.log2(1.5), 0, 0, 0)),
    ("linear_slope_10.0", (_F.LINEAR, SURFACE, 10, 0, 0, 0)),
    ("floor_width_1.0", (_F.FLOOR, SURFACE, 1, 10, 0, 0)),
    ("modular_10", (_F.MODULAR, SURFACE, 2, 128 / 9, 10, 0.1)),
    ("sinusoidal_wavelength_3.0", (_F.SINUSOIDAL, SURFACE, 1 / 3, 0, 3, 0)),
]


@dataclass
class Scene:
    """One volume's objects, and how each came about."""

    shape: Shape
    solids: list[Solid]
    objects: Array
    parts: Array

    @property
    def bounds(self) -> Array:
        """As the kernels bound them."""
        found = np.zeros((len(self.solids), SceneBound.SIZE), np.float32)
        depths = np.array([field.reach(self.shape) for field in FIELDS], np.float32)
        bound_sdf(self.objects, self.parts, depths, mapper_rows(), found)
        return found

    @property
    def everything(self) -> Array:
        """Bounds that leave every voxel."""
        bounds = np.zeros((len(self.solids), SceneBound.SIZE), np.float32)
        bounds[:, SceneBound.RADIUS] = EVERYTHING
        return bounds

    def points(self, n: int) -> Array:
        """(3, D, H, W) float64, the voxels in the frame of object n."""
        z, y, x = np.indices(self.shape).astype(float)
        turn = self.objects[n, SceneObject.TURN : SceneObject.TURN + 9].reshape(3, 3)
        centre = self.objects[n, SceneObject.CENTRE : SceneObject.CENTRE + 3].astype(float)
        offset = np.stack([x, y, z]) - centre[:, None, None, None]
        return np.einsum("ij,jzyx->izyx", turn.astype(float), offset)


def _rotation(generator: np.random.Generator) -> Array:
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    return rotation


def matrix_of(turn: Array, centre: Array) -> Array:
    """(12,) float32 from float32 voxel indices into the object's frame."""
    shift = -(turn.astype(float) @ centre.astype(float))
    return np.hstack([turn, shift[:, None].astype(np.float32)]).ravel()


def scene_of(
    seed: int,
    shape: Shape,
    objects: int = 20,
    classes: tuple[SdfClass, ...] = CLASSES,
    *,
    hollow: bool = True,
) -> Scene:
    """A random scene, placed, turned and sheared as the published ones.

    Args:
        hollow: settle the walls of onions, in float64.
    """
    generator = np.random.default_rng(seed)
    size = np.array(shape[::-1])
    records = np.zeros((objects, SceneObject.SIZE), np.float32)
    parts = np.zeros((objects, 1, SdfRow.SIZE), np.float32)
    solids = []
    for n in range(objects):
        turn = np.linalg.inv(np.eye(3) + _shear(generator)) @ _rotation(generator).T
        centre = np.float32(size / 2 + generator.uniform(-0.35, 0.35, 3) * size)
        item = records[n]
        number = int(generator.integers(len(classes)))
        item[SceneObject.CLASS] = number
        item[SceneObject.DISPLACEMENT] = generator.integers(len(FIELDS))
        item[SceneObject.MAPPER] = generator.integers(len(MAPPERS))
        item[SceneObject.PARTS] = 1
        item[SceneObject.TURN : SceneObject.TURN + 9] = np.float32(turn).ravel()
        item[SceneObject.CENTRE : SceneObject.CENTRE + 3] = centre
        item[SceneObject.MATRIX : SceneObject.MATRIX + 12] = matrix_of(np.float32(turn), centre)
        solids.append(_drawn(classes[number], min(shape) / SIDE, generator))
    scene = Scene(shape, solids, records, parts)
    for n, solid in enumerate(solids):
        if solid.onion and hollow:
            depth = np.abs(reference.side(solid, *scene.points(n)).min())
            solid.values["wall"] = float(np.float32(generator.uniform(0.2, 0.5) * depth))
        parts[n, 0] = Arguments.of(solid).row()
    return scene


def _drawn(which: SdfClass, scale: float, generator: np.random.Generator) -> Solid:
    """An object of a class in a volume of another side than SIDE."""
    solid = drawn(which, np.zeros((3, 1)), generator)
    values = {
        name: value if name in ("bluntness", "scale") else float(np.float32(scale * value))
        for name, value in solid.values.items()
    }
    corners = np.float32(scale * solid.corners).astype(float)
    return replace(solid, values=values, corners=corners)


def _shear(generator: np.random.Generator) -> Array:
    upper = np.triu(generator.uniform(-0.1, 0.1, (3, 3)), 1)
    return upper + upper.T


def mapper_rows() -> Array:
    return np.array([row for _, row in MAPPERS], np.float32)


@dataclass
class Drawn:
    """What a scene is drawn into."""

    image: Array
    masks: Array
    counts: Array
    evaluations: Array

    @classmethod
    def for_scene(cls, scene: Scene) -> "Drawn":
        count = len(scene.solids)
        return cls(
            np.full(scene.shape, 255, np.uint8),
            np.full((-(-count // 32), *scene.shape), 2**32 - 1, np.uint32),
            np.full(count, -1, np.int64),
            np.full(1, -1, np.int64),
        )


def inside(masks: Array, n: int) -> Array:
    """Where object n is inside."""
    return (masks[n // 32] >> np.uint32(n % 32)) & np.uint32(1) != 0


def distances(scene: Scene, n: int) -> Array:
    """(D, H, W) float64 of object n, displaced in the volume's frame."""
    z, y, x = np.indices(scene.shape).astype(float)
    centred = [axis - length / 2 for axis, length in zip((x, y, z), scene.shape[::-1], strict=True)]
    name = FIELDS[int(scene.objects[n, SceneObject.DISPLACEMENT])].name
    found = reference.distance(scene.solids[n], *scene.points(n))
    if name == "none":
        return found
    largest = tuple(length / 2 - 1 for length in scene.shape[::-1])
    return found + reference.displacement(name, *centred, largest)


def image_of(scene: Scene, every_distance: list[Array]) -> Array:
    """(D, H, W) float64, as drawn before it is truncated."""
    total = np.zeros(scene.shape)
    for n, s in enumerate(every_distance):
        name, row = MAPPERS[int(scene.objects[n, SceneObject.MAPPER])]
        total += np.where(s > row[MapperRow.REACH], 0, reference.mapped(name, s))
    return np.clip(total, 0, 128)


def displacement_tables(shape: Shape) -> tuple[Array, Array]:
    """Rows and tables of all displacements."""
    return np.array([field.row(shape) for field in FIELDS]), axis_tables(FIELDS, shape)


NO_TEXTURE = np.zeros(NoiseRow.SIZE, np.float32)
NO_GRIDS = np.zeros((0, 2, 2, 2), np.float32)

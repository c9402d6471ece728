"""Small banks with random poses, made without sampling: boxes of any size, some objects absent."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from synthgen.bank.bank import slope_of
from synthgen.kernels.anatomy_records import CONTROLS, TILE, BankShape, Fate, Pose
from synthgen.kernels.pose_lattice import pose_lattice
from synthgen.kernels.rasterize_bank import rasterize_bank

Array = np.ndarray
SPARE = 64
GARBAGE = 0xDEADBEEF12345678


def solid_grid(generator: np.random.Generator) -> Array:
    """Signed distances of a few overlapping ellipsoids, 1/16 voxel."""
    shape = generator.integers(22, 40, 3)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    inside = np.zeros(shape, bool)
    for _ in range(2):
        middle = shape / 2 + generator.uniform(-4, 4, 3)
        inside |= (((places - middle) / generator.uniform(2, 7, 3)) ** 2).sum(-1) < 1
    inside[tuple(shape // 2)] = True
    distance = distance_transform_edt(~inside) - distance_transform_edt(inside)
    distance += np.where(inside, 0.5, -0.5)
    return np.clip(np.rint(16 * distance), -512, 512).astype(np.int16)


def noise_grid(generator: np.random.Generator) -> Array:
    """No distances at all: smooth or rough noise up to where samples are clipped."""
    shape = generator.integers(2, 30, 3)
    noise = gaussian_filter(generator.normal(size=shape), generator.uniform(0, 3))
    return np.clip(np.rint(generator.uniform(50, 600) * noise / noise.std()), -512, 512).astype(
        np.int16
    )


@dataclass(frozen=True)
class Posed:
    """Objects of one volume; see the kernels for the arrays."""

    poses: Array
    controls: Array
    shapes: Array
    distances: Array
    steps: Array
    lattice_offsets: Array
    row_offsets: Array
    lattice_size: int
    row_size: int

    def unculled(self) -> "Posed":
        """With slopes that decide no tile."""
        shapes = self.shapes.copy()
        shapes[:, BankShape.SLOPE] = 2**30
        return replace(self, shapes=shapes)

    def box(self, n: int) -> tuple[int, int, int]:
        return tuple(map(int, self.poses[n, Pose.DEPTH : Pose.DEPTH + 3]))

    def placed(self) -> list[int]:
        """Objects that are rasterized."""
        fates, depths = self.poses[:, Pose.FATE], self.poses[:, Pose.DEPTH]
        return list(np.flatnonzero((fates == Fate.PLACED) & (depths > 0)))

    def grid(self, n: int) -> Array:
        shape = self.shapes[self.poses[n, Pose.SHAPE]]
        sides = shape[BankShape.DEPTH : BankShape.DEPTH + 3]
        start = shape[BankShape.OFFSET]
        return self.distances[start : start + np.prod(sides)].reshape(sides)

    def corners(self, n: int, lattice: Array) -> Array:
        """(3, D / TILE + 1, H / TILE + 1, W / TILE + 1), of an object."""
        sides = [side // TILE + 1 for side in self.box(n)]
        start = self.lattice_offsets[n]
        return lattice[start : start + 3 * np.prod(sides)].reshape(3, *sides)

    def voxels(self, n: int, words: Array) -> Array:
        """An object's rows of bits as a box of bool."""
        depth, height, width = self.box(n)
        count, start = -(-width // 64), self.row_offsets[n]
        own = words[start : start + depth * count * height].reshape(depth, count, height)
        own = np.ascontiguousarray(own.transpose(0, 2, 1))
        bits = np.unpackbits(own.view(np.uint8), axis=-1, bitorder="little").astype(bool)
        assert not bits[..., width:].any()
        return bits[..., :width]


def posed(
    seed: int, objects: int = 6, steps=((256, 256),), grid=solid_grid, tiles: int = 8,
    zoom: float = 1.0,
) -> Posed:  # fmt: skip
    """Draw objects: shapes turned and scaled about ``zoom`` source voxels a voxel.

    Args:
        seed: of all draws.
        objects: how many; the third is absent, the fifth's box is empty.
        steps: of the shells.
        grid: what makes a shape.
        tiles: most tiles along z and y; three times as many along x.
        zoom: source voxels a voxel.
    """
    generator = np.random.default_rng(seed)
    grids = [grid(generator) for _ in range(3)]
    shapes = np.zeros((3, BankShape.SIZE), np.int32)
    start = 0
    for row, values in zip(shapes, grids, strict=True):
        row[BankShape.OFFSET], row[BankShape.SLOPE] = start, slope_of(values)
        row[BankShape.DEPTH : BankShape.DEPTH + 3] = values.shape
        row[BankShape.CENTRE : BankShape.CENTRE + 3] = (np.array(values.shape) - 1) * 2048
        start += values.size
    poses = np.full((objects, Pose.SIZE), 99, np.int32)
    poses[:, Pose.FATE] = Fate.PLACED
    poses[2::6, Pose.FATE] = Fate.ABSENT
    poses[:, Pose.SHAPE] = generator.integers(0, 3, objects)
    sides = TILE * generator.integers(1, [tiles + 1, tiles + 1, 3 * tiles + 1], (objects, 3))
    sides[4::6] = 0
    poses[:, Pose.DEPTH : Pose.DEPTH + 3] = sides
    poses[:, Pose.BOX : Pose.BOX + 3] = -sides // 2 + generator.integers(-3, 4, (objects, 3))
    for n in range(objects):
        turn = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        matrix = zoom * turn @ np.diag(generator.uniform(0.7, 1.4, 3))
        poses[n, Pose.MATRIX : Pose.MATRIX + 9] = np.rint(65536 * matrix).ravel()
        poses[n, Pose.VOXEL] = round(65536 * abs(np.linalg.det(matrix)) ** (1 / 3))
        own = shapes[poses[n, Pose.SHAPE]]
        poses[n, Pose.CENTRE : Pose.CENTRE + 3] = own[BankShape.CENTRE : BankShape.CENTRE + 3]
    poses[:, Pose.VALUE] = generator.integers(1, 256, objects)
    strength = generator.choice([0, 1, 3], (objects, 1, 1, 1, 1))
    controls = 4096 * strength * generator.normal(size=(objects, 3, *3 * (CONTROLS,)))
    points = 3 * np.prod(sides // TILE + 1, axis=1)
    words = sides[:, 0] * sides[:, 1] * -(-sides[:, 2] // 64)
    return Posed(
        poses, np.rint(controls).astype(np.int32), shapes,
        np.concatenate([*(values.ravel() for values in grids), np.zeros(SPARE, np.int16)]),
        np.array(steps, np.int32).reshape(-1, 2), _starts(points), _starts(words),
        int(points.sum()) + 5 * objects + SPARE, int(words.sum()) + 5 * objects + SPARE,
    )  # fmt: skip


def _starts(sizes: Array) -> Array:
    """Offsets with five elements between objects."""
    return np.concatenate([[0], np.cumsum(sizes[:-1] + 5)]).astype(np.int64)


def laid(scene: Posed) -> Array:
    """The lattice, with garbage elsewhere."""
    lattice = np.full(scene.lattice_size, -(2**31) + 12345, np.int32)
    pose_lattice(scene.poses, scene.controls, scene.lattice_offsets, lattice)
    return lattice


@dataclass(frozen=True)
class Rows:
    rows: Array
    shells: Array
    counts: Array


def rasterized(scene: Posed) -> Rows:
    out = Rows(
        np.full(scene.row_size, GARBAGE, np.uint64),
        np.full((len(scene.steps), scene.row_size), GARBAGE, np.uint64),
        np.full(len(scene.poses), 99, np.int32),
    )
    rasterize_bank(
        scene.poses, scene.shapes, scene.distances, scene.steps, laid(scene),
        scene.lattice_offsets, scene.row_offsets, out.rows, out.shells, out.counts,
    )  # fmt: skip
    return out


def batch(scenes: list[Posed], name: str) -> Array:
    """An array of several volumes, B first."""
    return np.stack([getattr(scene, name) for scene in scenes])

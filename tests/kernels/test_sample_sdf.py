"""Sampled objects: CUDA's source gives the twin's bits, and the distributions are the table's."""

import numba
import numpy as np
import pytest

from synthgen.kernels.bound_sdf import bound_sdf
from synthgen.kernels.label_volume import label_volume
from synthgen.kernels.mapper_records import MapperRow
from synthgen.kernels.philox import random_words
from synthgen.kernels.records import Placed
from synthgen.kernels.scene_records import SDF_DRAWS, SceneBound, SceneObject, SdfClassRow
from synthgen.kernels.sdf_records import SdfEdge, SdfLift, SdfProfile, SdfRow, SdfTaper
from synthgen.kernels.streams import Stream
from synthgen.shapes.sdf import SdfShapes
from synthgen.shapes.sdf_classes import CLASSES
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.sampled_scenes import SPREAD, Sampled, sampled, settings_of

SHAPE = (33, 48, 95)
INDICES = [0, 5, 2**63 + 1]
OBJECTS = 150
THREADS = 64
STREAM = int(Stream.SDF)
CUSTOM = {
    "name": "mine", "lift": "prism", "profile": "star", "count": 3, "taper": "cone", "onion": True,
    "radius": (0.1, 0.3), "bluntness": (0.0, 1.0), "height": (0.1, 0.2), "scale": (0.0, 2.0),
    "wall": (0.1, 0.9),
}  # fmt: skip
UNIONS = [(a.name, b.name) for a, b in zip(CLASSES[::3], CLASSES[1::3], strict=False)]
SETTINGS = {
    "published": {},
    "uniform rotation": {"rotation": "uniform", "octahedron_slope": "exact"},
    "unions": {"primitives": ("solids",), "unions": UNIONS, "blend": (0.001, 0.7)},
    "custom": {"primitives": ("Torus",), "custom": [CUSTOM], "shear": 0.49},
    "one, in the middle": {"rotation": "none", "shear": 0.0, "grid_scale": 0.4},
}

EVERY_SETTING = pytest.mark.parametrize(
    ("name", "sanitize"), [*((name, False) for name in SETTINGS), ("unions", True)]
)


def bits(table: np.ndarray) -> np.ndarray:
    return table.view(np.int32)


def sampled_in_c(shapes: SdfShapes, *, order: int = 0, sanitize: bool = False) -> Sampled:
    """A batch of volumes, by the CUDA source."""
    tables = shapes.tables(SHAPE)
    batch = (len(INDICES), OBJECTS)
    objects = np.full((*batch, SceneObject.SIZE), np.nan, np.float32)
    parts = np.full((*batch, tables.parts, SdfRow.SIZE), np.nan, np.float32)
    settings = settings_of(tables)
    counts = len(tables.entries), len(tables.displacements), 10
    HostKernel("sample_sdf", sanitize=sanitize)(
        -(-objects.shape[0] * OBJECTS // THREADS), THREADS,
        [
            settings, tables.entries, tables.classes, *map(np.int32, counts), np.uint64(3),
            np.array(INDICES, np.uint64), objects, parts, *map(np.int32, batch),
            np.int32(tables.parts),
        ],
        order_seed=order,
    )  # fmt: skip
    return Sampled(SHAPE, tables, settings, objects, parts)


@needs_compiler
@EVERY_SETTING
def test_c_equals_the_twin(name, sanitize):
    shapes = SdfShapes(**SETTINGS[name])
    found = sampled_in_c(shapes, order=1, sanitize=sanitize)
    for b, index in enumerate(INDICES):
        twin = sampled(shapes, SHAPE, seed=3, index=index, count=OBJECTS)
        assert np.isfinite(twin.objects).all()
        assert np.isfinite(twin.parts).all()
        assert np.array_equal(bits(found.objects[b]), bits(twin.objects))
        assert np.array_equal(bits(found.parts[b]), bits(twin.parts))


@needs_compiler
@EVERY_SETTING
def test_bounds_and_labels_in_c_equal_the_twins(name, sanitize):
    scene = sampled_in_c(SdfShapes(**SETTINGS[name]), sanitize=sanitize)
    scene.parts[..., SdfRow.WALL] *= 7
    mappers = np.zeros((10, MapperRow.SIZE), np.float32)
    mappers[::3, MapperRow.REACH] = 20
    depths = scene.tables.depths
    batch, parts = scene.objects.shape[:2], np.int32(scene.tables.parts)
    grid = -(-batch[0] * batch[1] // THREADS)
    found = np.full((*batch, SceneBound.SIZE), np.nan, np.float32)
    counts, evaluations = np.ones(batch, np.int64), np.ones(batch[0], np.int64)
    HostKernel("bound_sdf", sanitize=sanitize)(
        grid, THREADS,
        [scene.objects, scene.parts, depths, mappers, found, counts, evaluations,
         *map(np.int32, batch), parts],
    )  # fmt: skip
    assert not counts.any()
    assert not evaluations.any()
    tasks = np.array([SceneObject.CLASS, SceneObject.MAPPER], np.int64)
    label, placed = np.zeros((batch[0], 2), np.uint8), np.zeros((*batch, Placed.SIZE), np.int32)
    HostKernel("label_volume", sanitize=sanitize, LABEL_TYPE="unsigned char")(
        grid, THREADS, [scene.objects, tasks, label, placed, *map(np.int32, batch), np.int32(2)]
    )
    for b in range(batch[0]):
        bounds = np.full_like(found[b], np.nan)
        bound_sdf(scene.objects[b], scene.parts[b], depths, mappers, bounds)
        assert np.array_equal(bits(bounds), bits(found[b]))
        own_label, own_placed = np.zeros_like(label[b]), np.zeros_like(placed[b])
        label_volume(scene.objects[b], tasks, own_label, own_placed)
        assert np.array_equal(own_label, label[b])
        assert np.array_equal(own_placed, placed[b])


def test_a_whole_volume_is_labelled_by_its_first_object():
    scene = sampled(SdfShapes(objects=3), SHAPE)
    tasks = np.array([SceneObject.MAPPER, SceneObject.CLASS, SceneObject.DISPLACEMENT], np.int64)
    label, placed = np.zeros(3, np.uint16), np.zeros((3, Placed.SIZE), np.int32)
    label_volume(scene.objects, tasks, label, placed)
    assert label.tolist() == [int(scene.objects[0, task]) for task in tasks]
    centres = np.floor(scene.objects[:, SceneObject.CENTRE : SceneObject.CENTRE + 3])
    assert np.array_equal(placed[:, [Placed.X, Placed.Y, Placed.Z]], centres)
    assert placed[:, Placed.OBJECT].tolist() == [0, 1, 2]
    assert (placed[:, [Placed.ACCEPTED, Placed.PROPOSALS]] == 1).all()


# ------------------------------------------------------------------------------- how objects stand


@numba.njit
def words_of(seed, index, number):
    return random_words(seed, index, STREAM, number)


def unit_floats(n: int, draw: int, seed: int = 0, index: int = 0) -> np.ndarray:
    """Four uniform numbers of an object, by the contract of random streams."""
    words = words_of(np.uint64(seed), np.uint64(index), n * SDF_DRAWS + draw)
    return np.array([int(word) >> 8 for word in words]) / 2.0**24


def euler(a: float, b: float, c: float) -> np.ndarray:
    ca, sa, cb, sb, cc, sc = (f(t) for t in (a, b, c) for f in (np.cos, np.sin))
    x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return z @ y @ x


def turns_of(scene: Sampled) -> np.ndarray:
    at = SceneObject.TURN
    return scene.objects[:, at : at + 9].reshape(-1, 3, 3).astype(float)


@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_a_point_goes_through_the_published_matrix_and_back(scale):
    """M = T R S, rebuilt in float64 from the same words; M^-1 M = I."""
    scene = sampled(SdfShapes(grid_scale=scale), SHAPE, count=200)
    at = SceneObject.MATRIX
    for n, item in enumerate(scene.objects):
        rotation = euler(*(2 * np.pi * (unit_floats(n, 1)[:3] - 0.5)))
        xy, xz, yz = 0.1 * (2 * unit_floats(n, 2)[:3] - 1)
        shear = np.array([[1, xy, xz], [xy, 1, yz], [xz, yz, 1]])
        size = np.array(SHAPE[::-1])
        centre = size / 2 + SPREAD * (2 * unit_floats(n, 3)[:3] - 1) * size
        forward = np.eye(4)
        forward[:3, :3], forward[:3, 3] = rotation @ shear / scale, centre
        backward = np.vstack([item[at : at + 12].reshape(3, 4).astype(float), [0, 0, 0, 1]])
        assert np.abs(backward @ forward - np.eye(4)).max() < 5e-5
        assert np.allclose(item[SceneObject.CENTRE : SceneObject.CENTRE + 3], centre, atol=1e-4)


@pytest.mark.parametrize("rotation", ["euler", "uniform", "none"])
def test_rotations_are_rotations(rotation):
    turns = turns_of(sampled(SdfShapes(rotation=rotation, shear=0.0), SHAPE, count=3000))
    assert np.abs(turns @ turns.transpose(0, 2, 1) - np.eye(3)).max() < 2e-6
    assert np.abs(np.linalg.det(turns) - 1).max() < 2e-6
    if rotation == "none":
        assert (turns == np.eye(3)).all()


def test_uniform_rotations_are_uniform():
    """Each element of a uniform rotation is uniform in -1 .. 1; Euler angles do not give that."""
    for rotation, bound in (("uniform", 0.03), ("euler", 1.0)):
        turns = turns_of(sampled(SdfShapes(rotation=rotation, shear=0.0), SHAPE, count=8000))
        worst = max(distance_from_uniform(turns[:, i, j], -1, 1) for i, j in np.ndindex(3, 3))
        assert worst < bound
        assert (worst > 0.1) == (rotation == "euler")


# ------------------------------------------------------------------------------------ distributions


def distance_from_uniform(values: np.ndarray, low: float, high: float) -> float:
    """Kolmogorov-Smirnov; above 1.95 / sqrt n for one sample in a thousand."""
    share = (np.sort(values) - low) / (high - low)
    steps = np.arange(len(share) + 1) / len(share)
    return max(np.max(steps[1:] - share), np.max(share - steps[:-1]))


def is_uniform(values: np.ndarray, low: float, high: float) -> bool:
    slack = 1e-5 * max(abs(low), abs(high))
    inside = (values >= low - slack).all() and (values <= high + slack).all()
    return bool(inside) and distance_from_uniform(values, low, high) < 2.3 / np.sqrt(len(values))


@pytest.fixture(scope="module")
def published() -> Sampled:
    return sampled(SdfShapes(), (96, 96, 96), count=60_000)


def test_choices_are_uniform_and_independent(published):
    columns = [SceneObject.CLASS, SceneObject.DISPLACEMENT, SceneObject.MAPPER]
    choices = published.objects[:, columns].astype(int)
    for column, count in zip(choices.T, (109, 10, 10), strict=True):
        found = np.bincount(column, minlength=count)
        assert len(found) == count
        expected = len(column) / count
        assert ((found - expected) ** 2 / expected).sum() < count + 5 * np.sqrt(2 * count)
    pairs = np.bincount(choices[:, 1] * 10 + choices[:, 2], minlength=100)
    assert ((pairs - 600) ** 2 / 600).sum() < 100 + 5 * np.sqrt(200)
    assert len(np.unique(published.objects[:, SceneObject.KEY])) > 59_000


def rows_of(scene: Sampled, name: str) -> np.ndarray:
    number = [which.name for which in CLASSES].index(name)
    return scene.parts[scene.objects[:, SceneObject.CLASS] == number, 0]


def corners_of(row: np.ndarray) -> np.ndarray:
    """(edges, 2) corners, from the ends of the edges."""
    count = int(row[SdfRow.EDGES])
    edges = row[SdfRow.EDGE :].reshape(-1, SdfEdge.SIZE)[:count].astype(float)
    along = -(edges[:, SdfEdge.ALONG] + edges[:, SdfEdge.REACH])
    across = -edges[:, SdfEdge.ACROSS]
    dx, dy = edges[:, SdfEdge.DX], edges[:, SdfEdge.DY]
    return np.stack([dx * along - dy * across, dx * across + dy * along], axis=1)


def tips_at(rows: np.ndarray) -> np.ndarray:
    """Distance of a star's tips from its middle."""
    return np.array([corners_of(row)[0, 1] for row in rows])


SIDE = 96


@pytest.mark.parametrize(
    ("name", "column", "low", "high"),
    [
        ("Sphere", SdfRow.RADIUS, 0.15, 0.40),
        ("Octahedron", SdfRow.RADIUS, 0.15, 0.40),
        ("Cone", SdfRow.RADIUS, 0.15, 0.40),
        ("Cone", SdfRow.HALF, 0.05, 0.25),
        ("Cylinder", SdfRow.RADIUS, 0.15, 0.40),
        ("Cylinder", SdfRow.HALF, 0.05, 0.25),
        ("ConvexCylinder", SdfRow.RADIUS, 0.05, 0.20),
        ("ConcaveCylinder", SdfRow.RADIUS, 0.15, 0.40),
        ("ConeCylinder", SdfRow.RADIUS, 0.15, 0.40),
        ("Torus", SdfRow.OFFSET, 0.15, 0.40),
        ("SquareTorus", SdfRow.OFFSET, 0.15, 0.40),
        ("FiveStarTorus", SdfRow.OFFSET, 0.15, 0.40),
        ("ConvexCylinder", SdfRow.KNOT_SCALE, 2 / SIDE, 4 / SIDE),
        ("NonagonConcavePrism", SdfRow.KNOT_SCALE, 0.2 / SIDE, 0.5 / SIDE),
        ("OnionedTrianglePrism", SdfRow.WALL, 0.2 / SIDE, 0.5 / SIDE),
    ],
)
def test_ranges_of_the_published_table(published, name, column, low, high):
    assert is_uniform(rows_of(published, name)[:, column], low * SIDE, high * SIDE)


def test_parameters_in_parts_of_others(published):
    torus = rows_of(published, "Torus")
    assert is_uniform(torus[:, SdfRow.RADIUS] / torus[:, SdfRow.OFFSET], 0.3, 0.7)
    star = rows_of(published, "EightStarTorus")
    assert is_uniform(tips_at(star) / star[:, SdfRow.OFFSET], 0.4, 0.8)
    revolved = rows_of(published, "ThreeStarRevolution")
    assert is_uniform(tips_at(revolved), 0.15 * SIDE, 0.40 * SIDE)
    assert is_uniform(revolved[:, SdfRow.OFFSET] / tips_at(revolved), 0.0, 0.5)
    for name in ("ConvexCylinder", "OnionedNonagonConcavePrism"):
        rows = rows_of(published, name)
        knot = rows[:, SdfRow.KNOT] / rows[:, SdfRow.HALF]
        assert is_uniform(knot, -1.4, 1.4)
    cone = rows_of(published, "OctagonConePrism")
    end = 1 + 2 * cone[:, SdfRow.HALF] * cone[:, SdfRow.SLOPE_BELOW]
    assert is_uniform(end, 0.0, 1.6)


@pytest.mark.parametrize("name", ["TrianglePrism", "NonagonConvexPrism", "HexagonTorus"])
def test_corners(published, name):
    """One in each sector, between two radii."""
    rows = rows_of(published, name)
    corners = np.array([corners_of(row) for row in rows])
    count = corners.shape[1]
    sectors = np.arctan2(corners[..., 1], corners[..., 0]) / (2 * np.pi) % 1 * count
    for i in range(count):
        assert is_uniform((sectors[:, i] - i) % count, 0, 1)
    radii = np.hypot(corners[..., 0], corners[..., 1])
    if name == "HexagonTorus":
        low, high = 0.03 * SIDE, 0.8 * rows[:, SdfRow.OFFSET]
    else:
        low, high = (0.05 * SIDE, 0.20 * SIDE) if "Convex" in name else (0.15 * SIDE, 0.40 * SIDE)
    assert (radii >= low - 1e-4).all()
    assert (radii.T <= high + 1e-4).all()


def test_bluntness_of_stars(published):
    """The valley's angle tells it: the half tip leans by 1 / (tips - bluntness (tips - 2))."""
    for name, tips, low in (("FiveStarPrism", 5, 0.2), ("FourStarRevolution", 4, 0.1)):
        rows = rows_of(published, name)
        edge = rows[:, SdfRow.EDGE : SdfRow.EDGE + 2].astype(float)
        lean = np.arctan2(edge[:, 0], -edge[:, 1]) / (2 * np.pi) + 0.5 / tips
        assert is_uniform((tips - 0.5 / lean) / (tips - 2), low, 0.7)
        assert (rows[:, SdfRow.EDGES] == tips).all()


def test_centres_spread_over_each_side():
    scene = sampled(SdfShapes(), SHAPE, count=5000)
    centres = scene.objects[:, SceneObject.CENTRE : SceneObject.CENTRE + 3]
    for values, side in zip(centres.T, SHAPE[::-1], strict=True):
        assert is_uniform(values, (0.5 - SPREAD) * side, (0.5 + SPREAD) * side)


def test_rows_tell_their_class(published):
    numbers = published.objects[:2000, SceneObject.CLASS].astype(int)
    for number, row in zip(numbers, published.parts[:2000, 0], strict=True):
        which = CLASSES[number]
        assert SdfLift(int(row[SdfRow.LIFT])) is which.lift
        assert SdfProfile(int(row[SdfRow.PROFILE])) is which.profile
        assert (row[SdfRow.SIGN] < 0) == which.onion
        assert bool(row[SdfRow.TAPERED]) == (which.taper is not SdfTaper.CONST)
        if which.profile is not SdfProfile.CIRCLE:
            assert row[SdfRow.EDGES] == which.count


def test_lengths_follow_the_smallest_side():
    rows = sampled(SdfShapes(primitives=("Sphere",)), SHAPE, count=3000).parts[:, 0]
    assert is_uniform(rows[:, SdfRow.RADIUS], 0.15 * 33, 0.40 * 33)
    cones = sampled(SdfShapes(primitives=("Cone",)), SHAPE, count=3000).parts[:, 0]
    assert is_uniform(2 * cones[:, SdfRow.HALF], 0.10 * 95, 0.50 * 95)


def test_unions_have_two_parts_side_by_side():
    shapes = SdfShapes(primitives=("Sphere",), unions=[("Sphere", "Sphere")], blend=(0.01, 0.15))
    scene = sampled(shapes, SHAPE, count=4000)
    pairs = scene.objects[:, SceneObject.CLASS] == 1
    assert abs(pairs.mean() - 0.5) < 0.05
    assert (scene.objects[:, SceneObject.PARTS] == 1 + pairs).all()
    assert not scene.parts[~pairs, 1].any()
    assert not scene.objects[~pairs, SceneObject.BLEND].any()
    objects, parts = scene.objects[pairs], scene.parts[pairs]
    assert is_uniform(objects[:, SceneObject.BLEND], 0.01 * 33, 0.15 * 33)
    shifts = objects[:, SceneObject.SHIFT : SceneObject.SHIFT + 3]
    assert ((shifts != 0).sum(1) == 1).all()
    ways = np.bincount(np.argmax(np.abs(shifts), 1) * 2 + (shifts.sum(1) < 0), minlength=6)
    assert (np.abs(ways / len(shifts) - 1 / 6) < 0.04).all()
    radii = parts[..., SdfRow.RADIUS]
    assert is_uniform(np.abs(shifts).sum(1) / (0.7 * radii.sum(1)), 0.1, 0.7)
    assert np.corrcoef(radii.T)[0, 1] < 0.1


def test_class_rows_hold_the_published_ranges():
    rows = SdfShapes().tables(SHAPE).classes
    assert rows.shape == (109, SdfClassRow.SIZE)
    assert np.array_equal(rows[:, SdfClassRow.LIFT], [which.lift for which in CLASSES])

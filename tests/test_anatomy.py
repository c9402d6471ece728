"""Scenes of a shape bank through the engine: both sides alike, and what becomes of a structure."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from benchmarks.anatomy_statistics import bootstrap, counts_of, scenes, share
from synthgen import kernels
from synthgen.backend import cpu as cpu_backend
from synthgen.bank import build_bank, open_bank, save_bank
from synthgen.bank.relations import Kind
from synthgen.bench import bench
from synthgen.engine import Generator, plan_of
from synthgen.kernels.anatomy_records import BankShape, Fate, Pose
from synthgen.kernels.records import Placed
from synthgen.preview import from_recipe, from_store
from synthgen.recipe import load_recipe
from synthgen.store import build, verify
from tests.backends import NUMBA, assert_equal, cpu, host_cuda
from tests.digests import digest
from tests.host_cuda import needs_compiler
from tests.store.conftest import decoded

SMALL = (17, 33, 19)
HEAD_NECK = Path(__file__).parents[2] / "shared" / "data" / "shape_bank" / "head_neck"


def variant(name="fake-it-right", shape=SMALL, scale=True, **changes):
    recipe = load_recipe(name).at_shape(shape, scale=scale)
    return recipe.replace(shapes__digest=None, **changes).resolved()


NAMES = ("anatomy-patches", "fake-it-right")
FEW = ("liver", "spinal_canal", "spine")
UNDEFORMED = {
    "shapes__scale": 0.0, "shapes__axis_scale": 0.0, "shapes__rotation": 0.0,
    "shapes__displacement": (0.0, 0.0), "shapes__mirror": 0.0,
}  # fmt: skip
VARIANTS = {
    **{name: variant(name) for name in NAMES},
    **{f"{name} 41x37x130": variant(name, (41, 37, 130)) for name in NAMES},
    "float16 linear": variant(
        image_dtype="float16",
        appearance__falloff="linear",
        appearance__outside=3.0,
        appearance__inside=0.7,
        appearance__value=(1, 255),
    ),
    "float32 gaussian": variant(
        "anatomy-patches",
        (23, 41, 70),
        image_dtype="float32",
        appearance__outside=0.4,
        appearance__inside=4.0,
    ),
    "uint16 labels": variant(label_dtype="uint16"),
    "no hidden lines": variant("anatomy-patches", (23, 41, 70), appearance__hidden_lines=False),
    "two sweeps": variant(placement__sweeps=2),
    "uniform": variant(placement__positions="uniform", placement__proposals=5),
    "no limits": variant(placement__limits=None, placement__temperature=9.0),
    "anisotropic": variant(shape=(21, 45, 67), spacing=(4.5, 1.5, 0.9)),
    "few structures": variant(shapes__structures=FEW),
    "one structure": variant(shapes__structures=("heart",)),
    "undeformed": variant(**UNDEFORMED),
    "far displaced": variant(shapes__displacement=(20.0, 30.0), shapes__rotation=60.0),
    "finer than the bank": variant(scale=False, shapes__zoom=(0.5, 1.0), shapes__structures=FEW),
    "coarse": variant(shapes__zoom=(15.0, 20.0), shapes__keep=0.5),
}
each_variant = pytest.mark.parametrize("recipe", VARIANTS.values(), ids=VARIANTS)


@needs_compiler
@each_variant
def test_cuda_source_equals_the_cpu_kernels(recipe):
    indices = [0, 2**63 + 5]
    assert_equal(host_cuda(recipe, order=2).batch(indices), cpu(recipe).batch(indices))


@needs_compiler
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_order_of_threads_changes_no_voxel(name, order):
    recipe = VARIANTS[name]
    assert_equal(host_cuda(recipe, order=order).batch(range(3)), cpu(recipe).batch(range(3)))


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fake-it-right", "float16 linear"])
def test_cuda_source_keeps_within_its_arrays(name):
    host = host_cuda(VARIANTS[name], sanitize=True, order=2)
    assert_equal(host.batch([1]), cpu(VARIANTS[name]).batch([1]))


@pytest.mark.gpu
@each_variant
def test_cuda_equals_the_cpu_kernels(recipe):
    cuda = Generator(recipe, seed=7, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(40))), cpu(recipe).batch(range(40)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("threads", "batch_size"), [(1, 1), (2, 7), (3, 5), (8, 16)])
def test_threads_and_batches_change_no_voxel(name, threads, batch_size):
    recipe = VARIANTS[name]
    assert digest(cpu(recipe, threads=threads), range(24), batch_size) == digest(
        cpu(recipe, threads=1), range(24), 24
    )


@each_variant
def test_what_was_made_before_changes_no_voxel(recipe):
    whole, generator = cpu(recipe).batch(range(5)), cpu(recipe, threads=1)
    for index in (3, 0):
        one = generator.batch([index])
        np.testing.assert_array_equal(one.image[0], whole.image[index])
        np.testing.assert_array_equal(one.label[0], whole.label[index])
        np.testing.assert_array_equal(one.placed[0], whole.placed[index])


class Volume:
    """One volume: its batch, and the arrays that its stages left, until the next one is made."""

    def __init__(self, generator, index):
        self.batch = generator.empty([index])
        stages = generator.stages(self.batch)
        for stage in stages:
            stage.run()
        self.shape = generator.recipe.reference_shape
        self.arrays = {**stages.arrays, **generator._backend._constants}
        self.rows = {int(row[Placed.OBJECT]): row for row in self.arrays["placed"]}

    def placed(self):
        """Objects that are seen, in painting order."""
        return [n for n, row in self.rows.items() if row[Placed.ACCEPTED] == Fate.PLACED]

    def box(self, n, words):
        """(D, H, W) bool of an object's box, from rows or from a shell's plane."""
        depth, height, width = (int(v) for v in self.arrays["poses"][n, Pose.DEPTH :][:3])
        across = -(-width // 64)
        first = self.arrays["row_offsets"][n]
        block = words[first : first + depth * across * height].reshape(depth, across, height)
        octets = np.ascontiguousarray(block.transpose(0, 2, 1), "<u8").view(np.uint8)
        return np.unpackbits(octets, axis=-1, bitorder="little")[..., :width].astype(bool)

    def voxels(self, n, words):
        """(D, H, W) bool of the volume: where the bits of an object land."""
        first = self.rows[n][Placed.Z : Placed.X + 1] + self.arrays["poses"][n, Pose.BOX :][:3]
        box = self.box(n, words)
        low = np.minimum(np.maximum(-first, 0), box.shape)
        box, first = box[low[0] :, low[1] :, low[2] :], first + low
        room = [max(0, whole - start) for whole, start in zip(self.shape, first, strict=True)]
        box = box[: room[0], : room[1], : room[2]]
        found = np.zeros(self.shape, bool)
        if box.size:
            z, y, x = first
            found[z : z + box.shape[0], y : y + box.shape[1], x : x + box.shape[2]] = box
        return found

    def inside(self, n):
        return self.voxels(n, self.arrays["rows"])


def volumes(recipe, count):
    generator = cpu(recipe)
    return (Volume(generator, index) for index in range(count))


def painted(volume, hidden_lines):
    """(image as intensities, label) by the definition."""
    image, label = np.zeros(volume.shape), np.zeros(volume.shape, int)
    for n in volume.placed():
        inside = volume.inside(n)
        label[inside] = n + 1
        if not hidden_lines:
            image[inside] = 0
        value = int(volume.arrays["poses"][n, Pose.VALUE])
        for plane, weight in zip(volume.arrays["shells"], volume.arrays["weights"], strict=True):
            shell = volume.voxels(n, plane)
            image[shell] = np.maximum(image[shell], (value * int(weight) + 128) // 256)
    return image, label


@each_variant
def test_volumes_are_painted_from_what_was_placed(recipe):
    ranks = plan_of(recipe).shapes.ranks
    for volume in volumes(recipe, 3):
        assert list(volume.rows) == np.argsort(ranks).tolist(), "placed is in painting order"
        image, label = painted(volume, recipe.appearance.hidden_lines)
        np.testing.assert_array_equal(volume.batch.label[0, 0], label)
        np.testing.assert_array_equal(volume.batch.image[0, 0], image)
        low, high = recipe.appearance.value
        assert image.max() <= high
        drawn = [volume.arrays["poses"][n, Pose.VALUE] for n in volume.placed()]
        assert all(low <= value <= high for value in drawn)


def test_undeformed_structures_are_the_bank_s():
    """Voxels as large as the bank's: each box is its person's distances, turned to bits."""
    zoom = open_bank("builtin").spacing / 1.5
    recipe = variant(shape=(60, 70, 80), scale=False, shapes__zoom=(zoom, zoom), **UNDEFORMED)
    checked = 0
    for volume in volumes(recipe, 4):
        for n in volume.placed():
            pose = volume.arrays["poses"][n]
            row = volume.arrays["bank_shapes"][pose[Pose.SHAPE]].astype(int)
            sides = row[BankShape.DEPTH : BankShape.WIDTH + 1]
            distances = volume.arrays["distances"][row[BankShape.OFFSET] :][: sides.prod()]
            centre = row[BankShape.CENTRE : BankShape.CENTRE + 3] / 4096
            box = volume.box(n, volume.arrays["rows"])
            first = centre + pose[Pose.BOX : Pose.BOX + 3]
            at = np.indices(box.shape) + first[:, None, None, None]
            grid = distances.reshape(sides).astype(float)
            found = map_coordinates(grid, at, order=1, mode="nearest")
            certain = np.abs(found) > 0.5
            np.testing.assert_array_equal(box[certain], (found < 0)[certain])
            checked += np.count_nonzero(box)
    assert checked > 50_000


def broken_limits(recipe, count=60):
    """Pairs of placed structures that break a limit, counted on voxels, and pairs by their kind.

    The limits are those of the built-in recipes, whatever the recipe says.
    """
    kind = recipe.shapes.pair_table()["kind"]
    broken, counted = 0, dict.fromkeys(Kind, 0)
    for volume in volumes(recipe, count):
        seen = volume.placed()
        masks = np.array([volume.inside(n).ravel() for n in seen], np.float32)
        shared = masks @ masks.T  # exact below 2^24
        for one, i in enumerate(seen):
            for other, j in enumerate(seen):
                relation, size = Kind(kind[i, j]), shared[one, one]
                if i == j or relation == Kind.CONTAINS:
                    continue
                counted[relation] += 1
                if relation == Kind.INSIDE:
                    broken += shared[one, other] < (0.8 - 1e-5) * size
                else:
                    most = 0.3 if relation == Kind.TOUCHING else 0.1
                    least = min(size, shared[other, other])
                    broken += shared[one, other] > (most + 1e-5) * least
    return broken, counted


@pytest.mark.parametrize(
    "recipe",
    [
        *(variant(name, (40, 48, 44)) for name in NAMES),
        variant(shape=(40, 48, 44), placement__sweeps=2),
        variant(shape=(40, 48, 44), placement__positions="uniform"),
    ],
    ids=[*NAMES, "two sweeps", "uniform"],
)
def test_no_two_structures_break_a_limit(recipe):
    broken, counted = broken_limits(recipe)
    assert broken == 0
    assert min(counted[kind] for kind in (Kind.APART, Kind.TOUCHING, Kind.INSIDE)) >= 20


def test_without_limits_some_are_broken():
    broken, _ = broken_limits(variant(shape=(40, 48, 44), placement__limits=None))
    assert broken > 0


def test_every_fate_occurs():
    strict = variant(
        placement__positions="uniform",
        placement__proposals=1,
        placement__limits={"apart": 0.0, "touching": 0.0, "inside": 1.0},
    )
    found = {
        int(fate)
        for recipe in (strict, VARIANTS["fake-it-right"], VARIANTS["coarse"])
        for fate in cpu(recipe).batch(range(20)).placed[..., Placed.ACCEPTED].ravel()
    }
    assert found == set(Fate)


def test_only_what_is_seen_is_labelled():
    for recipe in (VARIANTS["fake-it-right"], VARIANTS["coarse"]):
        batch = cpu(recipe).batch(range(20))
        for label, placed in zip(batch.label, batch.placed, strict=True):
            seen = placed[placed[:, Placed.ACCEPTED] == Fate.PLACED]
            assert set(np.unique(label)) - {0} <= set(seen[:, Placed.OBJECT] + 1)


def test_the_benchmark_counts_what_was_placed_and_dropped():
    recipe = VARIANTS["anatomy-patches"]
    rows = {row.name: row for row in bench(recipe, device="cpu", batch_size=4, volumes=12).rows}
    assert {"sample", "lattice", "rasterize", "place", "paint"} <= set(rows)
    fates = cpu(recipe).batch(range(12)).placed[..., Placed.ACCEPTED]
    made = rows["generate"].made
    assert made.objects_placed == pytest.approx((fates == Fate.PLACED).sum() / 12)
    assert made.objects_dropped == pytest.approx((fates == Fate.DROPPED).sum() / 12)
    assert (fates == Fate.DROPPED).any()


def test_what_is_contained_lies_where_its_person_has_it():
    """Without jitter it has its container's person, turn and scale, and goes where that goes."""
    recipe = variant(shape=(40, 48, 44), shapes__jitter=0.0)
    bank, plan, names = open_bank("builtin"), plan_of(recipe), recipe.shapes.class_names
    inner, outer = names.index("spinal_canal"), names.index("spine")
    both = 0
    for volume in volumes(recipe, 20):
        poses = volume.arrays["poses"]
        if not {inner, outer} <= set(volume.placed()):
            continue
        both += 1
        assert poses[inner, Pose.LEADER] == outer + 1
        assert poses[inner, Pose.SHAPE] - inner == poses[outer, Pose.SHAPE] - outer
        turn, same = poses[[inner, outer], Pose.MATRIX : Pose.MATRIX + 9].reshape(2, 3, 3)
        np.testing.assert_array_equal(turn, same)
        level, row = divmod(int(poses[inner, Pose.SHAPE]), bank.subjects * len(names))
        away = plan.shapes.offsets[row] / (bank.spacing * 2**level)
        expected = np.linalg.solve(turn / 65536, away)
        places = volume.rows[inner] - volume.rows[outer]
        assert np.abs(places[Placed.Z : Placed.X + 1] - expected).max() <= 1.5
    assert both >= 5


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A recipe of five people's heads and necks."""
    if not HEAD_NECK.is_dir():
        pytest.skip("there are no label maps of people beside the repository")
    pytest.importorskip("nibabel")
    from synthgen.bank.reading import read_subjects

    files = sorted(HEAD_NECK.glob("*.nii.gz"))[:5]
    path = tmp_path_factory.mktemp("bank") / "five.zarr"
    save_bank(build_bank(read_subjects(files)), path)
    recipe = load_recipe("fake-it-right")
    fresh = {"bank": str(path), "digest": None, "structures": ()}
    return recipe.replace(**{f"shapes__{key}": value for key, value in fresh.items()}).resolved()


@pytest.mark.slow
def test_relations_of_people_hold(real):
    relations, rows, fates = real.shapes.pair_table(), [], []
    for scene in scenes(real, 80, seed=7):
        rows.append(counts_of(scene, relations, gaps=False))
        fates.append(scene.fates)
    assert sum(row["forbidden"] for row in rows) == 0
    orders = np.array([(row["broken"], row["orders"]) for row in rows])
    assert orders[:, 1].sum() > 5000
    low, _ = bootstrap(orders, share)
    assert low <= 0.02, f"{share(orders):.4f} of the orders are broken"
    fates = np.array(fates)
    tried = np.isin(fates, (Fate.PLACED, Fate.UNSEEN, Fate.DROPPED)).sum()
    assert (fates == Fate.DROPPED).sum() <= 0.02 * tried


@pytest.mark.slow
@needs_compiler
def test_cuda_source_equals_the_cpu_kernels_on_people(real):
    recipe = real.at_shape((29, 37, 41))
    assert_equal(host_cuda(recipe, order=1).batch(range(2)), cpu(recipe).batch(range(2)))


def test_a_store_holds_the_volumes_and_is_drawn(tmp_path):
    recipe = VARIANTS["fake-it-right"]
    build(recipe, tmp_path / "store", count=5, seed=7, shard_size=2, device="cpu")
    assert not verify(tmp_path / "store", deep=True).wanting
    found, expected = decoded(tmp_path / "store"), cpu(recipe).batch(range(5))
    np.testing.assert_array_equal(found["image"], expected.image)
    np.testing.assert_array_equal(found["label"].reshape(expected.label.shape), expected.label)
    for content in (from_recipe(recipe, [1], seed=7), from_store(tmp_path / "store", [1])):
        (volume,) = content.volumes
        assert content.class_names == ["background", *recipe.shapes.class_names]
        np.testing.assert_array_equal(volume.image, expected.image[1, 0])
        np.testing.assert_array_equal(volume.label, expected.label[1, 0])


KERNELS = Path(inspect.getfile(kernels)).parent


def test_kernels_of_numba_are_those_that_cuda_launches():
    """The table of the CUDA backend, read as text: it needs CuPy to be imported."""
    tree = ast.parse(Path(inspect.getfile(cpu_backend)).with_name("cuda.py").read_text())
    (table,) = (
        ast.unparse(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_NUMBA"
    )
    built = sorted(path.stem for path in KERNELS.glob("*_cuda.py"))
    names = [name.removesuffix("_cuda") for name in built]
    rows = (f"'{name}': ({name}_cuda.{name}, {name}_cuda.THREADS)" for name in names)
    assert table == f"{{{', '.join(rows)}}}"
    assert sorted(NUMBA) == names


@pytest.mark.parametrize("name", NUMBA)
def test_host_runs_numba_kernels_with_the_arguments_of_cuda_ones(name):
    (kernel,) = (
        node
        for node in ast.parse((KERNELS / f"{name}_cuda.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    arguments = [argument.arg for argument in kernel.args.args]
    per_volume = {
        arguments.index(node.value.id)
        for node in ast.walk(kernel)
        if isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "b"
    }
    assert NUMBA[name][1] == per_volume
    twin = getattr(import_module(f"synthgen.kernels.{name}"), name)
    on_cpu = ", ".join(inspect.signature(twin.py_func).parameters)
    on_cuda = ", ".join(arguments).replace("depth, height, width", "shape")
    assert on_cuda.replace("indices", "index") == on_cpu

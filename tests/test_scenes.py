"""Scenes of signed distance functions through the engine: stages that combine, and what may not."""

from importlib.util import find_spec

import numpy as np
import pytest

from synthgen.engine import Generator
from synthgen.kernels.records import Placed
from synthgen.recipe import RecipeError, load_recipe
from tests.backends import assert_equal, cpu, host_cuda
from tests.host_cuda import needs_compiler

SMALL = (17, 33, 19)
TURNS = ("stay", "upside_down", "side_1", "side_2", "side_3", "side_4")
MAPPER = {"kind": "mapper"}
SPARSE = {"kind": "overlap", "ratio": 0.2}


def variant(name="fdif", shape=SMALL, **changes):
    return load_recipe(name).at_shape(shape).replace(**changes).resolved()


VARIANTS = {
    "fdif": variant(),
    "130x64x97": variant(shape=(130, 64, 97)),
    "multitask": variant("fdif-multitask"),
    "classification": variant("fdif-classification"),
    "object frame": variant("fdif-paper"),
    "many objects": variant(shapes__objects=70),
    "one object": variant(shapes__objects=1),
    "corrected": variant(
        shapes__octahedron_slope="exact",
        shapes__onion_minimum="slab",
        shapes__rotation="uniform",
        shapes__shear=0.0,
    ),
    "unions": variant(
        shapes__primitives=("solids",),
        shapes__unions=(("Sphere", "Cylinder"), ("Torus", "FiveStarConePrism")),
    ),
    "noise": variant(
        shapes__displacements=("gradient_noise_fine", "gradient_noise_coarse", "ridge"),
        appearance__texture={"amplitude": 0.5, "cell": 5.0, "octaves": 2},
    ),
    "custom": variant(
        shapes__custom=(
            {
                "name": "Bead", "lift": "revolve", "profile": "circle", "radius": (0.1, 0.2),
                "offset": (0.0, 0.1),
            },
        ),
    ),
    "placed": variant(placement=SPARSE),
    "placed unions": variant(
        placement=SPARSE,
        shapes__primitives=("tori", "onion_star_prisms"),
        shapes__unions=(("Cone", "Octahedron"),),
    ),
    "stacks": variant("avs-db", appearance=MAPPER),
    "turned stacks": variant(
        "avs-db",
        appearance=MAPPER,
        shapes__orientations=TURNS,
        shapes__depth=(3, 14),
        placement__ratio=0.2,
        labels={"kind": "multi_task", "tasks": ("shape", "mapper")},
    ),
}  # fmt: skip
if find_spec("trimesh") is not None:
    VARIANTS["meshes"] = variant(
        "fdif-mesh", shapes__meshes={"folder": "builtin", "resolution": 16}, shapes__objects=4
    )
each_variant = pytest.mark.parametrize("recipe", VARIANTS.values(), ids=VARIANTS)


@needs_compiler
@each_variant
@pytest.mark.parametrize("order", [0, 2])
def test_cuda_source_equals_the_cpu_kernels(recipe, order):
    assert_equal(host_cuda(recipe, order=order).batch(range(3)), cpu(recipe).batch(range(3)))


@needs_compiler
@pytest.mark.parametrize("name", ["fdif", "many objects", "placed unions", "turned stacks"])
def test_cuda_source_keeps_within_its_arrays(name):
    host = host_cuda(VARIANTS[name], sanitize=True, order=2)
    assert_equal(host.batch([1]), cpu(VARIANTS[name]).batch([1]))


@pytest.mark.gpu
@each_variant
def test_cuda_equals_the_cpu_kernels(recipe):
    cuda = Generator(recipe, seed=7, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(20))), cpu(recipe).batch(range(20)))


@each_variant
def test_batches_change_no_voxel(recipe):
    whole, generator = cpu(recipe).batch(range(5)), cpu(recipe)
    for index in (3, 0):
        one = generator.batch([index])
        np.testing.assert_array_equal(one.image[0], whole.image[index])
        np.testing.assert_array_equal(one.label[0], whole.label[index])


def run(recipe, index):
    """Scratch and outputs of one volume."""
    generator = cpu(recipe)
    stages = generator.stages(generator.empty([index]))
    for stage in stages:
        stage.run()
    return stages.arrays


def rows_as_voxels(arrays, n, shape):
    """(D, H, W) of an object's bit rows, where it was placed."""
    place = next(row for row in arrays["placed"] if row[Placed.OBJECT] == n)
    depth, height, width = arrays["boxes"][place[Placed.VARIANT]][:3]
    words = (width + 63) // 64
    rows = arrays["labels"][n][: depth * words * height].reshape(depth, words, height)
    bits = (rows[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    box = bits.transpose(0, 2, 1, 3).reshape(depth, height, words * 64)[..., :width] != 0
    found = np.zeros(shape, bool)
    z, y, x = place[[Placed.Z, Placed.Y, Placed.X]]
    found[z : z + depth, y : y + height, x : x + width] = box
    return found, bool(place[Placed.ACCEPTED])


@pytest.mark.parametrize("shape", [SMALL, (40, 48, 56)])
def test_what_was_placed_is_what_is_drawn(shape):
    """Undisplaced, the rows that an object was placed by are the voxels that it is drawn into."""
    recipe = variant(shape=shape, placement=SPARSE, shapes__displacements=("none",))
    for index in range(3):
        arrays = run(recipe, index)
        occupied = np.zeros(shape, bool)
        for place in arrays["placed"]:
            n = int(place[Placed.OBJECT])
            rows, accepted = rows_as_voxels(arrays, n, shape)
            drawn = (arrays["masks"][0] >> np.uint32(n)) & np.uint32(1) != 0
            np.testing.assert_array_equal(drawn, rows if accepted else np.zeros(shape, bool))
            if accepted:
                assert (rows & occupied).sum() <= 0.2 * rows.sum()
                occupied |= rows


@pytest.mark.parametrize("turns", [("stay",), *(("stay", turn) for turn in TURNS[1:])])
def test_stacks_are_drawn_where_they_were_placed(turns):
    """Rasterized sections are wider by half a voxel, and their corners cut to whole voxels."""
    base = load_recipe("avs-db").replace(
        shapes__orientations=turns, shapes__objects=8, placement__ratio=0.0
    )
    drawn = cpu(base.replace(appearance=MAPPER)).batch(range(2)).label
    painted = cpu(base).batch(range(2)).label
    both = (drawn > 0) & (painted > 0)
    assert both.sum() > 0.94 * (drawn > 0).sum()
    assert both.sum() > 0.96 * (painted > 0).sum()
    assert (drawn[both] == painted[both]).mean() > 0.999


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("fdif", {"appearance": {"kind": "contour"}},
         "appearance.kind: must be mapper or chain .* got contour .a contour follows the sections"),
        ("avs-db", {"placement": {"kind": "free"}},
         "placement.kind: must be overlap .* got free .polygon stacks are placed by overlap"),
        ("avs-db", {"labels": {"kind": "multi_task"}},
         "labels.kind: contours are labelled by_volume, got multi_task"),
        ("avs-db", {"appearance": MAPPER, "labels": {"kind": "multi_task"}},
         "labels.tasks: polygon stacks have no displacement to tell"),
        ("avs-db", {"appearance": MAPPER | {"distance": "exact"}},
         "appearance.distance: must be any, .* bounds only: of an ellipse, got exact"),
        ("avs-db", {"appearance": MAPPER, "shapes__sections": (3, 12)},
         "appearance.kind: mappers draw sections of at most 9 vertices, got 12"),
        ("fdif", {"appearance__distance": "exact"},
         "appearance.distance: must be any, .* of sheared objects"),
        ("fdif", {"image_dtype": "float32"}, "image_dtype: mappers draw whole grey levels"),
        ("fdif", {"labels": {"kind": "whole_volume"}},
         "labels.kind: whole_volume tells of a volume's one object, got 20"),
        ("fdif-multitask", {"appearance__mappers": ("inverse_cube",)},
         "labels.tasks: a task needs two classes or more, .* for mapper"),
        ("fdif-multitask", {"shapes__displacements": ("none",)},
         "labels.tasks: a task needs two classes or more, .* for displacement"),
        ("fdif", {"appearance__mappers": ("inverse_cub",)},
         "appearance.mappers: must be a known mapper, got 'inverse_cub'; nearest: inverse_cube"),
        ("fdif", {"placement__spread": -0.1}, "placement.spread: must be greater"),
        ("fdif", {"shapes__objects": 0}, "shapes.objects: must be greater than or equal to 1"),
        ("fdif-mesh", {"shapes__meshes__radius": (0.4, 0.2)}, "radius: a range needs low <= high"),
        ("fdif-mesh", {"shapes__meshes__radius": (-0.4, 0.2)},
         r"shapes.meshes.radius: must lie in 0.001..2, got \[-0.4, 0.2\]"),
        ("fdif-mesh", {"shapes__meshes__classes": ()},
         "shapes.meshes.classes: needs 1 or more entries beside a digest"),
        ("fdif-mesh", {"shapes__meshes__classes": ({"name": "Sphere", "meshes": 4},)},
         "shapes.meshes.classes: must not be published classes or groups, got 'Sphere'"),
        ("fdif-classification", {"shapes__primitives": ("Sphere",)},
         "labels.tasks: a task needs two classes or more, .* for shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_refused_with_the_reason(name, changes, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(name).replace(**changes)


def test_exact_distances_can_be_asked_for():
    exact = MAPPER | {"distance": "exact"}
    load_recipe("avs-db").replace(
        shapes__sections=(3, 4), shapes__z_rules=("prism",), appearance=exact
    )
    load_recipe("fdif").replace(
        shapes__shear=0.0,
        shapes__displacements=("none",),
        shapes__primitives=("Sphere", "Cylinder"),
        appearance__distance="exact",
    )


def test_labels_need_a_type_that_holds_them():
    bead = {"lift": "sphere", "radius": (0.1, 0.2)}
    many = tuple(bead | {"name": f"Bead{i}"} for i in range(150))
    with pytest.raises(RecipeError, match="label_dtype: uint8 holds 255 classes, got 259"):
        load_recipe("fdif").replace(shapes__custom=many)
    wide = load_recipe("fdif").at_shape(SMALL).replace(shapes__custom=many, label_dtype="uint16")
    assert cpu(wide).batch(range(8)).label.max() > 255


def test_class_ids_do_not_depend_on_the_order_of_names():
    names = ("Torus", "Cone", "onion_star_prisms", "Sphere")
    mappers = ("modular_5", "inverse_cube", "linear_slope_10.0")
    forward = variant(shapes__primitives=names, appearance__mappers=mappers)
    backward = variant(shapes__primitives=names[::-1], appearance__mappers=mappers[::-1])
    assert forward.class_names == backward.class_names
    assert forward.tasks == backward.tasks
    assert_equal(cpu(forward).batch(range(2)), cpu(backward).batch(range(2)))


@pytest.mark.parametrize("content", [{}, {"broken.stl": b"no mesh"}, {"notes.txt": b"none"}])
def test_mesh_folders_without_a_mesh_are_refused(tmp_path, content):
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    recipe = load_recipe("fdif-mesh").replace(shapes__meshes={"folder": str(tmp_path)})
    with pytest.raises(RecipeError, match=r"shapes\.meshes\.folder: must hold"):
        recipe.resolved()


def test_a_changed_mesh_folder_is_refused(tmp_path):
    from synthgen.shapes.sdf_meshes import Meshes

    source = Meshes()._path
    (tmp_path / "bean.stl").write_bytes((source / "bean.stl").read_bytes())
    settings = {"folder": str(tmp_path), "resolution": 16}
    recipe = variant("fdif-mesh", shapes__meshes=settings, shapes__objects=2)
    assert recipe.class_names == ["background", "bean"]
    first = cpu(recipe).batch([0])
    (tmp_path / "knot.stl").write_bytes((source / "knot.stl").read_bytes())
    with pytest.raises(ValueError, match=r"shapes.meshes.digest: must be that of the meshes"):
        cpu(recipe)
    (tmp_path / "knot.stl").unlink()
    moved = tmp_path.with_name("elsewhere")
    tmp_path.rename(moved)
    there = variant(
        "fdif-mesh", shapes__meshes=settings | {"folder": str(moved)}, shapes__objects=2
    )
    assert there.digest() == recipe.digest()
    assert_equal(cpu(there).batch([0]), first)


def test_mesh_classes_that_are_not_the_folder_s_are_refused():
    wrong = load_recipe("fdif-mesh").replace(shapes__meshes__classes=({"name": "a", "meshes": 9},))
    with pytest.raises(ValueError, match=r"shapes.meshes.classes: must be .*, got a \(9\)"):
        cpu(wrong)


def test_meshes_can_be_parts_of_unions():
    recipe = variant(
        shapes__primitives=(),
        shapes__unions=(("bean", "Sphere"),),
        shapes__meshes={"folder": "builtin", "resolution": 16},
    )
    assert recipe.class_names[-1] == "Sphere + bean"
    with pytest.raises(RecipeError, match=r"shapes.unions: must be a known primitive, got 'been'"):
        recipe.replace(shapes__unions=(("been", "Sphere"),))
    with pytest.raises(RecipeError, match=r"shapes.*unions: must be a known primitive, got 'been'"):
        variant(
            shapes__unions=(("been", "Sphere"),),
            shapes__meshes={"folder": "builtin", "resolution": 16},
        )


def test_mesh_recipes_may_have_several_tasks():
    recipe = variant(
        shapes__primitives=(),
        shapes__meshes={"folder": "builtin", "resolution": 16},
        labels={"kind": "multi_task"},
    )
    assert recipe.tasks[0].class_names == ["background", "bean", "knot", "lobes", "vessel"]


def test_meshes_of_one_folder_are_one_class(tmp_path):
    from synthgen.shapes.sdf_meshes import Meshes

    source = Meshes()._path
    (tmp_path / "organs").mkdir()
    for name in ("bean", "lobes"):
        (tmp_path / "organs" / f"{name}.stl").write_bytes((source / f"{name}.stl").read_bytes())
    (tmp_path / "vessel.stl").write_bytes((source / "vessel.stl").read_bytes())
    recipe = variant("fdif-mesh", shapes__meshes={"folder": str(tmp_path), "resolution": 16})
    assert recipe.class_names == ["background", "organs", "vessel"]
    parts = run(recipe, 0)["parts"][:, 0]
    from synthgen.kernels.sdf_records import SdfRow

    assert set(parts[:, SdfRow.EDGES]) == {0, 1, 2}

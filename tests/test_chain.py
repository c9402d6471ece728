"""Appearance chains through the engine: any shapes, every step, statistics of what was drawn."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

from synthgen.bank import Mask, Subject, build_bank, save_bank
from synthgen.engine import Generator
from synthgen.kernels.appearance_records import Step, StepKind, Tone
from synthgen.recipe import RecipeError, load_recipe, recipe_from_dict
from tests.backends import assert_equal, cpu, host_cuda, written_outside
from tests.host_cuda import needs_compiler

SMALL = (17, 33, 19)
INTENSITY: dict[str, Any] = {"kind": "intensity", "mean": [0.2, 0.8]}
FLAT: dict[str, Any] = INTENSITY | {"background": {"mean": [0.4, 0.6]}}
EVERY_STEP: list[dict[str, Any]] = [
    INTENSITY | {"sd": [0.01, 0.1], "neighbour": {}, "contrast": 0.05},
    {"kind": "texture", "buffer": {"width": [1.0, 2.0]}},
    {"kind": "spectral_texture", "relative": True},
    {"kind": "outline", "value": [0.5, 1.0], "width": 1.0},
    {"kind": "blur", "sd": [0.3, 1.5], "across": [0.3, 2.5]},
    {"kind": "bias_field"},
    {"kind": "clip", "bounds": [0.0, 1.2]},
    {"kind": "normalize"},
    {"kind": "gamma"},
    {"kind": "noise", "models": ["gaussian", "rician", "speckle"]},
    {"kind": "resolution"},
]


def chain(*steps: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {"kind": "chain", "steps": list(steps), **settings}


def variant(name="avs-db", steps=EVERY_STEP, shape=SMALL, channels=1, sides="apart", **changes):
    recipe = load_recipe(name).at_shape(shape)
    values = recipe.to_dict() | {"appearance": chain(*steps, channels=channels, sides=sides)}
    return type(recipe).from_dict(values).replace(**{"image_dtype": "float32"} | changes).resolved()


CONTOUR, SHELL, MAPPER = ({"kind": kind} for kind in ("contour", "shell", "mapper"))
VARIANTS = {
    "every step": lambda: variant(),
    "bytes": lambda: variant(image_dtype="uint8"),
    "half precision, two channels": lambda: variant(image_dtype="float16", channels=2),
    "wide labels": lambda: variant(label_dtype="uint16"),
    "one program": lambda: variant(steps=[FLAT, EVERY_STEP[5], EVERY_STEP[9]]),
    "from contours": lambda: variant(steps=[CONTOUR, *EVERY_STEP[1:2], *EVERY_STEP[3:]]),
    "contours alone": lambda: variant(steps=[CONTOUR], channels=2),
    "mapped stacks": lambda: variant(steps=[MAPPER, *EVERY_STEP[4:6]]),
    "fdif": lambda: variant("fdif", steps=[MAPPER, *EVERY_STEP[4:]]),
    "fdif by label": lambda: variant("fdif"),
    "fdif by overlap": lambda: variant("fdif", placement={"kind": "overlap"}),
    "shells": lambda: variant("fake-it-right", steps=[SHELL, *EVERY_STEP[3:]]),
    "organs": lambda: variant("fake-it-right"),
    "organs, sides alike": lambda: variant("fake-it-right", sides="alike"),
    "32x48x80": lambda: variant(shape=(32, 48, 80)),
}


@needs_compiler
@pytest.mark.parametrize("name", VARIANTS)
def test_cuda_makes_the_same_volumes(name):
    recipe = VARIANTS[name]()
    assert_equal(host_cuda(recipe).batch([3, 8]), cpu(recipe).batch([3, 8]))


@pytest.mark.gpu
@pytest.mark.parametrize("name", VARIANTS)
def test_cuda_equals_the_cpu_kernels(name):
    recipe = VARIANTS[name]()
    cuda = Generator(recipe, seed=7, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(8))), cpu(recipe).batch(range(8)))


@needs_compiler
def test_cuda_touches_no_memory_but_its_own():
    recipe = variant()
    assert_equal(host_cuda(recipe, sanitize=True, order=3).batch([5]), cpu(recipe).batch([5]))


@pytest.mark.parametrize("name", VARIANTS)
def test_cpu_touches_no_memory_but_its_own(name):
    assert written_outside(VARIANTS[name](), 3) == []


def test_a_volume_depends_on_its_index_alone():
    generator = cpu(VARIANTS["half precision, two channels"]())
    together, alone = generator.batch([1, 2, 3]), generator.batch([2])
    np.testing.assert_array_equal(together.image[1], alone.image[0])
    assert not np.array_equal(alone.image[0, 0], alone.image[0, 1])


def test_a_step_that_is_never_taken_changes_nothing():
    steps = EVERY_STEP[:3]
    never = [*steps, *(step | {"probability": 0.0} for step in EVERY_STEP[3:10])]
    assert_equal(cpu(variant(steps=never)).batch([4]), cpu(variant(steps=steps)).batch([4]))


class Made:
    """One volume with the tables that it was made from."""

    def __init__(self, recipe, index=0):
        generator = cpu(recipe)
        batch = generator.empty([index])
        stages = generator.stages(batch)
        for stage in stages:
            stage.run()
        self.image, self.label = batch.image[0], batch.label[0, 0]
        self.arrays = stages.arrays


def test_intensities_are_those_drawn_for_each_label():
    made = Made(variant(steps=[FLAT | {"sd": [0.01, 0.05]}], shape=(48, 64, 56)))
    values = np.unique(made.label)
    assert len(values) > 4
    for value in values:
        found = made.image[0][made.label == value].astype(np.float64)
        mean, sd = made.arrays["tones"][0, value, [Tone.MEAN, Tone.SD]]
        assert abs(found.mean() - mean) < 5 * max(sd, 1e-6) / found.size**0.5
        if sd > 0 and found.size > 500:
            normal = stats.kstest((found - mean) / sd, "norm")
            assert normal.pvalue > 1e-4
            assert abs(found.std() / sd - 1) < 5 / found.size**0.5


@pytest.mark.parametrize("name", ["fake-it-right", "synthseg"])
@pytest.mark.parametrize("sides", ["alike", "apart"])
def test_left_and_right_look_the_same_where_they_are_alike(name, sides):
    recipe = variant(name, steps=[FLAT], shape=(32, 32, 32), sides=sides)
    pairs = [
        [recipe.class_names.index(f"{organ}_{side}") for side in ("left", "right")]
        for organ in ("kidney", "lung")
    ]
    volumes = (Made(recipe, index) for index in range(30))
    made = next(made for made in volumes if np.isin(pairs, made.label).all())
    for pair in pairs:
        left, right = (np.unique(made.image[0][made.label == value]) for value in pair)
        assert len(left) == len(right) == 1
        assert (left == right) == (sides == "alike")
    alike = 2 * (sides == "alike")
    assert len(np.unique(made.image[0])) == len(np.unique(made.label)) - alike


@pytest.mark.parametrize(
    ("name", "first", "message"),
    [
        ("avs-db", INTENSITY, "must be apart, .* got alike with polygon_stack shapes"),
        ("fake-it-right", SHELL, "must be apart where another appearance .* got alike with shell"),
    ],
)
def test_sides_are_of_a_bank_s_structures_and_of_the_chain_s_own_steps(name, first, message):
    with pytest.raises(RecipeError, match=f"appearance.sides: {message}"):
        variant(name, steps=[first], sides="alike")


@pytest.mark.parametrize("model", ["gaussian", "rician", "speckle"])
def test_noise_has_its_distribution(model):
    flat = FLAT | {"mean": [0.5, 0.5], "background": {"mean": [0.5, 0.5]}}
    made = Made(variant(steps=[flat, {"kind": "noise", "models": [model], "sd": [0.08, 0.08]}],
                        shape=(40, 56, 64)))  # fmt: skip
    found = made.image[0].astype(np.float64).ravel()
    if model == "gaussian":
        assert stats.kstest((found - 0.5) / 0.08, "norm").pvalue > 1e-3
    elif model == "rician":
        assert stats.kstest(found / 0.08, stats.rice(0.5 / 0.08).cdf).pvalue > 1e-3
    else:
        # Correlated over two voxels: every fourth along each axis is as good as independent.
        factor = made.image[0][::4, ::4, ::4].astype(np.float64).ravel() / 0.5
        rayleigh = (factor - 1) / 0.08 * np.sqrt(2 - np.pi / 2) + np.sqrt(np.pi / 2)
        assert stats.kstest(rayleigh, "rayleigh").pvalue > 1e-3


def test_a_bias_field_is_smooth():
    """Between nodes it is linear in its logarithm, so its second difference is 0 but at nodes."""
    flat = INTENSITY | {"mean": [0.2, 0.2], "background": {"mean": [0.2, 0.2]}}
    made = Made(variant(steps=[flat, {"kind": "bias_field", "sd": [0.5, 0.5]}], shape=(64, 64, 96)))
    bent = np.abs(np.diff(np.log(made.image[0].astype(np.float64)), 2, axis=2))
    assert np.count_nonzero((bent > 1e-5).any((0, 1))) <= 2  # about the one inner node
    assert made.image[0].std() > 0.01


def test_textures_spare_the_buffer():
    """The gradient next to a boundary is what the labels give, to the bit."""
    recipe = load_recipe("boundary-safe").replace(image_dtype="float32", shapes__objects=3)
    bare = recipe.to_dict()
    bare["appearance"]["steps"] = bare["appearance"]["steps"][:1]
    textured, plain = Made(recipe, 3), Made(type(recipe).from_dict(bare), 3)
    texture = textured.image[0] - plain.image[0]
    width = textured.arrays["drawn"][1, Step.P]
    label = textured.label
    edges = np.zeros(label.shape, bool)
    for axis in range(3):
        change = np.diff(label.astype(int), axis=axis) != 0
        edges |= np.pad(change, [(0, int(a == axis)) for a in range(3)])
        edges |= np.pad(change, [(int(a == axis), 0) for a in range(3)])
    away = ndimage.distance_transform_edt(~edges)
    assert (texture[away <= width] == 0).all()
    assert texture[(away > width + 3) & (label > 0)].std() > 0.005
    for axis in range(3):
        gradient = np.abs(np.gradient(texture, axis=axis))
        assert gradient[away <= width - 1].max() == 0


def test_a_buffer_wider_than_all_objects_leaves_no_texture_on_them():
    wide = [INTENSITY, {"kind": "texture", "buffer": {"width": [4.0, 4.0]}}]
    small = {"shapes__objects": 3, "shapes__depth": (5, 6)}
    made = Made(variant(steps=wide, **small))
    values = [np.unique(made.image[0][made.label == v]) for v in np.unique(made.label)[1:]]
    assert all(len(found) == 1 for found in values)


THIN = {
    "avs-db": {"shapes__depth": (5, 6)},
    "v-pcf": {"shapes__size": (5, 7), "shapes__objects": 1},
    "synthfm-3d": {"shapes__radius": (0.02, 0.04), "shapes__least_voxels": 1},
    "synthseg": {"shapes__structures": ("spinal_canal", "trachea")},
    "fake-it-right": {"shapes__structures": ("esophagus", "trachea"), "shapes__zoom": (8.0, 9.0)},
}


@pytest.mark.parametrize("name", THIN)
@pytest.mark.parametrize("thin", [False, True])
def test_no_ball_in_an_object_is_larger_than_said(name, thin):
    alone = {"shapes__objects": 1} if name in ("avs-db", "v-pcf") else {}
    recipe = variant(name, steps=[INTENSITY], shape=(48, 56, 40)).replace(
        **alone | (THIN[name] if thin else {})
    )
    said = recipe.shapes.largest_ball(recipe.reference_shape, recipe.spacing)
    found = [
        ndimage.distance_transform_edt(np.pad(label == value, 1)).max()
        for label in cpu(recipe).batch(range(6)).label[:, 0]
        for value in np.unique(label)[1:]
    ]
    assert max(found) <= said + 1, "a voxel's middle is half a voxel from its sides"


def test_what_lies_between_a_bank_s_lattice_points_counts(tmp_path):
    """A sheet of 3 mm, midway between points that are 3 mm apart."""
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[2, 3] = 1.0
    sheet = Mask(np.ones((60, 60, 4), bool), affine)
    body = np.array([[0.0, 0.0, 0.0], [60.0, 60.0, 60.0]])
    save_bank(build_bank([Subject({"sheet": sheet}, body)], spacing=3.0), tmp_path / "bank.zarr")
    for kind, spacing in (("label_map", 1.0), ("label_map", 0.5), ("bank", 1.0), ("bank", 0.5)):
        recipe = recipe_from_dict({
            "name": "sheet", "image_dtype": "float32", "reference_shape": [40, 40, 40],
            "spacing": [spacing] * 3, "shapes": {"kind": kind, "bank": str(tmp_path / "bank.zarr")},
            "appearance": chain(INTENSITY),
        }).resolved()  # fmt: skip
        said = recipe.shapes.largest_ball(recipe.reference_shape, recipe.spacing)
        label = cpu(recipe).batch([0, 1]).label[:, 0]
        assert label.any()
        found = [ndimage.distance_transform_edt(np.pad(one, 1)).max() for one in label]
        assert max(found) <= said + 1


@pytest.mark.parametrize("name", THIN)
def test_a_buffer_wider_than_all_objects_is_told_of(name):
    texture = {"kind": "texture", "buffer": {"width": [4.0, 4.0]}}
    recipe = variant(name, steps=[INTENSITY, texture], shape=(48, 56, 40))
    told = "appearance.steps.1.buffer.width: every object by itself is thinner than two "
    assert not [line for line in recipe.remarks() if "buffer" in line]
    (line,) = [line for line in recipe.replace(**THIN[name]).remarks() if "buffer" in line]
    assert line.startswith(told)


def test_normalized_images_reach_both_ends():
    made = Made(variant(steps=[INTENSITY, {"kind": "normalize"}]))
    assert made.image.min() == 0
    assert made.image.max() == 1


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_types_round_the_same_image(dtype):
    exact, rounded = (Made(variant(image_dtype=d)).image[0] for d in ("float32", dtype))
    expected = np.floor(exact * np.float32(255) + 0.5) if dtype == "uint8" else exact
    np.testing.assert_array_equal(rounded, expected.astype(dtype))


BAD = [
    ([{"kind": "noise"}], "appearance.steps: the first must be intensity, contour, shell or map"),
    ([], "appearance.steps: needs 1 or more entries"),
    ([INTENSITY | {"sd": [-0.1, 0.1]}], r"steps.0.sd: a range must not go below 0, got \[-0.1"),
    ([INTENSITY, {"kind": "noise", "sd": [-1.0, 0.0]}], "steps.1.sd: a range must not go below 0"),
    ([INTENSITY, {"kind": "blur", "sd": [0.0, 9.0]}],
     "steps.1.sd: three standard deviations must fit into a side of 17 voxels, got 9"),
    ([INTENSITY, {"kind": "blur", "across": [0.0, 6.0]}],
     "steps.1.across: three standard deviations must fit into a side of 17 voxels, got 6"),
    ([INTENSITY, INTENSITY], "steps.1.kind: begins a chain, got intensity"),
    ([CONTOUR, {"kind": "texture", "relative": True}], "steps.1.relative: needs a chain that"),
    ([INTENSITY | {"background": {"dark": {"probability": 0.7}, "black": 0.4}}],
     "appearance.steps.0.background.black: must be at most 1 with dark.probability, got 0.4 . 0.7"),
    ([SHELL], "appearance.steps.0.kind: must be contour or mapper or intensity with polygon_stack"),
    ([INTENSITY, {"kind": "texture", "buffer": {"width": [2.0, 6.0]}}],
     r"buffer.width: with the ramp at most 7 voxels"),
    ([INTENSITY, {"kind": "spectral_texture", "archetypes": ["liver"]}], "archetypes: must be of"),
    ([INTENSITY, *[{"kind": "gamma"}] * 16], "appearance.steps: needs 16 or fewer entries"),
    ([INTENSITY, *[{"kind": "spectral_texture", "waves": 128}] * 3], "256 waves or fewer in all"),
    ([INTENSITY | {"probability": 0.5}], "steps.0.probability: must be 1"),
    ([INTENSITY, {"kind": "blurr"}], "appearance.steps.1.kind: must be"),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "message"), BAD)
def test_bad_chains_are_refused_in_one_line(steps, message):
    with pytest.raises(RecipeError, match=message) as caught:
        variant(steps=steps)
    assert "\n" not in str(caught.value)


def test_a_chain_goes_by_one_label_map():
    with pytest.raises(RecipeError, match=r"labels\.kind: a chain goes by one label map"):
        variant("fdif-multitask")


def test_only_a_base_scales():
    recipe = variant(steps=[CONTOUR | {"line_width": 3.0}, {"kind": "blur"}], shape=(96, 96, 96))
    base, blur = recipe.at_shape((48, 48, 48)).appearance.steps
    assert base.line_width == 1.5
    assert blur == recipe.appearance.steps[1]


def test_kinds_of_steps_are_those_of_the_kernels():
    recipe = variant()
    table = recipe.appearance.tables("float32").settings
    assert [StepKind(int(kind)) for kind in table[:, 0]] == [
        StepKind.INTENSITY, StepKind.TEXTURE, StepKind.WAVES, StepKind.OUTLINE, StepKind.BLUR,
        StepKind.BIAS, StepKind.CLIP, StepKind.NORMALIZE, StepKind.GAMMA, StepKind.NOISE,
        StepKind.RESOLUTION,
    ]  # fmt: skip

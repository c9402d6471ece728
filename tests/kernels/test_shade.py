"""Programs of voxelwise operations: against NumPy, and CUDA's source equal to the bit."""

import functools
from dataclasses import dataclass, replace

import numba
import numpy as np
import pytest
from scipy import stats

from synthgen.backend.base import Buffers
from synthgen.backend.calls.chain import Chain
from synthgen.backend.calls.fields import field_tables
from synthgen.backend.calls.shading import Shade
from synthgen.backend.plan import FieldSpec
from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, shading
from synthgen.kernels.appearance_records import (
    DISTANCE_MAX,
    FIELD_TAPS,
    NORMALS_GROUP,
    ChainPart,
    FieldRow,
    NoiseModel,
    ShadeOp,
    Step,
    StepKind,
    StepSetting,
    Tone,
)
from synthgen.kernels.gaussian import fill_groups, first_draw
from tests.backends import HostLauncher
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.chain_scenes import tables_of
from tests.kernels.real_code import check_cpu, check_cuda
from tests.kernels.test_sdf import functions_of

SHAPES = [(5, 7, 33), (1, 40, 50), (3, 2, 1), (2, 5, 2100), (1, 1, 9)]
IMAGES = {"uint8": "uint8", "float16": "uint16", "float32": "uint32"}
LABELS = 40
OWN = np.arange(LABELS, dtype=np.int32)  # no two are alike
SEED, INDICES = np.uint64(2**63 + 11), np.array([3, 2**40 + 9], np.uint64)
CHANNELS, CHANNEL = 3, 1
WAVES = 5

# A step for each way in which an operation can go.
STEPS = (
    "intensity", "flat", "texture", "inner", "waves", "outline", "bias", "gaussian", "rician",
    "speckle", "gamma", "clip", "normalize", "level", "passed",
)  # fmt: skip
KINDS = (
    StepKind.INTENSITY, StepKind.INTENSITY, StepKind.TEXTURE, StepKind.TEXTURE, StepKind.WAVES,
    StepKind.OUTLINE, StepKind.BIAS, StepKind.NOISE, StepKind.NOISE, StepKind.NOISE,
    StepKind.GAMMA, StepKind.CLIP, StepKind.NORMALIZE, StepKind.NORMALIZE, StepKind.BIAS,
)  # fmt: skip
NUMBER = {name: i for i, name in enumerate(STEPS)}
FIELDS = (
    FieldSpec(NUMBER["texture"], spacing=1.7), FieldSpec(NUMBER["texture"], spacing=4.0),
    FieldSpec(NUMBER["texture"], spacing=9.0), FieldSpec(NUMBER["inner"], spacing=3.0),
    FieldSpec(NUMBER["bias"], share=0.04), FieldSpec(NUMBER["speckle"], spacing=2.0),
    FieldSpec(NUMBER["speckle"], spacing=2.0), FieldSpec(NUMBER["passed"], share=0.04),
)  # fmt: skip
DRAWN = {  # P and Q
    "texture": (0, 0), "inner": (1.2, 0.4), "waves": (0, 0.5), "outline": (0.93, 2),
    "bias": (0.4, 0), "gaussian": (0.06, NoiseModel.GAUSSIAN), "rician": (0.08, NoiseModel.RICIAN),
    "speckle": (0.3, NoiseModel.SPECKLE), "gamma": (1.37, 0), "clip": (0.1, 0.8),
}  # fmt: skip
TONES = {"intensity": 0, "flat": 1, "texture": 2, "inner": 3, "waves": 4}


def op(name: str) -> tuple[int, int]:
    return int(ShadeOp[KINDS[NUMBER[name]].name]), NUMBER[name]


LOAD, STORE, CAST, GREY = ((int(which), 0) for which in (
    ShadeOp.LOAD, ShadeOp.STORE, ShadeOp.CAST, ShadeOp.GREY,
))  # fmt: skip


def extremes_of(name: str) -> tuple[int, int]:
    return int(ShadeOp.EXTREMES), NUMBER[name]


@dataclass(frozen=True)
class Scene:
    """What programs of a batch of two volumes read and write."""

    chain: Chain
    arrays: dict[str, np.ndarray]

    @classmethod
    def drawn(cls, seed: int, shape, image: str = "float16", label: str = "uint8") -> "Scene":
        generator = np.random.default_rng(seed)
        tables = tables_of(KINDS, FIELDS)
        settings, batch, voxels = tables.settings, len(INDICES), int(np.prod(shape))
        settings[:, StepSetting.TONE] = -1
        for name, table in TONES.items():
            settings[NUMBER[name], StepSetting.TONE] = table
        for name in ("texture", "inner", "bias", "speckle", "passed"):
            own = [i for i, spec in enumerate(FIELDS) if spec.step == NUMBER[name]]
            settings[NUMBER[name], StepSetting.FIRST] = own[0]
            settings[NUMBER[name], StepSetting.COUNT] = len(own)
        settings[NUMBER["waves"], [StepSetting.FIRST, StepSetting.COUNT]] = 1, WAVES - 1
        chain = Chain(shape, (1.0, 1.0, 1.0), OWN, image, label, tables)
        lattice = field_tables(FIELDS, shape)
        steps = np.zeros((batch, len(STEPS), Step.SIZE), np.float32)
        steps[:, :, Step.ACTIVE] = 1
        steps[:, NUMBER["passed"]] = 0, 0.5, 0
        for name, row in DRAWN.items():
            steps[:, NUMBER[name], Step.P :] = row
        tones = generator.uniform(0.1, 0.6, (batch, len(TONES), LABELS, Tone.SIZE))
        tones[:, :, :, Tone.SD] /= 10
        tones[:, TONES["flat"], :, Tone.SD] = 0
        depth, height, width = shape
        stride = depth + height + -(-width // 16) * 16
        runs = generator.choice([1, 5, 30, 200], voxels)
        labels = np.repeat(generator.integers(0, LABELS, voxels), runs)[: batch * voxels]
        kind = {"uint8": "u1", "float16": "u2", "float32": "u4"}[image]
        extremes = np.zeros((batch, len(STEPS), 2), np.int32)
        extremes[:, :, 0], extremes[:, :, 1] = np.iinfo(np.int32).max, np.iinfo(np.int32).min
        extremes[:, NUMBER["level"]] = np.float32(0.4).view(np.int32)
        extremes[:, NUMBER["normalize"]] = keys_of(np.array([-0.25, 1.5], np.float32))
        return cls(chain, {
            "chain_settings": settings,
            "fields": lattice.rows,
            "field_starts": lattice.starts,
            "field_weights": lattice.weights,
            "drawn": steps,
            "tones": tones.astype(np.float32),
            "nodes": generator.normal(size=(batch, lattice.nodes + 128)).astype(np.float32),
            "waves": generator.uniform(-0.7, 0.7, (batch, WAVES, 2, stride)).astype(np.float32),
            "grey": generator.integers(0, 256, (batch, *shape), np.uint8),
            "label": np.resize(labels, (batch, 1, *shape)).astype(label),
            "distance": generator.integers(
                0, DISTANCE_MAX**2 + 1, (batch, voxels + 64)
            ).astype(np.uint8),
            "canvas": generator.uniform(-0.1, 1.2, (batch, voxels + 64)).astype(np.float32),
            "extremes": extremes,
            "image": np.full((batch, CHANNELS, *shape), 99, kind),
        })  # fmt: skip

    def copy(self) -> "Scene":
        return Scene(self.chain, {name: array.copy() for name, array in self.arrays.items()})

    def on_cpu(self, program) -> "Scene":
        """What is left after a program."""
        after, constant = self.copy(), self._constants(program)
        for b, index in enumerate(INDICES):
            own = {k: v[b] for k, v in after.arrays.items() if k not in constant}
            volume = Buffers(SEED, np.array([index]), {**own, **constant})
            Shade(self.chain, CHANNEL, 0).on_cpu(volume)()
        return after

    def on_cuda(self, program, **options) -> "Scene":
        """The same by CUDA's source."""
        after = self.copy()
        batch = Buffers(SEED, INDICES, {**after.arrays, **self._constants(program)})
        chain = Chain(
            self.chain.shape, self.chain.spacing, OWN, self.chain.image_dtype,
            self.chain.label_dtype, replace(self.chain.tables, channels=CHANNELS),
        )  # fmt: skip
        Shade(chain, CHANNEL, 0).on_cuda(batch, HostLauncher(**options))()
        return after

    def _constants(self, program) -> dict[str, np.ndarray]:
        names = ("chain_settings", "fields", "field_starts", "field_weights")
        tables = {name: self.arrays[name] for name in names}
        return {**tables, "program_0": np.array(program, np.int32)}

    @property
    def values(self) -> np.ndarray:
        """(B, D, H, W) of the canvas."""
        canvas = self.arrays["canvas"][:, : self.chain.voxels]
        return canvas.reshape(-1, *self.chain.shape)

    @property
    def image(self) -> np.ndarray:
        return self.arrays["image"][:, CHANNEL].view(self.chain.image_dtype)


def keys_of(values: np.ndarray) -> np.ndarray:
    bits = np.asarray(values, np.float32).view(np.int32)
    return np.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def assert_same(one: Scene, other: Scene) -> None:
    for name, array in one.arrays.items():
        kind = f"u{array.itemsize}"
        np.testing.assert_array_equal(array.view(kind), other.arrays[name].view(kind), name)


# -------------------------------------------------------------------------------------- reference


@numba.njit(error_model="numpy")
def _fill(seed, index, channel, step, part, out):
    groups = (out.size + NORMALS_GROUP - 1) // NORMALS_GROUP
    numbers = np.empty(groups * NORMALS_GROUP, np.float32)
    fill_groups(seed, index, first_draw(channel, step, part), 0, groups, numbers, 0)
    out[:] = numbers[: out.size]


def normals(scene: Scene, name: str, part: ChainPart = ChainPart.VOXELS) -> np.ndarray:
    out = np.zeros((len(INDICES), scene.chain.voxels), np.float32)
    for b, index in enumerate(INDICES):
        _fill(SEED, index, CHANNEL, NUMBER[name], int(part), out[b])
    return out.reshape(-1, *scene.chain.shape).astype(float)


def fields(scene: Scene, name: str) -> list[np.ndarray]:
    """Values of a step's fields: sums of the nodes times the products of the axes' weights."""
    depth, height, width = scene.chain.shape
    wide = -(-width // 16) * 16
    found = []
    for row in scene.arrays["fields"]:
        if row[FieldRow.STEP] != NUMBER[name]:
            continue
        table, counts = row[FieldRow.TABLE], row[FieldRow.DEPTH : FieldRow.WIDTH + 1]
        size = int(np.prod(counts))
        nodes = scene.arrays["nodes"][:, row[FieldRow.OFFSET] :][:, :size].reshape(-1, *counts)
        axes = []
        for side, rows in ((depth, depth), (height, height), (width, wide)):
            starts = scene.arrays["field_starts"][table : table + rows]
            weights = scene.arrays["field_weights"][table : table + rows].astype(float)
            if len(axes) == 2:
                weights = weights.reshape(-1, FIELD_TAPS, 16).swapaxes(1, 2).reshape(-1, FIELD_TAPS)
            dense = np.zeros((side, counts[len(axes)] + FIELD_TAPS))
            for i in range(side):
                dense[i, starts[i] : starts[i] + FIELD_TAPS] = weights[i]
            axes.append(dense[:, : counts[len(axes)]])
            table += rows
        found.append(np.einsum("bijk,zi,yj,xk->bzyx", nodes, *axes, optimize=True))
    return found


def waves(scene: Scene) -> np.ndarray:
    depth, height, width = scene.chain.shape
    tables = scene.arrays["waves"][:, 1:WAVES].astype(float)
    turns = tables[:, :, 0] + 1j * tables[:, :, 1]
    z, y, x = (
        turns[..., :depth], turns[..., depth : depth + height],
        turns[..., depth + height : depth + height + width],
    )  # fmt: skip
    return np.einsum("bwz,bwy,bwx->bzyx", z, y, x).real


def tones(scene: Scene, name: str, column: int) -> np.ndarray:
    rows = scene.arrays["tones"][:, TONES[name], :, column].astype(float)
    labels = scene.arrays["label"][:, 0]
    return np.stack([row[own] for row, own in zip(rows, labels, strict=True)])


def core(scene: Scene, name: str) -> np.ndarray:
    width, ramp = DRAWN[name]
    distances = np.sqrt(scene.arrays["distance"][:, : scene.chain.voxels].astype(float))
    t = np.clip((distances - width) * ramp, 0, 1).reshape(-1, *scene.chain.shape)
    return t * t * (3 - 2 * t) if ramp else np.ones_like(t)


def speckle(scene: Scene) -> np.ndarray:
    rayleigh = np.hypot(*fields(scene, "speckle"))
    sd = DRAWN["speckle"][0]
    return np.maximum(1 + sd * (rayleigh - np.sqrt(np.pi / 2)) / np.sqrt(2 - np.pi / 2), 0)


EXPECTED = {  # of the values before
    "intensity": lambda v, s: (
        tones(s, "intensity", Tone.MEAN) + tones(s, "intensity", Tone.SD) * normals(s, "intensity")
    ),
    "flat": lambda v, s: tones(s, "flat", Tone.MEAN),
    "texture": lambda v, s: (
        v + sum(tones(s, "texture", o) * field for o, field in enumerate(fields(s, "texture")))
    ),
    "inner": lambda v, s: v + core(s, "inner") * tones(s, "inner", 0) * fields(s, "inner")[0],
    "waves": lambda v, s: v + core(s, "waves") * tones(s, "waves", 0) * waves(s),
    "outline": lambda v, s: np.where(
        s.arrays["distance"][:, : s.chain.voxels].reshape(v.shape) <= 2, 0.93, v
    ),
    "bias": lambda v, s: v * np.exp(DRAWN["bias"][0] * fields(s, "bias")[0]),
    "gaussian": lambda v, s: v + DRAWN["gaussian"][0] * normals(s, "gaussian"),
    "rician": lambda v, s: np.hypot(
        v + DRAWN["rician"][0] * normals(s, "rician"),
        DRAWN["rician"][0] * normals(s, "rician", ChainPart.VOXELS_MORE),
    ),
    "speckle": lambda v, s: v * speckle(s),
    "gamma": lambda v, s: np.maximum(v, 0) ** DRAWN["gamma"][0],
    "clip": lambda v, s: np.clip(v, 0.1, 0.8),
    "normalize": lambda v, s: (v + 0.25) / 1.75,
    "level": lambda v, s: np.zeros_like(v),
    "passed": lambda v, s: v,
}


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("name", STEPS)
def test_an_operation_does_what_it_says(name, shape):
    scene = Scene.drawn(1, shape)
    before = scene.values.astype(float)
    after = scene.on_cpu([LOAD, op(name), STORE])
    np.testing.assert_allclose(after.values, EXPECTED[name](before, scene), rtol=3e-6, atol=3e-6)
    for array in set(scene.arrays) - {"canvas"}:
        assert np.array_equal(after.arrays[array], scene.arrays[array])
    spare = slice(scene.chain.voxels, None)
    assert np.array_equal(after.arrays["canvas"][:, spare], scene.arrays["canvas"][:, spare])


def test_every_operation_has_its_test():
    shaded = {kind for kind in StepKind if kind not in (StepKind.BLUR, StepKind.RESOLUTION)}
    assert set(KINDS) == shaded
    assert {kind.name for kind in shaded} < set(ShadeOp.__members__)
    assert set(EXPECTED) == set(STEPS)


def test_a_grey_image_is_the_first_value_and_the_image():
    scene = Scene.drawn(2, SHAPES[0], "uint8")
    after = scene.on_cpu([GREY, STORE, CAST])
    np.testing.assert_allclose(after.values, scene.arrays["grey"] / 255, rtol=1e-6)
    assert np.array_equal(after.image, scene.arrays["grey"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("image", IMAGES)
def test_the_image_is_what_numpy_rounds_to(image, shape):
    scene = Scene.drawn(3, shape, image)
    after = scene.on_cpu([LOAD, CAST])
    shown = np.clip(scene.values, 0, 1)
    if image == "uint8":
        assert np.abs(255 * shown.astype(float) - after.image).max() < 0.5 + 1e-4
    else:
        assert np.array_equal(after.image, shown.astype(image))
    assert (np.delete(after.arrays["image"], CHANNEL, 1) == 99).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_extremes_are_the_least_and_the_largest_value(shape):
    scene = Scene.drawn(4, shape)
    scene.arrays["extremes"][:, NUMBER["gamma"], 0] = keys_of(np.float32(-0.05))
    after = scene.on_cpu([LOAD, extremes_of("gamma"), extremes_of("clip"), extremes_of("passed")])
    least, largest = scene.values.min((1, 2, 3)), scene.values.max((1, 2, 3))
    found = after.arrays["extremes"]
    assert np.array_equal(found[:, NUMBER["clip"]], keys_of(np.stack([least, largest], 1)))
    assert np.array_equal(found[:, NUMBER["gamma"], 0], keys_of(np.minimum(least, -0.05)))
    assert np.array_equal(found[:, NUMBER["passed"]], scene.arrays["extremes"][:, NUMBER["passed"]])


def test_keys_are_ordered_as_numbers():
    values = np.array([-np.inf, -3, -1e-30, -0.0, 0.0, 1e-30, 2, np.inf], np.float32)
    assert (np.diff(keys_of(values).astype(np.int64)) > 0).all()


def test_the_laws_of_intensities_and_noise():
    """Of each label its mean and sd, and noise of the laws it is named by."""
    scene = Scene.drawn(5, (40, 64, 64))
    canvas = scene.on_cpu([op("intensity"), STORE]).values[0]
    labels = scene.arrays["label"][0, 0]
    for value in range(LABELS):
        mean, sd = scene.arrays["tones"][0, 0, value, :2].astype(float)
        assert stats.kstest(canvas[labels == value], "norm", (mean, sd)).pvalue > 1e-4
    level, sd = 0.3, np.float32(DRAWN["rician"][0])
    scene.arrays["canvas"][:] = level
    noise = scene.on_cpu([LOAD, op("gaussian"), STORE]).values.ravel()
    assert stats.kstest(noise, "norm", (level, DRAWN["gaussian"][0])).pvalue > 1e-3
    noise = scene.on_cpu([LOAD, op("rician"), STORE]).values.ravel()
    assert stats.kstest(noise, "rice", (level / sd, 0, sd)).pvalue > 1e-3
    scene.arrays["canvas"][:] = 0
    noise = scene.on_cpu([LOAD, op("rician"), STORE]).values.ravel()
    assert stats.kstest(noise, "rayleigh", (0, sd)).pvalue > 1e-3


# ------------------------------------------------------------------------------------------ twins

PROGRAMS = {
    "all": [GREY, *map(op, STEPS), extremes_of("gamma"), STORE, CAST],
    "labels": [op("intensity"), op("texture"), op("waves"), extremes_of("clip"), STORE],
    "later": [LOAD, op("normalize"), op("gamma"), op("rician"), STORE, CAST],
    "bias": [op("flat"), op("bias"), op("gaussian"), CAST],
}


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_cuda_source_equals_the_cpu_kernel(program, shape):
    scene = Scene.drawn(6, shape)
    assert_same(scene.on_cuda(program), scene.on_cpu(program))


@needs_compiler
@pytest.mark.parametrize(
    ("image", "label"),
    [("uint8", "uint8"), ("float16", "uint8"), ("float32", "uint8"), ("uint8", "uint16")],
)
def test_cuda_source_equals_the_cpu_kernel_of_every_type(image, label, monkeypatch):
    if label == "uint16":
        monkeypatch.setitem(globals(), "LABELS", 300)
    scene = Scene.drawn(7, SHAPES[0], image, label)
    assert_same(scene.on_cuda(PROGRAMS["all"]), scene.on_cpu(PROGRAMS["all"]))


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_nothing_is_read_or_written_outside(shape):
    scene = Scene.drawn(8, shape)
    for program in PROGRAMS.values():
        assert_same(scene.on_cuda(program, sanitize=True), scene.on_cpu(program))


# ------------------------------------------------------------------------------------------ leaves

LEAVES = {  # arguments
    "inner_weight": 3, "outlined": 4, "biased": 3, "with_gamma": 2, "rician": 4, "speckled": 4,
    "normalized": 3, "order_key": 1, "of_order_key": 1, "byte_of": 1, "half_of": 1, "single_of": 1,
}  # fmt: skip
WHOLE = ("order_key", "byte_of", "half_of", "single_of")  # what they return
COUNT = 16 * 20_000


def leaf_call(name: str) -> str:
    reads = ", ".join(f"a[{i} * n + k]" for i in range(LEAVES[name]))
    if name == "of_order_key":
        return "of_order_key(order_key(a[k]))"
    return f"__int_as_float((int){name}({reads}))" if name in WHOLE else f"{name}({reads})"


def leaves_text() -> str:
    cases = "".join(
        f"case {i}: for (int k = 0; k < n; ++k) out[k] = {leaf_call(name)}; break;\n"
        for i, name in enumerate(LEAVES)
    )
    return f"""#include "shading.cuh"
extern "C" __global__ void leaves(int which, int n, const float* a, float* out)
{{ switch (which) {{ {cases} }} }}"""


@functools.cache
def leaves_kernel(*, sanitize: bool = False) -> HostKernel:
    return HostKernel("leaves", source=assemble(leaves_text(), "leaves.cu"), sanitize=sanitize)


def looped(name: str, *, lanes: bool):
    """A compiled loop over the columns of inputs."""
    reads = ", ".join(f"load(a[{i}], k)" if lanes else f"a[{i}, k]" for i in range(LEAVES[name]))
    call = "f(g(load(a[0], k)))" if lanes else "f(g(a[0, k]))"
    call = call if name == "of_order_key" else f"f({reads})"
    call = f"bits({call})" if name in WHOLE else call
    write = f"store(r, k, {call})" if lanes else f"r[k] = {call}"
    text = f"def loop(a, r):\n for k in range(0, r.size, {16 if lanes else 1}):\n  {write}\n"
    scope = {
        "f": getattr(shading, name), "g": shading.order_key, "bits": float_lanes.with_bits,
        "load": float_lanes.load, "store": float_lanes.store,
    }  # fmt: skip
    exec(text, scope)
    return numba.njit(error_model="numpy")(scope["loop"])


def leaf_inputs(name: str) -> np.ndarray:
    """Random values and edges, none of them subnormal or what makes a subnormal."""
    generator = np.random.default_rng(9)
    a = generator.uniform(-3, 3, (LEAVES[name], COUNT))
    tiny = generator.random(a.shape) < 0.3
    a[tiny] *= 2.0 ** generator.integers(-24, 4, tiny.sum())
    a[:, ::50] = generator.choice([0.0, -0.0, 1.0, 0.5, 2.0**-14, 2.0**-24], a[:, ::50].shape)
    if name in ("inner_weight", "outlined"):
        a[0] = generator.integers(0, 50, COUNT)
        a[1:] = np.abs(a[1:])
    return a.astype(np.float32)


@needs_compiler
@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("name", LEAVES)
def test_c_equals_scalars_equals_lanes(name, sanitize):
    inputs = leaf_inputs(name)
    scalars, lanes, c = np.zeros((3, COUNT), np.float32)
    looped(name, lanes=False)(inputs, scalars)
    looped(name, lanes=True)(inputs, lanes)
    which = np.int32(list(LEAVES).index(name))
    leaves_kernel(sanitize=sanitize)(1, 1, [which, np.int32(COUNT), inputs, c])
    assert np.array_equal(scalars.view(np.int32), lanes.view(np.int32))
    assert np.array_equal(scalars.view(np.int32), c.view(np.int32))


def test_halves_round_to_the_nearest_ties_to_even():
    """Every half from 0 to 1, every tie between two, and the numbers on both sides of each."""
    halves = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[1:] + halves[:-1]) / 2
    edges = np.concatenate([halves, ties])
    near = [np.nextafter(edges, np.float32(side)) for side in (-1, 2)]
    values = np.concatenate([edges, *near])
    values = np.pad(values[(values >= 2.0**-126) | (values == 0)], (0, 16))
    values = np.ascontiguousarray(values[: values.size // 16 * 16])
    out = np.zeros(values.size, np.float32)
    looped("half_of", lanes=True)(values[None], out)
    wanted = np.clip(values, 0, 1).astype(np.float16).view(np.uint16)
    assert np.array_equal(out.view(np.int32), wanted.astype(np.int32))


def test_a_power_is_one():
    values = np.pad(np.linspace(0, 1.5, 16 * 4000, dtype=np.float32), (0, 16))
    for exponent in (0.3, 0.8, 1.0, 2.4):
        out = np.zeros(values.size, np.float32)
        looped("with_gamma", lanes=True)(np.stack([values, np.full_like(values, exponent)]), out)
        np.testing.assert_allclose(out, values.astype(float) ** np.float32(exponent), rtol=3e-6)


def test_a_power_is_never_too_large_to_go_on_with():
    """Infinite intensities would be NaN between samples of a resolution."""
    values = np.full((2, 16), [[1.8], [200.0]], np.float32)
    out = np.zeros((3, 16), np.float32)
    looped("with_gamma", lanes=True)(values, out[0])
    looped("rician", lanes=True)(np.stack([out[0], *np.full((3, 16), 0.1, np.float32)]), out[1])
    looped("biased", lanes=True)(np.stack([out[0], *np.float32([[4] * 16, [4.9] * 16])]), out[2])
    assert (out[0] == 2.0**32).all()
    assert np.isfinite(np.square(out)).all()


def test_every_device_function_is_tested():
    assert functions_of("shading.cuh") == set(LEAVES)
    assert functions_of("gaussian.cuh") == {"first_draw", "normal_pair"}


# ------------------------------------------------------------------------------ what is compiled


def test_cpu_code_has_no_double_and_no_libm():
    scene = Scene.drawn(0, SHAPES[0])
    constants = scene._constants(PROGRAMS["all"])
    own = {k: v[0] for k, v in scene.arrays.items() if k not in constants}
    stage = Shade(scene.chain, CHANNEL, 0).on_cpu(Buffers(SEED, INDICES, {**own, **constants}))
    check_cpu(stage.func, tuple(numba.typeof(value) for value in stage.args))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    check_cuda(assemble(leaves_text(), "leaves.cu"), "leaves", architecture)

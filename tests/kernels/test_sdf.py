"""Signed distances: one result for scalars, lanes and CUDA's source, and it is the right one."""

import functools
import platform
import re
from dataclasses import dataclass
from importlib.resources import files

import numba
import numpy as np
import pytest

from synthgen.backend.source import assemble
from synthgen.kernels import float_lanes, real, sdf, sdf_records
from synthgen.kernels.sdf_records import SdfLift, SdfProfile, SdfRow, SdfTaper
from synthgen.shapes.sdf_classes import CLASSES, SdfClass, classes_named
from tests import sdf_reference as reference
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.real_code import check_cpu, check_cuda
from tests.sdf_reference import Solid

needs_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the flushing mode is set as on x86"
)
SIDE = 96
TOLERANCE = 1e-3  # voxel
# Far away a float32 is coarser than that, and so is the wall of an onion whose knot lies next to an
# end: it may be thousands of voxels, a half to a fifth of the least distance to the profile. No
# distance is off by more than a few steps of such a number.
RELATIVE = 1e-6
DRAWS = 3  # of each class
LANES = float_lanes.WIDTH
SLOPE = np.float32(reference.OCTAHEDRON_SLOPE)
_PROFILE, _EDGES = int(SdfRow.PROFILE), int(SdfRow.EDGES)
_POLYGON = np.float32(SdfProfile.POLYGON)
NUMBERS = ("radius", "height", "offset", "bluntness", "scale", "knot", "wall")
REAL_CALLS = {  # arguments and the range that they are tested in
    "fused": (3, 1e15),
    "root": (1, 1e15),
    "floor_of": (1, 1e15),
    "magnitude": (1, 1e15),
    "signed_as": (2, 1e15),
    "least": (2, 1e15),
    "most": (2, 1e15),
    "clamped": (3, 1e15),
    "ceiling": (1, 1e15),
    "length": (2, 1e15),
    "power_of_two": (1, 300.0),
    "quarter_sine": (1, 0.25),
    "sine_of_turns": (1, 1e6),
    "cosine_of_turns": (1, 1e6),
    "logarithm_of_two": (1, 1e15),
}
EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.25, -0.25, 2.0**-60, -(2.0**-60), 1e-30, 126.5, -126.5]


# ----------------------------------------------------------------------- the three ways to compute


@numba.njit(nogil=True, error_model="numpy")
def lay_polygon(row, corners, count):
    row[_PROFILE], row[_EDGES] = _POLYGON, np.float32(count)
    for i in range(count):
        j = (i + 1) % count
        sdf.lay_edge(row, i, corners[i, 0], corners[i, 1], corners[j, 0], corners[j, 1])


@numba.njit(nogil=True, error_model="numpy")
def lay(row, kinds, numbers, corners):
    """Write an object's row; ``kinds`` are lift, profile, count, taper and onion."""
    lift, profile, count, taper, onion = kinds
    radius, height, offset, bluntness, scale, knot, wall = numbers
    half = real.HALF * height
    if lift == 0:
        sdf.lay_sphere(row, radius)
    elif lift == 1:
        sdf.lay_octahedron(row, radius, SLOPE)
    elif lift == 2:
        sdf.lay_cone(row, radius, height)
    else:
        if lift == 3:
            sdf.lay_revolution(row, offset)
        else:
            sdf.lay_prism(row, half, onion, wall)
            sdf.lay_taper(row, taper, half, scale, knot)
        if profile == 0:
            sdf.lay_circle(row, radius)
        elif profile == 1:
            sdf.lay_star(row, count, radius, bluntness)
        else:
            lay_polygon(row, corners, count)


@numba.njit(nogil=True, error_model="numpy")
def by_scalars(row, x, y, z, out):
    for i in range(x.size):
        out[i] = sdf.distance(row, x[i], y[i], z[i])


@numba.njit(nogil=True, error_model="numpy")
def by_lanes(row, x, y, z, out):
    for i in range(0, x.size, LANES):
        point = float_lanes.load(x, i), float_lanes.load(y, i), float_lanes.load(z, i)
        float_lanes.store(out, i, sdf.distance(row, *point))


SDF_TEXT = """#include "sdf.cuh"
REAL_FUNCTION void lay_polygon(float* row, const float* corners, int count)
{
    row[SDF_ROW_PROFILE] = SDF_PROFILE_POLYGON;
    row[SDF_ROW_EDGES] = count;
    for (int i = 0; i < count; ++i) {
        const float *start = corners + 2 * i, *end = corners + (i + 1) % count * 2;
        lay_edge(row, i, start[0], start[1], end[0], end[1]);
    }
}
extern "C" __global__ void solids(float* row, const int* kinds, const float* v,
                                  const float* corners, long long n, const float* x,
                                  const float* y, const float* z, float* out)
{
    const float half = 0.5f * v[1];
    if (kinds[0] == SDF_LIFT_SPHERE) lay_sphere(row, v[0]);
    else if (kinds[0] == SDF_LIFT_OCTAHEDRON) lay_octahedron(row, v[0], 0.35773504f);
    else if (kinds[0] == SDF_LIFT_CONE) lay_cone(row, v[0], v[1]);
    else {
        if (kinds[0] == SDF_LIFT_REVOLVE) lay_revolution(row, v[2]);
        else {
            lay_prism(row, half, kinds[4], v[6]);
            lay_taper(row, kinds[3], half, v[4], v[5]);
        }
        if (kinds[1] == SDF_PROFILE_CIRCLE) lay_circle(row, v[0]);
        else if (kinds[1] == SDF_PROFILE_STAR) lay_star(row, kinds[2], v[0], v[3]);
        else lay_polygon(row, corners, kinds[2]);
    }
    for (long long i = 0; i < n; ++i) out[i] = distance(row, x[i], y[i], z[i]);
}"""


def real_text() -> str:
    cases = "".join(
        f"case {i}: for (long long k = 0; k < n; ++k) "
        f"out[k] = {name}({', '.join(f'in[{j} * n + k]' for j in range(count))}); break;\n"
        for i, (name, (count, _)) in enumerate(REAL_CALLS.items())
    )
    return f"""#include "real.cuh"
extern "C" __global__ void reals(int which, long long n, const float* in, float* out)
{{
    switch (which) {{ {cases} }}
}}"""


def cuda_source(text: str, name: str) -> str:
    return assemble(text, f"{name}.cu")


@functools.cache
def host(text: str, name: str, *, sanitize: bool = False) -> HostKernel:
    return HostKernel(name, source=cuda_source(text, name), sanitize=sanitize)


def flushing(text: str) -> str:
    """A kernel that treats subnormal numbers as zero, as CuPy compiles for CUDA."""
    functions, start, kernel = text.partition('extern "C"')
    head, _, body = kernel.partition("\n{\n")
    switch = "const unsigned before = _mm_getcsr(); _mm_setcsr(before | 0x8040);"
    body = f"{switch}\n{body.rstrip().removesuffix('}')}\n_mm_setcsr(before);"
    return f"#include <xmmintrin.h>\n{functions}{start}{head}\n{{\n{body}\n}}"


# -------------------------------------------------------------------------------- what is computed


@dataclass(frozen=True)
class Arguments:
    """A solid as the kernels take it."""

    kinds: np.ndarray
    numbers: np.ndarray
    corners: np.ndarray

    @classmethod
    def of(cls, solid: Solid) -> "Arguments":
        kinds = [
            SdfLift[solid.lift.upper()],
            SdfProfile[solid.profile.upper()] if solid.profile else SdfProfile.CIRCLE,
            solid.count,
            SdfTaper[solid.taper.upper()],
            solid.onion,
        ]
        corners = np.zeros((sdf_records.SDF_CORNERS_MAX, 2), np.float32)
        corners[: len(solid.corners)] = solid.corners
        numbers = [solid.values.get(name, 0.0) for name in NUMBERS]
        return cls(np.array(kinds, np.int32), np.array(numbers, np.float32), corners)

    def row(self) -> np.ndarray:
        row = np.zeros(SdfRow.SIZE, np.float32)
        # Tuples, as Numba reads a scalar of an array with every use.
        lay(row, tuple(map(int, self.kinds)), tuple(self.numbers), self.corners)
        return row


def run(function, row: np.ndarray, points: np.ndarray) -> np.ndarray:
    out = np.zeros(points.shape[1], np.float32)
    function(row, *points, out)
    return out


def run_c(
    arguments: Arguments, points: np.ndarray, *, text: str = SDF_TEXT, sanitize: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Row and distances of the CUDA source, compiled for the host."""
    row, out = np.zeros(SdfRow.SIZE, np.float32), np.zeros(points.shape[1], np.float32)
    given = [row, arguments.kinds, arguments.numbers, arguments.corners.ravel()]
    host(text, "solids", sanitize=sanitize)(1, 1, [*given, np.int64(out.size), *points, out])
    return row, out


def padded(points: np.ndarray) -> np.ndarray:
    """(3, n) float32 with n a multiple of the lanes."""
    missing = -points.shape[1] % LANES
    return np.ascontiguousarray(np.pad(points, ((0, 0), (0, missing)), "edge"), np.float32)


def grid(generator: np.random.Generator) -> np.ndarray:
    """Points of an odd, non-cubic grid about a volume, in a turned, shifted and sheared frame."""
    axes = [np.linspace(-48, 47, count) for count in (19, 23, 27)]
    z, y, x = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    shear = np.eye(3) + np.triu(generator.uniform(-0.1, 0.1, (3, 3)), 1)
    shift = generator.uniform(-0.35, 0.35, (3, 1)) * SIDE
    return padded(rotation @ shear @ (np.stack([x, y, z]) - shift))


def drawn_corners(count: int, radii: tuple[float, float], generator) -> np.ndarray:
    """One corner in each of ``count`` equal sectors."""
    angles = (np.arange(count) + generator.random(count)) * 2 * np.pi / count
    radius = generator.uniform(min(radii), max(radii), count)
    return np.float32(radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))


def drawn(which: SdfClass, points: np.ndarray, generator: np.random.Generator) -> Solid:
    """An object of a class with parameters in its ranges, each a float32."""
    values = {"side": float(SIDE), "width": float(SIDE), "one": 1.0}
    for name, draw in which.draws.items():
        if draw.unit != "minimum":
            amount = generator.uniform(draw.low, draw.high) * values[draw.unit]
            values[name] = float(np.float32(amount))
    corners = np.empty((0, 2))
    if which.profile is SdfProfile.POLYGON:
        radii = values["corner_a"], values["corner_b"]
        corners = drawn_corners(which.count, radii, generator)
    solid = Solid(
        which.lift.name.lower(), which.profile.name.lower(), which.count,
        which.taper.name.lower(), which.onion, values, corners.astype(float),
    )  # fmt: skip
    if which.onion:
        deepest = reference.side(solid, *points.astype(float)).min()
        values["wall"] = float(np.float32(generator.uniform(0.2, 0.5) * abs(deepest)))
    return solid


def check(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Compare all four results; return the errors, in voxels."""
    arguments = Arguments.of(solid)
    row = arguments.row()
    got = run(by_scalars, row, points)
    assert np.array_equal(got.view(np.int32), run(by_lanes, row, points).view(np.int32))
    c_row, c_out = run_c(arguments, points)
    assert np.array_equal(row.view(np.int32), c_row.view(np.int32))
    assert np.array_equal(got.view(np.int32), c_out.view(np.int32))
    right = reference.distance(solid, *points.astype(float))
    errors = np.abs(got - right)
    allowed = TOLERANCE + RELATIVE * (np.abs(right) + 5 * solid.values.get("wall", 0.0))
    assert (errors <= allowed).all(), (solid, errors.max())
    flipped = (got > 0) != (right > 0)
    assert (np.abs(right[flipped]) <= TOLERANCE).all(), solid
    return errors


# ------------------------------------------------------------------------------------------ solids


@needs_compiler
@pytest.mark.parametrize("which", CLASSES, ids=lambda which: which.name)
def test_distances(which):
    generator = np.random.default_rng(which.id)
    for _ in range(DRAWS):
        points = grid(generator)
        check(drawn(which, points, generator), points)


def axis_points() -> np.ndarray:
    """The origin, both zeros, points on each axis, near it and far away, and all combinations."""
    values = [0.0, -0.0, 2.0**-61, -1e-20, 1.2e-38, 0.5, -7.0, 30.0, 1e4, -1e4]
    return padded(np.stack([v.ravel() for v in np.meshgrid(values, values, values)]))


EDGE_CASES = [
    Solid("sphere", values={"radius": 0.0}),
    Solid("octahedron", values={"radius": 0.5}),
    Solid("cone", values={"radius": 0.0, "height": 20.0}),
    Solid("cone", values={"radius": 20.0, "height": 0.0}),
    Solid("revolve", "circle", values={"radius": 0.0, "offset": 0.0}),
    Solid("revolve", "star", 5, values={"radius": 12.0, "bluntness": 0.7, "offset": 0.0}),
    Solid("prism", "circle", values={"radius": 10.0, "height": 0.0}),
    Solid("prism", "circle", 0, "cone", values={"radius": 10.0, "height": 20.0, "scale": 0.0}),
    Solid("prism", "star", 8, values={"radius": 20.0, "bluntness": 1.0, "height": 20.0}),
    Solid("prism", "star", 3, values={"radius": 20.0, "bluntness": 1.0, "height": 20.0}),
    Solid(
        "prism", "polygon", 4, values={"height": 20.0},
        corners=np.array([[7.0, 0.0], [0.0, 7.0], [-7.0, 0.0], [0.0, -7.0]]),
    ),
    Solid(  # two corners in one place
        "prism", "polygon", 4, values={"height": 20.0},
        corners=np.array([[9.0, -9.0], [9.0, 9.0], [9.0, 9.0], [-9.0, 4.0]]),
    ),
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize("solid", EDGE_CASES, ids=lambda s: f"{s.lift} {s.profile} {s.taper}")
def test_edge_inputs(solid):
    check(solid, axis_points())


@needs_compiler
@needs_x86
@pytest.mark.parametrize("solid", EDGE_CASES, ids=lambda s: f"{s.lift} {s.profile} {s.taper}")
def test_flushing_subnormals_changes_nothing(solid):
    arguments, points = Arguments.of(solid), axis_points()
    plain, flushed = (run_c(arguments, points, text=t) for t in (SDF_TEXT, flushing(SDF_TEXT)))
    assert np.array_equal(plain[0].view(np.int32), flushed[0].view(np.int32))
    assert np.array_equal(plain[1].view(np.int32), flushed[1].view(np.int32))


@needs_compiler
@pytest.mark.parametrize("name", ["Sphere", "Cone", "Octahedron", "FiveStarTorus", "NonagonPrism"])
def test_nothing_overflows(name):
    """No access outside an array and no undefined operation, so defined values are compared."""
    generator = np.random.default_rng(0)
    points = grid(generator)
    arguments = Arguments.of(drawn(classes_named(name)[0], points, generator))
    plain, watched = run_c(arguments, points), run_c(arguments, points, sanitize=True)
    assert np.array_equal(plain[1], watched[1])


def test_knot_at_the_end_is_finite():
    """The public code divides by the distance from knot to end, which may be next to nothing."""
    values = {"radius": 10.0, "height": 20.0, "scale": 3.0, "knot": 10.0}
    solid = Solid("prism", "circle", 0, "convex", values=values)
    assert np.isfinite(run(by_scalars, Arguments.of(solid).row(), axis_points())).all()


def test_a_star_of_bluntness_one_is_a_regular_polygon():
    angles = np.pi / 2 + 2 * np.pi * np.arange(6) / 6
    corners = 20 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x, y, _ = grid(np.random.default_rng(0)).astype(float)
    star = reference.star(6, 20.0, 1.0, x, y)
    assert np.abs(star - reference.polygon(corners, x, y)).max() < 1e-9


# ------------------------------------------------------------------------------------- mathematics


def real_inputs(name: str, count: int = 1_000_000) -> np.ndarray:
    """Random magnitudes and edge values, without the tiny ones that CUDA flushes to zero."""
    arguments, reach = REAL_CALLS[name]
    generator = np.random.default_rng(arguments)
    exponents = generator.uniform(-60, np.log2(reach), (arguments, count))
    values = np.exp2(exponents) * generator.choice([-1, 1], exponents.shape)
    edges = [value for value in EDGES if abs(value) <= reach]
    chosen = generator.random(values.shape) < 0.1
    values[chosen] = generator.choice(edges, chosen.sum())
    if name in ("root", "logarithm_of_two"):
        values = np.abs(values)
    if name == "logarithm_of_two":
        values = np.maximum(values, 2.0**-126)
    return padded(values).clip(-reach, reach)


def real_function(name: str):
    return getattr(real, name, None) or getattr(float_lanes, name)


def looped(name: str, *, lanes: bool):
    """A compiled loop over the columns of inputs."""
    columns = range(REAL_CALLS[name][0])
    reads = ", ".join(f"load(a[{i}], k)" if lanes else f"a[{i}, k]" for i in columns)
    write = f"store(r, k, f({reads}))" if lanes else f"r[k] = f({reads})"
    text = f"def loop(a, r):\n for k in range(0, r.size, {LANES if lanes else 1}):\n  {write}\n"
    scope = {"f": real_function(name), "load": float_lanes.load, "store": float_lanes.store}
    exec(text, scope)
    return numba.njit(error_model="numpy")(scope["loop"])


def run_real(name: str, inputs: np.ndarray, *, lanes: bool = False) -> np.ndarray:
    out = np.zeros(inputs.shape[1], np.float32)
    looped(name, lanes=lanes)(inputs, out)
    return out


@needs_compiler
@pytest.mark.parametrize("name", REAL_CALLS)
def test_real_c_equals_scalars_equals_lanes(name):
    inputs = real_inputs(name)
    scalars, c = run_real(name, inputs), np.zeros(inputs.shape[1], np.float32)
    which = np.int32(list(REAL_CALLS).index(name))
    host(real_text(), "reals")(1, 1, [which, np.int64(c.size), inputs, c])
    assert np.array_equal(scalars.view(np.int32), c.view(np.int32))
    lanes = run_real(name, inputs, lanes=True)
    assert np.array_equal(scalars.view(np.int32), lanes.view(np.int32))


@pytest.mark.parametrize(
    ("name", "low", "high", "exact", "bound"),
    [
        ("power_of_two", -126, 127, np.exp2, 1.5e-7),
        ("sine_of_turns", -(2**22), 2**22, lambda r: np.sin(2 * np.pi * (r % 1)), 2e-7),
        ("cosine_of_turns", -(2**22), 2**22, lambda r: np.cos(2 * np.pi * (r % 1)), 2e-7),
        ("sine_of_turns", -1, 1, lambda r: np.sin(2 * np.pi * r), 2e-7),
        ("cosine_of_turns", -1, 1, lambda r: np.cos(2 * np.pi * r), 2e-7),
        ("logarithm_of_two", 0.25, 4, np.log2, 2e-7),
        ("logarithm_of_two", 2.0**-126, 1e30, np.log2, 1.3e-5),
    ],
)
def test_error_bounds(name, low, high, exact, bound):
    x = np.linspace(low, high, 4_000_001).astype(np.float32)
    right = exact(x.astype(float))
    error = np.abs(run_real(name, x[None]) - right)
    scale = right if name == "power_of_two" else 1
    assert (error / scale).max() < bound


@pytest.mark.parametrize(
    ("function", "high", "degree", "names"),
    [
        (np.exp2, 1, 6, ["ONE", "_E1", "_E2", "_E3", "_E4", "_E5", "_E6"]),
        (lambda q: np.sin(2 * np.pi * np.sqrt(q)) / np.sqrt(q), 1 / 16, 4,
         ["_S0", "_S1", "_S2", "_S3", "_S4"]),
        (lambda f: np.log2(1 + f) / np.where(f == 0, 1, f) + np.where(f == 0, 1 / np.log(2), 0),
         1 / 3, 8, [f"_L{i}" for i in range(9)]),
    ],
    ids=["power", "sine", "logarithm"],
)  # fmt: skip
def test_coefficients_interpolate_at_chebyshev_nodes(function, high, degree, names):
    low = -high if names[0] == "_L0" else 0
    nodes = np.polynomial.Chebyshev.interpolate(function, degree, domain=[low, high])
    wanted = nodes.convert(kind=np.polynomial.Polynomial).coef
    assert [getattr(real, name) for name in names] == pytest.approx(wanted, rel=1e-6)


@numba.njit(error_model="numpy")
def lanes_alone(a, b, out, words):
    """What only lanes have, and the operators that no function above uses."""
    x, y = float_lanes.load(a, 0), float_lanes.load(b, 0)
    float_lanes.store(out, 0, x / y)
    float_lanes.store(out, LANES, np.float32(3) / x)
    float_lanes.store(out, 2 * LANES, float_lanes.splat(np.float32(2)) - float_lanes.steps())
    words[0] = float_lanes.packed(x <= y)
    words[1] = float_lanes.packed(x >= np.float32(1))


def test_operations_of_lanes_alone():
    generator = np.random.default_rng(0)
    a, b = generator.integers(-3, 4, (2, LANES)).astype(np.float32)
    out, words = np.zeros(3 * LANES, np.float32), np.zeros(2, np.int64)
    lanes_alone(a, b, out, words)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = [a / b, np.float32(3) / a, 2 - np.arange(LANES, dtype=np.float32)]
    np.testing.assert_array_equal(out, np.concatenate(wanted))
    bits = 1 << np.arange(LANES)
    assert words.tolist() == [bits[a <= b].sum(), bits[a >= 1].sum()]


# -------------------------------------------------------------------------------- what is compiled


def functions_of(header: str) -> set[str]:
    text = (files("synthgen.kernels") / header).read_text()
    return set(re.findall(r"^REAL_FUNCTION [\w ]+?\*?(\w+)\(", text, re.MULTILINE))


def test_every_device_function_is_tested():
    """Those of sdf.cuh through ``distance`` and what lays rows, which call them all."""
    assert functions_of("real.cuh") == set(REAL_CALLS)
    text = (files("synthgen.kernels") / "sdf.cuh").read_text() + SDF_TEXT
    for name in functions_of("sdf.cuh"):
        assert hasattr(sdf, name)
        assert len(re.findall(rf"\b{name}\(", text)) > 1, name


@pytest.mark.parametrize("function", [by_scalars, by_lanes], ids=["scalars", "lanes"])
def test_cpu_code_has_no_double_and_no_libm(function):
    check_cpu(function, (numba.float32[::1],) * 5, less=("fdiv",))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_cuda_code_is_exactly_rounded(architecture):
    for text, name in ((SDF_TEXT, "solids"), (real_text(), "reals")):
        check_cuda(cuda_source(text, name), name, architecture)


# ----------------------------------------------------------------------------------------- classes


def test_classes():
    assert [which.id for which in CLASSES] == list(range(1, 110))
    assert len({which.name for which in CLASSES}) == 109
    at_group_ends = {
        1: "Sphere", 8: "ConeCylinder", 9: "ThreeStarRevolution", 11: "FiveStarRevolution",
        12: "TrianglePrism", 25: "NonagonConvexPrism", 26: "TriangleConcavePrism",
        39: "NonagonConePrism", 40: "FiveStarPrism", 55: "EightStarConePrism", 56: "SquareTorus",
        65: "EightStarTorus", 66: "OnionedTrianglePrism", 93: "OnionedNonagonConePrism",
        94: "OnionedFiveStarPrism", 105: "OnionedEightStarConcavePrism",
        109: "OnionedEightStarConePrism",
    }  # fmt: skip
    assert {number: CLASSES[number - 1].name for number in at_group_ends} == at_group_ends


def test_an_unknown_class_is_refused_with_the_nearest_names():
    assert [which.id for which in classes_named("Cone")] == [4]
    with pytest.raises(ValueError, match=r"got 'pentagonprizm'; nearest: PentagonPrism"):
        classes_named("pentagonprizm")
    with pytest.raises(ValueError, match=r"nearest: none is near"):
        classes_named("qqq")


# ----------------------------------------------------------------------- mappers and displacements


def test_mappers_peak_at_the_surface_and_stay_in_range():
    s = np.linspace(-40, 40, 2001)
    for name in ["inverse_cube", *reference.MAPPERS]:
        values = reference.mapped(name, s)
        assert reference.mapped(name, np.zeros(1))[0] == pytest.approx(128)
        assert 0 <= values.min() <= values.max() <= 128
        assert name == "inverse_cube" or not values[s > 0].any()


@pytest.mark.parametrize(
    ("name", "mean", "least", "most"),
    [  # over a volume of 96^3, as measured on the public code
        ("perlin_more_fine", -0.01, -2.82, 2.82),
        ("perlin_fine", 0, -0.94, 0.94),
        ("turbulence", 0, -6.82, 6.82),
        ("ridge", 2.73, 0, 4.23),
        ("ridge_coarse", 4.35, 0, 7.05),
        ("sharpmax", 2.08, 0, 2.35),
        ("sharpmax_fine", 1.25, 0, 1.41),
        ("twisted_x", 1.20, 0, 1.88),
        ("sawtooth", -0.01, -1.32, 1.32),
    ],
)
def test_displacements_of_a_volume(name, mean, least, most):
    k = np.arange(96.0) - 48
    z, y, x = np.meshgrid(k, k, k, indexing="ij")
    delta = reference.displacement(name, x, y, z, (47.0, 47.0, 47.0))
    assert (delta.mean(), delta.min(), delta.max()) == pytest.approx((mean, least, most), abs=0.006)

"""Random fields: SciPy's splines, variance 1 everywhere, and CUDA's source equal to the bit."""

import functools

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.interpolate import BSpline, RegularGridInterpolator

from synthgen.backend.calls.fields import FieldTables, field_tables
from synthgen.backend.plan import FieldSpec
from synthgen.backend.source import assemble
from synthgen.kernels import field as kernels
from synthgen.kernels.appearance_records import (
    NORMALS_GROUP,
    ChainPart,
    FieldRow,
    NoiseModel,
    Step,
    StepKind,
)
from synthgen.kernels.float_lanes import pointer
from synthgen.kernels.gaussian import fill_groups, first_draw
from synthgen.kernels.lay_nodes import lay_nodes
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.chain_scenes import INDEX, SEED, drawn_steps, tables_of
from tests.kernels.real_code import check_cuda

SHAPES = [(5, 7, 33), (1, 40, 50), (20, 1, 18), (6, 30, 1), (17, 16, 96), (2, 3, 4)]
SPECS = (
    FieldSpec(0, spacing=1.3), FieldSpec(0, spacing=3.0), FieldSpec(1, spacing=60.0),
    FieldSpec(2, share=0.025), FieldSpec(2, share=0.25),
)  # fmt: skip
ROW = int(FieldRow.SIZE)

TEXT = """#include "field.cuh"
extern "C" __global__ void lay(const int* fields, const int* starts, const float* weights,
                               const float* nodes, int field, int D, int H, int W, float* out)
{
    for (int z = 0; z < D; ++z)
        for (int y = 0; y < H; ++y)
            for (int x = 0; x < W; ++x)
                *out++ = field_at(fields + field * FIELD_ROW_SIZE, starts, weights, nodes, D, H, z,
                                  y, x);
}"""


@numba.njit(nogil=True, error_model="numpy")
def lay(fields, starts, weights, nodes, f, shape, rows, out):
    """One field, ``rows`` rows at a time."""
    depth, height, width = shape
    row, tables = pointer(fields, f * ROW), (pointer(starts, 0), pointer(weights, 0))
    scratch = np.full(kernels.plane_size(row, width), np.float32(np.nan), np.float32)
    plane = pointer(scratch, 0)
    for z in range(depth):
        kernels.lay_field_plane(row, *tables, pointer(nodes, 0), z, depth, height, width, plane)
        for y in range(0, height, rows):
            count = min(rows, height - y)
            at = (z * height + y) * width
            kernels.lay_field_rows(row, *tables, plane, y, count, depth, width, pointer(out, 0), at)


def nodes_of(tables: FieldTables, seed: int = 0) -> np.ndarray:
    """Normal numbers, and behind them what must not be used."""
    nodes = np.full(tables.nodes + NORMALS_GROUP, np.nan, np.float32)
    nodes[: tables.nodes] = np.random.default_rng(seed).standard_normal(tables.nodes)
    return nodes


def laid(tables: FieldTables, nodes: np.ndarray, f: int, shape, rows: int = 5) -> np.ndarray:
    size = int(np.prod(shape))
    out = np.full(size + 16, np.nan, np.float32)
    lay(tables.rows, tables.starts, tables.weights, nodes, f, shape, rows, out)
    return out[:size].reshape(shape)


def lattice(tables: FieldTables, nodes: np.ndarray, f: int) -> np.ndarray:
    row = tables.rows[f]
    sides = row[[FieldRow.DEPTH, FieldRow.HEIGHT, FieldRow.WIDTH]]
    return nodes[row[FieldRow.OFFSET] :][: np.prod(sides)].reshape(sides).astype(np.float64)


def spline_weights(side: int, spacing: float) -> np.ndarray:
    """(side, nodes) of a uniform cubic B-spline, rows of length 1."""
    if side == 1:
        return np.ones((1, 1))
    at = np.arange(side) / spacing
    nodes = int(at[-1]) + 4
    weights = BSpline(np.arange(-3, nodes + 1), np.eye(nodes), 3)(at)
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("spacing", [1.3, 2.0, 3.46, 90.0])
def test_a_field_is_a_spline_of_its_nodes(shape, spacing):
    tables = field_tables((FieldSpec(0, spacing=spacing),), shape)
    nodes = nodes_of(tables)
    weights = [spline_weights(side, spacing) for side in shape]
    own = lattice(tables, nodes, 0)[: len(weights[0].T), : len(weights[1].T), : len(weights[2].T)]
    expected = np.einsum("zi,yj,xk,ijk->zyx", *weights, own, optimize=True)
    np.testing.assert_allclose(laid(tables, nodes, 0, shape), expected, atol=3e-6)


@pytest.mark.parametrize("share", [0.025, 0.1, 0.25])
@pytest.mark.parametrize("shape", [(17, 16, 96), (40, 9, 33), (1, 40, 50)], ids=str)
def test_a_bias_is_interpolated_between_corners(shape, share):
    tables = field_tables((FieldSpec(0, share=share),), shape)
    nodes = nodes_of(tables, 3)
    counts = [1 if side == 1 else max(2, int(np.ceil(share * side))) for side in shape]
    own = lattice(tables, nodes, 0)[: counts[0], : counts[1], : counts[2]]
    points = np.stack(
        np.meshgrid(
            *(np.linspace(0, count - 1, side) for count, side in zip(counts, shape, strict=True)),
            indexing="ij",
        ),
        -1,
    )
    used = [axis for axis in range(3) if shape[axis] > 1]
    grid = [np.arange(counts[axis]) for axis in used]
    expected = RegularGridInterpolator(grid, own.squeeze())(points[..., used])
    found = laid(tables, nodes, 0, shape)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    corners = np.ix_(*((0, side - 1) for side in shape))
    ends = np.ix_(*((0, count - 1) for count in counts))
    np.testing.assert_allclose(found[corners], own[ends], atol=2e-6)


def test_every_voxel_has_variance_one():
    """That of a sum of independent numbers is the sum of the squares of their weights."""
    tables = field_tables((FieldSpec(0, spacing=1.7), FieldSpec(0, spacing=5.0)), (9, 21, 40))
    weights = tables.weights.astype(np.float64)
    for row in tables.rows:
        z = row[FieldRow.TABLE]
        x = z + 9 + 21
        along_x = weights[x : x + 48].reshape(3, 4, 16)
        np.testing.assert_allclose((weights[z:x] ** 2).sum(1), 1, atol=2e-7)
        np.testing.assert_allclose((along_x**2).sum(1), 1, atol=2e-7)


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(*[st.integers(1, 300)] * 3),
    st.floats(1, 250) | st.floats(0.001, 0.25).map(lambda share: -share),
)
def test_no_voxel_reads_beyond_the_lattice(shape, size):
    spec = FieldSpec(0, spacing=size) if size > 0 else FieldSpec(0, share=-size)
    tables = field_tables((spec,), shape)
    row, at = tables.rows[0], 0
    counts = row[[FieldRow.DEPTH, FieldRow.HEIGHT, FieldRow.WIDTH]]
    assert tables.nodes >= counts.prod()
    for side, count, step in zip(shape, counts, (1, 1, 16), strict=True):
        table = slice(at, at := at + -(-side // step) * step)
        first = tables.starts[table]
        assert first.min() == 0
        assert (np.diff(first) >= 0).all()
        if count > 1:
            assert first.max() + 4 <= count
        else:
            assert step == side == 1
            assert tables.weights[table].tolist() == [[1, 0, 0, 0]]
    assert at == len(tables.starts) == len(tables.weights)


def test_fields_are_normal():
    tables = field_tables((FieldSpec(0, spacing=2.0),), (3, 60, 90))
    found = np.stack([laid(tables, nodes_of(tables, s), 0, (3, 60, 90)) for s in range(40)])
    assert abs(found.mean()) < 0.05
    np.testing.assert_allclose(found.std(0).mean(), 1, atol=0.02)
    # Voxels four nodes apart depend on no common node.
    apart = found[:, 0, ::8, ::8].ravel()
    assert stats.kstest(apart, "norm").pvalue > 1e-3


def test_neighbours_are_alike_and_the_far_are_not():
    tables = field_tables((FieldSpec(0, spacing=6.0),), (1, 200, 220))
    found = laid(tables, nodes_of(tables), 0, (1, 200, 220))[0].astype(np.float64)

    def correlation(lag):
        return np.mean(found[:, lag:] * found[:, :-lag]) / found.var()

    assert correlation(1) > 0.96
    assert 0.38 < correlation(6) < 0.60  # one node away
    assert abs(correlation(24)) < 0.15


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_rows_can_be_laid_in_any_portions(rows):
    shape = (3, 22, 37)
    tables = field_tables(SPECS, shape)
    for f in range(len(SPECS)):
        whole, parts = (laid(tables, nodes_of(tables), f, shape, n) for n in (22, rows))
        np.testing.assert_array_equal(whole, parts)


def test_fields_have_nodes_of_their_own():
    tables = field_tables(SPECS, (5, 7, 33))
    sides = tables.rows[:, FieldRow.DEPTH : FieldRow.WIDTH + 1].prod(1)
    ends = tables.rows[:, FieldRow.OFFSET] + sides
    assert (ends[:-1] <= tables.rows[1:, FieldRow.OFFSET]).all()
    assert ends[-1] <= tables.nodes
    numbers = tables.rows[:, FieldRow.NUMBER]
    assert numbers[[0, 2, 3]].tolist() == [0, 0, 0]
    assert numbers[1] >= sides[0]
    assert numbers[4] >= sides[3]


def test_no_fields_at_all():
    tables = field_tables((), (3, 4, 5))
    assert tables.nodes == 0
    assert min(array.size for array in tables[:3]) > 0


# --------------------------------------------------------------------------------------- nodes


def chain(fields=SPECS):
    kinds = [StepKind.TEXTURE, StepKind.NOISE, StepKind.BIAS]
    return tables_of(kinds, fields), field_tables(fields, (6, 20, 33))


def laid_nodes(drawn, channel: int = 1, index=INDEX) -> np.ndarray:
    chain_tables, tables = chain()
    nodes = np.full(tables.nodes + NORMALS_GROUP, 9, np.float32)
    lay_nodes(tables.rows, chain_tables.settings, drawn, SEED, index, channel, nodes)
    return nodes


_NODES = int(ChainPart.NODES)


@numba.njit
def normals(seed, index, channel, step, start, stop, out):
    first = start // NORMALS_GROUP
    groups = (stop + NORMALS_GROUP - 1) // NORMALS_GROUP - first
    numbers = np.empty(groups * NORMALS_GROUP, np.float32)
    fill_groups(seed, index, first_draw(channel, step, _NODES), first, groups, numbers, 0)
    skipped = start - first * NORMALS_GROUP
    out[:] = numbers[skipped : skipped + stop - start]


def test_nodes_are_the_normal_numbers_of_their_step():
    drawn = drawn_steps(3)
    drawn[1, Step.Q] = NoiseModel.SPECKLE
    nodes, (_, tables) = laid_nodes(drawn), chain()
    for row in tables.rows:
        count = int(row[FieldRow.DEPTH : FieldRow.WIDTH + 1].prod())
        expected, start = np.zeros(count, np.float32), int(row[FieldRow.NUMBER])
        normals(SEED, INDEX, 1, int(row[FieldRow.STEP]), start, start + count, expected)
        np.testing.assert_array_equal(nodes[row[FieldRow.OFFSET] :][:count], expected)
    assert stats.kstest(nodes[: tables.rows[1, FieldRow.OFFSET]], "norm").pvalue > 1e-3


def untouched(nodes: np.ndarray) -> list[bool]:
    _, tables = chain()
    ends = [*tables.rows[1:, FieldRow.OFFSET], tables.nodes]
    return [
        bool((nodes[start:end] == 9).all())
        for start, end in zip(tables.rows[:, FieldRow.OFFSET], ends, strict=True)
    ]


def test_only_steps_that_are_taken_get_nodes():
    drawn = drawn_steps(3, active=[1, 2])
    drawn[1, Step.Q] = NoiseModel.SPECKLE
    assert untouched(laid_nodes(drawn)) == [True, True, False, False, False]


@pytest.mark.parametrize("model", [NoiseModel.GAUSSIAN, NoiseModel.RICIAN])
def test_of_noises_only_speckle_has_nodes(model):
    drawn = drawn_steps(3)
    drawn[:, Step.Q] = model
    assert untouched(laid_nodes(drawn)) == [False, False, True, False, False]


def test_volumes_and_channels_differ():
    drawn = drawn_steps(3)
    one, other, channel = (
        laid_nodes(drawn), laid_nodes(drawn, index=np.uint64(6)), laid_nodes(drawn, channel=0)
    )  # fmt: skip
    assert (one != other).mean() > 0.9 * (one != 9).mean()
    assert (one != channel).mean() > 0.9 * (one != 9).mean()


# ---------------------------------------------------------------------------------------- CUDA


@functools.cache
def host(sanitize: bool = False) -> HostKernel:
    return HostKernel("lay", source=assemble(TEXT, "lay.cu"), sanitize=sanitize)


def check_on_host(shape, **options) -> None:
    tables = field_tables(SPECS, shape)
    nodes = nodes_of(tables)
    for f in range(len(SPECS)):
        out = np.full(shape, np.nan, np.float32)
        sizes = [np.int32(n) for n in (f, *shape)]
        host(**options)(1, 1, [tables.rows, tables.starts, tables.weights, nodes, *sizes, out])
        expected = laid(tables, nodes, f, shape)
        np.testing.assert_array_equal(out.view(np.int32), expected.view(np.int32))


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cuda_equals_the_twin(shape):
    check_on_host(shape)


@needs_compiler
def test_sanitizers_find_nothing_in_fields():
    check_on_host((2, 5, 19), sanitize=True)


def check_nodes_on_host(blocks: int = 3, threads: int = 64, **options) -> None:
    chain_tables, tables = chain()
    batch = np.stack([drawn_steps(3), drawn_steps(3, active=[0, 2])])
    batch[0, 1, Step.Q] = NoiseModel.SPECKLE
    indices = np.array([INDEX, 3], np.uint64)
    nodes = np.full((2, tables.nodes + NORMALS_GROUP), 9, np.float32)
    HostKernel("lay_nodes", sanitize=options.pop("sanitize", False))(
        (blocks, len(SPECS), 2), threads,
        [
            tables.rows, chain_tables.settings, batch, SEED, indices, np.int32(1), nodes,
            np.int32(3), np.int64(nodes.shape[1]),
        ],
        **options,
    )  # fmt: skip
    for b in range(2):
        expected = laid_nodes(batch[b], index=indices[b])
        np.testing.assert_array_equal(nodes[b].view(np.int32), expected.view(np.int32))


@needs_compiler
@pytest.mark.parametrize(("blocks", "threads", "order"), [(1, 32, 0), (3, 64, 1), (40, 128, 2)])
def test_nodes_of_cuda_equal_the_twin(blocks, threads, order):
    check_nodes_on_host(blocks, threads, order_seed=order)


@needs_compiler
def test_sanitizers_find_nothing_in_nodes():
    check_nodes_on_host(sanitize=True)


def test_cuda_computes_exactly_rounded_floats_alone():
    check_cuda(assemble(TEXT, "lay.cu"), "lay", "sm_90")

"""Drawn filters: their laws, their weights, and what tables must hold."""

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, uniform

from synthgen.backend.calls.filters import Filters
from synthgen.kernels.appearance_records import FILTER_SD_MAX, FilterLine
from tests.host_cuda import needs_compiler
from tests.kernels.filter_chains import bits, chain_of, in_c, on_cpu, sampling

RADIUS, SAMPLES = int(FilterLine.RADIUS), int(FilterLine.SAMPLES)
FIRST, SPACING, RATE = int(FilterLine.FIRST), int(FilterLine.SPACING), int(FilterLine.RATE)
COUNT = 1200
SURE = 1e-4  # probability of a false alarm


def law(low, high):
    return uniform(low, high - low).cdf


def blur_weights(tables, axis, filter_=0):
    """A blur's weights of a voxel and of those to one side."""
    start = tables["filter_steps"][filter_, 1 + axis]
    radius = int(tables["filters"][filter_, axis, RADIUS])
    return tables["filter_weights"][start : start + radius + 1].astype(np.float64)


def sample_weights(tables, axis, filter_=0):
    """(taps, SAMPLES) weights, and how far each voxel is from its sample."""
    line = tables["filters"][filter_, axis].astype(np.float64)
    samples, radius = int(line[SAMPLES]), int(line[RADIUS])
    stride, start = -(-samples // 16) * 16, tables["filter_steps"][filter_, 1 + axis]
    weights = tables["filter_weights"][start : start + (2 * radius + 2) * stride]
    places = np.float32(line[FIRST]) + np.float32(line[SPACING]) * np.arange(
        samples, dtype=np.float32
    )
    away = np.floor(places) - radius + np.arange(2 * radius + 2)[:, None] - places
    return weights.reshape(-1, stride)[:, :samples].astype(np.float64), away


def sd_of(weights, away):
    """Standard deviation of a Gaussian from its weights: slope of their logarithms."""
    near = np.abs(away) < 3
    slope = np.polyfit(away[near] ** 2, np.log(weights[near]), 1)[0]
    return np.sqrt(-0.5 / slope)


def all_drawn(chain, channel=0, count=COUNT):
    return [on_cpu(sampling(chain, channel), index=index) for index in range(count)]


def test_standard_deviations_of_blurs():
    chain = chain_of({"kind": "blur", "sd": (0.5, 2.5), "across": (1.0, 1.5)})
    found = np.array(
        [
            [sd_of(weights, np.arange(len(weights))) for weights in
             (blur_weights(tables, axis) for axis in range(3))]
            for tables in all_drawn(chain)
        ]
    )  # fmt: skip
    np.testing.assert_allclose(found[:, 1], found[:, 2], rtol=1e-6)
    assert kstest(found[:, 1], law(0.5, 2.5)).pvalue > SURE
    assert kstest(found[:, 0], law(1.0, 1.5)).pvalue > SURE
    assert abs(np.corrcoef(found[:, 0], found[:, 1])[0, 1]) < 0.15


def test_a_blur_without_a_depth_of_its_own_is_alike_everywhere():
    tables = on_cpu(sampling(chain_of({"kind": "blur", "sd": (0.5, 2.5)})))
    assert np.array_equal(blur_weights(tables, 0), blur_weights(tables, 2))


def test_a_blur_is_taken_as_often_as_is_asked():
    chain = chain_of({"kind": "blur", "sd": (1.0, 1.0), "probability": 0.3})
    taken = sum(tables["filters"].any() for tables in all_drawn(chain))
    assert binomtest(int(taken), COUNT, 0.3).pvalue > SURE


@pytest.mark.parametrize("sd", [0.2, 0.34, 1.0, 3.7, 11.0])
def test_weights_of_a_blur(sd):
    chain = chain_of({"kind": "blur", "sd": (sd, sd)}, shape=(40, 40, 40))
    weights = blur_weights(on_cpu(sampling(chain)), 2)
    expected = np.exp(-0.5 * (np.arange(len(weights)) / sd) ** 2)
    expected /= expected[0] + 2 * expected[1:].sum()
    assert len(weights) == np.ceil(np.float32(3) * np.float32(sd)) + 1
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-9)


def test_spacings_thicknesses_and_factors():
    shape, voxel = (64, 70, 90), (0.5, 0.8, 1.0)
    settings = {"probability": 0.8, "isotropic": 0.4, "spacing": 9.0, "isotropic_spacing": 5.0}
    chain = chain_of({"kind": "resolution", **settings}, shape=shape, spacing=voxel)
    everywhere, single, native, axes = [], [], [], np.zeros(3, int)
    kinds = np.zeros(3, int)
    for tables in all_drawn(chain):
        lines = tables["filters"][0]
        sampled = np.flatnonzero(lines[:, SAMPLES])
        kinds[min(len(sampled), 2)] += 1
        if len(sampled) == 1:
            axes[sampled[0]] += 1
        for axis in range(3):
            if axis not in sampled:
                weights = blur_weights(tables, axis)
                native.append(sd_of(weights, np.arange(len(weights))))
                continue
            line = lines[axis].astype(np.float64)
            assert line[RATE] == pytest.approx(1 / line[SPACING], rel=1e-6)
            assert line[SAMPLES] == max(1, round(shape[axis] / line[SPACING]))
            weights, away = sample_weights(tables, axis)
            np.testing.assert_allclose(weights.sum(0), 1, atol=2e-6)
            sd = sd_of(weights[:, 0], away[:, 0])
            share = (sd / 0.75 - 1) / (line[SPACING] - 1)  # but for the factor
            mm = line[SPACING] * voxel[axis]
            (everywhere if len(sampled) == 3 else single).append((axis, mm, share))
            assert 0.75 / 1.031 < sd < 0.75 * line[SPACING] * 1.031
    assert binomtest(int(kinds[0]), COUNT, 0.2).pvalue > SURE
    assert binomtest(int(kinds[2]), COUNT, 0.8 * 0.4).pvalue > SURE
    assert np.all(np.abs(axes - axes.mean()) < 5 * np.sqrt(axes.mean()))
    for rows, high in ((everywhere, 5.0), (single, 9.0)):
        axis, mm, share = np.array(rows).T
        for which in range(3):
            own = axis == which
            assert kstest(mm[own], law(voxel[which], high)).pvalue > SURE
        wide = mm > 3 * np.array(voxel)[axis.astype(int)]
        assert kstest(share[wide], law(0, 1)).statistic < 0.1
    assert kstest(native, law(0.5 / 1.03, 0.5 * 1.03)).pvalue > SURE


def test_samples_lie_symmetrically():
    chain = chain_of(
        {"kind": "resolution", "probability": 1.0, "isotropic": 1.0}, shape=(33, 48, 95)
    )
    for tables in all_drawn(chain, count=50):
        for axis, side in enumerate(chain.shape):
            line = tables["filters"][0, axis].astype(np.float64)
            last = line[FIRST] + line[SPACING] * (line[SAMPLES] - 1)
            assert line[FIRST] + last == pytest.approx(side - 1, abs=1e-4)
            assert -0.5 <= line[FIRST] < line[SPACING]
            weights, away = sample_weights(tables, axis)
            expected = np.exp(-0.5 * (away / sd_of(weights[:, 0], away[:, 0])) ** 2)
            np.testing.assert_allclose(weights, expected / expected.sum(0), atol=1e-5)


def test_a_voxel_coarser_than_any_spacing_keeps_its_own():
    chain = chain_of(
        {"kind": "resolution", "probability": 1.0, "isotropic": 1.0}, spacing=(9.0, 9.0, 9.0)
    )
    assert not on_cpu(sampling(chain))["filters"][0, :, SAMPLES].any()


def test_a_plane_is_filtered_within_itself():
    chain = chain_of(
        {"kind": "blur", "sd": (1.0, 2.0)}, {"kind": "resolution", "probability": 1.0},
        shape=(1, 20, 30),
    )  # fmt: skip
    for tables in all_drawn(chain, count=40):
        assert not tables["filters"][:, 0].any()
        assert tables["filters"][1, 1:, SAMPLES].any()


def test_channels_and_volumes_differ():
    chain = chain_of({"kind": "blur", "sd": (1.0, 2.0)})
    found = {
        on_cpu(sampling(chain, channel), index=index)["filter_weights"][0].item()
        for channel in range(3)
        for index in range(3)
    }
    assert len(found) == 9


EXTREME = [
    {"kind": "blur", "sd": (5.0, 5.333), "across": (0.2, 5.0)},
    {"kind": "resolution", "probability": 1.0, "isotropic": 1.0, "spacing": 40.0,
     "isotropic_spacing": 40.0},
    {"kind": "resolution", "probability": 0.5, "spacing": 0.9, "isotropic_spacing": 0.81},
    {"kind": "blur", "sd": (0.0, 0.3)},
]  # fmt: skip


def test_tables_hold_what_is_drawn():
    chain = chain_of(*EXTREME, shape=(17, 40, 130), spacing=(0.3, 0.8, 0.2))
    filters = Filters(chain)
    sizes = np.diff([*filters.table[:, 1:].ravel(), filters.size])
    for tables in all_drawn(chain, count=150):
        for f, step in enumerate(filters.steps):
            for axis in range(3):
                radius, samples = tables["filters"][f, axis, [RADIUS, SAMPLES]].astype(int)
                assert radius <= min(filters.radius(step, axis), 3 * FILTER_SD_MAX)
                assert samples <= chain.shape[axis]
                needed = (2 * radius + 2) * -(-samples // 16) * 16 if samples else radius + 1
                assert needed <= sizes[3 * f + axis]


@needs_compiler
@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize("shape", [(17, 40, 130), (1, 16, 97)])
def test_c_equals_the_twin(shape, sanitize):
    chain = chain_of(*EXTREME, shape=shape, spacing=(0.3, 0.8, 0.2))
    indices = [0, 5, 2**63 + 1]
    for channel in (0, 2):
        found = in_c(sampling(chain, channel), indices=indices, sanitize=sanitize, order=1)
        for b, index in enumerate(indices):
            twin = on_cpu(sampling(chain, channel), index=index)
            assert np.array_equal(bits(twin["filters"]), bits(found["filters"][b]))
            own = {"filter_steps": found["filter_steps"], "filters": found["filters"][b],
                   "filter_weights": found["filter_weights"][b]}  # fmt: skip
            for f in range(len(EXTREME)):
                for axis in range(3):
                    read = sample_weights if twin["filters"][f, axis, SAMPLES] else blur_weights
                    expected, given = read(twin, axis, f), read(own, axis, f)
                    assert np.array_equal(expected[0], given[0])
                    assert np.array_equal(expected[-1], given[-1])

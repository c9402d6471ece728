"""What chains draw: the law of every parameter, and CUDA's source bit for bit."""

import numpy as np
import pytest
from scipy.stats import beta, binomtest, kstest, norm, uniform

from synthgen.kernels.appearance_records import NoiseModel, Step, Tone
from tests.host_cuda import needs_compiler
from tests.kernels.filter_chains import bits, chain_of, in_c, on_cpu, sampling

COUNT = 1500
SURE = 1e-4  # probability of a false alarm
ACTIVE, P, Q = int(Step.ACTIVE), int(Step.P), int(Step.Q)
MEAN, SD = int(Tone.MEAN), int(Tone.SD)


def law(low, high):
    return uniform(low, high - low).cdf


def all_drawn(chain, name, count=COUNT, channel=0):
    """An array of many volumes."""
    calls = sampling(chain, channel)
    return np.array([on_cpu(calls, index=index)[name].copy() for index in range(count)])


def steps_drawn(*steps):
    """(COUNT, S, Step.SIZE), the intensities left out."""
    return all_drawn(chain_of(*steps), "drawn")[:, 1:]


def test_uniform_parameters():
    buffer = {"width": (1.0, 3.0), "ramp": 2.5}
    found = steps_drawn(
        {"kind": "outline", "value": (0.2, 0.9), "width": 3.0},
        {"kind": "bias_field", "sd": (0.1, 0.6)},
        {"kind": "noise", "models": ["gaussian", "speckle"], "sd": (0.02, 0.3)},
        {"kind": "texture", "buffer": buffer},
        {"kind": "spectral_texture", "buffer": buffer},
    )
    assert kstest(found[:, 0, P], law(0.2, 0.9)).pvalue > SURE
    assert np.all(found[:, 0, Q] == 2.25)
    assert kstest(found[:, 1, P], law(0.1, 0.6)).pvalue > SURE
    assert kstest(found[:, 2, P], law(0.02, 0.3)).pvalue > SURE
    for step in (3, 4):
        assert kstest(found[:, step, P], law(1.0, 3.0)).pvalue > SURE
        assert np.all(found[:, step, Q] == np.float32(1 / 2.5))
    together = np.corrcoef(found[:, [0, 1, 2, 3, 4], P].T) - np.eye(5)
    assert np.abs(together).max() < 5 / np.sqrt(COUNT)


def test_fixed_parameters():
    found = steps_drawn(
        {"kind": "clip", "bounds": (0.1, 0.8)}, {"kind": "texture"}, {"kind": "normalize"}
    )
    assert np.all(found[:, 0] == np.array([1, 0.1, 0.8], np.float32))
    assert np.all(found[:, 1:] == [1, 0, 0])


def test_exponents_of_gamma_are_log_normal():
    found = steps_drawn({"kind": "gamma", "sd": 0.7})[:, 0, P]
    assert kstest(np.log(found), norm(0, 0.7).cdf).pvalue > SURE


@pytest.mark.parametrize(
    "models", [["rician"], ["gaussian", "speckle"], ["gaussian", "rician", "speckle"]]
)
def test_models_of_noise_are_as_likely(models):
    found = steps_drawn({"kind": "noise", "models": models})[:, 0, Q]
    for model in NoiseModel:
        share = 1 / len(models) if model.name.lower() in models else 0
        assert binomtest(int((found == model).sum()), COUNT, share).pvalue > SURE


def test_steps_are_taken_as_often_as_is_asked():
    found = steps_drawn(
        {"kind": "gamma", "probability": 0.25}, {"kind": "noise", "probability": 0.0},
        {"kind": "clip", "probability": 1.0}, {"kind": "resolution", "probability": 0.6},
    )[:, :, ACTIVE]  # fmt: skip
    assert binomtest(int(found[:, 0].sum()), COUNT, 0.25).pvalue > SURE
    assert not found[:, 1].any()
    assert found[:, 2:].all()


def test_a_resolution_tells_whether_it_is_coarser():
    found = steps_drawn({"kind": "resolution", "probability": 0.6})[:, 0]
    assert found[:, ACTIVE].all()
    assert binomtest(int(found[:, P].sum()), COUNT, 0.6).pvalue > SURE


def tones_of(intensity, *steps, values=60, count=60, **settings):
    chain = chain_of(*steps, values=values, intensity=intensity, **settings)
    return all_drawn(chain, "tones", count)


def test_means_and_deviations_of_labels():
    background = {"mean": (0.0, 0.1), "sd": (0.3, 0.4)}
    intensity = {"mean": (0.2, 0.7), "sd": (0.05, 0.15), "background": background}
    tones = tones_of(intensity)[:, 0]
    behind = tones_of(intensity, values=1, count=COUNT)[:, 0, 0]
    assert kstest(tones[:, 1:, MEAN].ravel(), law(0.2, 0.7)).pvalue > SURE
    assert kstest(tones[:, 1:, SD].ravel(), law(0.05, 0.15)).pvalue > SURE
    assert kstest(behind[:, MEAN], law(0.0, 0.1)).pvalue > SURE
    assert kstest(behind[:, SD], law(0.3, 0.4)).pvalue > SURE
    assert not tones[..., 2:].any()
    assert len(np.unique(tones[:, 1:, MEAN])) > 0.99 * tones[:, 1:, MEAN].size


def test_backgrounds_that_are_dark_or_black():
    dark = {"probability": 0.3, "mean": (0.02, 0.06), "sd": (0.01, 0.02)}
    background = {"mean": (0.5, 0.7), "sd": (0.1, 0.2), "dark": dark, "black": 0.1}
    intensity = {"mean": (0.0, 0.9), "background": background, "contrast": 0.1}
    tones = tones_of(intensity, values=2, count=COUNT)[:, 0]
    mean, sd = tones[:, 0, MEAN], tones[:, 0, SD]
    black, light = mean == 0, mean > 0.1
    assert binomtest(int(black.sum()), COUNT, 0.1).pvalue > SURE
    assert binomtest(int(light.sum()), COUNT, 0.6).pvalue > SURE
    assert not sd[black].any()
    for chosen, means, sds in (
        (light, (0.5, 0.7), (0.1, 0.2)), (~light & ~black, (0.02, 0.06), (0.01, 0.02)),
    ):  # fmt: skip
        assert kstest(mean[chosen], law(*means)).pvalue > SURE
        assert kstest(sd[chosen], law(*sds)).pvalue > SURE
    # Contrast is to the background that was drawn.
    assert np.abs(tones[:, 1, MEAN] - mean).min() >= 0.1 - 1e-6


def test_labels_that_are_alike_have_the_tones_of_one():
    texture = {"kind": "texture", "relative": True}
    near = {"neighbour": {"probability": 0.7}, "sd": (0.1, 0.2)}
    alike = [0, 1, 2, 1, 4, 2, 6, 7]
    apart = tones_of(near, texture, values=8)
    found = tones_of(near, texture, values=8, alike=alike)
    assert np.array_equal(found, apart[:, :, alike])


def test_neighbours_go_by_the_label_before():
    near = {"probability": 0.6, "difference": (0.01, 0.03)}
    means = tones_of({"mean": (0.0, 1.0), "neighbour": near})[:, 0, 1:, MEAN].astype(np.float64)
    assert means.min() >= 0
    assert means.max() <= 1
    away = np.abs(np.diff(means))
    found = (away > 0.0099) & (away < 0.0301)
    by_chance = 2 * 0.02 * 0.4  # of those that go by no other
    assert found.mean() == pytest.approx(0.6 + by_chance, abs=0.03)
    assert kstest(away[found], law(0.01, 0.03)).statistic < 0.04
    up = (np.diff(means) > 0)[found]
    assert up.mean() == pytest.approx(0.5, abs=0.03)
    assert kstest(means[:, 0], law(0, 1)).pvalue > SURE


def test_means_stay_in_their_range_where_all_are_near():
    near = {"probability": 1.0, "difference": (0.2, 0.3)}
    means = tones_of({"mean": (0.4, 0.6), "neighbour": near})[:, 0, 1:, MEAN]
    assert means.min() >= np.float32(0.4)
    assert means.max() <= np.float32(0.6)


def test_neighbours_keep_their_difference_beside_the_background():
    near = {"probability": 1.0, "difference": (0.02, 0.15)}
    intensity = {"mean": (0.0, 1.0), "contrast": 0.03, "background": {"mean": (0.5, 0.5)}}
    means = tones_of(intensity | {"neighbour": near})[:, 0, 1:, MEAN].astype(np.float64)
    assert np.abs(means - 0.5).min() >= 0.03 - 1e-6
    away = np.abs(np.diff(means))
    assert (np.abs(means - 0.5) < 0.1).mean() > 0.1
    assert away.min() >= 0.02 - 1e-6
    assert away.max() <= 0.15 + 1e-6


def test_contrast_to_the_background():
    intensity = {"mean": (0.0, 1.0), "contrast": 0.2, "background": {"mean": (0.5, 0.5)}}
    means = tones_of(intensity)[:, 0, 1:, MEAN]
    assert np.abs(means - 0.5).min() >= 0.2 - 1e-6
    far = np.abs(means - 0.5) > 0.2001
    assert kstest(np.abs(means[far] - 0.5), law(0.2, 0.5)).pvalue > SURE
    assert (means < 0.5).mean() == pytest.approx(0.5, abs=0.05)
    # Where there is room on one side only, means are there.
    low = intensity | {"background": {"mean": (0.1, 0.1)}}
    assert tones_of(low)[:, 0, 1:, MEAN].min() >= 0.3 - 1e-6


@pytest.mark.parametrize("octaves", [1, 3, 4, 6])
def test_octaves_share_an_amplitude(octaves):
    scales = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0][:octaves]
    texture = {"kind": "texture", "scales": scales, "amplitude": (0.1, 0.3)}
    tones = tones_of({}, texture)[:, 1].reshape(-1, Tone.SIZE).astype(np.float64)
    assert not tones[:, octaves:].any()
    amplitudes = tones.sum(1)
    assert kstest(amplitudes, law(0.1, 0.3)).pvalue > SURE
    shares = tones[:, :octaves] / amplitudes[:, None]
    if octaves == 1:
        return
    for octave in range(octaves):
        assert kstest(shares[:, octave], beta(1, octaves - 1).cdf).pvalue > SURE
    together = np.corrcoef(shares.T)[0, 1]
    assert together == pytest.approx(-1 / (octaves - 1), abs=0.1)


def test_amplitudes_of_waves_and_of_parts_of_a_mean():
    wave = {"kind": "spectral_texture", "amplitude": (0.1, 0.3)}
    relative = wave | {"relative": True}
    texture = {"kind": "texture", "amplitude": (0.1, 0.3), "relative": True}
    intensity = {"mean": (0.2, 1.0), "neighbour": {}}
    tones = tones_of(intensity, wave, {"kind": "gamma"}, relative, texture).astype(np.float64)
    means = tones[:, 0, 1:, MEAN]
    parts = tones[:, 2, 1:, 0] / means
    assert kstest(tones[:, 1, 1:, 0].ravel(), law(0.1, 0.3)).pvalue > SURE
    assert kstest(parts.ravel(), law(0.1, 0.3)).pvalue > SURE
    assert kstest((tones[:, 3, 1:].sum(-1) / means).ravel(), law(0.1, 0.3)).pvalue > SURE
    assert not tones[:, 2:, 0].any()  # the background is black


def test_extremes_begin_at_the_ends():
    found = all_drawn(chain_of({"kind": "normalize"}), "extremes", 2)
    assert np.all(found == [2**31 - 1, -(2**31)])


def test_channels_steps_and_volumes_differ():
    chain = chain_of({"kind": "bias_field"}, {"kind": "bias_field"})
    found = [all_drawn(chain, "drawn", 4, channel)[:, 1:, P] for channel in range(3)]
    assert len(np.unique(found)) == 24


ALL = [
    {"kind": "outline", "probability": 0.5},
    {"kind": "texture", "relative": True, "buffer": {}},
    {"kind": "spectral_texture", "buffer": {"width": (0.0, 2.0)}},
    {"kind": "texture", "scales": [1.0, 2.0, 3.0, 5.0, 8.0, 13.0]},
    {"kind": "bias_field"}, {"kind": "clip"}, {"kind": "normalize"}, {"kind": "gamma"},
    {"kind": "spectral_texture", "relative": True}, {"kind": "blur"}, {"kind": "resolution"},
    {"kind": "noise", "models": ["gaussian", "rician", "speckle"]},
]  # fmt: skip
INTENSITIES = {
    "plain": {},
    "near": {"neighbour": {"probability": 0.9}, "contrast": 0.1, "background": None},
    "dark": {"background": {"dark": {"probability": 0.6}, "black": 0.3}, "contrast": 0.3},
    "all near": {"neighbour": {"probability": 1.0}, "contrast": 0.3, "sd": (0.0, 0.1)},
}


@needs_compiler
@pytest.mark.parametrize(
    ("name", "values", "sanitize"),
    [
        ("plain", 2, False),
        ("near", 300, False),
        ("all near", 40, False),
        ("dark", 70, False),
        ("near", 129, True),
    ],
)
def test_c_equals_the_twin(name, values, sanitize):
    pairs = np.arange(values) // 2 * 2
    chain = chain_of(*ALL, values=values, intensity=INTENSITIES[name], alike=pairs)
    indices = [0, 5, 2**63 + 1]
    for channel in (0, 7):
        calls = sampling(chain, channel)[:1]
        found = in_c(calls, indices=indices, sanitize=sanitize, order=1)
        for b, index in enumerate(indices):
            twin = on_cpu(calls, index=index)
            for array in ("drawn", "tones", "extremes"):
                assert np.array_equal(bits(twin[array]), bits(found[array][b]))
                assert np.isfinite(twin[array]).all()

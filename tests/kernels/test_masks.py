"""Star-shaped masks: bounds, laws and order; a reference in NumPy; CUDA's source and its twin."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from synthgen.backend.calls.masks import masks_calls
from synthgen.kernels.mask_records import MaskForm, MaskSection
from synthgen.kernels.records import Placed
from synthgen.placement.neighbours import Neighbours
from synthgen.shapes.masks import Evolution, Masks
from tests.host_cuda import needs_compiler
from tests.kernels.called import by_cpu, by_cuda

SHAPE = (21, 40, 57)
WAVES = np.arange(2, 8)
ALONE = Neighbours(probability=0)
TWINS = {
    "many": ((23, 33, 50), Masks(objects=12, structures=(8, 8)), Neighbours(probability=1)),
    "planar": ((1, 65, 40), Masks(), Neighbours()),
    "prisms": ((18, 16, 17), Masks(evolution=None), Neighbours(nested=1)),
    "one": ((70, 20, 31), Masks(objects=1, structures=(1, 1)), ALONE),
    "strict": ((20, 47, 29), Masks(least_voxels=60), Neighbours(probability=1, gap=(-6, -2))),
}


def plan_of(shape, shapes, placement=ALONE, dtype="uint8"):
    """Calls and outputs of masks in volumes of ``shape``."""
    plan = SimpleNamespace(shape=shape, label_dtype=dtype)
    calls = masks_calls(plan, shapes.tables(shape), placement.tables(shapes))
    kinds = {
        "label": ((1, *shape), dtype),
        "placed": ((shapes.objects, int(Placed.SIZE)), "int32"),
    }
    return calls, kinds


def drawn(shape, shapes, placement=ALONE, count=1, first=0):
    """Arrays of a few volumes."""
    return SimpleNamespace(
        **by_cpu(*plan_of(shape, shapes, placement), range(first, first + count))
    )


def structures(found, b):
    """Numbers of the structures that a volume has."""
    return np.flatnonzero(found.placed[b, :, Placed.PROPOSALS])


def radius_in(section, dy, dx):
    """Float64: of points in a section's frame, and of the contour in their direction."""
    section = section.astype(np.float64)
    u = section[MaskSection.U_X] * dx + section[MaskSection.U_Y] * dy
    v = section[MaskSection.V_X] * dx + section[MaskSection.V_Y] * dy
    angle = np.arctan2(v, u)
    waves = section[MaskSection.WAVE :].reshape(-1, 2)
    factor = np.ones_like(angle)
    for k, (re, im) in zip(WAVES, waves, strict=True):
        factor += re * np.cos(k * angle) - im * np.sin(k * angle)
    return np.hypot(u, v), factor


def share_inside(section, shape):
    """Float64 (H, W): below 0 in a structure; the distance to its limits in parts of the radius."""
    y, x = np.mgrid[: shape[1], : shape[2]].astype(np.float64)
    away, factor = radius_in(section, y - section[MaskSection.Y], x - section[MaskSection.X])
    outer = away / factor - section[MaskSection.RADIUS]
    inner = section[MaskSection.LUMEN] - away / factor
    return np.maximum(outer, inner)


@pytest.mark.parametrize("name", TWINS)
def test_labels_are_those_of_the_formula(name):
    shape, shapes, placement = TWINS[name]
    found = drawn(shape, shapes, placement, 4)
    close, voxels = 0, 0
    for b in range(4):
        shown = np.zeros(len(found.placed[b]), bool)
        for z in range(shape[0]):
            expected = np.zeros(shape[1:], int)
            unsure = np.zeros(shape[1:], bool)
            for n in structures(found, b):
                section = found.sections[b, n, z]
                if section[MaskSection.REACH] <= 0:
                    continue
                outside = share_inside(section, shape)
                unsure |= np.abs(outside) < 1e-3
                own = (outside <= 0) & (expected == 0)
                if own.sum() >= shapes.least_voxels:
                    expected[own] = n + 1
                    shown[n] = True
            label = found.label[b, 0, z]
            if not unsure.any():
                np.testing.assert_array_equal(label, expected)
            close += (unsure & (label != expected)).sum()
            voxels += label.size
            assert np.isin(label[label != expected], np.arange(len(shown) + 1)).all()
        np.testing.assert_array_equal(found.placed[b, :, Placed.ACCEPTED], shown)
    assert close < 1e-3 * voxels


@pytest.mark.parametrize("name", TWINS)
def test_no_slice_shows_less_of_a_structure_than_is_asked_for(name):
    shape, shapes, placement = TWINS[name]
    for label in drawn(shape, shapes, placement, 6).label.reshape(-1, *shape[1:]):
        counts = np.bincount(label.ravel())[1:]
        assert counts[counts > 0].min(initial=shapes.least_voxels) >= shapes.least_voxels


def test_the_earlier_structure_keeps_its_voxels():
    """Leaving out what comes later changes nothing of what comes earlier."""
    all_of_them = Masks(structures=(6, 6), least_voxels=1)
    some = Masks(structures=(6, 6), least_voxels=1, objects=6)
    near = Neighbours(probability=1)
    whole, part = drawn(SHAPE, all_of_them, near, 5), drawn(SHAPE, some, near, 5)
    kept = np.where(whole.label <= 6, whole.label, 0)
    free = whole.label > 6
    np.testing.assert_array_equal(part.label[~free], kept[~free])
    assert not part.label[free].any()
    assert free.any()


@pytest.mark.parametrize("stretch", [1.0, 4.0])
def test_areas_follow_the_law(stretch):
    shapes = Masks(
        objects=1, structures=(1, 1), radius=(0.1, 0.12), elongated=1.0,
        elongation=(stretch, stretch), lumen=0.0, evolution=None,
    )  # fmt: skip
    found = drawn((1, 301, 301), shapes, Neighbours(probability=0, margin=0.5), 40)
    sections = found.sections[:, 0, 0].astype(np.float64)
    waves = sections[:, MaskSection.WAVE :]
    law = np.pi * sections[:, MaskSection.RADIUS] ** 2 * (1 + (waves**2).sum(1) / 2)
    voxels = (found.label > 0).sum((1, 2, 3, 4))
    assert np.abs(voxels / law - 1).max() < 0.03
    assert abs((voxels / law).mean() - 1) < 0.003


def test_a_lumen_is_the_contour_made_smaller():
    shapes = Masks(
        objects=2, structures=(1, 1), radius=(0.2, 0.2), elongated=0, lumen_size=(0.5, 0.5),
        evolution=None,
    )  # fmt: skip
    nested = Neighbours(probability=1, satellites=(1, 1), nested=1, gap=(0, 0), margin=0.5)
    found = drawn((1, 301, 301), shapes, nested, 20)
    ring, core = ((found.label == value).sum((1, 2, 3, 4)) for value in (1, 2))
    # A quarter of the contour's area; some cores are rings themselves.
    filled = found.forms[:, 1, MaskForm.LUMEN] == 0
    assert np.abs(core / (ring + core) - 0.25)[filled].max() < 0.01
    assert np.abs(core / ring - 0.75 / 3)[~filled].max(initial=0) < 0.02


@pytest.mark.parametrize("gap", [-3.0, 0.0, 2.5])
def test_satellites_keep_their_gap_in_every_slice(gap):
    shapes = Masks(structures=(3, 3))
    found = drawn(SHAPE, shapes, Neighbours(probability=1, nested=0, gap=(gap, gap)), 8)
    seen = 0
    for b in range(8):
        forms = found.forms[b]
        for n in structures(found, b):
            if forms[n, MaskForm.MEMBER] == 0:
                parent = n
                continue
            dy, dx = forms[n, [MaskForm.Y, MaskForm.X]].astype(np.float64)
            for z in range(SHAPE[0]):
                own, other = found.sections[b, n, z], found.sections[b, parent, z]
                away = own[[MaskSection.Y, MaskSection.X]] - other[[MaskSection.Y, MaskSection.X]]
                reach = 0.0
                for section, sign in ((other, 1), (own, -1)):
                    length, factor = radius_in(section, sign * dy, sign * dx)
                    reach += section[MaskSection.RADIUS] * factor / length
                assert away @ (dy, dx) - reach == pytest.approx(gap, abs=1e-3)
                assert away @ (-dx, dy) == pytest.approx(0, abs=1e-3)
                seen += 1
    assert seen > 500


def test_nested_satellites_lie_in_the_lumen():
    near = Neighbours(probability=1, nested=1, gap=(1.0, 1.0))
    found = drawn(SHAPE, Masks(structures=(3, 3), lumen=0.0), near, 8)
    for b in range(8):
        forms = found.forms[b, structures(found, b)]
        first = forms[:, MaskForm.MEMBER] == 1
        np.testing.assert_array_equal(forms[:, MaskForm.NESTED] == 1, first)
        np.testing.assert_array_equal(forms[:, MaskForm.LUMEN] > 0, forms[:, MaskForm.MEMBER] == 0)
        for n in np.flatnonzero(first):
            own, other = found.sections[b, n], found.sections[b, n - 1]
            lumen = np.maximum(other[:, MaskSection.LUMEN] - 1, 0)
            np.testing.assert_array_equal(own[:, MaskSection.RADIUS], lumen)
            for column in range(MaskSection.Y, MaskSection.SIZE):
                np.testing.assert_array_equal(own[:, column], other[:, column])


def test_nested_satellites_end_with_their_structure():
    near = Neighbours(probability=1, nested=1, gap=(-6.0, -6.0))
    found = drawn(SHAPE, Masks(structures=(3, 3)), near, 8)
    limited = 0
    for b in range(8):
        for n in structures(found, b)[found.forms[b, structures(found, b), MaskForm.NESTED] == 1]:
            own, other = found.sections[b, n], found.sections[b, n - 1]
            most = other[:, MaskSection.RADIUS]
            wanted = np.minimum(other[:, MaskSection.LUMEN] + 6, most)
            np.testing.assert_array_equal(own[:, MaskSection.RADIUS], wanted)
            np.testing.assert_array_equal(own[most == 0, MaskSection.REACH], 0)
            limited += (most == 0).sum()
    assert limited > 20


evolutions = st.builds(
    Evolution,
    widest=st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
    grow=st.tuples(st.floats(0, 0.5), st.floats(0.5, 3)),
    shrink=st.tuples(st.floats(0, 0.5), st.floats(0.5, 3)),
    born=st.floats(0, 1),
    birth=st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)),
    birth_radius=st.floats(0.5, 5),
    wander=st.floats(0, 2),
    drift=st.floats(0, 0.5),
)


@settings(max_examples=40, deadline=None)
@given(evolution=evolutions, first=st.integers(0, 2**64 - 3), least_radius=st.floats(0.05, 1))
def test_sections_change_within_bounds(evolution, first, least_radius):
    shapes = Masks(structures=(2, 6), evolution=evolution, least_radius=least_radius)
    found = drawn(SHAPE, shapes, Neighbours(), 2, first)
    steepest = max(evolution.grow[1], evolution.shrink[1])
    for b in range(2):
        forms = found.forms[b]
        for n in structures(found, b):
            sections = found.sections[b, n].astype(np.float64)
            assert (sections[:, MaskSection.RADIUS] <= forms[n, MaskForm.RADIUS] + 1e-4).all() or (
                forms[n, MaskForm.NESTED]
            )
            waves = sections[:, MaskSection.WAVE :]
            sizes = np.hypot(waves[:, ::2], waves[:, 1::2])
            assert (sizes.sum(1) <= 1 - least_radius + 1e-5).all()
            angles = np.unwrap(np.arctan2(waves[:, 1::2], waves[:, ::2]), axis=0)
            turned = np.abs(np.diff(angles, axis=0))[:, sizes[0] > 1e-3]
            assert turned.max(initial=0) <= 3**0.5 * evolution.drift + 1e-3
            if forms[n, MaskForm.NESTED]:
                continue
            radii = sections[:, MaskSection.RADIUS]
            assert np.abs(np.diff(radii)).max() <= steepest + 1e-4
            if forms[n, MaskForm.MEMBER] == 0:
                centres = sections[:, [MaskSection.Y, MaskSection.X]]
                moved = np.abs(np.diff(centres, axis=0)).max()
                assert moved <= 3**0.5 * evolution.wander + 1e-3
            birth = forms[n, MaskForm.BIRTH]
            if birth >= 0:
                bound = evolution.birth_radius + evolution.grow[1] * (np.arange(SHAPE[0]) - birth)
                assert (radii <= np.maximum(bound, 0) + 1e-3).all()
            widest = int(forms[n, MaskForm.WIDEST])
            if birth < 0:
                assert (
                    np.argmax(radii) in (widest, widest + 1)
                    or np.ptp(radii) < 1e-3
                    or (evolution.shrink[0] == 0 or evolution.grow[0] == 0)
                )


def test_walks_are_as_wide_as_asked_for():
    """The mean of 8 uniform steps has the root of 1/8 of a step's standard deviation."""
    evolution = Evolution(wander=0.5, drift=0.05)
    shapes = Masks(structures=(8, 8), objects=8, evolution=evolution)
    found = drawn((64, 40, 40), shapes, ALONE, 12)
    moved = np.diff(found.sections[..., [MaskSection.Y, MaskSection.X]].astype(float), axis=2)
    assert moved.std() == pytest.approx(0.5 / 8**0.5, rel=0.05)
    waves = found.sections[..., MaskSection.WAVE :].astype(float)
    angles = np.unwrap(np.arctan2(waves[..., 1::2], waves[..., ::2]), axis=2)
    assert np.diff(angles, axis=2).std() == pytest.approx(0.05 / 8**0.5, rel=0.05)


def test_parameters_have_their_distributions():
    side, depth = 200, 16
    shapes = Masks(structures=(8, 8), objects=40, least_radius=0.05, lumen=0.3)
    placement = Neighbours(nested=0)
    found = drawn((depth, side, side), shapes, placement, 120)
    there = found.placed[..., Placed.PROPOSALS] > 0
    forms = found.forms[there].astype(np.float64)
    first = forms[:, MaskForm.MEMBER] == 0
    own, near = forms[first], forms[~first]

    def agrees(values, law):
        assert stats.kstest(values, law).pvalue > 1e-4

    def uniform(low, high):
        return stats.uniform(low, high - low).cdf

    agrees(np.log(own[:, MaskForm.RADIUS] / side), uniform(np.log(0.04), np.log(0.25)))
    agrees(own[:, MaskForm.Y], uniform(0.1 * side - 0.5, 0.9 * side - 0.5))
    agrees(own[:, MaskForm.X], uniform(0.1 * side - 0.5, 0.9 * side - 0.5))
    agrees(forms[:, MaskForm.GROW], uniform(0, 1.5))
    agrees(forms[:, MaskForm.SHRINK], uniform(0, 1.5))
    agrees(own[:, MaskForm.WIDEST], uniform(0.3 * (depth - 1), 0.8 * (depth - 1)))
    born = forms[:, MaskForm.BIRTH] >= 0
    agrees(forms[born, MaskForm.BIRTH], uniform(0, 0.5 * (depth - 1)))
    agrees(near[:, MaskForm.GAP], uniform(-2, 4))
    agrees(np.arctan2(near[:, MaskForm.Y], near[:, MaskForm.X]), uniform(-np.pi, np.pi))
    hollow = forms[:, MaskForm.LUMEN] > 0
    agrees(forms[hollow, MaskForm.LUMEN], uniform(0.4, 0.7))
    free = np.abs(forms[:, MaskForm.AMPLITUDE : MaskForm.AMPLITUDE + 6]).sum(1) < 0.94
    for i, k in enumerate(WAVES):
        agrees(forms[:, MaskForm.PHASE + i], uniform(0, 1))
        if k > 3:  # the cut of the sum bends the tails of the largest ones
            agrees(forms[free, MaskForm.AMPLITUDE + i], stats.norm(0, 0.35 / k).cdf)
    stretch = np.hypot(forms[:, MaskForm.V_X], forms[:, MaskForm.V_Y]) ** 2
    long = stretch > 1.1
    agrees(stretch[long], uniform(1.5, 4))

    def share(flags, expected):
        assert stats.binomtest(int(flags.sum()), len(flags), expected).pvalue > 1e-4

    share(long, 0.25)
    share(hollow, 0.3)
    share(born, 0.5)
    members = [
        np.bincount(forms_of[:, MaskForm.FAMILY].astype(int), minlength=8) - 1
        for forms_of in (found.forms[b][there[b]] for b in range(120))
    ]
    counts = np.bincount(np.concatenate(members), minlength=4)
    assert stats.chisquare(counts, counts.sum() * np.array([0.4, 0.2, 0.2, 0.2])).pvalue > 1e-3


def test_how_many_structures_there_are():
    found = drawn(
        (1, 16, 16), Masks(structures=(2, 5), least_voxels=1, radius=(0.3, 0.5)), ALONE, 400
    )
    counts = np.bincount((found.placed[..., Placed.PROPOSALS] > 0).sum(1), minlength=6)
    assert counts[:2].sum() == counts[6:].sum() == 0
    assert stats.chisquare(counts[2:6]).pvalue > 1e-3


def test_structures_beyond_the_most_are_left_out():
    shapes = Masks(objects=5, structures=(5, 5))
    found = drawn(SHAPE, shapes, Neighbours(probability=1, satellites=(2, 2)), 3)
    np.testing.assert_array_equal(
        found.forms[:, :, MaskForm.FAMILY], np.tile([0, 0, 0, 1, 1], (3, 1))
    )
    assert found.label.max() <= 5


def test_places_are_of_the_widest_slice():
    found = drawn(SHAPE, Masks(), Neighbours(), 6)
    for b in range(6):
        for n in structures(found, b):
            row = found.placed[b, n]
            z = row[Placed.Z]
            assert z == min(int(found.forms[b, n, MaskForm.WIDEST]), SHAPE[0] - 1)
            section = found.sections[b, n, z]
            assert row[Placed.Y] == np.floor(section[MaskSection.Y])
            assert row[Placed.X] == np.floor(section[MaskSection.X])
            assert (row[Placed.ACCEPTED] == 1) == (found.label[b] == n + 1).any()


@needs_compiler
@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("order", [0, 3])
def test_cuda_gives_the_same_bits(name, order):
    shape, shapes, placement = TWINS[name]
    dtype = "uint16" if name == "many" else "uint8"
    check_twins(plan_of(shape, shapes, placement, dtype), [0, 9, 2**63 + 1], order=order)


@needs_compiler
def test_cuda_stays_within_its_arrays():
    shape, shapes, placement = TWINS["strict"]
    check_twins(plan_of((5, *shape[1:]), shapes, placement), [2**40, 4], sanitize=True)


def check_twins(plan, indices, **options):
    cpu, cuda = by_cpu(*plan, indices), by_cuda(*plan, indices, **options)
    np.testing.assert_array_equal(cuda["label"], cpu["label"])
    np.testing.assert_array_equal(cuda["placed"], cpu["placed"])
    there = cpu["placed"][..., Placed.PROPOSALS] > 0
    for name in ("forms", "sections"):
        np.testing.assert_array_equal(cuda[name][there], cpu[name][there])
        assert cuda[name][there].view(np.int32).tobytes() == cpu[name][there].tobytes()
    reach = cpu["sections"][..., MaskSection.REACH]
    np.testing.assert_array_equal(cuda["sections"][..., MaskSection.REACH], reach)
    assert cpu["label"].any()

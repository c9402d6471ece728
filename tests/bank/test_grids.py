"""Solids as grids of distances: exact in their own voxels, right in any orientation."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from synthgen.bank.grids import MARGIN, filled, quantised, structure_grid
from synthgen.bank.lattice import face_distances, spread_points
from synthgen.bank.subject import Grid, Mask
from synthgen.meshes import Mesh

CENTRE, RADIUS = np.array([3.0, 4.0, 5.0]), 20.0  # x y z, mm
TURNED = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.5]])
AXES = {
    "straight": np.diag([1.0, 1.0, 2.0]),
    "flipped": np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]),
    "oblique": TURNED,
    "sheared": np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]]),
    "fine": np.diag([0.5, 0.5, 0.125]),
}


def ball(axes: NDArray[np.float64]) -> Mask:
    """A ball in voxels along ``axes`` (columns), cut to its box."""
    inverse = np.linalg.inv(axes)
    half = np.ceil(RADIUS * np.sqrt((inverse**2).sum(1))).astype(int) + 1
    places = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), -1)
    inside = ((places @ axes.T) ** 2).sum(-1) < RADIUS**2
    low = np.argwhere(inside).min(0)
    high = np.argwhere(inside).max(0) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = CENTRE + axes @ (low - half)
    return Mask(inside[tuple(map(slice, low, high))], affine)


def to_ball(grid: Grid, spacing: float) -> NDArray[np.float64]:
    """The true distances at a grid's points."""
    lines = [
        (np.arange(n) + first) * spacing
        for n, first in zip(grid.distance.shape, grid.first, strict=True)
    ]
    z, y, x = np.meshgrid(*lines, indexing="ij")
    return np.asarray(np.sqrt(sum((p - c) ** 2 for p, c in zip((x, y, z), CENTRE))) - RADIUS)  # noqa: B905


def test_distances_are_those_to_the_nearest_face() -> None:
    solid = np.random.default_rng(0).random((9, 11, 7)) > 0.6
    sides = np.array([1.0, 2.0, 0.7])
    places = np.argwhere(np.ones(solid.shape, bool))
    flat = solid.ravel()
    expected = np.empty(solid.size)
    for n, place in enumerate(places):
        away = np.maximum(np.abs(places[flat != flat[n]] - place) - 0.5, 0) * sides
        expected[n] = np.sqrt((away**2).sum(1).min()) * (-1 if flat[n] else 1)
    found = face_distances(solid, sides, 50.0)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-6)


def test_distances_are_cut_to_the_limit() -> None:
    solid = np.zeros((3, 4, 30), bool)
    solid[1, 2, 3] = True
    found = face_distances(solid, np.ones(3), 5.0)
    assert found.max() == 5.0
    assert found[1, 2, 4] == 0.5
    assert (face_distances(np.zeros((3, 4, 5), bool), np.ones(3), 5.0) == 5.0).all()


@pytest.mark.parametrize("kind", AXES)
def test_a_ball_in_any_orientation(kind: str) -> None:
    grid = structure_grid(ball(AXES[kind]), 1.5)
    true = to_ball(grid, 1.5)
    near = np.abs(true) < 10
    # Voxels of up to 2 mm have no finer surface, and their corners stand out.
    assert abs((grid.distance - true)[near].mean()) < 0.4
    assert np.abs(grid.distance - true)[near].max() < 1.5
    volume = (grid.distance < 0).sum() * 1.5**3
    assert volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)


@pytest.mark.parametrize("spacing", [1.0, 1.5, 4.0])
def test_margin(spacing: float) -> None:
    grid = structure_grid(ball(AXES["oblique"]), spacing)
    inside = np.argwhere(grid.distance < 0)
    assert (inside.min(0) >= MARGIN).all()
    assert (inside.max(0) < np.array(grid.distance.shape) - MARGIN).all()


def test_voxels_on_the_lattice_keep_their_distances() -> None:
    solid = np.random.default_rng(1).random((5, 6, 7)) > 0.4
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-4.0, 6.0, 10.0]
    grid = structure_grid(Mask(solid, affine), 2.0)
    expected = face_distances(np.pad(solid, 20), np.full(3, 2.0), 64.0).transpose(2, 1, 0)
    for first, start, n in zip(grid.first, (5, 3, -2), grid.distance.shape, strict=True):
        cut = slice(first - start + 20, first - start + 20 + n)
        expected = np.moveaxis(expected[cut], 0, -1)
    np.testing.assert_array_equal(grid.distance, expected)


def box_mesh(low: float, high: float) -> Mesh:
    corners = np.array([[x, y, z] for x in (low, high) for y in (low, high) for z in (low, high)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [f for a, b, c, d in quads for f in ((a, b, c), (a, c, d))]
    return Mesh(corners, np.array(faces))


def test_a_mesh_has_exact_distances() -> None:
    grid = structure_grid(box_mesh(-10.0, 10.0), 1.5)
    lines = [
        (np.arange(n) + first) * 1.5
        for n, first in zip(grid.distance.shape, grid.first, strict=True)
    ]
    past = np.abs(np.stack(np.meshgrid(*lines, indexing="ij"), -1)) - 10.0
    outside = np.sqrt((np.maximum(past, 0) ** 2).sum(-1))
    true = np.where((past < 0).all(-1), past.max(-1), outside)
    np.testing.assert_allclose(grid.distance, true, atol=1e-4)


def test_two_halves_fill_a_ball() -> None:
    whole = ball(np.eye(3))
    lower = whole.voxels.copy()
    lower[:, :, lower.shape[2] // 2 :] = False
    parts = [
        structure_grid(Mask(half, whole.affine), 1.5) for half in (lower, whole.voxels & ~lower)
    ]
    joined, expected = filled(parts[0], parts[1:], 1.5), structure_grid(whole, 1.5)
    window = tuple(
        slice(a - b, a - b + n)
        for a, b, n in zip(expected.first, joined.first, expected.distance.shape, strict=True)
    )
    found = joined.distance[window]
    near = np.abs(expected.distance) < 12  # beyond the margin they are not known
    assert np.abs(found - expected.distance)[near].max() < 1.5 * 1.5  # a step and a half
    shell = np.abs(expected.distance) < 1
    assert np.abs(found - expected.distance)[shell].mean() < 0.15
    assert (found[expected.distance < -4.5] < -1.5).all()  # no surface where they meet


def test_quantised() -> None:
    grid = Grid(np.array([[[-100.0, -0.05, 0.0, 0.75, 100.0]]], np.float32), (0, 0, 0))
    assert quantised(grid, 1.5).tolist() == [[[-512, -1, 0, 8, 512]]]


@pytest.mark.parametrize("solid", [Mask(np.zeros((3, 3, 3), bool), np.eye(4))])
def test_nothing_inside_is_refused(solid: Mask) -> None:
    with pytest.raises(ValueError, match="voxels: must not all be outside"):
        structure_grid(solid, 1.5)


def test_a_grid_of_gigabytes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"spacing: grids must have at most .* got 0\.05 mm"):
        structure_grid(box_mesh(-500.0, 500.0), 0.05)
    with pytest.raises(ValueError, match="spacing: grids must have at most"):
        structure_grid(Mask(np.ones((2, 2, 2), bool), np.diag([1e5, 1e5, 1e5, 1.0])), 1.5)


def test_points_spread() -> None:
    line = np.array([[0, 0, n] for n in range(11)])
    chosen = spread_points(line, np.array([0, 0, 4]), 4)
    assert chosen.tolist()[:3] == [10, 0, 5]
    assert spread_points(line[:1], np.zeros(3, np.int64), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["straight", "oblique"])
def test_a_mask_of_too_many_voxels_is_made_coarser(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    mask = ball(AXES[name] / 4)
    monkeypatch.setattr("synthgen.bank.grids._VOXELS_MAX", 300_000)
    sizes = []

    def counted(solid: NDArray[np.bool_], *more: Any) -> NDArray[np.float32]:
        sizes.append(solid.size)
        return face_distances(solid, *more)

    monkeypatch.setattr("synthgen.bank.lattice.face_distances", counted)
    grid = structure_grid(mask, 2.0)
    assert mask.voxels.size > sizes[0]
    assert 150_000 < sizes[0] <= 300_000
    true = to_ball(grid, 2.0)
    near = np.abs(true) < 4.0
    assert np.abs(grid.distance - true)[near].mean() < 0.5

"""Source positions of tiles: against float64, and CUDA's source against its twin, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import BSpline

from synthgen.kernels.anatomy_records import CONTROLS, TILE, Pose
from synthgen.kernels.pose_lattice import pose_lattice
from tests.host_cuda import HostKernel, needs_compiler
from tests.kernels.posed_banks import Posed, batch, laid, posed

ORDERS = [0, 1, 2, 3]


def offsets(scene: Posed, n: int) -> np.ndarray:
    """(3, corners) voxels from the centre voxel."""
    box = scene.poses[n, Pose.BOX : Pose.BOX + 3]
    sized = list(zip(box, scene.box(n), strict=True))
    corners = [first + TILE * np.arange(side // TILE + 1) for first, side in sized]
    return np.stack(np.meshgrid(*corners, indexing="ij"))


def affine(scene: Posed, n: int) -> np.ndarray:
    """Source positions without displacement, exact, 2^-16."""
    pose = scene.poses[n].astype(np.int64)
    matrix = pose[Pose.MATRIX : Pose.MATRIX + 9].reshape(3, 3)
    centre = pose[Pose.CENTRE : Pose.CENTRE + 3]
    return 16 * centre[:, None, None, None] + np.einsum("ab,bzyx->azyx", matrix, offsets(scene, n))


def spline(side: int) -> np.ndarray:
    """(corners, CONTROLS) weights of a uniform cubic B-spline."""
    knots, at = np.arange(-3, CONTROLS + 1), np.linspace(0, CONTROLS - 3, side // TILE + 1)
    return BSpline(knots, np.eye(CONTROLS), 3)(at)


@pytest.mark.parametrize("seed", range(8))
def test_positions_are_those_of_the_spline(seed):
    scene = posed(seed)
    lattice = laid(scene)
    for n in scene.placed():
        weights = [spline(side) for side in scene.box(n)]
        moved = np.einsum("zi,yj,xk,aijk->azyx", *weights, scene.controls[n].astype(float))
        off = np.abs(scene.corners(n, lattice) - affine(scene, n) / 16 - moved)
        # Weights are right to 1/8192 along each axis, as is each rounding.
        assert off.max() < 3 * (1 + np.abs(scene.controls[n]).max() * 4 / 8192)


def test_positions_without_displacement_are_exact():
    scene = posed(5)
    scene = replace(scene, controls=np.zeros_like(scene.controls))
    lattice = laid(scene)
    for n in scene.placed():
        assert np.array_equal(scene.corners(n, lattice), affine(scene, n) >> 4)


def test_equal_control_points_move_everything_alike():
    """So the weights add up to 1 at every corner."""
    scene = posed(6)
    scene = replace(scene, controls=np.full_like(scene.controls, -4321))
    lattice = laid(scene)
    for n in scene.placed():
        assert np.array_equal(scene.corners(n, lattice), (affine(scene, n) >> 4) - 4321)


def test_no_object_at_all():
    scene = posed(7)
    scene.poses[:, Pose.FATE] = 0
    assert (laid(scene) == laid(scene)[0]).all()


# ---------------------------------------------------------------------------------------- CUDA


def check_on_host(scenes: list[Posed], blocks: int = 3, threads: int = 64, **options) -> None:
    first = scenes[0]
    size = max(scene.lattice_size for scene in scenes)
    found = np.full((len(scenes), size), 77, np.int32)
    expected = found.copy()
    for scene, row in zip(scenes, expected, strict=True):
        pose_lattice(scene.poses, scene.controls, first.lattice_offsets, row)
    sanitize = options.pop("sanitize", False)
    HostKernel("pose_lattice", sanitize=sanitize)(
        (blocks, len(first.poses), len(scenes)), threads,
        [
            batch(scenes, "poses"), batch(scenes, "controls"), first.lattice_offsets, found,
            np.int32(len(first.poses)), np.int64(size),
        ],
        **options,
    )  # fmt: skip
    for b, scene in enumerate(scenes):
        for n in scene.placed():
            corners = (replace(scene, lattice_offsets=first.lattice_offsets).corners(n, values[b])
                       for values in (found, expected))  # fmt: skip
            np.testing.assert_array_equal(*corners)


def two_volumes(seed: int, **options) -> list[Posed]:
    """Boxes of the first, so that the second's lie within its blocks."""
    first, second = posed(seed, **options), posed(seed + 100, **options)
    box = slice(Pose.BOX, Pose.WIDTH + 1)
    second.poses[:, box] = first.poses[:, box]
    return [first, second]


@needs_compiler
@pytest.mark.parametrize("order", ORDERS)
def test_twins(order):
    check_on_host(two_volumes(order), order_seed=order)


@needs_compiler
def test_it_stays_within_its_arrays():
    check_on_host(two_volumes(9, tiles=3), sanitize=True)

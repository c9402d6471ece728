"""Scenes of signed distance functions: drawing, labels and onions of the CPU's kernels."""

import numpy as np
import pytest

from synthgen.kernels.draw_sdf import draw_sdf
from tests.kernels.sdf_scenes import (
    NO_GRIDS,
    NO_TEXTURE,
    Drawn,
    Scene,
    displacement_tables,
    distances,
    image_of,
    inside,
    mapper_rows,
    scene_of,
)

SHAPES = [(17, 33, 19), (40, 48, 56), (33, 16, 16)]
TOLERANCE = 1e-3  # voxel


def draw(scene: Scene, bounds: np.ndarray | None = None) -> Drawn:
    out = Drawn.for_scene(scene)
    rows, tables = displacement_tables(scene.shape)
    draw_sdf(
        scene.objects, scene.parts, scene.everything if bounds is None else bounds, rows, tables,
        mapper_rows(), NO_TEXTURE, 0, NO_GRIDS, out.image.reshape(-1), out.masks, out.counts,
        out.evaluations, scene.shape,
    )  # fmt: skip
    return out


def check_scene(scene: Scene) -> None:
    """Against float64: masks equal but near a surface, images but where a level jumps."""
    out = draw(scene)
    found = [distances(scene, n) for n in range(len(scene.solids))]
    near = np.zeros(scene.shape, bool)
    for n, s in enumerate(found):
        unequal = inside(out.masks, n) != (s <= 0)
        assert (np.abs(s[unequal]) < TOLERANCE).all(), scene.solids[n]
        assert out.counts[n] == inside(out.masks, n).sum()
        near |= unequal
    right = image_of(scene, found).astype(np.uint8)
    off = np.abs(out.image.astype(int) - right)[~near]
    assert (off <= 1).mean() > 0.999
    assert (off == 0).mean() > 0.99


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("objects", [20, 70])
def test_scenes(shape, objects):
    for seed in range(3):
        check_scene(scene_of(seed, shape, objects))

"""The montage: its size, the right voxels in the right places, the colours of the legend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from synthgen.drawing import PALETTE
from synthgen.preview import ROWS_MAX, Volume, Volumes, draw, from_recipe, from_store
from synthgen.recipe import load_recipe
from synthgen.store import build
from tests.store.conftest import build_small
from tests.tasks import KINDS, recipe_of

NAMES = ["background", *(f"class {value}" for value in range(1, 301))]
BLACK, WHITE, PAPER = (0, 0, 0), (255, 255, 255), (255, 255, 255)


def blank(shape: tuple[int, int, int], image: Any = np.uint8, label: Any = np.uint8) -> Volume:
    return Volume(np.zeros(shape, image), np.zeros(shape, label), 0)


def montage(*volumes: Volume, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Any:
    return np.asarray(draw(Volumes("title", spacing, NAMES, volumes)))


def tiles(page: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
    """The tiles of a page with one volume of black borders, from left to right."""
    black = (page == 0).all(-1)
    columns = np.flatnonzero(black.sum(0) >= 16)
    parts = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    found = []
    for part in parts:
        rows = np.flatnonzero(black[:, part].all(1))
        found.append(page[rows[0] : rows[-1] + 1, part[0] : part[-1] + 1])
    return found


def voxel(tile: npt.NDArray[np.uint8], shape: tuple[int, int], row: int, column: int) -> Any:
    """The colour in the middle of a voxel of a tile."""
    height, width = tile.shape[0] / shape[0], tile.shape[1] / shape[1]
    return tuple(tile[int((row + 0.5) * height), int((column + 0.5) * width)].tolist())


def colour(value: int) -> tuple[int, ...]:
    return tuple(PALETTE[(value - 1) % len(PALETTE)].tolist())


@pytest.mark.parametrize("image_type", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("label_type", [np.uint8, np.uint16])
def test_planes_show_the_right_voxels(image_type: Any, label_type: Any) -> None:
    """One voxel near the inferior, posterior and right end: low on the page, and at its right."""
    depth, height, width = shape = (20, 24, 28)
    z, y, x = 1, 5, 26
    volume = blank(shape, image_type, label_type)
    volume.image[z, y, x] = 128
    volume.label[z, y, x] = 7
    page = tiles(montage(volume))
    assert len(page) == 6
    places = [  # plane's shape, row from the top, column from the left
        ((height, width), height - 1 - y, x),
        ((depth, width), depth - 1 - z, x),
        ((depth, height), depth - 1 - z, y),
    ]
    for (grey, overlay), (size, row, column) in zip(
        zip(page[::2], page[1::2], strict=True), places, strict=True
    ):
        assert voxel(grey, size, row, column) == WHITE
        assert voxel(grey, size, size[0] - 1 - row, column) == BLACK
        assert voxel(grey, size, row, size[1] - 1 - column) == BLACK
        assert (grey > 0).any(-1).sum() == (grey.shape[0] // size[0]) ** 2, "one voxel, enlarged"
        around = overlay.reshape(-1, 3)
        assert {tuple(c) for c in around.tolist()} >= {BLACK, colour(7)}
        assert voxel(overlay, size, row, column) != BLACK
        assert voxel(overlay, size, size[0] - 1 - row, column) == BLACK


def test_slice_with_most_labels_else_the_middle() -> None:
    volume = blank((20, 20, 20))
    volume.image[10], volume.image[3] = 50, 200
    volume.image[:, 0] = volume.image[:, -1] = volume.image[:, :, 0] = volume.image[:, :, -1] = 0
    assert voxel(tiles(montage(volume))[0], (20, 20), 9, 9) != BLACK, (
        "the middle, as none has labels"
    )
    volume.label[3, 4:9, 4:9] = 1
    volume.label[10, 4:8, 4:8] = 1
    axial = tiles(montage(volume))[0]
    coronal = tiles(montage(volume))[2]
    assert voxel(axial, (20, 20), 4, 15) == WHITE, "slice 3, the brighter one"
    assert voxel(coronal, (20, 20), 19 - 3, 15) == WHITE


@pytest.mark.parametrize(
    ("shape", "spacing", "sides"),
    [
        ((64, 64, 64), (1.0, 1.0, 1.0), (256, 256, 256)),
        ((96, 96, 96), (1.5, 1.5, 1.5), (288, 288, 288)),
        ((32, 64, 48), (1.0, 1.0, 1.0), (128, 256, 192)),
        ((32, 64, 64), (2.5, 1.0, 1.0), (320, 256, 256)),
        ((64, 64, 64), (0.8, 1.0, 0.8), (256, 320, 256)),
        ((16, 300, 512), (1.0, 1.0, 1.0), (16, 300, 512)),
        ((64, 64, 64), (1000.0, 1.0, 1.0), (2048, 2, 2)),
    ],
)
def test_drawn_in_proportion(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], sides: tuple[int, int, int]
) -> None:
    from synthgen.preview import _Layout

    layout = _Layout.of(Volumes("title", spacing, NAMES, [blank(shape)]))
    depth, height, width = sides
    assert layout.sizes == [(height, width), (depth, width), (depth, height)]


def test_a_row_for_each_volume() -> None:
    one, three = montage(blank((64,) * 3)), montage(*[blank((64,) * 3)] * 3)
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] - one.shape[0] == 2 * (256 + 20)


@pytest.mark.parametrize("shape", [(1, 20, 28), (1, 16, 16), (1, 300, 64)])
def test_a_single_slice_is_the_only_plane(shape: tuple[int, int, int]) -> None:
    _, height, width = shape
    volume = blank(shape)
    volume.image[0, 5, width - 2] = 128
    volume.label[0, 5, width - 2] = 7
    for spacing in ((1.0, 1.0, 1.0), (0.001, 1.0, 1.0), (1000.0, 1.0, 1.0)):
        page = montage(volume, spacing=spacing)
        grey, overlay = tiles(page)
        side = -(-256 // max(height, width))
        assert grey.shape == overlay.shape == (height * side, width * side, 3)
        assert voxel(grey, (height, width), height - 1 - 5, width - 2) == WHITE
        assert voxel(overlay, (height, width), height - 1 - 5, width - 2) != BLACK
    plain = montage(Volume(volume.image, None, 0, ["a class"]))
    assert len(tiles(plain)) == 1


def test_each_channel_is_a_row_of_its_own(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", 1, channels=3)
    content = from_store(tmp_path / "a.zarr", [2, 1])
    assert content.title == "mine, 16x18x20, seed 8"
    assert [(volume.index, volume.channel) for volume in content.volumes] == [
        (index, channel) for index in (2, 1) for channel in range(3)
    ]
    for volume in content.volumes:
        assert volume.channel is not None
        assert (volume.image == volume.index + 10 * volume.channel).all()
        assert (volume.label == volume.index).all()
    heights = [draw(from_store(tmp_path / "a.zarr", chosen)).size[1] for chosen in ([1], [1, 2])]
    make_store(tmp_path / "b.zarr", 1)
    alone = draw(from_store(tmp_path / "b.zarr", [1, 2, 3, 0])).size[1]
    row = (alone - draw(from_store(tmp_path / "b.zarr", [1])).size[1]) // 3
    assert heights[1] - heights[0] == 3 * row


def test_legend_shows_the_classes_that_occur() -> None:
    volume = blank((64, 64, 64), label=np.uint16)
    volume.label[20:40, 20:40, 20:40] = 3
    volume.label[25:35, 25:35, 25:35] = 8
    page = montage(volume)
    legend = {tuple(c) for c in page[-60:].reshape(-1, 3).tolist()}
    for value in range(1, 33):
        assert (colour(value) in legend) == (value in (3, 8)), value


def test_legend_is_capped() -> None:
    volume = blank((64, 64, 64), label=np.uint16)
    volume.label[32].flat[:300] = np.arange(1, 301)
    capped = montage(volume).shape[0]
    volume.label[32].flat[100:300] = 0
    assert montage(volume).shape[0] == capped


def test_no_labels_no_legend() -> None:
    assert montage(blank((16, 16, 16))).shape[0] < 256 + 78 + 3 * 28


def test_flat_and_non_finite_images_are_drawn() -> None:
    volume = blank((16, 16, 16), np.float16)
    volume.image[:] = 3
    montage(volume)
    volume.image[:, 4] = np.nan
    volume.image[:, 5] = np.inf
    montage(volume)


def test_a_weak_line_is_seen() -> None:
    """Fewer bright voxels than the percentiles cut away."""
    volume = blank((64, 64, 64))
    volume.image[32, 32, 32] = 1
    assert voxel(tiles(montage(volume))[0], (64, 64), 31, 32) == WHITE


def test_colours_differ() -> None:
    assert len({tuple(c) for c in PALETTE.tolist()}) == len(PALETTE) == 32
    assert PALETTE.max(1).min() > 80, "none is lost on black"
    assert PALETTE.min(1).max() < 245, "none is lost on paper"


def make_store(path: Path, tasks: int, channels: int = 1) -> None:
    """Volumes n = 0 .. 3 whose voxels are n in the image, and 10 more in each further channel."""
    group = zarr.open_group(path, mode="w")
    shape = (4, 16, 18, 20)
    image = np.arange(4, dtype=np.float16)[:, None, None, None, None] * np.ones((1, 1, *shape[1:]))
    image = image + 10 * np.arange(channels)[:, None, None, None]
    label = np.broadcast_to(np.arange(4, dtype=np.uint16)[:, None, None, None], shape)
    group.create_array("image", data=image.astype(np.float16))
    wide = np.stack([label, label * 0], axis=1)
    group.create_array("label", data=wide if tasks > 1 else label.copy())
    group.attrs.update(class_names=NAMES[:5], spacing=[3.0, 1.0, 1.0], seed=8)
    group.attrs["recipe"] = {"name": "mine"}


@pytest.mark.parametrize("tasks", [1, 2])
def test_a_store_is_read_with_plain_zarr(tmp_path: Path, tasks: int) -> None:
    make_store(tmp_path / "a.zarr", tasks)
    content = from_store(tmp_path / "a.zarr", [3, 1])
    assert content.title == "mine, 16x18x20, seed 8"
    assert list(content.spacing) == [3.0, 1.0, 1.0]
    assert [volume.index for volume in content.volumes] == [3, 1]
    for volume in content.volumes:
        assert volume.image.shape == volume.label.shape == (16, 18, 20)
        assert (volume.image == volume.index).all()
        assert (volume.label == volume.index).all()
    draw(content)
    assert [volume.index for volume in from_store(tmp_path / "a.zarr").volumes] == [0, 1, 2]


def test_a_store_has_only_so_many(tmp_path: Path) -> None:
    make_store(tmp_path / "a.zarr", 1)
    with pytest.raises(ValueError, match=r"^index: the store has volumes 0\.\.3, got 4$"):
        from_store(tmp_path / "a.zarr", [4])
    with pytest.raises(ValueError, match=rf"has 1\.\.{ROWS_MAX} volumes, got 0$"):
        from_store(tmp_path / "a.zarr", [])


def test_something_else_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a store of labelled volumes"):
        from_store(tmp_path)
    zarr.open_group(tmp_path / "b.zarr", mode="w")
    with pytest.raises(ValueError, match="not a store of labelled volumes"):
        from_store(tmp_path / "b.zarr")


def lose(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "harm", "problem"),
    [
        ("label/c.1.0.0.0", lose, "shard 1: {path} is missing"),
        ("image/c.1.0.0.0.0", flip, "shard 1: {path} has other bytes than were committed"),
        ("image/zarr.json", lose, "metadata: {path} is missing"),
        ("image/zarr.json", flip, "metadata: {path} differs from what was created"),
    ],
)
def test_a_damaged_store_is_not_drawn(
    tmp_path: Path, name: str, harm: Callable[[Path], None], problem: str
) -> None:
    recipe = load_recipe("avs-db").at_shape((16, 16, 16))
    build_small(recipe, tmp_path)
    from_store(tmp_path, [3])
    harm(tmp_path / name)
    with pytest.raises(ValueError, match="synthgen repair") as error:
        from_store(tmp_path, [3])
    said = problem.format(path=tmp_path / name)
    assert str(error.value) == f"{said}; mend it with: synthgen repair {tmp_path}"
    if not name.endswith("json"):
        assert len(from_store(tmp_path, [0]).volumes) == 1, "in another shard"


def test_what_is_not_built_yet_is_not_drawn(tmp_path: Path) -> None:
    build_small(load_recipe("avs-db").at_shape((16, 16, 16)), tmp_path, part=(1, 3))
    from_store(tmp_path, [0])
    with pytest.raises(ValueError, match=r"shard 2: .*c\.2\.0\.0\.0\.0 is absent; make it with"):
        from_store(tmp_path, [6])


@pytest.fixture(scope="module", params=KINDS)
def tasks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Kind, recipe and store of labels that are not one label map."""
    recipe = recipe_of(request.param)
    out = tmp_path_factory.mktemp("tasks") / "store"
    build(recipe, out, count=2, seed=3, device="cpu")
    return request.param, recipe, out


def test_a_task_is_drawn_or_all_classes_written(tasks: Any) -> None:
    kind, recipe, store = tasks
    group: Any = zarr.open_group(store, mode="r")
    for content in (from_recipe(recipe, [1], seed=3), from_store(store, [1])):
        (volume,) = content.volumes
        np.testing.assert_array_equal(volume.image, group["image"][1, 0])
        assert content.class_names == recipe.class_names
        if kind == "maps":
            assert content.title.endswith("seed 3, shape")
            np.testing.assert_array_equal(volume.label, group["label"][1, 0])
            assert volume.classes == ()
        else:
            assert content.title.endswith("seed 3")
            assert volume.label is None
            values = np.asarray(group["label"][1]).reshape(-1)
            assert volume.classes == [
                task.class_names[value] for task, value in zip(recipe.tasks, values, strict=True)
            ]
        draw(content)


def test_a_task_is_chosen(tasks: Any) -> None:
    kind, recipe, store = tasks
    group: Any = zarr.open_group(store, mode="r")
    name = recipe.tasks[-1].name
    for content in (
        from_recipe(recipe, [0, 1], seed=3, task=name), from_store(store, [0, 1], task=name),
    ):  # fmt: skip
        assert content.title.endswith(f"seed 3{', mapper' if kind != 'class' else ''}")
        assert content.class_names == recipe.tasks[-1].class_names
        for volume in content.volumes:
            if kind == "maps":
                np.testing.assert_array_equal(volume.label, group["label"][volume.index, 2])
            else:
                assert len(volume.classes) == 1
                assert volume.classes[0] in recipe.tasks[-1].class_names
    for read in (lambda: from_recipe(recipe, task="x"), lambda: from_store(store, task="x")):
        with pytest.raises(ValueError, match=r"^task: must be one of shape.*, got 'x'$"):
            read()


def test_classes_are_written_where_nothing_is_coloured() -> None:
    volume = blank((32, 32, 32))
    volume.image[20, 5, 9] = 128
    plain = montage(Volume(volume.image, None, 0))
    written = montage(Volume(volume.image, None, 0, ["a torus", "a wave"]))
    assert len(tiles(plain)) == 3, "no second picture of each plane"
    assert written.shape[1] > plain.shape[1], "the names take room"
    axial = tiles(plain)[0]
    assert voxel(axial, (32, 32), 31 - 5, 9) == WHITE, "the bright slice"
    assert {tuple(c) for c in plain.reshape(-1, 3).tolist()}.isdisjoint(map(colour, range(1, 33)))


def test_the_command_line_takes_a_task(tasks: Any, tmp_path: Path) -> None:
    from synthgen.cli import app

    _, recipe, store = tasks
    out, name = tmp_path / "a.png", recipe.tasks[-1].name
    with pytest.raises(SystemExit) as stopped:
        app(["preview", str(store), "-o", str(out), "-i", "0", "--task", name])
    assert stopped.value.code in (0, None)
    assert out.read_bytes().startswith(b"\x89PNG")

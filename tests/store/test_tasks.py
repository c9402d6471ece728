"""Stores of several label maps, and of classes of whole volumes."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.sync import sync

import synthgen
from synthgen.engine import generate
from synthgen.recipe import Recipe, load_recipe
from synthgen.store import CODECS, StoreError, build, info, merge, repair, verify
from synthgen.store.documents import DOCUMENTS
from synthgen.store.generated import GeneratedStore
from synthgen.store.reading import reader
from synthgen.store.reference import write_reference
from synthgen.store.tasks import place_of, tasks_of
from tests.store.conftest import (
    COUNT,
    SHARD_SIZE,
    assert_same_voxels,
    created_otherwise,
    decoded,
    record,
)
from tests.tasks import KINDS, SHAPE, recipe_of

SEED = 5
NAMES = ["shape", "displacement", "mapper"]
AXES = {
    "maps": ("volume", "task", "z", "y", "x"),
    "class": ("volume",),
    "classes": ("volume", "task"),
}
FORMS = {"maps": (3, *SHAPE), "class": (), "classes": (3,)}


def built(recipe: Recipe, out: Path, **changes: Any) -> Path:
    settings: dict[str, Any] = {"count": COUNT, "seed": SEED, "shard_size": SHARD_SIZE, **changes}
    build(recipe, out, device="cpu", **settings)
    return out


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def recipe(kind: str) -> Recipe:
    return recipe_of(kind)


@pytest.fixture(scope="module")
def store(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted build; not to be changed."""
    return built(recipe, tmp_path_factory.mktemp("tasks") / "store")


def label_files(path: Path) -> list[Path]:
    return sorted((path / "label").glob("c.*"))


def test_zarr_alone_reads_the_labels(kind: str, recipe: Recipe, store: Path) -> None:
    (batch,) = generate(recipe, indices=range(COUNT), seed=SEED, device="cpu", batch_size=COUNT)
    found = decoded(store)
    np.testing.assert_array_equal(found["image"], batch.image)
    np.testing.assert_array_equal(found["label"], batch.label.reshape(COUNT, *FORMS[kind]))
    assert batch.label.any()
    group: Any = zarr.open_group(store, mode="r")
    assert group["label"].metadata.dimension_names == AXES[kind]
    assert group["label"].chunks == (1, *FORMS[kind]), "a chunk is of one volume"


def test_attributes_list_the_tasks(kind: str, recipe: Recipe, store: Path) -> None:
    group: Any = zarr.open_group(store, mode="r")
    expected = [task._asdict() for task in recipe.tasks]
    assert [task["name"] for task in expected] == (NAMES[:1] if kind == "class" else NAMES)
    for attributes in (dict(group.attrs), dict(group["label"].attrs)):
        assert attributes["tasks"] == expected
        assert attributes["class_names"] == expected[0]["class_names"]
        assert tasks_of(attributes) == recipe.tasks
    assert info(store)["tasks"] == {task.name: len(task.class_names) for task in recipe.tasks}


def test_one_label_map_names_no_tasks(tmp_path: Path) -> None:
    recipe = load_recipe("avs-db").at_shape((16, 16, 16))
    group: Any = zarr.open_group(built(recipe, tmp_path / "store", count=1), mode="r")
    assert "tasks" not in {**group.attrs, **group["label"].attrs, **info(tmp_path / "store")}
    assert tasks_of(group.attrs) == recipe.tasks


def test_tasks_are_found_by_name(recipe: Recipe) -> None:
    assert [place_of(recipe.tasks, task.name) for task in recipe.tasks] == list(
        range(len(recipe.tasks))
    )
    with pytest.raises(ValueError, match=r"^task: must be one of shape.*, got 'colour'$"):
        place_of(recipe.tasks, "colour")


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_every_label(
    recipe: Recipe, store: Path, tmp_path: Path, codec: str
) -> None:
    assert_same_voxels(built(recipe, tmp_path / "store", codec=codec), store)
    assert not verify(tmp_path / "store", deep=True).wanting


def test_volumes_are_read_without_zarr(kind: str, store: Path) -> None:
    labels = decoded(store)["label"]
    volumes = reader(zarr.open_group(store, mode="r"))
    for index in range(COUNT):
        label = volumes.volume("label", index)
        assert label.shape == FORMS[kind]
        np.testing.assert_array_equal(label, labels[index])


def test_a_group_that_zarr_alone_opens(kind: str, store: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(store, bare, ignore=shutil.ignore_patterns(".synthgen"))
    label = reader(zarr.open_group(bare, mode="r")).volume("label", 3)
    assert label.shape == FORMS[kind]
    np.testing.assert_array_equal(label, decoded(store)["label"][3])


def test_a_store_without_files_is_as_the_built_one(
    kind: str, recipe: Recipe, tmp_path: Path
) -> None:
    path = built(recipe, tmp_path / "store", shard_size=1, codec="none")
    write_reference(tmp_path / "set.yaml", recipe, seed=SEED, count=COUNT)
    ours: Any = synthgen.open(tmp_path / "set.yaml", device="cpu")
    theirs: Any = synthgen.open(path)
    assert dict(ours.attrs) == dict(theirs.attrs)
    label = theirs["label"]
    assert (ours["label"].shape, ours["label"].chunks) == (label.shape, label.chunks)
    assert ours["label"].metadata.dimension_names == label.metadata.dimension_names
    np.testing.assert_array_equal(ours["label"][...], label[...])
    np.testing.assert_array_equal(ours["image"][2:4], theirs["image"][2:4])
    volume = reader(ours).volume("label", 4)
    assert volume.shape == FORMS[kind]
    np.testing.assert_array_equal(volume, label[4])
    assert not volume.flags.writeable


def test_keys_of_a_store_without_files(kind: str, recipe: Recipe) -> None:
    group: Any = synthgen.open(recipe, count=2, device="cpu")
    assert isinstance(group.store, GeneratedStore)
    key = "label/c.1" + ".0" * len(FORMS[kind])
    assert sync(group.store.exists(key))
    assert sync(group.store.getsize(key)) == group["label"][1].nbytes
    assert not sync(group.store.exists(key + ".0"))


def test_parts_resume_and_join(recipe: Recipe, store: Path, tmp_path: Path) -> None:
    for i in (1, 2, 3):
        built(recipe, tmp_path / str(i), part=(i, 3))
    built(recipe, tmp_path / "1", part=(2, 3))
    merged = merge([tmp_path / "1", tmp_path / "3"], tmp_path / "all")
    assert (merged.absent, merged.damages) == ([], [])
    for path in (tmp_path / "all", built(recipe, tmp_path / "2")):
        assert_same_voxels(path, store)
        assert [file.read_bytes() for file in label_files(path)] == [
            file.read_bytes() for file in label_files(store)
        ]


@pytest.mark.parametrize("lost", [True, False])
def test_damaged_labels_are_seen_and_made_again(store: Path, tmp_path: Path, lost: bool) -> None:
    path = Path(shutil.copytree(store, tmp_path / "copied"))
    file = label_files(path)[1]
    if lost:
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[3] ^= 1
        file.write_bytes(data)
        with pytest.raises(StoreError, match="does not decode"):
            reader(zarr.open_group(path, mode="r")).volume("label", SHARD_SIZE)
    assert [damage.path for damage in verify(path).damages] == [file]
    assert repair(path, device="cpu").volumes == SHARD_SIZE
    assert not verify(path, deep=True).damages
    assert_same_voxels(path, store)


@pytest.mark.parametrize("shape", [[COUNT + 1], [COUNT, 3, 16, 33, 19], [COUNT, 3, 3]])
def test_labels_of_another_form_are_one_line(store: Path, tmp_path: Path, shape: Any) -> None:
    path = Path(shutil.copytree(store, tmp_path / "copied"))
    documents = {name: (path / name).read_bytes() for name in DOCUMENTS}
    label = json.loads(documents["label/zarr.json"]) | {"shape": shape}
    record(
        documents | {"label/zarr.json": json.dumps(label).encode()},
        path,
        zarr=documents["zarr.json"].decode(),
    )
    with pytest.raises(StoreError, match=r"label/zarr\.json: shape: must be of 7 volumes of"):
        info(path)


@pytest.mark.parametrize("tasks", [3, [{}], [{"name": "shape"}]])
def test_odd_tasks_are_one_line(store: Path, tmp_path: Path, tasks: Any) -> None:
    path = Path(shutil.copytree(store, tmp_path / "copied"))
    created_otherwise(path, tasks=tasks)
    with pytest.raises(StoreError, match=r"zarr\.json: tasks") as error:
        info(path)
    assert "\n" not in str(error.value)

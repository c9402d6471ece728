"""A store whose volumes are made when they are read is as the built one."""

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import synthgen
from synthgen.engine import Generator
from synthgen.recipe import Recipe, RecipeError, load_recipe
from synthgen.store import StoreError, build
from synthgen.store.generated import GeneratedStore
from synthgen.store.recent import Recent
from synthgen.store.reference import write_reference

COUNT, SEED = 5, 2**63 + 1
CHUNK = "image/c.1.0.0.0.0"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("avs-db").at_shape((17, 33, 19))


@pytest.fixture(scope="module")
def path(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built store; not to be changed."""
    out = tmp_path_factory.mktemp("built") / "store"
    build(recipe, out, count=COUNT, seed=SEED, shard_size=1, codec="none", device="cpu")
    return out


@pytest.fixture(scope="module")
def built(path: Path) -> Any:
    return synthgen.open(path)


@pytest.fixture
def group(recipe: Recipe) -> Any:
    return opened(recipe)


def opened(recipe: Recipe | str) -> Any:
    return synthgen.open(recipe, seed=SEED, count=COUNT, device="cpu")


def count_made(group: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    generator, made = group.store.generator, []
    batch = generator.batch

    def counted(indices: list[int]) -> Any:
        made.extend(indices)
        return batch(indices)

    monkeypatch.setattr(generator, "batch", counted)
    return made


def value(store: GeneratedStore, key: str, part: Any = None) -> bytes:
    buffer = sync(store.get(key, default_buffer_prototype(), part))
    assert buffer is not None
    return buffer.to_bytes()


def test_arrays_attributes_and_voxels_are_those_of_the_built_store(group: Any, built: Any) -> None:
    assert dict(group.attrs) == dict(built.attrs)
    assert dict(group.members()).keys() == {"image", "label"}
    for name in ("image", "label"):
        ours, theirs = group[name], built[name]
        assert (ours.shape, ours.dtype, ours.chunks) == (theirs.shape, theirs.dtype, theirs.chunks)
        assert ours.metadata.dimension_names == theirs.metadata.dimension_names
        assert dict(ours.attrs) == dict(theirs.attrs)
        np.testing.assert_array_equal(ours[...], theirs[...])
    assert group["label"][...].any()


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_types(recipe: Recipe, dtype: str) -> None:
    group = opened(recipe.replace(image_dtype=dtype))
    expected = Generator(recipe.replace(image_dtype=dtype), seed=SEED, device="cpu").batch([2])
    assert group["image"].dtype == dtype
    np.testing.assert_array_equal(group["image"][2], expected.image[0])


@pytest.mark.parametrize(
    "chosen",
    [4, -1, slice(1, 4), slice(0, 5, 2), (slice(None), ..., 3), (2, ..., slice(4, 9))],
)
def test_any_slice(group: Any, built: Any, chosen: Any) -> None:
    for name in ("image", "label"):
        np.testing.assert_array_equal(group[name][chosen], built[name][chosen])


def test_image_and_label_are_made_once(group: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = count_made(group, monkeypatch)
    image = group["image"][1:4]
    image[:] = 7  # what was read is the reader's own
    assert not (group["image"][1:4] == 7).all()
    group["label"][1:4]
    assert sorted(made) == [1, 2, 3]


def test_threads_read_alike(group: Any, built: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = count_made(group, monkeypatch)
    wanted = [(name, index) for index in range(COUNT) for name in ("image", "label")] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda want: group[want[0]][want[1]], wanted))
    for (name, index), volume in zip(wanted, found, strict=True):
        np.testing.assert_array_equal(volume, built[name][index])
    assert sorted(made) == list(range(COUNT))


def test_pickles(group: Any) -> None:
    group["image"][0]
    again = pickle.loads(pickle.dumps(group))
    assert again.store == group.store
    np.testing.assert_array_equal(again["label"][3], group["label"][3])
    assert len(pickle.dumps(group.store)) < 10_000


def test_forked_workers_read(tmp_path: Path, recipe: Recipe, built: Any) -> None:
    write_reference(tmp_path / "set.yaml", recipe, seed=SEED, count=COUNT)
    script = (
        "import multiprocessing, sys, synthgen\n"
        "group = synthgen.open(sys.argv[1], device='cpu')\n"
        "group['image'][0:2]\n"
        "def total(index): return int(group['label'][index].sum())\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(pool.map(total, range(5)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "set.yaml")],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert run.stdout.strip() == str([int(built["label"][index].sum()) for index in range(COUNT)])


def test_dask_reads(group: Any, built: Any) -> None:
    array = pytest.importorskip("dask.array").from_zarr(group["image"])
    np.testing.assert_array_equal(array.compute(), built["image"][...])


def test_plain_zarr_opens_it(recipe: Recipe, built: Any) -> None:
    store = GeneratedStore(Generator(recipe, seed=SEED, device="cpu"), COUNT, 1)
    group: Any = zarr.open_group(store=store, mode="r")
    np.testing.assert_array_equal(group["image"][3], built["image"][3])
    array: Any = zarr.open_array(store=store, path="label", mode="r")
    np.testing.assert_array_equal(array[3], built["label"][3])


def test_keys(group: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made, store = count_made(group, monkeypatch), group.store
    keys = sorted(sync(_listed(store.list())))
    assert len(keys) == len(set(keys)) == 3 + 2 * COUNT
    assert all(sync(store.exists(key)) for key in keys)
    assert sync(_listed(store.list_prefix("image/c.1"))) == [CHUNK]
    assert sync(_listed(store.list_dir("image/"))) == [
        key.removeprefix("image/") for key in sync(_listed(store.list_prefix("image/")))
    ]
    assert sync(_listed(store.list_dir("other"))) == []
    assert sync(store.getsize(CHUNK)) == 17 * 33 * 19
    assert sync(store.getsize("zarr.json")) == len(value(store, "zarr.json"))
    assert made == []


async def _listed(keys: Any) -> list[str]:
    return [key async for key in keys]


@pytest.mark.parametrize(
    "key",
    ["image", "image/c.5.0.0.0.0", "image/c.01.0.0.0.0", "image/c.1.0.0.0", "image/c.1.0.0.0.1",
     "label/c.-1.0.0.0", "label/c.", "other/c.1.0.0.0", ".zgroup", "label/c.x.0.0.0"],
)  # fmt: skip
def test_no_such_key(group: Any, key: str) -> None:
    assert not sync(group.store.exists(key))
    assert sync(group.store.get(key, default_buffer_prototype())) is None
    with pytest.raises(FileNotFoundError):
        sync(group.store.getsize(key))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (RangeByteRequest(3, 9), slice(3, 9)),
        (OffsetByteRequest(5), slice(5, None)),
        (SuffixByteRequest(4), slice(-4, None)),
        (SuffixByteRequest(10**6), slice(None)),
    ],
)
def test_parts_of_values(group: Any, part: Any, expected: slice) -> None:
    store, prototype = group.store, default_buffer_prototype()
    assert value(store, CHUNK, part) == value(store, CHUNK)[expected]
    (found, absent) = sync(store.get_partial_values(prototype, [(CHUNK, part), ("no", None)]))
    assert found.to_bytes() == value(store, CHUNK)[expected]
    assert absent is None


def test_is_read_only(group: Any, recipe: Recipe) -> None:
    def write() -> None:
        group["image"][0] = 1

    def attribute() -> None:
        group.attrs["x"] = 1

    for change in (write, attribute, lambda: group.create_group("x"), lambda: group.clear()):
        with pytest.raises((ValueError, AttributeError)):
            change()
    for mode in ("r+", "a", "w"):
        with pytest.raises(ValueError, match="read-only"):
            zarr.open_group(store=group.store, mode=mode)
    with pytest.raises(ValueError, match="read-only"):
        sync(group.store.delete(CHUNK))


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({}, "count: must be a whole number of volumes, at least 1, got None"),
        ({"count": 1.5}, "count: must be a whole number of volumes, at least 1, got 1.5"),
        ({"count": True}, "count: must be a whole number"),
        ({"count": 0}, "count: must be at least 1 volume, got 0"),
        ({"count": 1, "seed": -1}, "seed: must be a whole number, 0 .. 2^64 - 1, got -1"),
        ({"count": 1, "seed": "x"}, "seed: must be a whole number, 0 .. 2^64 - 1, got 'x'"),
        ({"count": 1, "device": "tpu"}, "device: must be auto, cpu or cuda, got 'tpu'"),
    ],
)
def test_bad_arguments_of_a_recipe(arguments: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match="^" + rule.replace("^", r"\^")):
        synthgen.open("avs-db", **arguments)


def test_bad_arguments_of_a_store(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^seed: must be left out, .* has its own, got 0"):
        synthgen.open(path, seed=0)
    with pytest.raises(StoreError, match=r"^count: must be left out, .* has its own, got 5"):
        synthgen.open(str(path), count=5)
    with pytest.raises(StoreError, match=r"^source: must be a store's folder.*, got 'avs'"):
        synthgen.open("avs", count=5)
    with pytest.raises(StoreError, match="not made by synthgen"):
        synthgen.open(tmp_path)
    with pytest.raises(StoreError, match="No such file"):
        synthgen.open(tmp_path / "none.yaml", count=5)


@pytest.mark.parametrize("lost", [False, True])
def test_an_incomplete_store_is_refused(recipe: Recipe, tmp_path: Path, lost: bool) -> None:
    part = (1, 1) if lost else (1, 2)
    build(recipe, tmp_path, count=2, shard_size=1, part=part, device="cpu")
    if lost:
        (tmp_path / "label" / "c.1.0.0.0").unlink()
    with pytest.raises(StoreError, match="shard 1 is absent; make it with: synthgen repair"):
        synthgen.open(tmp_path)


def test_a_recipe_file(recipe: Recipe, built: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe.to_yaml())
    np.testing.assert_array_equal(
        opened(str(tmp_path / "mine.yaml"))["image"][1], built["image"][1]
    )
    (tmp_path / "bad.yaml").write_text("name: 3")
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        opened(str(tmp_path / "bad.yaml"))


def test_a_reference_is_a_data_set(recipe: Recipe, group: Any, tmp_path: Path) -> None:
    write_reference(tmp_path / "set.yaml", recipe, seed=SEED, count=COUNT)
    assert synthgen.open(tmp_path / "set.yaml", device="cpu").store == group.store
    with pytest.raises(StoreError, match=r"^count: must be left out"):
        synthgen.open(tmp_path / "set.yaml", count=COUNT)
    write_reference(tmp_path / "halves.yaml", recipe, seed=SEED, count=COUNT, validation=0.4)
    halves = synthgen.open(tmp_path / "halves.yaml", device="cpu")
    assert halves.attrs["splits"] == {"training": [0, 3], "validation": [3, 5]}
    assert pickle.loads(pickle.dumps(halves.store)) == halves.store != group.store
    write_reference(tmp_path / "named.yml", "avs-db", count=5000)
    assert (tmp_path / "named.yml").stat().st_size < 200
    assert synthgen.open(tmp_path / "named.yml", device="cpu")["image"].shape[0] == 5000
    with pytest.raises(StoreError, match=r"^path: must end in \.yaml or \.yml, got"):
        write_reference(tmp_path / "set", recipe, count=1)


def test_a_reference_may_leave_the_split_out(group: Any, recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "set.yaml"
    write_reference(file, recipe, seed=SEED, count=COUNT, validation=0.4)
    values = yaml.safe_load(file.read_text())
    assert values.pop("validation") == 2
    file.write_text(yaml.safe_dump(values))
    assert synthgen.open(file, device="cpu").store == group.store


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"recipe_digest": "0" * 64}, "recipe_digest: this version of synthgen reads the recipe"),
        ({"recipe": "mine"}, "recipe: must be built in or a mapping, got 'mine'"),
        ({"recipe": {"name": 3}}, "recipe: "),
        ({"count": 0}, "count: must be at least 1"),
        ({"seed": "x"}, "seed: must be a whole number, got 'x'"),
        ({"validation": 2}, "validation: must lie in 0 <= volumes < 2, got 2"),
        ({"validation": 0.5}, "validation: must be a whole number, got 0.5"),
        ({"other": 1}, "needs the keys recipe, recipe_digest, seed, count, got "),
    ],
)
def test_a_bad_reference_is_one_line(tmp_path: Path, changes: dict[str, Any], rule: str) -> None:
    file = tmp_path / "set.yaml"
    write_reference(file, "avs-db", count=2)
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))
    with pytest.raises(StoreError) as error:
        synthgen.open(file)
    assert rule in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "rule"),
    [("seed: 3\n", "not YAML: line 3: 'seed' is there twice"),
     ("day: 2001-99-99\n", "not YAML: month must be in 1..12")],
)  # fmt: skip
def test_a_reference_that_is_no_yaml_is_one_line(tmp_path: Path, more: str, rule: str) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(f"recipe: avs-db\nseed: 2\n{more}count: 4\n")
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        synthgen.open(file)
    assert f"{file}: {rule}" in str(error.value)


def test_recent_is_bounded_and_forgets_failures() -> None:
    made: list[int] = []

    def make(index: int) -> int:
        made.append(index)
        if len(made) == 1:
            raise MemoryError
        return index

    recent = Recent(make, 2)
    with pytest.raises(MemoryError):
        recent.get(0)
    assert [recent.get(index) for index in (0, 1, 0, 2, 0, 1)] == [0, 1, 0, 2, 0, 1]
    assert made == [0, 0, 1, 2, 1]


def test_recent_makes_once_for_all_threads() -> None:
    made: list[int] = []
    barrier = Barrier(4)
    recent = Recent(lambda index: made.append(index) or index, 1)

    def ask(_: int) -> int:
        barrier.wait()
        return recent.get(3)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [3] * 4
    assert made == [3]

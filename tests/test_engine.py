"""Volumes against the reference, and what must not change them."""

import multiprocessing
import os
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

import synthgen
from synthgen.backend import in_parts
from synthgen.backend.base import batch_high, workspace_bytes
from synthgen.backend.calls import calls_of
from synthgen.backend.cpu import CpuBackend
from synthgen.engine import Batch, Generator, plan_of
from synthgen.kernels.records import Placed
from synthgen.recipe import builtin_names, load_recipe
from tests.backends import (
    HostCudaBackend,
    backend_of,
    generic_environment,
    plain_numpy_environment,
)
from tests.digests import digest
from tests.host_cuda import needs_compiler
from tests.pair_folders import plan_with
from tests.reference import Reference

TURNS = ("stay", "upside_down", "side_1", "side_2", "side_3", "side_4")
SMALL = (17, 33, 19)

# SHA-256 over volumes 0, 1, 2 of seed 7 at 96^3. They changed only if the format did.
PINNED = {
    "anatomy-patches": "0fb9e8a609eb51bdae54dc0cf3f06565d4712a34f8966160159c2f61415978eb",
    "avs-db": "6bab3c9172e06258d66f7240f2e38d91ec227c759aae9e79a4190f53a7464c3d",
    "avs-db-16": "9ac09d6653063e09536f685161edd9551527e90efcdf1801569f32ed18fa2ce1",
    "avs-db-4": "c06f971603b76f619cfa724d07d7ed2441c925d4fa24e5c4be2892001abc6cb2",
    "avs-db-legacy": "62607cc9fb7d4c799502cd15d325a0594c58fed72824c3359bf3d887f614a5a9",
    "avs-db-no-overlap": "7590ebf190cef429d6d16fc7cef18db94c803aaa4afe0cd53cd274c9e1acbbf4",
    "boundary-safe": "ed307cbefd2fff603cb63d445d01c9e2c20ac5291052c162b1ca0db6ee4474cc",
    "fake-it-right": "95dd0f81504c65641caa41ce78358bf772272c3f7a2803351d3b4488c86d62d8",
    "fdif": "f8dd57140e349bd8567e22481acd00f62b92f49f4dff3c5126815b2413082fb9",
    "fdif-classification": "02cccda8576e797f886d27efd4aab98dc244787cc2b8af9e12cc95096441ab55",
    "fdif-mesh": "c91aa3890943a354a316000b6a37479fce83fe5bfc434cacf7b4269e8590ed31",
    "fdif-multitask": "21131ce952c7c921d33aa509843d0dcf2e42ff74c17cb0620b7123d954f6a44e",
    "fdif-paper": "db68454d3b47c03921e1461c14e0c68e7dc5af5bfe2e69db12d677a0657520cb",
    "mixture": "69faed7167e5de907cfcb63e9d0e79e47bf150038b7456d503e8da801db3bf49",
    "sap": "17a5ab7db138dc96015c16d239df3cc169a46cdf1107111ba0e1b079136b332f",
    "synthfm": "8a0442222f3a9be77ac6a7f8e74a299b0c871d332e4ddf90715e945ac4bf4f6c",
    "synthfm-3d": "0730e7d1d063e4b0d077dbeb0b73a6b51316f4341835b70319b03e8a6c2cb9be",
    "synthseg": "77e11f23659b2a0f482bf035360ff28327438ec1eef534f39b776e0ed0c2e765",
    "v-pcf": "fcb35fa275ce602b8dafbcdb1a759ccbd5c7e6a39066411b0e0ab34dad103819",
}


def variant(name="avs-db", shape=SMALL, **changes):
    return load_recipe(name).at_shape(shape).replace(**changes)


VARIANTS = {
    "avs-db": variant(),
    "legacy": variant("avs-db-legacy"),
    "no overlap": variant("avs-db-no-overlap"),
    "16 classes": variant("avs-db-16"),
    "4 classes": variant("avs-db-4"),
    "130x64x97": variant(shape=(130, 64, 97)),
    "turned": variant(shapes__orientations=TURNS, shapes__depth=(3, 14)),
    "noise": variant(appearance__noise=(300, 400), image_dtype="float16"),
    "noise float32": variant(appearance__noise=(125, 200), image_dtype="float32"),
    "280 classes": variant(shapes__sections=tuple(range(3, 73)), label_dtype="uint16"),
    "thick lines": variant(appearance__line_width=9.0, appearance__value=255),
    "hairlines": variant(appearance__line_width=0.0, appearance__value=1),
    "one object": variant(shapes__objects=1),
    "many objects": variant(shapes__objects=255, placement__tries=3),
    "one try": variant(placement__tries=1, placement__ratio=0.123456),
}
each_variant = pytest.mark.parametrize("recipe", VARIANTS.values(), ids=VARIANTS)


def cpu(recipe, seed=7, threads=None):
    generator = Generator(recipe, seed=seed, device="cpu")
    generator._backend = backend_of(plan_of(recipe), lambda plan: CpuBackend(plan, threads))
    return generator


def assert_equal(actual, expected):
    np.testing.assert_array_equal(actual.label, expected.label)
    np.testing.assert_array_equal(actual.image, expected.image)
    np.testing.assert_array_equal(actual.placed, expected.placed)


@each_variant
def test_volume_equals_the_reference(recipe):
    for index in (0, 2**63 + 5):
        batch = cpu(recipe, seed=2**64 - 1).batch([index])
        expected = Reference(recipe, 2**64 - 1, index)
        np.testing.assert_array_equal(batch.label[0, 0], expected.label)
        np.testing.assert_array_equal(batch.image[0, 0], expected.image)
        columns = [Placed.OBJECT, Placed.Z, Placed.Y, Placed.X, Placed.ACCEPTED, Placed.PROPOSALS]
        np.testing.assert_array_equal(batch.placed[0][:, columns], expected.placed)


@needs_compiler
@each_variant
@pytest.mark.parametrize("order", [0, 1, 2])
def test_cuda_source_equals_the_cpu_kernels(recipe, order):
    host = cpu(recipe)
    host._backend = HostCudaBackend(plan_of(recipe), order=order)
    assert_equal(host.batch(range(3)), cpu(recipe).batch(range(3)))


@needs_compiler
@pytest.mark.parametrize("name", ["avs-db", "turned", "noise", "280 classes", "thick lines"])
def test_cuda_source_keeps_within_its_arrays(name):
    recipe = VARIANTS[name]
    host = cpu(recipe)
    host._backend = HostCudaBackend(plan_of(recipe), sanitize=True, order=2)
    assert_equal(host.batch(range(2)), cpu(recipe).batch(range(2)))


@pytest.mark.gpu
@each_variant
def test_cuda_equals_the_cpu_kernels(recipe):
    cuda = Generator(recipe, seed=7, device="cuda")
    assert_equal(cuda.numpy(cuda.batch(range(40))), cpu(recipe).batch(range(40)))


@pytest.mark.parametrize("name", builtin_names())
def test_digest_is_pinned(name):
    assert digest(cpu(load_recipe(name)), range(3)) == PINNED[name]


@pytest.mark.gpu
@pytest.mark.parametrize("name", builtin_names())
def test_digest_on_cuda_is_pinned(name):
    assert digest(Generator(load_recipe(name), seed=7, device="cuda"), range(3)) == PINNED[name]


@pytest.mark.parametrize("name", builtin_names())
@pytest.mark.parametrize("environment", [generic_environment, plain_numpy_environment])
def test_processor_changes_no_voxel(name, environment):
    shape = map(str, load_recipe(name).reference_shape)
    command = [sys.executable, "-m", "tests.digests", name, "7", "3", *shape]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert run.stdout.strip() == PINNED[name]


@pytest.mark.parametrize(("threads", "batch_size"), [(1, 1), (2, 7), (3, 5), (8, 16)])
def test_threads_and_batches_change_no_voxel(threads, batch_size):
    recipe = VARIANTS["avs-db"]
    assert digest(cpu(recipe, threads=threads), range(24), batch_size) == digest(
        cpu(recipe, threads=1), range(24), 24
    )


def test_indices_are_independent_of_their_order():
    generator = cpu(VARIANTS["noise"])
    shuffled, ordered = generator.batch([9, 2, 2**64 - 1, 2]), generator.batch([2, 9, 2**64 - 1])
    np.testing.assert_array_equal(shuffled.image[[1, 0, 2]], ordered.image)
    np.testing.assert_array_equal(shuffled.image[3], ordered.image[0])


def test_seeds_and_indices_give_different_volumes():
    recipe = VARIANTS["avs-db"]
    batches = [cpu(recipe, seed=seed).batch(range(8)) for seed in (0, 1, 2**32)]
    volumes = {image.tobytes() for batch in batches for image in batch.image}
    assert len(volumes) == 24


def test_largest_shape():
    recipe = load_recipe("avs-db").at_shape((512, 48, 500), scale=True)
    batch = cpu(recipe).batch([3])
    expected = Reference(recipe, 7, 3)
    np.testing.assert_array_equal(batch.label[0, 0], expected.label)
    np.testing.assert_array_equal(batch.image[0, 0], expected.image)


def test_smaller_objects_overwrite_larger_ones_and_ratios_hold():
    recipe = load_recipe("avs-db").at_shape((40, 56, 48))
    batch = cpu(recipe).batch(range(4))
    for b in range(4):
        reference = Reference(recipe, 7, b)
        voxels = [reference.things[n].voxels for n in batch.placed[b, :, Placed.OBJECT]]
        assert voxels == sorted(voxels, reverse=True)
    none = cpu(load_recipe("avs-db-no-overlap").at_shape((40, 56, 48))).batch(range(4))
    for b in range(4):
        reference = Reference(load_recipe("avs-db-no-overlap").at_shape((40, 56, 48)), 7, b)
        accepted = none.placed[b][none.placed[b, :, Placed.ACCEPTED] == 1]
        placed = sum(reference.things[n].voxels for n in accepted[:, Placed.OBJECT])
        assert placed == (none.label[b] > 0).sum()


def test_generate_yields_batches_in_order():
    batches = list(synthgen.generate(VARIANTS["avs-db"], indices=range(3, 10), batch_size=3))
    assert [batch.index.tolist() for batch in batches] == [[3, 4, 5], [6, 7, 8], [9]]
    assert batches[0].image.shape == (3, 1, *SMALL)
    assert batches[0].label.shape == (3, 1, *SMALL)
    one = synthgen.generate_one(VARIANTS["avs-db"], 0, 9)
    np.testing.assert_array_equal(one.image[0], batches[2].image[0])


def test_caller_may_own_the_buffers():
    generator = cpu(VARIANTS["avs-db"])
    image, label = np.zeros((2, 1, *SMALL), np.uint8), np.zeros((2, 1, *SMALL), np.uint8)
    index, placed = np.array([4, 5], np.uint64), np.zeros((2, 20, Placed.SIZE), np.int32)
    generator.fill(Batch(image, label, index, placed))
    assert_equal(Batch(image, label, index, placed), generator.batch([4, 5]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((2, 1, *SMALL), np.float32)}, "image: must be C-contiguous uint8"),
        ({"label": np.zeros((2, 1, 16, 16, 16), np.uint8)}, "label: .*got uint8 of shape"),
        ({"image": np.zeros((2, 1, 17, 33, 38), np.uint8)[..., ::2]}, "image: must be C-contig"),
        ({"placed": np.zeros((2, 3, 7), np.int32)}, "placed: "),
    ],
)
def test_wrong_buffers_are_refused(change, message):
    generator = cpu(VARIANTS["avs-db"])
    batch = generator.empty([0, 1])
    with pytest.raises(ValueError, match=message):
        generator.fill(Batch(**{**vars(batch), **change}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"indices": [0], "seed": -1}, "seed: must be a whole number, 0 .. 2\\^64 - 1, got -1"),
        ({"indices": [-1]}, "indices: must be a whole number, 0 .. 2\\^64 - 1, got -1"),
        ({"indices": [2**64]}, "indices: "),
        ({"indices": [0.5]}, "indices: must be a whole number, 0 .. 2\\^64 - 1, got 0.5"),
        ({"indices": range(-2, 3)}, "indices: .*got -2"),
        ({"indices": [0], "seed": 1.5}, "seed: .*got 1.5"),
        ({"indices": [0], "seed": True}, "seed: .*got True"),
        ({"indices": [0], "batch_size": 0}, "batch_size: must be at least 1, got 0"),
        ({"indices": [0], "device": "tpu"}, "device: must be auto, cpu or cuda, got 'tpu'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        list(synthgen.generate("avs-db", **arguments))


def test_cuda_without_a_device_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.delitem(sys.modules, "synthgen.backend.cuda", raising=False)
    with pytest.raises(RuntimeError, match=r"synthgen\[cuda12\].*--device cpu"):
        Generator("avs-db", device="cuda")
    assert Generator("avs-db", device="auto").device == "cpu"


def test_batch_that_does_not_fit_is_halved(monkeypatch):
    sizes = []
    whole = Generator.batch

    def scarce(self, indices):
        sizes.append(len(indices))
        if len(indices) > 3:
            raise MemoryError
        return whole(self, indices)

    monkeypatch.setattr(Generator, "batch", scarce)
    batches = list(synthgen.generate(VARIANTS["avs-db"], indices=range(8), batch_size=10))
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert np.concatenate([batch.index for batch in batches]).tolist() == list(range(8))


def test_memory_error_of_a_single_volume_is_raised(monkeypatch):
    def scarce(self, indices):
        raise MemoryError

    monkeypatch.setattr(Generator, "batch", scarce)
    with pytest.raises(MemoryError):
        list(synthgen.generate(VARIANTS["avs-db"], indices=range(8)))


def test_parts_are_halved_until_they_fit():
    asked = []

    def make(part):
        asked.append((part.start, part.stop))
        if part.stop - part.start > 2:
            raise MemoryError
        return part.stop - part.start

    assert list(in_parts(7, 100, make)) == [2, 2, 2, 1]
    assert asked == [(0, 7), (0, 4), (0, 2), (2, 4), (4, 6), (6, 7)]


def test_a_batch_is_as_large_as_memory_allows():
    calls = calls_of(plan_of(load_recipe("avs-db")))
    each = workspace_bytes(calls)
    found = [batch_high(free, calls, 65535) for free in (0, each, 10 * each - 1, 10 * each)]
    assert found == [1, 1, 9, 10]
    assert batch_high(10 * each, calls, 7) == 7


def test_recipes_without_a_workspace_have_the_largest_batch():
    calls = calls_of(plan_with("float16", "uint8"))
    assert workspace_bytes(calls) == 0
    assert batch_high(2**30, calls, 65535) == 65535


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_numpy_that_numba_cuda_cannot_use_is_refused(monkeypatch, device):
    cupy = ModuleType("cupy")
    cupy.is_available = lambda: True
    cupy.memoize = lambda **_: lambda function: function
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "synthgen.backend.cuda", None)  # there again after the test
    del sys.modules["synthgen.backend.cuda"]
    monkeypatch.delattr(np, "row_stack", raising=False)
    with pytest.raises(ValueError, match=r"^numpy: numba-cuda needs a version below 2\.5, got"):
        Generator(load_recipe("avs-db"), device=device)


def _in_child(generator, results):
    results.put(generator.batch(range(6)).label.sum())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_generator_works_in_child_processes(method):
    generator = cpu(VARIANTS["avs-db"], threads=2)
    expected = generator.batch(range(6)).label.sum()
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=_in_child, args=(generator, results))
    child.start()
    assert results.get(timeout=120) == expected
    child.join(timeout=60)
    assert child.exitcode == 0

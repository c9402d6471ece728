"""The calls of fields, waves and distances: the same arrays on either side, and nothing else."""

import numpy as np
import pytest

from synthgen.appearance.spectra import ARCHETYPES, bands_of
from synthgen.backend.base import Buffers, Call
from synthgen.backend.calls.chain import Chain
from synthgen.backend.calls.fields import LabelDistance, LayNodes, SampleWaves
from synthgen.backend.plan import FieldSpec
from synthgen.kernels.appearance_records import StepKind
from tests.backends import HostLauncher
from tests.host_cuda import needs_compiler
from tests.kernels.chain_scenes import INDEX, SEED, drawn_steps, tables_of

KINDS = [StepKind.INTENSITY, StepKind.TEXTURE, StepKind.WAVES, StepKind.BIAS]
FIELDS = (FieldSpec(1, spacing=2.0), FieldSpec(1, spacing=5.0), FieldSpec(3, share=0.1))
INDICES = np.array([4, INDEX, 9], np.uint64)
SHAPES = [(6, 20, 33), (1, 30, 50), (9, 140, 3)]


def chain_of(shape, label_dtype: str = "uint8") -> Chain:
    tables = tables_of(KINDS, FIELDS, bands_of(tuple(ARCHETYPES), 12, 2))
    return Chain(shape, (1.0, 1.0, 1.0), np.arange(7, dtype=np.int32), "uint8", label_dtype, tables)


def batch_arrays(call: Call, chain: Chain) -> dict[str, np.ndarray]:
    """What the calls before it leave, for three volumes, and its own scratch full of rubbish."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, chain.values, (3, 2, *(-(-side // 5) for side in chain.shape)))
    label = coarse.repeat(5, 2).repeat(5, 3).repeat(5, 4)
    depth, height, width = chain.shape
    given = {
        "drawn": np.stack([drawn_steps(4), drawn_steps(4, [1, 2]), drawn_steps(4, [3])]),
        "label": label[:, :, :depth, :height, :width].astype(chain.label_dtype),
    }
    scratch = {
        name: np.empty((3, *array.shape), array.dtype) for name, array in call.scratch().items()
    }
    for array in scratch.values():
        array.view(np.uint8).fill(0xA5)
    return {**given, **scratch, **call.constants()}


def made(call: Call, chain: Chain, cuda: bool) -> dict[str, np.ndarray]:
    """The scratch arrays that a call leaves."""
    arrays = batch_arrays(call, chain)
    if cuda:
        call.on_cuda(Buffers(SEED, INDICES, arrays), HostLauncher())()
    else:
        for b in range(3):
            volume = {
                name: array if name in call.constants() else array[b]
                for name, array in arrays.items()
            }
            call.on_cpu(Buffers(SEED, INDICES[b : b + 1], volume))()
    return {name: arrays[name] for name in call.scratch()}


def calls(chain: Chain) -> list[Call]:
    return [LayNodes(chain, 0), LayNodes(chain, 3), SampleWaves(chain, 0), SampleWaves(chain, 3)]


@needs_compiler
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_sides_leave_the_same(shape):
    chain = chain_of(shape)
    for call in calls(chain):
        expected, actual = made(call, chain, cuda=False), made(call, chain, cuda=True)
        for name, array in expected.items():
            np.testing.assert_array_equal(actual[name].view(np.int32), array.view(np.int32))


@needs_compiler
@pytest.mark.parametrize("label_dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_sides_leave_the_same_distances(shape, label_dtype):
    chain = chain_of(shape, label_dtype)
    expected, actual = (made(LabelDistance(chain), chain, cuda)["distance"] for cuda in (0, 1))
    np.testing.assert_array_equal(actual[:, : chain.voxels], expected[:, : chain.voxels])
    assert len(np.unique(expected[:, : chain.voxels])) > 3


def test_channels_differ():
    chain = chain_of(SHAPES[0])
    one, other, third, fourth = (made(call, chain, cuda=False) for call in calls(chain))
    assert not np.array_equal(one["nodes"][0], other["nodes"][0])
    assert not np.array_equal(third["waves"][0], fourth["waves"][0])

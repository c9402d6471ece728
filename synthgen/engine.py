"""From a recipe to batches of volumes."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from synthgen.backend import (
    AnyPlan,
    Array,
    Device,
    MixturePlan,
    Outputs,
    Plan,
    Stages,
    get_backend,
    in_parts,
    output_kinds,
)
from synthgen.recipe import AnyRecipe, Mixture, Recipe, load_recipe

BATCH_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Batch:
    """Labelled volumes, z y x, on the device that made them.

    Attributes:
        image: (B, C, D, H, W), uint8, float16 or float32.
        label: uint8 or uint16. (B, T, D, H, W): T label maps, one a task, 0 = background. Of whole
            volumes (B, T): a class a task, from 0 on.
        index: (B,) uint64 volume indices, on the host.
        placed: (B, N, Placed.SIZE) int32, columns as in ``synthgen.kernels.records.Placed``. Of
            objects placed by overlap: the first voxel of each one's box, or that it was dropped,
            largest first. Of others: the voxel of each one's centre, and whether any voxel is
            inside, in painting order.
        prompts: (B, K, PromptRow.SIZE) int32, of the label values 1 .. K, columns as in
            ``synthgen.kernels.prompt_records.PromptRow``; None where the recipe has none.
    """

    image: Array
    label: Array
    index: npt.NDArray[np.uint64]
    placed: Array
    prompts: Array | None = None

    def __len__(self) -> int:
        return len(self.index)


class Generator:
    """Makes volumes of one recipe and seed on one device.

    A volume is a pure function of (recipe, seed, index): the device, the batch and the number of
    threads change no voxel.

    Args:
        recipe: a recipe, the name of a built-in one, or the path of a YAML file.
        seed: 0 .. 2^64 - 1.
        device: ``auto`` takes CUDA where it is usable.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
        ValueError: the seed is out of range.
        RuntimeError: CUDA was asked for and is not usable.
    """

    def __init__(self, recipe: AnyRecipe | str, *, seed: int = 0, device: Device = "auto") -> None:
        self.recipe = load_recipe(recipe)
        self.seed = _word(seed, "seed")
        self._backend = get_backend(plan_of(self.recipe), device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what determines the volumes; buffers and threads are made anew."""
        return _remade, (self.recipe, self.seed, self.device)

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self._backend.name

    @property
    def default_batch_size(self) -> int:
        """Volumes that fill 256 MiB, at least one."""
        return max(1, BATCH_BYTES // self._backend.plan.volume_bytes)

    def empty(
        self,
        indices: Sequence[int] | npt.NDArray[np.uint64],
        allocate: Callable[[tuple[int, ...], str], Array] | None = None,
    ) -> Batch:
        """Uninitialised buffers for the volumes ``indices``.

        Args:
            allocate: makes memory of a shape and type, as of another library's; by default the
                device's own.
        """
        index, make = _checked(indices), allocate or self._backend.empty
        kinds = output_kinds(self._backend.plan, len(index))
        return Batch(index=index, **{name: make(*kind) for name, kind in kinds.items()})

    def fill(self, batch: Batch, *, stream: int | None = None) -> Batch:
        """Make the volumes ``batch.index`` in the batch's own buffers.

        Args:
            batch: its buffers may be another library's, as torch tensors on the generator's device.
            stream: on CUDA, the ``cudaStream_t`` to queue on; by default CuPy's current one.

        Raises:
            ValueError: a buffer has the wrong type, shape, layout or device.
        """
        outputs = self._outputs(batch)
        with self._backend.queueing_on(stream):
            self._backend.fill(self.seed, batch.index, outputs)
        return batch

    def _outputs(self, batch: Batch) -> Outputs:
        """The backend's arrays over a batch's buffers, checked."""
        kinds = output_kinds(self._backend.plan, len(batch))
        return {name: self._view(getattr(batch, name), name, *kind) for name, kind in kinds.items()}

    def _view(self, memory: Array, name: str, shape: tuple[int, ...], dtype: str) -> Array:
        """The backend's array over ``memory``, checked."""
        try:
            array = self._backend.view(memory)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
            raise ValueError(
                f"{name}: must be C-contiguous {dtype} of shape {shape}, "
                f"got {array.dtype} of shape {array.shape}"
            )
        return array

    def stages(self, batch: Batch) -> Stages:
        """The kernels that make ``batch``, in order, for a benchmark to run and time one by one.

        On the CPU a batch of one volume.
        """
        return self._backend.stages(self.seed, batch.index, self._outputs(batch))

    def synchronize(self) -> None:
        """Wait until all volumes that were asked for are there."""
        self._backend.synchronize()

    def batch(self, indices: Sequence[int] | npt.NDArray[np.uint64]) -> Batch:
        """Make the volumes ``indices`` in new buffers."""
        return self.fill(self.empty(indices))

    def numpy(self, batch: Batch) -> Batch:
        """The batch in host memory."""
        to_host, names = self._backend.numpy, output_kinds(self._backend.plan, 0)
        return replace(batch, **{name: to_host(getattr(batch, name)) for name in names})


def generate(
    recipe: AnyRecipe | str,
    *,
    indices: Sequence[int],
    seed: int = 0,
    device: Device = "auto",
    batch_size: int | None = None,
) -> Iterator[Batch]:
    """Yield the volumes ``indices`` in order, in batches.

    Args:
        recipe: a recipe, the name of a built-in one, or the path of a YAML file.
        indices: volume indices, 0 .. 2^64 - 1.
        seed: 0 .. 2^64 - 1.
        device: ``auto`` takes CUDA where it is usable.
        batch_size: changes speed and memory, never a voxel; by default 256 MiB of volumes. It is
            halved while memory does not suffice.

    Yields:
        Batches of new buffers on the device; the last one may be smaller.

    Raises:
        RecipeError: there is no such recipe, or it breaks a rule.
        ValueError: an argument is out of range.
        RuntimeError: CUDA was asked for and is not usable.
    """
    generator = Generator(recipe, seed=seed, device=device)
    size = generator.default_batch_size if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"batch_size: must be at least 1, got {batch_size}")
    return in_parts(len(indices), size, lambda part: generator.batch(indices[part]))


def generate_one(
    recipe: AnyRecipe | str, seed: int, index: int, *, device: Device = "auto"
) -> Batch:
    """Make one volume; the arrays of its batch have a leading axis of length 1, in host memory."""
    generator = Generator(recipe, seed=seed, device=device)
    return generator.numpy(generator.batch([index]))


def _remade(recipe: AnyRecipe, seed: int, device: Device) -> Generator:
    return Generator(recipe, seed=seed, device=device)


@overload
def plan_of(recipe: Recipe) -> Plan: ...
@overload
def plan_of(recipe: Mixture) -> MixturePlan: ...
@overload
def plan_of(recipe: AnyRecipe) -> AnyPlan: ...
def plan_of(recipe: AnyRecipe) -> AnyPlan:
    """What the backends need of a recipe."""
    if isinstance(recipe, Mixture):
        return _mixture_plan(recipe)
    values = recipe.label_values
    return Plan(
        shape=recipe.reference_shape,
        spacing=recipe.spacing,
        image_dtype=recipe.image_dtype,
        label_dtype=recipe.label_dtype,
        label_shape=recipe.label_shape,
        shapes=recipe.shapes.tables(recipe.reference_shape),
        placement=recipe.placement.tables(recipe.shapes),
        appearance=recipe.appearance.tables(recipe.image_dtype),
        labels=recipe.labels.tables(len(values)),
        prompts=None if recipe.prompts is None else recipe.prompts.tables(recipe.num_classes),
        relabel=values,
    )


def _mixture_plan(mixture: Mixture) -> MixturePlan:
    """Plans whose labels, and what is asked of them, are the mixture's."""
    asked = mixture.prompts
    prompts = None if asked is None else asked.tables(mixture.num_classes)
    components = [
        replace(plan_of(component.recipe), relabel=values, prompts=prompts)
        for component, values in zip(mixture.recipes, mixture.label_values, strict=True)
    ]
    return MixturePlan(tuple(components), mixture.bounds)


def _word(value: Any, name: str) -> int:
    """A whole number of 64 bits; raises ValueError."""
    whole = operator.index(value) if hasattr(value, "__index__") else None
    if whole is None or isinstance(value, bool) or not 0 <= whole < 2**64:
        raise ValueError(f"{name}: must be a whole number, 0 .. 2^64 - 1, got {value!r}")
    return whole


def _checked(indices: Any) -> npt.NDArray[np.uint64]:
    if isinstance(indices, range) and len(indices):
        _word(min(indices), "indices"), _word(max(indices), "indices")
        return np.array(indices, np.uint64)
    return np.array([_word(index, "indices") for index in indices], np.uint64)

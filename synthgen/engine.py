"""From a recipe to batches of volumes."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgen.backend import Array, Device, Plan, Stages, get_backend, in_parts, placed_shape
from synthgen.recipe import Recipe, load_recipe

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
    """

    image: Array
    label: Array
    index: npt.NDArray[np.uint64]
    placed: Array

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

    def __init__(self, recipe: Recipe | str, *, seed: int = 0, device: Device = "auto") -> None:
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
        index, plan = _checked(indices), self._backend.plan
        allocate = allocate or self._backend.empty
        return Batch(
            image=allocate((len(index), 1, *plan.shape), plan.image_dtype),
            label=allocate((len(index), *plan.label_shape), plan.label_dtype),
            index=index,
            placed=allocate(placed_shape(plan, len(index)), "int32"),
        )

    def fill(self, batch: Batch, *, stream: int | None = None) -> Batch:
        """Make the volumes ``batch.index`` in the batch's own buffers.

        Args:
            batch: its buffers may be another library's, as torch tensors on the generator's device.
            stream: on CUDA, the ``cudaStream_t`` to queue on; by default CuPy's current one.

        Raises:
            ValueError: a buffer has the wrong type, shape, layout or device.
        """
        plan, count = self._backend.plan, len(batch)
        image = self._view(batch.image, "image", plan.image_dtype, (count, 1, *plan.shape))
        label = self._view(batch.label, "label", plan.label_dtype, (count, *plan.label_shape))
        placed = self._view(batch.placed, "placed", "int32", placed_shape(plan, count))
        with self._backend.queueing_on(stream):
            self._backend.fill(self.seed, batch.index, image[:, 0], label, placed)
        return batch

    def _view(self, memory: Array, name: str, dtype: str, shape: tuple[int, ...]) -> Array:
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
        return self._backend.stages(
            self.seed, batch.index, batch.image[:, 0], batch.label, batch.placed
        )

    def synchronize(self) -> None:
        """Wait until all volumes that were asked for are there."""
        self._backend.synchronize()

    def batch(self, indices: Sequence[int] | npt.NDArray[np.uint64]) -> Batch:
        """Make the volumes ``indices`` in new buffers."""
        return self.fill(self.empty(indices))

    def numpy(self, batch: Batch) -> Batch:
        """The batch in host memory."""
        to_host = self._backend.numpy
        return replace(
            batch,
            image=to_host(batch.image),
            label=to_host(batch.label),
            placed=to_host(batch.placed),
        )


def generate(
    recipe: Recipe | str,
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


def generate_one(recipe: Recipe | str, seed: int, index: int, *, device: Device = "auto") -> Batch:
    """Make one volume; the arrays of its batch have a leading axis of length 1, in host memory."""
    generator = Generator(recipe, seed=seed, device=device)
    return generator.numpy(generator.batch([index]))


def _remade(recipe: Recipe, seed: int, device: Device) -> Generator:
    return Generator(recipe, seed=seed, device=device)


def plan_of(recipe: Recipe) -> Plan:
    """What the backends need of a recipe."""
    return Plan(
        shape=recipe.reference_shape,
        spacing=recipe.spacing,
        image_dtype=recipe.image_dtype,
        label_dtype=recipe.label_dtype,
        label_shape=recipe.label_shape,
        shapes=recipe.shapes.tables(recipe.reference_shape),
        placement=recipe.placement.tables(recipe.shapes),
        appearance=recipe.appearance.tables(recipe.image_dtype),
        labels=recipe.labels.tables(),
    )


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

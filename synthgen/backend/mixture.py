"""A backend of several: each volume is made by the one that its index falls to."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthgen.backend.base import Array, Backend, Outputs, Stage, Stages, output_kinds
from synthgen.backend.plan import MixturePlan


class _Group(NamedTuple):
    """The volumes of a batch that fall to one backend.

    Attributes:
        places: in the batch, ascending.
        outputs: where it makes them, by name.
    """

    backend: Backend
    places: npt.NDArray[np.int64]
    outputs: Outputs


class MixtureBackend:
    """Makes volumes of a mixture.

    Args:
        plan: of the mixture.
        backends: of its components, in their order, all on one device.
    """

    def __init__(self, plan: MixturePlan, backends: Sequence[Backend]) -> None:
        self.plan, self._backends = plan, tuple(backends)
        self.name = self._backends[0].name

    def empty(self, shape: tuple[int, ...], dtype: str) -> Array:
        return self._backends[0].empty(shape, dtype)

    def view(self, memory: Any) -> Array:
        return self._backends[0].view(memory)

    def queueing_on(self, stream: int | None) -> AbstractContextManager[Any]:
        return self._backends[0].queueing_on(stream)

    def numpy(self, array: Array) -> npt.NDArray[Any]:
        return self._backends[0].numpy(array)

    def synchronize(self) -> None:
        for backend in self._backends:
            backend.synchronize()

    def fill(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> None:
        for group in self._groups(seed, indices, outputs):
            group.backend.fill(seed, indices[group.places], group.outputs)
            _hand_over(group, outputs)

    def stages(self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs) -> Stages:
        """One, which does all: which kernels run is another matter for each volume."""
        make = partial(self.fill, seed, indices, outputs)
        return Stages([Stage("mixture", make)], outputs)

    def _groups(
        self, seed: int, indices: npt.NDArray[np.uint64], outputs: Outputs
    ) -> Iterator[_Group]:
        """A group for each component that has volumes; one for all of a batch works in place."""
        chosen = self.plan.chosen(seed, indices)
        for number, backend in enumerate(self._backends):
            places = np.flatnonzero(chosen == number)
            if not len(places):
                continue
            kinds = output_kinds(backend.plan, len(places))
            whole = len(places) == len(indices)
            yield _Group(
                backend,
                places,
                {
                    name: outputs[name]
                    if whole and outputs[name].shape == shape
                    else self.empty(shape, dtype)
                    for name, (shape, dtype) in kinds.items()
                },
            )


def _hand_over(group: _Group, outputs: Outputs) -> None:
    """Copy what was made for a batch into it; rows of objects that there are not are 0."""
    for name, made in group.outputs.items():
        target = outputs[name]
        if made is target:
            continue
        for start, stop in _runs(group.places):
            part = target[group.places[start] : group.places[stop - 1] + 1]
            if name == "placed":
                part[:, made.shape[1] :] = 0
                part = part[:, : made.shape[1]]
            part[...] = made[start:stop]


def _runs(places: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Slices of ``places`` in which each is one more than the one before."""
    breaks = (np.flatnonzero(np.diff(places) != 1) + 1).tolist()
    yield from zip([0, *breaks], [*breaks, len(places)], strict=True)

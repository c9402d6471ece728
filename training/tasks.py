"""One network for all tasks: its channels by task, one loss, and figures of each task.

Where labels are of whole volumes, so are the network's scores: the mean of each channel over the
voxels. The network is the one that segments, and all of its weights are trained.

References:
    M. Lin, Q. Chen, S. Yan, "Network in network", arXiv 1312.4400, 2013, section 3.2: scores of
    classes as means of maps (global average pooling).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from synthgen.labels.tasks import Task
from synthgen.training.errors import TrainingError
from synthgen.training.metrics import accuracy_sum, dice_sum

_SUMS = 5  # of a task, before the voxels of each class


class Tasks:
    """The tasks of a run, in the order of the label's axis T and of the output's channels.

    Args:
        per_voxel: whether labels are maps, or of whole volumes.

    Attributes:
        channels: of the output: the classes of all tasks, of maps with a background for each.
    """

    def __init__(self, tasks: Sequence[Task], per_voxel: bool = True) -> None:
        self._per_voxel = per_voxel
        self._names = [task.name for task in tasks]
        self._classes = [len(task.class_names) for task in tasks]
        self.channels = sum(self._classes)

    def scores(self, output: Tensor) -> Tensor:
        """What a network's output (B, channels, D, H, W) says: itself, or a mean as one voxel."""
        return output if self._per_voxel else output.mean((2, 3, 4), keepdim=True)

    def maps(self, label: Tensor) -> Tensor:
        """Labels (B, T, D, H, W); those of whole volumes, (B, T), as maps of one voxel."""
        return label if self._per_voxel else label[..., None, None, None]

    def loss(
        self, criterion: Callable[[Tensor, Tensor], Tensor], output: Tensor, label: Tensor
    ) -> Tensor:
        """The sum of all tasks, of weight 1 each.

        Args:
            output: (B, channels, D, H, W), of ``scores``.
            label: (B, T, D, H, W), of ``maps``.
        """
        return reduce(add, [criterion(part, truth) for part, truth in self._parts(output, label)])

    def outside(self, label: Tensor) -> Tensor:
        """(T,) voxels of labels (B, T, D, H, W) that have no channel."""
        maps = zip(label.unbind(1), self._classes, strict=True)
        return torch.stack([(truth >= classes).sum() for truth, classes in maps])

    def check_outside(self, voxels: Sequence[float]) -> None:
        """Raise TrainingError if labels of any task have no channel."""
        for name, classes, count in zip(self._names, self._classes, voxels, strict=True):
            if count:
                of = f" of {name}" if len(self._names) > 1 else ""
                what = "voxels" if self._per_voxel else "volumes"
                raise TrainingError(
                    f"label: the recipe has classes 0..{classes - 1}{of}, {int(count)} {what} "
                    "have others; the store is not of its recipe"
                )

    def no_sums(self) -> Tensor:
        """Zeros that ``sums`` of batches and ranks add up to."""
        return torch.zeros(len(self._names), _SUMS + max(self._classes), dtype=torch.float64)

    def sums(self, output: Tensor, label: Tensor) -> Tensor:
        """What ``figures`` are made of, on the CPU: those of ``DiceSum``, then of ``AccuracySum``.

        Arguments are those of ``loss``; labels without a channel count as the last class.
        """
        sums = self.no_sums()
        parts = self._parts(output, label)
        for row, classes, (part, truth) in zip(sums, self._classes, parts, strict=True):
            prediction, reference = part.argmax(1, keepdim=True), truth.clamp_max(classes - 1)
            dice = dice_sum(prediction, reference, classes)
            accuracy = accuracy_sum(prediction, reference, classes)
            scalars = [value.double().cpu() for value in (*dice, accuracy.right)]
            row[:_SUMS] = torch.stack(scalars)
            row[_SUMS : _SUMS + classes] = accuracy.voxels.double().cpu()
        return sums

    def _parts(self, output: Tensor, label: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Channels and label map, (B, 1, D, H, W), of each task."""
        channels = torch.split(output, self._classes, dim=1)
        return zip(channels, torch.split(label, 1, dim=1), strict=True)

    def figures(self, sums: Tensor) -> dict[str, Any]:
        """Figures of a validation, for the log.

        Of label maps ``dice``, the mean foreground Dice, of several tasks the mean of theirs; of
        whole volumes ``accuracy`` and ``majority``, likewise: shares that are right, and that a
        guess of the most frequent class has right. Of several tasks then each of the three, those
        of maps counting voxels, with the task's name as an ending.
        """
        rows: list[list[float]] = sums.tolist()
        told = {"dice": _dice} if self._per_voxel else {}
        if not self._per_voxel or len(rows) > 1:
            told |= {"accuracy": _accuracy, "majority": _majority}
        means = _foreground(rows) if self._per_voxel else _means(rows, told)
        if len(rows) == 1:
            return means
        of_tasks = {
            f"{name}_{task}": figure(row)
            for task, row in zip(self._names, rows, strict=True)
            for name, figure in told.items()
        }
        return {**means, **of_tasks}


def _foreground(rows: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Mean Dice of all tasks' sums, and how many classes volumes have."""
    columns = {"classes_present": 1, "classes_invented": 3, "classes_absent": 2}
    counts = {name: int(sum(row[column] for row in rows)) for name, column in columns.items()}
    return {**_means(rows, {"dice": _dice}), **counts}


def _means(
    rows: Sequence[Sequence[float]], told: Mapping[str, Callable[[Sequence[float]], float | None]]
) -> dict[str, float | None]:
    """Mean of each figure over all tasks' sums."""
    return {name: _mean(map(figure, rows)) for name, figure in told.items()}


def _dice(row: Sequence[float]) -> float | None:
    return row[0] / row[1] if row[1] else None


def _accuracy(row: Sequence[float]) -> float:
    return row[_SUMS - 1] / sum(row[_SUMS:])


def _majority(row: Sequence[float]) -> float:
    return max(row[_SUMS:]) / sum(row[_SUMS:])


def _mean(values: Iterable[float | None]) -> float | None:
    """Of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

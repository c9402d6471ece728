"""One network for all label maps: its channels by task, one loss, and figures of each task."""

from collections.abc import Callable, Iterator, Sequence
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

    Attributes:
        channels: of the output: the classes of all tasks, a background for each.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._names = [task.name for task in tasks]
        self._classes = [len(task.class_names) for task in tasks]
        self.channels = sum(self._classes)

    def loss(
        self, criterion: Callable[[Tensor, Tensor], Tensor], output: Tensor, label: Tensor
    ) -> Tensor:
        """The sum of all tasks, of weight 1 each.

        Args:
            output: (B, channels, D, H, W).
            label: (B, T, D, H, W).
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
                raise TrainingError(
                    f"label: the recipe has classes 0..{classes - 1}{of}, {int(count)} voxels "
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

        ``dice`` is the mean foreground Dice, of several tasks the mean of theirs; then ``dice``,
        ``accuracy`` and ``majority`` have the task's name as an ending, the last two shares of
        voxels: those that are right, and those that a guess of the most frequent class has right.
        """
        rows = dict(zip(self._names, sums.tolist(), strict=True))
        dice = {name: row[0] / row[1] if row[1] else None for name, row in rows.items()}
        known = [value for value in dice.values() if value is not None]
        figures: dict[str, Any] = {
            "dice": sum(known) / len(known) if known else None,
            "classes_present": int(sum(row[1] for row in rows.values())),
            "classes_invented": int(sum(row[3] for row in rows.values())),
            "classes_absent": int(sum(row[2] for row in rows.values())),
        }
        if len(rows) == 1:
            return figures
        for name, row in rows.items():
            right, voxels = row[_SUMS - 1], row[_SUMS:]
            figures[f"dice_{name}"] = dice[name]
            figures[f"accuracy_{name}"] = right / sum(voxels)
            figures[f"majority_{name}"] = max(voxels) / sum(voxels)
        return figures

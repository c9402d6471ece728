"""What labels tell: one thing of each object, or several in label maps of their own."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field

from synthgen.backend.plan import LabelTables
from synthgen.kernels.scene_records import SceneObject
from synthgen.settings import Settings, distinct

TaskName = Literal["shape", "displacement", "mapper"]
_COLUMNS = {
    "shape": SceneObject.CLASS,
    "displacement": SceneObject.DISPLACEMENT,
    "mapper": SceneObject.MAPPER,
}


class Task(NamedTuple):
    """One thing that labels tell.

    Attributes:
        name: what.
        class_names: by label value.
    """

    name: str
    class_names: list[str]


class LabelSettings(Settings):
    """What all kinds of labels have."""

    @property
    def task_names(self) -> tuple[TaskName, ...]:
        """In the order of the label's axis T."""
        return ("shape",)

    @property
    def per_voxel(self) -> bool:
        """Label maps, or one value a task for the whole volume."""
        return True

    def tables(self, values: int) -> LabelTables:
        """What the kernels read.

        Args:
            values: label values of the first task.
        """
        columns = [_COLUMNS[name] for name in self.task_names]
        tasks = np.array(columns, np.int64)
        return LabelTables(tasks=tasks, per_voxel=self.per_voxel, values=values)


class _Tasks(LabelSettings):
    """Settings of several tasks.

    Attributes:
        tasks: the class of an object's shape, of its displacement, of its mapper.
    """

    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1), AfterValidator(distinct)]

    @property
    def task_names(self) -> tuple[TaskName, ...]:
        return self.tasks


class MultiTask(_Tasks):
    """A label map of each task; where objects overlap, the one with fewer voxels wins in all."""

    kind: Literal["multi_task"] = "multi_task"
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=2), AfterValidator(distinct)] = (
        "shape",
        "displacement",
        "mapper",
    )


class WholeVolume(_Tasks):
    """No label map: classes of a volume's one object, counted from 0."""

    kind: Literal["whole_volume"] = "whole_volume"
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1), AfterValidator(distinct)] = (
        "shape",
    )

    @property
    def per_voxel(self) -> bool:
        return False

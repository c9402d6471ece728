"""What the labels of a store tell, and which of it was asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from synthgen.labels.tasks import Task


def tasks_of(attributes: Mapping[str, Any]) -> list[Task]:
    """Tasks in the order of the label's axis of them; a store of one label map names none.

    Args:
        attributes: the group's.
    """
    if "tasks" not in attributes:
        return [Task("shape", list(attributes["class_names"]))]
    return [Task(task["name"], list(task["class_names"])) for task in attributes["tasks"]]


def place_of(tasks: Sequence[Task], name: str) -> int:
    """The place of the task ``name``; raises ValueError where there is none."""
    names = [task.name for task in tasks]
    if name not in names:
        raise ValueError(f"task: must be one of {', '.join(names)}, got {name!r}")
    return names.index(name)

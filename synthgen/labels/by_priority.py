"""One label map of structures in which the graph says what lies over what."""

from typing import Literal

from synthgen.labels.tasks import LabelSettings


class ByPriority(LabelSettings):
    """Where structures overlap, one inside another wins, and else the smaller one."""

    kind: Literal["by_priority"] = "by_priority"

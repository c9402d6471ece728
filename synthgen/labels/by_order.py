"""One label map of structures that are told apart by their number."""

from typing import Literal

from synthgen.labels.tasks import LabelSettings


class ByOrder(LabelSettings):
    """Each structure is its own class; where they overlap, the earlier one keeps its voxels."""

    kind: Literal["by_order"] = "by_order"

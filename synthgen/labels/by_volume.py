"""One label map of class ids in which smaller objects overwrite larger ones."""

from typing import Literal

from synthgen.labels.tasks import LabelSettings


class ByVolume(LabelSettings):
    """Where objects overlap, the one with fewer voxels wins; of equals, the one sampled first."""

    kind: Literal["by_volume"] = "by_volume"

"""One label map of class ids in which smaller objects overwrite larger ones."""

from typing import Literal

from synthgen.settings import Settings


class ByVolume(Settings):
    """Where objects overlap, the one with fewer voxels wins; of equals, the one sampled first."""

    kind: Literal["by_volume"] = "by_volume"

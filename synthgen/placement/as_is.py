"""No placement: the structures of a label map stay where they are."""

from typing import Literal

from synthgen.backend.plan import AsIsTables
from synthgen.settings import Settings


class AsIs(Settings):
    """There is nothing to set."""

    kind: Literal["as_is"] = "as_is"

    def tables(self, shapes: Settings) -> AsIsTables:
        """What the kernels read, whatever the shapes."""
        return AsIsTables()

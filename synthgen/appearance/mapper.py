"""Grey levels as functions of signed distances, summed over objects: the image of FDIF.

References:
    Yamamoto et al., "FDIF", arXiv 2603.23199, and its public code.
"""

from fractions import Fraction
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from synthgen.appearance.contour import ImageType
from synthgen.appearance.mappers import MAPPERS, PEAK, Mapper, mapper_named
from synthgen.backend.plan import MapperTables
from synthgen.kernels.mapper_records import NoiseRow
from synthgen.settings import Int, Settings, distinct
from synthgen.shapes.displacements import noise_row


class Texture(Settings):
    """Gradient noise that grey levels inside objects are multiplied by.

    Attributes:
        amplitude: levels are multiplied by 1 + noise, whose size is at most this.
        cell: side of a cell of the coarsest octave, in lengths of the volume's frame.
        octaves: each with half the cells and half the amplitude of the one before.
    """

    amplitude: Annotated[float, Field(gt=0, le=1)] = 0.5
    cell: Annotated[float, Field(ge=2, le=512)] = 16.0
    octaves: Annotated[Int, Field(ge=1, le=6)] = 3


class MappedDistance(Settings):
    """Settings of the image; each object draws one of the mappers.

    Attributes:
        mappers: names of what turns a signed distance into a grey level.
        texture: of the objects' inside, drawn for each object; none by default.
        distance: ``any``, or ``exact`` to refuse shapes whose distances are only bounds.
    """

    kind: Literal["mapper"] = "mapper"
    mappers: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(distinct)] = tuple(
        mapper.name for mapper in MAPPERS if mapper.published
    )
    texture: Texture | None = None
    distance: Literal["any", "exact"] = "any"

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.mappers:
            try:
                mapper_named(name)
            except ValueError as error:
                raise ValueError(f"mappers: {str(error).partition(': ')[2]}") from None
        return self

    def scaled(self, factor: Fraction) -> Self:
        """Only texture scales: mappers are given in voxels, as published, whatever the volume."""
        if self.texture is None:
            return self
        cell = max(2.0, self.texture.cell * factor.numerator / factor.denominator)
        return self.model_copy(
            update={"texture": self.texture.model_copy(update={"cell": min(cell, 512.0)})}
        )

    @property
    def value_high(self) -> int:
        """Largest intensity an image can have."""
        return int(PEAK)

    @property
    def mapper_names(self) -> list[str]:
        """Names by row, sorted: whatever order a recipe names them in."""
        return sorted(self.mappers)

    def check_type(self, dtype: ImageType) -> None:
        """Raise ValueError unless ``dtype`` is that of 129 whole levels."""
        if dtype != "uint8":
            raise ValueError(
                f"image_dtype: mappers draw whole grey levels 0..{self.value_high} as uint8, "
                f"got {dtype}"
            )

    def tables(self, dtype: ImageType) -> MapperTables:
        """What the kernels read."""
        chosen: list[Mapper] = [mapper_named(name) for name in self.mapper_names]
        texture = np.zeros(NoiseRow.SIZE, np.float32)
        if self.texture is not None:
            texture = noise_row(self.texture.amplitude, self.texture.cell, self.texture.octaves)
        return MapperTables(mappers=np.stack([mapper.row for mapper in chosen]), texture=texture)

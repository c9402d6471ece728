"""A list of steps, each of which works on what the one before it leaves: textures, noise, scans."""

from fractions import Fraction
from itertools import accumulate
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from synthgen.appearance.contour import Contour, ImageType
from synthgen.appearance.mapper import MappedDistance
from synthgen.appearance.shell import Shell
from synthgen.appearance.steps import (
    BiasField,
    Blur,
    Clip,
    Gamma,
    Intensity,
    Noise,
    Normalize,
    Outline,
    Resolution,
    SpectralTexture,
    StepSettings,
    Texture,
)
from synthgen.backend.plan import ChainTables, FieldSpec
from synthgen.kernels.appearance_records import (
    CHANNELS_MAX,
    STEPS_MAX,
    WAVES_MAX,
    StepSetting,
)
from synthgen.settings import Int, Settings, Shape

Base = Contour | Shell | MappedDistance
Step = Annotated[
    Base | Intensity | Outline | Texture | SpectralTexture | Blur | BiasField | Gamma | Noise
    | Clip | Normalize | Resolution,
    Field(discriminator="kind"),
]  # fmt: skip


class Chain(Settings):
    """Settings of the image.

    Attributes:
        channels: of the image; each takes all steps with draws of its own.
        sides: whether the left and the right one of two structures of a bank have the same
            intensities and textures, ``alike``, or each its own, ``apart``.
        steps: the first is what the image begins with: ``intensity``, or an appearance that stands
            alone too (``contour``, ``shell``, ``mapper``), whose 255 becomes 1. At the end
            intensities are clipped to 0 .. 1; uint8 images hold 255 times as much.
    """

    kind: Literal["chain"] = "chain"
    channels: Annotated[Int, Field(ge=1, le=CHANNELS_MAX)] = 1
    sides: Literal["alike", "apart"] = "apart"
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=STEPS_MAX)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        first, *rest = self.steps
        if not isinstance(first, Base | Intensity):
            raise ValueError(
                "steps: the first must be intensity, contour, shell or mapper, as nothing else "
                f"writes an image, got {first.kind}"
            )
        for place, step in enumerate(rest, 1):
            if isinstance(step, Base | Intensity):
                raise ValueError(f"steps.{place}.kind: begins a chain, got {step.kind}")
            if isinstance(step, Texture | SpectralTexture) and step.relative and self.base:
                raise ValueError(
                    f"steps.{place}.relative: needs a chain that begins with intensity, "
                    f"got {first.kind}"
                )
        if isinstance(first, Intensity) and first.probability < 1:
            raise ValueError(
                f"steps.0.probability: must be 1, as nothing else writes an image, "
                f"got {first.probability:g}"
            )
        waves = sum(step.waves for step in rest if isinstance(step, SpectralTexture))
        if waves > WAVES_MAX:
            raise ValueError(f"steps: must have {WAVES_MAX} waves or fewer in all, got {waves}")
        return self

    @property
    def base(self) -> Base | None:
        """What draws the image that the chain begins with, if it does not do so itself."""
        first = self.steps[0]
        return first if isinstance(first, Base) else None

    @property
    def own_steps(self) -> tuple[StepSettings, ...]:
        """All but the base."""
        return tuple(step for step in self.steps if isinstance(step, StepSettings))

    def scaled(self, factor: Fraction) -> Self:
        """Only a base scales: the others are of the scanner, or given in voxels."""
        first, *rest = self.steps
        return self.model_copy(update={"steps": (first.scaled(factor), *rest)})

    @property
    def value_high(self) -> float:
        """Largest intensity of an image that is not of bytes."""
        return 1.0

    def check_type(self, dtype: ImageType) -> None:
        """Raise ValueError unless the base's intensities fit into bytes."""
        if self.base is not None:
            self.base.check_type("uint8")

    def check_shape(self, shape: Shape) -> None:
        """Raise ValueError, naming a field, unless volumes of ``shape`` are large enough."""
        for place, step in enumerate(self.steps):
            if isinstance(step, StepSettings):
                try:
                    step.check_shape(shape)
                except ValueError as error:
                    raise ValueError(f"appearance.steps.{place}.{error}") from None

    @property
    def buffered(self) -> bool:
        """Whether a texture spares the surroundings of boundaries."""
        return any(
            isinstance(step, Texture | SpectralTexture) and step.buffer is not None
            for step in self.steps
        )

    def buffers_wider_than(self, radius: float) -> list[str]:
        """A line for each texture that no object shows, being thinner than its buffers.

        Args:
            radius: of the largest ball in any object, voxels.
        """
        return [
            f"appearance.steps.{place}.buffer.width: every object by itself is thinner than two "
            f"buffers of {step.buffer.width[0]:g} voxels, so none shows the texture"
            for place, step in enumerate(self.steps)
            if isinstance(step, Texture | SpectralTexture)
            and step.buffer is not None
            and step.buffer.width[0] >= radius
        ]

    def tables(self, dtype: ImageType) -> ChainTables:
        """What the kernels read."""
        # Kernels want a step; the image is clipped so in any case.
        steps = self.own_steps or (Clip(),)
        settings = np.zeros((len(steps), StepSetting.SIZE), np.float32)
        fields: list[FieldSpec] = []
        bands: list[npt.NDArray[np.float32]] = []
        waves = 0
        for number, step in enumerate(steps):
            settings[number] = step.row()
            own = step.fields(number)
            settings[number, StepSetting.FIRST] = len(fields)
            fields += own
            if isinstance(step, SpectralTexture):
                settings[number, StepSetting.FIRST] = waves
                bands.append(step.bands(number, waves))
                waves += step.waves
        toned = [step.toned for step in steps]
        settings[:, StepSetting.TONE] = np.where(toned, list(accumulate(toned)), 0)
        settings[:, StepSetting.TONE] -= 1
        return ChainTables(
            channels=self.channels,
            sides_alike=self.sides == "alike",
            base=None if self.base is None else self.base.tables("uint8"),
            settings=settings,
            fields=tuple(fields),
            bands=np.concatenate(bands) if bands else np.zeros((0, 1), np.float32),
        )

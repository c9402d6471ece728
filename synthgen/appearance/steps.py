"""Steps of a chain: what makes an image of a label map, one after the other.

Intensities are in parts of white. Ranges are uniform; each step draws for each volume and channel.

References:
    Billot et al., "SynthSeg", Medical Image Analysis 86 (2023), doi:10.1016/j.media.2023.102789,
    and its public code: intensities by label, bias field, gamma, resolution.
    Sengupta et al., "SynthFM", arXiv 2504.08177; Chakrabarty et al., "SynthFM-3D", arXiv
    2601.12297: textures of several scales, soft boundaries, noise as of CT, MR and ultrasound. No
    formulas are given there: those here are our own choice.
    Tang et al., arXiv 2603.00985: textures that spare the surroundings of boundaries.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, model_validator

from synthgen.appearance.spectra import ARCHETYPES, bands_of
from synthgen.backend.plan import FieldSpec
from synthgen.kernels.appearance_records import (
    DISTANCE_MAX,
    FILTER_SD_MAX,
    OCTAVES_MAX,
    NoiseModel,
    StepKind,
    StepSetting,
)
from synthgen.settings import FloatRange, Int, Settings, distinct

# A cubic B-spline of white normals looks like white noise smoothed with this standard deviation, in
# parts of the nodes' spacing.
_SPLINE_SD = 1 / 3**0.5
_SPECKLE_SPACING = 2.0  # voxels, over which speckle is correlated

Share = Annotated[float, Field(ge=0, le=1)]
Grey = Annotated[float, Field(ge=0, le=1)]
Shape = tuple[int, int, int]


def _not_negative(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] < 0:
        raise ValueError("a range must not go below 0")
    return value


Positive = Annotated[FloatRange, AfterValidator(_not_negative)]


class StepSettings(Settings):
    """What all steps have.

    Attributes:
        probability: that a volume's channel takes the step.
    """

    step_kind: ClassVar[StepKind]
    toned: ClassVar[bool] = False  # it draws something for each label value

    probability: Share = 1.0

    def columns(self) -> Mapping[StepSetting, Any]:
        """Its columns of the table of settings; that of a low bound may hold both bounds."""
        return {}

    def row(self) -> npt.NDArray[np.float32]:
        """(StepSetting.SIZE,), but for FIRST and TONE."""
        row = np.zeros(StepSetting.SIZE, np.float32)
        row[StepSetting.KIND], row[StepSetting.PROBABILITY] = self.step_kind, self.probability
        row[StepSetting.TONE] = -1
        for column, value in self.columns().items():
            if isinstance(value, tuple):
                row[column : column + 2] = value
            else:
                row[column] = value
        return row

    def fields(self, step: int) -> list[FieldSpec]:
        """The random fields that it reads."""
        return []

    def bands(self, step: int, first: int) -> npt.NDArray[np.float32] | None:
        """The bands of the waves that it reads, if any; (K, Band.SIZE).

        Args:
            step: its number.
            first: number of its first wave.
        """
        return None

    def check_shape(self, shape: Shape) -> None:
        """Raise ValueError, naming a field, unless volumes of ``shape`` are large enough."""


class Dark(Settings):
    """A background that is dark in some volumes.

    Attributes:
        probability: of it.
        mean, sd: as of ``Intensity``.
    """

    probability: Share = 0.25
    mean: Positive = (0.0, 0.06)
    sd: Positive = (0.0, 0.02)


class Background(Settings):
    """What is labelled 0.

    Attributes:
        mean, sd: as of ``Intensity``.
        dark: instead, in some volumes.
        black: probability of a mean and a deviation of 0 instead.
    """

    mean: Positive = (0.0, 0.0)
    sd: Positive = (0.0, 0.0)
    dark: Dark | None = None
    black: Share = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dark is not None and self.dark.probability + self.black > 1:
            raise ValueError(
                "black: must be at most 1 with dark.probability, "
                f"got {self.black:g} + {self.dark.probability:g}"
            )
        return self


class Neighbour(Settings):
    """Structures that are hard to tell from the one before them.

    Where the sides of a bank are alike, the one before is as it would be if they were apart.

    Attributes:
        probability: that a label's mean goes by that of the label value before it.
        difference: between the two, to either side.
    """

    probability: Share = 0.5
    difference: Positive = (0.02, 0.15)


class Intensity(StepSettings):
    """A normal distribution of intensities for each label value; what was there is forgotten.

    Attributes:
        mean, sd: of a label's voxels.
        background: of label 0, black by default; null draws it as all others.
        neighbour: means that go by one another.
        contrast: least difference of a label's mean from the background's.
    """

    step_kind: ClassVar[StepKind] = StepKind.INTENSITY
    toned: ClassVar[bool] = True

    kind: Literal["intensity"] = "intensity"
    mean: Positive = (0.1, 0.9)
    sd: Positive = (0.0, 0.0)
    background: Background | None = Background()
    neighbour: Neighbour | None = None
    contrast: Grey = 0.0

    def columns(self) -> Mapping[StepSetting, Any]:
        behind = self.background or Background(mean=self.mean, sd=self.sd)
        dark = behind.dark or Dark(probability=0)
        near = self.neighbour or Neighbour(probability=0, difference=(0, 0))
        return {
            StepSetting.A_LOW: self.mean, StepSetting.B_LOW: self.sd,
            StepSetting.C_LOW: near.difference, StepSetting.SHARE: near.probability,
            StepSetting.D_LOW: behind.mean, StepSetting.E_LOW: behind.sd,
            StepSetting.F_LOW: dark.mean, StepSetting.G_LOW: dark.sd,
            StepSetting.DARK: dark.probability, StepSetting.BLACK: behind.black,
            StepSetting.COUNT: self.contrast,
        }  # fmt: skip


class Outline(StepSettings):
    """Lines along all boundaries between labels.

    Attributes:
        value: of the lines.
        width: voxels, twice as far from the voxels at a boundary; so a line of 0 is one voxel to
            either side, and one of 2 is two.
    """

    step_kind: ClassVar[StepKind] = StepKind.OUTLINE

    kind: Literal["outline"] = "outline"
    value: Positive = (0.5, 0.5)
    width: Annotated[float, Field(ge=0, lt=2 * DISTANCE_MAX)] = 2.0

    def columns(self) -> Mapping[StepSetting, Any]:
        return {StepSetting.A_LOW: self.value, StepSetting.B_LOW: (self.width, self.width)}


class Buffer(Settings):
    """A zone along boundaries that a texture leaves as it is.

    Attributes:
        width: from the boundary's voxels to where the texture sets in, voxels.
        ramp: from there to where it is whole, voxels.
    """

    width: Positive = (2.0, 4.0)
    ramp: Annotated[float, Field(gt=0, le=DISTANCE_MAX)] = 3.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width[1] + self.ramp > DISTANCE_MAX:
            raise ValueError(
                f"width: with the ramp at most {DISTANCE_MAX} voxels, "
                f"got {list(self.width)} and {self.ramp:g}"
            )
        return self


class _Texture(StepSettings):
    """What textures have.

    Attributes:
        amplitude: of each label's texture, the standard deviation of a single scale or of waves;
            of several scales the parts add up to it, so theirs together is less.
        relative: amplitudes are in parts of the label's mean intensity.
        buffer: where it fades towards boundaries; null: it does not.
    """

    toned: ClassVar[bool] = True

    amplitude: Positive = (0.02, 0.2)
    relative: bool = False
    buffer: Buffer | None = None

    def _texture_columns(self, count: int) -> Mapping[StepSetting, Any]:
        zone = {} if self.buffer is None else {
            StepSetting.B_LOW: self.buffer.width,
            StepSetting.C_LOW: (self.buffer.ramp, self.buffer.ramp),
        }  # fmt: skip
        return {
            StepSetting.A_LOW: self.amplitude, StepSetting.SHARE: float(self.relative),
            StepSetting.COUNT: count, **zone,
        }  # fmt: skip


class Texture(_Texture):
    """Smooth random textures of several scales, mixed for each label in shares of its own.

    Attributes:
        scales: standard deviations of the Gaussians that would smooth white noise alike, voxels.
    """

    step_kind: ClassVar[StepKind] = StepKind.TEXTURE

    kind: Literal["texture"] = "texture"
    scales: Annotated[
        tuple[Annotated[float, Field(ge=0.75, le=128)], ...],
        Field(min_length=1, max_length=OCTAVES_MAX),
        AfterValidator(distinct),
    ] = (1.0, 2.0, 4.0, 8.0)

    def columns(self) -> Mapping[StepSetting, Any]:
        return self._texture_columns(len(self.scales))

    def fields(self, step: int) -> list[FieldSpec]:
        return [FieldSpec(step, spacing=scale / _SPLINE_SD) for scale in self.scales]


class SpectralTexture(_Texture):
    """Random waves of prescribed power spectra, the same for all labels but for the amplitude.

    Attributes:
        archetypes: whose spectra are mixed, in shares that are drawn.
        waves: how many cosines, shared by the archetypes.
    """

    step_kind: ClassVar[StepKind] = StepKind.WAVES

    kind: Literal["spectral_texture"] = "spectral_texture"
    archetypes: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(distinct)] = tuple(
        ARCHETYPES
    )
    waves: Annotated[Int, Field(ge=4, le=128)] = 32

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = [name for name in self.archetypes if name not in ARCHETYPES]
        if unknown:
            raise ValueError(f"archetypes: must be of {', '.join(ARCHETYPES)}, got {unknown[0]!r}")
        return self

    def columns(self) -> Mapping[StepSetting, Any]:
        return self._texture_columns(self.waves)

    def bands(self, step: int, first: int) -> npt.NDArray[np.float32]:
        return bands_of(self.archetypes, self.waves, step, first)


class Blur(StepSettings):
    """Gaussian smoothing, as of voxels that boundaries cut through.

    Attributes:
        sd: standard deviation along y and x, voxels.
        across: along z; null: as along the others.
    """

    step_kind: ClassVar[StepKind] = StepKind.BLUR

    kind: Literal["blur"] = "blur"
    sd: Positive = (0.3, 1.5)
    across: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value in (("sd", self.sd), ("across", self.across or self.sd)):
            if value[1] > FILTER_SD_MAX:
                raise ValueError(f"{name}: must lie in 0..{FILTER_SD_MAX}, got {list(value)}")
        return self

    def columns(self) -> Mapping[StepSetting, Any]:
        # -1: along z as along the others.
        return {StepSetting.A_LOW: self.sd, StepSetting.B_LOW: self.across or (-1.0, -1.0)}

    def check_shape(self, shape: Shape) -> None:
        along_z = "sd" if self.across is None else "across"
        for side, name in zip(shape, (along_z, "sd", "sd"), strict=True):
            sd = getattr(self, name)[1]
            if side > 1 and 3 * sd > side:
                raise ValueError(
                    f"{name}: three standard deviations must fit into a side of {side} voxels, "
                    f"got {sd:g}"
                )


class BiasField(StepSettings):
    """Smooth brightness: e to the power of a field that is interpolated between few nodes.

    Attributes:
        sd: standard deviation of the nodes.
        share: nodes along an axis in parts of its voxels; at least two.
    """

    step_kind: ClassVar[StepKind] = StepKind.BIAS

    kind: Literal["bias_field"] = "bias_field"
    sd: Positive = (0.0, 0.7)
    share: Annotated[float, Field(gt=0, le=0.25)] = 0.025

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.sd[1] > 4:
            raise ValueError(f"sd: must lie in 0..4, got {list(self.sd)}")
        return self

    def columns(self) -> Mapping[StepSetting, Any]:
        return {StepSetting.A_LOW: self.sd}

    def fields(self, step: int) -> list[FieldSpec]:
        return [FieldSpec(step, share=self.share)]


class Gamma(StepSettings):
    """Intensities to the power of e^x, x normal; those below 0 become 0.

    Attributes:
        sd: standard deviation of x.
    """

    step_kind: ClassVar[StepKind] = StepKind.GAMMA

    kind: Literal["gamma"] = "gamma"
    sd: Annotated[float, Field(ge=0, le=2)] = 0.5

    def columns(self) -> Mapping[StepSetting, Any]:
        return {StepSetting.A_LOW: (0.0, self.sd)}


class Noise(StepSettings):
    """Noise of every voxel.

    Attributes:
        models: one of them is drawn: ``gaussian`` is added; ``rician`` is that of the magnitude of
            a complex number; ``speckle`` multiplies by a Rayleigh number of mean 1, correlated over
            two voxels.
        sd: of the noise; of speckle, of the factor.
    """

    step_kind: ClassVar[StepKind] = StepKind.NOISE

    kind: Literal["noise"] = "noise"
    models: Annotated[
        tuple[Literal["gaussian", "rician", "speckle"], ...],
        Field(min_length=1),
        AfterValidator(distinct),
    ] = ("gaussian",)
    sd: Positive = (0.0, 0.1)

    def columns(self) -> Mapping[StepSetting, Any]:
        models = sum(1 << NoiseModel[name.upper()] for name in self.models)
        return {StepSetting.A_LOW: self.sd, StepSetting.COUNT: models}

    def fields(self, step: int) -> list[FieldSpec]:
        return [FieldSpec(step, spacing=_SPECKLE_SPACING)] * 2 if "speckle" in self.models else []


class Clip(StepSettings):
    """Intensities outside of bounds become the bounds.

    Attributes:
        bounds: least and most.
    """

    step_kind: ClassVar[StepKind] = StepKind.CLIP

    kind: Literal["clip"] = "clip"
    bounds: FloatRange = (0.0, 1.0)

    def columns(self) -> Mapping[StepSetting, Any]:
        return {StepSetting.A_LOW: self.bounds}


class Normalize(StepSettings):
    """The least intensity of the channel becomes 0, the largest 1."""

    step_kind: ClassVar[StepKind] = StepKind.NORMALIZE

    kind: Literal["normalize"] = "normalize"


class Resolution(StepSettings):
    """A scan of coarser voxels, brought back to the volume's by linear interpolation.

    It is blurred as its slices' thickness would, 0.75 times the lesser of spacing and thickness.

    Attributes:
        probability: of coarser voxels; of the others, the blur is half a voxel.
        isotropic: of coarser voxels along all axes, not along a random one.
        spacing: most, along one axis, mm; the least is the volume's own.
        isotropic_spacing: most along all axes, mm.
    """

    step_kind: ClassVar[StepKind] = StepKind.RESOLUTION

    kind: Literal["resolution"] = "resolution"
    probability: Share = 0.95
    isotropic: Share = 0.1
    spacing: Annotated[float, Field(gt=0, le=40)] = 8.0
    isotropic_spacing: Annotated[float, Field(gt=0, le=40)] = 4.0

    def columns(self) -> Mapping[StepSetting, Any]:
        return {
            StepSetting.A_LOW: (0.0, self.isotropic_spacing),
            StepSetting.B_LOW: (0.0, self.spacing),
            StepSetting.SHARE: self.isotropic,
        }  # fmt: skip

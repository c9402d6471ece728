"""What determines a pre-training run, besides its volumes."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthgen.settings import Int, Shape, one_line
from synthgen.tensors import Normalize
from synthgen.training.networks import check_shape

Preset = Literal["published", "tiny"]

_Count = Annotated[Int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0)]

# Of PrimGeoSeg's pre-training; its text gives no number of steps and no warm-up.
_PUBLISHED = {
    "shape": (96, 96, 96),
    "steps": 25_000,
    "batch_size": 8,
    "learning_rate": 1e-4,
    "warmup": 500,
    "validation": 32,
    "validate_every": 1000,
    "checkpoint_every": 1000,
}
_TINY = {
    "steps": 1000,
    "batch_size": 2,
    "learning_rate": 1e-3,
    "warmup": 50,
    "validation": 16,
    "validate_every": 100,
    "checkpoint_every": 100,
}
_TINY_SHAPES = {"swinunetr": (64, 64, 32), "unetr": (48, 48, 48)}
_PLANAR_SHAPES = {"published": (1, 256, 256), "tiny": (1, 64, 64)}


class PretrainSettings(BaseModel):
    """Settings of a run; a run resumes only with the same ones.

    Attributes:
        network: a name in ``NETWORKS``.
        preset: of the network's arguments.
        shape: (D, H, W) of the input, voxels: of volumes that are generated, of patches of a store;
            (1, H, W) trains a network of two dimensions.
        steps: of the optimizer.
        batch_size: volumes a rank takes at once; a step takes ``accumulate`` times as many.
        loss: ``dice``, ``ce``, the cross entropy, or ``dicece``, their sum; softmax, background
            included. Labels of whole volumes have ``ce`` alone.
        learning_rate: highest, after ``warmup`` steps; a cosine brings it to 0.
        weight_decay: of AdamW.
        clip: highest norm of the gradient; 0 leaves it as it is.
        precision: of Lightning Fabric.
        augment: flips, turns by 90 degrees and changes of intensity, after rendering.
        volumes: size of the set that is gone through again and again; None: no volume comes twice.
        validation: volumes held out; of a store, the first of those it lists, at most so many.
        validate_every, checkpoint_every: steps; both are also done after the last one.
        seed: of volumes, of their order, of weights and of augmentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    network: str
    preset: Preset
    shape: Shape
    steps: _Count
    batch_size: _Count
    accumulate: _Count = 1
    loss: Literal["dice", "dicece", "ce"] = "dicece"
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: _Share = 1e-5
    warmup: Annotated[Int, Field(ge=0)]
    clip: _Share = 1.0
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    normalize: Normalize = "unit"
    augment: bool = False
    volumes: _Count | None = None
    validation: _Count
    validate_every: _Count
    checkpoint_every: _Count
    seed: Annotated[Int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_shape(self.network, self.shape)
        return self

    @classmethod
    def of(
        cls, network: str, preset: str, *, planar: bool = False, whole: bool = False, **changes: Any
    ) -> Self:
        """The preset's settings with ``changes``.

        Args:
            planar: the preset's shape is one of planes.
            whole: the preset's loss is one for labels of whole volumes.

        Raises:
            ValueError: naming the setting, the rule and the value.
        """
        check_shape(network, (96, 96, 96))  # the network's name
        tiny = {**_TINY, "shape": _TINY_SHAPES[network]}
        values = {
            "network": network,
            "preset": preset,
            **(tiny if preset == "tiny" else _PUBLISHED),
            **({"shape": _PLANAR_SHAPES.get(preset)} if planar else {}),
            **({"loss": "ce"} if whole else {}),
            **changes,
        }
        return cls.read(values)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """All settings from plain values; raises ValueError as ``of`` does."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(one_line(error, values)) from None

    def differences(self, other: "PretrainSettings") -> list[str]:
        """Each setting in which ``other`` asks for another run, with both values."""
        ours, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return [
            f"{name} is {ours[name]} there, {theirs[name]} asked"
            for name in ours
            if ours[name] != theirs[name]
        ]

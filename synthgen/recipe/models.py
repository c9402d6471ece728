"""A recipe: one choice for each stage of making a labelled volume, with its settings."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from operator import index
from pathlib import Path
from typing import Annotated, Any, Literal, Self, SupportsIndex

import yaml
from pydantic import Field, ValidationError, model_validator

from synthgen.appearance.contour import Contour, ImageType
from synthgen.appearance.mapper import MappedDistance
from synthgen.appearance.shell import Shell
from synthgen.labels.by_priority import ByPriority
from synthgen.labels.by_volume import ByVolume
from synthgen.labels.tasks import MultiTask, Task, WholeVolume
from synthgen.placement.free import Free
from synthgen.placement.gibbs import Gibbs
from synthgen.placement.overlap import Overlap
from synthgen.recipe.combinations import check_combination
from synthgen.settings import RecipeError, Settings, Shape, one_line, parse_yaml
from synthgen.shapes.bank import BankShapes
from synthgen.shapes.polygon_stack import PolygonStack
from synthgen.shapes.sdf import SdfShapes

SIDE_LOW, SIDE_HIGH = 16, 512
LABEL_HIGH = {"uint8": 255, "uint16": 65535}
_FIRST_KINDS = {
    "shapes": "polygon_stack", "placement": "overlap", "appearance": "contour",
    "labels": "by_volume",
}  # fmt: skip
_BANK_KINDS = {"placement": "gibbs", "appearance": "shell", "labels": "by_priority"}


class Recipe(Settings):
    """One choice per stage; with a seed and an index it determines a volume to the bit.

    Attributes:
        format: version of the meaning of recipes; voxels change only with it.
        name, description: for people; not part of the digest.
        reference_shape: (D, H, W) of a volume, in voxels, for which the stages' lengths are given.
        spacing: (z, y, x) of a voxel, mm.
        image_dtype: uint8, float16 or float32.
        label_dtype: uint8, or uint16 for more than 255 classes.
    """

    format: Literal[1] = 1
    name: str
    description: str = ""
    reference_shape: Shape = (96, 96, 96)
    spacing: tuple[
        Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
    ] = (1.0, 1.0, 1.0)
    image_dtype: ImageType = "uint8"
    label_dtype: Literal["uint8", "uint16"] = "uint8"
    shapes: Annotated[PolygonStack | SdfShapes | BankShapes, Field(discriminator="kind")]
    placement: Annotated[Overlap | Free | Gibbs, Field(discriminator="kind")] = Overlap()
    appearance: Annotated[Contour | MappedDistance | Shell, Field(discriminator="kind")] = Contour()
    labels: Annotated[
        ByVolume | ByPriority | MultiTask | WholeVolume, Field(discriminator="kind")
    ] = ByVolume()

    @model_validator(mode="before")
    @classmethod
    def _name_kinds(cls, values: Any) -> Any:
        """A stage that names no kind is of the kind that was the only one at first.

        Those of a bank's shapes are there without being named.
        """
        if not isinstance(values, dict):
            return values
        shapes = values.get("shapes")
        if isinstance(shapes, dict) and shapes.get("kind") == "bank":
            return values | {
                stage: {"kind": kind} | values.get(stage, {})
                for stage, kind in _BANK_KINDS.items()
                if isinstance(values.get(stage, {}), dict)
            }
        return values | {
            stage: {"kind": kind} | values[stage]
            for stage, kind in _FIRST_KINDS.items()
            if isinstance(values.get(stage), dict)
        }

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_shape(self.reference_shape, "reference_shape")
        self.shapes.check_fits(self.reference_shape)
        self.appearance.check_type(self.image_dtype)
        check_combination(self.shapes, self.placement, self.appearance, self.labels)
        if self.shapes.pinned:
            self._check_tasks()
        return self

    def _check_tasks(self) -> None:
        high, background = LABEL_HIGH[self.label_dtype], int(self.labels.per_voxel)
        for task in self.tasks:
            classes = len(task.class_names) - background
            if classes + background - 1 > high:
                raise ValueError(
                    f"label_dtype: {self.label_dtype} holds {high} classes, got {classes}; "
                    "use uint16"
                )
            if isinstance(self.labels, MultiTask | WholeVolume) and classes < 2:
                raise ValueError(
                    f"labels.tasks: a task needs two classes or more, got {task.class_names} "
                    f"for {task.name}"
                )

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read a mapping as YAML gives it.

        Raises:
            RecipeError: naming the field, the rule and the value.
        """
        if not isinstance(values, dict):
            raise RecipeError(f"a recipe is a mapping of fields, got {type(values).__name__}")
        try:
            # Strict: "0.7" is no number and true is none; a list is YAML's tuple.
            return cls.model_validate(_tuples(values), strict=True)
        except ValidationError as error:
            raise RecipeError(one_line(error, values)) from None
        except RecursionError:
            raise RecipeError("values are nested too deep, or in themselves") from None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read YAML text; raises RecipeError."""
        try:
            values = parse_yaml(text)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        return cls.from_dict(values)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a YAML file; raises RecipeError, with the path."""
        try:
            return cls.from_yaml(Path(path).read_text())
        except (RecipeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: {error}") from None
        except OSError as error:
            raise RecipeError(f"{path}: {error.strerror}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a data set's attributes."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=100)

    def resolved(self) -> Self:
        """The recipe with files that it names pinned by what they hold; raises RecipeError."""
        try:
            shapes = self.shapes.resolved()
        except ValidationError as error:
            raise RecipeError(f"shapes.{one_line(error, self.shapes.model_dump())}") from None
        except ValueError as error:
            raise RecipeError(f"shapes.{error}") from None
        return self if shapes is self.shapes else self.replace(shapes=shapes)

    def digest(self) -> str:
        """SHA-256 of what determines the volumes: canonical JSON.

        Names of the recipe and of folders are left out: of meshes and of a bank, their own digest
        counts.
        """
        paths = {"meshes": {"folder": True}, "bank": True}
        unnamed: Mapping[str, Any] = {"name": True, "description": True, "shapes": paths}
        values = self.model_dump(mode="json", exclude=unnamed)
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def replace(self, **changes: Any) -> Self:
        """A copy with fields changed, checked; ``placement__ratio=0.5`` reaches into a stage.

        Raises:
            RecipeError: naming the field, the rule and the value.
        """
        values = self.model_dump()
        for key, value in changes.items():
            *parents, leaf = key.split("__")
            target = values
            for parent in parents:
                if not isinstance(target.get(parent), dict):
                    raise RecipeError(f"{parent}: unknown stage, got {key!r}")
                target = target[parent]
            target[leaf] = value.model_dump() if isinstance(value, Settings) else value
        return self.from_dict(values)

    def at_shape(self, shape: Sequence[int], *, scale: bool = True) -> Self:
        """The recipe for volumes of ``shape`` (D, H, W).

        Lengths are multiplied by the ratio of the least sides, unless ``scale`` is false.

        Raises:
            RecipeError: the shape is out of bounds, or too small for the objects.
        """
        try:
            new = check_shape(shape, "shape")
        except ValueError as error:
            raise RecipeError(str(error)) from None
        factor = Fraction(min(new), min(self.reference_shape)) if scale else Fraction(1)
        stages = ("shapes", "placement", "appearance", "labels")
        changes = {stage: getattr(self, stage).scaled(factor) for stage in stages}
        return self.replace(reference_shape=new, **changes)

    @property
    def tasks(self) -> list[Task]:
        """What the label maps tell, in the order of the label's axis T."""
        names = {"shape": self.shapes.class_names}
        if isinstance(self.shapes, SdfShapes):
            names["displacement"] = self.shapes.displacement_names
        if isinstance(self.appearance, MappedDistance):
            names["mapper"] = self.appearance.mapper_names
        background = ["background"] if self.labels.per_voxel else []
        return [Task(name, [*background, *names[name]]) for name in self.labels.task_names]

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Of one volume's label: (T, D, H, W), or (T,) of whole volumes."""
        tasks = len(self.labels.task_names)
        return (tasks, *self.reference_shape) if self.labels.per_voxel else (tasks,)

    @property
    def class_names(self) -> list[str]:
        """Names by label value, of the first task; of label maps, the first is the background."""
        return self.tasks[0].class_names

    @property
    def intensity_high(self) -> float:
        """Largest intensity that an image can have; the least is 0."""
        return float(self.appearance.value_high)

    @property
    def num_classes(self) -> int:
        """Label values of the first task: of label maps, the channels of a segmentation network."""
        return len(self.class_names)


def _tuples(values: Any, made: dict[int, Any] | None = None) -> Any:
    """The same values with tuples for lists; what YAML's aliases share stays shared.

    Args:
        made: results by ``id``.
    """
    made = {} if made is None else made
    if not isinstance(values, dict | list | tuple):
        return values
    if id(values) not in made:
        made[id(values)] = (
            {key: _tuples(value, made) for key, value in values.items()}
            if isinstance(values, dict)
            else tuple(_tuples(value, made) for value in values)
        )
    return made[id(values)]


def check_shape(shape: Sequence[int], name: str) -> Shape:
    """Return ``shape`` as (D, H, W), or raise ValueError naming the rule."""
    match tuple(shape):
        case (SupportsIndex() as d, SupportsIndex() as h, SupportsIndex() as w):
            sides = index(d), index(h), index(w)
            if all(SIDE_LOW <= side <= SIDE_HIGH for side in sides):
                return sides
    raise ValueError(
        f"{name}: needs 3 sides (D, H, W) of {SIDE_LOW}..{SIDE_HIGH} voxels, got {list(shape)}"
    )

"""A recipe: one choice for each stage of making a labelled volume, with its settings."""

import hashlib
import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import index
from pathlib import Path
from typing import Annotated, Any, Literal, Self, SupportsIndex, TypeVar

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import Field, ValidationError, model_validator

from synthgen.appearance.as_is import AsIsImage
from synthgen.appearance.chain import Chain
from synthgen.appearance.contour import Contour, ImageType
from synthgen.appearance.mapper import MappedDistance
from synthgen.appearance.shell import Shell
from synthgen.labels.by_order import ByOrder
from synthgen.labels.by_priority import ByPriority
from synthgen.labels.by_volume import ByVolume
from synthgen.labels.prompts import Prompts
from synthgen.labels.tasks import MultiTask, Task, WholeVolume
from synthgen.placement.as_is import AsIs
from synthgen.placement.free import Free
from synthgen.placement.gibbs import Gibbs
from synthgen.placement.neighbours import Neighbours
from synthgen.placement.overlap import Overlap
from synthgen.recipe.combinations import FITS, check_combination
from synthgen.settings import RecipeError, Settings, Shape, one_line, parse_yaml
from synthgen.shapes.bank import BankShapes
from synthgen.shapes.fractal import Fractal
from synthgen.shapes.label_map import LabelMapShapes
from synthgen.shapes.masks import Masks
from synthgen.shapes.pairs import Pairs
from synthgen.shapes.polygon_stack import PolygonStack
from synthgen.shapes.sdf import SdfShapes

Read = TypeVar("Read")

SIDE_LOW, SIDE_HIGH = 16, 512
LABEL_HIGH = {"uint8": 255, "uint16": 65535}
_FIRST_KINDS = {
    "shapes": "polygon_stack", "placement": "overlap", "appearance": "contour",
    "labels": "by_volume",
}  # fmt: skip


def read_document(path: str | Path, read: Callable[[str], Read]) -> Read:
    """What ``read`` makes of a file's text; raises RecipeError, with the path."""
    try:
        return read(Path(path).read_text())
    except (RecipeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from None
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}") from None


class Document(Settings):
    """Settings that are read from, and written as, YAML."""

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
        return read_document(path, cls.from_yaml)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a data set's attributes."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=100)

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


class Recipe(Document):
    """One choice per stage; with a seed and an index it determines a volume to the bit.

    Attributes:
        format: version of the meaning of recipes; voxels change only with it.
        name, description: for people; not part of the digest.
        reference_shape: (D, H, W) of a volume, in voxels, for which the stages' lengths are given.
        spacing: (z, y, x) of a voxel, mm.
        image_dtype: uint8, float16 or float32.
        label_dtype: uint8, or uint16 for more than 255 classes.
        prompts: clicks and boxes that come with the labels of the first task; none by default.
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
    shapes: Annotated[
        PolygonStack | SdfShapes | BankShapes | LabelMapShapes | Masks | Fractal | Pairs,
        Field(discriminator="kind"),
    ]
    placement: Annotated[
        Overlap | Free | Gibbs | AsIs | Neighbours, Field(discriminator="kind")
    ] = Overlap()
    appearance: Annotated[
        Contour | MappedDistance | Shell | Chain | AsIsImage, Field(discriminator="kind")
    ] = Contour()
    labels: Annotated[
        ByVolume | ByPriority | ByOrder | MultiTask | WholeVolume, Field(discriminator="kind")
    ] = ByVolume()
    prompts: Prompts | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_kinds(cls, values: Any) -> Any:
        """A stage that names no kind is of the kind that was the only one at first.

        Later kinds of shapes come with their usual stages, which need not be named.
        """
        if not isinstance(values, dict):
            return values
        shapes = values.get("shapes")
        kind = str(shapes.get("kind")) if isinstance(shapes, dict) else ""
        fits = FITS.get(kind)
        if fits is not None and kind not in ("polygon_stack", "sdf"):
            return values | {
                stage: {"kind": kinds[0]} | values.get(stage, {})
                for stage, kinds in fits._asdict().items()
                if isinstance(values.get(stage, {}), dict)
            }
        return values | {
            stage: {"kind": kind} | values[stage]
            for stage, kind in _FIRST_KINDS.items()
            if isinstance(values.get(stage), dict)
        }

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_shape(self.reference_shape, "reference_shape", self.shapes.least_depth)
        self.shapes.check_fits(self.reference_shape)
        self.appearance.check_type(self.image_dtype)
        if isinstance(self.appearance, Chain):
            self.appearance.check_shape(self.reference_shape)
        if isinstance(self.shapes, Pairs):
            self.shapes.check_spacing(self.spacing)
        if self.prompts is not None and not self.labels.per_voxel:
            raise ValueError("prompts: are drawn from label maps, and labels are of whole volumes")
        check_combination(self.shapes, self.placement, self.appearance, self.labels)
        if self.shapes.pinned:
            self._check_tasks()
        return self

    def _check_tasks(self) -> None:
        high, background = LABEL_HIGH[self.label_dtype], int(self.labels.per_voxel)
        if self.prompts is not None:
            self.prompts.check_values(self.num_classes)
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

    def resolved(self) -> Self:
        """The recipe with files that it names pinned by what they hold; raises RecipeError."""
        try:
            shapes = self.shapes.resolved()
        except ValidationError as error:
            raise RecipeError(f"shapes.{one_line(error, self.shapes.model_dump())}") from None
        except ValueError as error:
            raise RecipeError(f"shapes.{error}") from None
        return self if shapes is self.shapes else self.replace(shapes=shapes)

    def remarks(self) -> list[str]:
        """What is wrong with the recipe, or with files that it names, though it can be used.

        Raises:
            ValueError: files are not what the recipe was pinned to.
        """
        found = self.shapes.remarks()
        if isinstance(self.appearance, Chain) and self.appearance.buffered:
            ball = self.shapes.largest_ball(self.reference_shape, self.spacing)
            found += self.appearance.buffers_wider_than(ball)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a data set's attributes; without prompts no word of them."""
        values = super().to_dict()
        if self.prompts is None:
            del values["prompts"]
        return values

    def digest(self) -> str:
        """SHA-256 of what determines the volumes: canonical JSON.

        Names of the recipe and of folders are left out: of meshes and of a bank, their own digest
        counts.
        """
        paths = {"meshes": {"folder": True}, "bank": True}
        if isinstance(self.shapes, Pairs):
            paths = {"folder": True, "memory": True}
        unnamed: dict[str, Any] = {"name": True, "description": True, "shapes": paths}
        if self.prompts is None:  # recipes from before there were any keep their digest
            unnamed["prompts"] = True
        values = self.model_dump(mode="json", exclude=unnamed)
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def at_shape(self, shape: Sequence[int], *, scale: bool = True) -> Self:
        """The recipe for volumes of ``shape`` (D, H, W).

        Lengths are multiplied by the ratio of the least sides, unless ``scale`` is false; a
        planar volume's depth of 1 voxel is none of them.

        Raises:
            RecipeError: the shape is out of bounds, or too small for the objects.
        """
        try:
            new = check_shape(shape, "shape", self.shapes.least_depth)
        except ValueError as error:
            raise RecipeError(str(error)) from None
        factor = Fraction(_least(new), _least(self.reference_shape)) if scale else Fraction(1)
        stages = ("shapes", "placement", "appearance", "labels", "prompts")
        changes = {
            stage: getattr(self, stage).scaled(factor)
            for stage in stages
            if getattr(self, stage) is not None
        }
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
    def per_voxel(self) -> bool:
        """Label maps, or one value a task for the whole volume."""
        return self.labels.per_voxel

    @property
    def class_names(self) -> list[str]:
        """Names by label value, of the first task; of label maps, the first is the background."""
        return self.tasks[0].class_names

    @property
    def label_values(self) -> npt.NDArray[np.int64]:
        """The label of each value that the shapes give, of the first task."""
        if isinstance(self.shapes, LabelMapShapes):
            return self.shapes.label_values
        return np.arange(self.num_classes)

    @property
    def intensity_high(self) -> float:
        """Largest intensity that an image can have; the least is 0."""
        if isinstance(self.appearance, Chain | AsIsImage) and self.image_dtype == "uint8":
            return 255.0
        return float(self.appearance.value_high)

    @property
    def channels(self) -> int:
        """Of the image."""
        if isinstance(self.shapes, Pairs):
            return self.shapes.channels or 1
        return self.appearance.channels if isinstance(self.appearance, Chain) else 1

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


def check_shape(shape: Sequence[int], name: str, least_depth: int = SIDE_LOW) -> Shape:
    """Return ``shape`` as (D, H, W), or raise ValueError naming the rule.

    Args:
        least_depth: 1 where volumes may be planar: D is that, or as the other sides.
    """
    match tuple(shape):
        case (SupportsIndex() as d, SupportsIndex() as h, SupportsIndex() as w):
            sides = index(d), index(h), index(w)
            planar = sides[0] == least_depth == 1
            if all(SIDE_LOW <= side <= SIDE_HIGH for side in sides[planar:]):
                return sides
    depth = " (or D = 1)" if least_depth == 1 else ""
    raise ValueError(
        f"{name}: needs 3 sides (D, H, W) of {SIDE_LOW}..{SIDE_HIGH} voxels{depth}, "
        f"got {list(shape)}"
    )


def _least(shape: Shape) -> int:
    """The least side, but for the depth of a planar volume."""
    return min(side for side in shape if side > 1)

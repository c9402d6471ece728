"""Zarr's metadata of a store: its arrays, and what it says of itself."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from synthgen.kernels.prompt_records import PromptRow
from synthgen.recipe import recipe_from_dict
from synthgen.store.codecs import codec_of, zarr_codecs
from synthgen.store.plan import StorePlan

if TYPE_CHECKING:
    from synthgen.engine import Batch

FORMAT = "synthgen-store"
FORMAT_VERSION = 1
PROMPTS_VERSION = 2  # of the format of stores that have the array of prompts, too
ARRAYS = ("image", "label")
PROMPTS = "prompts"
ALL_ARRAYS = (*ARRAYS, PROMPTS)

# By number, of one volume's label: a value, a value a task, a label map, a label map a task.
_LABEL_AXES = {0: (), 1: ("task",), 3: ("z", "y", "x"), 4: ("task", "z", "y", "x")}
_PACKAGES = ("synthgen", "zarr", "numcodecs", "numpy", "numba")


def metadata(plan: StorePlan, like: "Batch") -> dict[str, bytes]:
    """Zarr's metadata files by path, made by zarr itself in memory.

    Args:
        like: a batch of any volumes, for the arrays' types and axes.
    """
    import zarr
    from zarr.storage import MemoryStore

    documents: dict[str, Any] = {}
    attributes = _group_attributes(plan)
    if like.prompts is not None:
        attributes["format_version"] = PROMPTS_VERSION
    group = zarr.create_group(MemoryStore(documents), attributes=attributes)
    label = like.label.shape[1:] if like.label.shape[1] > 1 else like.label.shape[2:]
    _create_array(
        group, plan, "image", like.image.dtype, like.image.shape[1:],
        ("volume", "channel", "z", "y", "x"), _image_attributes(plan),
    )  # fmt: skip
    _create_array(
        group, plan, "label", like.label.dtype, label,
        ("volume", *_LABEL_AXES[len(label)]), _classes(plan),
    )  # fmt: skip
    if like.prompts is not None:
        _create_array(
            group, plan, PROMPTS, like.prompts.dtype, like.prompts.shape[1:],
            ("volume", "class", "column"), _prompt_attributes(),
        )  # fmt: skip
    return {name: buffer.to_bytes() for name, buffer in documents.items()}


def _create_array(
    group: Any,
    plan: StorePlan,
    name: str,
    dtype: Any,
    volume: tuple[int, ...],
    axes: tuple[str, ...],
    attributes: dict[str, Any],
) -> None:
    group.create_array(
        name,
        shape=(plan.count, *volume),
        chunks=(1, *volume),
        shards=(plan.shard_size, *volume),
        dtype=dtype,
        compressors=zarr_codecs(codec_of(plan.codec, name), dtype.itemsize),
        filters=(),
        fill_value=0,
        dimension_names=axes,
        attributes=attributes,
        # A flat folder: one fsync makes the name of a new shard durable.
        chunk_key_encoding={"name": "default", "separator": "."},
    )


def _group_attributes(plan: StorePlan) -> dict[str, Any]:
    """What the store says of itself.

    ``affine`` maps voxel indices (x, y, z, 1) to mm, x to the patient's right, y to anterior and
    z to superior (RAS), with the first voxel's centre at 0.
    """
    z, y, x = spacing = plan.recipe["spacing"]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "recipe": plan.recipe,
        "recipe_digest": plan.recipe_digest,
        "seed": plan.seed,
        "count": plan.count,
        "shape": list(plan.shape),
        "shard_size": plan.shard_size,
        "codec": plan.codec,
        "splits": plan.splits,
        "spacing": spacing,
        "spacing_unit": "mm",
        "affine": [
            [x, 0.0, 0.0, 0.0],
            [0.0, y, 0.0, 0.0],
            [0.0, 0.0, z, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ],
        **_classes(plan),
        "versions": {package: version(package) for package in _PACKAGES},
    }


def _image_attributes(plan: StorePlan) -> dict[str, Any]:
    """Intensity = stored value x scale + offset."""
    return {
        "intensity_scale": 1.0,
        "intensity_offset": 0.0,
        "spacing": plan.recipe["spacing"],
    }


def _prompt_attributes() -> dict[str, Any]:
    """Row k is of label value k + 1; where each part of a row begins."""
    columns = {column.name.lower(): int(column) for column in PromptRow if column != PromptRow.SIZE}
    return {"first_label": 1, "columns": columns}


def _classes(plan: StorePlan) -> dict[str, Any]:
    """What label values mean: of the first task, and of all where labels are not one label map."""
    recipe = recipe_from_dict(plan.recipe)
    classes: dict[str, Any] = {"class_names": recipe.class_names}
    if len(recipe.tasks) > 1 or not recipe.per_voxel:
        classes["tasks"] = [task._asdict() for task in recipe.tasks]
    return classes

"""Which kinds of stages fit together, and why others do not."""

from typing import NamedTuple

from synthgen.appearance.chain import Chain
from synthgen.appearance.mapper import MappedDistance
from synthgen.kernels.sdf_records import SDF_CORNERS_MAX
from synthgen.labels.tasks import LabelSettings
from synthgen.settings import Settings
from synthgen.shapes.of_bank import OfBank
from synthgen.shapes.polygon_stack import PolygonStack
from synthgen.shapes.sdf import SdfShapes


class Fits(NamedTuple):
    """Kinds of the other stages that a kind of shapes goes with; the first is its usual one."""

    placement: tuple[str, ...]
    appearance: tuple[str, ...]
    labels: tuple[str, ...]


_TOLD = ("by_volume", "multi_task", "whole_volume")
FITS = {
    "polygon_stack": Fits(("overlap",), ("contour", "mapper", "chain"), _TOLD),
    "sdf": Fits(("free", "overlap"), ("mapper", "chain"), _TOLD),
    "bank": Fits(("gibbs",), ("shell", "chain"), ("by_priority",)),
    "label_map": Fits(("as_is",), ("chain",), ("by_priority",)),
    "pairs": Fits(("as_is",), ("as_is",), ("by_priority",)),
    "masks": Fits(("neighbours",), ("chain",), ("by_order",)),
    "fractal": Fits(("free",), ("chain",), ("by_volume",)),
}
# Why a kind of a stage goes with few kinds of shapes.
_REASONS = {
    "gibbs": "it goes by relations, which only a bank's structures have",
    "as_is": "it takes what files hold as it is",
    "neighbours": "it sets masks beside one another as they are drawn",
    "contour": "a contour follows the sections of polygon stacks; a chain's outline, any boundary",
    "shell": "it goes by distances in a bank's grids",
    "by_priority": "it goes by relations, which only a bank's structures have",
    "by_order": "it goes by the order of masks",
}
_WITH_STACKS = {"free": "polygon stacks are placed by overlap (with ratio 1.0 wherever they fall)"}


def check_combination(
    shapes: Settings, placement: Settings, appearance: Settings, labels: LabelSettings
) -> None:
    """Raise ValueError, naming a field and the reason, unless the stages fit together."""
    fits = FITS[kind_of(shapes)]
    stages = {"placement": placement, "appearance": appearance, "labels": labels}
    for name, stage in stages.items():
        _check_kind(f"{name}.kind", kind_of(stage), getattr(fits, name), kind_of(shapes))
    drawn = appearance
    if isinstance(appearance, Chain):
        _check_chain(appearance, fits, shapes, labels)
        drawn = appearance.base or appearance
    if kind_of(drawn) == "contour" and kind_of(labels) != "by_volume":
        raise ValueError(f"labels.kind: contours are labelled by_volume, got {kind_of(labels)}")
    if isinstance(shapes, PolygonStack) and isinstance(drawn, MappedDistance):
        _check_mapped_stacks(shapes, labels)
    if isinstance(drawn, MappedDistance):
        _check_exact(drawn, shapes)
    if kind_of(labels) == "whole_volume":
        _check_whole(shapes)


def kind_of(stage: Settings) -> str:
    """The value of a stage's field ``kind``."""
    return str(getattr(stage, "kind"))  # noqa: B009, of the stages' common base


def _check_kind(field: str, kind: str, allowed: tuple[str, ...], shapes: str) -> None:
    if kind in allowed:
        return
    reasons = _REASONS | _WITH_STACKS if shapes == "polygon_stack" else _REASONS
    reason = f" ({reasons[kind]})" if kind in reasons else ""
    raise ValueError(
        f"{field}: must be {' or '.join(allowed)} with {shapes} shapes, got {kind}{reason}"
    )


def _check_chain(chain: Chain, fits: Fits, shapes: Settings, labels: LabelSettings) -> None:
    if chain.base is not None:
        bases = tuple(kind for kind in fits.appearance if kind != "chain")
        allowed = (*bases, "intensity")
        _check_kind("appearance.steps.0.kind", kind_of(chain.base), allowed, kind_of(shapes))
    if chain.sides == "alike" and not isinstance(shapes, OfBank):
        raise ValueError(
            "appearance.sides: must be apart, as only a bank's structures have sides, got alike "
            f"with {kind_of(shapes)} shapes"
        )
    if chain.sides == "alike" and chain.base is not None:
        raise ValueError(
            "appearance.sides: must be apart where another appearance begins the chain, got alike "
            f"with {kind_of(chain.base)}"
        )
    if not labels.per_voxel or len(labels.task_names) > 1:
        raise ValueError(
            f"labels.kind: a chain goes by one label map, got {kind_of(labels)} of "
            f"{len(labels.task_names)} tasks"
        )


def _check_mapped_stacks(shapes: PolygonStack, labels: LabelSettings) -> None:
    if shapes.vertices_high > SDF_CORNERS_MAX:
        raise ValueError(
            f"appearance.kind: mappers draw sections of at most {SDF_CORNERS_MAX} vertices, "
            f"got {shapes.vertices_high}; use contour"
        )
    if "displacement" in labels.task_names:
        raise ValueError("labels.tasks: polygon stacks have no displacement to tell")


def _check_exact(mapper: MappedDistance, shapes: Settings) -> None:
    reason = shapes.why_a_bound if isinstance(shapes, PolygonStack | SdfShapes) else None
    if mapper.distance == "exact" and reason is not None:
        raise ValueError(
            "appearance.distance: must be any, as some distances of these shapes are bounds only: "
            f"{reason}, got exact"
        )


def _check_whole(shapes: Settings) -> None:
    objects = shapes.objects if isinstance(shapes, PolygonStack | SdfShapes) else 0
    if objects != 1:
        raise ValueError(f"labels.kind: whole_volume tells of a volume's one object, got {objects}")

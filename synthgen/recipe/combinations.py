"""Which kinds of stages fit together, and why others do not."""

from synthgen.appearance.contour import Contour
from synthgen.appearance.mapper import MappedDistance
from synthgen.appearance.shell import Shell
from synthgen.kernels.sdf_records import SDF_CORNERS_MAX
from synthgen.labels.by_priority import ByPriority
from synthgen.labels.by_volume import ByVolume
from synthgen.labels.tasks import MultiTask, WholeVolume
from synthgen.placement.free import Free
from synthgen.placement.gibbs import Gibbs
from synthgen.placement.overlap import Overlap
from synthgen.settings import Settings
from synthgen.shapes.bank import BankShapes
from synthgen.shapes.polygon_stack import PolygonStack
from synthgen.shapes.sdf import SdfShapes

Shapes = PolygonStack | SdfShapes | BankShapes
Placement = Overlap | Free | Gibbs
Appearance = Contour | MappedDistance | Shell
Labels = ByVolume | ByPriority | MultiTask | WholeVolume


def check_combination(
    shapes: Shapes, placement: Placement, appearance: Appearance, labels: Labels
) -> None:
    """Raise ValueError, naming a field and the reason, unless the stages fit together."""
    _check_bank(shapes, placement, appearance, labels)
    if isinstance(shapes, BankShapes):
        return
    if isinstance(shapes, PolygonStack) and isinstance(placement, Free):
        raise ValueError(
            "placement.kind: polygon stacks are placed by overlap (with ratio 1.0 wherever they "
            "fall), got free"
        )
    if isinstance(appearance, Contour):
        _check_contour(shapes, labels)
    elif isinstance(shapes, PolygonStack):
        _check_mapped_stacks(shapes, labels)
    if (
        isinstance(appearance, MappedDistance)
        and appearance.distance == "exact"
        and shapes.why_a_bound is not None
    ):
        raise ValueError(
            "appearance.distance: must be any, as some distances of these shapes are bounds only: "
            f"{shapes.why_a_bound}, got exact"
        )
    if isinstance(labels, WholeVolume) and shapes.objects != 1:
        raise ValueError(
            f"labels.kind: whole_volume tells of a volume's one object, got {shapes.objects}"
        )


def _check_bank(
    shapes: Shapes, placement: Placement, appearance: Appearance, labels: Labels
) -> None:
    """Stages that a shape bank needs, and that need a shape bank."""
    stages = {"placement": placement, "appearance": appearance, "labels": labels}
    of_bank: dict[str, type[Settings]] = {
        "placement": Gibbs, "appearance": Shell, "labels": ByPriority,
    }  # fmt: skip
    reasons = {
        "placement": "relations, which only a bank's structures have",
        "appearance": "distances in a bank's grids",
        "labels": "relations, which only a bank's structures have",
    }
    for name, stage in stages.items():
        fits = isinstance(stage, of_bank[name])
        kind = of_bank[name].model_fields["kind"].default
        if isinstance(shapes, BankShapes) and not fits:
            raise ValueError(f"{name}.kind: must be {kind} for shapes of a bank, got {stage.kind}")
        if fits and not isinstance(shapes, BankShapes):
            raise ValueError(
                f"{name}.kind: {kind} goes by {reasons[name]}; with {shapes.kind} shapes use "
                "another kind"
            )


def _check_contour(shapes: PolygonStack | SdfShapes, labels: Labels) -> None:
    if isinstance(shapes, SdfShapes):
        raise ValueError(
            "appearance.kind: a contour follows the sections of polygon stacks, and signed "
            "distance functions have none; use mapper, got contour"
        )
    if not isinstance(labels, ByVolume):
        raise ValueError(f"labels.kind: contours are labelled by_volume, got {labels.kind}")


def _check_mapped_stacks(shapes: PolygonStack, labels: Labels) -> None:
    if shapes.vertices_high > SDF_CORNERS_MAX:
        raise ValueError(
            f"appearance.kind: mappers draw sections of at most {SDF_CORNERS_MAX} vertices, "
            f"got {shapes.vertices_high}; use contour"
        )
    if "displacement" in labels.task_names:
        raise ValueError("labels.tasks: polygon stacks have no displacement to tell")

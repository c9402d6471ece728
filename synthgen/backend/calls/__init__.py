"""The kernels that make a plan's volumes, in order: a class for each kernel pair.

A call holds its kernel's constant arguments, names the arrays that it needs and marshals them for
both backends. So a backend knows no kernel, and a kernel is added in one place.
"""

from synthgen.backend.base import Call
from synthgen.backend.calls.anatomy import anatomy_calls
from synthgen.backend.calls.contour import PaintContour, UniformNoise
from synthgen.backend.calls.overlap import PlaceOverlap
from synthgen.backend.calls.polygon_stack import RasterizePolygonStack, SamplePolygonStack, Turn
from synthgen.backend.calls.sdf import (
    BoundSdf,
    DrawSdf,
    FrameSdf,
    HollowSdf,
    LabelByVolume,
    LabelVolume,
    MoveSdf,
    PolygonStackScene,
    RasterizeSdf,
    SampleSdf,
)
from synthgen.backend.plan import (
    BankTables,
    ContourTables,
    FreeTables,
    GibbsTables,
    MapperTables,
    OverlapTables,
    Plan,
    PolygonStackTables,
    SceneTables,
    SdfTables,
    ShellTables,
)


def calls_of(plan: Plan) -> list[Call]:
    """The calls that make a volume of a plan.

    Raises:
        TypeError: the stages do not fit together; recipes refuse that when they are read.
    """
    match plan.shapes, plan.placement, plan.appearance:
        case PolygonStackTables() as shapes, OverlapTables() as placement, ContourTables() as lines:
            return [
                *_placed_stacks(plan, shapes, placement, lines),
                PaintContour(shapes, lines, plan.shape, plan.label_dtype),
                *([UniformNoise(lines, plan.shape)] if lines.noise[1] > 0 else []),
            ]
        case (
            PolygonStackTables() as shapes,
            OverlapTables() as placement,
            MapperTables() as mappers,
        ):
            return [
                *_placed_stacks(plan, shapes, placement, shapes.outline),
                PolygonStackScene(shapes, len(mappers.mappers)),
                *_drawn(plan, shapes.scene, mappers, "painted"),
            ]
        case SdfTables() as shapes, FreeTables() as placement, MapperTables() as mappers:
            return [
                SampleSdf(shapes, placement.spread, len(mappers.mappers)),
                HollowSdf(shapes, plan.shape),
                *_drawn(plan, shapes, mappers, "placed"),
            ]
        case SdfTables() as shapes, OverlapTables() as placement, MapperTables() as mappers:
            return [
                SampleSdf(shapes, 0.0, len(mappers.mappers)),
                HollowSdf(shapes, plan.shape),
                FrameSdf(shapes, plan.shape),
                RasterizeSdf(shapes, plan.shape),
                PlaceOverlap(placement, plan.shape, 1),
                MoveSdf(shapes),
                *_drawn(plan, shapes, mappers, "painted"),
            ]
        case BankTables() as shapes, GibbsTables() as placement, ShellTables() as shells:
            return anatomy_calls(plan, shapes, placement, shells)
    raise TypeError("no kernels draw these shapes with this placement and appearance")


def _placed_stacks(
    plan: Plan, shapes: PolygonStackTables, placement: OverlapTables, lines: ContourTables
) -> list[Call]:
    orientations = len(shapes.orientations)
    return [
        SamplePolygonStack(shapes),
        RasterizePolygonStack(shapes, lines),
        *([Turn(shapes)] if orientations > 1 else []),
        PlaceOverlap(placement, plan.shape, orientations),
    ]


def _drawn(plan: Plan, scene: SceneTables, mappers: MapperTables, order: str) -> list[Call]:
    """A scene that stands; the painting order goes into ``order``, which placing may have taken."""
    labels, dtype = plan.labels, plan.label_dtype
    return [
        BoundSdf(scene, mappers),
        DrawSdf(scene, mappers, plan.shape),
        LabelByVolume(scene, labels, dtype, order, plan.shape)
        if labels.per_voxel
        else LabelVolume(scene, labels, dtype, order),
    ]

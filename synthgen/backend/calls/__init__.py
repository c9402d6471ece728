"""The kernels that make a plan's volumes, in order: a class for each kernel pair.

A call holds its kernel's constant arguments, names the arrays that it needs and marshals them for
both backends. So a backend knows no kernel, and a kernel is added in one place.
"""

from dataclasses import replace

from synthgen.backend.base import Call
from synthgen.backend.calls.anatomy import BLACK_SHELLS, anatomy_calls
from synthgen.backend.calls.appearance import Redirected, chain_calls
from synthgen.backend.calls.contour import PaintContour, UniformNoise
from synthgen.backend.calls.fractal import fractal_calls
from synthgen.backend.calls.label_map import label_map_calls
from synthgen.backend.calls.masks import masks_calls
from synthgen.backend.calls.overlap import PlaceOverlap
from synthgen.backend.calls.pairs import pairs_calls
from synthgen.backend.calls.polygon_stack import RasterizePolygonStack, SamplePolygonStack, Turn
from synthgen.backend.calls.prompts import prompts_calls
from synthgen.backend.calls.relabel import relabel_calls
from synthgen.backend.calls.sdf import (
    BLACK_MAPPERS,
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
    AsIsTables,
    BankTables,
    ChainTables,
    ContourTables,
    FractalTables,
    FreeTables,
    GibbsTables,
    LabelMapTables,
    MapperTables,
    MaskTables,
    NeighboursTables,
    OverlapTables,
    PairTables,
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
    asked = [
        *relabel_calls(plan),
        *([] if plan.prompts is None else prompts_calls(plan, plan.prompts)),
    ]
    if isinstance(plan.appearance, ChainTables):
        chain = plan.appearance
        return [*_labelled(plan, chain), *chain_calls(plan, chain), *asked]
    return [*_painted(plan), *asked]


def _labelled(plan: Plan, chain: ChainTables) -> list[Call]:
    """The calls that make the label map, and the image that a chain begins with."""
    match plan.shapes, plan.placement:
        case MaskTables() as shapes, NeighboursTables() as placement:
            return masks_calls(plan, shapes, placement)
        case LabelMapTables() as shapes, AsIsTables():
            return label_map_calls(plan, shapes)
        case FractalTables() as shapes, FreeTables() as placement:
            return fractal_calls(plan, shapes, placement)
        case PolygonStackTables() as shapes, OverlapTables() as placement if chain.base is None:
            paint = PaintContour(shapes, shapes.outline, plan.shape, plan.label_dtype, lit=False)
            return [
                *_placed_stacks(plan, shapes, placement, shapes.outline),
                Redirected(paint, (1,)),
            ]
    base = chain.base or (BLACK_SHELLS if isinstance(plan.shapes, BankTables) else BLACK_MAPPERS)
    calls = _painted(replace(plan, image_dtype="uint8", appearance=base))
    return [Redirected(call, plan.shape) for call in calls]


def _painted(plan: Plan) -> list[Call]:
    """The calls that make an image that is no chain's, and the labels."""
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
        case PairTables() as shapes, AsIsTables(), AsIsTables():
            return pairs_calls(plan, shapes)
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

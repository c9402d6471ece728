"""What a backend needs to know of a recipe: kernel tables and sizes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthgen.kernels.anatomy_records import BankStructure
from synthgen.kernels.streams import Stream
from synthgen.rng import random_words


@dataclass(frozen=True)
class ObjectTables:
    """Objects that are drawn as masks.

    Attributes:
        objects: N.
    """

    objects: int


@dataclass(frozen=True)
class SceneTables(ObjectTables):
    """What draws a scene of signed distance functions, however its objects came to be.

    Attributes:
        parts: P, most parts of an object.
        displacements: (J, DisplacementRow.SIZE) float32.
        depths: (J,) float32, by how much each may lower a distance.
        axis_tables: (J, VolumeAxis, DisplacementTable, stride) float32, the displacements along
            the volume's axes.
        object_frame: displacements are in each object's frame, else in the volume's.
        grids: (G, R, R, R) float32 distance grids; one of a single value where there are none.
    """

    parts: int
    displacements: npt.NDArray[np.float32]
    depths: npt.NDArray[np.float32]
    axis_tables: npt.NDArray[np.float32]
    object_frame: bool
    grids: npt.NDArray[np.float32]


@dataclass(frozen=True)
class ContourTables:
    """Kernel arguments; radii in 1/64 voxel.

    Attributes:
        label_discs, line_discs: (64 * multiple of 8,) int64, see ``rasterize_polygon_stack``.
        levels: (value_high + 1,) bit patterns of the image's intensities.
    """

    label_radius: int
    line_radius: int
    label_discs: npt.NDArray[np.int64]
    line_discs: npt.NDArray[np.int64]
    value: int
    noise: tuple[int, int]
    levels: npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class PolygonStackTables:
    """Kernel arguments and sizes.

    Attributes:
        objects: N.
        settings: (Sampling.SIZE,) int64.
        xy_vertices: (sections,) int64, 0 for an ellipse.
        z_rules: (z rules,) int64.
        orientations: (K,) int64 ``Orientation`` codes.
        columns: columns of the object table.
        slices: most slices of a variant.
        rows: most words of a variant's rows.
        depth: most slices before turning.
        side: most rows of a slice before turning.
        outline: how they are rasterized where no contour is drawn.
        scene: what mappers draw them with.
    """

    objects: int
    settings: npt.NDArray[np.int64]
    xy_vertices: npt.NDArray[np.int64]
    z_rules: npt.NDArray[np.int64]
    orientations: npt.NDArray[np.int64]
    columns: int
    slices: int
    rows: int
    depth: int
    side: int
    outline: ContourTables
    scene: SceneTables

    @property
    def variants(self) -> int:
        """Objects times orientations."""
        return self.objects * len(self.orientations)


@dataclass(frozen=True)
class SdfTables(SceneTables):
    """Kernel arguments and sizes.

    Attributes:
        settings: (SdfSampling.SIZE,) float32, but for the placement's.
        entries: (E, 2) int64, rows of ``classes`` that each label is made of, -1 for none.
        classes: (C, SdfClassRow.SIZE) float32.
        slab: onions are measured between their ends only, else in the whole volume.
    """

    settings: npt.NDArray[np.float32]
    entries: npt.NDArray[np.int64]
    classes: npt.NDArray[np.float32]
    slab: bool


@dataclass(frozen=True)
class BankTables:
    """Kernel arguments and sizes; S subjects, C structures, L levels of resolution.

    Attributes:
        settings: (AnatomySampling.SIZE,) float32, but for the placement's and the appearance's.
        distances: (V,) int16, all grids, and as many elements more as a vector has.
        shapes: (L * S * C, BankShape.SIZE) int32.
        structures: (C, BankStructure.SIZE) float32.
        choices: (C, S) int32, subjects that have a structure, first.
        boxes: (S * C, 6) float32, first and last corner of each mask about its centroid, mm.
        offsets: (S * C, 3) float32, of each centroid from that of what contains it, mm.
        surface: (S * C, BANK_POINTS, 3) float32, points of its surface about its centroid, mm.
        sides: (C, 3) float64, most sides of the box of a posed shape, mm.
        ranks: (C,) int32, places in the painting order.
    """

    settings: npt.NDArray[np.float32]
    distances: npt.NDArray[np.int16]
    shapes: npt.NDArray[np.int32]
    structures: npt.NDArray[np.float32]
    choices: npt.NDArray[np.int32]
    boxes: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    surface: npt.NDArray[np.float32]
    sides: npt.NDArray[np.float64]
    ranks: npt.NDArray[np.int32]

    @property
    def objects(self) -> int:
        return len(self.structures)

    @property
    def other_sides(self) -> npt.NDArray[np.int32]:
        """(1 + C,) the label value of each one's other side; its own where it has none."""
        mirrors = self.structures[:, BankStructure.MIRROR].astype(np.int32)
        return np.concatenate([np.zeros(1, np.int32), 1 + mirrors])


@dataclass(frozen=True)
class FractalTables(ObjectTables):
    """Kernel arguments and sizes.

    Attributes:
        settings: (FractalSampling.SIZE,) int32, but for the placement's.
        systems: (C, FRACTAL_MAPS_MAX, FRACTAL_COEFFICIENTS) int32, of each class.
        slots: (C, FRACTAL_SLOTS) uint8, the map of a system that each random byte chooses.
        chains: of each object.
        mixed: of these, the first are of another class.
    """

    settings: npt.NDArray[np.int32]
    systems: npt.NDArray[np.int32]
    slots: npt.NDArray[np.uint8]
    chains: int
    mixed: int


@dataclass(frozen=True)
class MaskTables:
    """Kernel arguments and sizes.

    Attributes:
        objects: N, satellites included.
        settings: (MaskSetting.SIZE,) float32, but for the placement's.
        least_voxels: of a structure in a slice that shows it.
    """

    objects: int
    settings: npt.NDArray[np.float32]
    least_voxels: int


@dataclass(frozen=True)
class NeighboursTables:
    """Kernel arguments.

    Attributes:
        settings: (MaskSetting.SIZE,) float32, 0 but for the placement's.
        margin: of a volume's side, in which there are no centres.
    """

    settings: npt.NDArray[np.float32]
    margin: float


@dataclass(frozen=True)
class LabelMapTables:
    """Kernel arguments; S subjects.

    Attributes:
        settings: (SubjectSampling.SIZE,) float32, but for the volume's.
        maps: (S, depth, height, width) uint8, labels 0 .. 255; the outermost voxels are 0.
        bodies: (S, 6) float32, middle and sides of the box of all that is labelled, source voxels.
        other_sides: (256,) uint8, the label value of each one's other side; its own where it has
            none.
        reach: source voxels from a map's first one that a volume's middle may be.
    """

    settings: npt.NDArray[np.float32]
    maps: npt.NDArray[np.uint8]
    bodies: npt.NDArray[np.float32]
    other_sides: npt.NDArray[np.uint8]
    reach: float

    @property
    def objects(self) -> int:
        """The subject is one."""
        return 1


@dataclass(frozen=True)
class PairTables:
    """Kernel arguments; S cases of V voxels in all, one after another.

    Attributes:
        sides: (S, 3) int32, of each case.
        starts: (S,) int64, voxels before each.
        images: (C * V,) float16, 0 .. 1; of a case, channel after channel.
        labels: (V,) uint8 or uint16.
        channels: C.
    """

    sides: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    images: npt.NDArray[np.float16]
    labels: npt.NDArray[np.unsignedinteger]
    channels: int

    @property
    def objects(self) -> int:
        """The case is one."""
        return 1


@dataclass(frozen=True)
class OverlapTables:
    """Kernel arguments.

    Attributes:
        ratio: largest overlap ratio, millionths.
        tries: proposals an object.
        legacy: divide overlaps as the published script does.
    """

    ratio: int
    tries: int
    legacy: bool


@dataclass(frozen=True)
class FreeTables:
    """Nothing is placed: objects stand where they are sampled.

    Attributes:
        spread: of their centres, in parts of each side.
    """

    spread: float


@dataclass(frozen=True)
class AsIsTables:
    """Nothing is placed; or drawn, as images come with the labels."""


@dataclass(frozen=True)
class GibbsTables:
    """Kernel arguments.

    Attributes:
        pairs: (C, C, Pair.SIZE) int32.
        order: (C,) int32, structures in the order in which they are placed.
        proposals: K of a round.
        sweeps: S.
        uniform: positions are proposed all over the view, not about the anchors.
        spread: of the proposals about the anchors, in standard deviations.
    """

    pairs: npt.NDArray[np.int32]
    order: npt.NDArray[np.int32]
    proposals: int
    sweeps: int
    uniform: bool
    spread: float


@dataclass(frozen=True)
class ShellTables:
    """Kernel arguments.

    Attributes:
        steps: (P, 2) int32, half widths of nested shells outside and inside, 1/256 voxel, the
            widest first.
        weights: (P,) int32, of an object's intensity, 1/256.
        values: of an object's intensity, bounds.
        levels: (256,) bit patterns of the image's intensities.
        keep: lines that are behind other objects are drawn.
    """

    steps: npt.NDArray[np.int32]
    weights: npt.NDArray[np.int32]
    values: tuple[int, int]
    levels: npt.NDArray[np.unsignedinteger]
    keep: bool


@dataclass(frozen=True)
class MapperTables:
    """Kernel arguments.

    Attributes:
        mappers: (K, MapperRow.SIZE) float32.
        texture: (NoiseRow.SIZE,) float32, of amplitude 0 where there is none.
    """

    mappers: npt.NDArray[np.float32]
    texture: npt.NDArray[np.float32]


@dataclass(frozen=True)
class FieldSpec:
    """One smooth random field of a chain.

    Attributes:
        step: that it belongs to.
        spacing: of its nodes, voxels; of a cubic B-spline.
        share: nodes in parts of each side, two or more; of linear interpolation. One of the two is
            given.
    """

    step: int
    spacing: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class ChainTables:
    """Kernel arguments of a list of steps.

    Attributes:
        channels: of the image, each by a chain of its own draws.
        sides_alike: whether left and right structures have the same tones.
        base: what draws the image that the chain begins with; None: its first step needs none.
        settings: (S, StepSetting.SIZE) float32.
        fields: of all steps, in their order.
        bands: (K, Band.SIZE) float32, of all steps' waves.
    """

    channels: int
    sides_alike: bool
    base: "ContourTables | MapperTables | ShellTables | None"
    settings: npt.NDArray[np.float32]
    fields: tuple[FieldSpec, ...]
    bands: npt.NDArray[np.float32]


@dataclass(frozen=True)
class PromptTables:
    """Kernel arguments.

    Attributes:
        shape: (K, columns) of a volume's prompts, of the label values 1 .. K.
        settings: (PromptSetting.SIZE,) int32.
    """

    shape: tuple[int, int]
    settings: npt.NDArray[np.int32]


@dataclass(frozen=True)
class LabelTables:
    """Kernel arguments.

    Attributes:
        tasks: (T,) int64, the ``SceneObject`` column that each task tells.
        per_voxel: a label map a task, or one value for the whole volume.
        values: label values of the first task, background included.
    """

    tasks: npt.NDArray[np.int64]
    per_voxel: bool
    values: int


@dataclass(frozen=True)
class Plan:
    """What each stage leaves to the kernels.

    Attributes:
        shape: (D, H, W) in voxels.
        spacing: (z, y, x) of a voxel, mm.
        image_dtype, label_dtype: NumPy names.
        label_shape: (T, D, H, W), or (T,) where a volume has one label a task.
        shapes, placement, appearance, labels: tables of the stages.
        prompts: what is asked of each structure, if anything.
        relabel: (L,) the value in the label map of each of the stages' own, where they differ.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    image_dtype: str
    label_dtype: str
    label_shape: tuple[int, ...]
    shapes: (
        PolygonStackTables | SdfTables | BankTables | LabelMapTables | MaskTables | FractalTables
        | PairTables
    )  # fmt: skip
    placement: OverlapTables | FreeTables | GibbsTables | AsIsTables | NeighboursTables
    appearance: ContourTables | MapperTables | ShellTables | ChainTables | AsIsTables
    labels: LabelTables
    prompts: PromptTables | None = None
    relabel: npt.NDArray[np.int64] | None = None

    @property
    def objects(self) -> int:
        return self.shapes.objects

    @property
    def channels(self) -> int:
        """Of the image."""
        if isinstance(self.shapes, PairTables):
            return self.shapes.channels
        return self.appearance.channels if isinstance(self.appearance, ChainTables) else 1

    @property
    def volume_bytes(self) -> int:
        """Image and label of one volume."""
        voxels = self.channels * np.prod(self.shape, dtype=np.int64)
        image = voxels * np.dtype(self.image_dtype).itemsize
        label = np.prod(self.label_shape, dtype=np.int64) * np.dtype(self.label_dtype).itemsize
        return int(image + label)


@dataclass(frozen=True)
class MixturePlan:
    """Several plans of volumes of one kind.

    Attributes:
        components: their plans.
        bounds: (R,) of each, one more than the largest random word that falls to it: ascending, the
            last is 2^32.
    """

    components: tuple[Plan, ...]
    bounds: tuple[int, ...]

    def chosen(self, seed: int, indices: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The component of each volume."""
        words = random_words(seed, indices, Stream.MIXTURE, 0)[..., 0].astype(np.int64)
        found: npt.NDArray[np.int64] = np.searchsorted(self.bounds, words, side="right")
        return found

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.components[0].shape

    @property
    def image_dtype(self) -> str:
        return self.components[0].image_dtype

    @property
    def label_dtype(self) -> str:
        return self.components[0].label_dtype

    @property
    def label_shape(self) -> tuple[int, ...]:
        return self.components[0].label_shape

    @property
    def prompts(self) -> PromptTables | None:
        return self.components[0].prompts

    @property
    def channels(self) -> int:
        return self.components[0].channels

    @property
    def objects(self) -> int:
        """Most of a component."""
        return max(plan.objects for plan in self.components)

    @property
    def volume_bytes(self) -> int:
        return self.components[0].volume_bytes


AnyPlan = Plan | MixturePlan

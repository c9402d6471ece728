"""AVS-DB volumes written down a second time, slowly and from the rules alone.

Nothing here comes from ``synthgen.kernels``: distances are tested voxel by voxel in whole numbers,
objects are dense arrays, and turns are ``numpy.rot90``.
"""

import math
from dataclasses import dataclass
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np

from synthgen.rng import random_words

SHAPES, PLACEMENT, NOISE_AMPLITUDE, NOISE = 0, 1, 2, 3
TABLE = 2**24


def cosine(degrees):
    """cos in 2^-24, rounded, from a Taylor series in 50 digits."""
    getcontext().prec = 50
    pi = Decimal("3.14159265358979323846264338327950288419716939937510")
    x = Decimal(degrees % 360) * pi / 180
    term, total = Decimal(1), Decimal(1)
    for k in range(1, 60):
        term *= -x * x / ((2 * k - 1) * (2 * k))
        total += term
    return int((total * TABLE).to_integral_value())


COS = [cosine(d) for d in range(360)]
SIN = [COS[(d - 90) % 360] for d in range(360)]


def toward_zero(value):
    """A fraction cut toward zero."""
    return math.trunc(value)


def uniform(word, low, high):
    return low + int(word) * (high - low + 1) // 2**32


@dataclass
class Thing:
    """A sampled object as dense (y, x, z) arrays."""

    label: int
    filled: np.ndarray
    line: np.ndarray

    @property
    def voxels(self):
        return int(self.filled.sum())


class Reference:
    """The volume ``index`` of a recipe and seed, as ``image``, ``label`` and ``placed``."""

    def __init__(self, recipe, seed, index):
        self.recipe, self.seed, self.index = recipe, seed, index
        self.things = [self.thing(n) for n in range(recipe.shapes.objects)]
        self.compose()

    def words(self, stream, draw):
        return [int(w) for w in random_words(self.seed, self.index, stream, draw)]

    def thing(self, n):
        s = self.recipe.shapes
        words = [w for call in range(3) for w in self.words(SHAPES, 64 * n + call)]
        label = uniform(words[0], 0, len(s.sections) * len(s.z_rules) - 1)
        section, rule = s.sections[label // len(s.z_rules)], s.z_rules[label % len(s.z_rules)]
        depth, phi = uniform(words[1], *s.depth), uniform(words[3], 0, 180)
        edge = min(s.turn_margin, depth // 2)
        turn = uniform(words[6], edge, depth - edge)
        wide = [round(v * 65536) for v in s.wide_scale]
        narrow = [round(v * 65536) for v in s.narrow_scale]
        ends, middle = (narrow, wide) if rule == "rhombus" else (wide, narrow)
        scales = uniform(words[7], *ends), uniform(words[8], *middle), uniform(words[9], *ends)
        if section == "ellipse":
            largest = uniform(words[2], *s.ellipse_axis)
            a, b = (uniform(w, s.ellipse_axis[0], largest) for w in words[4:6])
            side = 2 * max(a, b) + (s.ellipse_margin if rule in ("hourglass", "rhombus") else 0)
        else:
            side = uniform(words[2], *s.polygon_box)
            polar = []
            for i in range(section):
                w = self.words(SHAPES, 64 * n + 3 + i // 2)[2 * (i % 2) :]
                angle = uniform(w[0], 360 * i // section, 360 * (i + 1) // section)
                polar.append((angle % 360, uniform(w[1], s.polygon_radius_low, side // 2)))
        filled, line = np.zeros((2, side, side, depth), bool)
        for z in range(depth):
            scale = section_scale(rule, z, depth, turn, scales)
            if section == "ellipse":
                vertices = ellipse(a, b, phi, side // 2, scale)
            else:
                vertices = polygon(polar, side // 2, rule, z, depth, scale)
            filled[..., z], line[..., z] = draw(vertices, side, self.line_radius)
        return Thing(label + 1, filled, line)

    @property
    def line_radius(self):
        return int(32 * (self.recipe.appearance.line_width + 1)) - 3

    def compose(self):
        recipe, things = self.recipe, self.things
        depth, height, width = recipe.reference_shape
        order = sorted(range(len(things)), key=lambda n: (-things[n].voxels, -n))
        occupied = np.zeros((height, width, depth), bool)
        label, line = np.zeros((height, width, depth), int), np.zeros((height, width, depth), bool)
        ratio = Fraction(round(recipe.placement.ratio * 10**6), 10**6)
        self.placed = []
        for n in order:
            own = recipe.placement.denominator == "own"
            divisor = things[n if own else order[n]].voxels
            for attempt in range(recipe.placement.tries):
                turn, box = self.propose(n, attempt)
                filled = turned(things[n].filled, turn)
                if (filled & occupied[box]).sum() <= ratio * divisor:
                    occupied[box] |= filled
                    label[box][filled] = things[n].label
                    line[box] |= turned(things[n].line, turn)
                    y, x, z = (axis.start for axis in box)
                    self.placed.append((n, z, y, x, 1, attempt + 1))
                    break
            else:
                self.placed.append((n, 0, 0, 0, 0, recipe.placement.tries))
        self.label = np.moveaxis(label, 2, 0).astype(recipe.label_dtype)
        image = np.moveaxis(line, 2, 0) * recipe.appearance.value
        self.image = (image + self.noise(image.shape)).astype(recipe.image_dtype)

    def propose(self, n, attempt):
        names = self.recipe.shapes.orientations
        w = self.words(PLACEMENT, 1024 * n + attempt)
        turn = names[uniform(w[0], 0, len(names) - 1)]
        depth, height, width = self.recipe.reference_shape
        h, w_, d = turned(self.things[n].filled, turn).shape
        z, y, x = (
            uniform(w[1], 0, depth - d),
            uniform(w[2], 0, height - h),
            uniform(w[3], 0, width - w_),
        )
        return turn, (slice(y, y + h), slice(x, x + w_), slice(z, z + d))

    def noise(self, shape):
        if self.recipe.appearance.noise is None:
            return 0
        amplitude = uniform(self.words(NOISE_AMPLITUDE, 0)[0], *self.recipe.appearance.noise)
        voxels = math.prod(shape)
        words = random_words(self.seed, self.index, NOISE, np.arange(-(-voxels // 4)))
        draws = words.reshape(-1)[:voxels].astype(object) * amplitude // 2**32
        return draws.astype(int).reshape(shape)


def section_scale(rule, z, depth, turn, scales):
    first, middle, last = (Fraction(s, 65536) for s in scales)
    if rule == "prism":
        return Fraction(1)
    if rule == "pyramid":
        return 1 - Fraction(z, depth)
    if z < turn:
        return first + (middle - first) * Fraction(z, turn)
    return middle + (last - middle) * Fraction(z - turn, depth - turn)


def ellipse(a, b, phi, center, scale):
    """Vertices (y, x) in 1/64 voxel of OpenCV's polygon for an ellipse."""
    a, b = toward_zero(a * scale), toward_zero(b * scale)
    largest = max(a, b)
    step = 5 if largest >= 15 else 18 if largest >= 10 else 30 if largest >= 3 else 90
    vertices = []
    for t in range(0, 180, step):
        x = Fraction(a * COS[t] * COS[phi] - b * SIN[t] * SIN[phi], TABLE**2)
        y = Fraction(a * COS[t] * SIN[phi] + b * SIN[t] * COS[phi], TABLE**2)
        vertices.append(tuple(64 * center + math.floor(64 * v + Fraction(1, 2)) for v in (y, x)))
    return vertices + [(128 * center - y, 128 * center - x) for y, x in vertices]


def polygon(polar, center, rule, z, depth, scale):
    vertices = []
    for angle, radius in polar:
        r = radius if rule == "pyramid" else toward_zero(radius * scale)
        point = [center + toward_zero(Fraction(r * table[angle], TABLE)) for table in (SIN, COS)]
        if rule == "pyramid":
            point = [toward_zero(v + (center - v) * Fraction(z, depth)) for v in point]
        vertices.append((64 * point[0], 64 * point[1]))
    return vertices


def draw(vertices, side, line_radius, label_radius=29):
    """Filled section and line of (side, side) pixels, by each pixel's distance to each edge."""
    y, x = np.mgrid[:side, :side] * 64
    inside, label, line = np.zeros((3, side, side), bool)
    for (ya, xa), (yb, xb) in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        dy, dx = yb - ya, xb - xa
        length2 = dy * dy + dx * dx
        dot, cross = (y - ya) * dy + (x - xa) * dx, (x - xa) * dy - (y - ya) * dx
        from_start = (y - ya) ** 2 + (x - xa) ** 2
        beside = (dot >= 0) & (dot <= length2) & (length2 > 0)
        line |= from_start <= line_radius**2
        line |= beside & (cross * cross <= line_radius**2 * length2)
        label |= beside & (cross * cross <= label_radius**2 * length2)
        if length2 == 0:
            label |= from_start <= label_radius**2
        inside ^= ((ya <= y) != (yb <= y)) & (cross * (1 if dy > 0 else -1) > 0)
    return inside | label, line


def turned(array, name):
    """``numpy.rot90`` of a (y, x, z) array, as the published generator names its turns."""
    if name == "stay":
        return array
    k, axes = {
        "upside_down": (2, (0, 2)),
        "side_1": (1, (0, 2)),
        "side_2": (-1, (0, 2)),
        "side_3": (1, (1, 2)),
        "side_4": (-1, (1, 2)),
    }[name]
    return np.rot90(array, k, axes)

"""Distances, displacements and mappers of FDIF in float64, written from their formulas.

An independent second opinion: nothing comes from ``kernels``, and where the kernels fold, clamp and
flip sign bits, this uses angles and windings. Formulas: public code of "FDIF" (Yamamoto et al.,
arXiv 2603.23199) and I. Quilez, "2D distance functions". Lengths are voxels, points are in the
object's frame, and x, y, z are arrays of one shape.
"""

from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray

# The public code's; an octahedron's true slope is 1 / sqrt 3 = 0.577.
OCTAHEDRON_SLOPE = 0.35773502691896257
LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Solid:
    """One object with its parameters, as drawn.

    Attributes:
        lift: ``sphere``, ``octahedron``, ``cone``, ``revolve`` or ``prism``.
        profile: ``circle``, ``star`` or ``polygon``, of a lift that has one.
        count: tips of a star, corners of a polygon.
        taper: ``const``, ``cone``, ``convex`` or ``concave``, of a prism.
        onion: only a wall about the profile is solid.
        values: the numbers that the kind needs: ``radius``, ``height``, ``offset``,
            ``bluntness``, ``scale``, ``knot``, ``wall``.
        corners: (count, 2) of a polygon.
    """

    lift: str
    profile: str = ""
    count: int = 0
    taper: str = "const"
    onion: bool = False
    values: dict[str, float] = field(default_factory=dict)
    corners: Array = field(default_factory=lambda: np.empty((0, 2)))


def circle(radius: float, x: Array, y: Array) -> Array:
    return np.hypot(x, y) - radius


def star(tips: int, radius: float, bluntness: float, x: Array, y: Array) -> Array:
    """A tip on +y; the angle to the nearest valley is found with an arc tangent."""
    sector, lean = np.pi / tips, np.pi / (tips + bluntness * (2 - tips))
    angle = np.mod(np.arctan2(np.abs(x), y), 2 * sector) - sector
    qx = np.hypot(x, y) * np.cos(angle) - radius * np.cos(sector)
    qy = np.hypot(x, y) * np.abs(np.sin(angle)) - radius * np.sin(sector)
    most = radius * np.sin(sector) / np.sin(lean)
    along = np.clip(-(qx * np.cos(lean) + qy * np.sin(lean)), 0, most)
    qx, qy = qx + along * np.cos(lean), qy + along * np.sin(lean)
    return np.sign(qx) * np.hypot(qx, qy)


def polygon(corners: Array, x: Array, y: Array) -> Array:
    """Exact distance to the closed polyline; inside where it winds about the point."""
    nearest = np.full(np.shape(x), np.inf)
    turned = np.zeros(np.shape(x))
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        share = np.clip((px * ex + py * ey) / max(ex * ex + ey * ey, 1e-300), 0, 1)
        nearest = np.minimum(nearest, np.hypot(px - share * ex, py - share * ey))
        qx, qy = x - bx, y - by
        turned += np.arctan2(px * qy - py * qx, px * qx + py * qy)
    return np.where(np.abs(turned) > np.pi, -nearest, nearest)


def taper_scale(solid: Solid, z: Array) -> Array:
    """Scale of a prism's profile at z, before it is kept above LEAST_SCALE."""
    if solid.taper == "const":
        return np.ones(np.shape(z))
    half, scale = solid.values["height"] / 2, solid.values["scale"]
    if solid.taper == "cone":
        return 1 + (scale - 1) * (z + half) / (2 * half)
    knot = solid.values["knot"]
    before = 1 + (scale - 1) * (z + half) / (knot + half)
    behind = scale + (scale - 1) * (z - knot) / (knot - half)
    return np.where(z < knot, before, behind)


def profile(solid: Solid, x: Array, y: Array) -> Array:
    values = solid.values
    if solid.profile == "circle":
        return circle(values["radius"], x, y)
    if solid.profile == "star":
        return star(solid.count, values["radius"], values["bluntness"], x, y)
    return polygon(solid.corners, x, y)


def side(solid: Solid, x: Array, y: Array, z: Array) -> Array:
    """Distance within the slice to a prism's profile, before the onion; also outside its ends."""
    scale = np.maximum(taper_scale(solid, z), LEAST_SCALE)
    return scale * profile(solid, x / scale, y / scale)


def prism(solid: Solid, x: Array, y: Array, z: Array) -> Array:
    across = side(solid, x, y, z)
    if solid.onion:
        across = np.abs(across) - solid.values["wall"]
    along = np.abs(z) - solid.values["height"] / 2
    outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    return outside + np.minimum(np.maximum(across, along), 0)


def cone(radius: float, height: float, x: Array, y: Array, z: Array) -> Array:
    """Base at y = -height / 2, apex at y = height / 2."""
    px, py = np.hypot(x, z) - radius, y + height / 2
    share = np.clip((-radius * px + height * py) / (radius**2 + height**2), 0, 1)
    qx, qy = px + radius * share, py - height * share
    distance = np.hypot(qx, qy)
    return np.where(np.maximum(qx, qy) > 0, distance, -np.minimum(distance, py))


def distance(solid: Solid, x: Array, y: Array, z: Array) -> Array:
    """Signed distance of a solid, negative inside."""
    values = solid.values
    if solid.lift == "sphere":
        return np.sqrt(x * x + y * y + z * z) - values["radius"]
    if solid.lift == "octahedron":
        return (np.abs(x) + np.abs(y) + np.abs(z) - values["radius"]) * OCTAHEDRON_SLOPE
    if solid.lift == "cone":
        return cone(values["radius"], values["height"], x, y, z)
    if solid.lift == "revolve":
        return profile(solid, np.hypot(x, z) - values["offset"], y)
    return prism(solid, x, y, z)


def _waves(f: float, u: Array, v: Array, q: Array) -> Array:
    return np.sin(f * u) * np.sin(f * v) + np.sin(f * q)


def _turbulence(f: float, u: Array, v: Array, q: Array) -> Array:
    return (
        np.sin(0.1 * f * u) * np.cos(0.15 * f * v)
        + np.sin(0.2 * f * v) * np.cos(0.25 * f * q)
        + np.sin(0.3 * f * q) * np.cos(0.35 * f * u)
    )


def _ridge(f: float, u: Array, v: Array, q: Array) -> Array:
    return np.abs(np.sin(f * u)) + np.abs(np.sin(f * v)) + np.abs(np.sin(f * q))


def _sharpmax(f: float, u: Array, v: Array, q: Array) -> Array:
    return np.maximum(
        np.maximum(np.abs(np.sin(f * u)), np.abs(np.sin(f * v))), np.abs(np.sin(f * q))
    )


def _twist(f: float, u: Array, v: Array, q: Array) -> Array:
    return np.abs(np.sin(f * u)) + 0 * v + 0 * q


def _sawtooth(f: float, u: Array, v: Array, q: Array) -> Array:
    return 2 / np.pi * sum(f * w - np.floor(f * w + 0.5) for w in (u, v, q))


# Family, amplitude in parts of the largest x, frequency. ``sawtooth_fine`` is registered in the
# public code but not in its published list.
DISPLACEMENTS = {
    "perlin_more_fine": (_waves, 0.03, 50),
    "perlin_fine": (_waves, 0.01, 30),
    "turbulence": (_turbulence, 0.05, 30),
    "ridge": (_ridge, 0.03, 30),
    "ridge_coarse": (_ridge, 0.05, 10),
    "sharpmax": (_sharpmax, 0.05, 20),
    "sharpmax_fine": (_sharpmax, 0.03, 40),
    "twisted_x": (_twist, 0.04, 20),
    "sawtooth": (_sawtooth, 0.03, 15),
    "sawtooth_fine": (_sawtooth, 0.02, 30),
}


def displacement(name: str, x: Array, y: Array, z: Array, largest: tuple[float, ...]) -> Array:
    """What is added to a distance, in voxels.

    Args:
        name: of DISPLACEMENTS.
        x: world coordinate; y and z likewise.
        largest: the largest x, y and z of the volume's voxels.
    """
    family, amplitude, frequency = DISPLACEMENTS[name]
    u, v, q = x / largest[0], y / largest[1], z / largest[2]
    return amplitude * largest[0] * family(frequency, u, v, q)


# Largest magnitude and side of a cell in parts of the largest x, octaves; of our own.
NOISES = {
    "gradient_noise_fine": (0.05, 0.1, 2),
    "gradient_noise_coarse": (0.1, 0.25, 3),
}
_EDGES_OF_A_CUBE = np.array(
    [
        np.insert([first, second], lacking, 0)
        for lacking in range(3)
        for first in (1, -1)
        for second in (1, -1)
    ]
)


def _mixed(word: Array) -> Array:
    """Two rounds of a hash of words below 2^32, as uint64."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word = ((word ^ (word >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(2**32 - 1)
    return word


def gradients(cell: Array, salt: int) -> Array:
    """(..., 3), of the points of a cubic lattice.

    Args:
        cell: (..., 3) whole numbers.
        salt: of the octave.
    """
    factors = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D])
    word = _mixed(((cell * factors).sum(axis=-1) % 2**32 + salt).astype(np.uint64) % 2**32)
    lacking = (word % 2**30) * 3 // 2**30
    return _EDGES_OF_A_CUBE[(4 * lacking + word // 2**30).astype(int)]


def noise(key: int, octaves: int, x: Array, y: Array, z: Array) -> Array:
    """Octaves of amplitude 1, 1/2, 1/4 ... of gradient noise, the first with cells of side 1."""
    point, total = np.stack(np.broadcast_arrays(x, y, z), axis=-1), np.zeros(())
    for octave in range(octaves):
        salt = int(_mixed(np.uint64((key + octave * 0x27D4EB2F) % 2**32)))
        corner = np.floor(point)
        value = np.zeros(())
        for step in np.ndindex(2, 2, 2):
            away = point - corner - step
            t = 1 - np.abs(away)
            weight = np.prod(t**3 * (10 - 15 * t + 6 * t**2), axis=-1)
            gradient = gradients((corner + step).astype(np.int64), salt)
            value = value + weight * (gradient * away).sum(axis=-1)
        total = total + value / 2**octave
        point = 2 * point + 0.5
    return total


def noise_displacement(name: str, key: int, x: Array, y: Array, z: Array, largest: float) -> Array:
    """What is added to a distance, in voxels, at a point in the object's frame.

    Args:
        name: of NOISES.
        key: of the noise.
        x: coordinate in the object's frame; y and z likewise.
        largest: the largest x of the volume's voxels.
    """
    amplitude, cell, octaves = NOISES[name]
    most = 1.0364 * sum(0.5**octave for octave in range(octaves))
    point = (coordinate / (cell * largest) for coordinate in (x, y, z))
    return amplitude * largest / most * noise(key + 2**24, octaves, *point)


def _exponential(base: float, s: Array) -> Array:
    return 128 * base**s


def _linear(slope: float, s: Array) -> Array:
    return np.clip(128 + slope * s, 0, 128)


def _stairs(width: float, s: Array) -> Array:
    return np.clip(128 + 10 * np.ceil(s / width), 0, 128)


def _modular(steps: int, width: float, s: Array) -> Array:
    return 128 / (steps - 1) * np.mod(np.ceil(s / width) + steps - 1, steps)


def _sinusoidal(wavelength: float, s: Array) -> Array:
    return 64 * (1 + np.cos(2 * np.pi * s / wavelength))


# Inside, where s <= 0. ``linear_slope_20.0`` is registered in the public code, not published.
MAPPERS = {
    "exponential_base_1.5": lambda s: _exponential(1.5, s),
    "exponential_base_2.0": lambda s: _exponential(2.0, s),
    "linear_slope_10.0": lambda s: _linear(10, s),
    "linear_slope_20.0": lambda s: _linear(20, s),
    "floor_width_0.5": lambda s: _stairs(0.5, s),
    "floor_width_1.0": lambda s: _stairs(1, s),
    "modular_5": lambda s: _modular(5, 1, s),
    "modular_10": lambda s: _modular(10, 0.5, s),
    "sinusoidal_wavelength_1.0": lambda s: _sinusoidal(1, s),
    "sinusoidal_wavelength_3.0": lambda s: _sinusoidal(3, s),
}


def mapped(name: str, s: Array) -> Array:
    """Intensity, 0 .. 128, of a signed distance in voxels after its displacement."""
    if name == "inverse_cube":
        return 128 / (np.abs(s) ** 3 + 1)
    return np.where(s > 0, 0, MAPPERS[name](np.minimum(s, 0)))

"""Limits, and columns of the tables of fractals; CUDA gets both as ``#define``s.

A *system* is a set of affine maps of space; its fractal is what a point visits that goes from map
to map by chance. Coefficients are whole numbers of 2^-20, places in units of 2^-20 or voxels of
2^-16; components come as x, y, z.
"""

from enum import IntEnum

FRACTAL_BITS = 20  # of coefficients, and of places in a system's own unit
FRACTAL_VOXEL_BITS = 16  # of places in voxels
FRACTAL_TURN_BITS = 14  # of rotations
FRACTAL_MAPS_MAX = 8  # of a system
FRACTAL_COEFFICIENTS = 12  # of a map: 3 x 3, row by row, then what is added
FRACTAL_SLOTS = 256  # of a system: random bytes to maps
FRACTAL_PARTS = 2  # systems of an object: its own, and the one mixed in
FRACTAL_WARM = 32  # steps of a chain before its first point
FRACTAL_POINTS = 96  # of a chain
FRACTAL_CHAIN_DRAWS = 8  # of a chain, 16 steps each
FRACTAL_PROBES = 8  # chains that measure a fractal
FRACTAL_REACH = 8  # units from the origin, beyond which a point does not go
FRACTAL_REACH_VOXELS = 1024  # the same of drawn points, and what goes so far is not drawn
# Draws of an object.
FRACTAL_JITTER_DRAW = 4  # 24 of each system
FRACTAL_PROBE_DRAW = 64  # of each system and chain
FRACTAL_CHAIN_DRAW = 1024
FRACTAL_DRAW_BITS = 24
FRACTAL_CHAINS_MAX = 2**20


class FractalSampling(IntEnum):
    """Settings of ``sample_fractal``, (SIZE,) int32."""

    DEPTH = 0  # of the volume, voxels
    HEIGHT = 1
    WIDTH = 2
    SPREAD = 3  # of centres about the middle, in parts of each side, 2^-16
    SIDE_LOW = 4  # largest side of an object's box, voxels of 2^-16
    SIDE_HIGH = 5
    JITTER = 6  # largest change of a coefficient, in parts of it, 2^-16
    TURNED = 7  # 1: by a uniform rotation, 0: not at all
    SIZE = 8


class FractalRow(IntEnum):
    """One system of an object as it is drawn, (SIZE,) int32; places in voxels from the centre."""

    MAPS = 0  # coefficients of each
    CLASS = 96  # whose slots choose among the maps
    CENTRE = 97  # of the object, voxels of 2^-16
    SIZE = 100

"""Gradient noise; twin of ``noise.cuh``.

Perlin's improved noise: each point of a cubic lattice has one of the twelve gradients to the edges
of a cube, and a quintic blends what the eight about a point give there. Gradients come from a hash
and no table, so that a noise has no period and lanes no gather. All functions take a float32 or the
sixteen lanes of ``float_lanes``; integers are int32 and wrap around.

One octave is 0 on its lattice and its magnitude stays below 1.0364. Octaves of twice the cells and
half the amplitude follow, each shifted by half a cell, so that no point lies on all lattices.

References:
    K. Perlin, "Improving noise", SIGGRAPH 2002, doi:10.1145/566654.566636.
    C. Wellons, "Prospecting for hash functions", 2018: ``lowbias32``, here without its last shift,
    as high bits alone are used. The lattice's factors are primes of xxHash.
"""

import numpy as np

from .float_lanes import (
    added,
    below,
    bits_of,
    both,
    chosen,
    differing,
    filled,
    floor_of,
    fused,
    multiplied,
    shifted_left,
    shifted_right,
    whole,
    with_bits,
)
from .jit import device
from .mapper_records import NoiseRow
from .real import HALF, ONE, ZERO

_TWO, _SIX, _TEN, _FIFTEEN = np.float32(2), np.float32(6), np.float32(10), np.float32(15)
# Adding it to 0 .. 1 leaves steps of 2^-14. So what ``fade`` gives is 0 or above 2^-39 and products
# of three are never subnormal numbers, which CUDA takes for 0 and the CPU does not.
_STEPPING = np.float32(512)

_LATTICE_X, _LATTICE_Y, _LATTICE_Z, _OCTAVE_FACTOR, _MIX_1, _MIX_2 = (
    np.uint32(factor).astype(np.int32)
    for factor in (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x7FEB352D, 0x846CA68B)
)
_1, _15, _16 = np.int32(1), np.int32(15), np.int32(16)
_SIGN_BIT, _LOW_BITS = np.int32(-(2**31)), np.int32(2**30 - 1)
_THIRD, _TWO_THIRDS = np.int32(2**30 // 3), np.int32(2**31 // 3)  # of the low bits

_AMPLITUDE, _CELLS = int(NoiseRow.AMPLITUDE), int(NoiseRow.CELLS)
_OCTAVES = int(NoiseRow.OCTAVES)


@device
def mixed_bits(word):
    """A word whose high bits all depend on all of ``word``."""
    word = multiplied(differing(word, shifted_right(word, _16)), _MIX_1)
    return multiplied(differing(word, shifted_right(word, _15)), _MIX_2)


@device
def flipped(number, word):
    """``number`` with the other sign where ``word`` has its sign bit set."""
    return with_bits(differing(bits_of(number), both(word, _SIGN_BIT)))


@device
def lattice_slope(number, x, y, z):
    """What the gradient of lattice point ``number`` gives at (x, y, z) from it.

    Two bits are signs, the other thirty tell the component that a gradient lacks.
    """
    word = mixed_bits(number)
    rest = both(word, _LOW_BITS)
    first = chosen(below(rest, _THIRD), y, x)
    second = chosen(below(rest, _TWO_THIRDS), z, y)
    return flipped(first, word) + flipped(second, shifted_left(word, _1))


@device
def fade(t):
    """From 0 to 1 with two derivatives 0 at either end."""
    return t * t * t * fused(t, fused(t, _SIX, -_FIFTEEN), _TEN)


@device
def between(share, a, b):
    """From ``a`` to ``b``."""
    return fused(share, b - a, a)


@device
def edge_noise(number, x, y, z, share):
    """Blend along x of the slopes of a lattice point and the next one."""
    near = lattice_slope(number, x, y, z)
    return between(share, near, lattice_slope(added(number, _LATTICE_X), x - ONE, y, z))


@device
def face_noise(number, x, y, z, share_x, share_y):
    """Blend along y of two edges."""
    near = edge_noise(number, x, y, z, share_x)
    far = edge_noise(added(number, _LATTICE_Y), x, y - ONE, z, share_x)
    return between(share_y, near, far)


@device
def within_cell(x, cell):
    """Of a coordinate within its cell, 0 .. 1."""
    return (x - cell + _STEPPING) - _STEPPING


@device
def lattice_noise(salt, x, y, z):
    """One octave, its cells of side 1.

    Args:
        salt: int32 that tells one noise from another.
        x: coordinate of magnitude below 2^31; y and z likewise.
        y: see ``x``.
        z: see ``x``.
    """
    cell_x, cell_y, cell_z = floor_of(x), floor_of(y), floor_of(z)
    number = added(multiplied(whole(cell_x), _LATTICE_X), salt)
    number = added(multiplied(whole(cell_y), _LATTICE_Y), number)
    number = added(multiplied(whole(cell_z), _LATTICE_Z), number)
    x, y, z = within_cell(x, cell_x), within_cell(y, cell_y), within_cell(z, cell_z)
    share_x, share_y = fade(x), fade(y)
    near = face_noise(number, x, y, z, share_x, share_y)
    far = face_noise(added(number, _LATTICE_Z), x, y, z - ONE, share_x, share_y)
    return between(fade(z), near, far)


@device
def salt_of(key, octave):
    """Of one octave of the noise of a key."""
    return mixed_bits(added(np.int32(key), multiplied(np.int32(octave), _OCTAVE_FACTOR)))


@device
def octave_sum(cells, octaves, key, x, y, z):
    """Octaves of amplitude 1, 1/2, 1/4 ...

    Args:
        cells: of the first octave, a length.
        octaves: how many.
        key: whole number of 32 bits.
        x: coordinate, a length; 2^(octaves - 1) cells x is below 2^31; y and z likewise.
        y: see ``x``.
        z: see ``x``.
    """
    total, amplitude = filled(x, ZERO), ONE
    x, y, z = cells * x, cells * y, cells * z
    for octave in range(octaves):
        total = fused(amplitude, lattice_noise(salt_of(key, octave), x, y, z), total)
        amplitude = HALF * amplitude
        x, y, z = fused(_TWO, x, HALF), fused(_TWO, y, HALF), fused(_TWO, z, HALF)
    return total


@device
def gradient_noise(row, key, x, y, z):
    """Noise of a row at a point, see ``octave_sum``."""
    return row[_AMPLITUDE] * octave_sum(row[_CELLS], int(row[_OCTAVES]), key, x, y, z)

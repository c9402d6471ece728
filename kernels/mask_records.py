"""Columns of the tables of star-shaped masks, and their limits; CUDA gets both as ``#define``s.

A *family* is a structure and its *satellites*, structures that are laid against it. A structure's
*section* is what one slice shows of it: in a frame that is turned and stretched, the points at most
``RADIUS * (1 + sum_k a_k cos(k t + f_k))`` from its centre, t the angle, k = 2 .. 7.
"""

from enum import IntEnum

WAVES_LOW = 2  # k of the first wave of a contour
CONTOUR_WAVES = 6
SATELLITES_MAX = 7  # of a structure
FAMILY_MAX = 8  # structures of a family
MASK_DRAWS = 1024  # of a structure: MASK_FORM_DRAWS for its form, then one a slice
MASK_FORM_DRAWS = 8
WALK_WINDOW = 8  # slices over which random walks are smoothed
WALK_CHANNELS = 8  # centre y and x, and the phase of each wave


class MaskSetting(IntEnum):
    """Settings of shapes and placement, (SIZE,) float32; ranges are uniform, lengths in voxels."""

    STRUCTURES_LOW = 0
    STRUCTURES_HIGH = 1
    RADIUS_LOW = 2  # logarithm to base 2
    RADIUS_HIGH = 3
    ROUGHNESS = 4  # standard deviation of k a_k, 2^-12
    WAVINESS = 5  # most of the sum of |a_k|
    ELONGATED = 6  # probability
    ELONGATION_LOW = 7  # length by width
    ELONGATION_HIGH = 8
    LUMEN = 9  # probability
    LUMEN_LOW = 10  # of the radius
    LUMEN_HIGH = 11
    EVOLVES = 12  # 1: sections change with z
    WIDEST_LOW = 13  # slice
    WIDEST_HIGH = 14
    GROW_LOW = 15  # voxels a slice
    GROW_HIGH = 16
    SHRINK_LOW = 17
    SHRINK_HIGH = 18
    BORN = 19  # probability
    BIRTH_LOW = 20  # slice
    BIRTH_HIGH = 21
    BIRTH_RADIUS = 22
    WANDER = 23  # of a whole step of the walk of centres, times 2^-19
    DRIFT = 24  # of the walk of phases, turns, likewise
    Y_LOW = 25  # of centres
    Y_HIGH = 26
    X_LOW = 27
    X_HIGH = 28
    NEAR = 29  # probability of satellites
    SATELLITES_LOW = 30
    SATELLITES_HIGH = 31
    SIZE_LOW = 32  # radius of a satellite, of its structure's
    SIZE_HIGH = 33
    GAP_LOW = 34
    GAP_HIGH = 35
    NESTED = 36  # probability that the first satellite lies in the lumen
    RADIUS_LEAST = 37  # of a satellite
    SIZE = 38


class MaskForm(IntEnum):
    """What one structure is in all slices, (N, SIZE) float32."""

    FAMILY = 0  # its number
    MEMBER = 1  # 0: the structure itself, then its satellites
    NESTED = 2  # 1: lies in the lumen of the structure
    RADIUS = 3  # of the widest section
    LUMEN = 4  # radius of the lumen by that of the section, 0: none
    U_X = 5  # from the volume's frame to its own: u = U_X x + U_Y y, v = V_X x + V_Y y
    U_Y = 6
    V_X = 7
    V_Y = 8
    AMPLITUDE = 9  # of each wave
    PHASE = 15  # of each wave, turns
    WIDEST = 21  # slice
    GROW = 22
    SHRINK = 23
    BIRTH = 24  # slice; -1e6 where it was there before the first
    Y = 25  # centre at the widest section; of a satellite, direction of its centre and the gap
    X = 26
    GAP = 27
    SIZE = 28


class MaskSection(IntEnum):
    """What one slice shows of one structure, (N, D, SIZE) float32."""

    REACH = (
        0  # no point of its own frame is farther from the centre; 0: nothing, and no more is set
    )
    RADIUS = 1
    LUMEN = 2  # radius of the lumen, -1: none
    Y = 3
    X = 4
    U_X = 5
    U_Y = 6
    V_X = 7
    V_Y = 8
    WAVE = 9  # a cos f, a sin f of each wave
    SIZE = 21

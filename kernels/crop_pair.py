"""A random crop of one of several images with label maps. Twin of ``crop_pair.cu``.

Along an axis a crop lies anywhere within the case; where the case is smaller, it lies in the middle
of the volume (of an odd rest, one voxel towards the first), with zeros around it.
"""

import numpy as np

from .bits import larger, quotient, smaller
from .jit import inlined, kernel
from .philox import bounded, random_words
from .records import Placed
from .streams import Stream

_STREAM = int(Stream.PAIRS)
_OBJECT, _VARIANT, _PLACE = int(Placed.OBJECT), int(Placed.VARIANT), int(Placed.Z)
_ACCEPTED, _PROPOSALS = int(Placed.ACCEPTED), int(Placed.PROPOSALS)


@inlined
def first_voxel(word, side, length):
    """Of a case of ``side`` voxels, the one that a volume of ``length`` begins with."""
    return bounded(word, 0, side - length) if side >= length else -quotient(length - side, 2)


@inlined
def copy_row(source, first, low, stop, out):
    """Elements low .. stop - 1 of a row from those of ``source``, the others 0."""
    out[:] = 0
    to, of = out[low:stop], source[first + low : first + stop]
    for x in range(to.size):
        to[x] = of[x]


@kernel
def crop_pair(sides, starts, images, labels, seed, index, image, label, placed):
    """Crop a volume.

    Random words, of draw 0: case; the crop's first voxel along z, y, x.

    Args:
        sides: (S, 3) int32, of each case, 1 or more.
        starts: (S,) int64, voxels before each.
        images: (C * V,) unsigned bit patterns; of a case, channel after channel.
        labels: (V,) of the label map's type.
        seed: uint64.
        index: uint64, of the volume.
        image: (C, D, H, W) of the images' type, out.
        label: (1, D, H, W) of the label map's type, out.
        placed: (1, Placed.SIZE) int32, out: VARIANT is the case, the place is the case's voxel that
            is the volume's first one, below 0 where there are zeros before the case.
    """
    channels, depth, height, width = image.shape
    w0, w1, w2, w3 = random_words(seed, index, _STREAM, 0)
    case = bounded(w0, 0, starts.size - 1)
    far, high, across = np.int64(sides[case, 0]), np.int64(sides[case, 1]), np.int64(sides[case, 2])
    z0, y0 = first_voxel(w1, far, depth), first_voxel(w2, high, height)
    x0 = first_voxel(w3, across, width)
    row = placed[0]
    row[_OBJECT], row[_VARIANT] = 0, case
    row[_PLACE], row[_PLACE + 1], row[_PLACE + 2] = z0, y0, x0
    row[_ACCEPTED], row[_PROPOSALS] = 1, 1
    source, voxels = starts[case], far * high * across
    low, high_stop = larger(-x0, 0), smaller(width, across - x0)
    for z in range(depth):
        for y in range(height):
            inside = 0 <= z + z0 < far and 0 <= y + y0 < high
            stop = high_stop if inside else low
            at = ((z + z0) * high + y + y0) * across + x0
            for c in range(channels):
                copy_row(images, channels * source + c * voxels + at, low, stop, image[c, z, y])
            copy_row(labels, source + at, low, stop, label[0, z, y])

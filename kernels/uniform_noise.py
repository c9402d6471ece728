"""Integer noise added to a two-level image in place. Twin of ``uniform_noise.cu``."""

import numpy as np

from .jit import kernel
from .philox import bounded, random_words
from .streams import Stream

_AMPLITUDE, _NOISE = int(Stream.NOISE_AMPLITUDE), int(Stream.NOISE)


@kernel
def uniform_noise(low, high, value, levels, seed, index, image):
    """Add an independent integer of 0 .. L - 1 to each voxel; L is drawn once a volume.

    Args:
        low, high: bounds of L.
        value: intensity of the image's upper level; the lower one is 0.
        levels: (value + high,) bit patterns of the intensities 0, 1, ...
        seed: uint64.
        index: uint64, of the volume.
        image: (D * H * W,) unsigned bit patterns, in and out. Voxel i, counted z y x, uses word
            i % 4 of draw i // 4.
    """
    word, _, _, _ = random_words(seed, index, _AMPLITUDE, 0)
    amplitude = np.uint64(bounded(word, low, high))
    for start in range(0, image.size, 4):
        words = random_words(seed, index, _NOISE, start // 4)
        for i in range(min(4, image.size - start)):
            base = value if image[start + i] == levels[value] else 0
            noise = (words[i] * amplitude) >> np.uint64(32)
            image[start + i] = levels[base + np.int64(noise)]

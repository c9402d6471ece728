"""Integer noise added to a two-level image in place. Twin of ``uniform_noise.cu``."""

import numpy as np

from .jit import kernel
from .philox import bounded, random_words
from .streams import Stream

_AMPLITUDE, _NOISE = int(Stream.NOISE_AMPLITUDE), int(Stream.NOISE)


@kernel
def uniform_noise(low, high, value, levels, seed, indices, image):
    """Add an independent integer of 0 .. L - 1 to each voxel; L is drawn once a volume.

    Args:
        low, high: bounds of L.
        value: intensity of the image's upper level; the lower one is 0.
        levels: (value + high,) bit patterns of the intensities 0, 1, ...
        seed: uint64.
        indices: (B,) uint64 volume indices.
        image: (B, D * H * W) unsigned bit patterns, in and out. Voxel i, counted z y x, uses word
            i % 4 of draw i // 4.
    """
    for b in range(image.shape[0]):
        flat = image[b]
        word, _, _, _ = random_words(seed, indices[b], _AMPLITUDE, 0)
        amplitude = np.uint64(bounded(word, low, high))
        for start in range(0, flat.size, 4):
            words = random_words(seed, indices[b], _NOISE, start // 4)
            for i in range(min(4, flat.size - start)):
                base = value if flat[start + i] == levels[value] else 0
                noise = (words[i] * amplitude) >> np.uint64(32)
                flat[start + i] = levels[base + np.int64(noise)]

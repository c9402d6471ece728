"""SHA-256 over the volumes of a recipe, as one executor makes them.

``python -m tests.digests RECIPE SEED COUNT D H W`` prints it for the CPU kernels, so that a test
can run it in a process with other settings of Numba and NumPy.
"""

import hashlib
import sys

import numpy as np

from synthgen.engine import Generator
from synthgen.recipe import load_recipe

SHAPES = [(96, 96, 96), (17, 33, 19), (130, 64, 97)]


def digest(generator, indices, batch_size=16):
    """SHA-256 over image and label of each volume in turn."""
    total = hashlib.sha256()
    for first in range(0, len(indices), batch_size):
        batch = generator.numpy(generator.batch(indices[first : first + batch_size]))
        for image, label in zip(batch.image, batch.label, strict=True):
            total.update(np.ascontiguousarray(image).tobytes())
            total.update(np.ascontiguousarray(label).tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    name, seed, count, *shape = sys.argv[1:]
    recipe = load_recipe(name).at_shape([int(side) for side in shape])
    print(digest(Generator(recipe, seed=int(seed), device="cpu"), range(int(count))))

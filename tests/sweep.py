"""The full sweep of bit-identity: ``python -m tests.sweep [--volumes 200]``.

For every built-in recipe and three shapes, the SHA-256 over all volumes must be the same for one
thread and all threads, batches of 1, 7 and 16, the generic CPU target, NumPy without its vector
units, the ``.cu`` files compiled for the host in several thread orders, the same with sanitizers
(fewer volumes, against the CPU's), CUDA where there is a device, and, of polygon stacks, the
reference (one volume).
"""

import argparse
import subprocess
import sys
import time

import numpy as np

from synthgen.engine import Generator
from synthgen.recipe import Recipe, builtin_names, load_recipe
from synthgen.shapes.polygon_stack import PolygonStack
from tests.backends import cpu, generic_environment, host_cuda, plain_numpy_environment
from tests.digests import SHAPES, digest
from tests.reference import Reference


def host(recipe, seed, **options):
    generator = host_cuda(recipe, **options)
    generator.seed = seed
    return generator


def in_process(environment, name, seed, count, shape):
    command = [sys.executable, "-m", "tests.digests", name, seed, count, *shape]
    run = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def executors(name, recipe, seed, count, sanitized):
    """(label, indices, digest) of each way to make the volumes."""
    everything, few = range(count), range(sanitized)
    generator = Generator(recipe, seed=seed, device="cpu")
    yield "all threads, batch 16", everything, digest(generator, everything)
    yield "all threads, batch 7", everything, digest(generator, everything, 7)
    generator = cpu(recipe, seed, threads=1)
    yield "one thread, batch 1", everything, digest(generator, everything, 1)
    shape = recipe.reference_shape
    yield "generic CPU", everything, in_process(generic_environment(), name, seed, count, shape)
    plain = in_process(plain_numpy_environment(), name, seed, count, shape)
    yield "NumPy without vector units", everything, plain
    for order in range(4):
        yield (
            f"host .cu, order {order}",
            everything,
            digest(host(recipe, seed, order=order), everything),
        )
    yield "one thread", few, digest(generator, few)
    for order in (1, 2):
        sanitizing = host(recipe, seed, sanitize=True, order=order)
        yield f"host .cu, sanitized, order {order}", few, digest(sanitizing, few)
    try:
        cuda = Generator(recipe, seed=seed, device="cuda")
    except RuntimeError:
        return
    yield "CUDA", everything, digest(cuda, everything)


def check_reference(recipe, seed):
    reference = Reference(recipe, seed, 0)
    made = Generator(recipe, seed=seed, device="cpu").batch([0])
    same = np.array_equal(made.image[0, 0], reference.image) and np.array_equal(
        made.label[0, 0], reference.label
    )
    print(f"  {'reference, volume 0':38} {'equal' if same else 'DIFFERS'}", flush=True)
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--sanitized", type=int, default=16)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    good = True
    for name in builtin_names():
        for shape in SHAPES:
            recipe = load_recipe(name).at_shape(shape)
            print(f"{name} {'x'.join(map(str, shape))}, {options.volumes} volumes", flush=True)
            expected = {}
            started = time.perf_counter()
            for label, indices, found in executors(
                name, recipe, options.seed, options.volumes, options.sanitized
            ):
                same = found == expected.setdefault(len(indices), found)
                seconds, started = time.perf_counter() - started, time.perf_counter()
                verdict = found[:16] if same else f"DIFFERS {found[:16]}"
                print(
                    f"  {label:38} {verdict}  {len(indices)} volumes, {seconds:.1f} s", flush=True
                )
                good &= same
            if isinstance(recipe, Recipe) and isinstance(recipe.shapes, PolygonStack):
                good &= check_reference(recipe, options.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()

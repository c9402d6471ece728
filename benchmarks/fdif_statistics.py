"""Statistics of FDIF volumes against the published generator's.

    python -m benchmarks.fdif_statistics

The published figures were measured on the public code of FDIF (commit 81c17f1) in its published
configuration at 96^3: those with standard errors on 140 volumes, the others on the first 40, where
the spread between volumes is taken to be ours. A mean agrees if it lies within 3 joint standard
errors; an entry of a profile or a group's share, of which there are 19, within 4. Exit code 1 if
anything disagrees.
"""

import numpy as np

from benchmarks.comparing import compare, run
from synthgen.engine import Generator
from synthgen.shapes.sdf_classes import CLASSES

# Mean and standard error.
PUBLISHED = {
    "foreground": (0.561, 0.009),
    "distinct labels": (18.5, 0.1),
    "image mean": (46.3, 0.75),
    "image standard deviation": (52.9, 0.2),
    "voxels at 0": (0.447, 0.0077),
    "voxels at 128": (0.175, 0.0044),
}
OF_VOLUMES = 40
LAYERS = 8
MORE = {
    "object voxels / volume": 0.95,
    "image mean in the foreground": 82.0,
    "image mean outside": 2.0,
    **dict(
        zip(
            [f"foreground, layer {i}" for i in range(LAYERS)],
            [0.33, 0.42, 0.51, 0.58, 0.63, 0.66, 0.67, 0.68],
            strict=True,
        )
    ),
    "autocovariance at 1": 0.221,
    "autocovariance at 2": 0.209,
    "autocovariance at 4": 0.192,
    "autocovariance at 8": 0.164,
    "autocovariance at 16": 0.126,
}
# Shares of the foreground by class.
SHARES = {
    "onions": (0.58, lambda found: found.onion),
    "basic solids": (0.08, lambda found: found.id <= 8),
    "polygon prisms": (0.20, lambda found: 12 <= found.id <= 39),
    "star prisms": (0.06, lambda found: 40 <= found.id <= 55),
    "polygon and star tori": (0.06, lambda found: 56 <= found.id <= 65),
    "star revolutions": (0.01, lambda found: 9 <= found.id <= 11),
}


def of_volume(image, label, counts):
    """Every quantity of one volume."""
    inside = label > 0
    found = {
        "foreground": inside.mean(),
        "distinct labels": len(np.unique(label[inside])),
        "image mean": image.mean(),
        "image standard deviation": image.std(),
        "voxels at 0": (image == 0).mean(),
        "voxels at 128": (image == 128).mean(),
        "object voxels / volume": counts.sum() / image.size,
        "image mean in the foreground": image[inside].mean(),
        "image mean outside": image[~inside].mean(),
    }
    layers = [inside.mean(axis).reshape(16, 6).mean(1) for axis in [(1, 2), (0, 2), (0, 1)]]
    folded = sum(layer + layer[::-1] for layer in layers)[:LAYERS] / 6
    found |= {f"foreground, layer {i}": folded[i] for i in range(LAYERS)}
    for lag in (1, 2, 4, 8, 16):
        pairs = [
            (np.roll(inside, -lag, axis) & inside).take(range(96 - lag), axis).mean()
            for axis in range(3)
        ]
        found[f"autocovariance at {lag}"] = np.mean(pairs) - inside.mean() ** 2
    share = np.bincount(label[inside], minlength=len(CLASSES) + 1)[1:] / inside.sum()
    for name, (_, belongs) in SHARES.items():
        found[name] = share[[belongs(row) for row in CLASSES]].sum()
    return found


def tables(volumes, seed):
    """The comparison of ``fdif``."""
    generator = Generator("fdif", seed=seed, device="cpu")
    batch, found = generator.empty([0]), []
    for index in range(volumes):
        batch.index[:] = index
        stages = generator.stages(batch)
        for stage in stages:
            stage.run()
        found.append(of_volume(batch.image[0, 0], batch.label[0, 0], stages.arrays["counts"]))
    values = {name: np.array([row[name] for row in found], float) for name in found[0]}
    rows = [compare(name, values[name], *figures) for name, figures in PUBLISHED.items()]
    for name, published in MORE.items():
        several = "layer" in name or "autocovariance" in name
        rows.append(compare(name, values[name], published, OF_VOLUMES, 4 if several else 3))
    for name, (published, _) in SHARES.items():
        rows.append(compare(name, values[name], published, OF_VOLUMES, 4))
    return {"fdif": rows}


def main():
    run(__doc__.splitlines()[0], tables)


if __name__ == "__main__":
    main()

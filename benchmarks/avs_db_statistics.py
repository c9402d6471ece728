"""Statistics of AVS-DB volumes against the published generator's.

    python -m benchmarks.avs_db_statistics

The published columns were measured on 120 volumes of PrimGeoSeg (commit 622668f, configuration 001,
96^3), once as it stands (``avs-db-legacy``) and once with its overlap denominator corrected
(``avs-db``). A mean agrees if it lies within 3 joint standard errors, sqrt(s^2 / 120 + s^2 / n)
with s the standard deviation over our n volumes; a bin of a profile, of which there are 24, within
4. Exit code 1 if anything disagrees.
"""

import numpy as np

import synthgen
from benchmarks.comparing import compare, run
from synthgen.kernels.records import Placed

PUBLISHED_VOLUMES = 120
PUBLISHED = {
    "avs-db-legacy": {
        "objects placed": 18.98,
        "proposals": 181.0,
        "foreground": 0.2626,
        "lines": 0.1352,
        "lines outside any label": 0.205,
        "labels under a line": 0.413,
        "distinct labels": 14.4,
    },
    "avs-db": {
        "objects placed": 19.94,
        "proposals": 61.0,
        "foreground": 0.2644,
        "lines": 0.1431,
        "distinct labels": 14.9,
    },
}
# Foreground by position, bins of 6 voxels: in the plane, mirrored after 8 bins, and along z.
IN_PLANE = [0.003, 0.030, 0.110, 0.227, 0.350, 0.428, 0.467, 0.483]
ALONG_Z = [
    0.125, 0.232, 0.270, 0.288, 0.301, 0.309, 0.320, 0.329,
    0.329, 0.328, 0.314, 0.294, 0.273, 0.232, 0.180, 0.077,
]  # fmt: skip


def measure(name, volumes, seed):
    """Per-volume values of each quantity, and the profiles of the foreground."""
    values, in_plane, along_z = [], [], []
    for batch in synthgen.generate(name, seed=seed, indices=range(volumes), batch_size=50):
        for image, label, placed in zip(batch.image, batch.label, batch.placed, strict=True):
            inside, line = label[0] > 0, image[0] > 0
            values.append(
                {
                    "objects placed": placed[:, Placed.ACCEPTED].sum(),
                    "proposals": placed[:, Placed.PROPOSALS].sum(),
                    "foreground": inside.mean(),
                    "lines": line.mean(),
                    "lines outside any label": (line & ~inside).sum() / line.sum(),
                    "labels under a line": (line & inside).sum() / inside.sum(),
                    "distinct labels": len(np.unique(label)) - 1,
                }
            )
            z, y, x = (
                inside.mean(axis).reshape(16, 6).mean(1) for axis in [(1, 2), (0, 2), (0, 1)]
            )
            along_z.append(z)
            in_plane.append((y + y[::-1] + x + x[::-1])[:8] / 4)
    quantities = {key: np.array([value[key] for value in values], float) for key in values[0]}
    return quantities, np.array(in_plane), np.array(along_z)


def rows_of(name, volumes, seed):
    quantities, in_plane, along_z = measure(name, volumes, seed)
    count = PUBLISHED_VOLUMES
    rows = [compare(key, quantities[key], value, count) for key, value in PUBLISHED[name].items()]
    if name == "avs-db-legacy":
        rows += [
            compare(f"in plane, bin {i}", in_plane[:, i], IN_PLANE[i], count, 4) for i in range(8)
        ]
        rows += [
            compare(f"along z, bin {i}", along_z[:, i], ALONG_Z[i], count, 4) for i in range(16)
        ]
    return rows


def main():
    run(
        __doc__.splitlines()[0],
        lambda volumes, seed: {name: rows_of(name, volumes, seed) for name in PUBLISHED},
    )


if __name__ == "__main__":
    main()

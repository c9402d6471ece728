"""pytest-benchmark cases: exports of 64 volumes, NIfTI beside nothing but gzip.

    pytest benchmarks/bench_export.py --benchmark-only

Before each export the same bytes are compressed on the same number of threads, and nothing else is
done. ``extra_info`` holds the share of that speed which an export reaches while it also reads and
checks the store and writes files that last.
"""

import gzip
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import perf_counter

import pytest

from synthgen.export import nifti, ome_zarr
from synthgen.export.folder import threads
from synthgen.recipe import load_recipe
from synthgen.store import build

VOLUMES, ROUNDS = 64, 7


@pytest.fixture(scope="module")
def store(request, tmp_path_factory):
    recipe = load_recipe("avs-db").at_shape(request.config.getoption("--shape"))
    out = tmp_path_factory.mktemp("store") / "store.zarr"
    build(recipe, out, count=VOLUMES, seed=7, device="cpu")
    return out


@pytest.mark.parametrize("level", [1, 6])
def bench_nifti(benchmark, store, tmp_path, level):
    nifti(store, tmp_path / "first", level=level)
    files = sorted((tmp_path / "first").rglob("*.nii.gz"))
    contents = [gzip.decompress(path.read_bytes()) for path in files]
    bare, exports, folders = [], [], count()

    def compress():
        start = perf_counter()
        with ThreadPoolExecutor(threads()) as pool:
            for _ in pool.map(lambda content: gzip.compress(content, level, mtime=0), contents):
                pass
        bare.append(perf_counter() - start)

    def export():
        start = perf_counter()
        nifti(store, tmp_path / f"{next(folders)}", level=level)
        exports.append(perf_counter() - start)

    benchmark.pedantic(export, setup=compress, rounds=ROUNDS, warmup_rounds=1)
    shares = [alone / whole for alone, whole in zip(bare, exports, strict=True)]
    benchmark.extra_info.update(
        threads=threads(),
        volumes=VOLUMES,
        bare_gzip_seconds=statistics.median(bare),
        share_of_bare_gzip=statistics.median(shares),
        shares=sorted(shares),
    )


def bench_ome_zarr(benchmark, store, tmp_path):
    folders = count()
    benchmark.pedantic(
        lambda: ome_zarr(store, tmp_path / f"{next(folders)}"), rounds=3, warmup_rounds=1
    )

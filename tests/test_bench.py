"""The benchmark runs on a small shape and reports what it must."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from synthgen.bench import bench
from synthgen.recipe import load_recipe

ROOT = Path(__file__).parents[1]
SMALL = load_recipe("avs-db").at_shape((17, 33, 19))


def test_report_has_every_stage_and_what_was_made():
    report = bench(SMALL, device="cpu", batch_size=4, volumes=12).to_dict()
    names = [row["name"] for row in report["rows"]]
    assert names == [
        "write", "sample", "rasterize", "place", "paint", "generate", "generate, all",
        "encode+write",
        "read",
    ]  # fmt: skip
    for row in report["rows"]:
        assert row["volumes"] == 12
        assert 0 < row["made"]["foreground"] < 1
        assert row["made"]["objects_placed"] > 1
        low, high = row["iqr"]
        assert 0 < low <= row["median"] <= high
        assert row["voxels_per_second"] == pytest.approx(17 * 33 * 19 / row["median"])
    assert report["settings"]["shape"] == [17, 33, 19]
    assert {"python", "numpy", "numba"} <= set(report["versions"])


def test_optional_stages_are_timed():
    noisy = SMALL.replace(appearance__noise=(2, 9), shapes__orientations=("stay", "side_1"))
    names = [row.name for row in bench(noisy, device="cpu", batch_size=2, volumes=2).rows]
    assert {"turn", "noise"} <= set(names)


def test_planes_with_prompts_are_timed():
    planes = load_recipe("synthfm").at_shape((1, 48, 40))
    rows = {row.name: row for row in bench(planes, device="cpu", batch_size=2, volumes=2).rows}
    assert {"generate", "generate, all", "encode+write", "read"} <= rows.keys()
    assert rows["read"].voxels_per_second == pytest.approx(48 * 40 / rows["read"].median)


@pytest.mark.parametrize(("argument", "rule"), [("batch_size", "batch"), ("volumes", "volumes")])
def test_sizes_are_checked(argument, rule):
    with pytest.raises(ValueError, match=f"{rule}: must be at least 1, got 0"):
        bench(SMALL, device="cpu", **{argument: 0})


def test_benchmark_cases_run(tmp_path):
    command = [
        sys.executable, "-m", "pytest", "benchmarks", "--benchmark-disable", "-q",
        "--shape", "17", "33", "19", "-p", "no:cacheprovider",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("script", "name", "rows"), [("avs_db", "avs-db-legacy", 31), ("fdif", "fdif", 28)]
)
def test_statistics_agree_with_the_published_generator(script, name, rows):
    command = [sys.executable, "-m", f"benchmarks.{script}_statistics", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    wrong = [row for rows in found.values() for row in rows if not row["agrees"]]
    assert done.returncode == 0
    assert wrong == []
    assert len(found[name]) == rows

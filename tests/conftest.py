"""Tests marked ``gpu`` run where CuPy sees a device, and are skipped elsewhere."""

import importlib.util
import os

import pytest

# Threads of torch that wait for each other on busy cores make small networks up to 20 times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

NEEDS = {
    "bank": ("nibabel", "nrrd", "trimesh"),
    "dataset": ("torch", "monai"),
    "export": ("nibabel", "isal"),
    "feeding": ("torch",),
    "training": ("torch", "monai", "einops", "lightning_fabric", "safetensors", "matplotlib"),
}
LACKING = {
    folder: [name for name in names if importlib.util.find_spec(name) is None]
    for folder, names in NEEDS.items()
}
collect_ignore = [folder for folder, names in LACKING.items() if names]


def pytest_report_header() -> list[str]:
    return [
        f"tests/{folder} left out: {', '.join(names)} not installed"
        for folder, names in LACKING.items()
        if names
    ]


def _no_device() -> str | None:
    if importlib.util.find_spec("cupy") is None:
        return "cupy is not installed"
    import cupy

    return None if cupy.is_available() else "there is no CUDA device"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("gpu")]
    reason = _no_device() if marked else None
    if reason:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))

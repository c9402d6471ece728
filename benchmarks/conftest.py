"""Benchmarks take a shape, and run where their device is."""

from tests.conftest import pytest_collection_modifyitems

__all__ = ["pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser):
    parser.addoption(
        "--shape", type=int, nargs=3, default=[96, 96, 96], metavar=("D", "H", "W"),
        help="volume shape in voxels",
    )  # fmt: skip

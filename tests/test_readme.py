"""The README's loops run as they stand there, but for sizes."""

import re
from pathlib import Path

import pytest

from synthgen.recipe import load_recipe
from synthgen.store import build

pytest.importorskip("monai")

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def run(mark, variables=None, **sizes):
    """Run the block that holds ``mark``, each text of ``sizes`` replaced by a smaller one."""
    (block,) = [block for block in BLOCKS if mark in block]
    for large, small in sizes.items():
        assert large in block
        block = block.replace(large, small)
    variables = {} if variables is None else variables
    exec(block, variables)
    return variables


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with the store ``avs-db.zarr``."""
    monkeypatch.chdir(tmp_path)
    build(load_recipe("avs-db").at_shape((24, 40, 18)), tmp_path / "avs-db.zarr", count=5,
          device="cpu")  # fmt: skip
    return tmp_path


@pytest.mark.slow
def test_the_feed_trains():
    done = run("synthgen.feed(", **{
        'load_recipe("avs-db")': 'load_recipe("avs-db-4").at_shape((64, 32, 32))',
        "feature_size=48": "feature_size=12, window_size=4",
        "range(10_000)": "range(2)",
    })  # fmt: skip
    assert done["batch"]["index"].tolist() == [2, 3]


@pytest.mark.usefixtures("folder")
def test_a_store_trains():
    done = run("DiceCELoss(to_onehot_y=True, softmax=True)\noptimizer = torch.optim.AdamW(net.par"
               "ameters(), lr=1e-3)", **{
        "(64, 64, 64)": "(16, 16, 16)", "num_workers=4": "num_workers=0",
    })  # fmt: skip
    assert done["batch"]["image"].shape == (2, 1, 16, 16, 16)
    assert done["value"].isfinite()


@pytest.mark.usefixtures("folder")
def test_torchio_reads_a_store():
    from synthgen import VolumeDataset

    pytest.importorskip("torchio")
    done = run("import torchio", {"VolumeDataset": VolumeDataset})
    (batch, *_) = done["loader"]
    assert batch["label"]["data"].shape == (2, 1, 18, 40, 24)


def test_monai_reads_an_export(folder):
    from synthgen.export import decathlon

    pytest.importorskip("nibabel")
    decathlon(folder / "avs-db.zarr", folder / "out")
    done = run("load_decathlon_datalist")
    assert len(done["dataset"]) == 4
    assert done["dataset"][0]["label"].shape == (1, 18, 40, 24)

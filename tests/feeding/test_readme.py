"""The loop of the README runs, at a size for tests."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
SMALLER = {
    'load_recipe("avs-db")': 'load_recipe("avs-db-4").at_shape((64, 64, 32))',
    "feature_size=48": "feature_size=12, window_size=4",
    "range(10_000)": "range(2)",
}


@pytest.mark.slow
def test_the_monai_loop():
    pytest.importorskip("monai")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (loop,) = [block for block in blocks if "synthgen.feed(" in block]
    for large, small in SMALLER.items():
        assert large in loop
        loop = loop.replace(large, small)
    variables = {}
    exec(loop, variables)
    assert variables["batch"]["index"].tolist() == [2, 3]

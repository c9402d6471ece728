"""Values in messages are short, and cost no more than what is shown of them."""

import time
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from synthgen.recipe import Recipe, RecipeError
from synthgen.settings import one_line, parse_json, parse_yaml, read_text


class Model(BaseModel):
    number: int


def shown(value: Any) -> str:
    """How a wrong value is told."""
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"number": value})
    return one_line(caught.value, {"number": value}).partition(", got ")[2]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, 2], "[1, 2]"),
        ((1, (2, 3)), "[1, (2, 3)]"),
        ({"b": [1.5, None]}, "{'b': [1.5, None]}"),
        ("two  words", "'two words'"),
        (list(range(26)), str(list(range(26)))[:77] + "..."),
        (["x" * 100], "['" + "x" * 75 + "..."),
        ([[[[]]], [[[1]]]], "[[[[]]], [[[...]]]]"),
        ([2**4000], "[a number of 4001 bits]"),
    ],
)
def test_values_are_shown_as_yaml_or_cut(value, text):
    assert shown(value) == text


def bomb(levels: int = 12) -> str:
    """A list of nine strings, then of nine such lists, and so on."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
    return "\n".join(lines)


def test_aliases_within_aliases_are_told_at_once():
    started = time.perf_counter()
    assert len(shown(yaml.safe_load(bomb()))) == 80
    with pytest.raises(RecipeError, match="a0: unknown key") as caught:
        Recipe.from_yaml("name: mine\nshapes: {kind: sdf}\n" + bomb())
    assert len(str(caught.value)) < 200
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize("text", ["name: 2020-99-99", "name: " + "9" * 5000, "name: &a [*a]"])
def test_what_yaml_cannot_make_of_text(text):
    with pytest.raises(RecipeError):
        Recipe.from_yaml(text)


def test_merges_within_merges_are_made_at_once():
    lines = ["a0: &a0 {x: 1, y: 2}"]
    for n in range(1, 20):
        lines.append(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], z: {n}}}")
    assert parse_yaml("\n".join(lines))["a19"] == {"x": 1, "y": 2, "z": 19}


def test_merges_are_those_of_yaml():
    text = "[&a {x: 1, y: 1}, &b {x: 2, z: 2}, {<<: [*a, *b, *a], z: 3}, {<<: [*b, *a]}, {<<: *a}]"
    assert parse_yaml(text) == yaml.safe_load(text)


def test_a_key_is_there_once():
    for text in ("x: 1\ny: 2\nx: 1\n", "z: {\n  x: 1,\n  x: 2}\n", "- {x: 1}\n-\n  {x: 1, x: 1}"):
        with pytest.raises(ValueError, match=r"^not YAML: line 3: 'x' is there twice$"):
            parse_yaml(text)
    assert parse_yaml("{x: &a {x: 1}, y: {<<: *a, x: 2}, 1: 3, '1': 4}") == {
        "x": {"x": 1}, "y": {"x": 2}, 1: 3, "1": 4,
    }  # fmt: skip


def test_files_are_read_up_to_a_limit(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text("twelve bytes")
    assert read_text(path, 12) == "twelve bytes"
    with pytest.raises(ValueError, match="must have 11 bytes or fewer"):
        read_text(path, 11)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_text(path, 12)


def test_a_key_that_json_has_twice_is_refused():
    assert parse_json('{"1": {"a": [1, 2.5]}, "2": {"a": null}}') == {
        "1": {"a": [1, 2.5]}, "2": {"a": None},
    }  # fmt: skip
    for text in ('{"x": 1, "y": 2, "x": 1}', '[{"y": {"x": 1, "x": 2}}]'):
        with pytest.raises(ValueError, match=r"^not JSON: 'x' is there twice$"):
            parse_json(text)
    with pytest.raises(ValueError, match=r"^not JSON: "):
        parse_json("[" * 10**5)

"""The gallery: its files, what it keeps, what it leaves out."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from synthgen.cli import app
from synthgen.gallery import gallery
from synthgen.recipe import RecipeError, builtin_names, load_recipe

SHAPE = (16, 20, 24)
NAMES = ["avs-db-4", "fdif-classification"]


def states(folder: Path, *arguments, **options) -> dict[str, str]:
    return {picture.name: picture.state for picture in gallery(folder, *arguments, **options)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "new" / "gallery"
    assert states(folder, NAMES, shape=SHAPE) == dict.fromkeys(NAMES, "drawn")
    return folder


def test_files(folder: Path) -> None:
    files = {path.name for path in folder.iterdir()}
    pages = {f"{name}.{end}" for name in NAMES for end in ("png", "yaml")}
    assert files == {"index.html", "README.md", *pages}


def test_yaml_is_the_recipe_of_the_picture(folder: Path) -> None:
    for name in NAMES:
        expected = load_recipe(name).at_shape(SHAPE)
        assert load_recipe(str(folder / f"{name}.yaml")).digest() == expected.digest()
        for page in ("index.html", "README.md"):
            assert expected.digest()[:12] in (folder / page).read_text()


def test_links_lead_to_files(folder: Path) -> None:
    for page, pattern in (("index.html", r'(?:href|src)="([^"#]+)"'),
                          ("README.md", r"\]\(([^)#]+)\)")):  # fmt: skip
        links = re.findall(pattern, (folder / page).read_text())
        assert {f"{name}.{end}" for name in NAMES for end in ("png", "yaml")} == set(links)
    ids = re.findall(r'id="([^"]+)"', (folder / "index.html").read_text())
    assert ids == NAMES


def test_pictures_are_kept_until_they_would_differ(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    assert states(folder, NAMES, shape=SHAPE) == dict.fromkeys(NAMES, "kept")
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.png")} == before
    assert states(folder, NAMES[:1], shape=SHAPE, seed=1) == {NAMES[0]: "drawn"}
    assert states(folder, NAMES[:1], shape=SHAPE, seed=1, indices=[4]) == {NAMES[0]: "drawn"}
    assert states(folder, NAMES, shape=SHAPE) == {NAMES[0]: "drawn", NAMES[1]: "kept"}


def test_half_a_picture_is_drawn_again(folder: Path) -> None:
    path = folder / f"{NAMES[0]}.png"
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no picture"):
        path.write_bytes(damaged)
        assert states(folder, NAMES, shape=SHAPE) == {NAMES[0]: "drawn", NAMES[1]: "kept"}
        assert path.read_bytes() == whole


def test_pictures_of_others_are_drawn_over(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "avs-db-4.png")
    assert states(tmp_path, ["avs-db-4"], shape=SHAPE) == {"avs-db-4": "drawn"}


def test_all_built_in_recipes_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that cannot be made at a shape are left out, with the reason; others are all there."""
    monkeypatch.setattr("synthgen.gallery.from_recipe", lambda recipe, indices, seed: recipe)
    monkeypatch.setattr("synthgen.gallery.draw", lambda recipe: Image.new("RGB", (8, 8)))
    found = list(gallery(tmp_path, shape=(16, 16, 16)))
    assert [picture.name for picture in found] == builtin_names()
    for picture in found:
        page = (tmp_path / "README.md").read_text()
        if picture.state == "left_out":
            assert f"Left out: {picture.name}, {picture.reason}." in page
        else:
            assert f"({picture.name}.png)" in page


def test_what_cannot_be_made_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthgen.gallery.builtin_names", lambda: ["avs-db-4"])
    (picture,) = gallery(tmp_path, shape=(16, 16, 15))
    assert (picture.state, picture.recipe) == ("left_out", None)
    assert "16..512 voxels" in picture.reason
    for page in ("index.html", "README.md"):
        assert "16..512 voxels" in (tmp_path / page).read_text()


def test_named_recipes_must_do(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="avs-db-4: shape: needs 3 sides"):
        list(gallery(tmp_path / "a", ["avs-db-4"], shape=(16, 16, 15)))
    with pytest.raises(RecipeError, match="unknown name 'none'"):
        list(gallery(tmp_path / "a", ["none"]))
    with pytest.raises(ValueError, match="names must be distinct, got 'avs-db-4' twice"):
        list(gallery(tmp_path / "a", ["avs-db-4", "avs-db-4"]))
    assert not (tmp_path / "a").exists()


def test_names_and_texts_do_no_harm(tmp_path: Path) -> None:
    odd = load_recipe("avs-db-4").replace(name="../a b<c>", description="1 < 2 | &\n| two")
    path = tmp_path / "odd.yaml"
    path.write_text(odd.to_yaml())
    folder = tmp_path / "gallery"
    (picture,) = gallery(folder, [str(path)], shape=SHAPE)
    assert sorted(os.listdir(folder)) == ["README.md", "a-b-c.png", "a-b-c.yaml", "index.html"]
    assert picture.name == "a-b-c"
    assert "1 &lt; 2 | &amp; | two" in (folder / "index.html").read_text()


def test_command(tmp_path: Path, folder: Path) -> None:
    def run(*arguments: str | Path):
        return CliRunner().invoke(app, ["gallery", *map(str, arguments)])

    shape = ["--shape", *map(str, SHAPE)]
    result = run("-o", folder, "-r", NAMES[0], "--recipes", NAMES[1], *shape)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"[1/2] {NAMES[0]}: kept as it was",
        f"[2/2] {NAMES[1]}: kept as it was",
        f"wrote {folder / 'index.html'} and {folder / 'README.md'}",
    ]
    file = tmp_path / "file"
    file.touch()
    result = run("-o", file)
    assert (result.exit_code, result.stderr) == (
        2, f"error: --output: must be a folder, got '{file}'\n",
    )  # fmt: skip

"""A folder of pictures of recipes: a montage of each, and pages that list them.

A picture tells what it shows in its own metadata, so that one that is there already, of the same
volumes, is kept.
"""

import html
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from synthgen.preview import draw, from_recipe
from synthgen.recipe import AnyRecipe, RecipeError, builtin_names, load_recipe

INDICES = (0, 1, 2)
_KEY = "synthgen"  # of a picture's own text
_CLASSES_TOLD = 8  # names, in a table


@dataclass(frozen=True)
class Picture:
    """What became of one recipe.

    Attributes:
        name: of its files.
        state: ``drawn``, ``kept`` where the same picture was there, or ``left_out``.
        recipe: None where it was left out.
        reason: why it was.
    """

    name: str
    state: Literal["drawn", "kept", "left_out"]
    recipe: AnyRecipe | None
    reason: str = ""


def gallery(
    folder: Path,
    sources: Sequence[str] | None = None,
    *,
    shape: Sequence[int] | None = None,
    seed: int = 0,
    indices: Sequence[int] = INDICES,
) -> Iterator[Picture]:
    """Draw recipes, yield each as it is there, and at last write the pages that list them.

    Args:
        folder: gets ``NAME.png`` and ``NAME.yaml`` of each recipe, ``index.html``, ``README.md``.
        sources: names of built-in recipes or YAML files; by default all that are built in. Of
            these, one that cannot be made at ``shape`` is left out.
        shape: (D, H, W); lengths scale. By default each recipe's own.
        seed: of the volumes.
        indices: of the volumes of each.

    Raises:
        ValueError: a recipe that was named breaks a rule, or two have one name.
    """
    found = [_Sized.of(source, shape, strict=sources is not None) for source in
             (builtin_names() if sources is None else sources)]  # fmt: skip
    names = [sized.name for sized in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"recipes: names must be distinct, got {twice[0]!r} twice")
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for sized in found:
        picture = _pictured(folder, sized, seed, indices)
        shown.append(picture)
        yield picture
    _write(folder / "index.html", _html(shown, seed, indices).encode())
    _write(folder / "README.md", _markdown(shown, seed, indices).encode())


@dataclass(frozen=True)
class _Sized:
    """A recipe at the shape that was asked for, or why there is none."""

    name: str
    recipe: AnyRecipe | None
    reason: str = ""

    @classmethod
    def of(cls, source: str, shape: Sequence[int] | None, *, strict: bool) -> "_Sized":
        recipe = load_recipe(source)
        name = re.sub(r"[^\w.-]+", "-", recipe.name).strip("-.") or "recipe"
        try:
            return cls(name, recipe if shape is None else recipe.at_shape(shape))
        except RecipeError as error:
            if strict:
                raise RecipeError(f"{name}: {error}") from None
            return cls(name, None, str(error))


def _pictured(folder: Path, sized: _Sized, seed: int, indices: Sequence[int]) -> Picture:
    recipe = sized.recipe
    if recipe is None:
        return Picture(sized.name, "left_out", None, sized.reason)
    path = folder / f"{sized.name}.png"
    # What the picture shows, down to its caption; and by whom, as drawing may change.
    told = f"{version('synthgen')} {recipe.digest()} seed {seed} volumes {list(indices)}"
    told += f" {recipe.name}"
    _write(folder / f"{sized.name}.yaml", recipe.to_yaml().encode())
    if _told_by(path) == told:
        return Picture(sized.name, "kept", recipe)
    text = PngImagePlugin.PngInfo()
    text.add_text(_KEY, told)
    page = draw(from_recipe(recipe, indices, seed=seed))
    beside = path.with_suffix(".tmp")
    page.quantize(256).save(beside, format="PNG", optimize=True, pnginfo=text)
    os.replace(beside, path)
    return Picture(sized.name, "drawn", recipe)


def _told_by(path: Path) -> str | None:
    """What a picture says that it shows; None where there is none, or half of one."""
    try:
        with Image.open(path) as picture:
            picture.load()
            told = picture.info.get(_KEY)
    except (OSError, SyntaxError, UnidentifiedImageError):
        return None
    return told if isinstance(told, str) else None


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_bytes(content)
    os.replace(beside, path)


def _heading(seed: int, indices: Sequence[int]) -> str:
    volumes = ", ".join(map(str, indices))
    return (
        f"Volumes {volumes} of seed {seed}: axial, coronal and sagittal planes, each as image and "
        "with labels."
    )


def _facts(recipe: AnyRecipe) -> dict[str, str]:
    """What a table says of a recipe."""
    background = int(recipe.class_names[:1] == ["background"])
    names = recipe.class_names[background:]
    told = ", ".join(names[:_CLASSES_TOLD])
    more = len(names) - _CLASSES_TOLD
    return {
        "shape": " x ".join(map(str, recipe.reference_shape)),
        "spacing": " x ".join(f"{side:g}" for side in recipe.spacing) + " mm",
        "image": recipe.image_dtype,
        "classes": f"{len(names)}: {told}" + (f" and {more} more" if more > 0 else ""),
        "digest": recipe.digest()[:12],
    }


def _markdown(pictures: Sequence[Picture], seed: int, indices: Sequence[int]) -> str:
    shown = [(picture.name, picture.recipe) for picture in pictures if picture.recipe]
    lines = ["# Recipes", "", _heading(seed, indices), ""]
    lines += ["| recipe | shape | image | classes | digest |", "|---|---|---|---|---|"]
    for name, recipe in shown:
        facts = _facts(recipe)
        cells = [
            f"[{name}](#{_anchor(name)})",
            facts["shape"],
            facts["image"],
            str(recipe.num_classes - int(recipe.class_names[:1] == ["background"])),
            f"`{facts['digest']}`",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    for name, recipe in shown:
        lines += ["", f"## {name}", "", _one_line(recipe.description), ""]
        lines += ["| | |", "|---|---|"]
        lines += [f"| {key} | {_cell(value)} |" for key, value in _facts(recipe).items()]
        lines += [f"| settings | [{name}.yaml]({name}.yaml) |", "", f"![{name}]({name}.png)"]
    lines += [
        line
        for picture in pictures
        if picture.recipe is None
        for line in ("", f"Left out: {picture.name}, {_one_line(picture.reason)}.")
    ]
    return "\n".join(lines) + "\n"


def _anchor(name: str) -> str:
    """Of a heading, as Markdown readers make it."""
    return re.sub(r"[^\w-]", "", name.lower())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


_STYLE = """
body { font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem;
       color: #202024; }
h2 { margin-top: 3rem; }
table { border-collapse: collapse; }
td, th { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; vertical-align: top; }
img { max-width: 100%; height: auto; border: 1px solid #e4e4e8; }
code { font-size: 0.9em; }
"""


def _html(pictures: Sequence[Picture], seed: int, indices: Sequence[int]) -> str:
    lines = [
        "<!doctype html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>Recipes</title>", f"<style>{_STYLE}</style>", "</head>", "<body>",
        "<h1>Recipes</h1>", f"<p>{html.escape(_heading(seed, indices))}</p>", "<nav><p>",
    ]  # fmt: skip
    shown = [(html.escape(picture.name), picture.recipe) for picture in pictures if picture.recipe]
    lines += [f'<a href="#{name}">{name}</a>' for name, _ in shown]
    lines.append("</p></nav>")
    for name, recipe in shown:
        lines += [f'<h2 id="{name}">{name}</h2>']
        lines += [f"<p>{html.escape(_one_line(recipe.description))}</p>", "<table>"]
        lines += [
            f"<tr><th>{key}</th><td>{html.escape(value)}</td></tr>"
            for key, value in _facts(recipe).items()
        ]
        lines.append(f'<tr><th>settings</th><td><a href="{name}.yaml">{name}.yaml</a></td></tr>')
        picture = f'<img src="{name}.png" alt="Volumes of {name}" loading="lazy">'
        lines += ["</table>", f'<p><a href="{name}.png">{picture}</a></p>']
    lines += [
        f"<p>Left out: {html.escape(picture.name)}, {html.escape(_one_line(picture.reason))}.</p>"
        for picture in pictures
        if picture.recipe is None
    ]
    return "\n".join([*lines, "</body>", "</html>"]) + "\n"

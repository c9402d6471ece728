"""A recipe of planes: volumes of a single slice."""

from synthgen.recipe import Recipe, load_recipe

PLANE = (1, 48, 40)
SPACING = (2.5, 0.5, 0.75)  # z, y, x


def planar_recipe(shape: tuple[int, int, int] = PLANE) -> Recipe:
    """SynthFM's, with its prompts."""
    return load_recipe("synthfm").at_shape(shape).replace(spacing=SPACING)

"""Small recipes whose labels are not one label map: several, or classes of whole volumes."""

from synthgen.recipe import Recipe, load_recipe

SHAPE = (17, 33, 19)
SPACING = (3.0, 2.0, 0.5)  # z, y, x
KINDS = ("maps", "class", "classes")


def recipe_of(kind: str, shape: tuple[int, int, int] = SHAPE) -> Recipe:
    """Three label maps, or one class or three classes of a whole volume."""
    if kind == "maps":
        recipe = load_recipe("fdif-multitask")
    else:
        recipe = load_recipe("fdif-classification")
    if kind == "classes":
        tasks = ("shape", "displacement", "mapper")
        recipe = recipe.replace(labels={"kind": "whole_volume", "tasks": tasks})
    return recipe.at_shape(shape).replace(spacing=SPACING)

"""Folders of images with label maps in both layouts, and made-up tables: for tests of pairs."""

import json
from dataclasses import replace

import numpy as np

from synthgen.backend.plan import AsIsTables, PairTables, Plan
from synthgen.engine import plan_of
from synthgen.recipe import Recipe, load_recipe

Array = np.ndarray
SHAPES = [(21, 30, 17), (9, 26, 40), (33, 12, 25)]  # z y x, of cases
SPACING = (2.0, 0.9, 1.3)  # z y x, mm
CLASSES = {"background": 0, "liver": 1, "kidney": 4}


def cases(channels: int = 2, seed: int = 0) -> list[tuple[Array, Array]]:
    """Images (C, D, H, W) int16 and label maps (D, H, W) uint8 of the values 0, 1 and 4."""
    random = np.random.default_rng(seed)
    return [
        (
            random.integers(-1000, 3000, (channels, *shape)).astype(np.int16),
            random.choice(np.array([0, 1, 4], np.uint8), shape),
        )
        for shape in SHAPES
    ]


def affine(spacing=SPACING) -> Array:
    """RAS+ voxels of a spacing (z, y, x)."""
    found = np.diag([*spacing[::-1], 1.0])
    found[:3, 3] = -10, 20, 5
    return found


def save(path, values: Array, matrix: Array | None = None) -> None:
    """A NIfTI file of values (..., z, y, x)."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    given = np.moveaxis(values, 0, -1).swapaxes(0, 2) if values.ndim == 4 else values.T
    nibabel.save(nibabel.Nifti1Image(given, affine() if matrix is None else matrix), path)


def write_nnunet(folder, pairs=None, labels=None):
    """nnU-Net's raw data; returns the folder."""
    for number, (image, label) in enumerate(cases() if pairs is None else pairs):
        for channel, values in enumerate(image):
            save(folder / "imagesTr" / f"case_{number}_{channel:04}.nii.gz", values)
        save(folder / "labelsTr" / f"case_{number}.nii.gz", label)
    document = {"labels": labels or CLASSES, "file_ending": ".nii.gz", "numTraining": len(SHAPES)}
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder


def write_decathlon(folder, pairs=None):
    """A task of the Decathlon, channels along a fourth axis where there are any."""
    pairs, training = cases() if pairs is None else pairs, []
    for number, (image, label) in enumerate(pairs):
        save(folder / f"imagesTr/case_{number}.nii.gz", image if len(image) > 1 else image[0])
        save(folder / f"labelsTr/case_{number}.nii.gz", label)
        names = {key: f"./{key}sTr/case_{number}.nii.gz" for key in ("image", "label")}
        training.append(names)
    labels = {str(value): name for name, value in CLASSES.items()}
    document = {"labels": labels, "training": training[::-1]}
    (folder / "dataset.json").write_text(json.dumps(document))
    return folder


def recipe_of(folder, **changes) -> Recipe:
    """A recipe of a folder, small and unresolved."""
    values = {"name": "mine", "shapes": {"kind": "pairs", "folder": str(folder)},
              "reference_shape": (16, 20, 24), "image_dtype": "float16"}  # fmt: skip
    return Recipe.from_dict(values | changes)


def tables(channels: int = 2, seed: int = 0, label_dtype: str = "uint8") -> PairTables:
    """Made-up cases: each image value is above 0, and so is each label."""
    random = np.random.default_rng(seed)
    sides = np.array(SHAPES, np.int32)
    voxels = sides.prod(1).astype(np.int64)
    return PairTables(
        sides=sides,
        starts=np.cumsum(voxels) - voxels,
        images=random.uniform(0.1, 1, channels * voxels.sum()).astype(np.float16),
        labels=random.integers(1, 200, voxels.sum()).astype(label_dtype),
        channels=channels,
    )


def plan_with(image_dtype: str, label_dtype: str) -> Plan:
    """A plan of made-up cases, of which no files are there."""
    return replace(
        plan_of(load_recipe("fdif").replace(reference_shape=(16, 16, 16))),
        shapes=tables(), placement=AsIsTables(), appearance=AsIsTables(),
        image_dtype=image_dtype, label_dtype=label_dtype,
    )  # fmt: skip

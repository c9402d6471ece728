"""The table of random streams: what a draw is for. Part of the format, never renumbered."""

from enum import IntEnum


class Stream(IntEnum):
    """The 16-bit stream field of a Philox counter (see ``philox.py``)."""

    POLYGON_STACK = 0
    PLACEMENT = 1
    NOISE_AMPLITUDE = 2
    NOISE = 3
    SDF = 4
    ANATOMY = 5
    CHAIN = 6
    MASKS = 7
    PROMPTS = 8
    LABEL_MAP = 9
    FRACTAL = 10
    MIXTURE = 11
    PAIRS = 12
    # Of training, not of volumes: the order of samples, where patches lie, and augmentation.
    ORDER = 0xFF00
    PATCH = 0xFF01
    AUGMENT = 0xFF02

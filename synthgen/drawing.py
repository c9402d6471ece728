"""What all pictures share: colours and a font."""

from functools import cache

import numpy as np
from PIL import ImageFont

# Okabe and Ito's colours, then those farthest from all before them (OKLab, the least distance of
# normal, deuteranopic and protanopic vision) of middle lightness and chroma. Class 33 is 1 again.
PALETTE = np.array(
    [tuple(bytes.fromhex(colour)) for colour in
     "E69F00 56B4E9 009E73 F0E442 0072B2 D55E00 CC79A7 4BFFF0 961E4B 8778FF 5AD296 964B00 004BC3 "
     "B42D87 96D2FF 2DFFA5 F05A69 871E87 695AE1 5A87D2 F0C35A A54B5A F0B4D2 F087C3 00962D C3A569 "
     "7896FF A56996 87B496 693CA5 87E187 694B69".split()],
    np.uint8,
)  # fmt: skip


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own, ``size`` pixels high."""
    return ImageFont.load_default(size)

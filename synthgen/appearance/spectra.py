"""Power spectra of textures, and the bands of waves that are drawn from them.

The archetypes are named by Tang et al., "Texture-Shape Dilemma", arXiv 2603.00985 ("spectral mixing
of biophysical archetypes"), without formulas; those here are our own choice of what is known:

- ``parenchyma``: P ~ f^-b, b in 2..4, as of tissue in A. E. Burgess, F. L. Jacobson, P. F. Judy,
  "Human observer detection experiments with mammograms and power-law noise", Medical Physics 28
  (2001), doi:10.1118/1.1355308.
- ``quantum``: P ~ f exp(-(f / f0)^2), f0 in 0.15..0.3 cycles a voxel: the ramp that filtered
  back-projection leaves of the noise of projections, smoothed; S. J. Riederer, N. J. Pelc, D. A.
  Chesler, "The noise power spectrum in computed X-ray tomography", Physics in Medicine and Biology
  23 (1978), doi:10.1088/0031-9155/23/3/008.
- ``speckle``: P ~ exp(-(f / f0)^2), f0 in 0.15..0.3: white noise seen through a Gaussian aperture.
- ``fibrous``: a band about f0 in 0.05..0.2 of width 0.3 f0, its waves near one random axis:
  stripes, as of muscle and trabeculae.

P is the power of a volume of frequency space: an octave of waves holds f^3 P(f) of variance.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from synthgen.kernels.appearance_records import Band

_ALL_DIRECTIONS = 2.0
# Columns of Band; frequencies stay below half a cycle a voxel.
ARCHETYPES: Mapping[str, Mapping[Band, float]] = {
    "parenchyma": {
        Band.SLOPE_LOW: -4, Band.SLOPE_HIGH: -2, Band.CYCLES_LOW: 0.4, Band.CYCLES_HIGH: 0.4,
        Band.OCTAVES_LOW: -4.5, Band.OCTAVES_HIGH: 0, Band.SPREAD: _ALL_DIRECTIONS,
    },
    "quantum": {
        Band.SLOPE_LOW: 1, Band.SLOPE_HIGH: 1, Band.CYCLES_LOW: 0.15, Band.CYCLES_HIGH: 0.3,
        Band.OCTAVES_LOW: -2, Band.OCTAVES_HIGH: 0.7, Band.SHARPNESS: 1,
        Band.SPREAD: _ALL_DIRECTIONS,
    },
    "speckle": {
        Band.CYCLES_LOW: 0.15, Band.CYCLES_HIGH: 0.3, Band.OCTAVES_LOW: -3, Band.OCTAVES_HIGH: 0.7,
        Band.SHARPNESS: 1, Band.SPREAD: _ALL_DIRECTIONS,
    },
    "fibrous": {
        Band.CYCLES_LOW: 0.05, Band.CYCLES_HIGH: 0.2, Band.OCTAVES_LOW: -1, Band.OCTAVES_HIGH: 0.7,
        Band.CENTRE: 1, Band.SHARPNESS: 1 / 0.3, Band.SPREAD: 0.05,
    },
}  # fmt: skip


def bands_of(
    names: Sequence[str], waves: int, step: int, first: int = 0
) -> npt.NDArray[np.float32]:
    """Bands of archetypes that share the waves of a step.

    Args:
        names: keys of ``ARCHETYPES``.
        waves: of the step, as many as there are names or more.
        step: its number.
        first: number of its first wave, of all steps'.

    Returns:
        (len(names), Band.SIZE).

    Raises:
        ValueError: there are fewer waves than names, or no names.
    """
    if not 0 < len(names) <= waves:
        raise ValueError(f"waves: must be one for each archetype at least, got {waves}")
    rows = np.zeros((len(names), Band.SIZE), np.float32)
    for place, (row, name) in enumerate(zip(rows, names, strict=True)):
        for column, value in ARCHETYPES[name].items():
            row[column] = value
        count = waves // len(names) + (place < waves % len(names))
        row[[Band.STEP, Band.FIRST, Band.COUNT]] = step, first, count
        first += count
    return rows

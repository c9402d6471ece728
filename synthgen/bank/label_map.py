"""Label maps and masks as solids: one cut-out for each structure."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.components import drop_specks, scipy_module
from synthgen.bank.names import Naming
from synthgen.bank.solids import cut_to_box
from synthgen.bank.subject import Mask
from synthgen.bank.volume_file import FileError, Volume

VALUES_MAX = 1024  # of a label map; an image has more

_CALM_VALUES, _CALM_PAIRS = 32, 1000  # from which on neighbours tell an image from a label map
_CALM_SHARE = 0.5  # of neighbours that differ; it is 0.1 in a map of a brain, 0.75 in images

_LABEL_MAX = 2**31
_SLAB = 2**22  # voxels that are converted at a time
_TABLE_MAX = 2**20  # span of values up to which they are looked up in a table
_WHOLE = 1e-4  # how near a number must be to a whole one
_TOLD = 3  # structures that a remark names

Remark = Callable[[str], None]


def structures(volume: Volume, naming: Naming, on_remark: Remark) -> dict[str, Mask]:
    """The structures of a label map by name; those that are skipped too.

    Args:
        on_remark: is told of values without a name, and of specks that were left out.

    Raises:
        FileError: it is no label map, or empty.
    """
    values, codes = _coded(volume)
    names = [naming.name_of(int(value)) for value in values]
    unique = sorted({name for name, value in zip(names, values, strict=True) if value})
    place = {name: number for number, name in enumerate(unique, 1)}
    numbers = [place[name] if value else 0 for name, value in zip(names, values, strict=True)]
    _tell_unnamed(values, naming, on_remark)
    dense, table = codes, np.array(numbers, np.uint16)
    for slab in _slabs(dense):
        slab[...] = table[slab]
    _check_calm(dense, len(unique))
    _tell_specks(drop_specks(dense, len(unique)), unique, on_remark)
    boxes = scipy_module("scipy.ndimage").find_objects(dense, len(unique))
    return {
        name: cut_to_box((dense[box] == number).T, _moved(volume.affine, box))
        for number, (name, box) in enumerate(zip(unique, boxes, strict=True), 1)
    }


def one_structure(volume: Volume, on_remark: Remark) -> Mask | None:
    """The structure of a mask, or None if it is empty.

    Raises:
        FileError: it is no mask.
    """
    values, codes = _coded(volume, empty=True)
    solid = np.flatnonzero(values)
    if len(solid) == 0:
        return None
    if len(solid) > 1:
        raise FileError(f"must hold one structure, got {len(solid)} values other than 0")
    inside = (codes == solid[0]).astype(np.uint16)
    _tell_specks(drop_specks(inside, 1), ["it"], on_remark)
    return cut_to_box(inside.astype(bool).T, volume.affine)


def _moved(affine: NDArray[np.float64], box: tuple[slice, ...]) -> NDArray[np.float64]:
    """The affine of a box (k, j, i) of the map."""
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ np.array([part.start for part in reversed(box)], np.float64)
    return moved


def _tell_unnamed(values: NDArray[np.int64], naming: Naming, on_remark: Remark) -> None:
    lost = [str(value) for value in values if value and value not in naming.labels]
    if lost and naming.labels:
        more = f" and {len(lost) - _TOLD} more" if len(lost) > _TOLD else ""
        on_remark(f"labels without a name: {', '.join(lost[:_TOLD])}{more}")


def _tell_specks(lost: NDArray[np.int64], names: Sequence[str], on_remark: Remark) -> None:
    hurt = [int(number) for number in np.argsort(-lost[:, 1], kind="stable") if lost[number, 0]]
    if hurt:
        told = ", ".join(f"{lost[number, 0]} of {names[number - 1]}" for number in hurt[:_TOLD])
        more = f", and of {len(hurt) - _TOLD} more" if len(hurt) > _TOLD else ""
        on_remark(f"specks are left out, {lost[:, 1].sum():,} voxels: {told}{more}")


def _check_calm(dense: NDArray[np.uint16], count: int) -> None:
    """Refuse an image of few grey levels: most of its neighbours differ."""
    one, other = dense[..., 1:], dense[..., :-1]
    if count > _CALM_VALUES:
        pairs = np.count_nonzero((one != 0) & (other != 0))
        differ = np.count_nonzero((one != other) & (one != 0) & (other != 0))
        if pairs > _CALM_PAIRS and differ > _CALM_SHARE * pairs:
            share = f"{differ / pairs:.0%} of neighbouring labels differ"
            raise FileError(f"is an image, not a label map: {share}")


# ----------------------------------------------------------------------------------------- values


def _coded(volume: Volume, empty: bool = False) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """The values of a label map, ascending, and the place of each voxel's among them, C order."""
    whole = _whole_numbers(volume)
    low, high = int(whole.min()), int(whole.max())
    _check_range(low, high)
    if low == high == 0 and not empty:
        raise FileError("labels: must not all be 0")
    if high - low < _TABLE_MAX:
        return _by_table(whole, low, high)
    values = np.empty(0, np.int64)
    for slab in _slabs(whole):
        values = np.union1d(values, slab.astype(np.int64))
        _check_count(len(values))
    return values, _translated(whole, lambda slab: np.searchsorted(values, slab.astype(np.int64)))


def _by_table(
    whole: NDArray[Any], low: int, high: int
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    there = np.zeros(high - low + 1, bool)
    for slab in _slabs(whole):
        there[slab.astype(np.int64) - low] = True
    places = np.flatnonzero(there)
    _check_count(len(places))
    table = np.zeros(len(there), np.uint16)
    table[places] = np.arange(len(places))
    return places + low, _translated(whole, lambda slab: table[slab.astype(np.int64) - low])


def _translated(
    whole: NDArray[Any], code: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[np.uint16]:
    codes = np.empty(whole.shape, np.uint16)
    for slab, values in zip(_slabs(codes), _slabs(whole), strict=True):
        slab[...] = code(values)
    return codes


def _check_range(low: float, high: float) -> None:
    if max(-low, high) >= _LABEL_MAX:
        raise FileError(f"labels: must be below 2^31, got {max(low, high, key=abs):.0f}")


def _check_count(count: int) -> None:
    if count > VALUES_MAX:
        raise FileError(f"is an image, not a label map: {count:,} values, at most {VALUES_MAX:,}")


def _whole_numbers(volume: Volume) -> NDArray[Any]:
    """Values as whole numbers of native type."""
    given = volume.values
    scaled = (volume.slope, volume.offset) != (1.0, 0.0)
    if given.dtype.kind in "iu" and not scaled:
        return given.astype(given.dtype.newbyteorder("="), copy=False)
    whole = np.empty(given.shape, np.int32)
    for slab, values in zip(_slabs(whole), _slabs(given), strict=True):
        with np.errstate(all="ignore"):
            real = values * np.float64(volume.slope) + volume.offset if scaled else values
            nearest = np.rint(real)
            wrong = ~(np.abs(real - nearest) <= _WHOLE)
            if wrong.any():
                raise FileError(f"labels: must be whole numbers, got {real[wrong][0]:.6g}")
            _check_range(float(nearest.min()), float(nearest.max()))
            slab[...] = nearest
    return whole


def _slabs(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views of a volume's layers, some at a time."""
    step = max(1, _SLAB // math.prod(values.shape[1:]))
    for low in range(0, len(values), step):
        yield values[low : low + step]

"""Images with their label maps, as they are: random crops of volumes in a folder.

References:
    "Supervised anatomical pre-training", arXiv 2506.19590, and its public code: intensities are cut
    at percentiles 1 and 99 of each channel and scaled to 0 .. 1.
"""

import functools
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from synthgen.backend.plan import PairTables
from synthgen.settings import Int, Settings, Shape, distinct
from synthgen.shapes.pair_files import (
    CHANNELS_MAX,
    SIDE_MAX,
    PairFolder,
    Spacing,
    find_pairs,
)
from synthgen.shapes.pair_voxels import PairVoxels, read_pairs

_GIB = 2**30

Side = Annotated[float, Field(gt=0, le=100)]


class Pairs(Settings):
    """Settings of the shapes.

    Attributes:
        folder: with a ``dataset.json``: nnU-Net's raw data, or a task of the Decathlon. No part of
            a recipe's digest.
        spacing: (z, y, x) of a voxel, mm, which must be the recipe's: cases are resampled to it,
            images linearly, label maps to the nearest voxel; None: cases stay as they are.
        memory: most that all cases may take, GiB: 2 bytes a voxel of each channel, and 1 of the
            label map (2 for more than 255 classes). No part of a recipe's digest.
        channels: of the images; filled in when a recipe is loaded.
        structures: names of the classes, in the order of their values in the files; likewise.
        digest: of the files; likewise, and checked before volumes are made.
    """

    least_depth: ClassVar[int] = 1

    kind: Literal["pairs"] = "pairs"
    folder: str
    spacing: tuple[Side, Side, Side] | None = None
    memory: Annotated[float, Field(gt=0, le=4096)] = 8.0
    channels: Annotated[Int, Field(ge=1, le=CHANNELS_MAX)] | None = None
    structures: Annotated[tuple[str, ...], AfterValidator(distinct)] = ()
    digest: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.digest is not None and not (self.structures and self.channels):
            name = "channels" if self.structures else "structures"
            raise ValueError(f"{name}: must be given beside a digest, got none")
        return self

    def resolved(self) -> Self:
        if self.digest is not None:
            return self
        found = self._opened()
        self._check_memory(found)
        for name, own in self._pinned_of(found).items():
            given = getattr(self, name)
            if given and given != own:
                raise ValueError(
                    f"{name}: must be that of the folder, {_plain(own)}, got {_plain(given)}; "
                    "leave it out to take the folder as it is"
                )
        changes = {"folder": str(Path(self.folder).resolve()), **self._pinned_of(found)}
        return self.model_validate(self.model_dump() | changes)

    @property
    def pinned(self) -> bool:
        return self.digest is not None

    def remarks(self) -> list[str]:
        return list(self.found().remarks)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes 1, 2, ..."""
        return list(self.structures)

    @property
    def objects(self) -> int:
        """Rows of ``placed``: the case is one."""
        return 1

    def check_fits(self, shape: Shape) -> None:
        """A volume shows what of a case falls into it, so any will do."""

    def check_spacing(self, spacing: Spacing) -> None:
        """Raise ValueError, naming a field, unless it is what a recipe says of its volumes."""
        if self.spacing is not None and self.spacing != spacing:
            raise ValueError(
                f"shapes.spacing: must be the recipe's spacing, {list(spacing)}, or null, "
                f"got {list(self.spacing)}"
            )

    def tables(self, shape: Shape) -> PairTables:
        """What the kernels read; all voxels are in memory from then on.

        Raises:
            ValueError: the folder is not that of the digest, or a file in it cannot be used.
        """
        found = self.found()
        try:
            self._check_memory(found)
            voxels = _voxels(found, self.folder, self.spacing)
        except ValueError as error:
            raise ValueError(f"shapes.{error}") from None
        return PairTables(
            sides=voxels.sides, starts=voxels.starts, images=voxels.images, labels=voxels.labels,
            channels=found.channels,
        )  # fmt: skip

    def found(self) -> PairFolder:
        """The folder; raises ValueError if it is not that of the digest."""
        try:
            found = self._opened()
        except ValueError as error:
            raise ValueError(f"shapes.{error}") from None
        for name, own in self._pinned_of(found).items():
            if getattr(self, name) != own:
                raise ValueError(
                    f"shapes.{name}: must be that of the folder {self.folder!r}, {_plain(own)}, "
                    f"got {_plain(getattr(self, name))}; leave digest, structures and channels out "
                    "to take the folder as it is"
                )
        return found

    @staticmethod
    def _pinned_of(found: PairFolder) -> dict[str, Any]:
        """What is filled in when a recipe is loaded."""
        return {"digest": found.digest, "structures": found.names, "channels": found.channels}

    def _opened(self) -> PairFolder:
        path = Path(self.folder)
        try:
            if not path.is_dir():
                raise ValueError(f"must be there, got {self.folder!r}")
            return _found(self.folder, _stamp(path))
        except OSError as error:
            raise ValueError(f"folder: {error.strerror}, got {error.filename!r}") from None
        except ValueError as error:
            raise ValueError(f"folder: {error}") from None

    def _check_memory(self, found: PairFolder) -> None:
        needed = found.bytes_at(self.spacing) / _GIB
        if needed > self.memory:
            raise ValueError(
                f"memory: must hold all cases, {needed:.3g} GiB, got {self.memory:g}; take fewer "
                "cases, wider voxels (spacing), or give more"
            )
        widest = max(max(case.shape_at(self.spacing)) for case in found.cases)
        if widest > SIDE_MAX:
            raise ValueError(
                f"spacing: cases must stay within {SIDE_MAX} voxels along an axis, got {widest}"
            )


def _plain(value: Any) -> str:
    return str(list(value) if isinstance(value, tuple) else value)


@functools.lru_cache(maxsize=4)
def _found(folder: str, stamp: tuple[tuple[str, int, int], ...]) -> PairFolder:
    """What a folder holds, looked at once while its files stay as they are."""
    return find_pairs(Path(folder))


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of each file."""
    files = sorted(entry for entry in path.rglob("*") if entry.is_file())
    stats = ((str(file), file.stat()) for file in files)
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


@functools.lru_cache(maxsize=1)
def _voxels(found: PairFolder, folder: str, spacing: Spacing | None) -> PairVoxels:
    """The voxels of a folder, read once."""
    try:
        return read_pairs(found, Path(folder), spacing)
    except ValueError as error:
        raise ValueError(f"folder: {error}") from None

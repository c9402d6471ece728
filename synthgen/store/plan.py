"""What determines the content of a store, and how it is cut into shards."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from synthgen.recipe import AnyRecipe
from synthgen.store.codecs import CODECS
from synthgen.store.errors import StoreError

SHARD_VOXELS = 2**26
SHARD_VOLUMES_HIGH = 64
SEED_HIGH = 2**64
VALIDATION = 0.1
_SHOWN = 80  # characters of a value that differs


@dataclass(frozen=True)
class StorePlan:
    """Two builds may share a folder only if their plans agree.

    Attributes:
        recipe: plain values of the recipe, lengths at the shape of the volumes.
        recipe_digest: SHA-256 of what determines the voxels.
        count: volumes of the whole store, whichever part is built.
        shard_size: volumes in a shard; the last shard may hold fewer.
        codec: a name in CODECS.
        validation: volumes held out of training: the last ones, as none depends on its index.
    """

    recipe: dict[str, Any]
    recipe_digest: str
    seed: int
    count: int
    shard_size: int
    codec: str
    validation: int

    @classmethod
    def of(
        cls,
        recipe: AnyRecipe,
        *,
        seed: int,
        count: int,
        shard_size: int | None,
        codec: str,
        validation: int,
    ) -> Self:
        """A checked plan; shards of 64 volumes, fewer when volumes are large, by default.

        Raises:
            StoreError: count, seed, shard size, codec or validation is out of bounds.
        """
        size = default_shard_size(recipe.reference_shape) if shard_size is None else shard_size
        if count < 1:
            raise StoreError(f"count: must be at least 1 volume, got {count}")
        if size < 1:
            raise StoreError(f"shard size: must be at least 1 volume, got {size}")
        if not 0 <= seed < SEED_HIGH:
            raise StoreError(f"seed: must lie in 0..2^64 - 1, got {seed}")
        if codec not in CODECS:
            raise StoreError(f"codec: must be one of {', '.join(CODECS)}, got {codec!r}")
        if not 0 <= validation < count:
            raise StoreError(f"validation: must lie in 0 <= volumes < {count}, got {validation}")
        return cls(recipe.to_dict(), recipe.digest(), seed, count, size, codec, validation)

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """The plan that a store's attributes tell."""
        start, stop = attributes["splits"]["validation"]
        names = ("recipe", "recipe_digest", "seed", "count", "shard_size", "codec")
        return cls(**{name: attributes[name] for name in names}, validation=stop - start)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W) of a volume, voxels."""
        depth, height, width = self.recipe["reference_shape"]
        return depth, height, width

    @property
    def voxels(self) -> int:
        """Voxels of a volume."""
        depth, height, width = self.shape
        return depth * height * width

    @property
    def splits(self) -> dict[str, list[int]]:
        """First volume of each split, and the one after its last."""
        split = self.count - self.validation
        return {"training": [0, split], "validation": [split, self.count]}

    @property
    def shards(self) -> range:
        return range(-(-self.count // self.shard_size))

    def volumes(self, shard: int) -> range:
        """Indices of the volumes in ``shard``."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.count))

    def part(self, part: tuple[int, int]) -> range:
        """Shards of part i of n, i = 1 .. n: near equal, disjoint, and together all.

        Raises:
            StoreError: i / n is out of bounds.
        """
        i, n = part
        if not 1 <= i <= n:
            raise StoreError(f"part: needs 1 <= i <= n, got {i}/{n}")
        total = len(self.shards)
        return range(total * (i - 1) // n, total * i // n)

    def differences(self, other: "StorePlan") -> list[str]:
        """Each field in which ``other`` asks for another content, with both values."""
        found = []
        if self.shape != other.shape:  # the lengths differ as they follow from it
            found.append(f"recipe.reference_shape is {self.shape} there, {other.shape} asked")
        elif self.recipe_digest != other.recipe_digest:
            found += [f"recipe.{line}" for line in _differences(self.recipe, other.recipe)]
        for name in ("seed", "count", "shard_size", "codec", "validation"):
            found += _differences({name: getattr(self, name)}, {name: getattr(other, name)})
        return found


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    if ours.get("kind") != theirs.get("kind"):  # then all else differs, too
        ours, theirs = {"kind": ours.get("kind")}, {"kind": theirs.get("kind")}
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        mine, other = ours.get(key), theirs.get(key)
        if key in ("name", "description") or mine == other:
            continue
        if isinstance(mine, dict) and isinstance(other, dict):
            yield from (f"{key}.{line}" for line in _differences(mine, other))
        elif _mappings(mine, other):  # of a mixture's recipes
            for number, (one, another) in enumerate(zip(mine or (), other or (), strict=True)):
                yield from (f"{key}.{number}.{line}" for line in _differences(one, another))
        else:
            yield f"{key} is {_brief(mine)} there, {_brief(other)} asked"


def _brief(value: Any) -> str:
    """Of a list of steps their kinds; long values cut."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        value = [entry.get("kind", entry) for entry in value]
    text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _mappings(ours: Any, theirs: Any) -> bool:
    """Whether both are lists of as many mappings."""
    if not isinstance(ours, list) or not isinstance(theirs, list) or len(ours) != len(theirs):
        return False
    return all(isinstance(entry, dict) for entry in [*ours, *theirs])


def held_out(count: int, share: float) -> int:
    """Volumes of ``count`` that are for validation: a share > 0 means at least one, if one is left.

    Raises:
        StoreError: the share is out of bounds.
    """
    if not 0 <= share < 1:
        raise StoreError(f"validation: must lie in 0 <= share < 1, got {share}")
    return max(0, min(max(1, round(count * share)), count - 1)) if share else 0


def default_shard_size(shape: tuple[int, int, int]) -> int:
    """Volumes of ``shape`` (D, H, W) that make a shard of a handy size."""
    depth, height, width = shape
    return max(1, min(SHARD_VOLUMES_HIGH, SHARD_VOXELS // (depth * height * width)))

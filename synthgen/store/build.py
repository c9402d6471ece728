"""Building a store, or the rest of one; making again what is damaged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from synthgen.recipe import AnyRecipe, load_recipe
from synthgen.store.check import check_shards
from synthgen.store.codecs import DEFAULT_CODEC
from synthgen.store.commit import TEMP_PATTERN
from synthgen.store.errors import disk_errors_explained
from synthgen.store.layout import Store, create, existing
from synthgen.store.lock import part_name, writing
from synthgen.store.metadata import metadata
from synthgen.store.plan import VALIDATION, StorePlan, held_out
from synthgen.store.watcher import Watcher
from synthgen.store.writer import ShardWriter, Source, Timings

if TYPE_CHECKING:
    from synthgen.backend import Device


@dataclass(frozen=True)
class Built:
    """What a build or a repair did.

    Attributes:
        volumes: made and committed now.
        bytes: of their files.
        absent: volumes of the range asked for that are still to be made: it was stopped.
        restored: files of the metadata that were damaged.
        seconds: elapsed.
        timings: where the time went.
    """

    volumes: int
    bytes: int
    absent: int
    seconds: float
    restored: list[Path]
    timings: Timings

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a script."""
        return {
            "volumes": self.volumes,
            "bytes": self.bytes,
            "absent_volumes": self.absent,
            "seconds": self.seconds,
            "restored": [str(path) for path in self.restored],
        }


def build(
    recipe: AnyRecipe | str | Path,
    out: str | Path,
    *,
    count: int,
    seed: int = 0,
    device: "Device" = "auto",
    shard_size: int | None = None,
    codec: str = DEFAULT_CODEC,
    validation: float = VALIDATION,
    part: tuple[int, int] = (1, 1),
    generator: Source | None = None,
    watcher: Watcher | None = None,
) -> Built:
    """Build the volumes 0 .. count - 1 into the store ``out``, or those that it lacks.

    Args:
        count: volumes of the whole store, also when only a part is built.
        shard_size: volumes in a file; by default up to 64, fewer when they are large.
        codec: a name in ``synthgen.store.CODECS``.
        validation: share of the volumes that the store lists for validation, 0 <= share < 1: the
            last ones; at least one, and at least one is left to train on.
        part: (i, n): the i-th of n parts, 1 <= i <= n; parts may be built at once, on several
            nodes, into one folder, or into folders of their own that ``merge`` joins.
        generator: makes the volumes, in place of ``device``'s engine.
        watcher: told of each checked and each committed shard; may ask to stop.

    Raises:
        RecipeError: the recipe breaks a rule.
        StoreError: an argument is out of bounds; ``out`` is something else, or a store of another
            plan; another process writes it; a shard comes out otherwise than before; the disk
            is full or read-only. What was committed is whole, and the same call resumes.
        Stopped: the watcher asked for it while what is there was checked.
    """
    recipe, out = load_recipe(recipe), Path(out)
    plan = StorePlan.of(
        recipe,
        seed=seed,
        count=count,
        shard_size=shard_size,
        codec=codec,
        validation=held_out(count, validation),
    )
    shards = plan.part(part)
    store = existing(out, plan)
    source = generator or _engine(recipe, seed, device)
    if store is None:
        with disk_errors_explained(out, "there is no store yet"):
            store = create(out, plan, metadata(plan, source.empty([0])))
    return _complete(store, part_name(part), shards, lambda: source, watcher)


def repair(
    path: str | Path,
    *,
    device: "Device" = "auto",
    generator: Source | None = None,
    watcher: Watcher | None = None,
) -> Built:
    """Make again what is damaged of a store, and make the shards that are absent.

    Arguments are those of ``build``.

    Raises:
        StoreError: there is no store; another process writes it; this version of synthgen does
            not make the volumes that were committed, then nothing is replaced; the disk is full
            or read-only.
        Stopped: the watcher asked for it while what is there was checked.
    """
    store = Store.open(path)

    def source() -> Source:
        return generator or _engine(store.recipe(), store.plan.seed, device)

    return _complete(store, "repair", store.plan.shards, source, watcher)


def clean(path: str | Path) -> list[Path]:
    """Remove the temporary files that killed builds left; returns them.

    Raises:
        StoreError: there is no store, a process is writing it, or the disk is read-only.
    """
    store = Store.open(path)
    folders = (store.path, store.records, *(store.path / name for name in store.arrays))
    meaning = "no volume was touched"
    with disk_errors_explained(store.path, meaning), writing(store.records, "clean"):
        found = [path for folder in folders for path in folder.glob(TEMP_PATTERN)]
        for temporary in found:
            temporary.unlink(missing_ok=True)
    return found


def _engine(recipe: AnyRecipe, seed: int, device: "Device") -> Source:
    from synthgen.engine import Generator

    return Generator(recipe, seed=seed, device=device)


def _complete(
    store: Store,
    writer: str,
    shards: range,
    source: Callable[[], Source],
    watcher: Watcher | None,
) -> Built:
    """Restore the metadata, and make those of ``shards`` that are not there as committed."""
    start = perf_counter()
    watcher = watcher or Watcher()
    meaning = f"what was committed to {store.path} is whole"
    with disk_errors_explained(store.path, meaning), writing(store.records, writer):
        restored = store.restore()
        wanting = check_shards(store, shards, watcher=watcher).wanting
        total = sum(len(store.plan.volumes(shard)) for shard in wanting)
        watcher.start("making", store.plan, total)
        shard_writer = ShardWriter(store, writer, watcher)
        if wanting:
            shard_writer.write(wanting, source())
    made = shard_writer.made
    volumes = sum(entry.stop - entry.first for entry in made)
    return Built(
        volumes=volumes,
        bytes=sum(entry.size for entry in made),
        absent=total - volumes,
        seconds=perf_counter() - start,
        restored=restored,
        timings=shard_writer.timings,
    )

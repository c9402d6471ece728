"""People's solids -> a bank."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthgen.bank.bank import CENTRE_UNIT, Bank, BankError
from synthgen.bank.grids import filled, grid_size, quantised, structure_grid
from synthgen.bank.learning import contained_in, learn
from synthgen.bank.measure import Measured, measured
from synthgen.bank.names import guess_mirrors
from synthgen.bank.relations import Relations
from synthgen.bank.statistics import rounded, statistics
from synthgen.bank.subject import Grid, Mask, Subject
from synthgen.cores import available_cores
from synthgen.kernels.anatomy_records import BANK_POINTS, STRUCTURES_MAX, BankShape
from synthgen.meshes import Mesh

SPACING_LOW, SPACING_HIGH = 0.05, 50.0  # mm
VALUES_MAX = 2**30  # of all grids: 2 GiB
_FEW = 2  # people, at least, who tell something of how much they differ

Grids = dict[str, Grid]
Pairs = Callable[[Iterable[str]], Sequence[tuple[str, str]]]


def _ignore(_: str) -> None:
    pass


def build_bank(
    subjects: Iterable[Subject],
    *,
    spacing: float = 1.5,
    mirrors: Pairs = guess_mirrors,
    on_stage: Callable[[str], None] = _ignore,
    on_remark: Callable[[str], None] = _ignore,
) -> Bank:
    """Build a bank; the order of the people plays no part.

    Args:
        spacing: of the lattice, mm, 0.05 to 50.
        mirrors: pairs of structures that are mirror images, among the names given.
        on_stage: called with what comes next: "distances" once for each person, then "containers",
            "relations", "shapes".
        on_remark: called with a line on what is worth telling; it names structures alone.

    Raises:
        BankError: nothing can be used, or there is too much.
    """
    if not SPACING_LOW <= spacing <= SPACING_HIGH:
        raise BankError(f"spacing: must be {SPACING_LOW} to {SPACING_HIGH:g} mm, got {spacing}")
    people = sorted(_people(subjects, spacing, on_stage, on_remark), key=_Person.digest)
    names = tuple(sorted({name for person in people for name in person.grids}))
    if not names:
        raise BankError("inputs: must hold a structure that can be used, got none")
    on_stage("containers")
    inside = contained_in([person.grids for person in people], spacing)
    people = [_with_contents(person, inside, spacing) for person in people]
    _check_values(sum(person.values for person in people))
    on_stage("relations")
    bodies = [person.body for person in people]
    relations = learn([person.grids for person in people], bodies, spacing, inside)
    on_stage("shapes")
    bank = _bank(people, names, spacing, _partners(names, mirrors(names)), relations)
    _remark(bank, on_remark)
    return bank


@dataclass(frozen=True)
class _Person:
    """Grids by structure, and the body, (2, 3) z y x, mm."""

    grids: Mapping[str, Grid]
    body: NDArray[np.float64]

    @classmethod
    def of(cls, subject: Subject, spacing: float, on_remark: Callable[[str], None]) -> "_Person":
        grids: Grids = {}
        parts = sorted(subject.parts.items())
        with ThreadPoolExecutor(available_cores()) as pool:
            made = pool.map(lambda part: _grid(part[1], spacing), parts)
            for (name, _), grid in zip(parts, made, strict=True):
                if isinstance(grid, Grid):
                    grids[name] = grid
                else:
                    on_remark(f"{name}: {grid}; left out of one subject")
        return cls(grids, rounded(np.asarray(subject.body, np.float64)))

    @property
    def values(self) -> int:
        """Of all grids."""
        return sum(grid.distance.size for grid in self.grids.values())

    def digest(self) -> str:
        """SHA-256 of the masks: an order that tells nothing of where they came from."""
        total = hashlib.sha256(np.ascontiguousarray(self.body, "<f8").data)
        for name, grid in sorted(self.grids.items()):
            total.update(f"{name} {grid.first} {grid.distance.shape}".encode())
            total.update(np.ascontiguousarray(grid.distance, "<f4").data)
        return total.hexdigest()


def _people(
    subjects: Iterable[Subject],
    spacing: float,
    on_stage: Callable[[str], None],
    on_remark: Callable[[str], None],
) -> list[_Person]:
    """The people who have a grid; each is announced, and checked, before its work begins."""
    people: list[_Person] = []
    names: set[str] = set()
    values = 0
    for subject in subjects:
        on_stage("distances")
        _check_body(subject)
        _check_values(values + sum(_size(part, spacing) for part in subject.parts.values()))
        person = _Person.of(subject, spacing, on_remark)
        names |= person.grids.keys()
        if len(names) > STRUCTURES_MAX:
            raise BankError(
                f"inputs: must hold at most {STRUCTURES_MAX} structures, got {len(names)}"
            )
        values += person.values
        if person.grids:
            people.append(person)
    return people


def _size(solid: Mask | Mesh, spacing: float) -> int:
    """How many values a solid's grid will have; 0 if it will have none."""
    try:
        return grid_size(solid, spacing)
    except ValueError:
        return 0


def _grid(solid: Mask | Mesh, spacing: float) -> Grid | str:
    """A solid's grid, or why it has none."""
    try:
        grid = structure_grid(solid, spacing)
    except ValueError as error:
        return str(error)
    if not (quantised(grid, spacing) < 0).any():
        return f"too small for a lattice of {spacing:g} mm"
    return grid


def _check_body(subject: Subject) -> None:
    sides = np.subtract(subject.body[1], subject.body[0])
    if not (np.isfinite(sides).all() and (sides > 0).all()):
        raise BankError(f"body: must have sides above 0 mm, got {sides.tolist()}")


def _check_values(values: int) -> None:
    if values > VALUES_MAX:
        raise BankError(
            f"spacing: a bank must hold at most {VALUES_MAX} values, got {values}; "
            "choose a larger spacing, or fewer structures or subjects"
        )


def _with_contents(person: _Person, inside: Mapping[str, str], spacing: float) -> _Person:
    """Containers filled with all that is inside them, also by way of others."""
    contents: dict[str, list[Grid]] = {}
    for name, grid in person.grids.items():
        container = inside.get(name)
        while container is not None:
            contents.setdefault(container, []).append(grid)
            container = inside.get(container)
    grids = {
        name: filled(grid, contents[name], spacing) if name in contents else grid
        for name, grid in person.grids.items()
    }
    return _Person(grids, person.body)


def _partners(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """Each structure's mirror image, or itself."""
    partners = np.arange(len(names))
    place = {name: c for c, name in enumerate(names)}
    given = [name for pair in pairs for name in pair]
    for name in given:
        if given.count(name) > 1:
            raise BankError(f"mirrors: a structure has one mirror image at most, got {name}")
    for one, other in pairs:
        partners[place[one]], partners[place[other]] = place[other], place[one]
    return partners


def _bank(
    people: Sequence[_Person],
    names: tuple[str, ...],
    spacing: float,
    mirrors: NDArray[np.int64],
    relations: Relations,
) -> Bank:
    count = (len(people), len(names))
    shapes = np.zeros((*count, BankShape.SIZE), np.int64)
    firsts = np.zeros((*count, 3), np.int64)
    boxes, points = (
        np.zeros((*count, 6), np.float32),
        np.zeros((*count, BANK_POINTS, 3), np.float32),
    )
    volumes, centroids, extents = np.zeros(count), np.zeros((*count, 3)), np.zeros((*count, 3))
    axes = np.zeros((*count, 3, 3))
    grids, offset = [], 0
    for s, person in enumerate(people):
        sides = person.body[1] - person.body[0]
        least = np.min([grid.first for grid in person.grids.values()], axis=0)
        for name, shape in _measured(person, spacing).items():
            at = s, names.index(name)
            shapes[at] = [offset, *shape.grid.shape, *shape.centre, shape.slope]
            boxes[at], points[at], axes[at] = shape.box, shape.points, shape.axes
            volumes[at] = shape.volume
            first = np.array(person.grids[name].first)
            middle = (first + shape.centre / CENTRE_UNIT) * spacing
            firsts[at] = first - least
            centroids[at] = rounded((middle - person.body[0]) / sides)
            extents[at] = (shape.box[3:].astype(np.float64) - shape.box[:3]) / sides
            grids.append(shape.grid.reshape(-1))
            offset += shape.grid.size
    body = _mean_sides(people)
    volumes = rounded(volumes)
    over_people = statistics(centroids, extents, volumes, shapes[..., BankShape.DEPTH] > 0, body)
    return Bank(
        spacing, names, mirrors, body, np.concatenate(grids), shapes, firsts, boxes, points,
        volumes, centroids, axes, over_people.means, over_people.factors, over_people.log_volumes,
        relations,
    )  # fmt: skip


def _measured(person: _Person, spacing: float) -> dict[str, Measured]:
    def measure(grid: Grid) -> Measured:
        return measured(quantised(grid, spacing), spacing)

    with ThreadPoolExecutor(available_cores()) as pool:
        return dict(zip(person.grids, pool.map(measure, person.grids.values()), strict=True))


def _mean_sides(people: Sequence[_Person]) -> NDArray[np.float64]:
    total = np.zeros(3)
    for person in people:
        total = total + (person.body[1] - person.body[0])
    return rounded(total / len(people))


def _remark(bank: Bank, on_remark: Callable[[str], None]) -> None:
    """Say where there are too few people to know how much they differ."""
    if bank.subjects < _FEW:
        on_remark("1 subject: how much people differ is unknown; priors are widened")
        return
    for name, count in zip(bank.names, bank.present.sum(0), strict=True):
        if count < _FEW:
            on_remark(f"{name}: in 1 of {bank.subjects} subjects; its priors are widened")

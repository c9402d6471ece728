"""How structures lie to each other: learned from a bank, edited as YAML.

A graph with the structures as nodes. An *order* says on which side of another one a structure lies,
a *contact* whether two are apart, touch, or one is inside the other; pairs that are not named are
apart, with no gap wanted. Of contained structures the graph is transitive: a lens inside an orbit
that is inside a head is inside the head.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypedDict

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, Strict, ValidationError, model_validator

from synthgen.settings import Settings, one_line, parse_yaml, read_text

Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Length = Annotated[float, Strict(), Field(ge=0, le=1000)]
Name = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9 ._+,()-]+$")]
Side = Literal["above", "below", "in_front_of", "behind", "right_of", "left_of"]

SIDES: tuple[Side, ...] = ("above", "in_front_of", "right_of")  # toward which z, y, x grow
TOUCHING_GAP = 3.0  # mm
_BYTES_MAX = 2**24  # of a file; relations of 255 structures
_OPPOSITE = {"below": "above", "behind": "in_front_of", "left_of": "right_of"}
_HEADER = """\
# orders: `of` lies on a side of `than`, by `margin` or more; in parts of the body's side.
#     Sides: above, below, in_front_of, behind, right_of, left_of; of the patient.
# contacts: `of` and `to` are apart by `gap` mm or more, touching with a gap of `gap` mm or less, or
#     `of` is inside, or contains, `to`. Pairs without a contact are apart, with a gap of 0.
# over: [a, b]: where both are, the label is a. Without: of what is contained, else of the smaller.
# strength: factor of the energy, 0..1.
# frequency: share of the subjects in which it holds; mean, sd, least: of what the subjects have,
#     orders in parts of the body, contacts the gap in mm. For information.
"""


class RelationsError(ValueError):
    """Relations break a rule or contradict each other: one line with field, rule and value."""


class _Edge(Settings):
    """What any relation has.

    Attributes:
        strength: factor of its energy.
        frequency: share of the subjects in which it holds; None where it was not learned.
        mean, sd, least: of the subjects' distances between centroids along the axis (orders; parts
            of the body) or gaps (contacts; mm); None where it was not learned.
    """

    strength: Share = 1.0
    frequency: Share | None = None
    mean: Annotated[float, Strict()] | None = None
    sd: Annotated[float, Strict()] | None = None
    least: Annotated[float, Strict()] | None = None


class Order(_Edge):
    """The centroid of ``of`` lies on one side of that of ``than``.

    Attributes:
        side: above, in_front_of or right_of; the opposite ones are turned round when read.
        margin: by this or more, in parts of the body's side.
    """

    of: Name
    side: Side
    than: Name
    margin: Share = 0.0

    @model_validator(mode="before")
    @classmethod
    def _turn(cls, values: Any) -> Any:
        """``a below b`` is ``b above a``."""
        if not isinstance(values, dict) or not isinstance(values.get("side"), str):
            return values
        if values["side"] not in _OPPOSITE or not {"of", "than"} <= values.keys():
            return values
        side = _OPPOSITE[values["side"]]
        return values | {"of": values["than"], "side": side, "than": values["of"]}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_two(self.of, self.than, "than")
        return self

    @property
    def axis(self) -> int:
        """Of z, y, x: 0, 1, 2."""
        return SIDES.index(self.side)


class Contact(_Edge):
    """How near two structures are.

    Attributes:
        kind: apart, touching, or inside (``of`` in ``to``); contains is turned round when read.
        gap: mm between the surfaces: at least, of what is apart; at most, of what touches.
    """

    of: Name
    kind: Literal["apart", "touching", "inside", "contains"]
    to: Name
    gap: Length = 0.0

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """``a contains b`` is ``b inside a``; what touches has a gap of its own."""
        if not isinstance(values, dict):
            return values
        if values.get("kind") == "touching":
            return {"gap": TOUCHING_GAP} | values
        if values.get("kind") == "contains" and {"of", "to"} <= values.keys():
            return values | {"of": values["to"], "kind": "inside", "to": values["of"]}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        _require_two(self.of, self.to, "to")
        if self.kind == "inside" and self.gap:
            raise ValueError(f"gap: what is inside has none, got {self.gap}")
        return self


class Relations(Settings):
    """The graph; relations that contradict each other are refused.

    Attributes:
        orders: at most one of a pair and axis.
        contacts: at most one of a pair.
        over: pairs of structures; where both are, the label is the first one's.
    """

    orders: tuple[Order, ...] = ()
    contacts: tuple[Contact, ...] = ()
    over: tuple[tuple[Name, Name], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for side in SIDES:
            edges = [(order.of, order.than) for order in self.orders if order.side == side]
            _require_no_cycle(f"orders: {side}", edges)
        _require_once(
            "orders: a pair has one order along an axis",
            ((order.side, order.of, order.than) for order in self.orders),
        )
        _require_no_cycle("contacts: inside", self._inside_pairs())
        _require_once(
            "contacts: a pair has one contact",
            (tuple(sorted((contact.of, contact.to))) for contact in self.contacts),
        )
        self._check_chains()
        _require_no_cycle("over: priority", self.over)
        _require_no_cycle("over: priority, with what is inside,", self._priorities())
        return self

    def _check_chains(self) -> None:
        """No pair that is inside by way of others has another contact."""
        containers = self.containers()
        for contact in self.contacts:
            for one, other in ((contact.of, contact.to), (contact.to, contact.of)):
                if contact.kind != "inside" and other in containers.get(one, ()):
                    raise ValueError(
                        f"contacts: what is inside by way of others is not {contact.kind} too, "
                        f"got {one} and {other}"
                    )

    def _inside_pairs(self) -> list[tuple[str, str]]:
        return [(contact.of, contact.to) for contact in self.contacts if contact.kind == "inside"]

    def _priorities(self) -> list[tuple[str, str]]:
        return [*self.over, *self._inside_pairs()]

    def containers(self) -> dict[str, set[str]]:
        """By structure: all that it is inside of, also by way of others."""
        return _reached(self._inside_pairs())

    def covered(self) -> dict[str, set[str]]:
        """By structure: all that it is painted over, for sure, also by way of others."""
        return _reached(self._priorities())

    def check_names(self, names: Sequence[str]) -> None:
        """See that all are structures of a bank.

        Raises:
            RelationsError: the first that is not.
        """
        known = set(names)
        for field, named in self._named():
            if named not in known:
                raise RelationsError(f"{field}: must be a structure of the bank, got {named!r}")

    def _named(self) -> Iterator[tuple[str, str]]:
        """All names, with where they stand."""
        for i, order in enumerate(self.orders):
            yield from ((f"orders.{i}.of", order.of), (f"orders.{i}.than", order.than))
        for i, contact in enumerate(self.contacts):
            yield from ((f"contacts.{i}.of", contact.of), (f"contacts.{i}.to", contact.to))
        for i, pair in enumerate(self.over):
            yield from ((f"over.{i}.{k}", name) for k, name in enumerate(pair))

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read a mapping as YAML gives it.

        Raises:
            RelationsError: naming the field, the rule and the value, or the cycle.
        """
        if not isinstance(values, dict):
            raise RelationsError(f"relations are a mapping, got {type(values).__name__}")
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise RelationsError(one_line(error, values)) from None

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read YAML text; raises RelationsError."""
        try:
            values = parse_yaml(text)
        except ValueError as error:
            raise RelationsError(str(error)) from None
        return cls.from_dict(values)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a YAML file; raises RelationsError, with the path."""
        try:
            return cls.from_yaml(read_text(Path(path), _BYTES_MAX))
        except ValueError as error:
            raise RelationsError(f"{path}: {error}") from None
        except OSError as error:
            raise RelationsError(f"{path}: {error.strerror}") from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_yaml(self) -> str:
        """YAML to be edited: a relation a line, the keys that say what it is first."""
        values = self.to_dict()
        for field, first in (("orders", ("of", "side", "than", "margin")),
                             ("contacts", ("of", "kind", "to", "gap"))):  # fmt: skip
            values[field] = [{key: edge[key] for key in first} | edge for edge in values[field]]
        text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=10**6,
                              allow_unicode=True)  # fmt: skip
        return _HEADER + text


class Kind(IntEnum):
    """What binds structure i to structure j, in ``PairTable.kind``."""

    APART = 0
    TOUCHING = 1
    INSIDE = 2
    CONTAINS = 3


class PairTable(TypedDict):
    """Relations as whole numbers; row i, column j; N structures.

    Keys:
        sign: (N, N, 3) int8, z y x; 1: i lies farther along the axis, -1: j does, 0: either.
        margin: (N, N, 3) int32, by how much, 1/65536 of the body.
        kind: (N, N) int8, of ``Kind``.
        gap: (N, N) int32, 1/16 mm: at least, of what is apart; at most, of what touches.
        order_strength: (N, N, 3) int32, z y x, 1/4096; 0 where there is no order.
        contact_strength: (N, N) int32, 1/4096.
    """

    sign: NDArray[np.int8]
    margin: NDArray[np.int32]
    kind: NDArray[np.int8]
    gap: NDArray[np.int32]
    order_strength: NDArray[np.int32]
    contact_strength: NDArray[np.int32]


def placement_order(
    relations: Relations, names: Sequence[str], volumes: Sequence[float] | NDArray[np.float64]
) -> list[int]:
    """Places in ``names``: containers before what they contain, else larger ones first.

    Args:
        volumes: of each structure, any unit; of equals, the first in ``names`` comes first.
    """
    return _larger_first(names, volumes, relations.containers())


def painting_order(
    relations: Relations, names: Sequence[str], volumes: Sequence[float] | NDArray[np.float64]
) -> list[int]:
    """Places in ``names``, the lowest priority first: as placed, but for the pairs ``over``."""
    return _larger_first(names, volumes, relations.covered())


def pair_table(relations: Relations, names: Sequence[str]) -> PairTable:
    """The relations of ``names``, both ways; what concerns others is left out."""
    count = len(names)
    table = PairTable(
        sign=np.zeros((count, count, 3), np.int8),
        margin=np.zeros((count, count, 3), np.int32),
        kind=np.zeros((count, count), np.int8),
        gap=np.zeros((count, count), np.int32),
        order_strength=np.zeros((count, count, 3), np.int32),
        contact_strength=np.full((count, count), 4096, np.int32),
    )
    place = {name: i for i, name in enumerate(names)}
    for order in relations.orders:
        if order.of in place and order.than in place:
            _enter_order(table, order, place[order.of], place[order.than])
    for name, containers in relations.containers().items():
        for container in containers:
            if name in place and container in place:
                table["kind"][place[name], place[container]] = Kind.INSIDE
                table["kind"][place[container], place[name]] = Kind.CONTAINS
    for contact in relations.contacts:
        if contact.of in place and contact.to in place:
            _enter_contact(table, contact, place[contact.of], place[contact.to])
    return table


def _enter_order(table: PairTable, order: Order, i: int, j: int) -> None:
    strength = round(order.strength * 4096)
    if strength == 0:
        return
    for row, column, sign in ((i, j, 1), (j, i, -1)):
        table["sign"][row, column, order.axis] = sign
        table["margin"][row, column, order.axis] = round(order.margin * 65536)
        table["order_strength"][row, column, order.axis] = strength


def _enter_contact(table: PairTable, contact: Contact, i: int, j: int) -> None:
    for row, column in ((i, j), (j, i)):
        table["contact_strength"][row, column] = round(contact.strength * 4096)
        table["gap"][row, column] = round(contact.gap * 16)
        if contact.kind == "touching":
            table["kind"][row, column] = Kind.TOUCHING


def _larger_first(
    names: Sequence[str],
    volumes: Sequence[float] | NDArray[np.float64],
    after: Mapping[str, set[str]],
) -> list[int]:
    """Larger ones first, but each after all of ``after[name]`` that there are."""
    left = sorted(range(len(names)), key=lambda i: (-volumes[i], i))
    missing = set(names)
    order = []
    while left:
        chosen = next(i for i in left if not after.get(names[i], set()) & missing)
        left.remove(chosen)
        missing.discard(names[chosen])
        order.append(chosen)
    return order


def _reached(edges: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """By first node of edges without cycles: all that a path leads to."""
    following: dict[str, set[str]] = {}
    for one, other in edges:
        following.setdefault(one, set()).add(other)
    reached: dict[str, set[str]] = {}
    for node in TopologicalSorter(following).static_order():  # those that follow come first
        if node in following:
            steps = following[node]
            reached[node] = steps.union(*(reached.get(step, ()) for step in steps))
    return reached


def _require_two(one: str, other: str, field: str) -> None:
    if one == other:
        raise ValueError(f"{field}: a relation is between two structures, got {one!r} twice")


def _require_once(rule: str, keys: Iterable[tuple[str, ...]]) -> None:
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{rule}, got two of {key[-2]} and {key[-1]}")
        seen.add(key)


def _require_no_cycle(what: str, edges: Iterable[tuple[str, str]]) -> None:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for one, other in edges:
        sorter.add(other, one)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " > ".join(_from_least(error.args[1]))
        raise ValueError(f"{what} must have no cycle, got {cycle}") from None


def _from_least(cycle: Sequence[str]) -> list[str]:
    """A closed path, begun at its first name in the alphabet."""
    following = dict(pairwise(cycle))
    path = [min(following)]
    for _ in following:
        path.append(following[path[-1]])
    return path

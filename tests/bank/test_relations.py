"""Relations of structures: rules and contradictions in one line, orders of placing and painting."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgen.bank.relations import (
    Contact,
    Kind,
    Order,
    Relations,
    RelationsError,
    painting_order,
    pair_table,
    placement_order,
)

NAMES = ("canal", "cord", "head", "lens", "orbit")
TEXT = """
orders:
- {of: canal, side: behind, than: orbit, margin: 0.25}
- {of: head, side: above, than: canal, strength: 0.5}
contacts:
- {of: canal, kind: contains, to: cord}
- {of: lens, kind: inside, to: orbit, strength: 0.25}
- {of: orbit, kind: inside, to: head}
- {of: canal, kind: touching, to: head}
- {of: cord, kind: apart, to: orbit, gap: 7.5}
over:
- [canal, head]
"""


def test_sides_and_contacts_are_turned_one_way():
    relations = Relations.from_yaml(TEXT)
    assert relations.orders[0] == Order(of="orbit", side="in_front_of", than="canal", margin=0.25)
    assert relations.contacts[0] == Contact(of="cord", kind="inside", to="canal")
    assert [order.axis for order in relations.orders] == [1, 0]


def test_what_touches_has_a_gap_of_its_own():
    touching = Contact(of="a", kind="touching", to="b")
    assert touching.gap == 3.0
    assert Contact(of="a", kind="touching", to="b", gap=0.5).gap == 0.5
    assert Contact(of="a", kind="apart", to="b").gap == 0.0


def test_yaml_keeps_all_and_has_a_relation_a_line():
    relations = Relations.from_yaml(TEXT)
    text = relations.to_yaml()
    assert Relations.from_yaml(text) == relations
    assert "- {of: orbit, side: in_front_of, than: canal, margin: 0.25, strength: 1.0}\n" in text
    assert "None" not in text
    assert "null" not in text


def test_no_relations_at_all():
    empty = Relations.from_yaml("{}")
    assert empty == Relations() == Relations.from_yaml(empty.to_yaml())
    assert placement_order(empty, "ab", [1.0, 2.0]) == [1, 0]
    assert not pair_table(empty, "ab")["sign"].any()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("orders: [{of: a, side: above, than: a}]",
         "orders.0.than: a relation is between two structures, got 'a' twice"),
        ("orders: [{of: a, side: above}]", "orders.0.than: missing"),
        ("orders: [{of: a, side: upon, than: b}]",
         "orders.0.side: must be 'above', 'below', 'in_front_of', 'behind', 'right_of' or "
         "'left_of', got 'upon'"),
        ("orders: [{of: a, side: above, than: b, margin: 2}]",
         "orders.0.margin: must be less than or equal to 1, got 2"),
        ("orders: [{of: a, side: above, than: b, margin: '0.1'}]",
         "orders.0.margin: must be a valid number, got '0.1'"),
        ("orders: [{of: a, side: above, than: b, strength: .nan}]",
         "orders.0.strength: must be a finite number, got nan"),
        ("orders: [{of: a, side: above, than: b, weight: 1}]",
         "orders.0.weight: unknown key, got 1"),
        ("orders: [{of: ../a, side: above, than: b}]",
         "orders.0.of: String should match pattern '^[A-Za-z0-9 ._+,()-]+$', got '../a'"),
        ("orders: [{of: a, side: above, than: b}, {of: b, side: below, than: a}]",
         "orders: a pair has one order along an axis, got two of a and b"),
        ("orders: [{of: a, side: above, than: b}, {of: a, side: below, than: b}]",
         "orders: above must have no cycle, got a > b > a"),
        ("orders: [{of: b, side: left_of, than: a}, {of: c, side: left_of, than: b},"
         " {of: c, side: right_of, than: a}]",
         "orders: right_of must have no cycle, got a > b > c > a"),
        ("contacts: [{of: a, kind: near, to: b}]",
         "contacts.0.kind: must be 'apart', 'touching', 'inside' or 'contains', got 'near'"),
        ("contacts: [{of: a, kind: inside, to: b, gap: 1}]",
         "contacts.0.gap: what is inside has none, got 1.0"),
        ("contacts: [{of: a, kind: inside, to: b}, {of: b, kind: inside, to: a}]",
         "contacts: inside must have no cycle, got a > b > a"),
        ("contacts: [{of: a, kind: contains, to: c}, {of: b, kind: contains, to: a},"
         " {of: c, kind: contains, to: b}]",
         "contacts: inside must have no cycle, got a > b > c > a"),
        ("contacts: [{of: a, kind: inside, to: b}, {of: b, kind: apart, to: a}]",
         "contacts: a pair has one contact, got two of a and b"),
        ("contacts: [{of: a, kind: inside, to: b}, {of: b, kind: inside, to: c},"
         " {of: c, kind: apart, to: a}]",
         "contacts: what is inside by way of others is not apart too, got a and c"),
        ("over: [[a, b], [b, c], [c, a]]",
         "over: priority must have no cycle, got a > b > c > a"),
        ("over: [[b, a]]\ncontacts: [{of: a, kind: inside, to: b}]",
         "over: priority, with what is inside, must have no cycle, got a > b > a"),
        ("over: [[a, a]]", "over: priority must have no cycle, got a > a"),
        ("over: [[a, b, c]]", "over.0: needs 2 or fewer entries, got ['a', 'b', 'c']"),
        ("edges: []", "edges: unknown key, got []"),
        ("[a, b]", "relations are a mapping, got list"),
        ("", "relations are a mapping, got NoneType"),
    ],
)  # fmt: skip
def test_broken_rules_are_named_in_one_line(text: str, line: str):
    with pytest.raises(RelationsError) as error:
        Relations.from_yaml(text)
    assert str(error.value) == line


@pytest.mark.parametrize("text", ["a: [", "- !!python/object:os.system {}", "[" * 5000, "\x00"])
def test_what_is_no_yaml_is_refused_in_one_line(text: str):
    with pytest.raises(RelationsError, match=r"^not YAML: .*") as error:
        Relations.from_yaml(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["over: 2020-99-99", "over: " + "9" * 5000, "[" * 3000])
def test_what_yaml_cannot_make_of_text(text):
    with pytest.raises(RelationsError, match=r"^not YAML: ") as error:
        Relations.from_yaml(text)
    assert len(str(error.value)) < 320


def test_files_are_named_in_errors(tmp_path):
    path = tmp_path / "mine.yaml"
    with pytest.raises(RelationsError, match=r"mine\.yaml: No such file"):
        Relations.from_file(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RelationsError, match=r"mine\.yaml: 'utf-8' codec"):
        Relations.from_file(path)
    path.write_text("over: 3")
    with pytest.raises(RelationsError, match=r"mine\.yaml: over: must be a list, got 3"):
        Relations.from_file(path)
    path.write_bytes(b" " * (2**24 + 1))
    with pytest.raises(RelationsError, match=r"mine\.yaml: must have 16,777,216 bytes or fewer"):
        Relations.from_file(path)
    path.write_text(TEXT)
    assert Relations.from_file(path) == Relations.from_yaml(TEXT)


def test_names_must_be_of_the_bank():
    relations = Relations.from_yaml(TEXT)
    relations.check_names(NAMES)
    with pytest.raises(RelationsError) as error:
        relations.check_names(NAMES[:-1])
    assert str(error.value) == "orders.0.of: must be a structure of the bank, got 'orbit'"
    with pytest.raises(RelationsError, match=r"over\.0\.1: "):
        Relations(over=(("a", "b"),)).check_names(["a"])


def test_containers_come_first_then_larger_ones():
    relations = Relations.from_yaml(TEXT)
    volumes = [5.0, 50.0, 4.0, 70.0, 60.0]  # canal cord head lens orbit: parts are larger
    assert [NAMES[i] for i in placement_order(relations, NAMES, volumes)] == [
        "canal", "cord", "head", "orbit", "lens",
    ]  # fmt: skip
    assert placement_order(Relations(), NAMES, volumes) == [3, 4, 1, 0, 2]
    assert placement_order(Relations(), NAMES, [1, 2, 2, 1, 2]) == [1, 2, 4, 0, 3]


def test_priorities_change_painting_alone():
    relations = Relations(over=(("head", "lens"), ("canal", "head")))
    volumes = [9, 1, 8, 2, 7]  # canal cord head lens orbit
    assert placement_order(relations, NAMES, volumes) == [0, 2, 4, 3, 1]
    assert [NAMES[i] for i in painting_order(relations, NAMES, volumes)] == [
        "orbit", "lens", "head", "canal", "cord",
    ]  # fmt: skip


def test_chains_hold_where_links_are_left_out():
    relations = Relations.from_yaml(TEXT)
    names, volumes = ("lens", "head"), (9.0, 1.0)
    assert placement_order(relations, names, volumes) == [1, 0]
    assert painting_order(relations, names, volumes) == [1, 0]
    assert pair_table(relations, names)["kind"].tolist() == [[0, Kind.INSIDE], [Kind.CONTAINS, 0]]


def test_pair_table():
    table = pair_table(Relations.from_yaml(TEXT), NAMES)
    canal, cord, head, lens, orbit = range(5)
    assert table["sign"][orbit, canal].tolist() == [0, 1, 0]
    assert table["sign"][head, canal].tolist() == [1, 0, 0]
    np.testing.assert_array_equal(table["sign"], -table["sign"].transpose(1, 0, 2))
    assert table["margin"][canal, orbit].tolist() == [0, 16384, 0]
    np.testing.assert_array_equal(table["order_strength"][canal, head], [2048, 0, 0])
    np.testing.assert_array_equal(table["order_strength"][head, canal], [2048, 0, 0])
    assert table["kind"][cord, canal] == table["kind"][lens, head] == Kind.INSIDE
    assert table["kind"][head, lens] == Kind.CONTAINS
    assert table["kind"][canal, head] == table["kind"][head, canal] == Kind.TOUCHING
    assert table["gap"][canal, head] == table["gap"][head, canal] == 48
    assert table["gap"][cord, orbit] == 120
    assert table["kind"][cord, orbit] == Kind.APART
    assert table["contact_strength"][lens, orbit] == 1024
    assert table["contact_strength"][lens, cord] == 4096
    assert {name: array.dtype.name for name, array in table.items()} == {
        "sign": "int8", "margin": "int32", "kind": "int8", "gap": "int32",
        "order_strength": "int32", "contact_strength": "int32",
    }  # fmt: skip


def test_orders_of_no_strength_have_no_sign():
    orders = (
        Order(of="a", side="above", than="b", strength=0.0, margin=0.5),
        Order(of="a", side="right_of", than="b", strength=1.0),
    )
    assert pair_table(Relations(orders=orders), "ab")["sign"][0, 1].tolist() == [0, 0, 1]


def test_each_order_of_a_pair_has_its_own_strength():
    sides = (("above", 0.25), ("in_front_of", 1.0), ("right_of", 0.5))
    orders = tuple(Order(of="a", side=side, than="b", strength=s) for side, s in sides)
    strength = pair_table(Relations(orders=orders), "ab")["order_strength"]
    assert strength[0, 1].tolist() == strength[1, 0].tolist() == [1024, 4096, 2048]


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[float]]:
    """Edges from earlier to later of a random permutation of six names, and volumes."""
    order = draw(st.permutations("abcdef"))
    pairs = list(itertools.combinations(order, 2))
    edges = draw(st.lists(st.sampled_from(pairs), unique=True))
    return edges, draw(st.lists(st.integers(1, 4).map(float), min_size=6, max_size=6))


@settings(max_examples=200, deadline=None)
@given(dags())
def test_orders_keep_every_edge_and_are_the_largest_first(drawn):
    edges, volumes = drawn
    inside = Relations(contacts=tuple(Contact(of=a, kind="inside", to=b) for a, b in edges))
    over = Relations(over=tuple(edges))
    order = placement_order(inside, "abcdef", volumes)
    assert order == painting_order(inside, "abcdef", volumes)
    assert order == painting_order(over, "abcdef", volumes)
    assert order == _greedy(edges, volumes)


def _greedy(edges: Sequence[tuple[str, str]], volumes: Sequence[float]) -> list[int]:
    """The largest of what may come next, again and again."""
    order: list[int] = []
    while len(order) < 6:
        placed = {"abcdef"[i] for i in order}
        free = [
            i
            for i in range(6)
            if i not in order
            and all(container in placed for part, container in edges if part == "abcdef"[i])
        ]
        order.append(min(free, key=lambda i: (-volumes[i], i)))
    return order

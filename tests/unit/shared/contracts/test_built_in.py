"""The fields of what business answers itself."""

from shared.contracts.base import Contract
from shared.contracts.built_in import SubmittedActions, Withdrawn, fields_declared


class Leaf(Contract):
    size: int


class Tree(Contract):
    leaves: list[Leaf]
    largest: Leaf | None = None
    notes: dict[str, str]


def test_what_is_in_a_field_or_in_each_item_of_a_list_stands_below_it() -> None:
    assert list(fields_declared(Tree)) == ["leaves", "leaves.size", "largest", "largest.size", "notes"]


def test_of_each_action_the_same_is_told() -> None:
    fields = set(fields_declared(SubmittedActions))
    below = {kind: {each for each in fields if each.startswith(f"{kind}.")} for kind in ("actions", "open", "first")}
    assert len({frozenset(each.partition(".")[2] for each in found) for found in below.values()}) == 1
    assert {"first.id", "first.name", "first.status", "first.open"} <= fields
    assert list(fields_declared(Withdrawn)) == ["action", "name"]

from services.dialogue.assistant.fields import NOTHING_BELOW, fields_below, fields_of, missing_field
from services.dialogue.assistant.schema import Offer

TABLES = Offer.model_validate({"gives": ["count", {"tables": ["number", {"floor": ["name"]}]}]})


def test_what_stands_below_a_field_has_its_whole_name() -> None:
    every = fields_of([TABLES])
    assert every == frozenset(("count", "tables", "tables.number", "tables.floor", "tables.floor.name"))
    assert fields_below(every, "tables") == frozenset(("number", "floor", "floor.name"))
    assert fields_below(every, "count") == NOTHING_BELOW


def test_of_two_look_ups_the_fields_of_both_are_there_and_of_an_unknown_one_any() -> None:
    other = Offer(gives=["day"])
    both = fields_of([TABLES, other], ["status"])
    assert both is not None
    assert {"day", "count", "status"} <= both
    assert fields_of([TABLES, Offer()]) is None
    assert fields_of([None]) is None
    assert fields_below(None, "tables") is None


def test_a_name_is_looked_for_below_its_value() -> None:
    given = {"free": fields_of([TABLES]), "any": None, "text": NOTHING_BELOW}
    good = ["free", "free.tables.floor.name", "any.thing", "text", "elsewhere.field"]
    assert [missing_field(name, given) for name in good] == [None] * len(good)
    assert missing_field("free.cout", given) == "there is no 'cout' in 'free'; did you mean 'count'?"
    assert missing_field("text.more", given) == "there is no 'more' in 'text'"

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.understanding import Understanding
from shared.nlu.model import Model

TODAY = date(2026, 11, 22)


def one(model: Model, text: str) -> Understanding:
    [understanding] = model.understand([text], today=TODAY)
    return understanding


def test_says_what_a_text_means(model: Model) -> None:
    understanding = one(model, "退款！坏的坏的，订单20261103001")
    assert understanding.intent.name == "refund"
    assert understanding.sentiment.label == "negative"
    assert understanding.language == "zh"
    assert [(each.name, each.value) for each in understanding.entities] == [("order_number", "20261103001")]
    assert (understanding.model.name, understanding.model.version) == ("shop", model.manifest.version)


def test_nothing_gives_nothing(model: Model) -> None:
    assert model.understand([]) == []


@settings(deadline=None)
@given(st.lists(st.text(max_size=100), max_size=6), st.dates())
def test_any_texts_are_understood(model: Model, texts: list[str], today: date) -> None:
    answers = model.understand(texts, today=today)
    assert [each.text for each in answers] == texts
    for each in answers:
        assert Understanding.model_validate_json(each.model_dump_json()) == each
        assert all(each.text[entity.start : entity.end] == entity.text != "" for entity in each.entities)
        assert all(a.end <= b.start for a, b in zip(each.entities, each.entities[1:], strict=False))


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["Cs"]), min_size=1, max_size=5))
def test_half_characters_are_understood_as_unreadable(model: Model, text: str) -> None:
    assert one(model, text).text == "\ufffd" * len(text)


@settings(deadline=None)
@given(st.text(alphabet="北京市路号1 elmACMEinc知音司退，。x", max_size=60))
def test_company_and_address_are_pieces_of_the_text(model: Model, text: str) -> None:
    for entity in one(model, text).entities:
        assert text[entity.start : entity.end] == entity.text
        assert entity.source == "pattern" or entity.value == " ".join(entity.text.split())

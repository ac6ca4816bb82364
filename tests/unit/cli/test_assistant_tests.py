"""`zhiyin test`: conversations of an assistant with a scripted model and the real business on a database of its own."""

import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import assistant_tests
from cli.assistant_tests import Choice, DemoShops, hold_conversations, hold_tests
from cli.errors import CommandError, UsageError
from cli.home import Home
from cli.new import new
from cli.settings import PROJECT
from services.dialogue.assistant.assistant import load_assistant
from shared.contracts.actions import ActionRequest
from shared.contracts.understanding import Entity, IntentScore, ModelRef, OutOfScope, Sentiment, Understanding

SHOP = PROJECT / "assistants" / "shop"
ORDER = "20261103001"


def understand(text: str) -> Understanding:
    """Takes every text for a question about a parcel."""
    intent = IntentScore(name="track_order", confidence=0.99)
    start = text.find(ORDER)
    entity = Entity(
        name="order_number", value=ORDER, text=ORDER, start=start, end=start + 11, confidence=1.0, source="pattern"
    )
    return Understanding(
        text=text,
        language="zh",
        intent=intent,
        ranking=(intent,),
        entities=(entity,) if start >= 0 else (),
        sentiment=Sentiment(label="neutral", confidence=1.0),
        out_of_scope=OutOfScope(detected=False, score=0.0),
        model=ModelRef(name="shop", version="scripted"),
    )


def request(name: str, **arguments: Any) -> ActionRequest:
    return ActionRequest(
        id="action-1",
        tenant="default",
        name=name,
        customer="C1001",
        conversation_id="c1",
        arguments=arguments,
        requested_at=datetime.now(UTC),
    )


@pytest.fixture
def shops() -> Iterator[DemoShops]:
    with DemoShops(SHOP) as shops:
        yield shops


def test_every_conversation_gets_a_shop_in_which_nothing_has_happened(shops: DemoShops) -> None:
    for _ in range(2):
        shop = shops.open("C1001")
        assert shop.lookup("order", {"order_number": "20261103003"}).data["status"] == "delivered"
        assert shop.perform(request("refund", order_number="20261103003", reason="too small")).status == "succeeded"
        assert shop.lookup("order", {"order_number": "20261103003"}).data["status"] == "refunded"


def test_a_person_decides(shops: DemoShops) -> None:
    asked = request("refund", order_number="20261103004", reason="broken")
    for approved, status in ((True, "succeeded"), (False, "rejected")):
        shop = shops.open("C1001")
        assert shop.perform(asked).status == "awaiting_approval"
        assert shop.review(asked, approved=approved).status == status


def test_another_customers_order_is_not_found(shops: DemoShops) -> None:
    assert not shops.open("C1002").lookup("order", {"order_number": ORDER}).found


@pytest.fixture
def assistant(tmp_path: Path) -> Path:
    """The demo without its tests."""
    folder = tmp_path / "assistants" / "shop"
    shutil.copytree(SHOP, folder)
    shutil.rmtree(folder / "tests")
    (folder / "tests").mkdir()
    return folder


def write(assistant: Path, text: str) -> None:
    (assistant / "tests" / "some.yml").write_text(text, encoding="utf-8")


GOOD = f"""
- conversation: a parcel
  turns:
    - user: 订单 {ORDER} 到哪了
      intent: track_order
      contains: [上海]
"""
BAD = f"""
- conversation: a wrong parcel
  turns:
    - user: 订单 {ORDER} 到哪了
      contains: [火星]
"""


def test_conversations_that_go_as_they_should_and_one_that_does_not(assistant: Path) -> None:
    write(assistant, GOOD + BAD)
    good, bad = hold_conversations(assistant, understand)
    assert good.passed
    assert good.transcript[0] == f"> 订单 {ORDER} 到哪了"
    assert not bad.passed
    assert "should say '火星'" in bad.failures[0]
    assert "some.yml" in bad.failures[0]


class ScriptedModel:
    """Stands in for a trained model."""

    manifest = SimpleNamespace(version="v1", intents=tuple(load_assistant(SHOP).intents))

    @classmethod
    def load(cls, _folder: Path) -> "ScriptedModel":
        return cls()

    def understand(self, texts: list[str], *, today: date) -> list[Understanding]:
        return [understand(text) for text in texts]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setattr(assistant_tests, "Model", ScriptedModel)
    monkeypatch.setattr(assistant_tests, "production_model", lambda *_: tmp_path)
    return Home(tmp_path)


def test_command_that_passes(assistant: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    write(assistant, GOOD)
    assistant_tests.hold_tests(assistant, home, as_json=False)
    written = capsys.readouterr()
    assert written.out == ""
    assert "1 conversations went as they should" in written.err


def test_command_that_fails(assistant: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    write(assistant, GOOD + BAD)
    with pytest.raises(CommandError, match=r"^1 of 2 conversations went wrong\.$"):
        assistant_tests.hold_tests(assistant, home, as_json=False)
    written = capsys.readouterr().out
    assert "a wrong parcel" in written
    assert "a parcel" not in written.replace("a wrong parcel", "")


@pytest.mark.parametrize(
    ("what", "held"),
    [
        ("{shop}", {"a parcel", "a wrong parcel", "elsewhere"}),
        ("{shop}/tests/some.yml", {"a parcel", "a wrong parcel"}),
        ("{shop}/tests/some.yml::a parcel", {"a parcel"}),
        ("{shop}::elsewhere", {"elsewhere"}),
    ],
)
def test_one_file_or_one_conversation_may_be_held(
    assistant: Path, home: Home, capsys: pytest.CaptureFixture[str], what: str, held: set[str]
) -> None:
    write(assistant, GOOD + BAD)
    (assistant / "tests" / "other.yml").write_text(GOOD.replace("a parcel", "elsewhere"), encoding="utf-8")
    folder, choice = assistant_tests.chosen(what.format(shop=assistant))
    assert folder == assistant
    with suppress(CommandError):
        assistant_tests.hold_tests(folder, home, choice, as_json=True)
    assert {each["conversation"] for each in json.loads(capsys.readouterr().out)} == held


def test_a_conversation_that_is_not_there(assistant: Path, home: Home) -> None:
    write(assistant, GOOD)
    _, choice = assistant_tests.chosen("tests/some.yml::nothing")
    with pytest.raises(CommandError, match=r"^There are no conversations named 'nothing' in .*/tests/some\.yml\.$"):
        assistant_tests.hold_tests(assistant, home, choice, as_json=False)


def test_an_intent_that_the_model_was_not_taught_is_named(
    assistant: Path, home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(assistant, GOOD)
    known = tuple(name for name in ScriptedModel.manifest.intents if name not in ("refund", "greet"))
    monkeypatch.setattr(ScriptedModel, "manifest", SimpleNamespace(version="v1", intents=known))
    assistant_tests.hold_tests(assistant, home, as_json=False)
    said = capsys.readouterr().err
    assert "The model v1 does not know greet, refund yet; `zhiyin train shop --quick` teaches it." in said


def test_json(assistant: Path, home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    write(assistant, GOOD)
    assistant_tests.hold_tests(assistant, home, as_json=True)
    (document,) = json.loads(capsys.readouterr().out)
    assert document["conversation"] == "a parcel"
    assert document["passed"] is True
    assert len(document["transcript"]) >= 2


def test_no_conversations(assistant: Path, home: Home) -> None:
    with pytest.raises(CommandError, match="There are no conversations in"):
        assistant_tests.hold_tests(assistant, home, as_json=False)


def test_what_business_refuses_is_a_failure_of_the_conversation(
    assistant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.errors import NotFound

    def refuse(*_: object) -> None:
        raise NotFound("there is no such look-up")

    monkeypatch.setattr(assistant_tests.DemoShop, "lookup", refuse)
    write(assistant, GOOD)
    (result,) = hold_conversations(assistant, understand)
    assert result.failures[0].endswith("business says: there is no such look-up")


def test_systems_are_asked_only_where_there_are_some_and_recorded_together(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with pytest.raises(UsageError, match="shop has no connectors"):
        hold_tests(SHOP, home, answers="real", as_json=False)
    new(tmp_path / "library")
    with pytest.raises(UsageError, match="All conversations are recorded together"):
        hold_tests(tmp_path / "library", home, Choice("loans.yml"), answers="record", as_json=False)

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.values import QuickReply, Say
from services.dialogue.conversation.mapping import (
    customer_of,
    draft_of,
    fresh,
    notice_of,
    request_of,
    state_of,
    trace_of,
)
from services.dialogue.conversation.repository import ConversationRow, EntryRow
from services.dialogue.policy.decision import (
    ActionCall,
    ActionFinished,
    Chosen,
    Opened,
    Origin,
    SessionExpired,
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.state import Frame, Mention, Pending, State
from shared.contracts.actions import ActionResult, ActionStatus
from tests.unit.services.dialogue.assistants import load
from tests.unit.services.dialogue.understandings import understanding

MOMENT = datetime(2026, 11, 1, tzinfo=UTC)
NULL = "NULL"
ORIGIN = Origin(flow="book", step="5")


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    return load(tmp_path_factory.mktemp("mini"))


def conversation(**changes: Any) -> ConversationRow:
    usual: dict[str, Any] = {
        "id": "c1",
        "tenant": "other",
        "owner": "me",
        "customer": "C1001",
        "assistant": "mini",
        "language": "zh",
        "status": "open",
        "floor": "assistant",
        "state": None,
        "version": 1,
        "last_seq": 7,
        "answered_seq": 6,
        "pending_since": None,
        "created_at": MOMENT,
        "updated_at": MOMENT,
    }
    return ConversationRow(**usual | changes)


MESSAGE = EntryRow("c1", 7, "message", "customer", "[words]", "m7", None, "C1001", None, [], {}, MOMENT)


def finished() -> ActionFinished:
    result = ActionResult(
        action_id="c1.0", tenant="other", name="book", conversation_id="c1", status="succeeded", version=2
    )
    return ActionFinished(result=result, origin=ORIGIN)


def test_a_conversation_begins_in_the_language_in_which_it_was_opened() -> None:
    assert state_of(conversation(language="en")) == State(language="en")


def test_the_state_that_a_turn_left_is_the_one_the_next_begins_with() -> None:
    left = State(language="en", turn=3, frames=(Frame(flow="book", slots={"note": None, "table": "five"}),))
    read = state_of(conversation(state=left.model_dump(mode="json")))
    assert read == left
    assert list(read.frames[0].slots) == ["note", "table"]


def test_a_turn_that_is_decided_again_asks_for_the_same_action() -> None:
    call = ActionCall(index=2, name="book", arguments={"table": "five"}, origin=ORIGIN)
    asked = partial(request_of, release="r7", language="en")
    first, again = asked(conversation(), call, "C1001"), asked(conversation(version=9), call, "C1001")
    assert first.id == again.id == "c1.2"
    assert (first.tenant, first.customer, first.conversation_id) == ("other", "C1001", "c1")
    assert (first.assistant, first.release, first.language) == ("mini", "r7", "en")
    others = {
        asked(conversation(id="c2"), call, None).id,
        asked(conversation(), call.model_copy(update={"index": 3}), "C1001").id,
    }
    assert len(others | {first.id}) == 3


def test_a_state_begins_anew_and_goes_on_counting_actions() -> None:
    """An action's id is made of its number: one that came again would be taken for the former."""
    left = State(
        language="en", turn=3, actions=2, misses=1, frames=(Frame(flow="book"),), pending=Pending(kind="person"),
        mentions={"word": Mention(value="five", turn=2)},
    )  # fmt: skip
    begun = fresh(left.model_dump(mode="json"))
    assert begun is not None
    assert State.model_validate(begun) == State(language="en", turn=3, actions=2)
    assert fresh(None) is None


@pytest.mark.parametrize("unreadable", [[1, 2], '{"format'])
def test_an_unreadable_state_does_not_begin_anew(unreadable: Any) -> None:
    """The actions that it counted would be asked for again under their old numbers."""
    assert fresh(unreadable) == unreadable
    with pytest.raises(ValidationError):
        state_of(conversation(state=fresh(unreadable)))


@pytest.mark.parametrize(
    ("message", "customer"), [(None, "C1001"), (NULL, "C1001"), ("", None), ("C1001", "C1001"), ("C1002", "C1002")]
)
def test_a_turn_is_about_the_customer_of_its_message(message: str | None, customer: str | None) -> None:
    """An older program wrote down none; nobody is the empty string."""
    entry = None if message is None else replace(MESSAGE, customer=None if message == NULL else message)
    assert customer_of(conversation(), entry) == customer


@pytest.mark.parametrize(
    ("status", "say", "text"),
    [
        ("succeeded", Say(name="pay_cash", language="en"), "Cash it is."),
        ("succeeded", Say(name="ask_note", language="en"), "action_succeeded"),
        ("failed", Say(name="pay_cash", language="en"), "Cash it is."),
        ("failed", Say(name="ask_way", language="en"), "action_not_done Booking"),
        ("failed", Say(name="ask_way", language="zh"), "action_not_done 订位"),
        (
            "rejected",
            Say(name="pay_cash", language="en", options=(QuickReply(id="yes", titles={"en": "Yes"}),)),
            "action_not_done Booking",
        ),
    ],
)
def test_a_notice_asks_and_offers_nothing(mini: Assistant, status: ActionStatus, say: Say, text: str) -> None:
    event = finished()
    event = event.model_copy(update={"result": event.result.model_copy(update={"status": status})})
    notice = notice_of(mini, say, event)
    assert (notice.text, notice.options, notice.kind, notice.sender) == (text, (), "notice", "system")


@pytest.mark.parametrize("source", [None, "hours"])
def test_a_reply_is_kept_as_it_is_read_with_its_name_and_its_source(mini: Assistant, source: str | None) -> None:
    options = (QuickReply(id="skip", titles={"zh": "跳过", "en": "Skip"}),)
    say = Say(name="pay_card", language="en", variables={"address": "Main Street 5"}, options=options, source=source)
    draft = draft_of(mini, say)
    assert draft.text == "By card, bill to Main Street 5."
    assert [(option.id, option.title) for option in draft.options] == [("skip", "Skip")]
    assert draft.data == {"reply": "pay_card"} | ({} if source is None else {"source": source})


@pytest.mark.parametrize(
    ("event", "answers", "trigger"),
    [
        (Opened(), None, "opened"),
        (Chosen(choice="yes"), MESSAGE, "message:7"),
        (UnderstandingUnavailable(text="hello"), MESSAGE, "message:7"),
        (finished(), None, "result:c1.0:2"),
        (SessionExpired(), None, "session_expired:1"),
    ],
)
def test_a_trace_names_what_set_the_turn_off(event: TurnEvent, answers: EntryRow | None, trigger: str) -> None:
    trace = trace_of(conversation(), event, answers, ["book: begins"], {"decide": 0.1}, "r7")
    assert (trace.trigger, trace.understanding) == (trigger, None)
    assert (trace.conversation_id, trace.steps, trace.seconds) == ("c1", ["book: begins"], {"decide": 0.1})
    assert trace.release == "r7"


def test_a_trace_says_what_was_understood_without_the_message_itself() -> None:
    event = Understood(understanding=understanding("my secret wish", "book", "pay"))
    trace = trace_of(conversation(), event, MESSAGE, [], {}, "")
    assert trace.understanding is not None
    assert trace.understanding["intent"] == {"name": "book", "confidence": 0.95}
    assert [each["name"] for each in trace.understanding["ranking"]] == ["book", "pay"]
    assert "secret" not in str(trace)

"""A decision's working state: what it begins with and what it leaves."""

from hypothesis import given
from hypothesis import strategies as st

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.policy.context import MAX_MENTIONS, TurnContext
from services.dialogue.policy.state import MAX_FRAMES, Frame, Pending, State
from tests.unit.services.dialogue.talker import Talker


def test_the_stack_is_bounded(talk: Talker, mini: Assistant) -> None:
    frames = tuple(Frame(flow="pay" if n % 2 else "book", slots={"note": str(n)}) for n in range(20))
    talk.state = State(frames=frames)
    talk.says("hello", "greet")
    assert len(talk.state.frames) <= MAX_FRAMES


def test_a_flow_that_is_gone_is_forgotten(talk: Talker) -> None:
    talk.state = State(frames=(Frame(flow="gone"), Frame(flow="pay")), pending=Pending(kind="slot", name="way"))
    assert talk.says("cash", "inform") == ["flow_changed", "ask_way"]
    talk.state = State(frames=(Frame(flow="pay"), Frame(flow="gone")), pending=Pending(kind="slot", name="what"))
    assert talk.says("cash", "inform") == ["flow_changed", "ask_way"]
    talk.state = State(frames=(Frame(flow="gone"),), pending=Pending(kind="slot", name="way"), language="fr")
    assert talk.says("hello", "greet") == ["flow_changed", "hello"]


def test_a_message_of_another_turn_may_be_worded_otherwise(talk: Talker) -> None:
    texts = set()
    for _ in range(4):
        talk.says("hello", "greet")
        texts.add(talk.text())
    assert texts == {"Hello!", "Hi!"}


@given(st.lists(st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from(["one", "two"]))))
def test_the_values_that_were_named_last_are_remembered(mini: Assistant, named: list[tuple[str, str]]) -> None:
    context = TurnContext(mini, State())
    for entity, value in named:
        context.mention(entity, value)
    latest = dict(named)
    last = list(dict.fromkeys(entity for entity, _ in reversed(named)))[:MAX_MENTIONS]
    assert {entity: mention.value for entity, mention in context.mentions.items()} == {
        entity: latest[entity] for entity in last
    }


def test_what_has_no_name_or_no_value_is_not_remembered(mini: Assistant) -> None:
    context = TurnContext(mini, State())
    context.mention("word", "five")
    context.mention("word", None)
    context.mention(None, "seven")
    assert {entity: mention.value for entity, mention in context.mentions.items()} == {"word": "five"}


def test_a_reply_that_offers_nothing_leaves_what_is_on_offer(mini: Assistant) -> None:
    context = TurnContext(mini, State())
    context.say("ask_note")
    context.say("hello")
    assert [option.id for option in context.options] == ["skip"]
    context.say("confirm_booking", offering=False)
    assert [option.id for option in context.options] == ["skip"]
    context.say("confirm_booking")
    assert [option.id for option in context.options] == ["yes", "no"]

"""What a turn decides: a pure function of the assistant, the conversation's state and an event.

A message is first an answer to what was asked; what is no answer begins something new, on top of what is under way, and
when that has ended the conversation goes back. Nothing here reads a clock, a file or the network, and nothing raises.
"""

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.validation import ASK_HUMAN
from services.dialogue.policy.business_events import action_finished, looked_up, lookup_failed
from services.dialogue.policy.context import Talk
from services.dialogue.policy.cues import asks_to_repeat, gives_up, heard_language, hesitates
from services.dialogue.policy.decision import (
    ActionFinished,
    Chosen,
    Decision,
    Event,
    LookedUp,
    LookupFailed,
    Opened,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.routing import begin, intent_option, route
from services.dialogue.policy.slot_filling import answer_change, answer_confirm, answer_slot, stop
from services.dialogue.policy.state import Option, Pending, State
from services.dialogue.policy.user_input import Heard, hear, typed_option
from shared.contracts.understanding import Understanding

__all__ = ["decide"]


def decide(assistant: Assistant, state: State, event: Event) -> Decision:
    """What happens next in a conversation; the same for the same input, always."""
    talk = Talk(assistant, state)
    match event:
        case Opened():
            if event.language in assistant.languages:
                talk.language = event.language
            talk.say("welcome")
        case Understood():
            understood(talk, event.understanding)
        case Chosen():
            chosen(talk, event.choice)
        case UnderstandingUnavailable():
            not_understood(talk, event.text)
        case LookedUp():
            looked_up(talk, event)
        case LookupFailed():
            lookup_failed(talk, event)
        case ActionFinished():
            action_finished(talk, event)
    return talk.decision()


def understood(talk: Talk, understanding: Understanding) -> None:
    """A sentence and what it means."""
    option = typed_option(understanding.text, talk.options, numbers=False)
    heard = hear(talk.assistant, understanding, option)
    if not (heard.intent == "inform" and names_something(talk)):
        listen(talk, without_entities(understanding))
    if option is not None and option.intent is not None:
        heard = clicked(option)
    talk.note(f"understood {understanding.intent.name} {understanding.intent.confidence:.2f}")
    take(talk, heard)


def names_something(talk: Talk) -> bool:
    """Whether the customer was asked for a name or an address, which may be in any language."""
    if talk.pending is None or talk.pending.kind != "slot" or not talk.frames:
        return False
    slot = talk.slots.get(talk.pending.name)
    return slot is not None and slot.text is not None and slot.entity is not None


def clicked(option: Option) -> Heard:
    """A quick reply says what it stands for."""
    return Heard(text="", intent=option.intent, confidence=1.0, option=option)


def listen(talk: Talk, text: str) -> None:
    """The conversation goes on in the language of the last sentence that clearly had one."""
    language = heard_language(text, certain=talk.turn > 0 and talk.language is not None)
    if language in talk.assistant.languages:
        talk.language = language


def without_entities(understanding: Understanding) -> str:
    """The sentence without numbers, names and addresses: they have no language."""
    text, end = "", 0
    for entity in sorted(understanding.entities, key=lambda entity: entity.start):
        text += understanding.text[end : max(end, entity.start)] + " "
        end = max(end, entity.end)
    return text + understanding.text[end:]


def chosen(talk: Talk, choice: str) -> None:
    """A click on a quick reply, perhaps on an old one."""
    offered = list(talk.options)
    if talk.pending is not None and talk.frames:
        offered += talk.frame.offered.get(talk.pending.name, ())
    option = next((option for option in offered if option.id == choice), None)
    intent = choice.removeprefix("intent:")
    if option is None and choice != intent and (intent == "stop" or talk.assistant.answers(intent)):
        option = intent_option(talk, intent)
    if option is not None:
        talk.note(f"chose {option.id.split(':')[0]}")
        take(talk, clicked(option))
        return
    talk.turn += 1
    talk.note("chose what is no longer offered")
    talk.say("choice_expired")
    if talk.frames:
        run(talk)


def not_understood(talk: Talk, text: str) -> None:
    """There is no model: a quick reply that was typed out still counts, anything else gets an apology."""
    listen(talk, text)
    apology = "understanding_unavailable"
    option = typed_option(text, (*talk.options, *talk.assistant.replies.options(apology)), numbers=False)
    if option is not None:
        take(talk, clicked(option))
        return
    talk.turn += 1
    talk.note("no understanding")
    talk.say(apology, offering=False)


def take(talk: Talk, heard: Heard) -> None:
    """A message: an answer to what was asked, or something new."""
    talk.turn += 1
    pending, talk.pending = talk.pending, None
    offered, talk.options = talk.options, ()
    talk.mood = heard.mood
    if talk.frames and talk.frame.mood != "negative":
        talk.update(mood=heard.mood)
    for entity, values in heard.entities.items():
        talk.mention(entity, values[0] if len(values) == 1 else None)
    elsewhere = heard.sure and talk.assistant.answers(heard.intent)
    if heard.option is None and talk.frames and not elsewhere and asks_to_repeat(heard.text):
        talk.note("repeats the question")
        run(talk)
        return
    if heard.option is None and pending is not None and asks_for_time(talk, heard, pending):
        talk.note("gives time")
        talk.pending = pending
        talk.say("take_your_time", options=offered)
        return
    if talk.frames and elsewhere and heard.intent not in talk.flow.intents and gives_up(heard.text):
        talk.pop("given up for something else")
        pending = None
    misses = talk.misses
    if pending is not None and answer(talk, heard, pending, offered):
        talk.misses = 0 if talk.misses == misses else talk.misses
    else:
        route(talk, heard, pending.carried if pending is not None else {})


def asks_for_time(talk: Talk, heard: Heard, pending: Pending) -> bool:
    """Whether the customer wants a moment; where any sentence may be the answer, that has to be sure."""
    if hesitates(heard.text):
        return True
    slot = talk.slots.get(pending.name) if pending.kind == "slot" and talk.frames else None
    free = slot is not None and slot.text is not None
    return heard.intent == "wait" and not heard.entities and (heard.sure or not free)


def answer(talk: Talk, heard: Heard, pending: Pending, offered: tuple[Option, ...]) -> bool:
    """Whether the message answered the question; what follows from it is then decided."""
    if pending.kind == "intent":
        return answer_intent(talk, heard, pending, offered)
    if pending.kind == "person" and answer_offer(talk, heard):
        return True
    if not talk.frames:
        return False
    match pending.kind:
        case "slot" | "person" if pending.name in talk.slots:
            suggested = talk.frame.offered.get(pending.name, ())
            return answer_slot(talk, heard, pending.name, suggested)
        case "confirm":
            return answer_confirm(talk, heard, pending)
        case "change":
            return answer_change(talk, heard, offered)
        case "retry":
            return answer_retry(talk, heard)
    return False


def answer_offer(talk: Talk, heard: Heard) -> bool:
    """An answer to `shall a person take over?`."""
    said = heard.option.id if heard.option is not None else heard.intent
    if said in ("affirm", "yes"):
        begin(talk, ASK_HUMAN, heard, {})
        return True
    if said in ("deny", "no"):
        if talk.frames:
            talk.update(attempts={})
            run(talk)
        else:
            talk.say("acknowledged")
        return True
    return False


def answer_retry(talk: Talk, heard: Heard) -> bool:
    """An answer to `shall I try again?`."""
    said = heard.option.id if heard.option is not None else heard.intent
    if said in ("affirm", "retry"):
        run(talk)
        return True
    if said in ("deny", "stop"):
        stop(talk)
        return True
    return False


def answer_intent(talk: Talk, heard: Heard, pending: Pending, offered: tuple[Option, ...]) -> bool:
    """An answer to `which of these do you mean?`."""
    numbers = heard.intent in (None, "affirm", "inform")
    option = heard.option or typed_option(heard.text, offered, numbers=numbers)
    intents = [option.intent for option in offered if option.intent not in (None, ASK_HUMAN)]
    if option is not None and option.intent is not None:
        route(talk, clicked(option), pending.carried)
    elif heard.intent is None and heard.candidates and heard.candidates[0] in intents:
        begin(talk, heard.candidates[0], heard, pending.carried)
    elif heard.intent == "affirm" and len(intents) == 1:
        begin(talk, str(intents[0]), heard, pending.carried)
    elif heard.intent == "deny":
        talk.misses += 1
        talk.offer_person()
    else:
        return False
    return True

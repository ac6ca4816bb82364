"""Answers to what was asked: a slot, a confirmation, a choice; and corrections of what was answered before.

Each function says whether the message was such an answer; when it was not, it is taken as something new.
"""

from services.dialogue.assistant.schema import CollectStep, ReplyStep, Slot
from services.dialogue.policy.context import Talk
from services.dialogue.policy.cues import (
    begins_with_yes,
    best_match,
    has_contrast,
    is_question,
    mentions,
    normal,
    ordinal,
)
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.state import MAX_TEXT_KEPT, Option, Pending, value_id
from services.dialogue.policy.user_input import Heard, typed_option

__all__ = [
    "answer_change",
    "answer_confirm",
    "answer_slot",
    "change",
    "correct",
    "entity_values",
    "fill",
    "new_values",
    "stop",
]

MAX_UNCLEAR = 3
CONFIRM = "?"
"""Where a frame counts unclear answers to confirmations; no slot has this name."""

SHORT = 10
"""A text of so many characters may be a place in a list even where any sentence could be the answer."""


def fill(talk: Talk, values: dict[str, str | None]) -> None:
    """Put values into slots; the one filled last stands last."""
    frame = talk.frame
    kept = {name: value for name, value in frame.slots.items() if name not in values}
    talk.update(slots={**kept, **values})
    for name, value in values.items():
        talk.mention(talk.slots[name].entity, value)


def change(talk: Talk, values: dict[str, str | None]) -> None:
    """Put other values into slots, or `None` to ask again; what was said after them may be said again."""
    frame = talk.frame
    old = {name: value for name in values if (value := frame.slots.get(name)) is not None}
    talk.update(
        slots={name: value for name, value in frame.slots.items() if name not in values},
        excluded={**frame.excluded, **old},
        memo=memo_before(talk, set(values)),
    )
    fill(talk, {name: value for name, value in values.items() if value is not None})
    talk.note(f"{frame.flow}: corrects {', '.join(sorted(values))}")


def memo_before(talk: Talk, names: set[str]) -> dict[str, str]:
    """The memo without what was said after one of the slots was collected."""
    kept: dict[str, str] = {}
    after = False
    for here, step in talk.assistant.steps[talk.frame.flow].items():
        after = after or (isinstance(step, CollectStep) and step.collect in names)
        if here in talk.frame.memo and not (after and isinstance(step, ReplyStep)):
            kept[here] = talk.frame.memo[here]
    return kept


def acceptable(slot: Slot, value: str) -> bool:
    """Whether the form of a value is right."""
    return slot.pattern is None or slot.pattern.fullmatch(value) is not None


def entity_values(slot: Slot, heard: Heard) -> tuple[str, ...]:
    """Values in the sentence that the slot could take."""
    found = heard.entities.get(slot.entity, ()) if slot.entity else ()
    return tuple(value for value in found if acceptable(slot, value))


def new_values(talk: Talk, heard: Heard, *, filled: bool) -> dict[str, str | None]:
    """The one value that the sentence has for each slot that is `filled` with another, or that is not filled yet."""
    values: dict[str, str | None] = {}
    for name, slot in talk.slots.items():
        current = talk.frame.slots.get(name)
        if (current is not None) is filled:
            found = [value for value in entity_values(slot, heard) if value != current]
            if len(found) == 1:
                values[name] = found[0]
    return values


# Slots


def answer_slot(talk: Talk, heard: Heard, name: str, offered: tuple[Option, ...]) -> bool:
    """An answer to a slot's question."""
    slot = talk.slots[name]
    if heard.option is not None:
        return choose(talk, heard, heard.option, name)
    option = picked_option(slot, heard, offered, talk.frame.others.get(name, ()))
    if option is not None and (len(heard.text) <= SHORT or not digresses(talk, slot, heard)):
        return choose(talk, heard, option, name)
    if heard.intent == "stop" and heard.sure and not slot.optional and interrupts(slot, heard):
        stop(talk)
        return True
    if corrects(talk, heard) and not could_mean(talk, slot, heard) and correct(talk, heard, last=True):
        return True
    if digresses(talk, slot, heard):
        return False
    values = entity_values(slot, heard)
    if len(values) > 1:
        ask_which(talk, name, slot, values)
        return True
    if values:
        fill(talk, {**new_values(talk, heard, filled=False), name: values[0]})
    elif slot.optional and heard.intent in ("deny", "stop"):
        fill(talk, {name: None})
    elif (slot.entity is not None or slot.text is None) and (found := new_values(talk, heard, filled=False)):
        fill(talk, found)  # something else that will be needed, given early
        talk.retrying = True
    elif plausible(slot, heard):
        fill(talk, {name: heard.text})
    elif (heard.out_of_scope and not heard.vague) or asks_for_other(talk, heard):
        return False
    else:
        miss(talk, name, slot)
        return True
    run(talk)
    return True


def picked_option(slot: Slot, heard: Heard, offered: tuple[Option, ...], others: tuple[Option, ...]) -> Option | None:
    """The suggested answer that the sentence names by its place or its words; `others` by their words only."""
    listed = [option for option in offered if option.value is not None]
    named = [option for option in listed if mentions(heard.text, option.words)]
    if len(named) == 1:
        return named[0]
    if slot.text is not None or entity_values(slot, heard):
        return typed_option(heard.text, listed, numbers=len(heard.text) <= SHORT)
    known = (*listed, *others)
    place = best_match(heard.text, [option.titles.values() for option in known])
    if place is None:
        place = ordinal(heard.text, len(listed))
    return known[place] if place is not None else None


def choose(talk: Talk, heard: Heard, option: Option, name: str) -> bool:
    """A quick reply as the answer, with what else the sentence has."""
    if option.value is not None:
        typed = [title for title in option.titles.values() if normal(title) == normal(heard.text)]
        own_words = typed[0] if typed and option.value in option.titles.values() else option.value
        fill(talk, {**new_values(talk, heard, filled=False), name: own_words})
    elif option.id == "skip" and talk.slots[name].optional:
        fill(talk, {name: None})
    else:
        return False
    run(talk)
    return True


def plausible(slot: Slot, heard: Heard) -> bool:
    """Whether the customer's own words can be the value."""
    if slot.text is None or (heard.intent == "affirm" and heard.sure):
        return False
    return slot.text.shortest <= len(heard.text) <= slot.text.longest and acceptable(slot, heard.text)


def interrupts(slot: Slot, heard: Heard) -> bool:
    """Whether the intent is one that interrupts the slot's question."""
    return slot.text is None or slot.interrupted_by == "any" or heard.intent in slot.interrupted_by


def could_mean(talk: Talk, slot: Slot, heard: Heard) -> bool:
    """Whether what sounds like a correction may be the answer: 买错了 is a reason, 不对，是另一个订单 is none."""
    if slot.text is None:
        return False
    return not heard.sure or (heard.intent in slot.takes and not named(talk, heard) and not better_values(talk, heard))


def asks_for_other(talk: Talk, heard: Heard) -> bool:
    """Whether the sentence surely asks for something that another flow or a document answers."""
    return heard.sure and heard.intent not in talk.flow.intents and talk.assistant.answers(heard.intent)


def digresses(talk: Talk, slot: Slot, heard: Heard) -> bool:
    """Whether the sentence is about something other than what was asked."""
    if heard.intent is None or heard.intent in slot.takes or not asks_for_other(talk, heard):
        return False
    if entity_values(slot, heard) and not could_use(talk, heard.intent, slot):
        return False
    return interrupts(slot, heard) or is_question(heard.text)


def could_use(talk: Talk, intent: str, slot: Slot) -> bool:
    """Whether the value in the sentence may belong to what it asks for: not in `thanks, 20261103001`."""
    flow = talk.assistant.flow_of_intent.get(intent)
    if flow is None:
        return False
    return talk.assistant.flows[flow].clears or any(
        other.entity == slot.entity for other in talk.assistant.slots[flow].values()
    )


def ask_which(talk: Talk, name: str, slot: Slot, values: tuple[str, ...]) -> None:
    """More than one value was given: which one is meant?"""
    options = tuple(
        Option(id=value_id(name, value), titles=dict.fromkeys(talk.assistant.languages, value), value=value)
        for value in values
    )
    talk.say("which_value", {"slot": dict(slot.name)}, options=options)
    talk.update(offered={**talk.frame.offered, name: options})
    talk.pending = Pending(kind="slot", name=name)


def miss(talk: Talk, name: str, slot: Slot) -> None:
    """It was no answer: ask once more, and offer a person when asking does not help."""
    tries = talk.frame.attempts.get(name, 0) + 1
    talk.update(attempts={**talk.frame.attempts, name: tries})
    talk.note(f"{talk.frame.flow}: no answer for {name}")
    if tries >= slot.attempts:
        talk.offer_person(slot=name)
        return
    talk.retrying = True
    run(talk)


# Confirmations


def answer_confirm(talk: Talk, heard: Heard, pending: Pending) -> bool:
    """An answer to `shall I?`; only a plain yes is a yes."""
    if heard.option is not None:
        if heard.option.id not in ("yes", "no"):
            return False
        settle(talk, pending, heard.option.id)
        return True
    if heard.intent == "stop" and heard.sure:
        stop(talk)
        return True
    if asks_for_other(talk, heard):
        return False
    if new_values(talk, heard, filled=True) or corrects(talk, heard) or has_contrast(heard.text):
        return correct(talk, heard) or unclear(talk, pending)
    again = talk.flow.intents if begins_with_yes(heard.text) else ()
    if heard.surely_one_of("affirm", *again):
        settle(talk, pending, "yes")
        return True
    if heard.intent == "deny" or heard.surely_one_of("deny", "stop"):
        settle(talk, pending, "no")
        return True
    return (heard.vague or not heard.out_of_scope) and unclear(talk, pending)


def settle(talk: Talk, pending: Pending, answer: str) -> None:
    """Take the answer for what was asked, and go on."""
    talk.update(memo={**talk.frame.memo, pending.name: f"{pending.mark}:{answer}"})
    talk.note(f"{talk.frame.flow}: {answer}")
    run(talk)


def unclear(talk: Talk, pending: Pending) -> bool:
    """Neither yes nor no: ask again, and offer a person when asking does not help."""
    tries = talk.frame.attempts.get(CONFIRM, 0) + 1
    talk.update(attempts={**talk.frame.attempts, CONFIRM: tries})
    if tries >= MAX_UNCLEAR:
        talk.offer_person()
        return True
    talk.say("confirm_unclear")
    run(talk)
    return True


# Corrections


def corrects(talk: Talk, heard: Heard) -> bool:
    """Whether the sentence says that something given before was wrong."""
    return (
        heard.intent == "correct"
        or (heard.intent == "deny" and bool(named(talk, heard)))
        or (heard.intent in talk.flow.intents and bool(new_values(talk, heard, filled=True)))
    )


def filled(talk: Talk) -> list[str]:
    """The slots that can be corrected, in the order in which they were filled."""
    return [name for name, value in talk.frame.slots.items() if value is not None and name in talk.slots]


def named(talk: Talk, heard: Heard) -> list[str]:
    """The filled slots that the sentence calls by name."""
    words = {name: [word for words in talk.slots[name].words.values() for word in words] for name in filled(talk)}
    return [name for name in words if mentions(heard.text, words[name])]


def correct(talk: Talk, heard: Heard, *, last: bool = False) -> bool:
    """Take back what was wrong: with the new value when the sentence has it, else by asking again.

    When it does not say what is wrong, it is what was filled `last`, or the customer is asked.
    """
    if talk.frame.committed:
        talk.say("already_submitted")
        run(talk)
        return True
    meant = named(talk, heard)
    values = better_values(talk, heard)
    if not values:
        candidates = meant or filled(talk)
        if not candidates:
            return False
        if len(candidates) > 1 and not meant and not last:
            ask_what_to_change(talk, candidates)
            return True
        values = {candidates[-1]: None}
        talk.update(heard=heard.text[:MAX_TEXT_KEPT])  # it may still name one of the answers to be suggested
    change(talk, values)
    fill(talk, new_values(talk, heard, filled=False) if all(values.values()) else {})
    talk.say("corrected")
    run(talk)
    return True


def better_values(talk: Talk, heard: Heard) -> dict[str, str | None]:
    """What the sentence has instead of what was given before."""
    return new_values(talk, heard, filled=True) or other_option(talk, heard, named(talk, heard) or filled(talk))


def other_option(talk: Talk, heard: Heard, names: list[str]) -> dict[str, str | None]:
    """Another of the answers that were suggested: `no, the second one`."""
    for name in reversed(names):
        offered, others = talk.frame.offered.get(name, ()), talk.frame.others.get(name, ())
        option = picked_option(talk.slots[name], heard, offered, others)
        if option is not None and option.value != talk.frame.slots[name]:
            return {name: option.value}
    return {}


def ask_what_to_change(talk: Talk, names: list[str]) -> None:
    """More than one thing was given: which one is wrong?"""
    options = tuple(Option(id=f"slot:{name}", titles=dict(talk.slots[name].name)) for name in names)
    talk.say("which_to_change", options=options)
    talk.pending = Pending(kind="change")


def answer_change(talk: Talk, heard: Heard, offered: tuple[Option, ...]) -> bool:
    """An answer to `what is wrong?`."""
    option = heard.option or typed_option(heard.text, offered, numbers=True)
    name = option.id.removeprefix("slot:") if option is not None else ""
    if name in filled(talk):
        change(talk, {name: None})
        run(talk)
        return True
    if heard.option is None and (named(talk, heard) or new_values(talk, heard, filled=True)):
        return correct(talk, heard)
    if heard.intent in ("affirm", "deny"):
        run(talk)
        return True
    return False


def stop(talk: Talk) -> None:
    """Give up what is under way, and go back to what it had interrupted."""
    if talk.frame.committed:
        talk.say("acknowledged")
    else:
        talk.say("stopped", {"flow": talk.title(talk.frame.flow)})
    talk.pop("stopped")
    talk.finished = None
    if talk.frames:
        talk.say("resume", {"flow": talk.title(talk.frame.flow)})
        run(talk)

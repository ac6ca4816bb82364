"""Answers to a slot's question.

`answer_slot` says whether the message was one; a message that was not begins something new.
"""

import re

from services.dialogue.assistant.schema import Slot
from services.dialogue.assistant.values import MAX_OPTIONS, QuickReply, value_id
from services.dialogue.policy.answers import Meaning, read_answer
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.corrections import better_values, correct, corrects
from services.dialogue.policy.cues import (
    asks_for_something,
    gives_up,
    is_question,
    normal,
    normal_title,
    points,
    says_only,
)
from services.dialogue.policy.interpreter import run, stop
from services.dialogue.policy.routing import asks_for_other
from services.dialogue.policy.slots import (
    SHORT,
    entity_values,
    fill,
    in_own_words,
    named,
    new_values,
    picked_option,
    refused_options,
    several_options,
)
from services.dialogue.policy.state import Pending
from services.dialogue.policy.user_input import UserInput
from shared.nlu.reading import plain

__all__ = ["answer_slot"]

SAID = r"\s*(?:就?[写填用开是]|写成|应该是|:|is\b|should be\b)+\s*"
ENOUGH = r"(?:就行|就好|就可以|即可)?[了吧啊。.!\s]*"


def answer_slot(context: TurnContext, user_input: UserInput, name: str, offered: tuple[QuickReply, ...]) -> bool:
    """An answer to a slot's question."""
    slot = context.slots[name]
    if user_input.option is not None:
        return choose(context, user_input, user_input.option, name)
    option = picked_option(slot, user_input, offered, context.frame.others.get(name, ()))
    if option is not None and (len(user_input.text) <= SHORT or not digresses(context, slot, user_input)):
        return choose(context, user_input, option, name)
    if slot.text is None and len(offered) == 1 and (read_answer(user_input.text).plain_yes or points(user_input.text)):
        return choose(context, user_input, offered[0], name)
    if refuse(context, user_input, name, slot, offered):
        return True
    several = several_options(slot, user_input, offered, context.frame.others.get(name, ()))
    if several and not digresses(context, slot, user_input):
        ask_which(context, name, slot, several)
        return True
    if own := own_correction(context, user_input, slot):
        fill(context, {**new_values(context, user_input, filled=False), name: own})
        run(context)
        return True
    if user_input.intent == "stop" and user_input.sure and not slot.optional and interrupts(slot, user_input):
        stop(context)
        return True
    if slot.text is not None and restates(context, user_input):
        return correct(context, user_input)
    if slot.text is not None and (given := given_early(context, user_input, name)):
        fill(context, given)
        run(context)
        return True
    if (
        corrects(context, user_input)
        and not could_mean(context, slot, user_input)
        and correct(context, user_input, last=True)
    ):
        return True
    if digresses(context, slot, user_input):
        return False
    values = entity_values(slot, user_input)
    if len(values) > 1:
        ask_which(context, name, slot, values)
        return True
    if values:
        fill(context, {**new_values(context, user_input, filled=False), name: values[0]})
    elif slot.optional and user_input.intent in ("deny", "stop"):
        fill(context, {name: None})
    elif (slot.entity is not None or slot.text is None) and (found := new_values(context, user_input, filled=False)):
        fill(context, found)  # something else that will be needed, given early
        context.retrying = True
    elif answer := plausible(slot, user_input):
        fill(context, {name: answer})
    elif (user_input.out_of_scope and not user_input.vague) or asks_for_other(context, user_input):
        return False
    else:
        miss(context, name, slot)
        return True
    run(context)
    return True


def refuse(context: TurnContext, user_input: UserInput, name: str, slot: Slot, offered: tuple[QuickReply, ...]) -> bool:
    """It says only what it is not: that is no longer suggested, and the question is asked again."""
    values = refused_options(slot, user_input, offered, context.frame.others.get(name, ()))
    said_otherwise = bool(entity_values(slot, user_input)) or (slot.text is not None and user_input.restated != "")
    if not values or said_otherwise:
        return False
    known = context.frame.refused.get(name, ())
    context.update(refused={**context.frame.refused, name: tuple(dict.fromkeys((*known, *values)))[-MAX_OPTIONS:]})
    context.note(f"{context.frame.flow}: not {len(values)} of {name}")
    run(context)
    return True


def own_correction(context: TurnContext, user_input: UserInput, slot: Slot) -> str | None:
    """The value that a correction has for the very slot that is asked: 不是上海，是杭州市西湖区文三路478号."""
    said = user_input.restated
    if not said or gives_up(said):
        return None
    values = entity_values(slot, user_input)
    if len(values) == 1:
        return values[0]
    if values or named(context, user_input) or better_values(context, user_input) or slot.text is None:
        return None
    # 不对，是另一个订单 says nothing about a reason; 不是质量问题，是尺码不对 does.
    begins = bool(user_input.rejected) and user_input.text.startswith(user_input.rejected[0])
    return None if slot.entity is None and not begins else in_own_words(slot, user_input, said)


def restates(context: TurnContext, user_input: UserInput) -> bool:
    """Whether all that is said is another value for what was given before: 算了还是20261103003, asked for a reason."""
    values = [value for value in new_values(context, user_input, filled=True).values() if value]
    return len(values) == 1 and says_only(user_input.meant, plain(values[0]))


def given_early(context: TurnContext, user_input: UserInput, name: str) -> dict[str, str | None]:
    """All that is said, where it is a value for something other than what is asked: an order's number, asked what
    a complaint is about.
    """
    values = new_values(context, user_input, filled=False)
    found = [value for slot, value in values.items() if slot != name and value]
    return values if len(values) == len(found) == 1 and says_only(user_input.meant, plain(found[0])) else {}


def choose(context: TurnContext, user_input: UserInput, option: QuickReply, name: str) -> bool:
    """A quick reply as the answer, with what else the sentence has."""
    slot = context.slots[name]
    if asked := asks_further(slot, name, option):
        fill(context, new_values(context, user_input, filled=False))
        context.say(asked, context.frame.slots)
        context.pending = Pending(kind="slot", name=name)
        return True
    if option.value is not None:
        typed = [title for title in option.titles.values() if normal_title(title) == normal(user_input.text)]
        title_counts = option.value in option.titles.values() and not has_value(slot, option.value)
        own_words = typed[0] if typed and title_counts else option.value
        fill(context, {**new_values(context, user_input, filled=False), name: own_words})
    elif option.id == "skip" and slot.optional:
        fill(context, {name: None})
    else:
        return False
    run(context)
    return True


def asks_further(slot: Slot, name: str, option: QuickReply) -> str | None:
    """The reply that asks for the rest, where the option is no value yet: a company, but which?"""
    options = slot.options if isinstance(slot.options, list) else []
    return next((each.ask for index, each in enumerate(options) if option.id == f"value:{name}:{index}"), None)


def has_value(slot: Slot, value: str) -> bool:
    """Whether the file states the value of one of its options, so that its title is not the value: Personal is 个人."""
    return isinstance(slot.options, list) and any(option.value == value for option in slot.options)


def plausible(slot: Slot, user_input: UserInput) -> str | None:
    """What the customer says, where it can be the value."""
    said = read_answer(user_input.text)
    if slot.text is None or (said.plain and said.meaning is Meaning.YES):
        return None
    return in_own_words(slot, user_input, named_value(slot, user_input.text) or user_input.text)


def named_value(slot: Slot, text: str) -> str:
    """What is said of the slot by its name, where the sentence begins with that: 抬头写李雷就行."""
    for word in (word for words in slot.words.values() for word in words):
        match = re.match(rf"(?:我的|(?:the|my)\s+)?{re.escape(word)}{SAID}(.+?){ENOUGH}$", text, re.IGNORECASE)
        if match is not None:
            return match.group(1)
    return ""


def interrupts(slot: Slot, user_input: UserInput) -> bool:
    """Whether the intent is one that interrupts the slot's question."""
    return slot.text is None or slot.interrupted_by == "any" or user_input.intent in slot.interrupted_by


def could_mean(context: TurnContext, slot: Slot, user_input: UserInput) -> bool:
    """Whether what sounds like a correction may be the answer: 买错了 is a reason, 不对，是另一个订单 is none."""
    if slot.text is None:
        return False
    return not user_input.sure or (
        user_input.intent in slot.takes and not named(context, user_input) and not better_values(context, user_input)
    )


def digresses(context: TurnContext, slot: Slot, user_input: UserInput) -> bool:
    """Whether the sentence is about something other than what was asked."""
    if user_input.intent is None or user_input.intent in slot.takes or not asks_for_other(context, user_input):
        return False
    if entity_values(slot, user_input) and not could_use(context, user_input.intent, slot):
        return False
    return interrupts(slot, user_input) or is_question(user_input.text) or asks_for_something(user_input.text)


def could_use(context: TurnContext, intent: str, slot: Slot) -> bool:
    """Whether the value in the sentence may belong to what it asks for: not in `thanks, 20261103001`."""
    flow = context.assistant.flow_of_intent.get(intent)
    if flow is None:
        return False
    return context.assistant.flows[flow].clears or any(
        other.entity == slot.entity for other in context.assistant.slots[flow].values()
    )


def ask_which(context: TurnContext, name: str, slot: Slot, values: tuple[str, ...]) -> None:
    """More than one value was given: which one is meant?"""
    shown = (*context.frame.offered.get(name, ()), *context.frame.others.get(name, ()))
    known = {option.value: option for option in shown}
    options = tuple(
        known.get(value)
        or QuickReply(id=value_id(name, value), titles=dict.fromkeys(context.assistant.languages, value), value=value)
        for value in values
    )
    context.say("which_value", {"slot": dict(slot.name)}, options=options)
    context.update(offered={**context.frame.offered, name: options})
    context.pending = Pending(kind="slot", name=name)


def miss(context: TurnContext, name: str, slot: Slot) -> None:
    """It was no answer: ask once more, and offer a person when asking does not help."""
    tries = context.frame.attempts.get(name, 0) + 1
    context.update(attempts={**context.frame.attempts, name: tries})
    context.note(f"{context.frame.flow}: no answer for {name}")
    if tries >= slot.attempts:
        context.offer_person(slot=name)
        return
    context.retrying = True
    run(context)

"""Corrections: what was given before was wrong."""

import re
from collections.abc import Iterable

from services.dialogue.assistant.values import MAX_TEXT_KEPT, QuickReply
from services.dialogue.policy.answers import Meaning, read_answer
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.cues import normal
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.slots import change, fill, filled, in_own_words, named, new_values, picked_option
from services.dialogue.policy.state import Pending
from services.dialogue.policy.user_input import UserInput, typed_option
from shared.nlu.reading import plain

__all__ = ["answer_change", "better_values", "correct", "corrects"]


IS = (
    r"s?\s*(?:[写弄搞填]?错了|不对|is wrong)?[，,。.\s]*(?:应该是|应当是|应该|改成|改为|改到|换成|换为|写成|就?是|:"
    r"|should be|is that|is|to)\s*"
)
"""Between what something is called and what it should be."""


def corrects(context: TurnContext, user_input: UserInput) -> bool:
    """Whether the sentence says that something given before was wrong."""
    return (
        user_input.intent == "correct"
        or (user_input.intent == "deny" and bool(named(context, user_input)))
        or (user_input.intent in context.flow.intents and bool(new_values(context, user_input, filled=True)))
    )


def correct(context: TurnContext, user_input: UserInput, *, last: bool = False) -> bool:
    """Take back what was wrong: with the new value when the sentence has it, else by asking again.

    When it does not say what is wrong, it is what was filled `last`, or the customer is asked.
    """
    if context.frame.committed:
        context.say("already_submitted")
        run(context)
        return True
    meant = named(context, user_input)
    values = better_values(context, user_input)
    if not values:
        candidates = meant or filled(context)
        if not candidates:
            return False
        if len(candidates) > 1 and not meant and not last:
            ask_what_to_change(context, candidates)
            return True
        values = {candidates[-1]: None}
        context.update(heard=user_input.meant[:MAX_TEXT_KEPT])  # it may still name one of the answers to be suggested
    change(context, values)
    fill(context, new_values(context, user_input, filled=False) if all(values.values()) else {})
    context.say("corrected")
    run(context)
    return True


def better_values(context: TurnContext, user_input: UserInput) -> dict[str, str | None]:
    """What the sentence has instead of what was given before."""
    return (
        new_values(context, user_input, filled=True)
        or stated(context, user_input)
        or other_option(context, user_input, named(context, user_input) or filled(context))
    )


def stated(context: TurnContext, user_input: UserInput) -> dict[str, str | None]:
    """Other words for what takes any: 不是质量问题，是尺码不对, 原因改成不想要了, `the reason is its size`."""
    for name in reversed(filled(context)):
        slot, value = context.slots[name], context.frame.slots[name]
        if slot.text is None or value is None:
            continue
        instead = any(normal(plain(value)) in normal(part) for part in user_input.rejected)
        said = (
            user_input.restated if instead else said_of((w for ws in slot.words.values() for w in ws), user_input.meant)
        )
        answer = read_answer(said)
        empty = not said or (answer.plain and answer.meaning is not Meaning.NO)  # the reason is wrong
        better = None if empty else in_own_words(slot, user_input, said)
        if better is not None and better != value:
            return {name: better}
    return {}


def said_of(words: Iterable[str], text: str) -> str:
    """What the sentence says that something called by one of the words is."""
    for word in words:
        match = re.search(rf"{re.escape(word)}{IS}(.+)$", text, re.IGNORECASE)
        if match is not None:
            return match.group(1).strip(" 。.!,")
    return ""


def other_option(context: TurnContext, user_input: UserInput, names: list[str]) -> dict[str, str | None]:
    """Another of the answers that were suggested: `no, the second one`."""
    for name in reversed(names):
        offered, others = context.frame.offered.get(name, ()), context.frame.others.get(name, ())
        option = picked_option(context.slots[name], user_input, offered, others)
        if option is not None and option.value != context.frame.slots[name]:
            return {name: option.value}
    return {}


def ask_what_to_change(context: TurnContext, names: list[str]) -> None:
    """More than one thing was given: which one is wrong?"""
    options = tuple(QuickReply(id=f"slot:{name}", titles=dict(context.slots[name].name)) for name in names)
    context.say("which_to_change", options=options)
    context.pending = Pending(kind="change")


def answer_change(context: TurnContext, user_input: UserInput, offered: tuple[QuickReply, ...]) -> bool:
    """An answer to `what is wrong?`."""
    option = user_input.option or typed_option(user_input.text, offered, numbers=True)
    name = option.id.removeprefix("slot:") if option is not None else ""
    if name in filled(context):
        change(context, {name: None})
        run(context)
        return True
    if user_input.option is None and (named(context, user_input) or new_values(context, user_input, filled=True)):
        return correct(context, user_input)
    if user_input.intent in ("affirm", "deny"):
        run(context)
        return True
    return False

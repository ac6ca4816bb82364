"""Confirmations: a yes or a no to `shall I?`."""

from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.corrections import correct, corrects
from services.dialogue.policy.cues import begins_with_yes, has_contrast
from services.dialogue.policy.interpreter import run, stop
from services.dialogue.policy.routing import asks_for_other
from services.dialogue.policy.slots import new_values
from services.dialogue.policy.state import Pending
from services.dialogue.policy.user_input import UserInput

__all__ = ["answer_confirm"]

MAX_UNCLEAR = 3
CONFIRM = "?"
"""Where a frame counts unclear answers to confirmations; no slot has this name."""


def answer_confirm(context: TurnContext, user_input: UserInput, pending: Pending) -> bool:
    """An answer to `shall I?`; only a plain yes is a yes."""
    if user_input.option is not None:
        if user_input.option.id not in ("yes", "no"):
            return False
        settle(context, pending, user_input.option.id)
        return True
    if user_input.intent == "stop" and user_input.sure:
        stop(context)
        return True
    if asks_for_other(context, user_input):
        return False
    if new_values(context, user_input, filled=True) or corrects(context, user_input) or has_contrast(user_input.text):
        return correct(context, user_input) or unclear(context, pending)
    again = context.flow.intents if begins_with_yes(user_input.text) else ()
    if user_input.surely_one_of("affirm", *again):
        settle(context, pending, "yes")
        return True
    if user_input.intent == "deny" or user_input.surely_one_of("deny", "stop"):
        settle(context, pending, "no")
        return True
    return (user_input.vague or not user_input.out_of_scope) and unclear(context, pending)


def settle(context: TurnContext, pending: Pending, answer: str) -> None:
    """Store the answer for exactly what was asked, and run on."""
    context.update(memo={**context.frame.memo, pending.name: f"{pending.mark}:{answer}"})
    context.note(f"{context.frame.flow}: {answer}")
    run(context)


def unclear(context: TurnContext, pending: Pending) -> bool:
    """Neither yes nor no: ask again, and offer a person when asking does not help."""
    tries = context.frame.attempts.get(CONFIRM, 0) + 1
    context.update(attempts={**context.frame.attempts, CONFIRM: tries})
    if tries >= MAX_UNCLEAR:
        context.offer_person()
        return True
    context.say("confirm_unclear")
    run(context)
    return True

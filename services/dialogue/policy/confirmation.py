"""Confirmations: a yes or a no to `shall I?`, from words first and from probability only where words leave room."""

from services.dialogue.assistant.schema import CallStep, Flow
from services.dialogue.assistant.values import QuickReply
from services.dialogue.policy.answers import Answer, Meaning, read_answer
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.corrections import better_values, correct, corrects
from services.dialogue.policy.cues import mentions
from services.dialogue.policy.interpreter import run, stop
from services.dialogue.policy.routing import asks_for_other
from services.dialogue.policy.slots import new_values
from services.dialogue.policy.state import Pending
from services.dialogue.policy.user_input import UserInput
from services.dialogue.policy.wording import denied_flow

__all__ = ["answer_confirm", "answer_in_words"]

MAX_UNCLEAR = 3
CONFIRM = "?"
"""Where a frame counts unclear answers to confirmations; no slot has this name."""
AGREES = frozenset(("yes", "retry"))
REFUSES = frozenset(("no",))


def answer_in_words(context: TurnContext, user_input: UserInput, offered: tuple[QuickReply, ...]) -> Answer:
    """What the customer's words say to a question that is answered by yes or no; a click says nothing here."""
    key = (user_input.text, len(context.frames), tuple(option.id for option in offered))
    if key not in context.answers:
        context.answers[key] = read_answer(
            user_input.text,
            yes=[title for option in offered if option.id in AGREES for title in option.titles.values()],
            no=[title for option in offered if option.id in REFUSES for title in option.titles.values()],
            shown=[value for value in context.frame.slots.values() if value] if context.frames else [],
            about=[word for name in flows_here(context) for word in context.assistant.flows[name].called],
        )
    return context.answers[key]


def answer_confirm(
    context: TurnContext, user_input: UserInput, pending: Pending, offered: tuple[QuickReply, ...]
) -> bool:
    """An answer to `shall I?`; only what a person would take for a yes is a yes."""
    if user_input.option is not None and not user_input.text:
        if user_input.option.id not in ("yes", "no"):
            return False
        settle(context, pending, user_input.option.id)
        return True
    answer = answer_in_words(context, user_input, offered)
    if answer.plain_yes:
        settle(context, pending, "yes")
        return True
    if user_input.intent == "stop" and user_input.sure and answer.meaning in (Meaning.NO, Meaning.OTHER):
        stop(context)
        return True
    if answer.plain_no:
        settle(context, pending, "no")
        return True
    if asks_for_other(context, user_input):
        return False
    values = new_values(context, user_input, filled=True)
    if values and (other := names_other(context, user_input)) is not None:
        return user_input.intent not in other.intents and unclear(context, pending)
    if (
        values
        or corrects(context, user_input)
        or answer.meaning is Meaning.CHANGE
        or (user_input.restated and better_values(context, user_input))
    ):
        return correct(context, user_input) or unclear(context, pending)
    if agrees(context, user_input, answer):
        settle(context, pending, "yes")
        return True
    denied = user_input.intent == "deny" or user_input.surely_one_of("deny", "stop") or denies_this(context, user_input)
    if answer.meaning is Meaning.NO or (denied and answer.meaning is Meaning.OTHER):
        settle(context, pending, "no")
        return True
    return (user_input.vague or not user_input.out_of_scope) and unclear(context, pending)


def agrees(context: TurnContext, user_input: UserInput, answer: Answer) -> bool:
    """Whether a yes that goes on is one: it goes on about nothing else, and a model is sure of it.

    好的，取消吧 agrees to no refund, and `ok I will confirm tomorrow` does not yet.
    """
    sure = user_input.surely_one_of("affirm", *context.flow.intents)
    return answer.meaning is Meaning.YES and answer.to_the_point and sure


def names_other(context: TurnContext, user_input: UserInput) -> Flow | None:
    """Something else that the sentence calls by its name: `yes, and cancel 20261103002`, asked about a refund."""
    here = flows_here(context)
    others = (flow for name, flow in context.assistant.flows.items() if name not in here)
    return next((flow for flow in others if mentions(user_input.text, flow.called)), None)


def denies_this(context: TurnContext, user_input: UserInput) -> bool:
    """Whether the sentence says that what is asked about is not wanted: 我不退了."""
    denied = denied_flow(context, user_input.text)
    return denied is not None and denied.flow in flows_here(context)


def flows_here(context: TurnContext) -> set[str]:
    """The flow that is under way, with those that it calls."""
    if not context.frames:
        return set()
    steps = context.assistant.steps[context.frame.flow].values()
    return {context.frame.flow, *(step.call for step in steps if isinstance(step, CallStep))}


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

"""Requests that words alone make clear, where a model may not know them: what an assistant's `words` and `phrases` say.

审核了吗 asks for the state of a request, 别取消 asks for nothing, 不退了 after a refund was submitted wants it back.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from services.dialogue.assistant.schema import ActionStep, Flow
from services.dialogue.assistant.validation import WITHDRAW
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.cues import NEGATION
from services.dialogue.policy.negation import denies
from services.dialogue.policy.user_input import UserInput
from shared.nlu.reading import plain

__all__ = ["denied_flow", "in_words"]

LONGEST = 60
"""Of a sentence, in characters, that a phrase is looked for in; a longer one tells a story."""
STOPS = re.compile(r"\bstop\b", re.IGNORECASE)
GAP = ".{0,12}?"


def in_words(context: TurnContext, user_input: UserInput, *, confirming: bool) -> UserInput:
    """The input with the intent that its words make clear, if they do; `confirming`, a no is an answer and no stop."""
    if user_input.option is not None or not user_input.text:
        return user_input
    denied = denied_flow(context, user_input.text)
    named = named_flow(context, user_input.text)
    if denied is not None and context.frames and context.frame.flow == denied.flow and not context.frame.committed:
        return user_input if confirming or asks_otherwise(context, user_input, denied) else meaning(user_input, "stop")
    if denied is not None and context.last_submitted(denied.flow) is not None and context.assistant.answers(WITHDRAW):
        return meaning(user_input, WITHDRAW)
    if named is None:
        return user_input
    if WITHDRAW in named.intents and context.last_open() is None and has_effect(context):
        return meaning(user_input, "stop")
    return meaning(user_input, named.intents[0])


def asks_otherwise(context: TurnContext, user_input: UserInput, denied: Flow) -> bool:
    """Whether the sentence surely asks for something besides what it denies: 不退了，我的包裹在哪."""
    intent = user_input.intent
    if intent is None or not user_input.sure or intent in denied.intents:
        return False
    return context.assistant.title_of(intent) is not None  # without a title it is small talk


def denied_flow(context: TurnContext, text: str) -> Flow | None:
    """The flow that the sentence says is not wanted."""
    if NEGATION.search(text) is None and STOPS.search(text) is None:
        return None
    flows = context.assistant.flows.values()
    return next((flow for flow in flows if flow.words and denies(text, every(flow.words.values()))), None)


def named_flow(context: TurnContext, text: str) -> Flow | None:
    """The flow that one of its phrases begins; some do only while something that was submitted stands."""
    if len(text) > LONGEST:
        return None
    standing = context.last_submitted() is not None
    for flow in context.assistant.flows.values():
        for phrases in (*flow.phrases.values(), *(flow.follow_ups.values() if standing else ())):
            if any_of(tuple(phrases)).search(text):
                return flow
    return None


def has_effect(context: TurnContext) -> bool:
    """Whether the flow that is under way leads to an action that was not requested yet."""
    if not context.frames or context.frame.committed:
        return False
    steps = context.assistant.steps[context.frame.flow].values()
    return any(isinstance(step, ActionStep) for step in steps)


def meaning(user_input: UserInput, intent: str) -> UserInput:
    """The input with an intent that is certain."""
    return replace(user_input, intent=intent, confidence=1.0, out_of_scope=False, vague=False)


def every(lists: Iterable[list[str]]) -> tuple[str, ...]:
    """The words of all languages."""
    return tuple(word for words in lists for word in words)


@lru_cache(maxsize=256)
def any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all of the phrases."""
    return re.compile("|".join(map(pattern_of, phrases)), re.IGNORECASE)


def pattern_of(phrase: str) -> str:
    """A phrase as a pattern; … stands for a few other characters, and Latin words are words of their own."""
    parts = (r"\s+".join(map(re.escape, plain(part).split())) for part in phrase.split("…"))
    edge = r"(?<![a-z0-9])" if phrase[:1].isascii() else ""
    end = r"(?![a-z0-9])" if phrase[-1:].isascii() else ""
    return edge + GAP.join(parts) + end

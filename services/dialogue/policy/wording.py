"""Requests that words alone make clear, where a model may not know them: what an assistant's `words` and `phrases` say.

审核了吗 asks for the state of a request, 别取消 asks for nothing, 不退了 after a refund was submitted wants it back.
"""

import re
from dataclasses import replace

from services.dialogue.assistant.schema import ActionStep, Flow
from services.dialogue.assistant.validation import WITHDRAW
from services.dialogue.policy.answers import Meaning, read_answer
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.cues import CJK_CHARACTER, NEGATION, is_question
from services.dialogue.policy.negation import denies
from services.dialogue.policy.user_input import UserInput

__all__ = ["denied_flow", "in_words", "wanted_instead"]

LONGEST = 60
"""Of a sentence, in characters, that a phrase is looked for in; a longer one tells a story."""
LEAST_NAME, LEAST_CLEAR_NAME = 2, 3
"""Characters of a name in Chinese: 退 begins many words, and 取消 alone may mean the question itself."""
LONGEST_OBJECT, MOST_WORDS = 10, 2
"""Of what a request by name is about, where no model knows it: no more characters, or no more English words."""
GIVES_UP_FOR = re.compile(
    r"\W*(算了|不[弄办退取消改要用开]{1,2}了|还是|不了|(never ?mind|forget (it|that)|leave it|actually)\b)"
    r"[，,。.!;；\s]*",
    re.IGNORECASE,
)
LEAD = re.compile(
    r"(还是|那|就|先|请|麻烦|帮我|给我|替我|我要|我想要?|把|吧|[，,\s]"
    r"|(please|just|i want to|i'd like to|i need to|can you|let's|to|instead|rather|actually)\b)*",
    re.IGNORECASE,
)
AFTER = re.compile(r"[\s\W]|[了吧啊呀呢嘛哈的]|一下|谢谢|\b(please|instead|thanks|then|it|that|now)\b", re.IGNORECASE)
"""What may follow a name and says nothing of what it is about."""
THANKS = re.compile(r"[🙏❤🌹💐🥰😊👏\s!。.~]+")
STOPS = re.compile(r"\bstop\b", re.IGNORECASE)


def in_words(context: TurnContext, user_input: UserInput, *, confirming: bool) -> UserInput:
    """The input with the intent that its words make clear, if they do; `confirming`, a no is an answer and no stop."""
    if user_input.option is not None or not user_input.text:
        return user_input
    instead = wanted_instead(context, user_input.text)
    if instead is not None:
        return meaning(user_input, instead.intents[0])
    denied = denied_flow(context, user_input.text)
    named = named_flow(context, user_input.text)
    if denied is not None and context.frames and context.frame.flow == denied.flow and not context.frame.committed:
        return user_input if confirming or asks_otherwise(context, user_input, denied) else meaning(user_input, "stop")
    if denied is not None and context.last_submitted(denied.flow) is not None and context.assistant.answers(WITHDRAW):
        return meaning(user_input, WITHDRAW)
    if named is None:
        return user_input if user_input.intent is not None else where_no_model_knows(context, user_input)
    if WITHDRAW in named.intents and context.last_open() is None and has_effect(context):
        return meaning(user_input, "stop")
    return meaning(user_input, named.intents[0])


def where_no_model_knows(context: TurnContext, user_input: UserInput) -> UserInput:
    """The input with what its words say where a model is not sure of anything: 取消保温杯, 👍."""
    if user_input.out_of_scope and not any(map(str.isalnum, user_input.text)):
        answer = read_answer(user_input.text)
        if answer.plain_yes or THANKS.fullmatch(user_input.text):
            thanks = not context.frames and context.assistant.answers("thank")
            return meaning(user_input, "thank" if thanks else "affirm")
        if answer.plain and answer.meaning is Meaning.NO:
            return meaning(user_input, "deny")
    begun = None if context.frames else called(context, user_input.text, objects=True)
    return user_input if begun is None else meaning(user_input, begun.intents[0])


def wanted_instead(context: TurnContext, text: str) -> Flow | None:
    """Another flow that is asked for in place of what is under way: 算了，改地址吧, 不取消了，改地址."""
    match = GIVES_UP_FOR.match(text) if context.frames and len(text) <= LONGEST else None
    found = called(context, text[match.end() :], objects=False) if match is not None else None
    return None if found is None or found.flow == context.frame.flow else found


def called(context: TurnContext, text: str, *, objects: bool) -> Flow | None:
    """The flow by whose name the text begins; with `objects`, and where the name is short, it has to say of what."""
    if len(text) > LONGEST or is_question(text):
        return None
    rest = LEAD.sub("", text, count=1)
    folded = rest.casefold()
    for flow in context.assistant.flows.values():
        for word in flow.called:
            if folded.startswith(word.casefold()) and asks_for(word, rest[len(word) :], objects=objects):
                return flow
    return None


def asks_for(word: str, after: str, *, objects: bool) -> bool:
    """Whether a sentence that begins with the name of a flow and goes on like this asks for it."""
    if CJK_CHARACTER.search(word):
        clear, brief = len(word) >= LEAST_CLEAR_NAME, len(after) <= LONGEST_OBJECT
    elif after[:1].isalnum():
        return False
    else:
        clear, brief = " " in word, len(after.split()) <= MOST_WORDS
    if len(word) < LEAST_NAME or (objects and not brief):
        return False
    return (clear and not objects) or AFTER.sub("", after) != ""


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
    return next((flow for flow in flows if flow.words and denies(text, flow.called)), None)


def named_flow(context: TurnContext, text: str) -> Flow | None:
    """The flow that one of its phrases begins; some do only while something that was submitted stands."""
    if len(text) > LONGEST:
        return None
    standing = context.last_submitted() is not None
    folded = text.casefold()
    for flow in context.assistant.flows.values():
        for pattern in (flow.begun_by, flow.followed_up_by if standing else None):
            if pattern is not None and pattern.search(folded):
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

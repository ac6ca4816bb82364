"""What a turn decides: a pure function of the assistant, the conversation's state and an event.

A message is first tried as an answer to the pending question. If it is none, it starts a flow on top of the current
one; when that flow ends, the conversation returns to the one below. Nothing here does I/O, reads a clock or raises.
"""

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.validation import ASK_HUMAN
from services.dialogue.assistant.values import QuickReply
from services.dialogue.policy.answers import Meaning
from services.dialogue.policy.business_events import action_finished, looked_up, lookup_failed
from services.dialogue.policy.confirmation import answer_confirm, answer_in_words
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.corrections import answer_change
from services.dialogue.policy.cues import asks_to_repeat, gives_up, hesitates, language_of
from services.dialogue.policy.decision import (
    ActionFinished,
    Chosen,
    Decision,
    LookedUp,
    LookupFailed,
    Opened,
    SessionExpired,
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.expiry import session_expired, tell_of_expiry
from services.dialogue.policy.interpreter import run, stop
from services.dialogue.policy.releases import go_on
from services.dialogue.policy.routing import begin, intent_option, resume, route
from services.dialogue.policy.slot_filling import answer_slot
from services.dialogue.policy.state import Pending, State
from services.dialogue.policy.user_input import UserInput, typed_option, user_input_of
from services.dialogue.policy.wording import denied_flow, in_words, wanted_instead
from shared.contracts.understanding import Understanding
from shared.nlu.reading import plain, read

__all__ = ["decide"]

YES_OR_NO = frozenset(("confirm", "person", "retry"))
"""Kinds of questions that are answered by yes or no."""


def decide(assistant: Assistant, state: State, event: TurnEvent) -> Decision:
    """The next decision of a conversation; deterministic: equal inputs give equal decisions."""
    context = TurnContext(assistant, state)
    if isinstance(event, Understood | Chosen | UnderstandingUnavailable):
        tell_of_expiry(context)
        if go_on(context, event):
            return context.decision()
    match event:
        case Opened():
            if event.language in assistant.languages:
                context.language = event.language
            context.say("welcome")
        case Understood():
            understood(context, event.understanding)
        case Chosen():
            chosen(context, event.choice)
        case UnderstandingUnavailable():
            not_understood(context, event.text)
        case LookedUp():
            looked_up(context, event)
        case LookupFailed():
            lookup_failed(context, event)
        case ActionFinished():
            action_finished(context, event)
        case SessionExpired():
            session_expired(context)
    return context.decision()


def understood(context: TurnContext, understanding: Understanding) -> None:
    """Handle a message that the model has understood."""
    reading = read(understanding.text)
    option = typed_option(reading.text, context.options, numbers=False)
    user_input = user_input_of(context.assistant, understanding, option, reading)
    if not (user_input.intent == "inform" and names_something(context)):
        follow_language(context, without_entities(understanding))
    if option is not None and option.intent is not None:
        user_input = clicked(option)
    context.note(f"understood {understanding.intent.name} {understanding.intent.confidence:.2f}")
    handle_message(context, user_input)


def names_something(context: TurnContext) -> bool:
    """Whether the customer was asked for a name or an address, which may be in any language."""
    if context.pending is None or context.pending.kind != "slot" or not context.frames:
        return False
    slot = context.slots.get(context.pending.name)
    return slot is not None and slot.text is not None and slot.entity is not None


def clicked(option: QuickReply) -> UserInput:
    """The input that a click on the quick reply stands for."""
    return UserInput(text="", intent=option.intent, confidence=1.0, option=option)


def follow_language(context: TurnContext, text: str) -> None:
    """Switch to the message's language, if it clearly has one."""
    language = language_of(text, certain=context.turn > 0 and context.language is not None)
    if language in context.assistant.languages:
        context.language = language


def without_entities(understanding: Understanding) -> str:
    """The sentence without numbers, names and addresses: they have no language."""
    text, end = "", 0
    for entity in sorted(understanding.entities, key=lambda entity: entity.start):
        text += understanding.text[end : max(end, entity.start)] + " "
        end = max(end, entity.end)
    return plain(text + understanding.text[end:])


def chosen(context: TurnContext, choice: str) -> None:
    """Handle a click on a quick reply, which may no longer be on offer."""
    offered = list(context.options)
    if context.pending is not None and context.frames:
        offered += context.frame.offered.get(context.pending.name, ())
    option = next((option for option in offered if option.id == choice), None)
    intent = choice.removeprefix("intent:")
    if option is None and choice != intent and (intent == "stop" or context.assistant.answers(intent)):
        option = intent_option(context, intent)
    if option is not None:
        context.note(f"chose {option.id.split(':')[0]}")
        handle_message(context, clicked(option))
        return
    context.turn += 1
    context.note("chose what is no longer offered")
    context.say("choice_expired")
    if context.frames:
        run(context)


def not_understood(context: TurnContext, text: str) -> None:
    """Handle a message without a model: a typed-out quick reply still counts, anything else gets an apology."""
    text = plain(text)
    follow_language(context, text)
    apology = "understanding_unavailable"
    option = typed_option(text, (*context.options, *context.assistant.replies.options(apology)), numbers=False)
    if option is not None:
        handle_message(context, clicked(option))
        return
    context.turn += 1
    context.note("no understanding")
    context.say(apology, offering=False)


def handle_message(context: TurnContext, user_input: UserInput) -> None:
    """Handle a message: as an answer to the pending question, or else as something new."""
    context.turn += 1
    pending, context.pending = context.pending, None
    offered, context.options = context.options, ()
    context.mood = user_input.mood
    if context.frames and context.frame.mood != "negative":
        context.update(mood=user_input.mood)
    answered = plainly_answered(context, user_input, pending, offered)
    for entity, values in user_input.entities.items():
        context.mention(entity, values[0] if len(values) == 1 else None)
    if not answered:
        user_input = in_words(context, user_input, confirming=pending is not None and pending.kind == "confirm")
    clear = user_input.sure or (user_input.intent is not None and gives_up(user_input.text))
    elsewhere = clear and context.assistant.answers(user_input.intent)
    if user_input.option is None and context.frames and not elsewhere and asks_to_repeat(user_input.text):
        context.note("repeats the question")
        run(context)
        return
    if (
        user_input.option is None
        and pending is not None
        and not answered
        and asks_for_time(context, user_input, pending)
    ):
        context.note("gives time")
        context.pending = pending
        context.say("take_your_time", options=offered)
        return
    if context.frames and elsewhere and user_input.intent not in context.flow.intents and drops(context, user_input):
        give_up(context)
        pending = None
    misses = context.misses
    if (pending is None or pending.kind != "confirm") and left_alone(context, user_input):
        return
    if pending is not None and answer(context, user_input, pending, offered):
        context.misses = 0 if context.misses == misses else context.misses
    else:
        route(context, user_input, pending.carried if pending is not None else {})


def drops(context: TurnContext, user_input: UserInput) -> bool:
    """Whether what is under way is given up for what the sentence asks: 算了，帮我查物流, 不退了，我的包裹在哪."""
    denied = denied_flow(context, user_input.text)
    if gives_up(user_input.text) or wanted_instead(context, user_input.text) is not None:
        return True
    return denied is not None and denied.flow == context.frame.flow


def give_up(context: TurnContext) -> None:
    """End what is under way for something else, which is about the same things: 取消保温杯, 算了，改地址吧."""
    for name, value in context.frame.slots.items():
        context.mention(context.slots[name].entity if name in context.slots else None, value)
    context.pop("given up for something else")
    context.gave_up = True


def left_alone(context: TurnContext, user_input: UserInput) -> bool:
    """Whether the customer says what is not to be done, and asks for nothing else: 别取消."""
    denied = denied_flow(context, user_input.text)
    if denied is None or not {"deny", "stop", "inform", "correct", None, *denied.intents} >= {user_input.intent}:
        return False
    if context.frames and context.frame.flow == denied.flow:
        return False
    submitted = context.last_submitted(denied.flow)
    if submitted is not None:
        context.say_submitted(submitted)
    else:
        context.say("left_alone", {"flow": context.title(denied.flow)})
    resume(context)
    return True


def plainly_answered(
    context: TurnContext, user_input: UserInput, pending: Pending | None, offered: tuple[QuickReply, ...]
) -> bool:
    """Whether a question that is answered by yes or no got one in words, whatever the model makes of them."""
    if pending is None or pending.kind not in YES_OR_NO or not user_input.text:
        return False
    answer = answer_in_words(context, user_input, offered)
    return answer.plain_yes or answer.plain_no


def asks_for_time(context: TurnContext, user_input: UserInput, pending: Pending) -> bool:
    """Whether the customer asks for a moment; for a slot that takes any text, the intent must be sure."""
    if hesitates(user_input.text):
        return True
    slot = context.slots.get(pending.name) if pending.kind == "slot" and context.frames else None
    free = slot is not None and slot.text is not None
    return user_input.intent == "wait" and not user_input.entities and (user_input.sure or not free)


def answer(context: TurnContext, user_input: UserInput, pending: Pending, offered: tuple[QuickReply, ...]) -> bool:
    """Whether the message answered the pending question; if so, what follows from it has been decided."""
    if pending.kind == "intent":
        return answer_intent(context, user_input, pending, offered)
    if pending.kind == "person" and answer_offer(context, user_input, offered):
        return True
    if not context.frames:
        return False
    match pending.kind:
        case "slot" | "person" if pending.name in context.slots:
            suggested = context.frame.offered.get(pending.name, ())
            return answer_slot(context, user_input, pending.name, suggested)
        case "confirm":
            return answer_confirm(context, user_input, pending, offered)
        case "change":
            return answer_change(context, user_input, offered)
        case "retry":
            return answer_retry(context, user_input, offered)
    return False


def answer_offer(context: TurnContext, user_input: UserInput, offered: tuple[QuickReply, ...]) -> bool:
    """An answer to `shall a person take over?`."""
    agrees, refuses = yes_or_no(context, user_input, offered, "affirm", ASK_HUMAN)
    if agrees:
        begin(context, ASK_HUMAN, user_input, {})
    elif refuses and context.frames:
        context.update(attempts={})
        run(context)
    elif refuses:
        context.say("acknowledged")
    return agrees or refuses


def answer_retry(context: TurnContext, user_input: UserInput, offered: tuple[QuickReply, ...]) -> bool:
    """An answer to `shall I try again?`."""
    agrees, refuses = yes_or_no(context, user_input, offered, "affirm")
    if agrees:
        run(context)
    elif refuses or user_input.intent == "stop":
        stop(context)
    return agrees or refuses or user_input.intent == "stop"


def yes_or_no(
    context: TurnContext, user_input: UserInput, offered: tuple[QuickReply, ...], *agreeing: str
) -> tuple[bool, bool]:
    """Whether the customer agrees, and whether they refuse; a yes with other words needs one of the intents."""
    if user_input.option is not None and not user_input.text:
        return user_input.option.id in ("yes", "retry"), user_input.option.id == "no"
    answer = answer_in_words(context, user_input, offered)
    agrees = answer.plain_yes or (answer.meaning is Meaning.YES and user_input.surely_one_of(*agreeing))
    unsaid = answer.meaning is Meaning.OTHER and user_input.intent == "deny"
    return agrees, answer.meaning is Meaning.NO or unsaid


def answer_intent(
    context: TurnContext, user_input: UserInput, pending: Pending, offered: tuple[QuickReply, ...]
) -> bool:
    """An answer to `which of these do you mean?`."""
    numbers = user_input.intent in (None, "affirm", "inform")
    option = user_input.option or typed_option(user_input.text, offered, numbers=numbers)
    answer = answer_in_words(context, user_input, offered)
    intents = [option.intent for option in offered if option.intent not in (None, ASK_HUMAN)]
    if option is not None and option.intent is not None:
        route(context, clicked(option), pending.carried)
    elif user_input.intent is None and user_input.candidates and user_input.candidates[0] in intents:
        begin(context, user_input.candidates[0], user_input, pending.carried)
    elif answer.plain_yes and len(intents) == 1:
        begin(context, str(intents[0]), user_input, pending.carried)
    elif answer.plain_no or (user_input.intent == "deny" and answer.meaning in (Meaning.NO, Meaning.OTHER)):
        context.misses += 1
        context.offer_person()
    else:
        return False
    return True

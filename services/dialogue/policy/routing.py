"""Routing: which flow or document a message starts when it does not answer a question."""

from services.dialogue.assistant.values import MAX_TEXT_KEPT, QuickReply
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.corrections import correct
from services.dialogue.policy.cues import refers_back
from services.dialogue.policy.interpreter import run, stop
from services.dialogue.policy.slots import change, entity_values, fill, new_values
from services.dialogue.policy.state import Finished, Frame, Pending
from services.dialogue.policy.user_input import UserInput

__all__ = ["asks_for_other", "begin", "intent_option", "resume", "route"]

MISSES_BEFORE_PERSON = 2
TURNS_REMEMBERED = 6
TURNS_AFTER_CLICK = 2
TURNS_CORRECTABLE = 3


def intent_option(context: TurnContext, intent: str) -> QuickReply:
    """A quick reply that stands for an intent."""
    return QuickReply(id=f"intent:{intent}", titles=dict(context.assistant.title_of(intent) or {}), intent=intent)


def route(context: TurnContext, user_input: UserInput, carried: dict[str, str]) -> None:
    """Begin what the message asks for."""
    intent = user_input.intent
    if user_input.out_of_scope:
        context.misses += 1
        context.note("out of scope")
        context.say("out_of_scope")
        if not resume(context):
            context.pending = Pending(kind="person")
        return
    if intent is None:
        unclear(context, user_input)
        return
    context.misses = 0
    if context.assistant.answers(intent):
        begin(context, intent, user_input, carried)
    elif intent == "stop" and context.frames:
        stop(context)
    elif intent == "stop" and (submitted := context.last_open()) is not None:
        context.say_submitted(submitted)
    elif intent == "stop":
        context.say("nothing_to_stop")
    elif intent == "correct" and not context.frames and just_ended(context) is not None:
        reopen(context, user_input)
    elif intent == "correct" and context.frames and correct(context, user_input):
        pass
    elif intent == "inform" and not context.frames and (given := named_values(context, user_input)):
        context.say("what_about_it", {"value": next(iter(given.values()))})
        context.pending = Pending(kind="intent", carried=given)
    else:
        context.say("acknowledged")
        resume(context)


def asks_for_other(context: TurnContext, user_input: UserInput) -> bool:
    """Whether the sentence surely asks for something that another flow or a document answers."""
    return (
        user_input.sure
        and user_input.intent not in context.flow.intents
        and context.assistant.answers(user_input.intent)
    )


def resume(context: TurnContext) -> bool:
    """Go back to what is under way; whether there was anything."""
    if not context.frames:
        return False
    context.say("resume", {"flow": context.title(context.frame.flow)})
    run(context)
    return True


def unclear(context: TurnContext, user_input: UserInput) -> None:
    """Ask what was meant; the second time in a row, offer a person."""
    context.misses += 1
    context.note("unclear")
    if context.frames:
        context.say("not_understood")
        run(context)
    elif context.misses >= MISSES_BEFORE_PERSON:
        context.offer_person()
    elif user_input.candidates:
        context.say("clarify", options=[intent_option(context, intent) for intent in user_input.candidates])
        context.pending = Pending(kind="intent", carried=named_values(context, user_input))
    else:
        context.say("not_understood")


def named_values(context: TurnContext, user_input: UserInput) -> dict[str, str]:
    """Values in the sentence that some flow could use."""
    wanted = {slot.entity for slots in context.assistant.slots.values() for slot in slots.values()}
    return {
        entity: values[0] for entity, values in user_input.entities.items() if entity in wanted and len(values) == 1
    }


def just_ended(context: TurnContext) -> Finished | None:
    """The flow that ended last, if that was only now."""
    ended = context.finished
    recent = ended is not None and context.turn - ended.turn <= TURNS_CORRECTABLE
    return ended if ended is not None and recent and ended.flow in context.assistant.flows else None


def reopen(context: TurnContext, user_input: UserInput) -> None:
    """A correction of a flow that has just ended: begin it again with what is still right."""
    ended = just_ended(context)
    if ended is None or (ended.committed and context.last_submitted(ended.flow) is not None):
        context.say("already_submitted")
        return
    context.push(Frame(flow=ended.flow, slots=ended.slots, mood=context.mood))
    if not correct(context, user_input):
        context.frames.pop()
        context.say("acknowledged")


def begin(context: TurnContext, intent: str, user_input: UserInput, carried: dict[str, str]) -> None:
    """Answer from a document, or begin a flow, or go back to it when it is already under way."""
    if intent not in context.assistant.flow_of_intent:
        document = context.assistant.faq[intent]
        context.note(f"answers from {document.file}")
        context.say(
            "faq_answer", {"answer": dict(document.answers), "title": dict(document.title)}, source=document.file
        )
        resume(context)
        return
    flow = context.assistant.flows[context.assistant.flow_of_intent[intent]]
    submitted = context.last_open() if flow.follow_ups else None
    if submitted is not None and submitted.status == "pending":
        context.say_submitted(submitted)  # business may not have heard of it yet
        resume(context)
        return
    if flow.clears and context.frames:
        context.abandoned = context.frame
        context.frames = []
    places = [place for place, frame in enumerate(context.frames) if frame.flow == flow.flow]
    if places:
        context.frames = context.frames[: places[-1] + 1]
        if values := new_values(context, user_input, filled=True):
            change(context, values)
        fill(context, new_values(context, user_input, filled=False))
    else:
        context.push(Frame(flow=flow.flow, heard=user_input.meant[:MAX_TEXT_KEPT], mood=context.mood))
        fill(context, first_values(context, user_input, carried))
    run(context)


def first_values(context: TurnContext, user_input: UserInput, carried: dict[str, str]) -> dict[str, str | None]:
    """A new flow's slots: from the message, from the question before it, from values named earlier."""
    values: dict[str, str | None] = {}
    refers = context.gave_up or refers_back(user_input.text)
    reach = TURNS_AFTER_CLICK if user_input.option is not None else TURNS_REMEMBERED if refers else -1
    for name, slot in context.slots.items():
        found = entity_values(slot, user_input)
        mention = context.mentions.get(slot.entity or "")
        if len(found) == 1:
            values[name] = found[0]
        elif slot.entity in carried:
            values[name] = carried[slot.entity]
        elif not found and mention is not None and context.turn - mention.turn <= reach:
            values[name] = mention.value
    return values

"""Beginning something new: what a message asks for when it is no answer to a question."""

from services.dialogue.policy.context import Talk
from services.dialogue.policy.cues import refers_back
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.slot_filling import change, correct, entity_values, fill, new_values, stop
from services.dialogue.policy.state import MAX_TEXT_KEPT, Finished, Frame, Option, Pending
from services.dialogue.policy.user_input import Heard

__all__ = ["begin", "intent_option", "route"]

MISSES_BEFORE_PERSON = 2
TURNS_REMEMBERED = 6
TURNS_AFTER_CLICK = 2
TURNS_CORRECTABLE = 3


def intent_option(talk: Talk, intent: str) -> Option:
    """A quick reply that stands for an intent."""
    return Option(id=f"intent:{intent}", titles=dict(talk.assistant.title_of(intent) or {}), intent=intent)


def route(talk: Talk, heard: Heard, carried: dict[str, str]) -> None:
    """Begin what the message asks for."""
    intent = heard.intent
    if heard.out_of_scope:
        talk.misses += 1
        talk.note("out of scope")
        talk.say("out_of_scope")
        if not resume(talk):
            talk.pending = Pending(kind="person")
        return
    if intent is None:
        unclear(talk, heard)
        return
    talk.misses = 0
    if talk.assistant.answers(intent):
        begin(talk, intent, heard, carried)
    elif intent == "stop" and talk.frames:
        stop(talk)
    elif intent == "stop":
        talk.say("nothing_to_stop")
    elif intent == "correct" and not talk.frames and just_ended(talk) is not None:
        reopen(talk, heard)
    elif intent == "correct" and talk.frames and correct(talk, heard):
        pass
    elif intent == "inform" and not talk.frames and (given := named_values(talk, heard)):
        talk.say("what_about_it", {"value": next(iter(given.values()))})
        talk.pending = Pending(kind="intent", carried=given)
    else:
        talk.say("acknowledged")
        resume(talk)


def resume(talk: Talk) -> bool:
    """Go back to what is under way; whether there was anything."""
    if not talk.frames:
        return False
    talk.say("resume", {"flow": talk.title(talk.frame.flow)})
    run(talk)
    return True


def unclear(talk: Talk, heard: Heard) -> None:
    """Ask what was meant; the second time in a row, offer a person."""
    talk.misses += 1
    talk.note("unclear")
    if talk.frames:
        talk.say("not_understood")
        run(talk)
    elif talk.misses >= MISSES_BEFORE_PERSON:
        talk.offer_person()
    elif heard.candidates:
        talk.say("clarify", options=[intent_option(talk, intent) for intent in heard.candidates])
        talk.pending = Pending(kind="intent", carried=named_values(talk, heard))
    else:
        talk.say("not_understood")


def named_values(talk: Talk, heard: Heard) -> dict[str, str]:
    """Values in the sentence that some flow could use."""
    wanted = {slot.entity for slots in talk.assistant.slots.values() for slot in slots.values()}
    return {entity: values[0] for entity, values in heard.entities.items() if entity in wanted and len(values) == 1}


def just_ended(talk: Talk) -> Finished | None:
    """The flow that ended last, if that was only now."""
    ended = talk.finished
    recent = ended is not None and talk.turn - ended.turn <= TURNS_CORRECTABLE
    return ended if ended is not None and recent and ended.flow in talk.assistant.flows else None


def reopen(talk: Talk, heard: Heard) -> None:
    """A correction of a flow that has just ended: begin it again with what is still right."""
    ended = just_ended(talk)
    if ended is None or ended.committed:
        talk.say("already_submitted")
        return
    talk.push(Frame(flow=ended.flow, slots=ended.slots, mood=talk.mood))
    if not correct(talk, heard):
        talk.frames.pop()
        talk.say("acknowledged")


def begin(talk: Talk, intent: str, heard: Heard, carried: dict[str, str]) -> None:
    """Answer from a document, or begin a flow, or go back to it when it is already under way."""
    if intent not in talk.assistant.flow_of_intent:
        document = talk.assistant.faq[intent]
        talk.note(f"answers from {document.file}")
        talk.say("faq_answer", {"answer": dict(document.answers), "title": dict(document.title)}, source=document.file)
        resume(talk)
        return
    flow = talk.assistant.flows[talk.assistant.flow_of_intent[intent]]
    if flow.clears and talk.frames:
        talk.abandoned = talk.frame
        talk.frames = []
    places = [place for place, frame in enumerate(talk.frames) if frame.flow == flow.flow]
    if places:
        talk.frames = talk.frames[: places[-1] + 1]
        if values := new_values(talk, heard, filled=True):
            change(talk, values)
        fill(talk, new_values(talk, heard, filled=False))
    else:
        talk.push(Frame(flow=flow.flow, heard=heard.text[:MAX_TEXT_KEPT], mood=talk.mood))
        fill(talk, first_values(talk, heard, carried))
    run(talk)


def first_values(talk: Talk, heard: Heard, carried: dict[str, str]) -> dict[str, str | None]:
    """What a flow knows when it begins: from the sentence, from the question before, from what was named before."""
    values: dict[str, str | None] = {}
    reach = TURNS_AFTER_CLICK if heard.option is not None else TURNS_REMEMBERED if refers_back(heard.text) else -1
    for name, slot in talk.slots.items():
        found = entity_values(slot, heard)
        mention = talk.mentions.get(slot.entity or "")
        if len(found) == 1:
            values[name] = found[0]
        elif slot.entity in carried:
            values[name] = carried[slot.entity]
        elif not found and mention is not None and talk.turn - mention.turn <= reach:
            values[name] = mention.value
    return values

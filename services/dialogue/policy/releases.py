"""A conversation that another release goes on with: flows whose steps are other ones now begin anew.

What a frame remembers of its steps, it remembers by their places. With other steps at those places something would be
passed over that was never done, or done a second time.
"""

from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.decision import Chosen, TurnEvent, Understood
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.state import Frame
from services.dialogue.policy.user_input import SURE

__all__ = ["go_on"]


def go_on(context: TurnContext, event: TurnEvent) -> bool:
    """Has flows whose steps have changed begin anew, and says so.

    Returns:
        Whether the event is dealt with: it answered a question that nobody asks any more.
    """
    top = context.frames[-1] if context.frames else None
    changed = [frame for frame in context.frames if is_another(context, frame)]
    if not changed and not context.gone:
        return False
    context.note(f"another release: {', '.join(frame.flow for frame in (*context.gone, *changed))} cannot go on")
    if any(not frame.committed for frame in (*context.gone, *changed)):
        context.say("flow_changed", offering=False)
    for frame in changed:
        if frame.committed and (submitted := context.last_submitted(frame.flow)) is not None:
            context.say_submitted(submitted)
    asked = context.asks_gone or top in changed
    context.frames = [
        begun_anew(context, frame) if frame in changed else frame
        for frame in context.frames
        if not (frame in changed and frame.committed)
    ]
    if not asked:
        return False
    context.pending, context.options = None, ()
    if not context.frames or asks_for_something(context, event):
        return False
    context.turn += 1
    run(context)
    return True


def is_another(context: TurnContext, frame: Frame) -> bool:
    """Whether the frame's flow had other steps when it began; one of before that was written down had the same."""
    return frame.plan not in ("", context.assistant.plans[frame.flow])


def begun_anew(context: TurnContext, frame: Frame) -> Frame:
    """The flow as at its first step; what was given to other questions is asked again."""
    return Frame(flow=frame.flow, plan=context.assistant.plans[frame.flow], mood=frame.mood)


def asks_for_something(context: TurnContext, event: TurnEvent) -> bool:
    """Whether the customer asks for something, and does not only answer."""
    match event:
        case Understood(understanding=understanding):
            intent = understanding.intent
            return intent.confidence >= SURE and (intent.name == "stop" or context.assistant.answers(intent.name))
        case Chosen(choice=choice):
            return choice.startswith("intent:")
    return False

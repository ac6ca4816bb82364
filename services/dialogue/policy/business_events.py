"""What business answers: look-ups that a flow waits for, and results of actions, whenever they come."""

from services.dialogue.assistant.schema import ActionStep, picked
from services.dialogue.policy.bounds import bounded
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.decision import ActionFinished, LookedUp, LookupFailed
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.state import Found, Pending
from shared.assistants.expressions import Scope

__all__ = ["action_finished", "looked_up", "lookup_failed"]

FAILURES_BEFORE_PERSON = 2


def looked_up(context: TurnContext, event: LookedUp) -> None:
    """Take the answer that the flow waits for; any other is late and changes nothing."""
    pending = context.pending
    if pending is None or pending.kind != "lookup" or pending.name != event.name or not context.frames:
        context.note(f"nobody waits for {event.name}")
        return
    data = bounded(event.data)
    found = Found(found=event.found, data=data if isinstance(data, dict) else {})
    context.update(lookups={**context.frame.lookups, pending.mark: found}, failures=0)
    context.pending = None
    run(context)


def lookup_failed(context: TurnContext, event: LookupFailed) -> None:
    """Business could not be asked: offer to try again, then a person."""
    pending = context.pending
    if pending is None or pending.kind != "lookup" or pending.name != event.name or not context.frames:
        context.note(f"nobody waits for {event.name}")
        return
    context.note(f"cannot look up {event.name}")
    failures = context.frame.failures + 1
    context.update(failures=failures)
    if failures < FAILURES_BEFORE_PERSON:
        context.say("lookup_failed")
        context.pending = Pending(kind="retry")
    else:
        context.pop("fails")
        context.offer_person("lookup_failed_again")


def action_finished(context: TurnContext, event: ActionFinished) -> None:
    """Reply with the result of an action; the current flow is not disturbed."""
    status, origin = event.result.status, event.origin
    context.note(f"{origin.flow}: {event.result.name} {status}")
    context.submitted = tuple(
        each.model_copy(update={"status": status}) if each.index == origin.index else each for each in context.submitted
    )
    step = context.assistant.steps.get(origin.flow, {}).get(origin.step)
    offering = context.pending is None
    if not isinstance(step, ActionStep) or step.action != event.result.name:
        if status != "awaiting_approval":
            context.say("action_succeeded" if status == "succeeded" else "action_failed", offering=offering)
        return
    data = bounded(event.result.data)
    details = {**(data if isinstance(data, dict) else {}), "status": status, "error_code": event.result.error_code}
    values: Scope = {**origin.variables, "result": details}
    reply = picked(step.on_result.get(status, []), values)
    if reply is not None:
        context.say(reply, values, offering=offering)

"""What business answers: look-ups that a flow waits for, and results of actions, whenever they come."""

from services.dialogue.assistant.expressions import Scope
from services.dialogue.assistant.schema import ActionStep, picked
from services.dialogue.policy.bounds import bounded
from services.dialogue.policy.context import Talk
from services.dialogue.policy.decision import ActionFinished, LookedUp, LookupFailed
from services.dialogue.policy.interpreter import run
from services.dialogue.policy.state import Found, Pending

__all__ = ["action_finished", "looked_up", "lookup_failed"]

FAILURES_BEFORE_PERSON = 2


def looked_up(talk: Talk, event: LookedUp) -> None:
    """The answer that the flow waits for; any other is too late and changes nothing."""
    pending = talk.pending
    if pending is None or pending.kind != "lookup" or pending.name != event.name or not talk.frames:
        talk.note(f"nobody waits for {event.name}")
        return
    data = bounded(event.data)
    found = Found(found=event.found, data=data if isinstance(data, dict) else {})
    talk.update(lookups={**talk.frame.lookups, pending.mark: found}, failures=0)
    talk.pending = None
    run(talk)


def lookup_failed(talk: Talk, event: LookupFailed) -> None:
    """Business could not be asked: offer to try again, then a person."""
    pending = talk.pending
    if pending is None or pending.kind != "lookup" or pending.name != event.name or not talk.frames:
        talk.note(f"nobody waits for {event.name}")
        return
    talk.note(f"cannot look up {event.name}")
    failures = talk.frame.failures + 1
    talk.update(failures=failures)
    if failures < FAILURES_BEFORE_PERSON:
        talk.say("lookup_failed")
        talk.pending = Pending(kind="retry")
    else:
        talk.pop("fails")
        talk.offer_person("lookup_failed_again")


def action_finished(talk: Talk, event: ActionFinished) -> None:
    """Tell what became of an action; what is being talked about goes on undisturbed."""
    status, origin = event.result.status, event.origin
    talk.note(f"{origin.flow}: {event.result.name} {status}")
    step = talk.assistant.steps.get(origin.flow, {}).get(origin.step)
    offering = talk.pending is None
    if not isinstance(step, ActionStep) or step.action != event.result.name:
        if status != "awaiting_approval":
            talk.say("action_succeeded" if status == "succeeded" else "action_failed", offering=offering)
        return
    data = bounded(event.result.data)
    details = {**(data if isinstance(data, dict) else {}), "status": status, "error_code": event.result.error_code}
    values: Scope = {**origin.variables, "result": details}
    reply = picked(step.on_result.get(status, []), values)
    if reply is not None:
        talk.say(reply, values, offering=offering)

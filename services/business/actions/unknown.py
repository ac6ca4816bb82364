"""Calls of which nobody knows what became: looked at again after growing pauses, until it is known or a day is over.

The timer opens the action once more, for one attempt. That asks the system, or repeats the call where this does no
harm; what comes out is a further version of the action's result.
"""

from datetime import datetime, timedelta

import structlog

from services.business.actions import repository
from services.business.actions.repository import TIMERS, Effect, Entry
from services.business.actions.sagas import key_of
from services.business.settings import Settings
from shared.storage.database import Database, now
from shared.storage.statements import Unit
from shared.storage.timers import DueTimer

__all__ = ["RECONCILE", "Reconciler", "found_out", "look_again", "reopen"]

log = structlog.get_logger(__name__)

RECONCILE = "reconcile"
MOST_PAUSE = timedelta(hours=1)
BUSY = timedelta(seconds=30)


def look_again(unit: Unit, effect: Effect, moment: datetime, settings: Settings) -> None:
    """Has a call that is unknown looked at again, unless it has been for too long."""
    assert effect.unknown_at is not None
    elapsed = moment - effect.unknown_at
    if elapsed < timedelta(hours=settings.ask_again_hours):
        pause = min(max(timedelta(seconds=settings.ask_again_seconds), elapsed), MOST_PAUSE)
        _set(unit, effect, moment + pause)


def found_out(unit: Unit, effect: Effect, moment: datetime, *, by: str, note: str | None = None) -> None:
    """Closes what was open about a call, now that its outcome is known."""
    if effect.unknown_at is None:
        return
    TIMERS.cancel(unit, _key(effect))
    for letter in repository.letters_about(unit, effect):
        letter.dismissed_at, letter.dismissed_by, letter.dismissed_because = moment, by, note
        letter.happened = effect.status == "done"
        repository.save_letter(unit, letter)


def reopen(unit: Unit, entry: Entry, moment: datetime, *, attempts: int = 0) -> None:
    """Has attempts at an action made again, after so many that count already; the relay puts it on the queue."""
    entry.status, entry.attempts, entry.sends = "started", attempts, 0
    entry.put_offs, entry.tried_since = 0, None
    entry.running_until = entry.running_on = entry.not_before = None
    entry.resend_at = entry.updated_at = moment
    repository.save_entry(unit, entry)


class Reconciler:
    """Opens actions whose outcome is unknown, at their time."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def on_timer(self, timer: DueTimer) -> None:
        """Has one attempt made at finding out.

        Raises:
            TimerGone: it is known meanwhile, or another replica does it.
        """

        def work(unit: Unit) -> None:
            moment = now()
            entry = repository.entry_of(unit, timer.payload["action"])
            TIMERS.take(unit, timer)
            if entry is None:
                return
            effect = repository.effects_of(unit, entry.action_id).get((timer.payload["step"], timer.payload["undo"]))
            if effect is None or effect.status != "unknown":
                return
            if entry.status == "started":
                _set(unit, effect, moment + BUSY)
                return
            effect.status = "called"
            repository.save_effect(unit, effect, moment)
            reopen(unit, entry, moment, attempts=self._settings.max_attempts - 1)

        await self._database.write(timer.tenant, work)
        log.info("unknown_action_looked_at", action=timer.payload["action"])


def _set(unit: Unit, effect: Effect, at: datetime) -> None:
    payload = {"action": effect.action_id, "step": effect.step, "undo": effect.undo}
    TIMERS.set(unit, RECONCILE, _key(effect), at, payload)


def _key(effect: Effect) -> str:
    return f"{RECONCILE}:{key_of(effect.action_id, effect.step, undo=effect.undo)}"

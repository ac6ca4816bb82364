"""What people decide about actions that were given up: try again, leave it, or say what became of a call."""

from datetime import datetime

from services.business import repository as rows
from services.business.actions import repository
from services.business.actions.effects import Stored
from services.business.actions.repository import Effect, Entry, Letter
from services.business.actions.results import DID_NOT_HAPPEN, GAVE_UP, close
from services.business.actions.unknown import found_out, reopen
from shared.errors import Conflict, NotFound
from shared.storage.database import Database, now
from shared.storage.statements import Unit

__all__ = ["dismiss", "resolve", "try_again"]


async def try_again(database: Database, tenant: str, letter_id: int, *, by: str) -> None:
    """Gives what was given up a new set of attempts; the relay puts the action on the queue.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was decided on already, it is not about something that was given up, or trying again could have
            the effect of twice.
    """

    def work(unit: Unit) -> None:
        moment = now()
        letter, entry = _held(unit, letter_id)
        entry = _undecided(letter, entry)
        effect = _effect_of(unit, letter)
        if effect is not None and effect.status == "unknown":
            if Stored.of(effect.prepared).delivery == "once":
                raise Conflict("whether it happened is unknown, and trying again could do it twice; resolve it instead")
            effect.status = "called"
        elif effect is not None and (effect.undo or effect.step == 0) and effect.status in ("failed", "refused"):
            effect.status = "ready"
        elif effect is not None or entry.status != "failed" or (entry.result or {}).get("error_code") != GAVE_UP:
            raise Conflict("this dead letter is not about an action that was given up")
        if effect is not None:
            repository.save_effect(unit, effect, moment)
        letter.retried_at, letter.retried_by = moment, by
        repository.save_letter(unit, letter)
        reopen(unit, entry, moment)

    await database.write(tenant, work)


async def dismiss(database: Database, tenant: str, letter_id: int, *, by: str, because: str) -> None:
    """Leaves what was given up as it is.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was decided on already, or it is unknown whether it happened, which is not to be forgotten.
    """

    def work(unit: Unit) -> None:
        letter, _entry = _held(unit, letter_id)
        effect = _effect_of(unit, letter)
        if effect is not None and effect.status in ("called", "unknown") and letter.dismissed_at is None:
            raise Conflict("whether this action happened is unknown; say so with resolve once you know")

    await database.write(tenant, work)
    await rows.LETTERS.dismiss(database, tenant, letter_id, by=by, because=because)


async def resolve(database: Database, tenant: str, letter_id: int, *, happened: bool, note: str, by: str) -> None:
    """Says what became of a call of which nobody knew; the customer gets the result. The same again changes nothing.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was found out or decided otherwise, or the dead letter is not about such a call.
    """

    def work(unit: Unit) -> None:
        moment = now()
        letter, entry = _held(unit, letter_id)
        if letter.happened is not None:
            if letter.happened != happened:
                said = "it happened" if letter.happened else "it did not happen"
                raise Conflict(f"{letter.dismissed_by} has found that {said}")
            return
        entry = _undecided(letter, entry)
        effect = _effect_of(unit, letter)
        if effect is None or effect.status != "unknown":
            raise Conflict("this dead letter is not about an action of which it is unknown whether it happened")
        effect.status, effect.doubtful_since = "done" if happened else "failed", None
        effect.code = None if happened else DID_NOT_HAPPEN
        repository.save_effect(unit, effect, moment)
        found_out(unit, effect, moment, by=by, note=note)
        if effect.step:
            # The saga goes on, forwards or backwards.
            reopen(unit, entry, moment)
        else:
            _close(unit, entry, effect, moment)

    await database.write(tenant, work)


def _close(unit: Unit, entry: Entry, effect: Effect, moment: datetime) -> None:
    happened = effect.status == "done"
    close(entry, moment, status="succeeded" if happened else "failed", data={}, error_code=effect.code)
    # No worker will publish this result, so the outbox need not leave it time to.
    entry.resend_at = moment
    repository.save_entry(unit, entry)


def _held(unit: Unit, letter_id: int) -> tuple[Letter, Entry | None]:
    """A dead letter and its action, held in the order in which attempts hold them."""
    action = repository.action_of_letter(unit, letter_id)
    entry = None if action is None else repository.entry_of(unit, action)
    letter = repository.letter_of(unit, letter_id)
    if letter is None:
        raise NotFound("there is no such dead letter")
    return letter, entry


def _undecided(letter: Letter, entry: Entry | None) -> Entry:
    """The action of a dead letter on which nobody has decided."""
    if letter.retried_at is not None:
        raise Conflict(f"this dead letter was tried again already, by {letter.retried_by}")
    if letter.dismissed_at is not None:
        raise Conflict(f"this dead letter was dismissed already, by {letter.dismissed_by}")
    if entry is None:
        raise Conflict("this dead letter is not about an action that was given up")
    if entry.status == "started":
        raise Conflict("an attempt at this action is under way; ask again in a moment")
    return entry


def _effect_of(unit: Unit, letter: Letter) -> Effect | None:
    if letter.action_id is None or letter.step is None:
        return None
    return repository.effects_of(unit, letter.action_id).get((letter.step, bool(letter.undo)))

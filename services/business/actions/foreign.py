"""Effects in foreign systems, each made exactly as often as its delivery allows.

Before a call it is committed that there may be one, with what is sent; the call is made outside of any transaction, and
what became of it is committed after it. A call of which nothing more is known, because its process ended, the answer
was lost or made no sense, is in doubt: one that is `idempotent` is made again with the same key and the same content,
about one that is `queryable` the system is asked, and one that is made `once` is never made again. While a call is in
doubt nothing is checked anew: what it may have changed would speak against it.

What stays in doubt is told to the customer and to an operator, and looked at again by `unknown`. A system that is away,
so that nothing happens, uses up no attempts: the action is tried for hours, with growing pauses.

One module because the steps of an attempt share the lease that each of their commits checks.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from services.business.actions import approvals, repository
from services.business.actions.effects import Effects, Prepared, Stored, as_json
from services.business.actions.leases import this_process
from services.business.actions.repository import Effect, Entry
from services.business.actions.results import (
    DID_NOT_HAPPEN,
    GAVE_UP,
    OUTCOME_UNKNOWN,
    SYSTEM_REFUSED,
    AttemptFailed,
    NothingToDo,
    as_text,
    close,
    describe,
    pause_before,
)
from services.business.actions.sagas import Todo, end_of, following, key_of
from services.business.actions.unknown import found_out, look_again
from services.business.connectors.outcomes import Done, NothingHappened, OutcomeUnknown, Refused, SystemRefused
from services.business.settings import Settings
from shared import faults
from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus
from shared.errors import Unavailable
from shared.storage.database import Database, now
from shared.storage.statements import Unit

__all__ = ["POINTS", "Begun", "ForeignActions"]

log = structlog.get_logger(__name__)

POINTS = (
    "business.foreign.before_checks",
    "business.foreign.before_intent",
    "business.foreign.before_call",
    "business.foreign.after_call",
    "business.foreign.after_outcome",
)
"""Where a test stops the process, in the order of an attempt."""

MOST_AGAIN_AFTER = 3600.0
COMMIT_SECONDS = 10.0
"""For so long a database that is away does not lose the outcome of a call."""
COMMIT_PAUSE = 0.5
MAX_CODE = 64
ROOT = (0, False)
ENDED: dict[str, ActionStatus] = {"done": "succeeded", "refused": "rejected", "failed": "failed"}

T = TypeVar("T")


@dataclass
class Begun:
    """An attempt that was counted and is to be made, with the calls that were made before."""

    request: ActionRequest
    attempts: int
    effects: dict[tuple[int, bool], Effect]


class _Failed(Exception):
    """Nothing happened, and nothing will."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class _Later(Exception):
    """The attempt has come to nothing; `spent` says that it counts, and `at` when another makes sense."""

    def __init__(self, error: Exception | str, *, spent: bool, at: datetime | None = None, away: bool = False) -> None:
        self.why = error if isinstance(error, str) else describe(error)
        super().__init__(self.why)
        self.spent, self.at, self.away = spent, at, away
        self.again_after = getattr(error, "again_after", None)


class _InDoubt(Exception):
    """The call may have been made, must not be made again, and nobody can be asked."""


class ForeignActions:
    """Makes attempts at actions whose effects are in foreign systems."""

    def __init__(self, database: Database, effects: Effects, settings: Settings) -> None:
        self._database = database
        self._effects = effects
        self._settings = settings

    def handles(self, request: ActionRequest) -> bool:
        """Whether it is one of these."""
        return self._effects.handles(request)

    async def perform(self, begun: Begun) -> ActionResult:
        """Makes the attempt; the action's result, or that it was given up.

        Raises:
            AttemptFailed: there is no result yet; the row says when another attempt is made.
            NothingToDo: the attempt's time ran out, and another process has the action now.
        """
        until = time.monotonic() + self._settings.action_seconds
        try:
            return await self._perform(begun, until)
        except NothingToDo:
            raise
        except _InDoubt as error:
            why: Exception | _Later = error
        except _Later as later:
            why = later
        except Exception as error:
            # Of this program, or of its database; whether there was a call, the effect's row says.
            why = _Later(error, spent=True)
        log.warning("attempt_failed", name=begun.request.name, error=str(why), attempts=begun.attempts)
        result = await self._commit(begun, lambda unit, entry, moment: self._after(unit, begun, entry, why, moment))
        if result is None:
            raise AttemptFailed(str(why))
        return result

    async def _perform(self, begun: Begun, until: float) -> ActionResult:
        root = begun.effects.get(ROOT)
        if root is not None and root.status == "saga":
            return await self._saga(begun, root, until)
        if root is not None and root.status in ("called", "unknown"):
            return await self._single(begun, root, None, until)
        try:
            prepared = await self._prepare(begun.request, until)
        except _Failed as failed:
            begun.effects[ROOT] = root or _new(begun, begun.request, ROOT, {})
            return await self._concluded(begun, begun.effects[ROOT], failed)
        if isinstance(prepared, Refused):
            return await self._close(begun, "rejected", prepared.data, _code(prepared.code))
        if prepared.approval is not None:
            waiting = await self._wait(begun, prepared)
            if waiting is not None:
                return waiting
        if prepared.saga is None:
            return await self._single(begun, root, prepared, until)
        root = Effect(
            action_id=begun.request.id, step=0, undo=False, name=begun.request.name, status="saga",
            prepared=as_json(prepared),
        )  # fmt: skip
        begun.effects[ROOT] = root
        await self._commit(begun, lambda unit, _entry, moment: repository.save_effect(unit, root, moment))
        return await self._saga(begun, root, until)

    async def _single(
        self, begun: Begun, effect: Effect | None, prepared: Prepared | None, until: float
    ) -> ActionResult:
        outcome = await self._made(begun, begun.request, ROOT, effect, prepared, until)
        return await self._concluded(begun, begun.effects[ROOT], outcome)

    async def _concluded(self, begun: Begun, effect: Effect, outcome: Done | Refused | _Failed) -> ActionResult:
        """Stores the outcome of an action's only effect, and with it the action's."""

        def end(unit: Unit, entry: Entry, moment: datetime) -> ActionResult:
            self._settle(unit, entry, effect, outcome, moment)
            result = close(entry, moment, status=ENDED[effect.status], data=effect.data or {}, error_code=effect.code)
            repository.save_entry(unit, entry)
            return result

        return await self._ended(begun, await self._commit(begun, end))

    async def _saga(self, begun: Begun, root: Effect, until: float) -> ActionResult:
        stored = Stored.of(root.prepared)
        steps = stored.saga or []
        half = until - self._settings.action_seconds / 2
        while (todo := following(steps, begun.effects, stored.scope)) is not None:
            if time.monotonic() > half:
                raise _Later("there is more to do than fits into one attempt", spent=False, at=now())
            place = (todo.step, todo.undo)
            known = begun.effects.get(place)
            request = _request_of(begun.request, todo)
            outcome = await self._made(begun, request, place, known, None, until)
            effect = begun.effects[place]

            def end(
                unit: Unit, entry: Entry, moment: datetime, effect: Effect = effect, outcome: Any = outcome
            ) -> None:
                self._settle(unit, entry, effect, outcome, moment)
                self._refresh(entry, moment)
                repository.save_entry(unit, entry)

            begun.attempts = 1
            await self._commit(begun, end, refreshes=True)
        ended = end_of(steps, begun.effects)
        data = self._answer(begun.request, stored, ended.data) if ended.status == "succeeded" else ended.data
        return await self._close(begun, ended.status, data, ended.error_code, unless_known=True)

    def _answer(self, request: ActionRequest, stored: Stored, saved: dict[str, Any]) -> dict[str, Any]:
        """What a saga answers with what its steps saved, which is all there is where its connector is gone since."""
        try:
            return self._effects.finished(request, stored, saved).data
        except SystemRefused:
            return saved

    async def _made(
        self,
        begun: Begun,
        request: ActionRequest,
        place: tuple[int, bool],
        effect: Effect | None,
        prepared: Prepared | None,
        until: float,
    ) -> Done | Refused | _Failed:
        """The outcome of one effect, whose row is in `begun.effects` afterwards; it is not stored yet."""
        step, undo = place
        key = key_of(begun.request.id, step, undo=undo)
        if effect is not None and effect.status in ("called", "unknown"):
            effect.status, effect.doubtful_since = "called", effect.doubtful_since or effect.called_at
            known = await self._recalled(begun, request, effect, key, until)
            if known is not None:
                return known
            prepared = Stored.of(effect.prepared) if effect.doubtful_since else None
        if prepared is None:
            begun.effects[place] = effect = effect or _new(begun, request, place, {})
            try:
                checked = await self._prepare(request, until)
            except _Failed as failed:
                return failed
            if isinstance(checked, Refused):
                return checked
            if checked.saga is not None and step:
                return _Failed(SYSTEM_REFUSED, "a step of a saga is a saga itself")
            prepared = checked
        effect = effect or _new(begun, request, place, {})
        await faults.point(POINTS[1])
        await self._commit_intent(begun, effect, prepared)
        await faults.point(POINTS[2])
        outcome = await self._call(request, effect, prepared, key, until)
        await faults.point(POINTS[3])
        return outcome

    async def _commit_intent(self, begun: Begun, effect: Effect, prepared: Prepared) -> None:
        called = replace(effect, status="called", calls=effect.calls + 1, called_at=now())
        if effect.doubtful_since is None:
            called.prepared = as_json(prepared)
        # Where this fails there was no call, whatever the database has of it.
        await self._commit(begun, lambda unit, _entry, moment: repository.save_effect(unit, called, moment))
        for each in fields(called):
            setattr(effect, each.name, getattr(called, each.name))
        begun.effects[effect.step, effect.undo] = effect

    async def _call(
        self, request: ActionRequest, effect: Effect, prepared: Prepared, key: str, until: float
    ) -> Done | Refused | _Failed:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._effects.perform(request, prepared, key=key)
        except NothingHappened as error:
            if effect.doubtful_since is None:
                effect.status, effect.called_at = "ready", None
            raise _Later(error, spent=False, away=True) from error
        except SystemRefused as error:
            if effect.doubtful_since is None:
                return _Failed(SYSTEM_REFUSED, describe(error))
            # This call did nothing, and of the one before it is still unknown.
            raise _Later(error, spent=True) from error
        except Exception as error:
            # Also what a connector should not raise: it was called.
            effect.doubtful_since = effect.doubtful_since or effect.called_at
            stored = Stored.of(effect.prepared)
            if stored.delivery == "once":
                raise _InDoubt(describe(error)) from error
            at = None if stored.delivery == "idempotent" or effect.called_at is None else now() + stored.settle
            raise _Later(error, spent=True, at=at) from error

    async def _recalled(
        self, begun: Begun, request: ActionRequest, effect: Effect, key: str, until: float
    ) -> Done | Refused | _Failed | None:
        """What became of a call that is in doubt; `None` when one may be made now, as the effect then says."""
        stored = Stored.of(effect.prepared)
        begun.effects[effect.step, effect.undo] = effect
        if stored.delivery == "idempotent":
            return None
        if stored.delivery == "once" or effect.called_at is None:
            raise _InDoubt("whether the call had an effect is unknown, and the system cannot be asked")
        settled = effect.called_at + stored.settle
        if settled > now():
            raise _Later("a call may still take effect", spent=False, at=settled)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                found = await self._effects.happened(request, stored, key=key)
        except (NothingHappened, OutcomeUnknown, SystemRefused, TimeoutError) as error:
            raise _Later(error, spent=not isinstance(error, NothingHappened), away=True) from error
        if found is None:
            effect.doubtful_since = effect.called_at = None
            effect.status = "ready"
            if effect.unknown_at is not None:
                # It was said to be unknown: so long after that it would come as a surprise.
                return _Failed(DID_NOT_HAPPEN, "the system says that it did not happen")
        return found

    async def _prepare(self, request: ActionRequest, until: float) -> Refused | Prepared:
        await faults.point(POINTS[0])
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await self._effects.prepare(request, now())
        except (NothingHappened, OutcomeUnknown) as error:
            # Nothing was to happen so far, so nothing can have.
            raise _Later(error, spent=False, away=True) from error
        except SystemRefused as error:
            raise _Failed(SYSTEM_REFUSED, describe(error)) from error

    async def _wait(self, begun: Begun, prepared: Prepared) -> ActionResult | None:
        """Has the action wait for a person; `None` once one has said yes."""

        def wait(unit: Unit, entry: Entry, moment: datetime) -> ActionResult | None:
            return approvals.await_approval(unit, entry, begun.request, prepared, moment)

        result = await self._commit(begun, wait)
        return None if result is None else await self._ended(begun, result)

    async def _close(
        self,
        begun: Begun,
        status: ActionStatus,
        data: dict[str, Any],
        code: str | None,
        *,
        unless_known: bool = False,
    ) -> ActionResult:
        def end(unit: Unit, entry: Entry, moment: datetime) -> ActionResult:
            stored = entry.result
            if unless_known and stored is not None:
                known = ActionResult.model_validate(stored)
                if (known.status, known.data, known.error_code) == (status, data, code):
                    _restore(entry, moment)
                    repository.save_entry(unit, entry)
                    return known
            result = close(entry, moment, status=status, data=data, error_code=code)
            repository.save_entry(unit, entry)
            return result

        return await self._ended(begun, await self._commit(begun, end))

    async def _ended(self, begun: Begun, result: ActionResult) -> ActionResult:
        log.info("action_closed", name=begun.request.name, status=result.status, error=result.error_code)
        await faults.point(POINTS[4])
        return result

    def _settle(
        self, unit: Unit, entry: Entry, effect: Effect, outcome: Done | Refused | _Failed, moment: datetime
    ) -> None:
        """Stores what became of an effect, and closes what was open about it."""
        if isinstance(outcome, Done):
            effect.status, effect.data, effect.code = "done", outcome.data, None
        elif isinstance(outcome, Refused):
            effect.status, effect.data, effect.code = "refused", outcome.data, _code(outcome.code)
        else:
            effect.status, effect.data, effect.code = "failed", None, outcome.code
        effect.doubtful_since = None
        repository.save_effect(unit, effect, moment)
        found_out(unit, effect, moment, by="reconciler")
        # That a step cannot be taken back is for a person too, whatever the reason.
        if effect.code == SYSTEM_REFUSED or (effect.undo and effect.status != "done"):
            why = str(outcome) if isinstance(outcome, _Failed) else f"refused: {effect.code}"
            self._letter(unit, entry, effect, why, moment)

    def _letter(self, unit: Unit, entry: Entry, effect: Effect | None, why: str, moment: datetime) -> None:
        payload = as_text(entry.request)
        repository.add_letter(unit, entry, payload=payload, error=why[:500], moment=moment, effect=effect)
        log.error("action_given_up", action=entry.action_id, name=entry.name, attempts=entry.attempts)

    def _after(
        self, unit: Unit, begun: Begun, entry: Entry, why: Exception | _Later, moment: datetime
    ) -> ActionResult | None:
        """What follows on an attempt without a result: another one at its time, or that it is given up."""
        effects = repository.effects_of(unit, entry.action_id)
        for place, each in begun.effects.items():
            # What had come to its end and could not be stored is in doubt, as the database has it.
            if each.status in ("ready", "called", "unknown") and (each.prepared or place in effects):
                effects[place] = each
                repository.save_effect(unit, each, moment)
        pending = _pending(effects)
        if pending is not None:
            pending.doubtful_since = pending.doubtful_since or pending.called_at
            repository.save_effect(unit, pending, moment)
        entry.running_until = entry.running_on = None
        entry.last_error = str(why)[:200]
        entry.updated_at = moment
        if not isinstance(why, _Later):
            return self.give_up(unit, entry, effects, str(why), moment)
        if not why.spent:
            entry.attempts = max(0, entry.attempts - 1)
        if why.away:
            entry.put_offs += 1
            entry.tried_since = entry.tried_since or moment
        since = entry.tried_since if pending is None else pending.doubtful_since
        most = self._settings.keep_trying_seconds if pending is None else self._settings.unknown_seconds
        over = why.away and since is not None and moment - since > timedelta(seconds=most)
        if over or entry.attempts >= self._settings.max_attempts:
            return self.give_up(unit, entry, effects, str(why), moment)
        entry.not_before = entry.resend_at = why.at or moment + self._pause(entry, why)
        repository.save_entry(unit, entry)
        return None

    def _pause(self, entry: Entry, why: _Later) -> timedelta:
        first = self._settings.retry_seconds
        if not why.away:
            return pause_before(max(entry.attempts, 1), first)
        pause = pause_before(entry.put_offs, first, self._settings.longest_pause_seconds)
        return max(pause, timedelta(seconds=min(why.again_after or 0.0, MOST_AGAIN_AFTER)))

    def give_up(
        self, unit: Unit, entry: Entry, effects: dict[tuple[int, bool], Effect], why: str, moment: datetime
    ) -> ActionResult | None:
        """Ends the attempts at an action, or at the step that it has come to; `None` when it goes on by itself."""
        pending = _pending(effects)
        root = effects.get(ROOT)
        if pending is not None:
            return self._leave_unknown(unit, entry, pending, why, moment)
        todo = None
        if root is not None and root.status == "saga":
            stored = Stored.of(root.prepared)
            todo = following(stored.saga or [], effects, stored.scope)
        if todo is None:
            self._letter(unit, entry, None, why, moment)
            result = close(entry, moment, status="failed", data={}, error_code=GAVE_UP)
            repository.save_entry(unit, entry)
            return result
        effect = effects.get((todo.step, todo.undo)) or Effect(
            action_id=entry.action_id, step=todo.step, undo=todo.undo, name=todo.name, status="failed", prepared={}
        )
        effect.status, effect.code = "failed", GAVE_UP
        repository.save_effect(unit, effect, moment)
        self._letter(unit, entry, effect, why, moment)
        self._go_on(unit, entry, moment)
        return None

    def _leave_unknown(
        self, unit: Unit, entry: Entry, effect: Effect, why: str, moment: datetime
    ) -> ActionResult | None:
        first = effect.unknown_at is None
        effect.status, effect.unknown_at = "unknown", effect.unknown_at or moment
        effect.doubtful_since = effect.doubtful_since or effect.called_at or moment
        repository.save_effect(unit, effect, moment)
        if Stored.of(effect.prepared).delivery != "once":
            look_again(unit, effect, moment, self._settings)
        if first:
            self._letter(unit, entry, effect, f"{OUTCOME_UNKNOWN}: {why}", moment)
        if effect.undo:
            self._go_on(unit, entry, moment)
            return None
        if first:
            about = {"step": effect.name} if effect.step else {}
            result = close(entry, moment, status="failed", data=about, error_code=OUTCOME_UNKNOWN)
        else:
            _restore(entry, moment)
            result = ActionResult.model_validate(entry.result)
        repository.save_entry(unit, entry)
        return result

    def _go_on(self, unit: Unit, entry: Entry, moment: datetime) -> None:
        self._refresh(entry, moment)
        entry.attempts = 0
        entry.running_until = entry.running_on = entry.not_before = None
        entry.resend_at = moment
        repository.save_entry(unit, entry)

    def _refresh(self, entry: Entry, moment: datetime) -> None:
        """What was tried for one step does not count against the next."""
        entry.attempts, entry.put_offs, entry.tried_since = 1, 0, None
        entry.running_until = entry.resend_at = moment + timedelta(seconds=self._settings.hard_limit_seconds)
        entry.updated_at = moment

    async def _commit(self, begun: Begun, work: Callable[[Unit, Entry, datetime], T], *, refreshes: bool = False) -> T:
        """Runs it if the attempt is still this process's; a database that is away is asked for a while."""

        def run(unit: Unit) -> T:
            entry = repository.entry_of(unit, begun.request.id)
            attempts = begun.attempts
            if entry is None or entry.status != "started" or entry.running_on != this_process():
                raise NothingToDo("done")
            if not refreshes and entry.attempts != attempts:
                raise NothingToDo("done")
            return work(unit, entry, now())

        until = time.monotonic() + COMMIT_SECONDS
        while True:
            try:
                return await self._database.write(begun.request.tenant, run)
            except Unavailable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(COMMIT_PAUSE)


def _pending(effects: dict[tuple[int, bool], Effect]) -> Effect | None:
    """The call that may have had an effect of which nobody knows."""
    return next((each for each in effects.values() if each.status == "called"), None)


def _restore(entry: Entry, moment: datetime) -> None:
    """The action is again what it was before it was looked at once more."""
    assert entry.result is not None
    entry.status = entry.result["status"]
    entry.running_until = entry.running_on = entry.not_before = entry.resend_at = None
    entry.updated_at = moment


def _new(begun: Begun, request: ActionRequest, place: tuple[int, bool], prepared: dict[str, Any]) -> Effect:
    step, undo = place
    return Effect(
        action_id=begun.request.id, step=step, undo=undo, name=request.name, status="ready", prepared=prepared
    )


def _request_of(request: ActionRequest, todo: Todo) -> ActionRequest:
    key = key_of(request.id, todo.step, undo=todo.undo)
    return request.model_copy(update={"id": key, "name": todo.name, "arguments": todo.arguments})


def _code(code: str) -> str:
    """As it fits into its column, whatever a system says."""
    return "".join(each for each in code if each.isprintable())[:MAX_CODE] or "refused"

"""Seals on the audit log: what was written is not changed or taken out unseen.

Every event gets a place, without gaps, and a code over itself and the code before it. The key follows from the login
secret, which is not in the database, so whoever changes rows cannot make the codes. Events are sealed a moment after
they were committed, one replica at a time, so that nobody who logs in waits for it. What the seals cannot show is that
the newest events are missing: send them elsewhere too, if that matters.
"""

import hashlib
import hmac
import json

from sqlalchemy.exc import IntegrityError

from services.login.models import AuditEvent
from services.login.repository import events_from_place, last_sealed, unsealed_events
from services.login.schemas import AuditCheck
from services.login.settings import Settings
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["Seals"]

BATCH = 500


class Seals:
    """Seals events, and tells whether all seals are whole."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._keys = [hmac.new(each.encode(), b"audit", hashlib.sha256).digest() for each in settings.login_secrets]
        self._database = database

    async def seal(self) -> None:
        """Seals what is not sealed yet, in the order in which it is found."""
        while True:
            try:
                async with self._database.transaction(ALL_TENANTS) as session:
                    events = await unsealed_events(session, BATCH)
                    ends: dict[str, tuple[int, str]] = {}
                    for event in events:
                        place, before = ends.get(event.tenant) or await last_sealed(session, event.tenant)
                        event.place, event.seal = place + 1, self._code(event, place + 1, before, self._keys[0])
                        ends[event.tenant] = event.place, event.seal
            except IntegrityError:
                # Another replica has taken these places at the same moment.
                return
            if len(events) < BATCH:
                return

    async def check(self, tenant: str) -> AuditCheck:
        """Reads the whole log of a tenant; the first event that is left may follow on others that were not kept."""
        checked, broken = 0, None
        place, before = 0, ""
        while broken is None:
            async with self._database.reading(tenant) as session:
                events = await events_from_place(session, place + 1, BATCH)
            if not events:
                break
            for event in events:
                first = checked == 0 and event.place != 1
                if not first and (event.place != place + 1 or not self._made_here(event, place + 1, before)):
                    broken = place + 1
                    break
                place, before = event.place or 0, event.seal or ""
                checked += 1
        return AuditCheck(checked=checked, broken=broken)

    def _made_here(self, event: AuditEvent, place: int, before: str) -> bool:
        return event.seal in [self._code(event, place, before, key) for key in self._keys]

    def _code(self, event: AuditEvent, place: int, before: str, key: bytes) -> str:
        told = [
            place, before, event.tenant, event.id, event.at.timestamp(), event.event, event.actor, event.target,
            event.address, event.detail,
        ]  # fmt: skip
        written = json.dumps(told, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hmac.new(key, written.encode(), hashlib.sha256).hexdigest()

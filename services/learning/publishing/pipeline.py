"""The pipeline of a release: checked, trained, proven by the services, ready; then `production` moves to it.

How far a release is stands in SQL, and who works on it holds it for a moment, again and again: when a replica is
killed, another one goes on, and every step may be done twice. Those of one assistant go one after another.
"""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.learning import repository
from services.learning.models import OPEN, ReleaseRow
from services.learning.publishing.following import Changes
from services.learning.publishing.store import BundleStore, DamagedBundle
from services.learning.publishing.trainer import Trainer, Training, TrainingFailed, TrainingRefused
from services.learning.settings import Settings
from shared.assistants.bundle import BundleError, read, unpack
from shared.assistants.clear_secrets import secrets_in
from shared.errors import ConfigurationError, Unavailable
from shared.nlu.assistant_files import load_manifest
from shared.storage.database import ALL_TENANTS, Database, now

__all__ = ["Pipeline", "model_of"]

log = structlog.get_logger(__name__)

HELD_SECONDS = 15.0
HOLD_AGAIN_SECONDS = 4.0
AWAY_SECONDS = 5.0
"""After so long a release is tried again whose database or store did not answer."""
SAY_SECONDS = 1.0
MAX_REASON = 4000
MAX_MODEL_NAME = 64
ATTEMPTS = 3
SHOWN_SECRETS = 20
PRODUCTION = "production"
WHOLE = "the whole model of release {number}"


class Refusal(Exception):
    """The release is not going to be ready; says why."""


class Lost(Exception):
    """Another replica has the release by now."""


class Obsolete(Refusal):
    """Nobody waits for it any more."""


def model_of(row: ReleaseRow, own_tenant: str) -> str:
    """What the models of a release are registered under."""
    return row.assistant if row.tenant == own_tenant else f"{row.tenant}.{row.assistant}"


class Pipeline:
    """Works on releases until it is cancelled."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: BundleStore,
        trainer: Trainer,
        changes: Changes,
        *,
        holder: str,
    ) -> None:
        """Args:
        holder: this replica, by a name that no other one has, nor this one after its next start.
        """
        self._settings = settings
        self._database = database
        self._store = store
        self._trainer = trainer
        self._changes = changes
        self._holder = holder
        self._registering: asyncio.Task[None] | None = None
        self._register_at = 0.0
        self._working: dict[bool, dict[str, asyncio.Task[None]]] = {False: {}, True: {}}
        self._kicked = asyncio.Event()
        self._reported = asyncio.Condition()

    def kick(self) -> None:
        """Has it look for work at once."""
        self._kicked.set()

    async def reported(self) -> None:
        """Has it look at once at what services say."""
        async with self._reported:
            self._reported.notify_all()

    async def run(self, beat: Callable[[], None]) -> None:
        """Looks for work until it is cancelled; what is in work then is left to others."""
        try:
            while True:
                beat()
                self._kicked.clear()
                try:
                    await self._look()
                except (SQLAlchemyError, Unavailable) as error:
                    log.warning("releases_not_read", error=type(error).__name__)
                if self._registering is None and time.monotonic() >= self._register_at:
                    self._registering = asyncio.create_task(self._register(), name="register")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.look_seconds):
                        await self._kicked.wait()
        finally:
            tasks = [task for working in self._working.values() for task in working.values()]
            tasks += [self._registering] if self._registering is not None else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        for whole, working in self._working.items():
            room = (1 if whole else self._settings.releases_at_once) - len(working)
            if room <= 0:
                continue
            async with self._database.reading(ALL_TENANTS) as session:
                ids = await repository.claimable(session, whole=whole, moment=now(), limit=room)
            for release_id in ids:
                moment = now()
                async with self._database.transaction(ALL_TENANTS) as session:
                    until = moment + timedelta(seconds=HELD_SECONDS)
                    row = await repository.claim(session, release_id, self._holder, moment, until)
                if row is not None:
                    task = asyncio.create_task(self._work(row), name=f"release-{row.id}")
                    working[row.id] = task
                    task.add_done_callback(partial(self._done, working, row.id))

    def _done(self, working: dict[str, asyncio.Task[None]], release_id: str, _task: asyncio.Task[None]) -> None:
        working.pop(release_id, None)
        self.kick()

    async def _work(self, row: ReleaseRow) -> None:
        """All that is left to do with a release that is held."""
        facts = {"release": row.id, "assistant": row.assistant, "number": row.number}
        held = False
        try:
            async with self._held(row):
                try:
                    await self._advance(row)
                except Refusal as error:
                    await self._refuse(row, str(error))
                    log.info("release_refused", **facts)
        except Lost:
            log.warning("release_lost", **facts)
        except (SQLAlchemyError, Unavailable) as error:
            held = True
            log.warning("release_postponed", error=type(error).__name__, **facts)
        except Exception as error:
            # What failed once without a known reason would fail for ever, and keep those behind it waiting.
            log.error("release_failed", error=type(error).__name__, exc_info=error, **facts)
            with suppress(SQLAlchemyError, Unavailable, Lost):
                await self._refuse(row, f"an unexpected {type(error).__name__}; the logs of learning have the details")
        finally:
            await asyncio.to_thread(shutil.rmtree, self._folder(row).parent, ignore_errors=True)
            with suppress(SQLAlchemyError, Unavailable):
                async with self._database.transaction(ALL_TENANTS) as session:
                    if held:
                        until = now() + timedelta(seconds=AWAY_SECONDS)
                        await repository.hold(session, row.id, self._holder, until)
                    else:
                        await repository.let_go(session, row.id, self._holder)

    @asynccontextmanager
    async def _held(self, row: ReleaseRow) -> AsyncIterator[None]:
        """Holds a release for as long as this takes; what is done inside ends when it cannot be held any longer.

        Raises:
            Lost: another replica may have it.
            Obsolete: nobody waits for it.
        """
        task = asyncio.current_task()
        assert task is not None
        ended: list[Exception] = []

        async def hold() -> None:
            held = time.monotonic()
            while not ended:
                await asyncio.sleep(HOLD_AGAIN_SECONDS)
                try:
                    async with self._database.transaction(ALL_TENANTS) as session:
                        mine = await repository.hold(
                            session, row.id, self._holder, now() + timedelta(seconds=HELD_SECONDS)
                        )
                except (SQLAlchemyError, Unavailable):
                    mine = time.monotonic() - held < HELD_SECONDS - HOLD_AGAIN_SECONDS
                else:
                    held = time.monotonic()
                if not mine:
                    ended.append(Lost())
                    task.cancel()

        holding = asyncio.create_task(hold(), name=f"hold-{row.id}")
        try:
            yield
        except asyncio.CancelledError:
            if ended and task.uncancel() == 0:
                raise ended[0] from None
            raise
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)

    async def _advance(self, row: ReleaseRow) -> None:
        steps = {"checking": self._check, "training": self._train, "proving": self._prove}
        while row.state in OPEN:
            row = await steps[row.state](row)

    async def _check(self, row: ReleaseRow) -> ReleaseRow:
        """Whether the files can be those of this assistant; what is in them, training and services say."""
        folder = await self._unpacked(row)
        try:
            manifest = await asyncio.to_thread(load_manifest, folder)
        except ConfigurationError as error:
            raise Refusal(str(error).replace(f"{folder}/", "")) from None
        if manifest.name != row.assistant:
            raise Refusal(f"assistant.yml: this is the assistant {manifest.name}, not {row.assistant}")
        if len(name := model_of(row, self._settings.tenant)) > MAX_MODEL_NAME:
            raise Refusal(f"the name of its model, {name}, has more than {MAX_MODEL_NAME} characters")
        return await self._update(row, state="training", reason="")

    async def _train(self, row: ReleaseRow) -> ReleaseRow:
        folder = await self._unpacked(row)
        async with self._database.reading(ALL_TENANTS) as session:
            known = await repository.known_versions(session, row)
        name = model_of(row, self._settings.tenant)
        said = 0.0

        async def say(words: str) -> None:
            nonlocal said
            if time.monotonic() - said < SAY_SECONDS:
                return
            said = time.monotonic()
            if row.whole:
                await self._require_wanted(row)
            await self._update(row, reason=words)

        training = Training(folder=folder, name=name, soon=not row.whole, forced=row.forced, known=known)
        try:
            made = await self._trainer.train(training, say)
        except (TrainingRefused, TrainingFailed) as error:
            raise Refusal(str(error)) from None
        until = now() + timedelta(seconds=self._settings.proving_seconds)
        return await self._update(
            row,
            state="proving",
            reason="",
            model=name,
            model_version=made.version,
            preliminary=made.preliminary,
            proven_by=until,
        )

    async def _prove(self, row: ReleaseRow) -> ReleaseRow:
        """Waits for one instance of each service that can use it; the first that cannot decides."""
        while True:
            async with self._reported:
                async with self._database.reading(ALL_TENANTS) as session:
                    reports = await repository.reports_of(session, row.id)
                for report in reports:
                    if not report.loaded:
                        raise Refusal(f"{report.service} cannot use it: {report.reason or 'it does not say why'}")
                missing = set(self._settings.provers) - {report.service for report in reports}
                if not missing:
                    break
                if row.proven_by is not None and now() >= row.proven_by:
                    seconds = f"{self._settings.proving_seconds:.0f} s"
                    raise Refusal(f"{', '.join(sorted(missing))} did not load it within {seconds}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.look_seconds):
                        await self._reported.wait()
        for attempt in range(ATTEMPTS):
            try:
                return await self._finish(row)
            except IntegrityError:
                # Somebody has just published: the number that the whole model was to get is taken.
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _finish(self, row: ReleaseRow) -> ReleaseRow:
        """Ready, and what follows from it, in one transaction."""
        async with self._database.transaction(ALL_TENANTS) as session:
            # Whoever else moves an alias waits here.
            await repository.change(session)
            ready = await repository.update_release(session, row.id, self._holder, state="ready", reason="")
            if ready is None:
                raise Lost
            # Whether it is to be live may have changed since it was read.
            wanted = ready.live and (not row.whole or await repository.is_lived_by(session, row))
            if wanted:
                known = await repository.find_production(session, row)
                await repository.move_alias(session, ready, PRODUCTION, 1.0, row.created_by, now(), known)
            if wanted and ready.preliminary and not row.whole:
                await repository.add_release(session, whole_model_of(ready))
        self._changes.kick()
        self.kick()
        log.info("release_ready", release=row.id, assistant=row.assistant, number=row.number, live=wanted)
        return ready

    async def _require_wanted(self, row: ReleaseRow) -> None:
        async with self._database.reading(ALL_TENANTS) as session:
            if not await repository.is_lived_by(session, row):
                raise Obsolete("other files are in production by now")

    async def _refuse(self, row: ReleaseRow, reason: str) -> None:
        await self._update(row, state="refused", reason=reason[:MAX_REASON])
        self.kick()

    async def _update(self, row: ReleaseRow, **values: object) -> ReleaseRow:
        """Raises `Lost` when another replica has the release."""
        followed = "proving" in (row.state, values.get("state"))
        async with self._database.transaction(ALL_TENANTS) as session:
            if followed:
                await repository.change(session)
            changed = await repository.update_release(session, row.id, self._holder, **values)
        if changed is None:
            raise Lost
        if followed:
            self._changes.kick()
        return changed

    def _folder(self, row: ReleaseRow) -> Path:
        return self._settings.home.absolute() / "data" / "publishing" / f"{row.id}-{self._holder}" / row.assistant

    async def _unpacked(self, row: ReleaseRow) -> Path:
        """The files of a release, without secrets in them."""
        folder = self._folder(row)
        if folder.is_dir():
            return folder
        try:
            data = await self._store.get(row.bundle)
            files = await asyncio.to_thread(read, data)
            if found := await asyncio.to_thread(secrets_in, files):
                raise Refusal("\n".join(found[:SHOWN_SECRETS]))
            await asyncio.to_thread(unpack, data, folder)
        except DamagedBundle as error:
            raise Refusal(f"{error}; upload it again") from None
        except BundleError as error:
            raise Refusal(str(error)) from None
        except OSError as error:
            raise Unavailable(f"the bundle cannot be unpacked: {error.strerror}") from error
        return folder

    async def _register(self) -> None:
        """Tells the registry of models what is in production, once for each move; it is told again until it knows."""
        try:
            async with self._database.reading(ALL_TENANTS) as session:
                waiting = await repository.unregistered(session)
            for alias, release in waiting:
                await self._trainer.point(release.model, release.model_version)
                async with self._database.transaction(ALL_TENANTS) as session:
                    await repository.set_registered(session, alias, release.model_version)
        except (SQLAlchemyError, Unavailable, TrainingFailed, TrainingRefused) as error:
            log.warning("model_not_registered", error=type(error).__name__, reason=str(error)[:200])
            self._register_at = time.monotonic() + AWAY_SECONDS
        finally:
            self._registering = None


def whole_model_of(row: ReleaseRow) -> ReleaseRow:
    """The release that replaces one with a quickly made model."""
    return ReleaseRow(
        tenant=row.tenant,
        assistant=row.assistant,
        bundle=row.bundle,
        bundle_bytes=row.bundle_bytes,
        state="checking",
        reason=WHOLE.format(number=row.number),
        created_by=row.created_by,
        live=True,
        forced=False,
        whole=True,
    )

"""Wiring of the dialogue service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.dialogue.actions.outbox import ActionOutbox, action_relay
from services.dialogue.actions.results import follow_results
from services.dialogue.api import auth, conversations, dead_letters, dead_turns, decisions, desk, pages, visits
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.assistants import Assistants
from services.dialogue.conversation.models import Installation
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.opening import Openings
from services.dialogue.conversation.processor import Turns
from services.dialogue.conversation.reader import Reader
from services.dialogue.conversation.retention.repository import delete_conversations
from services.dialogue.conversation.session import SESSION, TIMERS
from services.dialogue.conversation.stream import Streams
from services.dialogue.conversation.turn import TurnTaker
from services.dialogue.desk.ownership import Desk
from services.dialogue.desk.waiting import measure_waiting
from services.dialogue.limits import Limits
from services.dialogue.settings import Settings
from shared.http.root_path import RootPath
from shared.http.service import ServiceContext, create_service
from shared.queue.installation import claim_prefix
from shared.queue.references import RESULTS, References
from shared.releases.follower import LOOP, Follower, has_learning
from shared.releases.shelf import Shelf
from shared.storage.database import Database
from shared.storage.installation import identity_of
from shared.storage.migrations import bring_up
from shared.storage.retention import RETENTION, Kept, Retention
from shared.storage.timers import TimerLoop

__all__ = ["create_app"]

LOOP_MAX_AGE_SECONDS = 60.0


def create_app(settings: Settings | None = None) -> FastAPI:
    """The dialogue service: conversations, turns, the gateway and the chat page."""
    settings = settings or Settings()
    built_in = load_assistant(settings.assistant)

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        await bring_up("dialogue", settings)
        identity = await identity_of(database, Installation)
        await claim_prefix(settings.redis_url, settings.installation, "dialogue", identity)
        assistants = Assistants(built_in, settings.companies)
        wakes = Wakes(settings.redis_url, settings.installation)
        taker = TurnTaker(
            settings=settings,
            database=database,
            assistants=assistants,
            client=context.client,
            on_action=lambda: relay.kick(),
        )
        turns = Turns(settings=settings, database=database, taker=taker, wakes=wakes)

        def beat(loop: str) -> None:
            context.health.beat(loop, max_age=LOOP_MAX_AGE_SECONDS)

        limits = Limits(settings, queued=lambda: turns.queued)
        outbox = ActionOutbox(settings, database, context.client, turns.finish_action)
        relay = action_relay(database, outbox)
        results = References(settings.redis_url, settings.installation, RESULTS)
        conversations_kept = Kept(what="conversations", days=settings.conversation_days, delete=delete_conversations)
        retention = Retention(database, TIMERS, settings.tenant, [conversations_kept])
        await retention.begin()
        timers = TimerLoop(database, TIMERS, {SESSION: taker.end_session, RETENTION: retention.on_timer})
        streams, reader = Streams(database, wakes), Reader(database, wakes)
        app.state.turns, app.state.wakes, app.state.database, app.state.limits = turns, wakes, database, limits
        app.state.desk, app.state.streams, app.state.relay = Desk(database, wakes), streams, relay
        app.state.openings = Openings(database, assistants, taker)
        follower = Follower(
            "dialogue",
            context.instance,
            Shelf(settings.home / "data" / "releases" / "dialogue"),
            assistants,
            context.client,
            follows=has_learning(settings),
            beat=partial(beat, LOOP),
        )
        await follower.begin()
        wakes.start(partial(beat, "wakes"))

        async def end_streams() -> None:
            await context.health.stopping.wait()
            streams.stop()
            wakes.wake_all()

        loops = [
            asyncio.create_task(follower.run(), name="releases"),
            asyncio.create_task(relay.run(partial(beat, "outbox")), name="outbox"),
            asyncio.create_task(
                follow_results(results, outbox.news, relay.kick, partial(beat, "results")), name="results"
            ),
            asyncio.create_task(turns.recover(partial(beat, "recovery")), name="recovery"),
            asyncio.create_task(timers.run(partial(beat, "timers")), name="timers"),
            asyncio.create_task(reader.run(partial(beat, "reader")), name="reader"),
            asyncio.create_task(measure_waiting(database, partial(beat, "desk")), name="desk"),
            asyncio.create_task(streams.run(partial(beat, "streams")), name="streams"),
            asyncio.create_task(end_streams(), name="end-streams"),
        ]
        try:
            yield
        finally:
            await turns.close()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await follower.close()
            await streams.close()
            await results.close()
            await wakes.close()
            await limits.close()
            await database.close()

    database = Database(settings.database("dialogue"))
    app = create_service(
        settings,
        name="dialogue",
        description="The conversation: takes messages, answers them, and serves the chat page.",
        direct=[conversations.DIRECT],
        routers=[
            conversations.router,
            visits.router,
            desk.router,
            decisions.router,
            dead_letters.router,
            dead_turns.router,
            auth.router,
            pages.router,
        ],
        lifespan=lifespan,
        ready_checks={"database": database.check},
    )
    app.mount("/static", pages.Assets(directory=pages.PAGES), name="static")
    if settings.root_path:
        app.add_middleware(RootPath, path=settings.root_path)
    return app

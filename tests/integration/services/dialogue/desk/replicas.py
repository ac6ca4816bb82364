"""Two replicas of dialogue on one database, whose turns can be killed at any point, and what stood in each transaction.

Nothing but clicks on quick replies is said, so that no model is asked. A trigger notes who had the floor at the moment
when an entry was inserted: the proof is read from the database and not from the code that is to be proven.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

from sqlalchemy import text

from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.assistant.assistants import Assistants
from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.opening import Openings
from services.dialogue.conversation.processor import Turns
from services.dialogue.conversation.repository import ConversationRow
from services.dialogue.conversation.turn import TurnTaker
from services.dialogue.desk.ownership import Desk
from services.dialogue.desk.repository import HandoffRow, open_handoff
from services.dialogue.settings import Settings
from shared import faults
from shared.calls.client import ServiceClient
from shared.contracts.actions import ActionResult
from shared.errors import Conflict, Unavailable
from shared.http.auth import Principal
from shared.storage.database import Database
from tests.stack import eventually
from tests.unit.services.dialogue.assistants import write_assistant

__all__ = ["AGENTS", "CUSTOMER", "Course", "Replicas", "replicas", "result_of"]

TENANT = "default"
CUSTOMER = Principal(subject="customer", tenant=TENANT, customer="C1001")
AGENTS = tuple(
    Principal(subject=name, tenant=TENANT, roles=frozenset({role}))
    for name, role in (("anna", "agent"), ("ben", "agent"), ("sue", "supervisor"))
)
REFUSED = (Conflict, Unavailable)
RECOVERED_SECONDS = 15.0
"""What was killed may have left its lease behind, for as long as that lasts."""
CRASH_POINT = "dialogue.turn.before_commit"

FLOWS = """
actions: {book: {}}
lookups: {}
---
flow: ask_human
title: {zh: 人工, en: A person}
intents: [ask_human]
clears: true
steps: [{handoff: asked, reply: person_comes}]
---
flow: greet
intents: [greet]
steps: [{reply: hello}]
---
flow: book
title: {zh: 订位, en: Booking}
intents: [book]
steps:
  - action: book
    reply: booked
    on_result: {succeeded: pay_cash}
---
flow: pay
title: {zh: 付款, en: Paying}
intents: [pay]
slots:
  way: {name: {zh: 方式, en: Way}, ask: ask_way, options: [{title: {zh: 卡, en: Card}}]}
steps: [{collect: way}]
"""

WATCH = {
    "sqlite": [
        "CREATE TABLE watched (conversation_id TEXT, seq INTEGER, floor TEXT)",
        "CREATE TRIGGER watch AFTER INSERT ON entries BEGIN INSERT INTO watched"
        " SELECT NEW.conversation_id, NEW.seq, floor FROM conversations WHERE id = NEW.conversation_id; END",
    ],
    "postgresql": [
        "CREATE TABLE watched (conversation_id TEXT, seq INTEGER, floor TEXT)",
        "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO watched"
        " SELECT NEW.conversation_id, NEW.seq, floor FROM conversations WHERE id = NEW.conversation_id;"
        " RETURN NEW; END $$",
        "CREATE TRIGGER watch AFTER INSERT ON entries FOR EACH ROW EXECUTE FUNCTION watch()",
    ],
}


@dataclass
class Replicas:
    """The replicas, the desk of each, and the database that they share."""

    database: Database
    openings: Openings
    turns: list[Turns]
    desks: list[Desk]

    async def opened(self, customer: Principal = CUSTOMER) -> str:
        """A new conversation of a customer."""
        return (await self.openings.open(customer, assistant=None, language="en")).id

    async def read(self, conversation: str) -> tuple[ConversationRow, HandoffRow | None]:
        """A conversation and its open hand-off."""
        return await self.database.read(
            TENANT,
            lambda unit: (repository.find_conversation(unit, conversation), open_handoff(unit, conversation)),
        )

    async def rows(self, sql: str, **values: Any) -> list[Any]:
        """What the database has, as it stands there."""
        async with self.database.engine.connect() as connection:
            return list((await connection.execute(text(sql), values)).all())


@asynccontextmanager
async def replicas(folder: Path, database: Database, redis_url: str) -> AsyncIterator[Replicas]:
    """Starts both."""
    settings = Settings(home=folder, redis_url=redis_url, answer_seconds=5, lease_seconds=1)
    assistants = Assistants(load_assistant(write_assistant(folder / "assistant", flows=FLOWS)))
    async with AsyncExitStack() as stack:
        turns, desks = list[Turns](), list[Desk]()
        for statement in WATCH[database.engine.dialect.name]:
            async with database.engine.begin() as connection:
                await connection.execute(text(statement))
        faults.configure({CRASH_POINT: 0.001})
        stack.callback(faults.configure, {})
        for _ in range(2):
            wakes = Wakes(redis_url, "zhiyin")
            wakes.start()
            stack.push_async_callback(wakes.close)
            taker = TurnTaker(
                settings=settings,
                database=database,
                assistants=assistants,
                client=cast(ServiceClient, None),
                on_action=lambda: None,
            )
            each = Turns(settings=settings, database=database, taker=taker, wakes=wakes)
            stack.push_async_callback(each.close)
            turns.append(each)
            desks.append(Desk(database, wakes))
        yield Replicas(database, Openings(database, assistants, taker), turns, desks)


def result_of(action_id: str, conversation: str, status: Any = "succeeded") -> ActionResult:
    """What business reports of an action."""
    return ActionResult(
        action_id=action_id, tenant=TENANT, name="book", conversation_id=conversation, status=status, version=1
    )


class Course:
    """One random course of a conversation: everything at once, some of it killed; afterwards the promises are checked.

    A kill cancels what is under way, wherever it stands, as the end of a process would.
    """

    def __init__(
        self, around: Replicas, customer: Principal, conversation: str, seed: int, happened: Counter[str]
    ) -> None:
        self.around = around
        self.customer = customer
        self.conversation = conversation
        self.random = Random(seed)
        self.happened = happened
        self.running: list[asyncio.Task[None]] = []
        self.said: set[str] = set()
        self.replied: set[str] = set()
        self.told: set[str] = set()

    async def run(self, steps: int) -> None:
        """Lets it happen, and what is left over come to its end."""
        for step in range(steps):
            self.running.append(asyncio.create_task(self._happen(f"{step}"), name=self.conversation))
            if self.random.random() < 0.5:
                await asyncio.wait(self.running)
            for _ in range(self.random.choice((0, 1, 5, 20))):
                await asyncio.sleep(0)
        await asyncio.wait(self.running)
        await self._settled()
        # What was killed is picked up, as by recovery.
        await eventually(self._nothing_waits, RECOVERED_SECONDS, what="an answer to what was killed")
        for action in await self._actions():
            await self._result(action)

    async def _nothing_waits(self) -> bool:
        await self.around.turns[0].drain(TENANT, self.conversation)
        return (await self.around.read(self.conversation))[0].pending_since is None

    async def _settled(self) -> None:
        """What was cancelled while the database was at it is over when the conversation can be written again."""
        async with self.around.database.engine.begin() as connection:
            sql = text("UPDATE conversations SET updated_at = updated_at WHERE id = :conversation")
            await connection.execute(sql, {"conversation": self.conversation})

    async def _happen(self, name: str) -> None:
        what = self.random.choices((self._say, self._desk, self._some_result, self._kill), weights=(5, 7, 2, 1))[0]
        try:
            await what(name)
        except REFUSED as refused:
            self.happened[f"refused: {type(refused).__name__}"] += 1

    async def _say(self, name: str) -> None:
        choice = self.random.choices(("greet", "pay", "book", "ask_human"), weights=(3, 2, 2, 4))[0]
        turns = self.random.choice(self.around.turns)
        await turns.say(self.customer, self.conversation, message_id=name, text=choice, choice=f"intent:{choice}")
        self.said.add(name)

    async def _desk(self, name: str) -> None:
        _, handoff = await self.around.read(self.conversation)
        if handoff is None:
            return
        agent, desk = self.random.choice(AGENTS), self.random.choice(self.around.desks)
        mine = next((each for each in AGENTS if each.subject == handoff.agent), agent)
        match self.random.choice(
            ("claim", "claim", "claim", "release", "hand_on", "take_over", "reply", "close", "close")
        ):
            case "claim":
                await desk.claim(agent, handoff.id)
                self.happened["claim"] += 1
            case "release":
                await desk.release(mine, handoff.id)
                self.happened["release"] += 1
            case "hand_on":
                other = next(each for each in AGENTS if each.subject != mine.subject)
                await desk.hand_on(mine, handoff.id, to=other.subject)
                self.happened["hand_on"] += 1
            case "take_over":
                await desk.take_over(AGENTS[2], handoff.id)
                self.happened["take_over"] += 1
            case "reply":
                await desk.reply(mine, self.conversation, f"reply {name}", close=self.random.random() < 0.2)
                self.replied.add(f"reply {name}")
            case "close":
                note = self.random.choice((None, f"note {name}"))
                await desk.close(mine, handoff.id, note=note, read_to=None)
                if note is not None:
                    self.replied.add(note)
                self.happened["close"] += 1

    async def _actions(self) -> list[str]:
        sql = "SELECT action_id FROM outbox WHERE conversation_id = :conversation ORDER BY action_id"
        return [row[0] for row in await self.around.rows(sql, conversation=self.conversation)]

    async def _some_result(self, _name: str) -> None:
        if actions := await self._actions():
            await self._result(self.random.choice(actions))

    async def _result(self, action: str) -> None:
        await self.random.choice(self.around.turns).finish_action(result_of(action, self.conversation))
        self.told.add(action)

    async def _kill(self, _name: str) -> None:
        victims = [task for task in self.running if not task.done() and task is not asyncio.current_task()]
        for task in victims:
            if self.random.random() < 0.5:
                task.cancel()
                self.happened["killed"] += 1
        for task in asyncio.all_tasks():
            # A turn goes on without its client, so it is ended where it runs: those of other conversations, too.
            work: Any = task.get_coro()
            begun = inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_SUSPENDED
            if begun and work.__qualname__ == "Turns._logged" and self.random.random() < 0.1:
                task.cancel()
                self.happened["killed in a turn"] += 1

    async def check(self) -> None:
        """Everything that was promised, as the database has it."""
        conversation, open_one = await self.around.read(self.conversation)
        floors = {
            row[0]: row[1]
            for row in await self.around.rows(
                "SELECT seq, floor FROM watched WHERE conversation_id = :conversation", conversation=self.conversation
            )
        }
        events = await self.around.database.read(
            TENANT, lambda unit: repository.events_after(unit, self.conversation, 0, 10_000)
        )
        agents = {agent.subject for agent in AGENTS}

        assert [event.seq for event in events] == list(range(1, conversation.last_seq + 1)), "no gap"
        for event in events:
            if event.sender == "assistant":
                assert floors[event.seq] not in agents, f"the assistant talks over a person: {event}"
            if event.kind == "notice":
                assert floors[event.seq] != "assistant"
        ids = Counter(event.message_id for event in events if event.message_id)
        assert set(ids.values()) <= {1}
        assert self.said <= set(ids), "what was accepted is there"

        names = Counter(event.data.get("reply") for event in events)
        handoffs = await self.around.rows(
            "SELECT id, status, agent, told FROM handoffs WHERE conversation_id = :conversation",
            conversation=self.conversation,
        )
        assert names["person_comes"] == len(handoffs), "what was promised to the customer stands in the queue"
        assert names["handoff_waiting"] == sum(bool(each.told) for each in handoffs)
        self.happened["hand-off"] += len(handoffs)
        self.happened["another hand-off"] += max(0, len(handoffs) - 1)

        answered = {event.in_reply_to for event in events if event.sender == "assistant"}
        last_handoff = max((event.seq for event in events if event.data.get("reply") == "person_comes"), default=0)
        for event in events:
            if event.sender == "customer" and event.seq not in answered and floors[event.seq] == "assistant":
                assert event.seq < last_handoff, f"lost: {event}"
        assert conversation.pending_since is None

        if conversation.floor == "assistant":
            assert open_one is None
            assert conversation.status == "open"
        else:
            assert open_one is not None, "a person is waited for whom nobody sees"
            waits = conversation.floor == "queue"
            assert (open_one.status, open_one.agent) == (
                ("waiting", None) if waits else ("claimed", conversation.floor)
            )
            assert conversation.status == ("waiting_for_agent" if waits else "with_agent")

        said = Counter(event.text for event in events if event.sender == "agent")
        assert self.replied <= set(said)
        assert set(said.values()) <= {1}
        assert self.told == set(await self._actions())
        assert names["booked"] == names["pay_cash"] == len(self.told), "each action is done and told once"
        self.happened["notice"] += sum(event.kind == "notice" for event in events)

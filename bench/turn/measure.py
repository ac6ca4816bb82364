"""Customers who chat, and what their turns cost."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.turn.results import LongConversation, Row
from tests.stack import RunningStack

__all__ = ["CLIENTS", "long_conversation", "measure", "measure_rasa", "warm_up"]

CLIENTS = (1, 8, 32)
TURNS_A_CLIENT = {1: 240, 8: 48, 32: 24}
WARM_UP_TURNS = 60
WINDOW = 50
"""Turns at a conversation's beginning and end whose medians are compared."""

CUSTOMER = "lilei"
MESSAGES = (
    "我的订单 20261103001 到哪了？",
    "how long does delivery usually take?",
    "谢谢",
    "what is your return policy?",
    "20261103002 这个订单发货了吗",
    "hello there",
)
FOUND = {MESSAGES[0]: "SF1234567890", MESSAGES[4]: "20261103002"}
"""What stands in the reply only if the order was found."""

PROCESSES = ("dialogue", "business", "intent", "login", "worker")
AUTH = "zhiyin_token_verify_seconds_sum"
STAGE = "zhiyin_turn_stage_seconds"
STAGES = {
    "SQL": ("accept", "load", "commit", "replies"),
    "intent": ("understand",),
    "flow": ("decide",),
    "business": ("lookup",),
}


@dataclass(frozen=True)
class Chat:
    """One customer's conversation, opened and ready for its first message."""

    session: aiohttp.ClientSession
    base: str
    token: str
    conversation: str

    async def say(self, turns: int, first: int = 0) -> list[float]:
        """Seconds of each turn, beginning with the message `first` of all."""
        seconds = []
        for number in range(turns):
            text = MESSAGES[(first + number) % len(MESSAGES)]
            body = {"message_id": f"m{number}", "text": text}
            started = time.perf_counter()
            answer = await _post(
                self.session, f"{self.base}/v1/conversations/{self.conversation}/messages", body, self.token
            )
            seconds.append(time.perf_counter() - started)
            if not answer["complete"]:
                raise RuntimeError("a turn was not answered in time")
            if text in FOUND and not any(FOUND[text] in reply["text"] for reply in answer["replies"]):
                raise RuntimeError(f"the order was not found: {answer['replies']}")
        return seconds


@dataclass(frozen=True)
class _Spent:
    """Seconds that dialogue has spent so far by part, and how many look-ups it has made."""

    parts: Mapping[str, float]
    lookups: int


async def warm_up(session: aiohttp.ClientSession, stack: RunningStack) -> None:
    """Some turns that are not measured."""
    await (await _open(session, stack)).say(WARM_UP_TURNS)


async def measure(session: aiohttp.ClientSession, stack: RunningStack, who: str, clients: int) -> Row:
    """`clients` customers at once, each in a conversation that was opened before."""
    chats = [await _open(session, stack) for _ in range(clients)]
    before, used_before = await _spent(session, stack.url), _processor_seconds(_pids(stack))
    wall, seconds = await _timed([partial(chat.say, TURNS_A_CLIENT[clients], i) for i, chat in enumerate(chats)])
    after, used = await _spent(session, stack.url), _processor_seconds(_pids(stack))
    total = sum(seconds)
    shares = {part: (after.parts[part] - before.parts[part]) / total for part in after.parts}
    shares["rest"] = max(0.0, 1 - sum(shares.values()))
    lookups = after.lookups - before.lookups
    spent = {name: used[name] - used_before[name] for name in used}
    return _row(
        who, clients, wall, seconds, spent, shares=shares, lookups=lookups, lookup=spent["business"] * 1000 / lookups
    )


async def long_conversation(
    session: aiohttp.ClientSession, stack: RunningStack, who: str, messages: int
) -> LongConversation:
    """One conversation of many messages: what its first turns took beside its last ones."""
    chat = await _open(session, stack)
    used = _processor_seconds(_pids(stack))["dialogue"]
    seconds = await chat.say(messages)
    used = _processor_seconds(_pids(stack))["dialogue"] - used
    first, last = (statistics.median(each) * 1000 for each in (seconds[:WINDOW], seconds[-WINDOW:]))
    return LongConversation(who=who, messages=messages, first=first, last=last, processor=used * 1000 / messages)


async def measure_rasa(session: aiohttp.ClientSession, url: str, pid: int) -> list[Row]:
    """The same customers with Rasa."""

    async def say(sender: str, turns: int, first: int = 0) -> list[float]:
        seconds = []
        for number in range(turns):
            body = {"sender": sender, "message": MESSAGES[(first + number) % len(MESSAGES)]}
            started = time.perf_counter()
            if not await _post(session, f"{url}/webhooks/rest/webhook", body):
                raise RuntimeError("Rasa did not answer")
            seconds.append(time.perf_counter() - started)
        return seconds

    await say("warm-up", WARM_UP_TURNS)
    rows = []
    for clients in CLIENTS:
        before = _processor_seconds({"rasa": pid})
        wall, seconds = await _timed(
            [partial(say, f"{clients}-{client}", TURNS_A_CLIENT[clients], client) for client in range(clients)]
        )
        used = _processor_seconds({"rasa": pid})
        rows.append(_row("Rasa", clients, wall, seconds, {"rasa": used["rasa"] - before["rasa"]}))
    return rows


async def _open(session: aiohttp.ClientSession, stack: RunningStack) -> Chat:
    """A conversation of a customer who has orders."""
    account = {"username": CUSTOMER, "password": stack.bootstrap.password(CUSTOMER)}
    token = (await _post(session, f"{stack.url}/v1/auth/login", account))["access_token"]
    conversation = (await _post(session, f"{stack.url}/v1/conversations", {}, token))["id"]
    return Chat(session, stack.url, token, conversation)


async def _post(session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], token: str = "") -> Any:
    """The JSON answer of a POST; any error status ends the benchmark."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.post(url, json=body, headers=headers) as response:
        response.raise_for_status()
        return await response.json()


async def _timed(talks: Sequence[Callable[[], Awaitable[list[float]]]]) -> tuple[float, list[float]]:
    """Seconds that all took together, and of each turn."""
    started = time.perf_counter()
    runs = await asyncio.gather(*(talk() for talk in talks))
    return time.perf_counter() - started, [each for run in runs for each in run]


def _row(who: str, clients: int, wall: float, seconds: list[float], spent: Mapping[str, float], **more: Any) -> Row:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return Row(
        who=who,
        clients=clients,
        turns=len(seconds),
        turns_per_second=len(seconds) / wall,
        p50=cuts[49] * 1000,
        p95=cuts[94] * 1000,
        p99=cuts[98] * 1000,
        processor={name: each * 1000 / len(seconds) for name, each in spent.items()},
        **more,
    )


def _pids(stack: RunningStack) -> dict[str, int]:
    return {name: stack.pid(name) for name in PROCESSES}


def _processor_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """Seconds of processor time that each process has used so far."""
    times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items()}
    return {name: each.user + each.system for name, each in times.items()}


async def _spent(session: aiohttp.ClientSession, base: str) -> _Spent:
    async with session.get(f"{base}/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    samples = [sample for family in families for sample in family.samples]
    parts = {"auth": sum(sample.value for sample in samples if sample.name == AUTH)}
    for part, stages in STAGES.items():
        parts[part] = sum(
            sample.value for sample in samples if sample.name == f"{STAGE}_sum" and sample.labels["stage"] in stages
        )
    lookups = (each.value for each in samples if each.name == f"{STAGE}_count" and each.labels["stage"] == "lookup")
    return _Spent(parts, int(sum(lookups)))

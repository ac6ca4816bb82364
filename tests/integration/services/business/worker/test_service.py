import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from redis.asyncio import Redis as RedisClient
from sqlalchemy import text

from cli.process import wait_until
from cli.stack import http_answers
from services.business import repository
from services.business.actions.ledger import BEFORE_COMMIT
from services.business.actions.results import GAVE_UP
from services.business.shop.repository import order_of_customer
from tests.externals import Consul, Redis
from tests.integration.services.business.shop import Shop, children, is_running


async def test_the_same_action_sent_three_times_is_done_once(open_shop: Shop) -> None:
    shop = open_shop
    request = shop.refund("20261103003")

    for _ in range(3):
        await shop.send(request)
    result = await shop.result(request)

    assert result.status == "succeeded"
    async with shop.database.reading("default") as session:
        order = await order_of_customer(session, "C1001", "20261103003")
    assert order is not None
    assert [refund.status for refund in order.refunds] == ["done"]

    async def marked() -> bool:
        record = await shop.record(request)
        return record is not None and record.published_version == 1

    await shop.until(marked, "the result was not marked")


async def test_a_worker_killed_in_the_middle_of_a_refund_refunds_once(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 60})
    await shop.send(request)
    await shop.until_logged("fault_point_reached")

    await shop.kill_worker()
    assert await shop.paid() == 0
    record = await shop.record(request)
    assert record is not None
    assert (record.status, record.attempts) == ("started", 1)

    await shop.start_worker()
    await shop.send(request)
    assert (await shop.result(request)).status == "succeeded"
    assert await shop.paid() == 1


async def test_a_killed_process_of_the_pool_is_replaced_and_its_action_done_by_another(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 2}, concurrency=1)
    await shop.send(request)
    await shop.until_logged("fault_point_reached")

    (performing,) = children(shop.consumer_pid())
    os.kill(performing, signal.SIGKILL)

    assert (await shop.result(request)).status == "succeeded"
    assert await shop.paid() == 1
    record = await shop.record(request)
    assert record is not None
    assert record.attempts == 2


async def test_celery_is_started_again_when_it_dies(shop: Shop) -> None:
    await shop.start_worker()
    before = shop.consumer_pid()
    pool = children(before)
    os.kill(before, signal.SIGKILL)

    await shop.until_logged("consumer_ended")

    async def gone() -> bool:
        return not any(is_running(pid) for pid in pool)

    await shop.until(gone, "the pool goes on without Celery's main process")
    assert await wait_until(http_answers(f"{shop.url}/health/ready"), 30)

    assert shop.consumer_pid() != before
    request = shop.refund()
    await shop.send(request)
    assert (await shop.result(request)).status == "succeeded"
    assert await shop.metric("zhiyin_worker_restarts_total") == 1


@pytest.mark.long
async def test_celery_is_started_again_when_it_stands_still(shop: Shop) -> None:
    await shop.start_worker(stall_seconds=4)
    os.kill(shop.consumer_pid(), signal.SIGSTOP)

    await shop.until_logged("consumer_stalled")
    await shop.until_logged("consumer_ended")
    assert await wait_until(http_answers(f"{shop.url}/health/ready"), 30)

    request = shop.refund()
    await shop.send(request)
    assert (await shop.result(request)).status == "succeeded"


@pytest.mark.long
async def test_celery_does_not_outlive_its_worker(shop: Shop) -> None:
    await shop.start_worker()
    assert shop.worker is not None
    orphan = shop.consumer_pid()

    os.kill(shop.worker.pid, signal.SIGKILL)

    async def gone() -> bool:
        return not is_running(orphan)

    await shop.until(gone, "Celery goes on without anybody who looks after it")


async def test_a_poisonous_action_is_given_up_and_the_queue_goes_on(shop: Shop) -> None:
    async with shop.database.transaction("default") as session:
        await session.execute(text("DROP TABLE tickets"))
    poison, healthy = shop.action("open_ticket", subject="坏了"), shop.refund()
    await shop.start_worker()

    await shop.send(poison)
    await shop.send(healthy)

    assert (await shop.result(healthy)).status == "succeeded"
    given_up = await shop.result(poison)
    assert (given_up.status, given_up.error_code) == ("failed", GAVE_UP)
    async with shop.database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, 10)
    assert (letter.action_id, letter.attempts) == (poison.id, shop.settings.max_attempts)
    assert "坏了" not in shop.log


async def test_an_action_that_takes_too_long_is_cut_off_and_counted(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 30}, action_seconds=0.3, max_attempts=2)
    await shop.send(request)

    result = await shop.result(request)

    assert (result.status, result.error_code) == ("failed", GAVE_UP)
    assert await shop.paid() == 0


@pytest.mark.long
async def test_a_process_that_hangs_is_killed_and_replaced(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 30}, action_seconds=29, hard_limit_seconds=2, concurrency=1)
    (hanging,) = children(shop.consumer_pid())
    await shop.send(request)
    await shop.until_logged("fault_point_reached")

    async def replaced() -> bool:
        now = children(shop.consumer_pid())
        return bool(now) and hanging not in now

    await shop.until(replaced, "the process was not replaced")
    record = await shop.record(request)
    assert record is not None
    assert (record.status, record.attempts) == ("started", 1)
    assert await shop.paid() == 0


async def test_a_stopping_worker_finishes_what_is_in_hand(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 2})
    await shop.send(request)
    await shop.until_logged("fault_point_reached")
    assert shop.worker is not None

    assert await shop.worker.stop(20)

    assert await shop.paid() == 1
    assert (await shop.result(request)).status == "succeeded"


@pytest.mark.long
async def test_a_stopping_worker_does_not_wait_for_ever(shop: Shop) -> None:
    request = shop.refund()
    await shop.start_worker(faults={BEFORE_COMMIT: 60}, warm_stop_seconds=0.5, action_seconds=59)
    await shop.send(request)
    await shop.until_logged("fault_point_reached")
    assert shop.worker is not None

    assert await shop.worker.stop(20)

    assert await shop.paid() == 0


async def test_a_wiped_queue_takes_the_next_message(open_shop: Shop) -> None:
    client = RedisClient.from_url(open_shop.redis.url)
    await client.flushall()
    await client.aclose()
    request = open_shop.action("open_ticket", subject="坏了")

    await open_shop.send(request)

    assert (await open_shop.result(request)).status == "succeeded"


async def test_an_edited_rule_holds_for_the_next_action_without_a_restart(open_shop: Shop) -> None:
    shop = open_shop
    table = shop.settings.rules_dir / "refund.json"
    shipped = table.read_text(encoding="utf-8")
    request = shop.refund("20261103001")

    table.write_text(shipped.replace('"< 500"', '"< 50"'), encoding="utf-8")
    await shop.send(request)
    result = await shop.result(request)
    table.write_text(shipped, encoding="utf-8")

    assert result.status == "awaiting_approval"


@asynccontextmanager
async def login_that_vouches() -> AsyncIterator[str]:
    """The one answer of login that a service needs to register."""

    async def prove(_request: web.Request) -> web.Response:
        return web.json_response({"proof": "1.a..b", "expires_in": 600})

    app = web.Application()
    app.router.add_post("/v1/instances", prove)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_it_says_how_it_is_and_registers_as_worker(redis: Redis, tmp_path: Path) -> None:
    async with Consul(tmp_path / "consul") as consul, login_that_vouches() as login_url:
        shop = Shop(
            tmp_path,
            redis,
            registry="consul",
            consul_url=consul.url,
            consul_token=SecretStr(consul.stack.bootstrap.consul.services["worker"]),
            login_url=login_url,
            client_id="worker",
            client_secret=SecretStr("secret"),
            drain_seconds=0.1,
        )
        await shop.open()
        await shop.start_worker()
        request = shop.refund()
        await shop.send(request)
        await shop.result(request)

        async def registered() -> bool:
            return any(each.startswith("zhiyin-worker-") for each in await consul.service_ids())

        await shop.until(registered, "the worker did not register")

        async def counted() -> bool:
            return await shop.metric("zhiyin_worker_actions_total") >= 1

        await shop.until(counted, "the action was not counted")
        assert await shop.metric("zhiyin_worker_action_seconds_count") >= 1
        assert await shop.metric("zhiyin_business_dead_letters_total") == 0

        async def beaten() -> bool:
            return await shop.metric("zhiyin_worker_beat_age_seconds") < 5

        await shop.until(beaten, "the worker heard no beat of its consumer")
        async with aiohttp.ClientSession() as session, session.get(f"{shop.url}/health/live") as answer:
            assert answer.status == 200

        assert shop.worker is not None
        assert await shop.worker.stop(20)
        assert not await registered()
        await shop.close()


@pytest.mark.long
async def test_it_goes_on_when_the_queue_has_been_away(tmp_path: Path) -> None:
    async with Redis(tmp_path / "redis") as own:
        shop = Shop(tmp_path, own)
        await shop.open()
        await shop.start_worker()
        ready = http_answers(f"{shop.url}/health/ready")

        await own.kill()

        async def not_ready() -> bool:
            return not await ready()

        await shop.until(not_ready, "the worker says that it is ready without a queue")
        async with aiohttp.ClientSession() as session, session.get(f"{shop.url}/health/live") as answer:
            assert answer.status == 200
        await own.start()
        assert await wait_until(ready, 40), shop.log[-3000:]
        request = shop.refund()
        await shop.send(request)
        assert (await shop.result(request)).status == "succeeded"
        await shop.close()


async def test_it_does_not_start_with_broken_rules(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "assistants" / "shop" / "rules").mkdir(parents=True)
    environment = {**os.environ, "ZHIYIN_ASSISTANT": str(tmp_path / "assistants" / "shop")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.http", "worker"), env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()

    assert process.returncode == 2
    assert b"The service worker cannot start: the rules in" in said
    assert b"refund.json cannot be read" in said

"""Consul and Redis go away with everything they know; the databases are what counts."""

import json
import os
import time

from tests.cluster.cancellations import cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.installation import Installation
from tests.cluster.load import TURNS_A_SECOND, steady_load
from tests.stack import eventually

AWAY_SECONDS = float(os.environ.get("CONSUL_AWAY_SECONDS", "120"))
REGISTERED_SECONDS = 15.0


async def test_consul_is_away_for_two_minutes_and_comes_back_knowing_nothing(zhiyin: Installation, note: Note) -> None:
    async with steady_load(await zhiyin.url("dialogue")) as load:
        await zhiyin.scale("consul", 0)
        await zhiyin.forget("consul")
        began = time.monotonic()
        await load.steady(int(TURNS_A_SECOND * AWAY_SECONDS / 2), AWAY_SECONDS)
        # Whom it cannot ask about, the others find out themselves.
        victim = (await zhiyin.ready_pods("intent"))[0]
        await zhiyin.delete(victim)
        await zhiyin.whole("intent", without=[victim.uid])
        await load.steady(max(20, int(TURNS_A_SECOND * (AWAY_SECONDS - time.monotonic() + began))), AWAY_SECONDS)
        away = time.monotonic() - began
        await zhiyin.scale("consul", 1)
        back = time.monotonic()

        async def registered() -> bool:
            return not await zhiyin.unregistered()

        await eventually(registered, REGISTERED_SECONDS, what="everybody registered again")
        again = time.monotonic() - back
        await load.steady()
        report = await load.finish()
    note("Consul away", f"{away:.0f} s; all registered again {again:.1f} s after it was ready; {report}")
    report.nothing_failed()


async def test_redis_loses_everything_and_every_accepted_action_is_done_once(zhiyin: Installation, note: Note) -> None:
    await zhiyin.scale("worker", 0)
    async with cancelling(zhiyin, 950, 5) as cancellations:
        for cancellation in cancellations:
            await cancellation.confirm()
        before = [await cancellation.guest.transcript() for cancellation in cancellations]
        await zhiyin.scale("redis", 0)
        await zhiyin.forget("redis")
        await zhiyin.scale("redis", 1)
        assert [await cancellation.guest.transcript() for cancellation in cancellations] == before
        await zhiyin.scale("worker", 1)
        began = time.monotonic()
        await done_once(zhiyin, cancellations)
        note("Redis wiped with actions waiting", f"all done once {time.monotonic() - began:.1f} s after the worker")


async def test_a_service_has_its_own_role_and_its_own_user_and_asks_for_nothing_else(zhiyin: Installation) -> None:
    services = ("business", "dialogue", "login")
    query = (
        "SELECT role.rolname, datname FROM pg_roles AS role, pg_database"
        " WHERE rolname IN ('business', 'dialogue', 'login') AND NOT rolsuper AND datallowconn"
        " AND has_database_privilege(role.oid, pg_database.oid, 'CONNECT') ORDER BY 1, 2"
    )
    may = await zhiyin.sql("postgres", query)
    assert may.splitlines() == [f"{each}|{each}" for each in services]
    for service in services:
        owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert await zhiyin.sql(service, owners) == service
        used = await zhiyin.sql(
            "postgres", f"SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = '{service}'"
        )
        # The role's maker looks in now and then.
        assert set(used.splitlines()) - {"zhiyin"} == {service}
    denied = json.loads(await zhiyin.execute("zhiyin-redis-0", "redis-cli", "--json", "--user", "admin", "acl", "log"))
    assert [each for each in denied if not str(each["object"]).startswith("client")] == []

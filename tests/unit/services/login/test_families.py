"""Refresh tokens: whatever is presented in whatever order, a family has one live token at most."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from services.login.families import Families, Renewed, Reused
from services.login.models import Account, Family
from services.login.repository import account_by_id, delete_families_before, revoke_families
from services.login.settings import Settings
from shared.storage.database import Database
from tests.clocks import Clock

TENANT = "default"
GRACE = 10.0
DAY = 86400.0


@pytest.fixture
def families(clock: Clock) -> Families:
    return Families(Settings(refresh_grace_seconds=GRACE), clock)


async def open_family(database: Database, families: Families) -> str:
    async with database.transaction(TENANT) as session:
        return (await families.open(session, subject="guest-1", account=None)).token


async def renew(database: Database, families: Families, token: str) -> Renewed | Reused | None:
    async with database.transaction(TENANT) as session:
        return await families.renew(session, token)


async def works(database: Database, families: Families, token: str) -> bool:
    """Whether a token would be renewed; tried on a copy of the world."""
    async with database.reading(TENANT) as session:
        return isinstance(await families.renew(session, token), Renewed)


@pytest.mark.parametrize("token", ["", ".", "made up", "made.up", "x" * 500, "é.ü"])
async def test_what_was_never_given_is_no_good(database: Database, families: Families, token: str) -> None:
    assert await renew(database, families, token) is None


async def test_the_same_token_twice_at_once_has_one_successor(database: Database, families: Families) -> None:
    token = await open_family(database, families)
    first, second = [await renew(database, families, token) for _ in range(2)]
    assert isinstance(first, Renewed)
    assert first == second


async def test_sessions_go_on_when_the_login_secret_is_replaced(database: Database, clock: Clock) -> None:
    old, new = SecretStr("old" * 12), SecretStr("new" * 12)
    before = Families(Settings(login_secret=old, refresh_grace_seconds=GRACE), clock)
    after = Families(Settings(login_secret=new, login_secret_accepted=old, refresh_grace_seconds=GRACE), clock)
    first = await open_family(database, before)
    second = await renew(database, before, first)
    assert isinstance(second, Renewed)
    assert await renew(database, after, first) == second, "two tabs at two replicas have one successor"
    third = await renew(database, after, second.token)
    assert isinstance(third, Renewed)
    assert await works(database, before, third.token), "a replica that is still the old one takes it"
    clock.advance(GRACE)
    assert await renew(database, after, first) == Reused("guest-1"), "what was made before is known"


async def test_after_the_grace_an_old_token_ends_the_family(
    database: Database, families: Families, clock: Clock
) -> None:
    token = await open_family(database, families)
    following = await renew(database, families, token)
    assert isinstance(following, Renewed)
    clock.advance(GRACE)
    assert await renew(database, families, token) == Reused("guest-1")
    assert await renew(database, families, following.token) is None
    assert await renew(database, families, token) is None, "it is told once"


async def test_the_one_before_the_last_has_no_grace(database: Database, families: Families) -> None:
    first = await open_family(database, families)
    second = await renew(database, families, first)
    assert isinstance(second, Renewed)
    assert isinstance(await renew(database, families, second.token), Renewed)
    assert isinstance(await renew(database, families, first), Reused)


@pytest.mark.parametrize(
    "shown", ["{id}.guess", "{id}.", "{id}", "{id}.{current}", "{other}", "{id}.{secret}0", "{id}.é"]
)
async def test_what_is_made_up_ends_no_session(database: Database, families: Families, shown: str) -> None:
    token = await open_family(database, families)
    family_id, _, secret = token.partition(".")
    async with database.reading(TENANT) as session:
        current = (await session.get_one(Family, family_id)).current
    other = token[:-1] + ("0" if token[-1] != "0" else "1")
    made_up = shown.format(id=family_id, current=current, other=other, secret=secret)
    assert await renew(database, families, made_up) is None
    async with database.transaction(TENANT) as session:
        assert await families.close(session, made_up) is None
    assert isinstance(await renew(database, families, token), Renewed)


async def test_a_secret_of_one_family_is_none_of_another(database: Database, families: Families) -> None:
    mine, theirs = [await open_family(database, families) for _ in range(2)]
    crossed = f"{theirs.partition('.')[0]}.{mine.partition('.')[2]}"
    assert await renew(database, families, crossed) is None
    assert isinstance(await renew(database, families, theirs), Renewed)


async def test_a_session_ends_when_idle_and_at_last_anyway(
    database: Database, families: Families, clock: Clock
) -> None:
    idle = await open_family(database, families)
    token = await open_family(database, families)
    for _ in range(3):
        clock.advance(29 * DAY)
        outcome = await renew(database, families, token)
        assert isinstance(outcome, Renewed)
        token = outcome.token
    assert await renew(database, families, idle) is None
    clock.advance(3 * DAY)
    assert await renew(database, families, token) is None
    clock.advance(1)
    async with database.transaction(TENANT) as session:
        await delete_families_before(session, clock())
    async with database.reading(TENANT) as session:
        assert await session.get(Family, token.partition(".")[0]) is None


async def test_another_tenant_cannot_use_a_token(database: Database, families: Families) -> None:
    token = await open_family(database, families)
    async with database.transaction("other") as session:
        assert await families.renew(session, token) is None
        assert await families.close(session, token) is None
    assert isinstance(await renew(database, families, token), Renewed)


async def test_the_sessions_of_an_account_end_together_or_with_it(database: Database, families: Families) -> None:
    async with database.transaction(TENANT) as session:
        account = Account(username="lilei", display_name="李雷", password_hash="", roles=["customer"])
        session.add(account)
        await session.flush()
        tokens = [(await families.open(session, subject=account.id, account=account)).token for _ in range(3)]
    guest = await open_family(database, families)
    outcome = await renew(database, families, tokens[0])
    assert isinstance(outcome, Renewed)
    assert outcome.account is not None
    assert outcome.account.username == "lilei"

    async with database.transaction(TENANT) as session:
        stored = await account_by_id(session, account.id)
        assert stored is not None
        stored.active = False
    assert await renew(database, families, tokens[1]) is None
    async with database.transaction(TENANT) as session:
        stored = await account_by_id(session, account.id)
        assert stored is not None
        stored.active = True
    assert await renew(database, families, tokens[1]) is None, "a session that was refused once is over"

    async with database.transaction(TENANT) as session:
        await revoke_families(session, account.id, account.created_at)
    assert await renew(database, families, tokens[2]) is None
    assert isinstance(await renew(database, families, guest), Renewed)


async def test_any_token_that_was_given_logs_out(database: Database, families: Families) -> None:
    first = await open_family(database, families)
    second = await renew(database, families, first)
    assert isinstance(second, Renewed)
    third = await renew(database, families, second.token)
    assert isinstance(third, Renewed)
    async with database.transaction(TENANT) as session:
        assert await families.close(session, first) is not None
    assert await renew(database, families, third.token) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("renew"), st.integers(0, 30)),
        st.tuples(st.just("close"), st.integers(0, 30)),
        st.tuples(st.just("advance"), st.sampled_from([1, 9, 11, 86400, 29 * 86400])),
    ),
    max_size=14,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_happens_one_token_of_a_family_is_live_at_most(
    database: Database, clock: Clock, steps: list[tuple[str, int]]
) -> None:
    families = Families(Settings(refresh_grace_seconds=0), clock)
    known = [await open_family(database, families)]
    ended = False
    for step, number in steps:
        token = known[number % len(known)]
        if step == "advance":
            clock.advance(number)
        elif step == "close":
            async with database.transaction(TENANT) as session:
                closed = await families.close(session, token)
            assert closed is not None or ended
            ended = True
        else:
            outcome = await renew(database, families, token)
            if isinstance(outcome, Renewed):
                assert not ended, "what has ended stays so"
                assert token == known[-1], "only the newest is exchanged"
                known.append(outcome.token)
            ended = ended or not isinstance(outcome, Renewed)
        alive = [each for each in known if await works(database, families, each)]
        assert alive in ([], [known[-1]])

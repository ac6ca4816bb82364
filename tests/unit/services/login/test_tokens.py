"""Access tokens as the other services read them."""

from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.login.keys import DatabaseKeys
from services.login.settings import Settings
from services.login.tokens import TokenIssuer
from shared.errors import Unauthenticated
from shared.http.auth import JwksCache, Principal, TokenVerifier
from shared.http.revocations import Revocations
from shared.storage.database import Database, now

WORDS = st.sets(st.text("abc:_李", min_size=1, max_size=6), max_size=3).map(frozenset)
PRINCIPALS = st.builds(
    Principal,
    subject=st.text("abc-7", min_size=1, max_size=40),
    tenant=st.text("abc", min_size=1, max_size=8),
    roles=WORDS,
    scopes=WORDS,
    customer=st.none() | st.text("C17", min_size=1, max_size=8),
)


async def _nothing(_since: float) -> dict[str, object]:
    return {"now": 0, "kept_seconds": 0, "sessions": []}


class Issued:
    """Tokens of an issuer whose time it is told, and a service that verifies them now."""

    def __init__(self, keys: DatabaseKeys) -> None:
        self.moment = now()
        self.issuer = TokenIssuer(Settings(), keys, self.time)

        async def fetch() -> dict[str, object]:
            return dict(keys.published())

        self.verify = TokenVerifier(
            JwksCache(fetch), issuer="zhiyin", audience="shop", revocations=Revocations(_nothing, period=60)
        ).verify

    def time(self) -> datetime:
        return self.moment


@pytest.fixture
async def issued(database: Database) -> Issued:
    keys = DatabaseKeys(Settings(), database, now)
    await keys.refresh()
    return Issued(keys)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(principal=PRINCIPALS)
async def test_whoever_a_token_is_issued_to_is_who_it_speaks_for(issued: Issued, principal: Principal) -> None:
    token = issued.issuer.issue(principal, audience=["shop"], kind="account", lifetime=60)
    assert await issued.verify(token) == principal
    assert issued.issuer.issue(principal, audience=["shop"], kind="account", lifetime=60) != token, (
        "no two tokens are the same"
    )


async def test_a_token_is_good_for_its_lifetime_and_no_longer(issued: Issued) -> None:
    principal = Principal(subject="account-1", tenant="default")
    issued.moment = now() - timedelta(hours=1)
    assert (
        await issued.verify(issued.issuer.issue(principal, audience=["shop"], kind="account", lifetime=7200))
        == principal
    )
    with pytest.raises(Unauthenticated):
        await issued.verify(issued.issuer.issue(principal, audience=["shop"], kind="account", lifetime=1800))

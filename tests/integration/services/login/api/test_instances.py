"""Proofs of instances, as login gives them."""

from typing import Any

import pytest

from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.calls.proof import OwnProof, Proofs
from shared.calls.registration import PROOF, Instance
from shared.errors import Unauthenticated
from shared.http.auth import JwksCache
from tests.calls import Calls
from tests.integration.services.login.stage import Stage

CLAIM = {"client_id": "dialogue", "client_secret": "s" * 40, "instance": "zhiyin-dialogue-1", "host": "::1", "port": 80}
INSTANCE = Instance(id="zhiyin-dialogue-1", service="dialogue", host="::1", port=80)


def proofs(login: Calls, installation: str = "zhiyin") -> Proofs:
    async def fetch() -> dict[str, Any]:
        keys: dict[str, Any] = (await login.get("/.well-known/jwks.json")).body
        return keys

    return Proofs(JwksCache(fetch), installation)


async def test_a_service_gets_a_proof_of_its_instance_that_others_verify(stage: Stage) -> None:
    login, url = await stage.login_at()
    client = ServiceClient(FixedDiscovery({"login": url}))
    proof = await OwnProof(client, "dialogue", "s" * 40, INSTANCE)()
    proven = Instance(id=INSTANCE.id, service="dialogue", host="::1", port=80, meta={PROOF: proof})
    assert await proofs(login).hold(proven)
    assert not await proofs(login, "other").hold(proven)
    with pytest.raises(Unauthenticated):
        await OwnProof(client, "dialogue", "wrong", INSTANCE)()
    await client.close()


async def test_a_service_proves_nothing_about_another(login: Calls) -> None:
    answer = await login.post("/v1/instances", json=CLAIM | {"service": "business"})
    assert (answer.status, answer.body["expires_in"]) == (200, 600)
    assert answer.headers["Cache-Control"] == "no-store"
    meta = {PROOF: answer.body["proof"]}
    assert not await proofs(login).hold(Instance(id=INSTANCE.id, service="business", host="::1", port=80, meta=meta))


@pytest.mark.parametrize("wrong", [{"client_secret": "t" * 40}, {"client_id": "nobody"}, {"client_id": "lilei"}])
async def test_who_has_no_credentials_gets_none(login: Calls, wrong: dict[str, str]) -> None:
    answer = await login.post("/v1/instances", json=CLAIM | wrong)
    assert (answer.status, answer.body["detail"]) == (401, "the client or its secret is wrong")


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 0},
        {"port": 65536},
        {"host": ""},
        {"host": "a b"},
        {"host": "a\u0000"},
        {"instance": "x" * 257},
        {"instance": "主机"},
    ],
)
async def test_what_is_not_an_address_is_refused(login: Calls, wrong: dict[str, Any]) -> None:
    assert (await login.post("/v1/instances", json=CLAIM | wrong)).status == 422

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.actions.results import GAVE_UP, AttemptFailed
from services.business.app import create_app
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared.storage.database import now
from tests.calls import Calls, calling
from tests.integration.services.business.shop import Shop
from tests.servers import serve
from tests.tokens import TokenFactory
from tests.unit.services.business.performing import perform


@pytest.fixture(scope="module")
def tokens() -> TokenFactory:
    return TokenFactory()


@pytest.fixture
async def calls(open_shop: Shop, tokens: TokenFactory) -> AsyncIterator[Calls]:
    """The service beside the worker, with its relay."""
    settings = open_shop.settings.model_copy(update={"port": 0})
    async with serve(create_app(settings, jwks=tokens.fetch)) as server, calling(server.base_url) as calls:
        yield calls


def hopeless(shop: Shop, **changes: object) -> Ledger:
    """A ledger in which every attempt fails."""
    settings: Settings = shop.settings.model_copy(update={"action_seconds": 1e-9} | changes)
    return Ledger(shop.database, RuleBook(shop.settings.rules_dir), settings)


async def test_a_decision_is_sent_as_the_next_version_of_the_result(
    open_shop: Shop, calls: Calls, tokens: TokenFactory
) -> None:
    request = open_shop.refund("20261103004")
    await open_shop.send(request)
    interim = await open_shop.result(request)
    assert (interim.status, interim.version) == ("awaiting_approval", 1)

    answer = await calls.post(
        f"/v1/approvals/{request.id}", json={"decision": "approve"}, token=tokens.issue(roles={"agent"})
    )

    assert answer.status == 200
    final = await open_shop.result(request, version=2)
    assert (final.status, final.data["order_number"]) == ("succeeded", "20261103004")
    assert (await open_shop.ledger.accept(request)).result == final


async def test_a_result_that_a_crash_left_unsent_is_sent(open_shop: Shop, calls: Calls) -> None:
    request = open_shop.refund("20261103003")
    performed = await perform(open_shop.ledger, request)

    assert await open_shop.result(request) == performed

    async def marked() -> bool:
        record = await open_shop.record(request)
        return record is not None and record.published_version == 1

    await open_shop.until(marked, "the result was not marked as published")


async def test_an_action_that_got_stuck_is_put_on_the_queue_again(open_shop: Shop, calls: Calls) -> None:
    request = open_shop.refund("20261103002")
    with pytest.raises(AttemptFailed):
        await perform(hopeless(open_shop), request)
    async with open_shop.database.transaction("default") as session:
        record = await repository.find_action(session, request.id)
        assert record is not None
        record.resend_at = now() - timedelta(seconds=1)

    assert (await open_shop.result(request)).status == "succeeded"


async def test_what_was_given_up_and_is_tried_again_is_done(
    open_shop: Shop, calls: Calls, tokens: TokenFactory
) -> None:
    request = open_shop.refund("20261103001")
    await perform(hopeless(open_shop, max_attempts=1), request)
    assert (await open_shop.result(request)).error_code == GAVE_UP
    operator = tokens.issue(roles={"operator"})
    (letter,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]

    assert (await calls.post(f"/v1/dead-letters/{letter['id']}/retry", token=operator)).status == 202

    result = await open_shop.result(request, version=2)
    assert result.status == "succeeded"


async def test_what_cannot_be_sent_while_the_queue_is_away_is_sent_when_it_is_back(
    open_shop: Shop, calls: Calls, tokens: TokenFactory
) -> None:
    request = open_shop.refund("20261103005")
    await open_shop.send(request)
    assert (await open_shop.result(request)).status == "awaiting_approval"

    await open_shop.redis.kill()
    answer = await calls.post(
        f"/v1/approvals/{request.id}", json={"decision": "reject"}, token=tokens.issue(roles={"agent"})
    )
    assert answer.status == 200
    record = await open_shop.record(request)
    assert record is not None
    assert (record.result_version, record.published_version) == (2, 1)
    await open_shop.redis.start()

    assert (await open_shop.result(request, version=2)).error_code == "approval_rejected"

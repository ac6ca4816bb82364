"""What is unknown is looked at again until it is known."""

import pytest

from services.business.actions.results import OUTCOME_UNKNOWN
from tests.foreign.company import Company


@pytest.mark.parametrize("delivery", ["idempotent", "queryable"])
async def test_what_stays_unknown_is_told_once_and_closed_with_a_further_result_when_it_is_known(
    company: Company, delivery: str
) -> None:
    request = company.request(delivery)
    await company.foreign.meets(*["error_before"] * 30, keys=delivery == "idempotent")
    result = await company.performed(request)
    assert (result.error_code, result.version) == (OUTCOME_UNKNOWN, 1)
    (letter,) = await company.letters()
    assert letter.error.startswith(OUTCOME_UNKNOWN)

    for _ in range(2 if delivery == "idempotent" else 0):
        assert await company.timers(days=1) == 1
        assert (await company.record(request)).status == "started"
        again = await company.attempt(request)
        assert again is not None
        assert again.version == 1
    assert len(await company.letters()) == 1 == await company.unknown()

    await company.foreign.meets()
    assert await company.timers(days=1) == 1
    known = await company.performed(request)
    expected = {"idempotent": ("succeeded", None), "queryable": ("failed", "did_not_happen")}[delivery]
    assert (known.status, known.error_code, known.version) == (*expected, 2)
    assert await company.letters() == []
    assert await company.unknown() == 0
    assert await company.timers(days=30) == 0
    assert await company.foreign.effects(request.id) == (known.status == "succeeded")


async def test_after_a_day_it_is_left_to_the_operator_and_stays_visible(company: Company) -> None:
    request = company.request("idempotent")
    await company.foreign.meets(*["error_before"] * 30)
    await company.performed(request)
    await company.long_ago(request, days=2)

    assert await company.timers(days=1) == 1
    assert await company.attempt(request) is not None

    assert await company.timers(days=30) == 0
    assert len(await company.letters()) == 1 == await company.unknown()

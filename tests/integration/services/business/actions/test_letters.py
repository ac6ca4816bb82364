"""What people say about calls of which nobody knows, on both databases."""

import asyncio

import pytest

from services.business.actions.letters import dismiss, resolve, try_again
from services.business.actions.results import DID_NOT_HAPPEN, OUTCOME_UNKNOWN
from shared.contracts.actions import ActionRequest
from shared.errors import Conflict
from tests.foreign.company import Company


async def unknown(company: Company, name: str = "once") -> tuple[ActionRequest, int]:
    """An action of which nobody knows, and its dead letter."""
    request = company.request(name)
    await company.foreign.meets(*["cut_after"] * 20, keys=False)
    assert (await company.performed(request)).error_code == OUTCOME_UNKNOWN
    await company.foreign.meets()
    (letter,) = [each for each in await company.letters() if each.action_id == request.id]
    return request, letter.id


@pytest.mark.parametrize("happened", [True, False])
async def test_what_a_person_found_out_is_the_result_and_saying_it_again_changes_nothing(
    on_both: Company, happened: bool
) -> None:
    request, letter = await unknown(on_both)
    for _ in range(2):
        await resolve(on_both.database, "default", letter, happened=happened, note="asked the bank", by="operator-1")

    result = await on_both.result(request)
    assert result is not None
    assert (result.status, result.error_code, result.version) == (
        ("succeeded", None, 2) if happened else ("failed", DID_NOT_HAPPEN, 2)
    )
    assert await on_both.unknown() == 0
    assert await on_both.letters() == []
    with pytest.raises(Conflict, match="operator-1 has found"):
        await resolve(on_both.database, "default", letter, happened=not happened, note="no", by="operator-2")
    for decide in (
        try_again(on_both.database, "default", letter, by="x"),
        dismiss(on_both.database, "default", letter, by="x", because="y"),
    ):
        with pytest.raises(Conflict):
            await decide
    assert await on_both.foreign.effects(request.id) == 1


async def test_of_contrary_people_at_once_one_is_believed(on_both: Company) -> None:
    request, letter = await unknown(on_both)
    outcomes = await asyncio.gather(
        *(
            resolve(on_both.database, "default", letter, happened=each, note="x", by=str(each))
            for each in (True, False, True, False)
        ),
        return_exceptions=True,
    )
    assert sorted(type(each).__name__ for each in outcomes if each is not None) == ["Conflict", "Conflict"]
    assert (await on_both.record(request)).result_version == 2


async def test_what_is_unknown_is_neither_repeated_nor_forgotten(on_both: Company) -> None:
    request, letter = await unknown(on_both)
    with pytest.raises(Conflict, match="twice"):
        await try_again(on_both.database, "default", letter, by="operator-1")
    with pytest.raises(Conflict, match="unknown"):
        await dismiss(on_both.database, "default", letter, by="operator-1", because="tired of it")
    assert await on_both.attempt(request) is None
    assert await on_both.foreign.effects(request.id) == 1


async def test_what_can_be_repeated_may_be_tried_again_by_hand(on_both: Company) -> None:
    request = on_both.request("idempotent")
    await on_both.foreign.meets(*["cut_after"] * 20)
    await on_both.performed(request)
    await on_both.foreign.meets()
    (letter,) = await on_both.letters()
    await try_again(on_both.database, "default", letter.id, by="operator-1")
    with pytest.raises(Conflict):
        await resolve(on_both.database, "default", letter.id, happened=True, note="x", by="operator-1")

    assert (await on_both.performed(request)).version == 2
    assert await on_both.foreign.effects(request.id) == 1
    assert await on_both.unknown() == 0


@pytest.mark.parametrize("happened", [True, False])
async def test_a_saga_goes_on_when_its_unknown_step_is_known(on_both: Company, happened: bool) -> None:
    request = on_both.request("trip")
    await on_both.foreign.meets("ok", *["error_before"] * 20)
    assert (await on_both.performed(request)).error_code == OUTCOME_UNKNOWN
    await on_both.foreign.meets()
    (letter,) = await on_both.letters()
    assert (letter.step, letter.name) == (2, "queryable")

    await resolve(on_both.database, "default", letter.id, happened=happened, note="asked", by="operator-1")
    result = await on_both.performed(request)

    made = [key.removeprefix(request.id) for key, _, _ in await on_both.foreign.all() if request.id in key]
    if happened:
        assert (result.status, made) == ("succeeded", [".1", ".3"])
    else:
        assert (result.error_code, made) == (DID_NOT_HAPPEN, [".1", ".1.undo"])
        assert result.data == {"step": "queryable", "undone": ["idempotent"], "not_undone": []}


async def test_an_undo_that_was_given_up_is_tried_again_by_hand(on_both: Company) -> None:
    request = on_both.request("trip", wrong="yes")
    # Three steps, of which the last is not taken, then the first way back, and nothing more.
    await on_both.foreign.meets("ok", "ok", "ok", "ok", *["cut_before"] * 5)
    result = await on_both.performed(request)
    assert result.data["not_undone"] == ["idempotent"]
    await on_both.foreign.meets()
    (undo,) = [each for each in await on_both.letters() if each.undo]

    await try_again(on_both.database, "default", undo.id, by="operator-1")
    again = await on_both.performed(request)

    assert (again.data["undone"], again.data["not_undone"]) == (["queryable", "idempotent"], [])
    assert again.version == result.version + 1
    assert await on_both.foreign.effects(f"{request.id}.1.undo") == 1
    assert await on_both.unknown() == 0

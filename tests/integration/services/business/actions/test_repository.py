"""The statements about actions under way, on both databases."""

from services.business.actions import repository
from services.business.actions.built_in import submitted_actions
from services.business.actions.repository import Effect
from shared.contracts.lookups import LookupRequest
from shared.storage.database import now
from tests.foreign.company import Company


async def test_a_call_is_stored_and_changed_by_its_step_within_its_tenant(on_both: Company) -> None:
    effect = Effect(action_id="a", step=1, undo=False, name="x", status="called", prepared={"k": ["值", None]})
    for tenant in ("one", "other"):
        await on_both.database.write(tenant, lambda unit: repository.save_effect(unit, effect, now()))
    effect.status, effect.data = "done", {"n": 1}
    await on_both.database.write("one", lambda unit: repository.save_effect(unit, effect, now()))

    found = await on_both.database.write("one", lambda unit: repository.effects_of(unit, "a"))
    assert found == {(1, False): effect}
    other = await on_both.database.write("other", lambda unit: repository.effects_of(unit, "a"))
    assert other[1, False].status == "called"


async def test_what_a_customer_submitted_is_theirs_of_this_assistant_newest_first(on_both: Company) -> None:
    mine = [on_both.request("once", number=number) for number in range(12)]
    bank = on_both.request("once").model_copy(update={"assistant": "bank"})
    others = on_both.request("once").model_copy(update={"customer": "C2"})
    for request in (*mine, bank, others):
        await on_both.ledger.accept(request)

    async def ask(**asked: str) -> list[str]:
        answer = await on_both.database.read("default", lambda unit: submitted_actions(unit, LookupRequest(**asked)))  # type: ignore[arg-type]
        return [each["id"] for each in answer.data.get("actions", [])]

    assert await ask(customer="C1") == [each.id for each in reversed(mine)][:10]
    assert await ask(customer="C1", assistant="bank") == [bank.id]
    assert await ask(customer="C3") == []
    assert await ask() == []

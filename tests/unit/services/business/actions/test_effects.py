import json

from services.business.actions.effects import Stored, as_json
from shared.assistants.connectors import SagaStep
from tests.foreign.effects import TRIP, Checked


def test_what_was_prepared_comes_back_from_the_ledger_as_it_was() -> None:
    steps = [SagaStep.model_validate(each) for each in TRIP]
    prepared = Checked(delivery="queryable", arguments={"a": 1}, scope={"a": 1, "now": "x"}, saga=steps)

    stored = Stored.of(json.loads(json.dumps(as_json(prepared))))

    assert (stored.delivery, stored.arguments, stored.scope) == ("queryable", {"a": 1}, {"a": 1, "now": "x"})
    assert stored.settle == prepared.settle
    assert stored.saga == steps

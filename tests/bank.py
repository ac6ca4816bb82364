"""The example bank for tests: a real server of `examples.bank`, and its connector read by hand.

`BankByHand` does in the simplest way what an assistant's connector says: over real HTTP, without queue or ledger. With
it the assistant's files are tested against the bank by themselves.
"""

import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import uvicorn

from examples.bank.app import create_app
from services.business.rules.rules import Rules
from services.dialogue.testing import Shop
from shared.assistants.connectors import Action, Answer, Connector, Decide, Lookup, Request, read_connectors
from shared.assistants.expressions import Expression
from shared.assistants.yaml_source import Mistakes
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.built_in import SUBMITTED_ACTIONS, WITHDRAW_ACTION, SubmittedAction, SubmittedActions
from shared.contracts.lookups import LookupAnswer
from tests.servers import free_port
from tests.stack import PROJECT

__all__ = ["BANK", "KEY", "LEI", "BankByHand", "RunningBank", "problem", "running_bank"]

BANK = PROJECT / "assistants" / "bank"
KEY = "key-of-the-tests"
LEI = "/v1/customers/C1001"
START_SECONDS = 10.0

Scope = dict[str, Any]


class RunningBank:
    """A bank that answers, and can be given back its first state."""

    def __init__(self, port: int, data: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._file = data / "bank.sqlite"
        self._seeded = data / "seeded.sqlite"
        shutil.copyfile(self._file, self._seeded)
        self.http = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=10)

    def reset(self) -> None:
        """Nothing has happened yet."""
        for left in self._file.parent.glob("bank.sqlite*"):
            left.unlink()
        shutil.copyfile(self._seeded, self._file)

    def post(self, path: str, body: Any = None, key: str = "k") -> httpx.Response:
        """An effect under a key."""
        return self.http.post(path, json=body, headers={"Idempotency-Key": key})


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of an answer that is a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@contextmanager
def running_bank(data: Path) -> Iterator[RunningBank]:
    """A freshly seeded bank with its database in `data`."""
    port = free_port()
    app = create_app(data, KEY)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > until:
                raise AssertionError("the bank does not start")
            threading.Event().wait(0.02)
        bank = RunningBank(port, data)
        with bank.http:
            yield bank
    finally:
        server.should_exit = True
        thread.join()


class Refused(Exception):
    """An action was refused, with this code."""


class BankByHand(Shop):
    """One conversation's bank, for a customer."""

    def __init__(self, bank: RunningBank, customer: str | None, assistant: Path = BANK) -> None:
        mistakes = Mistakes()
        files = read_connectors(assistant, str, mistakes)
        mistakes.raise_if_any()
        self._http = bank.http
        self._rules = Rules(assistant / "rules")
        self._customer = customer
        self._lookups: Mapping[str, tuple[Connector, Lookup]] = files.lookups()
        self._actions: Mapping[str, tuple[Connector, Action]] = files.actions()
        self._waiting: dict[str, ActionRequest] = {}

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        """What the bank says; what was submitted, business says itself."""
        if name == SUBMITTED_ACTIONS:
            return LookupAnswer(name=name, found=self._customer is not None, data=self._submitted())
        _, lookup = self._lookups[name]
        unknown = self._customer is None and lookup.customer == "required"
        data = None if unknown else self._asked(lookup, self._scope(lookup.arguments, arguments))
        return LookupAnswer(name=name, found=data is not None, data=data or {})

    def perform(self, request: ActionRequest) -> ActionResult:
        """Does it, or lets it wait for approval."""
        if request.name == WITHDRAW_ACTION:
            known = self._waiting.pop(request.arguments["action"], None) is not None
            return self._outcome(
                request, "succeeded" if known else "rejected", error_code=None if known else "not_open"
            )
        result = self._result(request, approved=False)
        if result.status == "awaiting_approval":
            self._waiting[request.id] = request
        return result

    def _submitted(self) -> dict[str, Any]:
        waiting = [
            SubmittedAction(
                id=each.id,
                name=each.name,
                status="awaiting_approval",
                submitted_at=each.requested_at.isoformat(),
                arguments=each.arguments,
                open=True,
            )
            for each in reversed(self._waiting.values())
        ]
        return SubmittedActions(
            actions=waiting,
            count=len(waiting),
            open=waiting,
            open_count=len(waiting),
            first=waiting[0] if waiting else None,
        ).model_dump()

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        """What a person decides."""
        self._waiting.pop(request.id, None)
        if not approved:
            return self._outcome(request, "rejected", error_code="not_approved")
        return self._result(request, approved=True)

    def _result(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        try:
            data = self._done(request.name, request.arguments, request.id, approved=approved)
        except Refused as refused:
            return self._outcome(request, "rejected", error_code=str(refused))
        if data is None:
            return self._outcome(request, "awaiting_approval")
        return self._outcome(request, "succeeded", data=data)

    @staticmethod
    def _outcome(request: ActionRequest, status: Any, **more: Any) -> ActionResult:
        return ActionResult(
            action_id=request.id, tenant="default", name=request.name, conversation_id="test", status=status, **more
        )

    def _scope(self, declared: Mapping[str, Any], arguments: Mapping[str, Any], **more: Any) -> Scope:
        assert set(arguments) <= set(declared), f"{sorted(set(arguments) - set(declared))} is no argument"
        return {
            **{name: arguments.get(name) for name in declared},
            "customer": self._customer,
            "tenant": "default",
            "conversation": "test",
            "language": "zh",
            "action": None,
            "now": datetime.now(UTC).isoformat(),
            **more,
        }

    def _asked(self, lookup: Lookup, scope: Scope) -> dict[str, Any] | None:
        answer = self._sent(lookup.request, scope)
        if answer.status_code in lookup.missing:
            return None
        assert answer.is_success, f"{lookup.request.path}: {answer.status_code} {answer.text}"
        scope |= {"response": answer.json(), "status": answer.status_code}
        if lookup.pages is not None:
            items = list(cast("list[Any]", lookup.pages.items.value(scope)))
            for _ in range(1, lookup.pages.most):
                cursor = lookup.pages.next.value(scope) if lookup.pages.next else None
                if cursor is None:
                    break
                scope["response"] = self._sent(lookup.request, scope, {lookup.pages.parameter: str(cursor)}).json()
                items += cast("list[Any]", lookup.pages.items.value(scope))
            scope["items"] = items
        scope |= self._decided(lookup.decide, scope)
        return given(lookup.answer, scope, scope.get("response"))

    def _done(
        self, name: str, arguments: Mapping[str, Any], action_id: str, *, approved: bool = False
    ) -> dict[str, Any] | None:
        """What the action gives; `None` where a person has to agree first."""
        _, action = self._actions[name]
        scope = self._scope(action.arguments, arguments, action=action_id)
        if action.before is not None:
            asked = {each: source.value(scope) for each, source in action.before.arguments.items()}
            found = self.lookup(action.before.lookup, asked)
            if not found.found:
                raise Refused(action.before.missing)
            scope["before"] = found.data
        scope |= self._decided(action.decide, scope)
        for refusal in action.refuse:
            if refusal.when.holds(scope):
                raise Refused(refusal.code.value(scope))
        if action.approval and not approved and (action.approval.when is None or action.approval.when.holds(scope)):
            return None
        if action.saga is not None:
            self._saga(action, scope, action_id)
            return given(action.answer, scope, None)
        assert action.request is not None
        headers = {action.idempotency_header: action_id} if action.delivery == "idempotent" else {}
        answer = self._sent(action.request, scope, headers=headers)
        scope |= {"response": answer.json(), "status": answer.status_code}
        if answer.status_code in action.refused:
            raise Refused(action.refused[answer.status_code].value(scope))
        assert answer.is_success, f"{action.request.path}: {answer.status_code} {answer.text}"
        if action.query is not None:
            asked_again = self._sent(action.query.request, scope)
            assert action.query.happened.holds({**scope, "response": asked_again.json()}), f"{name} cannot be found"
        return given(action.answer, scope, scope["response"])

    def _saga(self, action: Action, scope: Scope, action_id: str) -> None:
        undo: list[tuple[str, dict[str, Any], str]] = []
        for number, step in enumerate(action.saga or ()):
            arguments = {each: source.value(scope) for each, source in step.arguments.items()}
            try:
                data = self._done(step.action, arguments, f"{action_id}-{number}", approved=True)
            except Refused:
                for name, taken, key in reversed(undo):
                    self._done(name, taken, key, approved=True)
                raise
            if step.save is not None:
                scope[step.save] = data
            if step.undo is not None:
                taken = {each: source.value(scope) for each, source in step.undo.arguments.items()}
                undo.append((step.undo.action, taken, f"{action_id}-{number}-undo"))

    def _decided(self, decide: Mapping[str, Decide], scope: Scope) -> Scope:
        return {
            name: self._rules.decide(each.rule, {fact: source.value(scope) for fact, source in each.facts.items()})
            for name, each in decide.items()
        }

    def _sent(
        self, request: Request, scope: Scope, query: Mapping[str, str] | None = None, headers: Any = None
    ) -> httpx.Response:
        path = request.path
        for name in request.parameters:
            assert scope[name] is not None, f"{request.path} has no {name}"
            path = path.replace(f"{{{name}}}", quote(str(scope[name]), safe=""))
        values = {name: source.value(scope) for name, source in request.query.items()}
        asked: dict[str, Any] = {name: value for name, value in values.items() if value is not None} | dict(query or {})
        body = filled(request.body, scope)
        return self._http.request(request.method, path, params=asked, json=body, headers=headers)


def filled(template: Any, scope: Scope) -> Any:
    """A request's body."""
    if isinstance(template, dict):
        return {name: value for name, each in template.items() if (value := filled(each, scope)) is not None}
    if isinstance(template, list):
        return [filled(each, scope) for each in template]
    return template.value(scope) if isinstance(template, Expression) else None


def given(answer: Answer, scope: Scope, default: Any) -> dict[str, Any]:
    """The fields of an answer."""
    fields: dict[str, Any] = {}
    for name, field in answer.items():
        value = field.source.value(scope) if field.source else (default or {}).get(name)
        if field.type == "list" and isinstance(value, list):
            value = [given(field.fields, {**scope, "item": item}, item) for item in value[: field.most]]
        elif field.type == "object" and isinstance(value, dict):
            value = given(field.fields, {**scope, "item": value}, value)
        assert value is not None or not field.required, f"the answer has no {name}"
        fields[name] = value
    return fields

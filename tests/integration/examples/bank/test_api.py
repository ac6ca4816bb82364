"""The bank's API over HTTP: what it refuses, and that a key has one effect."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bank import RunningBank, running_bank
from tests.servers import free_port
from tests.stack import PROJECT

LEI = "/v1/customers/C1001"
START_SECONDS = 30.0


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBank]:
    with running_bank(tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture
def bank(seeded: RunningBank) -> RunningBank:
    seeded.reset()
    return seeded


def post(bank: RunningBank, path: str, body: Any = None, key: str = "k") -> httpx.Response:
    return bank.http.post(path, json=body, headers={"Idempotency-Key": key})


def code(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


def test_nobody_is_answered_without_the_key(bank: RunningBank) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a2V5"}):
        answer = httpx.get(f"{bank.url}{LEI}/cards", headers=headers)
        assert code(answer) == (401, "not_authorised")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_has_one_effect_and_one_answer(bank: RunningBank) -> None:
    first = post(bank, f"{LEI}/cards/6621/freeze")
    assert first.status_code == 200
    assert first.json()["status"] == "frozen"
    assert post(bank, f"{LEI}/cards/6621/freeze").json() == first.json()
    assert code(post(bank, f"{LEI}/cards/6621/freeze", key="other")) == (409, "card_already_frozen")
    assert code(post(bank, f"{LEI}/cards/8804/freeze")) == (422, "key_reused")


def test_many_at_once_with_one_key_are_one_effect(bank: RunningBank) -> None:
    def hold(_: int) -> httpx.Response:
        return post(bank, f"{LEI}/holds", {"transaction": "TX000001"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(hold, range(8)))
    assert {each.status_code for each in answers} == {200}
    assert {each.json()["id"] for each in answers} == {"H000001"}


def test_a_refusal_is_not_kept_under_its_key(bank: RunningBank) -> None:
    assert code(post(bank, f"{LEI}/cards/6621/unfreeze")) == (409, "card_not_frozen")
    post(bank, f"{LEI}/cards/6621/freeze", key="freeze")
    assert post(bank, f"{LEI}/cards/6621/unfreeze").json()["status"] == "active"


def test_effects_need_a_key(bank: RunningBank) -> None:
    assert code(bank.http.post(f"{LEI}/cards/6621/freeze")) == (422, "invalid_request")


def test_transactions_come_a_page_at_a_time(bank: RunningBank) -> None:
    ids, cursor = [], None
    while True:
        query: dict[str, Any] = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = bank.http.get(f"{LEI}/transactions", params=query).json()
        ids += [each["id"] for each in page["transactions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == 24
    of_one = bank.http.get(f"{LEI}/transactions", params={"last4": "9017"}).json()["transactions"]
    assert [(each["amount"], each["currency"]) for each in of_one] == [(-129.99, "USD")]


@pytest.mark.parametrize(
    "query", [{"cursor": "%%%"}, {"cursor": "/////"}, {"limit": "0"}, {"limit": "x"}, {"last4": "12"}]
)
def test_a_page_that_makes_no_sense_is_refused(bank: RunningBank, query: dict[str, str]) -> None:
    assert bank.http.get(f"{LEI}/transactions", params=query).status_code == 422


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("spending", 100_001, "limit_too_high"),
        ("transfer", 99, "limit_too_low"),
        ("spending", 10_000, "limit_unchanged"),
    ],
)
def test_a_limit_has_limits(bank: RunningBank, kind: str, amount: float, expected: str) -> None:
    new = {"kind": kind, "amount": amount}
    answer = bank.http.put(f"{LEI}/cards/6621/limits", json=new, headers={"Idempotency-Key": "k"})
    assert code(answer) == (409, expected)


def test_a_limit_is_changed(bank: RunningBank) -> None:
    new = {"kind": "transfer", "amount": 80_000}
    bank.http.put(f"{LEI}/cards/6621/limits", json=new, headers={"Idempotency-Key": "k"}).raise_for_status()
    assert bank.http.get(f"{LEI}/cards/6621").json()["transfer_limit"] == 80_000
    frozen = bank.http.put("/v1/customers/C1002/cards/3057/limits", json=new, headers={"Idempotency-Key": "l"})
    assert code(frozen) == (409, "card_frozen")


def test_what_the_bank_blocked_stays_so(bank: RunningBank) -> None:
    for path in ("freeze", "unfreeze", "replacements"):
        assert code(post(bank, f"/v1/customers/C1003/cards/7745/{path}", key=path)) == (409, "card_blocked")


def test_a_card_is_replaced_once_and_its_old_one_stays_frozen(bank: RunningBank) -> None:
    card = "/v1/customers/C1002/cards/3057"
    assert bank.http.post(f"{card}/replacements").json() == {"number": "R000001", "last4": "3057", "days": 5}
    assert code(bank.http.post(f"{card}/replacements")) == (409, "replacement_pending")
    assert code(post(bank, f"{card}/unfreeze")) == (409, "replacement_pending")


def test_a_dispute_needs_a_held_amount_and_is_withdrawn_with_it(bank: RunningBank) -> None:
    new = {"transaction": "TX000001", "hold": "H000001", "reason": "not me"}
    assert code(post(bank, f"{LEI}/disputes", new)) == (404, "hold_not_found")
    held = post(bank, f"{LEI}/holds", {"transaction": "TX000001"}, "h").json()
    assert (held["id"], held["amount"]) == ("H000001", 3200.0)
    assert code(post(bank, f"{LEI}/holds", {"transaction": "TX000001"}, "i")) == (409, "already_held")
    wrong = post(bank, f"{LEI}/disputes", {**new, "transaction": "TX000002"}, "w")
    assert code(wrong) == (409, "hold_missing")
    opened = post(bank, f"{LEI}/disputes", new).json()
    assert (opened["id"], opened["status"]) == ("D000001", "open")
    assert code(post(bank, f"{LEI}/disputes", new, "again")) == (409, "already_disputed")
    assert code(post(bank, f"{LEI}/holds/H000001/release", key="r")) == (409, "dispute_open")
    assert post(bank, f"{LEI}/disputes/D000001/withdraw", key="d").json()["status"] == "withdrawn"
    assert code(post(bank, f"{LEI}/disputes/D000001/withdraw", key="e")) == (409, "dispute_not_open")
    assert code(post(bank, f"{LEI}/holds/H000001/release", key="s")) == (409, "hold_not_active")


@pytest.mark.parametrize(
    ("transaction", "expected"),
    [
        ("TX000004", (409, "not_outgoing")),
        ("TX000008", (409, "dispute_window_over")),
        ("TX000009", (404, "transaction_not_found")),
    ],
    ids=["money that came in", "too old", "another customer's"],
)
def test_not_everything_can_be_held(bank: RunningBank, transaction: str, expected: tuple[int, str]) -> None:
    assert code(post(bank, f"{LEI}/holds", {"transaction": transaction})) == expected


@pytest.mark.parametrize("city", ["上海", "上海市", "shanghai", " Shanghai "])
def test_branches_are_found_by_city(bank: RunningBank, city: str) -> None:
    found = bank.http.get("/v1/branches", params={"city": city}).json()["branches"]
    assert [each["id"] for each in found] == ["sh-lujiazui", "sh-xujiahui"]


def test_a_time_is_booked_once_found_by_its_reference_and_cancelled(bank: RunningBank) -> None:
    slot = bank.http.get("/v1/branches/sz-futian/slots").json()["slots"][0]["id"]
    new = {"branch": "sz-futian", "slot": slot, "topic": "贷款", "reference": "a-1"}
    booked = bank.http.post(f"{LEI}/appointments", json=new)
    assert booked.status_code == 201
    assert code(bank.http.post(f"{LEI}/appointments", json=new)) == (409, "reference_used")
    taken = bank.http.post("/v1/customers/C1002/appointments", json={**new, "reference": "a-2"})
    assert code(taken) == (409, "slot_taken")
    found = bank.http.get(f"{LEI}/appointments", params={"reference": "a-1"}).json()["appointments"]
    assert [each["id"] for each in found] == [booked.json()["id"]]
    assert bank.http.get(f"/v1/branches/sz-futian/slots/{slot}").json()["free"] is False
    cancel = f"{LEI}/appointments/{booked.json()['id']}/cancel"
    assert post(bank, cancel).json()["status"] == "cancelled"
    assert code(post(bank, cancel, key="again")) == (409, "appointment_cancelled")
    assert bank.http.get(f"/v1/branches/sz-futian/slots/{slot}").json()["free"] is True


def test_nobody_has_more_than_three_appointments(bank: RunningBank) -> None:
    slots = [each["id"] for each in bank.http.get("/v1/branches/bj-chaoyang/slots").json()["slots"]]
    answers = [
        bank.http.post(
            f"{LEI}/appointments",
            json={"branch": "bj-chaoyang", "slot": slot, "topic": "开户", "reference": f"r{slot}"},
        )
        for slot in slots[:4]
    ]
    assert [each.status_code for each in answers] == [201, 201, 201, 409]
    assert code(answers[-1]) == (409, "too_many_appointments")


@pytest.mark.parametrize("slot", ["20200101T0930", "20261301T0930", "99991231T2359"])
def test_a_time_that_the_branch_does_not_have_is_none(bank: RunningBank, slot: str) -> None:
    assert code(bank.http.get(f"/v1/branches/hz-xihu/slots/{slot}")) == (404, "slot_unknown")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/C9999/accounts",
        "/v1/customers/C9999/cards",
        "/v1/customers/C9999/disputes",
        f"{LEI}/cards/3057",
        f"{LEI}/appointments/A000001",
        f"{LEI}/disputes/D999999999999",
        "/v1/branches/nowhere",
        "/v1/nothing",
    ],
)
def test_what_does_not_exist_or_is_somebody_elses_is_not_found(bank: RunningBank, path: str) -> None:
    answer = bank.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"transaction": 5}', b'{"transaction": "' + b"x" * 100 + b'"}'])
def test_a_body_that_makes_no_sense_is_refused(bank: RunningBank, body: bytes) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    assert code(bank.http.post(f"{LEI}/holds", content=body, headers=headers)) == (422, "invalid_request")


def wait_for(port: int, program: "subprocess.Popen[bytes]") -> None:
    """Until the program listens."""
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if program.poll() is not None or time.monotonic() > until:
                raise
            threading.Event().wait(0.05)


def test_it_starts_as_a_program_and_keeps_what_was_done(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "examples.bank", "--port", str(port), "--data", str(tmp_path), "--key", "secret"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    freeze = f"http://127.0.0.1:{port}{LEI}/cards/6621/freeze"
    headers = {"Authorization": "Bearer secret", "Idempotency-Key": "k"}
    answers = []
    for _ in range(2):
        with subprocess.Popen(command, cwd=PROJECT, env=environment) as program:
            try:
                wait_for(port, program)
                answers.append(httpx.post(freeze, headers=headers))
            finally:
                program.kill()
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


def test_it_imports_nothing_of_the_platform() -> None:
    for file in (PROJECT / "examples" / "bank").glob("*.py"):
        lines = file.read_text(encoding="utf-8").splitlines()
        imports = [line.split()[1] for line in lines if line.startswith(("import ", "from "))]
        assert not [name for name in imports if name.split(".")[0] in ("services", "shared", "cli", "tests")], file

"""Who is answered, and what the bank is made of."""

import httpx

from tests.bank import LEI, RunningBank, problem
from tests.stack import PROJECT


def test_nobody_is_answered_without_the_key(bank: RunningBank) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a2V5"}):
        answer = httpx.get(f"{bank.url}{LEI}/cards", headers=headers)
        assert problem(answer) == (401, "not_authorised")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_it_imports_nothing_of_the_platform() -> None:
    for file in (PROJECT / "examples" / "bank").glob("*.py"):
        lines = file.read_text(encoding="utf-8").splitlines()
        imports = [line.split()[1] for line in lines if line.startswith(("import ", "from "))]
        assert not [name for name in imports if name.split(".")[0] in ("services", "shared", "cli", "tests")], file


def test_health_needs_no_key(bank: RunningBank) -> None:
    assert httpx.get(f"{bank.url}/health").json() == {"status": "ok"}

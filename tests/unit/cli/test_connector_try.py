"""`zhiyin connector try` on the system of a new assistant."""

import json
from pathlib import Path

import pytest

from cli.connector_try import Attempt, pairs, try_out
from cli.errors import CommandError, NotReachable, UsageError
from cli.new import new
from tests.unit.cli.library import library_system


@pytest.fixture
def library(tmp_path: Path) -> Path:
    new(tmp_path / "library")
    return tmp_path / "library"


async def test_a_look_up_shows_request_answer_and_fields(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with library_system() as url:
        await try_out(library, Attempt("core.loan", "C1001", arguments={"loan": "L-1"}, url=url), as_json=False)
    shown = capsys.readouterr().out
    for part in ("core: GET /members/C1001/loans/L-1", "HTTP 200", '"title": {"zh"', "found in", "localized"):
        assert part in shown


async def test_what_is_missing_or_wrong_is_told(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connector = library / "connectors" / "core.yml"
    text = connector.read_text(encoding="utf-8")
    connector.write_text(text.replace("renewals: integer}", "renewals: integer, owner: text}"), encoding="utf-8")
    with library_system() as url:
        attempt = Attempt("loan", "C1001", arguments={"loan": "L-1"}, url=url)
        await try_out(library, attempt, as_json=False)
        assert "! owner is missing" in capsys.readouterr().out
        connector.write_text(text.replace("due: date, renewals", "due: integer, renewals"), encoding="utf-8")
        with pytest.raises(NotReachable, match="'due' is no integer"):
            await try_out(library, attempt, as_json=False)
    assert '"due": "2031-03-01"' in capsys.readouterr().out


async def test_an_action_is_made_only_when_it_is_wanted(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    with library_system() as url:
        wish = Attempt("core.renew", "C1001", arguments={"loan": "L-1"}, url=url)
        with pytest.raises(CommandError, match="Nothing was done"):
            await try_out(library, wish, as_json=True)
        asked = capsys.readouterr()
        assert "outcome" not in asked.out
        assert "(Idempotency-Key: try-" in asked.err
        await try_out(library, Attempt(**{**wish.__dict__, "yes": True}), as_json=True)
    outcome = json.loads("{\n" + capsys.readouterr().out.partition("{\n")[2])
    assert (outcome["outcome"], outcome["data"]) == ("succeeded", {"due": "2031-03-15"})
    assert [each["request"] for each in outcome["exchanges"]] == [
        "GET /members/C1001/loans/L-1",
        "POST /members/C1001/loans/L-1/renewals",
    ]


async def test_a_terminal_is_not_commanded_by_an_answer(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with library_system() as url:
        await try_out(library, Attempt("core.loan", "\x1b[2J", arguments={"loan": "L-1"}, url=url), as_json=False)
    assert "\x1b[2J" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("attempt", "error", "said"),
    [
        (Attempt("core.lones"), UsageError, "did you mean 'core.loans'"),
        (Attempt("core.loan", "C1001"), UsageError, "loan: is missing"),
        (Attempt("core.loan", "C1001", arguments={"book": "1"}), UsageError, "book: there is no such argument"),
        (Attempt("core.loans", "C1001", url="ftp://x"), UsageError, "--url wants"),
        (Attempt("core.loans", "C1001", url="http://127.0.0.1:1"), NotReachable, "Connect call failed"),
    ],
)
async def test_what_cannot_be_is_said(library: Path, attempt: Attempt, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        await try_out(library, attempt, as_json=False)


def test_options_are_pairs() -> None:
    assert pairs(["a=b=c", "d="], "--argument") == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="--argument wants NAME=VALUE"):
        pairs(["a"], "--argument")

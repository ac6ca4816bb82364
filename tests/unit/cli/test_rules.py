"""What `zhiyin rules` prints and writes."""

import json
import shutil
from pathlib import Path

import pytest

from cli.console import out
from cli.errors import CommandError, UsageError
from cli.rules import json_text, learn, show, try_out
from cli.settings import PROJECT
from services.learning.rules.decisions import DecisionsError


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "assistants" / "shop" / "rules", tmp_path / "shop" / "rules")
    return tmp_path / "shop"


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.csv"
    lines = [f"{days},{'refused' if days > 7 else 'automatic'}\n" for days in range(40)]
    path.write_text("days,outcome\n" + "".join(lines), encoding="utf-8")
    return path


def teach(
    shop: Path, decisions: Path, name: str = "returns", *, only: tuple[str, ...] = (), replace: bool = False
) -> None:
    learn(shop, name, decisions, outcome="outcome", only=list(only), depth=3, leaf=3, replace=replace)


def test_a_table_is_shown(shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(out, "width", 400)
    show(shop, "refund")
    shown = capsys.readouterr().out
    assert "Refund: the first row that matches counts" in shown
    assert "within 7 days and under ¥500" in shown
    assert "→ Outcome" in shown
    show(shop, None)
    assert (
        "refund: status, refund_status, invoice_status, days, amount → outcome, reason_code" in capsys.readouterr().out
    )


def test_a_rule_is_tried(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = ["status=paid", "refund_status=none", "invoice_status=none", "days=3", "amount=600"]
    try_out(shop, "refund", facts, as_json=False)
    assert capsys.readouterr().out.splitlines()[:2] == ['outcome: "approval"', 'reason_code: "amount_over_limit"']
    try_out(shop, "refund", facts, as_json=True)
    written = json.loads(capsys.readouterr().out)
    assert written["result"]["outcome"] == "approval"
    assert (written["rows"][0]["table"], written["rows"][0]["row"]) == ("Refund", 6)


@pytest.mark.parametrize(
    ("name", "facts", "error", "said"),
    [
        ("refnd", [], UsageError, "There is no rule 'refnd'; did you mean 'refund'?"),
        ("refund", ["days"], UsageError, "A fact is written as days=3"),
        ("refund", ["dayz=3"], UsageError, "no fact 'dayz'; did you mean 'days'?"),
        ("refund", ["status=paid"], CommandError, "Undecided: the rule refund: the fact refund_status is missing"),
        ("refund", ["status=lost"], CommandError, "the fact status is 'lost' and none of paid"),
    ],
)
def test_what_cannot_be_tried_is_said(
    shop: Path, name: str, facts: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        try_out(shop, name, facts, as_json=False)
    assert said in str(caught.value)


def test_a_broken_rule_is_shown_as_its_mistakes(shop: Path) -> None:
    (shop / "rules" / "refund.json").write_text("{", encoding="utf-8")
    with pytest.raises(CommandError, match=r"refund\.json: it is not JSON"):
        show(shop, "refund")


def test_a_table_is_learned_written_and_can_be_tried(
    shop: Path, decisions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teach(shop, decisions)
    said = capsys.readouterr()
    assert "2 rows from 32 past decisions. Of 8 others the table decides 8 as people did (100.0%)" in said.out
    text = (shop / "rules" / "returns.json").read_text(encoding="utf-8")
    assert '"in-days": "<= 7"' in next(line for line in text.splitlines() if '"row-1"' in line)
    assert "days:" in (shop / "rules" / "returns.yml").read_text(encoding="utf-8")
    try_out(shop, "returns", ["days=8"], as_json=False)
    assert capsys.readouterr().out.startswith('outcome: "refused"\nby row 2 of Returns (')


def test_what_is_there_is_not_written_over_unless_it_is_meant(shop: Path, decisions: Path) -> None:
    teach(shop, decisions)
    before = (shop / "rules" / "returns.yml").read_text(encoding="utf-8") + "# mine\n"
    (shop / "rules" / "returns.yml").write_text(before, encoding="utf-8")
    with pytest.raises(UsageError, match="is there already; --replace"):
        teach(shop, decisions)
    teach(shop, decisions, replace=True)
    assert (shop / "rules" / "returns.yml").read_text(encoding="utf-8") == before


def test_a_table_that_would_not_pass_the_check_is_not_written(shop: Path, decisions: Path) -> None:
    before = (shop / "rules" / "refund.json").read_bytes()
    with pytest.raises(CommandError, match=r"(?s)would not pass the check.*reason_code is missing"):
        teach(shop, decisions, "refund", replace=True)
    assert (shop / "rules" / "refund.json").read_bytes() == before


@pytest.mark.parametrize(("name", "error"), [("Not a name", UsageError), ("../other", UsageError)])
def test_names_that_are_none(shop: Path, decisions: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="small letters"):
        teach(shop, decisions, name)


def test_what_cannot_be_learned_is_said(shop: Path, decisions: Path) -> None:
    with pytest.raises(DecisionsError, match="no column 'hours'"):
        teach(shop, decisions, only=("hours",))
    assert not (shop / "rules" / "returns.json").exists()


def test_json_has_a_line_for_each_row() -> None:
    document = {"a": [{"x": 1, "y": "ä"}, {}], "b": {"c": []}, "d": []}
    assert json.loads(json_text(document)) == document
    assert '    {"x": 1, "y": "ä"},' in json_text(document).splitlines()

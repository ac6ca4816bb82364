import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from services.business.rules.decision_table import DecisionTable
from services.business.rules.facts import RefundDecision
from services.business.rules.rule_book import RulesError
from services.business.settings import Settings


def table_of(document: dict[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], document["nodes"][1]["content"])


def refuse(path: Path, source: bytes) -> str:
    """Why the table cannot be used."""
    with pytest.raises(RulesError) as caught:
        DecisionTable(path, source, RefundDecision)
    return str(caught.value)


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> bytes:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    return json.dumps(document, ensure_ascii=False).encode()


@pytest.fixture
def path(settings: Settings) -> Path:
    return settings.rules_dir / "refund.json"


def break_cell(row: int, column: str, text: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: table_of(document)["rules"][row].__setitem__(column, text)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (break_cell(4, "in-amount", "< < 500"), "Refund, row 5, Amount .* cannot be read"),
        (break_cell(4, "in-amount", "< 'many'"), "Refund, row 5, Amount .* cannot be read"),
        (break_cell(4, "in-amount", "> 5 and < 3"), "Refund, row 5, Amount .* never matches"),
        (break_cell(0, "in-status", "cancelled"), "row 1, Order status: 'cancelled' never matches .*need quotes"),
        (break_cell(0, "in-status", "'canceled'"), "never matches"),
        (break_cell(4, "out-outcome", "automatic"), "row 5, Outcome: 'automatic' is no value"),
        (break_cell(4, "out-outcome", "'auto'"), "gets no usable answer: outcome"),
        (break_cell(4, "out-outcome", ""), "row 5, Outcome: '' is no value"),
        (break_cell(4, "out-outcome", "1 +"), "row 5, Outcome: .* cannot be read"),
        (break_cell(4, "out-reason_code", "'Not a code!'"), "gets no usable answer: reason_code"),
        (break_cell(6, "in-amount", "< 900"), "an order with .* gets no usable answer"),
        (lambda document: table_of(document)["rules"].clear(), "rules: "),
        (lambda document: table_of(document)["rules"].extend([{}] * 300), "rules: "),
        (lambda document: table_of(document)["inputs"][3].update(field="amuont"), "there is no fact 'amuont'"),
        (lambda document: document["nodes"][1].update(type="expressionNode"), "cannot be used"),
        (lambda document: document["nodes"].pop(0), "cannot be used"),
        (lambda document: document["edges"].clear(), "cannot be used"),
        (lambda document: document.update(nodes=[]), "cannot be used"),
        (lambda document: document.pop("nodes"), "nodes: Field required"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(path: Path, change: Callable[[dict[str, Any]], None], reason: str) -> None:
    said = refuse(path, edited(path, change))
    assert re.search(reason, said)
    assert "refund.json" in said
    assert "backtrace" not in said


@pytest.mark.parametrize(
    "source", ["", "{", "[]", '{"nodes": 5}', "\ud800".encode("utf-8", "surrogatepass"), "[" * 90_000]
)
def test_what_is_no_table_at_all(path: Path, source: str | bytes) -> None:
    assert "refund.json" in refuse(path, source if isinstance(source, bytes) else source.encode())


def test_a_column_with_too_many_limits_is_refused(path: Path) -> None:
    def many(document: dict[str, Any]) -> None:
        rows = table_of(document)["rules"]
        rows[:0] = [dict(rows[4], **{"in-amount": f"< {limit}"}) for limit in range(1, 20)]

    assert "different numbers at most" in refuse(path, edited(path, many))

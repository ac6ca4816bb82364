import asyncio
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.business.rules import rule_book
from services.business.rules.decision_table import DecisionTable
from services.business.rules.facts import OrderFacts, RefundDecision
from services.business.rules.rule_book import RuleBook, RulesError
from services.business.settings import Settings
from tests.stack import eventually


def order(**facts: Any) -> OrderFacts:
    usual: dict[str, Any] = {
        "status": "delivered",
        "refund_status": "none",
        "invoice_status": "none",
        "days": 3,
        "amount": Decimal("89.90"),
    }
    return OrderFacts(**(usual | facts))


def outdated(table: str) -> float | None:
    return REGISTRY.get_sample_value("zhiyin_business_rules_outdated", {"table": table})


@pytest.mark.parametrize(
    ("facts", "outcome", "reason"),
    [
        ({}, "automatic", "within_limits"),
        ({"amount": Decimal("499.99")}, "automatic", "within_limits"),
        ({"amount": Decimal(500)}, "approval", "amount_over_limit"),
        ({"amount": Decimal(1299)}, "approval", "amount_over_limit"),
        ({"days": 7}, "automatic", "within_limits"),
        ({"days": 8}, "approval", "after_return_period"),
        ({"days": 20, "amount": Decimal(1299)}, "approval", "after_return_period"),
        ({"status": "paid", "days": 0}, "automatic", "within_limits"),
        ({"status": "shipped"}, "automatic", "within_limits"),
        ({"status": "cancelled"}, "refused", "order_cancelled"),
        ({"status": "refunded", "refund_status": "done"}, "refused", "already_refunded"),
        ({"refund_status": "done"}, "refused", "already_refunded"),
        ({"refund_status": "pending"}, "refused", "refund_pending"),
        ({"refund_status": "rejected"}, "automatic", "within_limits"),
    ],
)
def test_refunds(rules: RuleBook, facts: dict[str, Any], outcome: str, reason: str) -> None:
    assert rules.refund.decide(order(**facts)).model_dump() == {"outcome": outcome, "reason_code": reason}


@pytest.mark.parametrize(
    ("table", "facts", "allowed", "reason"),
    [
        ("cancel_order", {"status": "paid"}, True, "not_shipped"),
        ("cancel_order", {"status": "shipped"}, False, "already_shipped"),
        ("cancel_order", {"status": "delivered"}, False, "already_delivered"),
        ("cancel_order", {"status": "cancelled"}, False, "order_cancelled"),
        ("cancel_order", {"status": "paid", "refund_status": "pending"}, False, "refund_pending"),
        ("change_address", {"status": "paid"}, True, "not_shipped"),
        ("change_address", {"status": "shipped"}, False, "already_shipped"),
        ("change_address", {"status": "refunded"}, False, "already_refunded"),
        ("request_invoice", {"status": "delivered"}, True, "invoice_available"),
        ("request_invoice", {"status": "paid"}, True, "invoice_available"),
        ("request_invoice", {"invoice_status": "issued"}, False, "already_invoiced"),
        ("request_invoice", {"status": "cancelled"}, False, "order_cancelled"),
    ],
)
def test_permissions(rules: RuleBook, table: str, facts: dict[str, Any], allowed: bool, reason: str) -> None:
    answer = getattr(rules, table).decide(order(**facts))

    assert answer.model_dump() == {"allowed": allowed, "reason_code": reason}


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    status=st.sampled_from(["paid", "shipped", "delivered", "cancelled", "refunded"]),
    refund=st.sampled_from(["none", "pending", "done", "rejected"]),
    days=st.integers(min_value=0, max_value=100_000),
    fen=st.integers(min_value=1, max_value=10**9),
)
def test_only_small_recent_open_orders_are_refunded_at_once(
    rules: RuleBook, status: str, refund: str, days: int, fen: int
) -> None:
    decision = rules.refund.decide(order(status=status, refund_status=refund, days=days, amount=Decimal(fen) / 100))

    recent = days <= 7 and fen < 500_00
    still_open = status in ("paid", "shipped", "delivered") and refund in ("none", "rejected")
    assert decision.outcome == ("refused" if not still_open else "automatic" if recent else "approval")


def test_editing_the_limit_changes_the_next_decision(rules: RuleBook, settings: Settings) -> None:
    file = settings.rules_dir / "refund.json"
    dear = order(amount=Decimal(750))
    assert rules.refund.decide(dear).outcome == "approval"

    file.write_text(file.read_text(encoding="utf-8").replace('"< 500"', '"< 800"'), encoding="utf-8")

    assert rules.refund.decide(dear).outcome == "automatic"
    assert rules.refund.decide(order(amount=Decimal(800))).outcome == "approval"


def test_a_broken_edit_is_refused_as_a_whole_and_a_good_one_heals_it(rules: RuleBook, settings: Settings) -> None:
    file = settings.rules_dir / "refund.json"
    good = file.read_text(encoding="utf-8")
    dear = order(amount=Decimal(750))

    for broken in (good.replace('"< 500"', '"< < 800"'), good[:700], ""):
        file.write_text(broken, encoding="utf-8")
        assert rules.refund.decide(dear).outcome == "approval"
        assert rules.refund.decide(order()).outcome == "automatic"
        assert outdated("refund") == 1

    file.unlink()
    assert rules.refund.decide(dear).outcome == "approval"
    file.write_text(good, encoding="utf-8")
    assert rules.refund.decide(dear).outcome == "approval"
    assert outdated("refund") == 0
    file.write_text(good.replace('"< 500"', '"< 800"'), encoding="utf-8")
    assert rules.refund.decide(dear).outcome == "automatic"


def test_missing_and_oversized_files_are_named(settings: Settings) -> None:
    file = settings.rules_dir / "cancel_order.json"
    file.write_bytes(b" " * 300_000)
    with pytest.raises(RulesError, match=r"cancel_order\.json have more than"):
        RuleBook(settings.rules_dir)
    file.unlink()
    with pytest.raises(RulesError, match=r"cancel_order\.json cannot be read: No such file"):
        RuleBook(settings.rules_dir)
    with pytest.raises(RulesError, match="no folder of rules"):
        RuleBook(settings.rules_dir / "nowhere")


def test_a_question_that_no_check_foresaw_is_left_to_a_person(rules: RuleBook, monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(self: DecisionTable[RefundDecision], facts: OrderFacts) -> RefundDecision:
        return RefundDecision.model_validate({})

    monkeypatch.setattr(DecisionTable, "answer", undecided)

    assert rules.refund.decide(order()).outcome == "approval"
    assert not rules.cancel_order.decide(order(status="paid")).allowed


async def test_while_files_are_watched_nothing_is_read_or_checked_on_the_event_loop(
    rules: RuleBook, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings.rules_dir / "refund.json"
    good = file.read_text(encoding="utf-8")
    dear = order(amount=Decimal(750))
    read, check = rule_book._read, DecisionTable._check_answers
    threads: list[threading.Thread] = []
    checked: list[threading.Thread] = []

    def noted_read(path: Path) -> bytes:
        threads.append(threading.current_thread())
        return read(path)

    def noted_check(self: DecisionTable[Any]) -> None:
        checked.append(threading.current_thread())
        check(self)

    monkeypatch.setattr(rule_book, "_read", noted_read)
    monkeypatch.setattr(DecisionTable, "_check_answers", noted_check)
    beats: list[None] = []
    watching = asyncio.create_task(rules.watch(lambda: beats.append(None)))

    async def decided(outcome: str) -> bool:
        return rules.refund.decide(dear).outcome == outcome

    async def watched() -> bool:
        return bool(beats)

    try:
        await eventually(watched, what="the first look")
        assert await decided("approval")
        file.write_text(good.replace('"< 500"', '"< 800"'), encoding="utf-8")
        await eventually(lambda: decided("automatic"), what="the new limit")
        file.write_text("{", encoding="utf-8")

        async def refused() -> bool:
            return outdated("refund") == 1

        await eventually(refused, what="the refusal of a broken table")
        assert await decided("automatic"), "the last good one stays"
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert beats
    assert checked
    assert threading.main_thread() not in {*threads, *checked}
    file.write_text(good, encoding="utf-8")
    assert await decided("approval"), "who does not watch looks at once"
